"""What happens at the same moment: one wins, and the loser is made good."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from commerce.clock import parse
from infra.settings import STAGES
from tests.e2e.support import GB, Goods, Shop, begun, says, until
from tools.client import Answer, PlacedOrder, new_key

pytestmark = pytest.mark.e2e

HEAD_STARTS = (0.0, 0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
"""Seconds by which a cancellation is before its dispatch."""

AROUND = (-0.5, 0.0, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0)
"""Seconds from a payment's window's end to the payment."""


def cancel_and_dispatch(shop: Shop) -> list[tuple[PlacedOrder, Goods, dict[str, Any], Answer, Answer]]:
    """Cancel and dispatch packed orders at the same time."""
    goods = shop.goods(*[{GB: 1}] * len(HEAD_STARTS))
    orders = [shop.place((one, 1)) for one in goods]
    for order in orders:
        shop.pay(order)
    slips = [shop.pack(shop.slips(order)[0]) for order in orders]
    together = [Barrier(2) for _ in orders]

    def cancel(at: int) -> Answer:
        together[at].wait(30)
        return orders[at].api.send("POST", f"{orders[at].path}/cancel", key=new_key())

    def dispatch(at: int) -> Answer:
        together[at].wait(30)
        time.sleep(HEAD_STARTS[at])
        return until(
            lambda: shop.dispatch(slips[at]),
            lambda answer: says(answer) != (409, "stop-under-way"),
            f"a decision about {slips[at]['id']}",
        )

    with ThreadPoolExecutor(2) as pool:
        rounds = [(pool.submit(cancel, at), pool.submit(dispatch, at)) for at in range(len(orders))]
        answers = [(asked.result(), sent.result()) for asked, sent in rounds]
    for order in orders:
        shop.wait(order, "cancelled", "dispatched")
    return [(*played, *answer) for played, answer in zip(zip(orders, goods, slips, strict=True), answers, strict=True)]


@begun(cancel_and_dispatch)
def test_of_a_cancellation_and_a_dispatch_exactly_one_wins(shop: Shop, prelude: Any) -> None:
    for order, goods, slip, cancelled, dispatched in prelude:
        assert cancelled.status in (202, 409), cancelled
        if dispatched.status == 200:
            assert shop.slip(slip)["state"] == "dispatched"
            assert order.status in ("dispatched", "delivered"), f"{order.number}: its goods are gone"
            assert shop.await_money(order, "captured")["captured"] == order.total
            shop.await_level(goods, GB, on_hand=0, reserved=0, shipped=1)
            asked = "cancellation_requested" in shop.facts(order)
            assert asked == (cancelled.status == 202)
            assert ("cancellation_refused" in shop.facts(order)) == asked
        else:
            assert says(dispatched) == (409, "slip-stopped")
            assert cancelled.status == 202
            assert shop.slip(slip)["state"] == "stopped"
            assert order.status == "cancelled"
            assert shop.await_money(order, "voided")["captured"] == 0
            shop.await_level(goods, GB, on_hand=1, reserved=0, shipped=0)
    gone = [(order, slip) for order, _, slip, _, sent in prelude if sent.status == 200]
    shop.deliver(*(slip for _, slip in gone))
    for order, _ in gone:
        shop.wait(order, "delivered", "accepted", "completed")


def test_an_order_that_is_cancelled_while_it_is_paid_keeps_no_money(shop: Shop) -> None:
    goods = shop.goods(*[{GB: 1}] * 6)
    orders = [shop.place((one, 1)) for one in goods]
    payments = [order.pay() for order in orders]
    together = [Barrier(2) for _ in orders]

    def cancel(at: int) -> Answer:
        together[at].wait(30)
        return orders[at].api.send("POST", f"{orders[at].path}/cancel", key=new_key())

    def pay(at: int) -> Answer:
        together[at].wait(30)
        time.sleep(at * 0.06)
        return shop.platform.provider.call_back(payments[at])

    with ThreadPoolExecutor(2) as pool:
        rounds = [(pool.submit(cancel, at), pool.submit(pay, at)) for at in range(len(orders))]
        assert {(asked.result().status, paid.result().status) for asked, paid in rounds} == {(202, 200)}
    for order, one in zip(orders, goods, strict=True):
        shop.wait(order, "cancelled")
        money = shop.await_money(order, "voided")
        assert (money["authorised"], money["captured"]) == (order.total, 0)
        shop.await_level(one, GB, on_hand=1, reserved=0)
        until(
            partial(told, shop, order),
            lambda kinds: kinds["order-cancelled"] == kinds["payment-returned"] == 1,
            f"the buyer of {order.number} to be told",
        )


def told(shop: Shop, order: PlacedOrder) -> Counter[str]:
    return Counter(notice["kind"] for notice in shop.inbox(shop.platform.english, order))


def paid_as_the_window_closes(shop: Shop) -> list[tuple[PlacedOrder, str]]:
    """Pay orders at the very moment at which nobody can any more; say what became of each, and cancel what is paid."""
    goods = shop.goods(*[{GB: 1}] * len(AROUND))
    orders = [shop.place((one, 1)) for one in goods]
    window = timedelta(seconds=STAGES["test"].windows.payment)

    def pay(at: int) -> None:
        order = orders[at]
        payment = order.pay()
        shop.wait(order, "awaiting_payment")
        reserved = next(parse(entry["at"]) for entry in order.timeline() if entry["fact"] == "reserved")
        time.sleep(max(0.0, (reserved + window - datetime.now(UTC)).total_seconds() + AROUND[at]))
        shop.platform.provider.authorise(payment)

    with ThreadPoolExecutor(len(orders)) as pool:
        list(pool.map(pay, range(len(orders))))
    ends = []
    for order in orders:
        # Here, while it is so: what is paid and not sent expires too, after another window.
        status = shop.wait(order, "paid", "expired")
        shop.await_money(order, "authorised" if status == "paid" else "voided")
        if status == "paid":
            order.cancel()
        ends.append((order, status))
    return ends


@begun(paid_as_the_window_closes)
def test_a_payment_at_the_end_of_its_window_counts_or_goes_back(
    shop: Shop, prelude: list[tuple[PlacedOrder, str]]
) -> None:
    for order, status in prelude:
        assert ("paid" in shop.facts(order)) == (status == "paid"), order.number
        shop.wait(order, "cancelled" if status == "paid" else "expired")
        payment = shop.await_money(order, "voided")
        assert (payment["authorised"], payment["captured"]) == (order.total, 0)


def test_a_parcel_that_several_hand_over_leaves_once(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    order = shop.place((goods, 2))
    shop.pay(order)
    (slip,) = shop.slips(order)
    together = Barrier(4)

    def hand_over(_: int) -> tuple[Answer, Answer]:
        together.wait(30)
        path = f"/slips/{slip['id']}"
        packed = shop.warehouse.send("POST", f"{path}/pack", key=new_key())
        return packed, shop.warehouse.send("POST", f"{path}/dispatch", key=new_key())

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for both in pool.map(hand_over, range(4)) for answer in both]
    assert [answer.status for answer in answers] == [200] * 8, answers
    assert len({answer.body["waybill"] for answer in answers}) == 1
    shop.platform.books.left(slip)
    shop.wait(order, "dispatched")
    shop.await_level(goods, GB, on_hand=0, reserved=0, shipped=2)
    assert shop.await_money(order, "captured")["captured"] == order.total
    shop.await_notices(shop.platform.english, order, "order-placed", "order-paid", "shipment-dispatched")
    shop.deliver(slip | {"waybill": answers[0].body["waybill"]})
    shop.wait(order, "delivered")
