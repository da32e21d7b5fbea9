"""Cancelling, at every stage of an order."""

from __future__ import annotations

import pytest

from tests.e2e.support import DE, GB, Shop, says, until
from tools.client import Refused, new_key

pytestmark = pytest.mark.e2e


def test_an_order_is_cancelled_before_it_is_paid(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 3})
    buyer = shop.platform.english
    order = shop.place((goods, 3), buyer=buyer)
    shop.wait(order, "awaiting_payment")
    shop.await_level(goods, GB, on_hand=0, reserved=3)
    assert order.cancel()["status"] == "cancelling"
    assert order.cancel()["status"] in ("cancelling", "cancelled")
    shop.wait(order, "cancelled")
    shop.await_level(goods, GB, on_hand=3, reserved=0)
    with pytest.raises(Refused) as refused:
        order.pay()
    assert (refused.value.status, refused.value.slug) == (409, "payment-closed")
    shop.await_notices(buyer, order, "order-placed", "order-cancelled")


def test_an_order_is_cancelled_at_once_after_it_was_placed(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    order.cancel()
    shop.wait(order, "cancelled")
    shop.await_level(goods, GB, on_hand=1, reserved=0)


def test_a_paid_order_is_cancelled_and_everything_goes_back(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    buyer = shop.platform.english
    order = shop.place((goods, 2), buyer=buyer)
    shop.pay(order)
    (slip,) = shop.slips(order)
    order.cancel()
    shop.wait(order, "cancelled")
    shop.await_level(goods, GB, on_hand=2, reserved=0, shipped=0)
    money = shop.await_money(order, "voided")
    assert (money["authorised"], money["captured"]) == (order.total, 0)
    assert shop.slip(slip)["state"] == "stopped"
    refused = shop.warehouse.send("POST", f"/slips/{slip['id']}/pack", key=new_key())
    assert says(refused) == (409, "slip-stopped")
    told = shop.await_notices(buyer, order, "order-placed", "order-paid", "order-cancelled", "payment-returned")
    assert f"£{order.total / 100:.2f}" in " ".join(one["title"] for one in told) or any(
        one["facts"].get("amount") == order.total for one in told
    )


def test_a_packed_order_is_cancelled_and_leaves_the_warehouses_queue(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    (slip,) = shop.slips(order)
    packed = shop.pack(slip)
    until(lambda: _queued(shop, "packed"), lambda ids: packed["id"] in ids, f"{packed['id']} on the queue")
    order.cancel()
    shop.wait(order, "cancelled")
    until(lambda: _queued(shop), lambda ids: packed["id"] not in ids, f"{packed['id']} to leave the queue")
    refused = shop.dispatch(packed)
    assert says(refused) == (409, "slip-stopped")
    shop.await_money(order, "voided")
    shop.await_level(goods, GB, on_hand=1, reserved=0, shipped=0)


def test_an_order_that_waits_for_stock_is_cancelled_and_leaves_the_queue(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 2))
    shop.wait(order, "awaiting_stock")
    order.cancel()
    shop.wait(order, "cancelled")
    shop.platform.receive(GB, {goods.sku: 1})
    shop.await_level(goods, GB, on_hand=2, reserved=0)
    assert order.status == "cancelled"


def test_support_cancels_for_a_buyer(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.platform.staff["support"].ask("POST", f"/orders/{order.number}/cancel", key=new_key())
    shop.wait(order, "cancelled")
    requested = next(entry for entry in order.timeline() if entry["fact"] == "cancellation_requested")
    assert requested["source"] == "support"


def test_an_order_that_has_left_is_not_cancelled(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    (slip,) = shop.send(order)
    shop.wait(order, "dispatched")
    refused = order.api.send("POST", f"{order.path}/cancel", key=new_key())
    assert says(refused) == (409, "not-possible-now")
    early = order.api.send("POST", f"{order.path}/accept", key=new_key())
    assert says(early) == (409, "not-possible-now")
    shop.deliver(slip)
    shop.wait(order, "delivered")
    order.accept()
    shop.wait(order, "completed")
    assert order.api.send("POST", f"{order.path}/cancel", key=new_key()).status == 409


def test_an_order_of_which_one_parcel_has_left_goes_on_and_its_buyer_is_told(shop: Shop) -> None:
    one, other = shop.goods({GB: 1}, {DE: 1})
    order = shop.place((one, 1), (other, 1))
    shop.pay(order)
    first, second = (shop.pack(slip) for slip in shop.slips(order, 2))
    assert shop.dispatch(first).status == 200
    shop.await_level(one if first["warehouse"] == GB else other, first["warehouse"], shipped=1)
    assert order.cancel()["status"] == "cancelling"
    shop.await_fact(order, "cancellation_refused")
    shop.wait(order, "paid")
    assert shop.dispatch(second).status == 200
    shop.deliver(first, second)
    shop.wait(order, "delivered")
    assert shop.await_money(order, "captured")["captured"] == order.total
    kinds = [notice["kind"] for notice in shop.inbox(shop.platform.english, order)]
    assert kinds.count("cancellation-refused") == 1
    assert "order-cancelled" not in kinds


def _queued(shop: Shop, state: str = "") -> list[str]:
    found: list[str] = []
    query = {"warehouse": GB, "limit": "100"} | ({"state": state} if state else {})
    while True:
        page = shop.warehouse.ask("GET", "/slips", query=query)
        found += [slip["id"] for slip in page["slips"]]
        if not page["cursor"]:
            return found
        query["cursor"] = page["cursor"]
