"""Orders that travel in several parcels, and orders too large for one transaction."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import CN, DE, GB, Goods, Shop, begun, order_body
from tools.client import PlacedOrder, place
from tools.loader import load_sample

pytestmark = pytest.mark.e2e


def test_an_order_is_split_only_over_the_warehouses_that_it_needs(shop: Shop) -> None:
    home, abroad = shop.goods({GB: 4, CN: 9}, {DE: 4})
    order = shop.place((home, 2), (abroad, 3))
    shop.pay(order)
    first, second = shop.slips(order, 2)
    assert {first["warehouse"], second["warehouse"]} == {GB, DE}
    assert (first["of"], second["of"]) == (2, 2)
    first, second = sorted((first, second), key=lambda slip: slip["warehouse"] != GB)
    assert [(line["sku"], line["quantity"]) for line in first["lines"]] == [(home.sku, 2)]
    assert [(line["sku"], line["quantity"]) for line in second["lines"]] == [(abroad.sku, 3)]

    first, second = shop.pack(first), shop.pack(second)
    assert shop.dispatch(first).status == 200
    taken = shop.await_money(order, "captured")
    assert taken["captured"] == 2 * home.price, "a shipment captures what its lines cost"
    assert order.status == "paid", "an order has left when all its parcels have"

    assert shop.dispatch(second).status == 200
    shop.wait(order, "dispatched")
    assert shop.await_money(order, "captured")["authorised"] == order.total
    shop.deliver(first)
    shop.await_notices(
        shop.platform.english,
        order,
        *("order-placed", "order-paid", "shipment-dispatched", "shipment-dispatched"),
        "shipment-out-for-delivery",
    )
    assert order.status == "dispatched", "an order is delivered when all its parcels are"
    shop.deliver(second)
    shop.wait(order, "delivered")
    order.accept()
    shop.wait(order, "completed")
    money = shop.await_money(order, "captured")
    assert (money["captured"], money["refunded"]) == (order.total, 0)


def test_a_product_that_no_warehouse_has_whole_comes_from_two(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2, DE: 3})
    order = shop.place((goods, 4))
    shop.pay(order)
    slips = shop.slips(order, 2)
    pieces = {slip["warehouse"]: [line["quantity"] for line in slip["lines"]] for slip in slips}
    assert pieces == {GB: [2], DE: [2]}
    assert shop.stock(goods.sku)[DE]["on_hand"] == 1


def test_one_warehouse_that_has_everything_is_preferred(shop: Shop) -> None:
    one, other = shop.goods({GB: 5, DE: 5}, {DE: 5})
    order = shop.place((one, 1), (other, 1))
    shop.pay(order)
    (slip,) = shop.slips(order)
    assert (slip["warehouse"], slip["of"], len(slip["lines"])) == (DE, 1, 2)


def big(shop: Shop) -> tuple[PlacedOrder, PlacedOrder]:
    """Play an order that finds nothing in stock at first to its end, and one that is cancelled after its payment."""
    goods = shop.goods(*[{}] * 120)
    first = shop.place(*((one, 1) for one in goods))
    shop.wait(first, "awaiting_stock")
    shop.platform.receive(GB, {one.sku: 2 for one in goods})
    shop.complete(first)
    second = shop.place(*((one, 1) for one in goods))
    shop.pay(second)
    shop.wait(second, "paid")
    second.cancel()
    shop.wait(second, "cancelled")
    return first, second


@begun(big)
def test_an_order_of_more_lines_than_a_transaction_takes_is_held_and_given_back_whole(shop: Shop, prelude: Any) -> None:
    first, second = (order.show() for order in prelude)
    assert [(order["status"], len(order["lines"])) for order in (first, second)] == [
        *(("completed", 120), ("cancelled", 120))
    ]
    assert "stock_short" in shop.facts(prelude[0])
    levels = [shop.stock(line["sku"])[GB] for line in first["lines"]]
    assert {(level["on_hand"], level["reserved"], level["shipped"]) for level in levels} == {(1, 0, 1)}


def largest(shop: Shop) -> PlacedOrder:
    """Play the largest order of the sample of real invoices, as long as a customer pays and a warehouse packs it."""
    real = max((one for one in load_sample(500).orders if one.is_accepted), key=lambda one: len(one.body["lines"]))
    lines = [line | {"sku": f"{shop.platform.run}-{line['sku']}"} for line in real.body["lines"]]
    goods = [Goods(line["sku"], line["unit_price"]) for line in lines]
    shop.platform.put_products(goods, currencies=["GBP"])
    shop.platform.receive(GB, {line["sku"]: line["quantity"] for line in lines})
    shop.platform.await_offers(goods)
    order = place(shop.platform.english.api, order_body(()) | {"lines": lines})
    shop.orders.append(order)
    shop.complete(order)
    return order


@begun(largest)
def test_the_largest_real_order_reaches_its_buyer(shop: Shop, prelude: PlacedOrder) -> None:
    shown = prelude.show()
    assert len(shown["lines"]) > 700
    assert shown["status"] == "completed"
    assert shown["total"] == sum(line["quantity"] * line["unit_price"] for line in shown["lines"])
    (parcel,) = prelude.shipments()
    assert len(parcel["lines"]) == len(shown["lines"])
    for line in shown["lines"][::70]:
        level = shop.stock(line["sku"])[GB]
        assert (level["on_hand"], level["reserved"], level["shipped"]) == (0, 0, line["quantity"])
    assert shop.await_money(prelude, "captured")["captured"] == shown["total"]
