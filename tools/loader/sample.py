"""The sample as requests to the platform: what to load first, what to order, what to expect."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tools.loader.cancellations import Cancellation, match
from tools.loader.chance import number
from tools.loader.people import Buyer, People
from tools.loader.prices import Observation, PriceEntry, PriceList, Rate, infer_entries, unit_price
from tools.loader.retail import Invoice, read_invoices
from tools.loader.stock import Demand, StockLevel, opening_stock

DATA = Path(__file__).parents[2] / "data"

MOST_PIECES = 10_000
"""What the platform takes of a SKU in one order; one invoice of the source has 74,215 of one (and cancels it)."""

MERCHANTS = {"mer_hearts": "Heart & Home", "mer_lanterns": "Lantern Works", "mer_parlour": "The Parlour"}
OTHERS_GOODS = 125
"""One product in so many is one of the other two merchants'; the first one has the rest.

A parcel holds one merchant's goods, so that with equal shares hardly any order would be one parcel.
"""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the catalogue.

    The source says nothing of tax: every product has the United Kingdom's standard rate of 2011 (hundredths
    of a per cent), and prices include it, so that an order's lines add up to what was paid.
    """

    sku: str
    title: str
    merchant_id: str
    tax_rate_bp: int = 2000
    tax_inclusive: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """A field that the platform may name when it refuses an order, and why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    """One invoice as an order.

    Attributes
    ----------
    invoice
        The source's number of it.
    buyer
        Who places it.
    is_well_formed
        It has only products, with a quantity and a price.
    body
        Of POST /orders.
    faults
        Empty if the platform must accept it. Else it must refuse it and name at least one of these
        fields: which it comes to first is its own affair.
    """

    invoice: str
    buyer: Buyer
    is_well_formed: bool
    body: Mapping[str, Any]
    faults: tuple[Fault, ...]

    @property
    def is_accepted(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything of a run.

    Attributes
    ----------
    products, price_lists, customers, stock
        To load before; only what ``orders`` need.
    orders
        In the order in which they are played.
    cancellations
        What customers took back of ``orders``: whole orders and parts.
    unmatched
        Lines of cancellations that belong to no order, by reason.
    unmatched_cancellations
        Cancellations of which no line belongs to an order.
    warehouses
        Country -> warehouse ids, nearest first.
    """

    products: tuple[Product, ...]
    price_lists: tuple[PriceList, ...]
    customers: tuple[Buyer, ...]
    stock: tuple[StockLevel, ...]
    orders: tuple[Order, ...]
    cancellations: tuple[Cancellation, ...]
    unmatched: Mapping[str, int]
    unmatched_cancellations: int
    warehouses: Mapping[str, Sequence[str]]

    @property
    def whole_cancellations(self) -> tuple[Cancellation, ...]:
        """Those that a customer can ask for: of accepted orders, nothing left of them."""
        accepted = {order.invoice for order in self.orders if order.is_accepted}
        return tuple(c for c in self.cancellations if c.is_whole and c.order in accepted)


def load_sample(limit: int = 200, data: Path = DATA) -> Sample:
    """Read the first ``limit`` invoices of the sample (at most 500) and all that belongs to them.

    Parameters
    ----------
    limit
        How many orders.
    data
        The project's data folder.

    Raises
    ------
    ValueError
        There are not so many invoices, or ``limit`` is not positive.
    """
    invoices = read_invoices(data / "online_retail" / "sample.csv.gz")
    ordered = [invoice for invoice in invoices if not invoice.is_cancellation]
    if not 0 < limit <= len(ordered):
        raise ValueError(f"the sample has {len(ordered)} invoices, not {limit}")
    ordered = ordered[:limit]
    people, rate, observed = People(data), read_rate(data), _observations(data)
    products = _products(ordered)
    known = {product.sku for product in products}
    bought = [(invoice, people.of(invoice)) for invoice in ordered]
    lists = {found.id: found for found in _price_lists(bought, observed, rate)}
    placed = tuple(_order(invoice, buyer, known, lists, rate) for invoice, buyer in bought)
    nearest = json.loads((data / "places" / "warehouses.json").read_text(encoding="utf-8"))["nearest"]
    buyers = {invoice.customer for invoice in ordered} | {""}
    matched = match(ordered, (c for c in invoices if c.is_cancellation and c.customer in buyers))
    return Sample(
        products=products,
        price_lists=tuple(lists.values()),
        customers=tuple({o.buyer.id: o.buyer for o in placed if not o.buyer.is_guest}.values()),
        stock=opening_stock(demands(placed, nearest)),
        orders=placed,
        cancellations=matched.found,
        unmatched=matched.unmatched,
        unmatched_cancellations=matched.unmatched_cancellations,
        warehouses=nearest,
    )


def price_list_id(invoice: Invoice, currency: str) -> str:
    """Return ``2011-03-07-trade``, for CNY ``2011-03-07-trade-cny``."""
    suffix = "" if currency == "GBP" else f"-{currency.lower()}"
    return f"{invoice.day}-{invoice.channel}{suffix}"


