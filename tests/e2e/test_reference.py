"""The deployed API keeps to the document that it serves: no server error, every answer as it says, whoever calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commerce.access import GROUPS, ROUTES
from commerce.clock import rfc3339
from tests.conformance import Conformance, Headers, Known
from tests.e2e.support import GB, LONDON, Goods, Platform, Shop, order_body, until
from tests.fuzz.hostile import EXAMPLES
from tools.client import Api, PlacedOrder, new_key

pytestmark = pytest.mark.e2e

USUALLY = 6
"""Calls of a route in the document's terms in a usual run, and as many against them."""

OPEN_DLQ = "orders-offers-dlq"
"""A dead-letter queue that no other test has anything in."""


@dataclass(frozen=True)
class There:
    """What there is for calls to be about: orders of a customer and of guests, and what belongs to them.

    Attributes
    ----------
    orders
        ``paid``, ``new`` and ``short`` (they wait for stock) -> the customer's and a guest's.
    """

    buyer: Headers
    orders: Mapping[str, tuple[PlacedOrder, PlacedOrder]]
    goods: Goods
    values: Mapping[str, list[Any]]

    def order(self, route: str) -> PlacedOrder:
        """Return the order that calls of a route are about."""
        end = route.rpartition("/")[2]
        kind = {"POST cancel": "new", "POST claim": "short", "POST payments": "short"}.get(
            f"{route.split()[0]} {end}", "paid"
        )
        return self.orders[kind]["/guest" in route or end == "claim"]


@pytest.fixture(scope="module")
def conformance(platform: Platform) -> Conformance:
    return Conformance(platform.api.ask("GET", "/openapi.json"), platform.api.http)


@pytest.fixture(scope="module")
def there(platform: Platform) -> Iterator[There]:
    shop = Shop(platform)
    person = platform.customer()
    (goods, short) = shop.goods({GB: 10_000}, {GB: 1})
    wants = {"paid": (goods, 1), "new": (goods, 1), "short": (short, 5)}
    orders = {kind: (shop.place(want, buyer=person), shop.guest(want)) for kind, want in wants.items()}
    for one in orders["paid"]:
        shop.pay(one)
    slips = [slip["id"] for one in orders["paid"] for slip in shop.slips(one)]
    for one in orders["short"]:
        shop.wait(one, "awaiting_stock")
    merchant = platform.staff["merchant"]
    replenishments = until(
        lambda: list(every_replenishment(merchant)),
        lambda found: any(one["sku"] == short.sku for one in found),
        "a replenishment",
    )
    notices = until(
        lambda: person.api.ask("GET", "/me/notifications")["notices"], lambda found: found, "the buyer to be told"
    )
    values: dict[str, list[Any]] = {
        "sku": [goods.sku],
        "warehouse_id": [GB],
        "warehouse": [GB],
        "provider": ["sandbox"],
        "name": [OPEN_DLQ],
        "currency": ["GBP"],
        "merchant_id": [platform.merchant],
        "slips": slips,
        "replenishments": [one["replenishment_id"] for one in replenishments if one["sku"] == short.sku],
        "notices": [one["id"] for one in notices],
        "catalog": [f"fuzz-{platform.run}"],
    }
    yield There(bearer(person.api.token), orders, goods, values)
    # What was drawn has moved these as it came: that they balance is the audit's to say, not the tests' own count.
    for book in (platform.books.received, platform.books.shipped):
        for row in [row for row in book if row[0] in (goods.sku, short.sku)]:
            del book[row]
    for one in (one for both in orders.values() for one in both):
        one.api.send("POST", f"{one.path}/cancel", key=new_key())


