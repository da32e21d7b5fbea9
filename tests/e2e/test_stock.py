"""Stock is never oversold, and at the end every piece is accounted for."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.e2e.support import DE, GB, Books, Platform, Shop, until
from tools.client import PlacedOrder

pytestmark = pytest.mark.e2e

THREADS, ORDERS, PIECES = 8, 40, 20


def test_of_forty_orders_for_twenty_pieces_twenty_go_on(shop: Shop) -> None:
    (goods,) = shop.goods({GB: PIECES // 2, DE: PIECES - PIECES // 2})

    def buy(_: int) -> PlacedOrder:
        order = shop.place((goods, 1))
        shop.pay(order)  # so that the window of payment does not close on the first while the last come in
        return order

    with ThreadPoolExecutor(THREADS) as pool:
        orders = list(pool.map(buy, range(ORDERS)))

        def statuses() -> Counter[str]:
            return Counter(pool.map(lambda order: order.status, orders))

        until(statuses, lambda seen: seen["received"] + seen["awaiting_payment"] == 0, "all orders to be decided", 60)
        assert statuses() == {"paid": PIECES, "awaiting_stock": ORDERS - PIECES}
        levels = shop.stock(goods.sku)
        assert {(name, level["on_hand"], level["reserved"]) for name, level in levels.items()} == {
            *((GB, 0, PIECES // 2), (DE, 0, PIECES - PIECES // 2))
        }
        slips = [shop.slips(order)[0] for order in orders if order.status == "paid"]
        assert Counter(slip["warehouse"] for slip in slips) == {GB: PIECES // 2, DE: PIECES - PIECES // 2}
        short = [order for order in orders if order.status == "awaiting_stock"]
        list(pool.map(lambda order: order.cancel(), short))
        list(pool.map(lambda slip: shop.dispatch(shop.pack(slip)), slips))
        until(
            statuses,
            lambda seen: seen == {"dispatched": PIECES, "cancelled": ORDERS - PIECES},
            "twenty to leave and twenty to be cancelled",
            60,
        )
    shop.await_level(goods, GB, on_hand=0, reserved=0, shipped=PIECES // 2)


def shipped(shop: Shop, sku: str) -> dict[str, int]:
    return {warehouse: level["shipped"] for warehouse, level in shop.stock(sku).items()}


def account(shop: Shop, books: Books, sku: str) -> None:
    """Compare a SKU's levels with what the tests moved."""
    left = {warehouse: books.shipped[sku, warehouse] for one, warehouse in books.received if one == sku}
    until(partial(shipped, shop, sku), left.__eq__, f"what left of {sku} to be booked: {left}")
    for warehouse, level in shop.stock(sku).items():
        assert min(level.values()) >= 0, (sku, warehouse, level)
        assert level["on_hand"] + level["reserved"] + level["shipped"] == level["received"], (sku, warehouse, level)
        assert level["received"] == books.received[sku, warehouse], (sku, warehouse, level)


@pytest.mark.at_the_end
def test_every_piece_is_accounted_for(platform: Platform) -> None:
    shop, skus = Shop(platform), sorted({sku for sku, _ in platform.books.received})
    assert skus
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda sku: account(shop, platform.books, sku), skus))


@pytest.mark.at_the_end
def test_nothing_but_what_was_meant_to_was_set_aside(platform: Platform) -> None:
    queues = platform.staff["ops"].ask("GET", "/ops/queues")["queues"]
    assert [one for one in queues if one["messages"] and one["name"] != "shipping-scans-dlq"] == []