def demands(orders: Iterable[Order], nearest: Mapping[str, Sequence[str]]) -> Iterator[Demand]:
    """Yield what each order that will be accepted takes from the warehouses."""
    for order in orders:
        if order.is_accepted:
            units = {line["sku"]: line["quantity"] for line in order.body["lines"]}
            yield Demand(order.invoice, nearest[order.buyer.country], units)


def merchant_of(sku: str) -> str:
    """Return the merchant who sells ``sku``."""
    main, *others = MERCHANTS
    return others[number(2, "merchant", sku)] if number(OTHERS_GOODS, "others", sku) == 0 else main


def _products(invoices: Iterable[Invoice]) -> tuple[Product, ...]:
    """Return the products of all lines that can be ordered, titled as they mostly are."""
    titles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for invoice in invoices:
        ordered = {line.sku for line in invoice.lines if line.is_well_formed}
        for row in invoice.rows:
            if row.sku in ordered and row.description:
                titles[row.sku][row.description] += 1
    return tuple(
        Product(sku, min(seen, key=lambda title: (-seen[title], title)), merchant_of(sku))
        for sku, seen in sorted(titles.items())
    )


def read_rate(data: Path = DATA) -> Rate:
    """Return the ECB's reference rate of CNY against GBP; both are published against the euro."""
    ecb = json.loads((data / "currency" / "ecb.json").read_text(encoding="utf-8"))
    return Rate(ecb["date"], "CNY", Decimal(ecb["rates"]["CNY"]) / Decimal(ecb["rates"]["GBP"]))


def _observations(data: Path) -> dict[tuple[str, str, str], list[Observation]]:
    """Return day, channel and SKU -> what was paid."""
    found: defaultdict[tuple[str, str, str], list[Observation]] = defaultdict(list)
    with gzip.open(data / "online_retail" / "prices.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            seen = Observation(int(row["quantity"]), int(row["unit_price"]), int(row["invoices"]))
            found[row["day"], row["channel"], row["sku"]].append(seen)
    return dict(found)


def _price_lists(
    bought: Iterable[tuple[Invoice, Buyer]], observed: Mapping[tuple[str, str, str], list[Observation]], rate: Rate
) -> Iterator[PriceList]:
    """Yield the lists that the orders name, with the SKUs that they order; none that would be empty."""
    wanted: defaultdict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for invoice, buyer in bought:
        key = (price_list_id(invoice, buyer.currency), buyer.currency)
        wanted[key] |= {(invoice.day, invoice.channel, line.sku) for line in invoice.lines}
    for (list_id, currency), places in sorted(wanted.items()):
        entries = tuple(
            replace(entry, unit_price=_in_currency(entry.unit_price, currency, rate))
            for place in sorted(places & observed.keys())
            for entry in infer_entries(place[2], observed[place])
        )
        if entries:
            yield PriceList(list_id, currency, entries)


def _in_currency(pence: int, currency: str, rate: Rate) -> int:
    return pence if currency == "GBP" else rate.convert(pence)


def _order(invoice: Invoice, buyer: Buyer, products: set[str], lists: Mapping[str, PriceList], rate: Rate) -> Order:
    list_id = price_list_id(invoice, buyer.currency)
    lines = [
        {"sku": line.sku, "quantity": line.quantity, "unit_price": _in_currency(line.unit_price, buyer.currency, rate)}
        for line in invoice.lines
    ]
    body = {
        "currency": buyer.currency,
        "price_list": list_id,
        "locale": buyer.locale,
        "time_zone": buyer.time_zone,
        "contact": buyer.contact.to_dict(),
        "address": buyer.address,
        "lines": lines,
        "shipping": {"method": "standard"},
    }
    faults = tuple(_faults(lines, products, lists.get(list_id)))
    return Order(invoice.number, buyer, invoice.is_well_formed, body, faults)


def _faults(lines: Sequence[Mapping[str, Any]], products: set[str], prices: PriceList | None) -> Iterator[Fault]:
    """Yield every field that is at fault, in the order of the lines."""
    if not lines:
        yield Fault("lines", "empty")
    if prices is None:
        yield Fault("price_list", "unknown")
    entries: defaultdict[str, list[PriceEntry]] = defaultdict(list)
    for entry in prices.entries if prices else ():
        entries[entry.sku].append(entry)
    seen: set[str] = set()
    for at, line in enumerate(lines):
        sku, quantity, asked = line["sku"], line["quantity"], line["unit_price"]
        if not 0 < quantity <= MOST_PIECES:
            yield Fault(f"lines.{at}.quantity", "out of range")
        if sku in seen:
            yield Fault(f"lines.{at}.sku", "duplicate")
        if sku not in products:
            yield Fault(f"lines.{at}.sku", "unknown")
        elif not entries[sku]:
            yield Fault(f"lines.{at}.sku", "unlisted")
        if asked <= 0 or (entries[sku] and quantity > 0 and unit_price(entries[sku], quantity) != asked):
            yield Fault(f"lines.{at}.unit_price", "not the list's")
        seen.add(sku)
