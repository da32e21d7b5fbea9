"""The loader: invoices become orders, prices become lists, and all of it can be relied on by a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from commerce import limits
from commerce.address import check_address
from orders.contract import PlaceOrder
from tools.loader import Sample, load_sample
from tools.loader.cancellations import match
from tools.loader.prices import Observation, Rate, infer_entries, unit_price
from tools.loader.retail import Invoice, Line, Row, is_goods
from tools.loader.sample import MERCHANTS, MOST_PIECES, demands, merchant_of, read_rate
from tools.loader.stock import Demand, opening_stock

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def default() -> Sample:
    return load_sample(200)


@pytest.fixture(scope="module")
def whole() -> Sample:
    return load_sample(500)


def row(sku: str = "85123A", quantity: int = 1, pounds: str = "1.25", **fields: str) -> Row:
    return Row(
        invoice=fields.get("invoice", "536365"),
        sku=sku,
        description="A THING",
        quantity=quantity,
        at=fields.get("at", "2011-03-07 10:00:00"),
        pounds=Decimal(pounds),
        customer=fields.get("customer", "17850"),
        country="United Kingdom",
    )


def invoice(*rows: Row) -> Invoice:
    return Invoice(rows[0].invoice, rows)


# invoices


def test_rows_of_one_sku_become_one_line_in_the_place_of_the_first() -> None:
    merged = invoice(row("22423", 2), row("85123A", 1), row("22423", 3)).lines
    assert merged == (Line("22423", 5, 125), Line("85123A", 1, 125))


def test_of_two_prices_the_one_that_most_units_had_is_kept() -> None:
    assert invoice(row(quantity=1, pounds="0.55"), row(quantity=3)).lines == (Line("85123A", 4, 125),)
    assert invoice(row(quantity=2, pounds="1.25"), row(quantity=2, pounds="0.55")).lines == (Line("85123A", 4, 55),)


def test_postage_and_carriage_are_no_lines() -> None:
    assert invoice(row("POST", 3, "18.00"), row()).lines == (Line("85123A", 1, 125),)
    only = invoice(row("DOT", 1, "18.00", customer=""))
    assert only.lines == ()
    assert not only.is_well_formed


def test_rows_that_cannot_be_ordered_stay_as_they_are() -> None:
    bad = invoice(row(quantity=2), row(quantity=-1), row(quantity=4, pounds="0"), row("POST", -1, "18.00"))
    assert bad.lines == (Line("85123A", 2, 125), Line("85123A", -1, 125), Line("85123A", 4, 0), Line("POST", -1, 1800))
    assert not bad.is_well_formed


def test_a_tenth_of_a_penny_is_nothing() -> None:
    assert row(pounds="0.001").pence == 0
    assert row(pounds="0.29").pence == 29
    assert row(pounds="11062.06").pence == 1106206


@pytest.mark.parametrize(("code", "goods"), [
    ("85123A", True), ("10002", True), ("15056BL", True), ("DCGS0076", True), ("DCGSSGIRL", True),
    ("M", False), ("D", False), ("POST", False), ("BANK CHARGES", False), ("GIFT_0001_20", False), ("PADS", False),
    ("C2", False), ("85123ABC", False), ("8512A", False), ("٨٥١٢٣", False),
])  # fmt: skip
def test_products_are_told_from_fees(code: str, *, goods: bool) -> None:
    assert is_goods(code) is goods


def test_channels() -> None:
    assert invoice(row()).channel == "trade"
    assert invoice(row(customer="")).channel == "retail"
    assert invoice(row(customer=""), row("DOT", 1, "5.00", customer="")).channel == "web"


# prices

observations = st.lists(
    st.builds(Observation, st.integers(1, 12), st.integers(1, 5), st.integers(1, 4)),
    min_size=1,
    max_size=7,
    unique_by=lambda seen: (seen.quantity, seen.unit_price),
)


def agreeing(seen: list[Observation]) -> int:
    """Return how many invoices a list agrees with."""
    entries = infer_entries("A", seen)
    return sum(one.invoices for one in seen if unit_price(entries, one.quantity) == one.unit_price)


@given(observations)
@settings(deadline=None)
def test_a_list_agrees_with_as_many_invoices_as_any_list_can(seen: list[Observation]) -> None:
    def possible(some: tuple[Observation, ...]) -> bool:
        ordered = sorted(some, key=lambda one: one.quantity)
        return all(a.quantity < b.quantity and a.unit_price >= b.unit_price for a, b in pairwise(ordered))

    best = max(
        sum(one.invoices for one in some)
        for size in range(1, len(seen) + 1)
        for some in combinations(seen, size)
        if possible(some)
    )
    assert agreeing(seen) == best


@given(observations)
@settings(deadline=None)
def test_prices_fall_with_quantity_and_begin_at_one(seen: list[Observation]) -> None:
    entries = infer_entries("A", seen)
    assert entries[0].min_quantity == 1
    for a, b in pairwise(entries):
        assert a.min_quantity < b.min_quantity
        assert a.unit_price > b.unit_price
    assert infer_entries("A", list(reversed(seen))) == entries
    assert {entry.unit_price for entry in entries} <= {one.unit_price for one in seen}


def test_what_disagrees_gives_way_to_the_commoner() -> None:
    seen = [Observation(6, 255, 3), Observation(6, 295, 1), Observation(32, 210, 2), Observation(40, 255, 1)]
    entries = infer_entries("85123A", seen)
    assert [(entry.min_quantity, entry.unit_price) for entry in entries] == [(1, 255), (32, 210)]
    assert unit_price(entries, 31) == 255
    assert unit_price(entries, 40) == 210
    assert unit_price(entries, 0) is None


def test_pence_become_fen_half_to_even() -> None:
    rate = Rate("2011-06-30", "CNY", Decimal("0.5"))
    assert [rate.convert(pence) for pence in (0, 1, 2, 3, 5)] == [0, 0, 1, 2, 2]
    assert read_rate().date == "2011-06-30"
    assert read_rate().convert(255) == 2639


# cancellations


def test_a_cancellation_of_everything_takes_the_order_back() -> None:
    first, second = invoice(row("22423", 2), row(invoice="1")), invoice(row("22423", 2, invoice="2"))
    back = invoice(row("22423", -2, invoice="C3", at="2011-03-09 10:00:00"))
    found = match([first, second], [back]).found
    assert [(c.number, c.order, c.lines, c.is_whole) for c in found] == [("C3", "2", (("22423", 2),), True)]


def test_a_cancellation_of_less_is_partial_until_nothing_is_left() -> None:
    order = invoice(row("22423", 5), row("85123A", 1))
    backs = [
        invoice(row("22423", -2, invoice="C1", at="2011-03-08 10:00:00")),
        invoice(row("22423", -3, invoice="C2", at="2011-03-09 10:00:00"), row(quantity=-1, invoice="C2")),
        invoice(row("22423", -1, invoice="C3", at="2011-03-10 10:00:00")),
    ]
    matched = match([order], backs)
    assert [(c.number, c.is_whole) for c in matched.found] == [("C1", False), ("C2", True)]
    assert matched.unmatched == {"no such order line": 1}
    assert matched.unmatched_cancellations == 1


def test_what_cannot_be_matched_is_counted_by_reason() -> None:
    order = invoice(row())
    backs = [
        invoice(row(quantity=-1, invoice="C1", customer="")),
        invoice(row("D", -1, invoice="C2")),
        invoice(row(quantity=-1, invoice="C3", at="2011-03-06 10:00:00")),
        invoice(row(quantity=-1, invoice="C4", customer="99999")),
    ]
    matched = match([order], backs)
    assert matched.found == ()
    assert matched.unmatched == {"no customer": 1, "not a product": 1, "no such order line": 2}
    assert matched.unmatched_cancellations == 4


def test_lines_of_one_cancellation_may_belong_to_several_orders() -> None:
    orders = [invoice(row("22423", 2, invoice="1"), row("20725", 9)), invoice(row("85123A", 1, invoice="2"))]
    back = invoice(row("22423", -2, invoice="C3", at="2011-03-09 10:00:00"), row("85123A", -1, invoice="C3"))
    assert [(c.order, c.is_whole) for c in match(orders, [back]).found] == [("1", False), ("2", True)]


a_sku = st.sampled_from(["22423", "85123A", "20725"])
an_order = st.lists(st.builds(row, a_sku, st.integers(1, 4)), min_size=1, max_size=4).map(tuple)
a_cancellation = st.lists(st.builds(row, a_sku, st.integers(-4, -1)), min_size=1, max_size=3).map(tuple)


@given(st.lists(an_order, max_size=4), st.lists(a_cancellation, max_size=4))
@settings(deadline=None)
def test_nothing_is_taken_back_twice(orders: list[tuple[Row, ...]], backs: list[tuple[Row, ...]]) -> None:
    ordered = [Invoice(str(at), rows) for at, rows in enumerate(orders)]
    matched = match(ordered, [Invoice(f"C{at}", rows) for at, rows in enumerate(backs)])
    left = {order.number: Counter({line.sku: line.quantity for line in order.lines}) for order in ordered}
    for found in matched.found:
        left[found.order].subtract(dict(found.lines))
        assert min(left[found.order].values()) >= 0
        assert found.is_whole == (left[found.order].total() == 0)
    lines = sum(len({row.sku for row in rows}) for rows in backs)
    assert sum(len(found.lines) for found in matched.found) + matched.unmatched.get("no such order line", 0) == lines


# stock


def allocate(sample: Sample) -> Counter[str]:
    """Serve the orders one after the other: the nearest warehouse that has all, else several, else none."""
    stock = {(level.sku, level.warehouse): level.quantity for level in sample.stock}
    found: Counter[str] = Counter()
    for order in demands(sample.orders, sample.warehouses):
        units = order.units.items()
        one = next((w for w in order.warehouses if all(stock.get((sku, w), 0) >= n for sku, n in units)), None)
        if one is not None:
            found["one"] += 1
            for sku, quantity in units:
                stock[sku, one] -= quantity
        elif any(sum(stock.get((sku, w), 0) for w in order.warehouses) < n for sku, n in units):
            found["short"] += 1
        else:
            found["split"] += 1
            for sku, quantity in units:
                left = quantity
                for warehouse in order.warehouses:
                    taken = min(left, stock.get((sku, warehouse), 0))
                    stock[sku, warehouse] = stock.get((sku, warehouse), 0) - taken
                    left -= taken
    return found


def test_most_orders_fit_one_warehouse_some_split_and_a_few_are_short(default: Sample) -> None:
    found = allocate(default)
    assert found["one"] >= 0.8 * found.total()
    assert found["split"] >= 10
    assert 2 <= found["short"] <= 8
    assert {level.warehouse for level in default.stock} == {"GB-DAV", "DE-DUI", "CN-YIW"}
    assert all(level.quantity > 0 for level in default.stock)


def test_opening_stock_is_enough_without_trouble() -> None:
    stock = opening_stock([Demand("calm", ("A", "B"), {"x": 4, "y": 1}), Demand("calm", ("B", "A"), {"x": 2})])
    assert {(level.sku, level.warehouse): level.quantity for level in stock} == {
        ("x", "A"): 10, ("y", "A"): 6, ("x", "B"): 7,
    }  # fmt: skip


# the whole


@pytest.mark.parametrize("limit", [200, 500])
def test_at_least_nine_in_ten_well_formed_invoices_are_to_be_accepted(limit: int) -> None:
    orders = load_sample(limit).orders
    well_formed = [order for order in orders if order.is_well_formed]
    assert len(orders) == limit
    assert sum(order.is_accepted for order in well_formed) >= 0.9 * len(well_formed)
    assert not [order for order in orders if order.is_accepted and not order.is_well_formed]


def test_an_accepted_order_agrees_with_what_is_loaded(whole: Sample) -> None:
    lists = {found.id: found for found in whole.price_lists}
    products = {product.sku for product in whole.products}
    for order in whole.orders:
        if not order.is_accepted:
            continue
        prices = lists[order.body["price_list"]]
        entries = defaultdict(list)
        for entry in prices.entries:
            entries[entry.sku].append(entry)
        assert prices.currency == order.body["currency"] == order.buyer.currency
        skus = [line["sku"] for line in order.body["lines"]]
        assert len(skus) == len(set(skus)) > 0
        assert set(skus) <= products
        for line in order.body["lines"]:
            assert unit_price(entries[line["sku"]], line["quantity"]) == line["unit_price"] > 0


def test_a_basket_of_over_500_skus_is_to_be_accepted(default: Sample) -> None:
    assert max(len(order.body["lines"]) for order in default.orders if order.is_accepted) > 500


def test_a_refusal_names_the_fields_at_fault(whole: Sample) -> None:
    refused = {order.invoice: order for order in whole.orders if not order.is_accepted}
    reasons = {fault.reason for order in refused.values() for fault in order.faults}
    assert {"empty", "unknown", "out of range", "not the list's"} <= reasons
    for order in refused.values():
        for fault in order.faults:
            part, *rest = fault.field.split(".")
            if rest:
                line = order.body[part][int(rest[0])]
                in_range = 0 < line["quantity"] <= MOST_PIECES
                assert not in_range if rest[1] == "quantity" else rest[1] in {"sku", "unit_price"}
            else:
                assert part in {"lines", "price_list"}


def test_the_platforms_contract_takes_what_is_to_be_accepted_and_names_what_is_not(whole: Sample) -> None:
    structural = 0
    for order in whole.orders:
        try:
            PlaceOrder.model_validate(dict(order.body))
        except ValidationError as error:
            structural += 1
            named = {".".join(map(str, one["loc"])) for one in error.errors()}
            assert named <= {fault.field for fault in order.faults}
    assert structural >= 10
    assert limits.MOST_PIECES == MOST_PIECES


def test_every_address_passes_its_countrys_rules(whole: Sample) -> None:
    for order in whole.orders:
        stored, errors = check_address(order.body["address"])
        assert errors == [], order.body["address"]
        assert {name: value for name, value in stored.to_dict().items() if value} == dict(order.body["address"])


def test_some_pay_in_yuan_and_are_written_to_in_chinese(default: Sample) -> None:
    chinese = [order for order in default.orders if order.body["currency"] == "CNY"]
    assert len(chinese) >= 10
    assert {order.buyer.language for order in chinese} == {"zh"}
    assert {order.body["address"]["country"] for order in chinese} == {"CN"}
    assert {order.body["time_zone"] for order in chinese} == {"Asia/Shanghai"}
    assert all(order.body["price_list"].endswith("-cny") for order in chinese)


def test_a_customer_is_one_person_with_one_address(whole: Sample) -> None:
    seen: dict[str, object] = {}
    for order in whole.orders:
        assert seen.setdefault(order.buyer.id, order.body["address"]) == order.body["address"]
        assert order.body["contact"]["email"].endswith("@example.com")
    emails = [buyer.contact.email for buyer in whole.customers]
    assert len(emails) == len(set(emails))
    assert not any(buyer.is_guest for buyer in whole.customers)


def test_a_longer_run_begins_with_the_shorter_one(default: Sample, whole: Sample) -> None:
    assert [order.body for order in whole.orders[:200]] == [order.body for order in default.orders]
    assert load_sample(20) == load_sample(20)


def test_customers_cancel_whole_orders_and_the_rest_is_counted(default: Sample) -> None:
    assert len(default.whole_cancellations) >= 8
    assert [c for c in default.cancellations if not c.is_whole]
    assert default.unmatched["no such order line"] > 0
    assert default.unmatched["no customer"] > 0
    assert {c.order for c in default.cancellations} <= {order.invoice for order in default.orders}


def test_most_orders_are_of_one_merchant(default: Sample) -> None:
    merchants = [
        {merchant_of(line["sku"]) for line in order.body["lines"]} for order in default.orders if order.is_accepted
    ]
    assert sum(len(found) == 1 for found in merchants) >= 0.85 * len(merchants)
    assert {product.merchant_id for product in default.products} == set(MERCHANTS)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_run_that_the_sample_cannot_fill_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="500 invoices"):
        load_sample(limit)
