"""A shortage: purchasing is asked, the buyer is told, and a receipt lets the order go on by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import DE, GB, Goods, Shop, fault, says, until
from tools.client import new_key

pytestmark = pytest.mark.e2e


def replenishments(shop: Shop, goods: Goods) -> list[dict[str, Any]]:
    """Return what purchasing is asked to bring of a SKU."""
    found, query = [], {"state": "open", "limit": "100"}
    while True:
        page = shop.ops.ask("GET", "/replenishments", query=query)
        found += [one for one in page["replenishments"] if one["sku"] == goods.sku]
        if not page["next"]:
            return found
        query["cursor"] = page["next"]


def receive(shop: Shop, replenishment: dict[str, Any], pieces: int, key: str) -> dict[str, Any]:
    path = f"/replenishments/{replenishment['replenishment_id']}/receipts"
    booked: dict[str, Any] = shop.warehouse.ask("POST", path, {"quantity": pieces}, key=key)
    return booked


def test_an_order_waits_for_goods_and_goes_on_when_they_come(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    buyer = shop.platform.english
    order = shop.place((goods, 3), buyer=buyer)
    shop.wait(order, "awaiting_stock")
    assert shop.stock(goods.sku)[GB] == {"on_hand": 1, "reserved": 0, "shipped": 0, "received": 1}

    (asked,) = until(lambda: replenishments(shop, goods), len, f"purchasing to be asked for {goods.sku}")
    assert asked["warehouse_id"] == GB
    assert asked["outstanding"] >= 2
    told = next(
        one
        for one in shop.await_notices(buyer, order, "order-placed", "order-awaiting-stock")
        if one["kind"] == "order-awaiting-stock"
    )
    assert told["facts"]["expected_at"] == asked["expected_at"]
    until(
        lambda: shop.mails("purchasing@commerce.example", goods.sku), lambda mails: len(mails) == 1, "purchasing's mail"
    )

    key = new_key()
    booked = receive(shop, asked, asked["outstanding"], key)
    assert receive(shop, asked, asked["outstanding"], key) == booked, "the same receipt is booked once"
    shop.platform.books.came(GB, {goods.sku: asked["outstanding"]})
    shop.wait(order, "awaiting_payment")
    assert shop.facts(order).index("stock_short") < shop.facts(order).index("reserved")
    assert not replenishments(shop, goods)
    shop.await_level(goods, GB, reserved=3, on_hand=asked["outstanding"] - 2)
    shop.complete(order)


def test_a_payment_that_comes_before_the_goods_is_not_asked_for_again(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 2))
    shop.wait(order, "awaiting_stock")
    shop.pay(order)
    shop.await_fact(order, "paid")
    assert order.status == "awaiting_stock"
    shop.platform.receive(GB, {goods.sku: 1})
    shop.wait(order, "paid")
    facts = shop.facts(order)
    assert facts.index("paid") < facts.index("reserved")
    shop.deliver(*shop.send(order))
    shop.wait(order, "delivered")


def test_goods_go_to_the_order_that_has_waited_longest(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    first = shop.place((goods, 2))
    shop.wait(first, "awaiting_stock")
    second = shop.place((goods, 2))
    shop.wait(second, "awaiting_stock")
    shop.platform.receive(DE, {goods.sku: 2})
    shop.wait(first, "awaiting_payment")
    shop.pay(first)
    assert second.status == "awaiting_stock"
    second.cancel()
    shop.wait(second, "cancelled")


def test_what_a_cancelled_order_gives_back_lets_a_waiting_one_go_on(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    first = shop.place((goods, 1))
    shop.pay(first)
    shop.wait(first, "paid")
    second = shop.place((goods, 1))
    shop.wait(second, "awaiting_stock")
    first.cancel()
    shop.wait(first, "cancelled")
    shop.wait(second, "awaiting_payment")
    shop.pay(second)
    shop.wait(second, "paid")


def test_stock_is_corrected_with_a_reason_and_never_below_what_is_held(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 5})
    order = shop.place((goods, 3))
    shop.pay(order)
    shop.wait(order, "paid")
    path = f"/stock/{goods.sku}/adjustments"
    broken = {"warehouse_id": GB, "delta": -2, "reason": "broken in the warehouse"}
    key = new_key()
    for _ in range(2):
        assert shop.warehouse.ask("POST", path, broken, key=key)["note"] == "broken in the warehouse"
    shop.platform.books.came(GB, {goods.sku: -2})
    assert shop.stock(goods.sku)[GB] == {"on_hand": 0, "reserved": 3, "shipped": 0, "received": 3}
    too_many = shop.warehouse.send("POST", path, {**broken, "delta": -1}, key=new_key())
    assert says(too_many) == (409, "stock-too-low")
    unexplained = shop.warehouse.send("POST", path, {"warehouse_id": GB, "delta": 1}, key=new_key())
    assert fault(unexplained) == (422, "reason")
