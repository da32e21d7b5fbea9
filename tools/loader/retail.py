"""Invoices of UCI "Online Retail", read as what a customer ordered.

The source has a row per item: invoice, stock code, description, quantity, time, unit price in pounds,
customer, country. An invoice number that begins with C is a cancellation, its quantities negative.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cached_property
from pathlib import Path

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")

CARRIAGE = frozenset({"POST", "DOT", "C2"})
"""What the shop charged for postage and carriage. The platform charges shipping itself: no line of an order."""

_GOODS = re.compile(r"[0-9]{5}[A-Z]{0,2}|DCGS[0-9A-Z]{4,5}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the source.

    Attributes
    ----------
    sku
        The stock code in capitals: the tills wrote ``85123a`` and ``85123A`` for one product.
    quantity
        Negative in cancellations, and in the shop's own corrections.
    at
        Local time of the shop, ``2010-12-01 08:26:00``.
    pounds
        Unit price.
    customer
        Empty where the source has none.
    """

    invoice: str
    sku: str
    description: str
    quantity: int
    at: str
    pounds: Decimal
    customer: str
    country: str

    @property
    def pence(self) -> int:
        """The unit price in pence; four rows of the source cost a tenth of a penny, which is nothing."""
        return int((self.pounds * 100).quantize(Decimal(1), ROUND_HALF_EVEN))

    @property
    def is_carriage(self) -> bool:
        return self.sku in CARRIAGE and self.quantity > 0 and self.pounds > 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order: unit price in pence."""

    sku: str
    quantity: int
    unit_price: int

    @property
    def is_well_formed(self) -> bool:
        return is_goods(self.sku) and self.quantity > 0 and self.unit_price > 0


@dataclass(frozen=True)
class Invoice:
    """The rows of one invoice, at least one."""

    number: str
    rows: tuple[Row, ...]

    @property
    def is_cancellation(self) -> bool:
        return self.number.startswith("C")

    @property
    def customer(self) -> str:
        return self.rows[0].customer

    @property
    def country(self) -> str:
        """The country's name as the source writes it."""
        return self.rows[0].country

    @property
    def day(self) -> str:
        return self.rows[0].at[:10]

    @property
    def channel(self) -> str:
        """Who the shop's prices of this invoice are for.

        ``trade`` for customers with an account, ``web`` for the web shop's anonymous ones (it adds its own
        postage, DOT), ``retail`` for other anonymous ones. The three pay different prices.
        """
        if self.customer:
            return "trade"
        return "web" if any(row.sku == "DOT" for row in self.rows) else "retail"

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """What was ordered, one line a SKU.

        Rows of one SKU become one line at the place of the first: the quantities are added, and the price
        is the one that most of the units had (the lower, if as many had another). Rows that cannot be
        ordered (no quantity, no price) stay as they are.
        """
        units: dict[str, Counter[int]] = {}
        places: list[str | Line] = []
        for row in self.rows:
            if row.is_carriage:
                continue
            if row.quantity <= 0 or row.pence <= 0:
                places.append(Line(row.sku, row.quantity, row.pence))
                continue
            if row.sku not in units:
                units[row.sku] = Counter()
                places.append(row.sku)
            units[row.sku][row.pence] += row.quantity
        return tuple(place if isinstance(place, Line) else _merged(place, units[place]) for place in places)

    @property
    def is_well_formed(self) -> bool:
        """Whether every line is a product with a quantity and a price; there is at least one."""
        return not self.is_cancellation and bool(self.lines) and all(line.is_well_formed for line in self.lines)


def is_goods(sku: str) -> bool:
    """Return whether a stock code is a product's.

    Five digits with up to two letters, and DCGS with its suffix; anything else is a fee, a voucher, a
    correction or a note (``M``, ``D``, ``BANK CHARGES``, ``AMAZONFEE``, ``gift_0001_20``, ``PADS``).
    """
    return _GOODS.fullmatch(sku) is not None


def read_invoices(path: Path) -> list[Invoice]:
    """Return the invoices of a gzipped file of the source's columns, in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(group_rows(map(to_row, csv.DictReader(file))))


def group_rows(rows: Iterable[Row]) -> Iterator[Invoice]:
    """Yield the invoices of ``rows`` in the order in which they first appear."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.invoice, []).append(row)
    for number, its_rows in found.items():
        yield Invoice(number, tuple(its_rows))


def to_row(fields: Mapping[str, str]) -> Row:
    """Return one row of the source's file."""
    return Row(
        invoice=fields["InvoiceNo"],
        sku=fields["StockCode"].strip().upper(),
        description=fields["Description"].strip(),
        quantity=int(fields["Quantity"]),
        at=fields["InvoiceDate"],
        pounds=Decimal(fields["UnitPrice"]),
        customer=fields["CustomerID"],
        country=fields["Country"],
    )


def write_gzip(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a gzipped CSV file; no time and no name are in it, so that the same rows give the same file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def _merged(sku: str, units: Counter[int]) -> Line:
    price = min(units, key=lambda pence: (-units[pence], pence))
    return Line(sku, units.total(), price)