def every_replenishment(api: Api) -> Iterator[dict[str, Any]]:
    """Yield the open replenishments of all pages: other tests have left many."""
    query = {"limit": "100"}
    while query:
        page = api.ask("GET", "/replenishments", query=query)
        yield from page["replenishments"]
        query = {"limit": "100", "cursor": page["next"]} if page["next"] else {}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def callers(platform: Platform, there: There, route: str) -> list[Headers]:
    """Return who calls: each group that the route takes (the buyer more often), one that it does not, and nobody."""
    of, order = ROUTES[route], there.order(route)
    if not of.signed_in:
        token = {"Order-Token": order.token}
        return [token, token, {"Order-Token": there.orders["paid"][0].token}, {"Order-Token": "v1.e30.e30"}, {}]
    right = [bearer(platform.staff[group].token) for group in sorted(of.groups - {"customer"})]
    buyer = {**there.buyer, "Order-Token": order.token} if route.endswith("/claim") else there.buyer
    buyers = [buyer] * 3 if "customer" in of.groups else []
    wrong = next(group for group in GROUPS if group not in of.groups)
    return [*buyers, *right * 2, bearer(platform.staff[wrong].token), bearer("nonsense"), {}]


def known(platform: Platform, there: There, route: str) -> Known:
    """Return real values for a route's parameters and fields, and a body that it takes."""
    now = datetime.now(UTC)
    order = there.order(route)
    kind = {
        "/slips": "slips",
        "/replenishments": "replenishments",
        "/me/notifications": "notices",
        "/catalog": "catalog",
    }
    ids = next((there.values[name] for start, name in kind.items() if route.split(" ")[1].startswith(start)), ["none"])
    values = {**there.values, "id": ids, "number": [order.number], "order_token": [order.token]}
    product = {
        "sku": there.goods.sku, "merchant_id": platform.merchant, "title": {"en": "Fuzzed"}, "tax_rate_bp": 2000,
        "tax_inclusive": True,
    }  # fmt: skip
    contact = {"name": "Ada", "email": f"fuzz.{platform.run}@example.com"}
    placing = order_body([(there.goods, 1)], contact=contact, address=LONDON)
    bodies: dict[str, Any] = {
        "POST /orders": placing,
        "POST /guest/orders": placing,
        "POST /orders/{number}/payments": {"provider": "sandbox", "order_token": order.token},
        "POST /guest/orders/{number}/payments": {"provider": "sandbox"},
        "PUT /me": {**contact, "locale": "en-GB", "time_zone": "Europe/London"},
        "PUT /catalog/products": {"products": [product]},
        "PUT /catalog/price-lists/{id}": {
            "currency": "GBP", "valid_from": rfc3339(now + timedelta(days=100)),
            "valid_until": rfc3339(now + timedelta(days=101)),
            "entries": [{"sku": there.goods.sku, "unit_price": 1}],
        },
        "POST /stock/{sku}/adjustments": {"warehouse_id": GB, "delta": 1, "reason": "counted"},
        "POST /stock/{sku}/shards": {"warehouse_id": GB, "shards": 2},
        "POST /stock/receipts": {"warehouse_id": GB, "lines": [{"sku": there.goods.sku, "quantity": 1}]},
        "POST /replenishments/{id}/receipts": {"quantity": 1},
    }  # fmt: skip
    query = {"warehouse": GB} if route == "GET /slips" else {}
    return Known(values, query, bodies.get(route))


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_is_as_the_document_says(
    platform: Platform, conformance: Conformance, there: There, route: str
) -> None:
    who = callers(platform, there, route)
    about = known(platform, there, route)
    conformance.check(route, who, about, EXAMPLES or USUALLY, random=bool(EXAMPLES))


def test_not_only_refusals_were_seen(conformance: Conformance) -> None:
    good = {route for route, status in conformance.seen if status < 300}
    # Nobody here signs callbacks or has a parcel to accept, and a queue with nothing in it may refuse to give back.
    never = {
        "POST /payments/callbacks/{provider}",
        "POST /orders/{number}/accept",
        "POST /guest/orders/{number}/accept",
        "POST /ops/queues/{name}/redrive",
    }
    assert set(ROUTES) - never <= good
