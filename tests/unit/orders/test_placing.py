"""Taking an order: every refusal names its field and stores nothing; a key has one effect for good."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from commerce.clock import FixedClock
from commerce.events import OrderPlaced, Price
from commerce.http import field_errors
from commerce.limits import MOST_PIECES
from orders.contract import PlaceOrder
from orders.model import (
    IdempotencyConflict,
    NumberTaken,
    OrderRefused,
    Pace,
    Status,
    TooManyOrders,
    charge,
)
from orders.service.placing import Desk, place, price_of
from tests.unit.orders.fakes import NOW, PACE, FakeOffers, FakeOrders, FakeVault, body, clock, offer


class Counter:
    """Numbers in turn, as given."""

    def __init__(self, *numbers: str) -> None:
        self.numbers = list(numbers)

    def __call__(self, _now: object) -> str:
        return self.numbers.pop(0)


@pytest.fixture
def desk() -> Desk:
    offers = FakeOffers(offer(), offer("71053", 339), offer("22423", 1095, listed=False))
    return Desk(FakeOrders(), offers, FakeVault(), clock(), timedelta(days=1), PACE)


def fields(error: OrderRefused) -> dict[str, str]:
    return {one.field: one.code for one in error.fields}


def test_an_accepted_order_is_stored_whole_and_told(desk: Desk) -> None:
    order = place(PlaceOrder(**body(("85123A", 6, 255), ("71053", 2, 339))), "cus-1", "key-1", desk)
    assert isinstance(desk.orders, FakeOrders)
    assert (order.total, order.currency, order.status) == (6 * 255 + 2 * 339, "GBP", Status.RECEIVED)
    assert order.due == NOW + timedelta(days=1)
    revision = desk.orders.revision(order.order_id, 1)
    assert [(line.line, line.sku, line.merchant_id) for line in revision.lines] == [
        (1, "85123A", "mer_hearts"),
        (2, "71053", "mer_hearts"),
    ]
    assert revision.lines[0].charges.total == 1530
    assert revision.lines[0].charges.tax == 255
    [told] = desk.orders.told(OrderPlaced)
    assert isinstance(told, OrderPlaced)
    assert (told.order_id, told.total, told.lines) == (order.order_id, order.total, 2)
    assert "Ada" not in told.model_dump_json()


def test_the_same_key_and_body_is_the_same_order_for_good(desk: Desk) -> None:
    first = place(PlaceOrder(**body()), "cus-1", "key-1", desk)
    desk.offers.put(offer(unit_price=999))  # the price has changed meanwhile: still the same order
    assert place(PlaceOrder(**body()), "cus-1", "key-1", desk).order_id == first.order_id
    assert isinstance(desk.orders, FakeOrders)
    assert len(desk.orders.headers) == len(desk.orders.told(OrderPlaced)) == 1


def test_the_same_key_with_another_body_is_refused(desk: Desk) -> None:
    place(PlaceOrder(**body()), "cus-1", "key-1", desk)
    with pytest.raises(IdempotencyConflict):
        place(PlaceOrder(**body(("85123A", 7, 255))), "cus-1", "key-1", desk)


def test_keys_of_two_buyers_do_not_meet(desk: Desk) -> None:
    one = place(PlaceOrder(**body()), "cus-1", "key-1", desk)
    other = place(PlaceOrder(**body(("85123A", 7, 255))), "cus-2", "key-1", desk)
    assert one.order_id != other.order_id


def test_two_requests_with_one_key_at_once_make_one_order(desk: Desk) -> None:
    class Blind(FakeOrders):
        def key_used(self, key: object) -> None:
            return None

    raced = Desk(Blind(), desk.offers, desk.vault, desk.clock, desk.window, PACE)
    first = place(PlaceOrder(**body()), "cus-1", "key-1", raced)
    assert place(PlaceOrder(**body()), "cus-1", "key-1", raced).order_id == first.order_id
    with pytest.raises(IdempotencyConflict):
        place(PlaceOrder(**body(("85123A", 7, 255))), "cus-1", "key-1", raced)


def test_a_number_drawn_twice_is_minted_again(desk: Desk) -> None:
    drawn = Counter("06064G0YZZ40", "06064G0YZZ40", "0606TTTTTTT0")
    twice = Desk(desk.orders, desk.offers, desk.vault, desk.clock, desk.window, PACE, drawn)
    place(PlaceOrder(**body()), "cus-1", "key-1", twice)
    assert place(PlaceOrder(**body()), "cus-1", "key-2", twice).order_id == "0606TTTTTTT0"
    always = Desk(desk.orders, desk.offers, desk.vault, desk.clock, desk.window, PACE, lambda _: "06064G0YZZ40")
    with pytest.raises(NumberTaken):
        place(PlaceOrder(**body()), "cus-1", "key-3", always)


@pytest.mark.parametrize(
    ("changes", "lines", "field", "code"),
    [
        ({}, [("85123A", 6, 254)], "lines.0.unit_price", "not-the-price"),
        ({}, [("85123A", 6, 255), ("99999", 1, 100)], "lines.1.sku", "unknown"),
        ({}, [("22423", 1, 1095)], "lines.0.sku", "unlisted"),
        ({}, [("85123A", 1, 255), ("71053", 1, 339), ("85123A", 2, 255)], "lines.2.sku", "duplicate"),
        ({"currency": "CNY"}, [("85123A", 6, 255)], "lines.0.sku", "unknown"),
        ({"price_list": "2012-01-01-trade"}, [("85123A", 6, 255)], "price_list", "unknown"),
        (
            {"address": {"country": "GB", "lines": ["1 High St"], "city": "London"}},
            [],
            "address.postal_code",
            "required",
        ),
        (
            {"address": {"country": "GB", "lines": ["1 High St"], "city": "London", "postal_code": "75001"}},
            [],
            "address.postal_code",
            "pattern",
        ),
        ({"address": {"country": "XX", "lines": ["1 High St"]}}, [], "address.country", "unknown"),
        ({"contact": {"name": "Ada"}}, [], "contact.email", "required"),
    ],
)
def test_each_refusal_names_its_field_and_stores_nothing(
    desk: Desk, changes: dict[str, Any], lines: list[tuple[str, int, int]], field: str, code: str
) -> None:
    with pytest.raises(OrderRefused) as refused:
        place(PlaceOrder(**body(*lines, **changes)), "", "key-1", desk)
    assert fields(refused.value)[field] == code
    assert isinstance(desk.orders, FakeOrders)
    assert isinstance(desk.vault, FakeVault)
    assert not desk.orders.headers
    assert not desk.orders.keys
    assert not desk.orders.events
    assert not desk.vault.cards


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "85123A", "quantity": 0, "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "85123A", "quantity": -6, "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "85123A", "quantity": MOST_PIECES + 1, "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "85123A", "quantity": 1.5, "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "85123A", "quantity": True, "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "85123A", "quantity": "6", "unit_price": 255}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "../etc", "quantity": 6, "unit_price": 255}]}, "lines.0.sku"),
        ({"lines": [{"sku": "85123A", "quantity": 6, "unit_price": -1}]}, "lines.0.unit_price"),
        ({"lines": [{"sku": "85123A", "quantity": 6}]}, "lines.0.unit_price"),
        ({"currency": "gbp"}, "currency"),
        ({"contact": {"name": "Ada", "email": "ada@example.com\r\nBcc: all@example.com"}}, "contact.email"),
        ({"contact": {"name": "A\x00da", "email": "ada@example.com"}}, "contact.name"),
        ({"total": 1}, "total"),
        ({"shipping": {"method": "teleport"}}, "shipping.method"),
    ],
)
def test_what_the_contract_refuses_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PlaceOrder(**body(**changes))
    assert field in [one.field for one in field_errors(refused.value)]


def test_a_customer_with_a_contact_card_needs_no_address_for_mail(desk: Desk) -> None:
    assert isinstance(desk.vault, FakeVault)
    desk.vault.cards["cus-1"] = {"email": "ada@example.com"}
    order = place(PlaceOrder(**body(contact={"name": "Ada"})), "cus-1", "key-1", desk)
    assert order.customer_id == order.buyer == "cus-1"


def test_a_guest_gets_an_identity_of_his_own(desk: Desk) -> None:
    order = place(PlaceOrder(**body()), "", "key-1", desk)
    assert order.customer_id == ""
    assert order.buyer.startswith("guest_")
    assert isinstance(desk.vault, FakeVault)
    assert desk.vault.cards[order.buyer]["email"] == "ada@example.com"


def price(price_list: str, start: str, min_quantity: int, unit_price: int, until: str = "2027") -> Price:
    end = f"{until}-01-01T00:00:00.000Z"
    return Price(
        price_list=price_list,
        valid_from=f"{start}T00:00:00.000Z",
        valid_until=end,
        min_quantity=min_quantity,
        unit_price=unit_price,
    )


def test_price_of_takes_the_list_named_and_its_quantity_break() -> None:
    prices = [
        price("march", "2011-03-01", 1, 295),
        price("march", "2011-03-01", 24, 255),
        price("april", "2011-04-01", 1, 325),
        price("gone", "2010-01-01", 1, 1, until="2011"),
        price("future", "2026-12-01", 1, 2),
    ]
    goods = offer(prices=prices)
    assert price_of(goods, 23, "march", NOW) == 295
    assert price_of(goods, 24, "march", NOW) == 255
    assert price_of(goods, 100, None, NOW) == 325
    assert price_of(goods, 1, "gone", NOW) is None
    assert price_of(goods, 1, "future", NOW) is None


@pytest.mark.parametrize(
    ("item", "rate", "inclusive", "tax", "total"),
    [(1530, 2000, True, 255, 1530), (1530, 2000, False, 306, 1836), (5, 1000, False, 0, 5), (15, 1000, False, 2, 17)],
)
def test_charges_sum_and_tax_rounds_half_to_even(item: int, rate: int, inclusive: bool, tax: int, total: int) -> None:
    charges = charge(1, item, rate, tax_inclusive=inclusive)
    assert (charges.tax, charges.total) == (tax, total)


# ---- how many orders a buyer may place -----------------------------------------------------------------------------


def paced(desk: Desk, at: datetime = NOW) -> Desk:
    return replace(desk, pace=Pace(3, timedelta(minutes=10)), clock=FixedClock(at))


def test_a_buyer_s_window_is_full_at_its_bound_and_says_when_the_next_begins(desk: Desk) -> None:
    early = paced(desk, NOW + timedelta(minutes=7, milliseconds=1))
    for n in range(3):
        place(PlaceOrder(**body()), "cus-1", f"key-{n}", early)
    with pytest.raises(TooManyOrders) as refused:
        place(PlaceOrder(**body()), "cus-1", "key-3", early)
    assert (refused.value.status, refused.value.headers()) == (429, {"Retry-After": "180"})
    assert isinstance(desk.orders, FakeOrders)
    assert len(desk.orders.headers) == len(desk.orders.told(OrderPlaced)) == 3
    place(PlaceOrder(**body()), "cus-2", "key-3", early)
    place(PlaceOrder(**body()), "cus-1", "key-3", paced(desk, NOW + timedelta(minutes=10)))


def test_the_same_key_is_the_same_order_though_the_window_is_full(desk: Desk) -> None:
    orders = [place(PlaceOrder(**body()), "cus-1", f"key-{n}", paced(desk)) for n in range(3)]
    again = [place(PlaceOrder(**body()), "cus-1", f"key-{n}", paced(desk)) for n in range(3)]
    assert [one.order_id for one in again] == [one.order_id for one in orders]


def test_a_refused_order_does_not_count(desk: Desk) -> None:
    for n in range(9):
        with pytest.raises(OrderRefused):
            place(PlaceOrder(**body(("85123A", 6, 1))), "cus-1", f"bad-{n}", paced(desk))
    for n in range(3):
        place(PlaceOrder(**body()), "cus-1", f"key-{n}", paced(desk))


def test_a_guest_is_counted_by_his_mail_address_of_which_the_count_says_nothing(desk: Desk) -> None:
    def order(address: str, key: str) -> None:
        place(PlaceOrder(**body(contact={"name": "Gast", "email": address})), "", key, paced(desk))

    for n in range(3):
        order(("ada@example.com", "Ada@Example.com", "ADA@EXAMPLE.COM")[n], f"key-{n}")
    with pytest.raises(TooManyOrders):
        order("ada@example.com", "key-3")
    order("grace@example.com", "key-4")
    assert isinstance(desk.orders, FakeOrders)
    assert all(re.fullmatch(r"guest-[0-9a-f]{5}", buyer) for buyer, _ in desk.orders.placed)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(1, 10**6))
def test_windows_follow_one_another(moment: datetime, seconds: int) -> None:
    now, pace = moment.replace(tzinfo=UTC), Pace(1, timedelta(seconds=seconds))
    since = pace.since(now)
    assert since <= now < since + pace.window
    assert pace.since(since) == pace.since(since + pace.window - timedelta(microseconds=1)) == since
