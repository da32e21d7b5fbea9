"""What the people who run the platform see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import GB, Shop, fault, says, until
from tools.client import PlacedOrder

pytestmark = pytest.mark.e2e


def listed(shop: Shop, **query: str) -> dict[str, dict[str, Any]]:
    """Return number -> order of every page of GET /ops/orders."""
    found: dict[str, dict[str, Any]] = {}
    asked = {"limit": "100", **query}
    while True:
        page = shop.ops.ask("GET", "/ops/orders", query=asked)
        found |= {one["number"]: one for one in page["orders"]}
        if not page["next"]:
            return found
        asked["cursor"] = page["next"]


def await_listed(shop: Shop, order: PlacedOrder, **query: str) -> dict[str, Any]:
    def ask() -> dict[str, dict[str, Any]]:
        return listed(shop, **query)

    return until(ask, lambda found: order.number in found, f"{order.number} to be listed by {query}")[order.number]


def test_open_orders_are_listed_by_status_and_age(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    paid = shop.place((goods, 1))
    shop.pay(paid)
    short = shop.place((goods, 9))
    shop.wait(paid, "paid")
    shop.wait(short, "awaiting_stock")

    assert await_listed(shop, paid, status="paid")["status"] == "paid"
    assert await_listed(shop, short, status="awaiting_stock")["status"] == "awaiting_stock"
    for status in ("awaiting_stock", "dispatched", "delivered"):
        assert paid.number not in listed(shop, status=status)
    assert {one["status"] for one in listed(shop, status="paid").values()} <= {"paid"}
    assert {paid.number, short.number} <= set(listed(shop))
    assert paid.number in listed(shop, older_than="0")
    assert not {paid.number, short.number} & set(listed(shop, older_than="3600"))

    shop.deliver(*shop.send(paid))
    shop.wait(paid, "delivered")
    assert await_listed(shop, paid, status="delivered")["due"] is not None
    paid.accept()
    shop.wait(paid, "completed")
    until(lambda: listed(shop), lambda found: paid.number not in found, "a closed order to be listed no more")
    short.cancel()
    shop.wait(short, "cancelled")


@pytest.mark.parametrize(
    "query", [{"status": "completed"}, {"status": "lost"}, {"older_than": "-1"}, {"older_than": "x"}, {"limit": "0"}]
)
def test_a_question_that_makes_no_sense_is_refused_with_its_field(shop: Shop, query: dict[str, str]) -> None:
    answer = shop.ops.send("GET", "/ops/orders", query=query)
    assert fault(answer) == (422, next(iter(query)))


def test_every_queue_has_its_dead_letters_listed(shop: Shop) -> None:
    names = {one["name"] for one in shop.ops.ask("GET", "/ops/queues")["queues"]}
    assert {f"{queue}-dlq" for queue in ("orders-intake", "orders-inbox", "shipping-inbox", "payments-inbox")} <= names
    assert {"inventory-inbox-dlq", "notifications-inbox-dlq", "order-completion-dlq", "orders-relay-dlq"} <= names


def test_a_warehouse_pages_through_its_queue(shop: Shop) -> None:
    goods = shop.goods(*[{"CN-YIW": 1}] * 3)
    orders = [shop.place((one, 1)) for one in goods]
    for order in orders:
        shop.pay(order)
    wanted = [shop.slips(order)[0]["id"] for order in orders]
    seen: list[str] = []
    query = {"warehouse": "CN-YIW", "state": "released", "limit": "1"}
    while True:
        page = shop.warehouse.ask("GET", "/slips", query=query)
        seen += [slip["id"] for slip in page["slips"]]
        if not page["cursor"]:
            break
        query["cursor"] = page["cursor"]
    assert set(wanted) <= set(seen)
    assert len(seen) == len(set(seen))
    short = shop.warehouse.send("POST", f"/slips/{wanted[0]}/pack", {"lines": [{"line": 1, "quantity": 0}]})
    assert says(short) == (409, "short-pick")
    unpacked = shop.warehouse.send("POST", f"/slips/{wanted[0]}/dispatch")
    assert says(unpacked) == (409, "not-packed")
    for order in orders:
        order.cancel()
