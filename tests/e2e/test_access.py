"""Who may call what: every route of the route table, by everybody who may not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from commerce.access import GROUPS, ROUTES, Route
from commerce.ids import mint_order_number
from tests.e2e.support import GB, Platform, Shop, says
from tools.client import Answer, Api, PlacedOrder, new_key

pytestmark = pytest.mark.e2e

SIGNED_IN = {key: route for key, route in ROUTES.items() if route.signed_in}
OF_GUESTS = [key for key, route in ROUTES.items() if route.open_to == "order-token"]
OF_BUYERS = [key for key in SIGNED_IN if re.match(r"\w+ /orders/{number}", key) and not key.endswith("/claim")]
BAD_TOKENS = ("v1.e30.AAAA", "v2.a.b", "x" * 2000, "")


def call(api: Api, key: str, number: str = "", **options: Any) -> Answer:
    """Call a route about an order (one that there is not, unless given)."""
    method, path = key.split(" ")
    number = number or mint_order_number(datetime.now(UTC))
    fillings = {"number": number, "id": f"{number}-1", "sku": "none", "name": "none-dlq", "provider": "sandbox"}
    body = options.pop("body", {} if method in ("POST", "PUT") else None)
    return api.send(method, path.format(**fillings), body, key=new_key(), **options)


@pytest.mark.parametrize("key", SIGNED_IN)
def test_nobody_calls_without_a_sign_in(platform: Platform, key: str) -> None:
    token = platform.english.api.token
    head, claims, mac = token.split(".")
    forged = f"{head}.{claims}.{mac[:-8]}{'A' * 8}"
    for bad in (platform.api, platform.api.signed_in("nonsense"), platform.api.signed_in(forged)):
        assert call(bad, key).status == 401


@pytest.mark.parametrize(("key", "route"), SIGNED_IN.items())
def test_only_the_routes_groups_are_let_in(platform: Platform, victim: Victim, key: str, route: Route) -> None:
    proof = {"Order-Token": victim.strangers.token} if key.endswith("/claim") else None
    for group in GROUPS:
        answer = call(platform.staff[group], key, headers=proof)
        if group in route.groups:
            assert answer.status not in (401, 403, 500), (group, answer)
        else:
            assert says(answer) == (403, "forbidden"), (group, answer)
    # Whoever signs up is a customer without being given a group.
    assert (call(platform.nobody, key, headers=proof).status == 403) == ("customer" not in route.groups)


@dataclasses.dataclass(frozen=True)
class Victim:
    """A paid order of a customer and one of a guest, and a stranger's own order."""

    order: PlacedOrder
    guest: PlacedOrder
    strangers: PlacedOrder


@pytest.fixture(scope="module")
def victim(platform: Platform) -> Iterator[Victim]:
    shop = Shop(platform)
    (goods,) = shop.goods({GB: 3})
    order, guest = shop.place((goods, 1)), shop.guest((goods, 1))
    strangers = shop.guest((goods, 1))
    for one in (order, guest, strangers):
        shop.pay(one)
        shop.slips(one)
    yield Victim(order, guest, strangers)
    for one in (order, guest, strangers):
        one.cancel()


def paying(key: str, token: str) -> dict[str, Any]:
    return {"body": {"provider": "sandbox", "order_token": token}} if key.endswith("POST /payments") else {}


@pytest.mark.parametrize("key", OF_BUYERS)
def test_a_customer_meets_nothing_of_anothers_order(platform: Platform, victim: Victim, key: str) -> None:
    stranger = platform.chinese.api
    method, path = key.split(" ")
    body = (
        {"provider": "sandbox", "order_token": victim.order.token} if key == "POST /orders/{number}/payments" else None
    )
    for number in (victim.order.number, victim.guest.number):
        answer = stranger.send(method, path.format(number=number), body, key=new_key())
        assert answer.status == 404, answer
        with_his_own = stranger.send(
            method,
            path.format(number=number),
            body and {**body, "order_token": victim.strangers.token},
            key=new_key(),
            headers={"Order-Token": victim.strangers.token},
        )
        assert with_his_own.status == 404, with_his_own
    there_is_none = stranger.send(method, path.format(number=mint_order_number(datetime.now(UTC))), body, key=new_key())
    seen = stranger.send(method, path.format(number=victim.order.number), body, key=new_key())
    assert seen.body["type"] == there_is_none.body["type"], "whether an order exists is told"
    assert victim.order.status == "paid"


@pytest.mark.parametrize("key", OF_GUESTS)
def test_a_guest_needs_the_token_of_the_very_order(platform: Platform, victim: Victim, key: str) -> None:
    method, path = key.split(" ")
    path = path.format(number=victim.guest.number)
    body = {"provider": "sandbox"} if method == "POST" and key.endswith("/payments") else None
    without = platform.api.send(method, path, body, key=new_key())
    assert without.status == 401, without
    for bad in BAD_TOKENS:
        answer = platform.api.send(method, path, body, key=new_key(), headers={"Order-Token": bad})
        assert answer.status == 401, (bad, answer)
    for other in (victim.strangers.token, victim.order.token):
        answer = platform.api.send(method, path, body, key=new_key(), headers={"Order-Token": other})
        assert answer.status == 404, answer
    assert victim.guest.status == "paid"


def test_a_token_is_the_buyers_and_there_while_it_is_to_be_paid(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order, platform = shop.place((goods, 1)), shop.platform
    path = f"/orders/{order.number}"
    for group in ("support", "ops"):
        shown = platform.staff[group].ask("GET", path)
        assert shown["number"] == order.number
        assert "order_token" not in shown
    assert platform.english.api.ask("GET", path)["order_token"]
    shop.pay(order)
    shop.wait(order, "paid")
    assert "order_token" not in platform.english.api.ask("GET", path)


def test_a_merchant_does_not_change_anothers_products(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    rival = shop.platform.sign_in("rival", ["merchant"])
    product = {
        "sku": goods.sku,
        "merchant_id": "mer_rival" + shop.platform.run,
        "title": {"en": "Mine now"},
        "tax_rate_bp": 0,
        "tax_inclusive": True,
    }
    for body in ({**product}, {**product, "merchant_id": shop.platform.merchant}):
        assert rival.send("PUT", "/catalog/products", {"products": [body]}).status == 403


def test_what_is_open_is_open(platform: Platform) -> None:
    assert platform.api.send("GET", "/health").status == 200
    described = platform.api.ask("GET", "/openapi.json")
    paths = {f"{method.upper()} {path}" for path, of in described["paths"].items() for method in of}
    assert paths == set(ROUTES)
    reference = platform.api.send("GET", "/reference")
    assert reference.status == 200
    assert "html" in reference.headers["content-type"]
    assert platform.api.send("GET", "/nothing").status == 404
    listed = platform.api.ask("GET", "/catalog/products", query={"limit": "5"})["products"]
    assert len(listed) == 5
    shown = platform.api.ask("GET", f"/catalog/products/{listed[0]['sku']}")
    assert shown["sku"] == listed[0]["sku"]
