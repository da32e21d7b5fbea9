"""Windows that close: nobody pays, no goods come, nothing is dispatched, no carrier reports, nobody accepts.

All of them are begun when the session starts; their windows are seconds (`infra.settings`, stage ``test``).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import GB, Goods, Shop, begun, says, until
from tools.client import PlacedOrder, new_key

pytestmark = pytest.mark.e2e


def unpaid(shop: Shop) -> tuple[PlacedOrder, Goods, dict[str, Any]]:
    (goods,) = shop.goods({GB: 4})
    order = shop.place((goods, 3), buyer=shop.platform.chinese)
    payment = order.pay()
    shop.wait(order, "awaiting_payment")
    return order, goods, payment


@begun(unpaid)
def test_an_unpaid_order_expires_and_a_payment_after_that_goes_back(shop: Shop, prelude: Any) -> None:
    order, goods, payment = prelude
    buyer = shop.platform.chinese
    shop.wait(order, "expired", within=60)
    assert "window_closed:payment" in shop.facts(order)
    shop.await_level(goods, GB, on_hand=4, reserved=0, shipped=0)
    money = shop.money(order)
    assert money["state"] == "withdrawn"
    assert [(one["state"], one["authorised"], one["captured"]) for one in money["payments"]] == [("voided", 0, 0)]
    told = shop.await_notices(buyer, order, "order-placed", "order-expired")
    assert {one["title"] for one in told} >= {f"订单 {order.number} 已关闭"}

    again = order.api.send(
        "POST", f"{order.path}/payments", {"provider": "sandbox", "order_token": order.token}, key=new_key()
    )
    assert says(again) == (409, "payment-closed")
    assert shop.platform.provider.call_back(payment).status == 200
    late = shop.await_money(order, "voided")
    assert (late["authorised"], late["captured"]) == (order.total, 0)
    assert shop.platform.provider.call_back(payment).status == 200
    told = shop.await_notices(buyer, order, "order-placed", "order-expired", "payment-returned")
    returned = next(one for one in told if one["kind"] == "payment-returned")
    assert returned["facts"] == {"amount": order.total, "currency": "GBP"}
    assert order.status == "expired"


def unsupplied(shop: Shop) -> tuple[PlacedOrder, Goods]:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 2))
    shop.pay(order)
    shop.wait(order, "awaiting_stock")
    return order, goods


@begun(unsupplied)
def test_an_order_whose_goods_do_not_come_expires_and_the_money_goes_back(shop: Shop, prelude: Any) -> None:
    order, goods = prelude
    shop.wait(order, "expired", within=120)
    assert "window_closed:stock" in shop.facts(order)
    shop.await_money(order, "voided")
    shop.await_notices(
        shop.platform.english,
        order,
        *("order-placed", "order-awaiting-stock", "order-expired", "payment-returned"),
    )
    shop.platform.receive(GB, {goods.sku: 5})
    shop.await_level(goods, GB, on_hand=6, reserved=0)
    assert order.status == "expired"


def unsent(shop: Shop) -> tuple[PlacedOrder, Goods, dict[str, Any]]:
    (goods,) = shop.goods({GB: 2})
    order = shop.place((goods, 2))
    shop.pay(order)
    (slip,) = shop.slips(order)
    return order, goods, shop.pack(slip)


@begun(unsent)
def test_an_order_that_is_not_dispatched_in_time_expires_and_its_slip_is_stopped(shop: Shop, prelude: Any) -> None:
    order, goods, slip = prelude
    shop.wait(order, "expired", within=180)
    assert "window_closed:dispatch" in shop.facts(order)
    shop.await_level(goods, GB, on_hand=2, reserved=0, shipped=0)
    assert shop.await_money(order, "voided")["captured"] == 0
    assert shop.slip(slip)["state"] == "stopped"
    late = shop.dispatch(slip)
    assert says(late) == (409, "slip-stopped")
    shop.await_notices(
        shop.platform.english, order, *("order-placed", "order-paid", "order-expired", "payment-returned")
    )


def unreported(shop: Shop) -> tuple[PlacedOrder, dict[str, Any]]:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    (slip,) = shop.send(order)
    shop.wait(order, "dispatched")
    return order, slip


@begun(unreported)
def test_a_parcel_that_no_carrier_reports_is_noted_as_silent_and_can_still_arrive(shop: Shop, prelude: Any) -> None:
    order, slip = prelude
    shop.await_fact(order, "silent:1", within=90)
    assert order.status == "dispatched"
    shop.deliver(slip)
    shop.wait(order, "delivered")


def unaccepted(shop: Shop) -> PlacedOrder:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    shop.deliver(*shop.send(order))
    shop.wait(order, "delivered", "accepted", "completed")
    return order


@begun(unaccepted)
def test_a_delivery_that_nobody_accepts_is_accepted_by_its_window(shop: Shop, prelude: PlacedOrder) -> None:
    shop.wait(prelude, "completed", within=60)
    accepted = next(entry for entry in prelude.timeline() if entry["fact"] == "accepted")
    assert accepted["source"] == "window"
    told = shop.await_notices(
        shop.platform.english,
        prelude,
        *("order-placed", "order-paid", "shipment-dispatched", "shipment-out-for-delivery"),
        *("order-delivered", "order-accepted"),
    )
    window = next(one for one in told if one["kind"] == "order-delivered")["facts"]["accept_by"]
    assert accepted["at"] >= window, "accepted before its window closed"
    mails = until(
        lambda: shop.mails(shop.platform.english.email, prelude.number), lambda seen: len(seen) == 6, "six mails"
    )
    assert f"Order {prelude.number} is complete" in [mail["Subject"] for mail in mails]
    assert shop.await_money(prelude, "captured")["captured"] == prelude.total
