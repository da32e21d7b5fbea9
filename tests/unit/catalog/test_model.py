"""Prices: added, replaced, and in force for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.model import CURRENCIES, MOST_PRICES, Product, TooManyPrices, next_version
from commerce.events import OffersPublished
from tests.unit.catalog.fakes import NOW, described, price

pytestmark = pytest.mark.unit


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.integers(0, 999)), max_size=30))
def test_the_last_price_of_a_list_and_quantity_stays(given_prices: list[tuple[str, int, int]]) -> None:
    product = Product(described("S"))
    for version, (price_list, quantity, amount) in enumerate(given_prices, 1):
        product = product.priced("GBP", [price(amount, price_list, quantity)], version)
    expected = {(price_list, quantity): amount for price_list, quantity, amount in given_prices}
    kept = product.prices.get("GBP", ())
    assert {(one.price_list, one.min_quantity): one.unit_price for one in kept} == expected
    assert len(kept) == len(expected)


def test_currencies_are_apart() -> None:
    product = Product(described("S")).priced("GBP", [price(1)], 1).priced("CNY", [price(9)], 2)
    assert [one.unit_price for one in product.offer("GBP").prices] == [1]
    assert [one.unit_price for one in product.offer("CNY").prices] == [9]
    assert product.offer("GBP").version == 2


def test_a_description_keeps_the_prices() -> None:
    product = Product(described("S")).priced("GBP", [price(1)], 1).described(described("S", listed=False), 2)
    assert not product.offer("GBP").listed
    assert product.offer("GBP").prices[0].unit_price == 1


def test_the_most_prices_fit_an_event() -> None:
    longest = [price(10**9, "x" * 60, quantity + 9000) for quantity in range(MOST_PRICES)]
    product = Product(described("S" * 40, "m" * 64)).priced("GBP", longest, 1)
    event = OffersPublished(at="2026-11-23T12:00:00.000Z", offers=[product.offer("GBP")])
    assert len(event.model_dump_json().encode()) < 200_000
    with pytest.raises(TooManyPrices):
        product.priced("CNY", [price(1)], 2)


def test_a_price_holds_from_its_first_moment_to_before_its_last() -> None:
    product = Product(described("S")).priced("GBP", [price(1)], 1)
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    tick = timedelta(milliseconds=1)
    assert product.current(first)
    assert product.current(last - tick)
    assert not product.current(first - tick)
    assert not product.current(last)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)), st.integers(0, 2**42))
def test_versions_grow_whatever_the_clock_says(now: datetime, before: int) -> None:
    assert next_version(now, before) > before
    assert next_version(now, 0) == int(now.timestamp() * 1000)


def test_currencies_are_of_iso_4217() -> None:
    assert {"GBP", "CNY", "JPY", "KWD", "EUR", "USD"} <= CURRENCIES
    assert not {"XXX", "XTS", "XAU", "ABC"} & CURRENCIES
    assert next_version(NOW, 0) == 1795435200000
