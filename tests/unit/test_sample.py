"""The sample in ``data/`` holds what it must, and is drawn the same way every time."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from tools.loader.countries import SOURCE_COUNTRIES
from tools.loader.retail import Invoice, Row, is_goods, read_invoices
from tools.loader.sample import DATA
from tools.sample import countries, draw

pytestmark = pytest.mark.unit

FILE = DATA / "online_retail" / "sample.csv.gz"


@pytest.fixture(scope="module")
def invoices() -> list[Invoice]:
    return read_invoices(FILE)


def row(invoice: str, sku: str = "85123A", quantity: int = 1, **fields: str) -> Row:
    return Row(
        invoice=invoice,
        sku=sku,
        description="A THING",
        quantity=quantity,
        at=fields.get("at", "2011-03-07 10:00:00"),
        pounds=Decimal(fields.get("pounds", "1.25")),
        customer=fields.get("customer", ""),
        country=fields.get("country", "United Kingdom"),
    )


def kinds(invoices: list[Invoice]) -> Counter[str]:
    """Count the invoices of each kind; one may be of several."""
    cancellations = [invoice for invoice in invoices if invoice.is_cancellation]
    orders = [invoice for invoice in invoices if not invoice.is_cancellation]
    whole = draw.wholly_cancelled(orders, cancellations)
    found: Counter[str] = Counter()
    for order in orders:
        lines = order.lines
        found["well-formed"] += order.is_well_formed
        found["lines of well-formed"] += len(lines) if order.is_well_formed else 0
        found["over 100 SKUs"] += order.is_well_formed and len(lines) > 100
        found["over 500 SKUs"] += order.is_well_formed and len(lines) > 500
        found["guest"] += not order.customer
        found["web guest"] += order.channel == "web"
        found["abroad"] += order.country != "United Kingdom"
        found["cancelled whole"] += order.number in whole
        found["negative quantity"] += any(line.quantity < 0 for line in lines)
        found["zero price"] += any(line.quantity > 0 and line.unit_price == 0 for line in lines)
        found["odd code"] += any(not is_goods(line.sku) for line in lines)
        found["only carriage"] += not lines
    customers = Counter(order.customer for order in orders if order.customer)
    found["repeat customers"] = sum(count > 1 for count in customers.values())
    return found


@pytest.mark.parametrize(("first", "share"), [(200, 1), (500, 2)])
def test_all_kinds_are_in_the_default_run_and_more_in_the_whole(
    invoices: list[Invoice], first: int, share: int
) -> None:
    orders = [invoice for invoice in invoices if not invoice.is_cancellation]
    cancellations = [invoice for invoice in invoices if invoice.is_cancellation]
    assert len(orders) == 500
    found = kinds(orders[:first] + cancellations)
    least = {
        "over 100 SKUs": 4, "over 500 SKUs": 1, "guest": 30, "web guest": 8, "abroad": 30, "cancelled whole": 10,
        "negative quantity": 5, "zero price": 5, "odd code": 8, "only carriage": 1, "repeat customers": 30,
    }  # fmt: skip
    assert {kind: found[kind] for kind in least if found[kind] < least[kind] * share} == {}
    assert 0.85 < found["well-formed"] / first < 0.95
    assert 12 <= found["lines of well-formed"] / found["well-formed"] <= 20
    assert len({order.country for order in orders[:first]}) >= 15


def test_the_largest_invoice_of_the_source_is_in_the_default_run(invoices: list[Invoice]) -> None:
    position = next(at for at, invoice in enumerate(invoices) if invoice.number == "558475")
    assert position < 200
    assert len({row.sku for row in invoices[position].rows}) == 704


def test_odd_codes_of_many_kinds_are_there(invoices: list[Invoice]) -> None:
    codes = {line.sku for invoice in invoices if not invoice.is_cancellation for line in invoice.lines}
    assert {"M", "B", "BANK CHARGES", "AMAZONFEE"} <= codes
    assert any(code.startswith("GIFT_") for code in codes)
    assert {"POST", "DOT", "C2"} <= {row.sku for invoice in invoices for row in invoice.rows}


def test_cancellations_are_of_drawn_customers_or_of_nobody(invoices: list[Invoice]) -> None:
    drawn = {invoice.customer for invoice in invoices if not invoice.is_cancellation}
    cancellations = [invoice for invoice in invoices if invoice.is_cancellation]
    assert {invoice.customer for invoice in cancellations} <= drawn | {""}
    assert sum(not invoice.customer for invoice in cancellations) == draw.CANCELLATIONS_WITHOUT_CUSTOMER


def test_every_country_of_the_sample_has_a_code(invoices: list[Invoice]) -> None:
    assert {invoice.country for invoice in invoices} <= set(SOURCE_COUNTRIES)


def plenty() -> list[Invoice]:
    """Return more ordinary invoices than a sample has, two a customer, and a large one."""
    small = [Invoice(str(n), (row(str(n), customer=f"c{n // 2}"), row(str(n), "22423"))) for n in range(700)]
    large = Invoice("big", tuple(row("big", f"{n:05d}", customer="rich") for n in range(600)))
    nowhere = Invoice("x", (row("x", country="Unspecified"),))
    back = Invoice("C9", (row("C9", "85123A", -1, customer="rich", at="2011-03-08 10:00:00"),))
    return [*small, large, nowhere, back]


def test_the_same_source_is_drawn_the_same_whatever_its_order() -> None:
    drawn = [invoice.number for invoice in draw.draw(plenty())]
    assert drawn == [invoice.number for invoice in draw.draw(reversed(plenty()))]
    assert len(drawn) == len(set(drawn)) == 501
    assert "big" in drawn[:200]
    assert "x" not in drawn
    assert drawn[-1] == "C9"


def test_prices_are_observed_on_all_invoices_of_the_day_and_channel() -> None:
    mine = Invoice("1", (row("1", quantity=2, customer="a"),))
    others = [
        Invoice("2", (row("2", quantity=2, customer="b"), row("2", "22423", customer="b"))),
        Invoice("3", (row("3", quantity=9, customer="c", pounds="1.06"),)),
        Invoice("4", (row("4", quantity=2),)),
        Invoice("5", (row("5", quantity=2, customer="d", at="2011-03-08 09:00:00"),)),
        Invoice("C6", (row("C6", quantity=-2, customer="a"),)),
    ]
    assert draw.price_observations([mine, *others], [mine]) == [
        ("2011-03-07", "trade", "85123A", 2, 125, 2),
        ("2011-03-07", "trade", "85123A", 9, 106, 1),
    ]


def test_warehouses_are_ordered_by_distance() -> None:
    places = [
        "FR\t+4852+00220\tEurope/Paris",
        "JP\t+353916+1394441\tAsia/Tokyo",
        "AU\t-3133+15905\tAustralia/Lord_Howe\tan island",
        "AU\t-3352+15113\tAustralia/Sydney",
    ]
    zones = "\n".join(["# a comment", *places])
    found = countries.countries(zones, "FR\tFrance\nJP\tJapan\nAU\tAustralia\n")
    by_code = {country.code: country for country in found}
    assert by_code["AU"] == countries.Country("AU", "Australia", -33.87, 151.22, "Australia/Sydney")
    assert countries.nearest_first(by_code["FR"]) == ["DE-DUI", "GB-DAV", "CN-YIW"]
    assert countries.nearest_first(by_code["JP"])[0] == "CN-YIW"
    paris, tokyo = by_code["FR"], by_code["JP"]
    assert countries.distance_km(paris, tokyo) == pytest.approx(9711, abs=15)


def test_a_place_that_is_not_iso_6709_is_refused() -> None:
    with pytest.raises(ValueError, match="is not ISO 6709"):
        countries.countries("FR\t48.85,2.33\tEurope/Paris\n", "FR\tFrance\n")
