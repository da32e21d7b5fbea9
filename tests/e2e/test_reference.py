"""The deployed API keeps to the document that it serves: no server error, every answer as it says, whoever calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commerce.access import GROUPS, ROUTES
from commerce.clock import rfc3339
from tests.conformance import Conformance, Headers, Known
from tests.e2e.support import GB, LONDON, Goods, Platform, Shop, order_body, until
from tests.fuzz.hostile import EXAMPLES
from tools.client import PlacedOrder, new_key

pytestmark = pytest.mark.e2e

USUALLY = 6
"""Calls of a route in the document's terms in a usual run, and as many against them."""

OPEN_DLQ = "orders-offers-dlq"
"""A dead-letter queue that no other test has anything in."""


@dataclass(frozen=True)
class There:
    """What there is for calls to be about: two orders, one of them a guest's, and what belongs to them."""

    buyer: Headers
    order: PlacedOrder
    guest: PlacedOrder
    goods: Goods
    values: dict[str, list[Any]]


@pytest.fixture(scope="module")
def conformance(platform: Platform) -> Conformance:
    return Conformance(platform.api.ask("GET", "/openapi.json"), platform.api.http)


@pytest.fixture(scope="module")
def there(platform: Platform) -> Iterator[There]:
    shop = Shop(platform)
    person = platform.customer()
    (goods,) = shop.goods({GB: 10_000})
    order, guest = shop.place((goods, 1), buyer=person), shop.guest((goods, 1))
    for one in (order, guest):
        shop.pay(one)
    (slip,), (another,) = shop.slips(order), shop.slips(guest)
    (short,) = shop.goods({GB: 1})
    waiting = shop.place((short, 5), buyer=person)
    shop.wait(waiting, "awaiting_stock")
    merchant = platform.staff["merchant"]
    replenishments = until(
        lambda: merchant.ask("GET", "/replenishments", query={"limit": "100"})["replenishments"],
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
        "slips": [slip["id"], another["id"]],
        "replenishments": [one["replenishment_id"] for one in replenishments if one["sku"] == short.sku],
        "notices": [one["id"] for one in notices],
        "catalog": [f"fuzz-{platform.run}"],
    }
    yield There(bearer(person.api.token), order, guest, goods, values)
    for one in (order, guest, waiting):
        one.api.send("POST", f"{one.path}/cancel", key=new_key())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def callers(platform: Platform, there: There, route: str) -> list[Headers]:
    """Return who calls: each group that the route takes (the buyer more often), one that it does not, and nobody."""
    of = ROUTES[route]
    if not of.signed_in:
        token = {"Order-Token": there.guest.token}
        return [token, token, {"Order-Token": there.order.token}, {"Order-Token": "v1.e30.e30"}, {}]
    right = [bearer(platform.staff[group].token) for group in sorted(of.groups - {"customer"})]
    buyers = [there.buyer] * 3 if "customer" in of.groups else []
    claimed = [{**there.buyer, "Order-Token": there.guest.token}] if route.endswith("/claim") else []
    wrong = next(group for group in GROUPS if group not in of.groups)
    return [*right * 2, *buyers, *claimed, bearer(platform.staff[wrong].token), bearer("nonsense"), {}]


def known(platform: Platform, there: There, route: str) -> Known:
    """Return real values for a route's parameters and fields, and a body that it takes."""
    now = datetime.now(UTC)
    order = there.guest if "/guest" in route else there.order
    kind = {"/slips": "slips", "/replenishments": "replenishments", "/me": "notices", "/catalog": "catalog"}
    ids = next((there.values[name] for start, name in kind.items() if route.split(" ")[1].startswith(start)), [])
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
            "valid_until": rfc3339(now + timedelta(days=101)), "entries": [{"sku": there.goods.sku, "unit_price": 1}],
        },
        "POST /stock/{sku}/adjustments": {"warehouse_id": GB, "delta": 1, "reason": "counted"},
        "POST /stock/receipts": {"warehouse_id": GB, "lines": [{"sku": there.goods.sku, "quantity": 1}]},
        "POST /replenishments/{id}/receipts": {"quantity": 1},
    }  # fmt: skip
    return Known(values, bodies.get(route))


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
    }
    assert set(ROUTES) - never <= good
