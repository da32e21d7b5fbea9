"""Putting products and prices: whose, all or nothing at first sight, and published in few events."""

from __future__ import annotations

import pytest

from catalog.model import NoSuchProduct, NotYourMerchant, Overtaken, Product, TooManyPrices, UnknownProducts
from catalog.service import CHUNK_BYTES, Written, product, put_prices, put_products
from commerce.clock import FixedClock
from commerce.errors import Invalid
from tests.unit.catalog.fakes import NOW, Shelves, described, entries, price

pytestmark = pytest.mark.unit

CLOCK = FixedClock(NOW)


def filled(*skus: str, merchant: str = "mer_a", owner: str = "ann") -> Shelves:
    shelves = Shelves()
    put_products(shelves, CLOCK, owner, [described(sku, merchant) for sku in skus])
    return shelves


def test_a_product_without_prices_is_stored_and_not_published() -> None:
    shelves = filled("A")
    assert shelves.products["A"].description.title == {"en": "Thing A"}
    assert shelves.published == []


def test_prices_are_published_with_what_the_product_says() -> None:
    shelves = filled("A")
    put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(295)), ("A", price(255, quantity=6))))
    (event,) = shelves.published
    (offer,) = event.offers
    assert (offer.sku, offer.currency, offer.merchant_id, offer.listed) == ("A", "GBP", "mer_a", True)
    assert [(one.min_quantity, one.unit_price) for one in offer.prices] == [(1, 295), (6, 255)]
    assert offer.version == shelves.products["A"].version


def test_a_delisted_product_is_published_in_every_currency() -> None:
    shelves = filled("A")
    put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(295))))
    put_prices(shelves, CLOCK, "ann", "CNY", entries(("A", price(2600))))
    put_products(shelves, CLOCK, "ann", [described("A", listed=False)])
    offers = shelves.published[-1].offers
    assert {(one.currency, one.listed) for one in offers} == {("GBP", False), ("CNY", False)}
    with pytest.raises(NoSuchProduct):
        product(shelves, "A")


def test_the_same_call_again_publishes_again_in_a_newer_version() -> None:
    shelves = filled("A")
    for _ in range(2):
        put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(295))))
    first, second = shelves.published
    assert first.offers[0].prices == second.offers[0].prices
    assert first.offers[0].version < second.offers[0].version


def test_many_products_are_few_events_and_few_reads() -> None:
    shelves = filled(*(f"S{n}" for n in range(100)))
    shelves.reads = []
    put_prices(shelves, CLOCK, "ann", "GBP", entries(*((f"S{n}", price(n)) for n in range(100))))
    assert [len(event.offers) for event in shelves.published] == [50, 50]
    assert shelves.reads == [100]


def test_an_event_is_no_larger_than_a_message() -> None:
    skus = [f"S{n}" for n in range(20)]
    shelves = filled(*skus)
    lists = [price(n, quantity=n + 1) for n in range(200)]
    for sku in skus:
        put_prices(shelves, CLOCK, "ann", "GBP", entries(*((sku, one) for one in lists)))
    shelves.published = []
    put_products(shelves, CLOCK, "ann", [described(sku) for sku in skus])
    sizes = [len(event.model_dump_json().encode()) for event in shelves.published]
    assert len(sizes) > 1
    assert all(size <= CHUNK_BYTES + 1000 for size in sizes)
    assert sum(len(event.offers) for event in shelves.published) == 20


def test_a_merchant_belongs_to_who_came_first() -> None:
    shelves = filled("A")
    with pytest.raises(NotYourMerchant) as refused:
        put_products(shelves, CLOCK, "bob", [described("B", "mer_b"), described("C", "mer_a")])
    assert [one.field for one in refused.value.fields] == ["products.1.merchant_id"]
    assert shelves.merchants == {"mer_a": "ann"}
    assert set(shelves.products) == {"A"}


def test_a_product_cannot_be_taken_over() -> None:
    shelves = filled("A")
    with pytest.raises(NotYourMerchant) as refused:
        put_products(shelves, CLOCK, "bob", [described("A", "mer_b")])
    assert [one.field for one in refused.value.fields] == ["products.0.sku"]
    with pytest.raises(NotYourMerchant):
        put_prices(shelves, CLOCK, "bob", "GBP", entries(("A", price(1))))
    assert shelves.published == []


def test_who_acts_for_two_merchants_may_move_a_product() -> None:
    shelves = filled("A")
    put_products(shelves, CLOCK, "ann", [described("A", "mer_b")])
    assert shelves.products["A"].description.merchant_id == "mer_b"


def test_a_merchant_claimed_at_the_same_moment_is_refused() -> None:
    class Slower(Shelves):
        def own(self, merchant: str, subject: str) -> str:
            return "bob"

    shelves = Slower()
    with pytest.raises(NotYourMerchant):
        put_products(shelves, CLOCK, "ann", [described("A")])
    assert shelves.products == {}


def test_unknown_products_are_named_and_nothing_is_written() -> None:
    shelves = filled("A")
    with pytest.raises(UnknownProducts) as refused:
        put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(1)), ("X", price(2)), ("Y", price(3))))
    assert [one.field for one in refused.value.fields] == ["entries.1.sku", "entries.2.sku"]
    assert shelves.products["A"].prices == {}


def test_what_is_given_twice_is_named() -> None:
    shelves = filled("A")
    with pytest.raises(Invalid) as refused:
        put_products(shelves, CLOCK, "ann", [described("A"), described("B"), described("A")])
    assert [one.field for one in refused.value.fields] == ["products.0.sku"]
    with pytest.raises(Invalid) as refused:
        put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(1)), ("A", price(2, "other"))))
    assert [one.field for one in refused.value.fields] == ["entries.1"]


def test_too_many_prices_name_the_entry_and_nothing_is_written() -> None:
    shelves = filled("A", "B")
    many = [("B", price(1, quantity=n)) for n in range(1, 502)]
    with pytest.raises(TooManyPrices) as refused:
        put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(1)), *many))
    assert [one.field for one in refused.value.fields] == ["entries.1.sku"]
    assert shelves.products["A"].prices == {}


def test_a_change_in_between_is_kept() -> None:
    shelves = filled("A")
    other = shelves.products["A"].priced("GBP", [price(7, "other")], shelves.products["A"].version + 1000)
    shelves.race = [Written(other, 0, ())]
    put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(295))))
    assert {one.price_list for one in shelves.products["A"].prices["GBP"]} == {"other", "2026-trade"}
    assert shelves.published[-1].offers[0].version == other.version + 1


def test_a_product_taken_in_between_is_refused() -> None:
    shelves = Shelves()
    shelves.merchants["mer_b"] = "bob"
    shelves.race = [Written(Product(described("A", "mer_b"), version=5), 0, ())]
    with pytest.raises(NotYourMerchant):
        put_products(shelves, CLOCK, "ann", [described("A")])
    assert shelves.products["A"].description.merchant_id == "mer_b"


def test_who_is_always_overtaken_is_told_to_come_again() -> None:
    shelves = filled("A")
    shelves.always_overtaken = True
    with pytest.raises(Overtaken) as refused:
        put_prices(shelves, CLOCK, "ann", "GBP", entries(("A", price(1))))
    assert refused.value.status == 503
