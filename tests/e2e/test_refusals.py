"""What POST /orders refuses, each with the field at fault, and that nothing is stored; and its Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.e2e.support import GB, LONDON, Goods, Person, Platform, Shop, fault, order_body, says
from tools.client import new_key

pytestmark = pytest.mark.e2e

Body = dict[str, Any]
Spoil = Callable[[Body], Body]


@pytest.fixture(scope="module")
def refused(platform: Platform) -> Person:
    """A customer who never gets an order."""
    return platform.customer()


@pytest.fixture(scope="module")
def goods(platform: Platform) -> list[Goods]:
    return Shop(platform).goods({GB: 10}, {GB: 10})


@pytest.fixture(scope="module")
def unlisted(platform: Platform) -> Goods:
    found = Goods(f"U{platform.run}", 500)
    platform.put_products([found], listed=False)
    platform.await_offers([found], code="unlisted")
    return found


def line(**changes: Any) -> Spoil:
    return lambda body: {**body, "lines": [body["lines"][0] | changes, *body["lines"][1:]]}


def address(*without: str, **changes: Any) -> Spoil:
    given = {name: value for name, value in LONDON.items() if name not in without} | changes
    return lambda body: {**body, "address": given}


def with_(**changes: Any) -> Spoil:
    return lambda body: body | changes


def without(name: str) -> Spoil:
    return lambda body: {key: value for key, value in body.items() if key != name}


NEW_YORK = {"country": "US", "lines": ["350 Fifth Avenue"], "city": "New York", "region": "NY", "postal_code": "10118"}
TOKYO = {"country": "JP", "lines": ["1-1 Chiyoda"], "region": "東京都", "postal_code": "100-8111"}

REFUSALS: dict[str, tuple[Spoil, str]] = {
    "no lines": (with_(lines=[]), "lines"),
    "lines missing": (without("lines"), "lines"),
    "too many lines": (lambda body: {**body, "lines": body["lines"][:1] * 1001}, "lines"),
    "a product twice": (lambda body: {**body, "lines": [*body["lines"], body["lines"][0]]}, "lines.2.sku"),
    "quantity of nothing": (line(quantity=0), "lines.0.quantity"),
    "a negative quantity": (line(quantity=-1), "lines.0.quantity"),
    "too large a quantity": (line(quantity=10_001), "lines.0.quantity"),
    "a quantity that is a text": (line(quantity="2"), "lines.0.quantity"),
    "a quantity in parts": (line(quantity=1.5), "lines.0.quantity"),
    "an unknown product": (line(sku="NO-SUCH-SKU"), "lines.0.sku"),
    "a product that is no word": (line(sku="Robert'); DROP"), "lines.0.sku"),
    "a lower price": (line(unit_price=1), "lines.0.unit_price"),
    "a negative price": (line(unit_price=-1), "lines.0.unit_price"),
    "an unknown field of a line": (line(discount=100), "lines.0.discount"),
    "a currency that it is not sold in": (with_(currency="EUR"), "lines.0.sku"),
    "no currency": (without("currency"), "currency"),
    "what is no currency": (with_(currency="gbp"), "currency"),
    "a price list that there is not": (with_(price_list="2011-12-31-trade"), "price_list"),
    "no address": (without("address"), "address"),
    "an empty address": (with_(address={}), "address.country"),
    "an unknown country": (address(country="XX"), "address.country"),
    "no street": (address("lines"), "address.lines"),
    "no city": (address("city"), "address.city"),
    "no postal code": (address("postal_code"), "address.postal_code"),
    "another country's postal code": (address(postal_code="10118"), "address.postal_code"),
    "a country whose rules it breaks": (address(country="US"), "address.region"),
    "a region that there is not": (with_(address=NEW_YORK | {"region": "Bavaria"}), "address.region"),
    "another region's postal code": (with_(address=NEW_YORK | {"region": "CA"}), "address.postal_code"),
    "a Japanese postal code that is none": (with_(address=TOKYO | {"postal_code": "1"}), "address.postal_code"),
    "a street that is no text": (address(lines=[7]), "address.lines.0"),
    "no contact": (without("contact"), "contact"),
    "no name": (with_(contact={}), "contact.name"),
    "no mail address": (with_(contact={"name": "Ada", "email": "ada at example.com"}), "contact.email"),
    "what is no time zone": (with_(time_zone="Moon/Base 1"), "time_zone"),
    "what is no locale": (with_(locale="English!"), "locale"),
    "a way of sending that there is not": (with_(shipping={"method": "owl"}), "shipping.method"),
    "an unknown field": (with_(coupon="FREE"), "coupon"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_order_that_breaks_a_rule_is_refused_and_nothing_is_stored(
    what: str, refused: Person, goods: list[Goods], shop: Shop
) -> None:
    spoil, field = REFUSALS[what]
    key = new_key()
    body = order_body([(one, 1) for one in goods])
    answer = refused.api.send("POST", "/orders", spoil(body), key=key)
    assert answer.status == 422, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in [error["field"] for error in answer.body["errors"]], answer.body
    assert refused.api.ask("GET", "/orders")["orders"] == []
    assert shop.stock(goods[0].sku)[GB]["on_hand"] == 10


def test_every_field_at_fault_is_named_at_once(refused: Person, goods: list[Goods]) -> None:
    body = line(unit_price=1)(address("city")(order_body([(one, 1) for one in goods])))
    body["lines"].append({"sku": "NO-SUCH-SKU", "quantity": 1, "unit_price": 1})
    answer = refused.api.send("POST", "/orders", body, key=new_key())
    assert {error["field"] for error in answer.body["errors"]} == {
        *("address.city", "lines.0.unit_price", "lines.2.sku")
    }


def test_an_unlisted_product_is_refused(refused: Person, unlisted: Goods) -> None:
    answer = refused.api.send("POST", "/orders", order_body([(unlisted, 1)]), key=new_key())
    assert fault(answer) == (422, "lines.0.sku")
    assert answer.body["errors"][0]["code"] == "unlisted"


def test_a_guest_has_to_say_where_mail_reaches_him(platform: Platform, goods: list[Goods]) -> None:
    answer = platform.api.send("POST", "/guest/orders", order_body([(goods[0], 1)]), key=new_key())
    assert fault(answer) == (422, "contact.email")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"order"', b"\xff"])
def test_what_cannot_be_read_is_refused(refused: Person, body: bytes) -> None:
    answer = refused.api.send("POST", "/orders", body, key=new_key())
    assert says(answer) == (400, "malformed")


def test_too_long_a_body_is_refused(refused: Person, goods: list[Goods]) -> None:
    body = order_body([(goods[0], 1)], contact={"name": "x" * 300_000})
    assert refused.api.send("POST", "/orders", body, key=new_key()).status == 413


def test_an_order_needs_an_idempotency_key(refused: Person, goods: list[Goods]) -> None:
    body = order_body([(goods[0], 1)])
    missing = refused.api.send("POST", "/orders", body)
    assert says(missing) == (400, "idempotency-key-missing")
    for bad in ("", "two words", "x" * 256):
        assert refused.api.send("POST", "/orders", body, key=bad).status == 400, bad
    assert refused.api.ask("GET", "/orders")["orders"] == []


@pytest.mark.parametrize("given", [NEW_YORK, TOKYO, LONDON | {"postal_code": "sw1y 4jh"}], ids=["US", "JP", "GB"])
def test_addresses_of_many_countries_are_taken(shop: Shop, given: dict[str, Any]) -> None:
    (one,) = shop.goods({GB: 1})
    order = shop.place((one, 1), address=given)
    shown = order.show()["address"]
    assert (shown["country"], shown["postal_code"]) == (given["country"], given["postal_code"].upper())
    order.cancel()


def test_the_same_key_with_another_body_is_refused(shop: Shop) -> None:
    (one,) = shop.goods({GB: 5})
    key = new_key()
    order = shop.place((one, 1), key=key)
    again = shop.place((one, 1), key=key)
    assert again.number == order.number
    for body in (order_body([(one, 2)]), order_body([(one, 1)], time_zone="Europe/Paris")):
        answer = shop.platform.english.api.send("POST", "/orders", body, key=key)
        assert says(answer) == (422, "idempotency-conflict")
    others = shop.place((one, 1), buyer=shop.platform.chinese, key=key)
    assert others.number != order.number, "a key is its buyer's own"


def test_the_same_key_is_the_same_order_after_it_is_cancelled(shop: Shop) -> None:
    (one,) = shop.goods({GB: 1})
    key = new_key()
    order = shop.place((one, 1), key=key)
    order.cancel()
    shop.wait(order, "cancelled")
    assert shop.place((one, 1), key=key).number == order.number
    changed = shop.platform.english.api.send("POST", "/orders", order_body([(one, 9)]), key=key)
    assert changed.status == 422


def test_eight_at_once_with_the_same_key_make_one_order(shop: Shop) -> None:
    (one,) = shop.goods({GB: 20})
    buyer = shop.platform.customer()
    key, body, together = new_key(), order_body([(one, 2)]), Barrier(8)

    def post(_: int) -> Any:
        together.wait(30)
        return buyer.api.send("POST", "/orders", body, key=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert [answer.status for answer in answers] == [202] * 8, answers
    assert len({answer.body["number"] for answer in answers}) == 1
    assert len(buyer.api.ask("GET", "/orders")["orders"]) == 1
    shop.await_level(one, GB, on_hand=18, reserved=2)
