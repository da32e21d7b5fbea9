"""Draws the project's sample of UCI "Online Retail".

    python -m tools.sample.draw transactions.csv.gz data/online_retail

Writes ``sample.csv.gz`` (rows of 500 invoices in the order in which they are played, then of the
cancellations of their customers) and ``prices.csv.gz`` (what everybody paid that day for what the
sample orders). The same source gives the same rows in the same order.

The first 200 invoices hold all kinds, and so do the other 300: the quotas of `STRATA`. Inside a stratum
invoices are drawn by the hash of their customer and number. Ordinary baskets are drawn up to
`ORDINARY` lines, so that a run of 200 stays quick in spite of the few large ones.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.loader.chance import fraction
from tools.loader.countries import SOURCE_COUNTRIES
from tools.loader.retail import HEADER, Invoice, group_rows, is_goods, to_row, write_gzip

BLOCKS = (200, 300)
ORDINARY = 30
BIG = 100
HUGE = 500
INVOICES_OF_A_CUSTOMER = 3
CANCELLATIONS_WITHOUT_CUSTOMER = 5
HOME = "United Kingdom"


@dataclass(frozen=True)
class Stratum:
    """A kind of invoice: how many of it each block has, and how many of one country or customer at most."""

    name: str
    quotas: tuple[int, int]
    holds: Callable[[Invoice], bool]
    of_a_country: int = 10_000


def strata(whole_cancelled: set[str]) -> list[Stratum]:
    """Return the kinds; an invoice is of the first that holds it. The last fills the block."""
    return [
        Stratum("huge", (1, 1), lambda i: i.is_well_formed and len(i.lines) > HUGE),
        Stratum("big", (3, 7), lambda i: i.is_well_formed and BIG < len(i.lines) <= HUGE),
        Stratum("only carriage", (1, 1), lambda i: not i.lines),
        Stratum("negative quantity", (5, 8), lambda i: any(line.quantity < 0 for line in i.lines)),
        Stratum("no price", (5, 7), lambda i: _small(i) and any(line.unit_price == 0 for line in i.lines)),
        Stratum("manual", (3, 4), lambda i: _small(i) and _has(i, "M")),
        Stratum("voucher", (2, 3), lambda i: _small(i) and _has(i, "GIFT_")),
        Stratum("bank charges", (1, 2), lambda i: _small(i) and _has(i, "BANK CHARGES")),
        Stratum("marketplace fee", (1, 1), lambda i: _has(i, "AMAZONFEE")),
        Stratum("bad debt", (1, 1), lambda i: _has(i, "B")),
        Stratum("other code", (1, 2), lambda i: _small(i) and not all(is_goods(line.sku) for line in i.lines)),
        Stratum("cancelled whole", (10, 14), lambda i: i.is_well_formed and i.number in whole_cancelled and _small(i)),
        Stratum("web guest", (8, 10), lambda i: _ordinary(i) and i.channel == "web"),
        Stratum("other guest", (12, 16), lambda i: _ordinary(i) and i.channel == "retail"),
        Stratum("abroad", (34, 48), lambda i: _ordinary(i) and i.country != HOME, of_a_country=8),
        Stratum("home", BLOCKS, _ordinary),
    ]


def _small(invoice: Invoice) -> bool:
    return len(invoice.lines) <= BIG


def _ordinary(invoice: Invoice) -> bool:
    return invoice.is_well_formed and len(invoice.lines) <= ORDINARY


def _has(invoice: Invoice, code: str) -> bool:
    return any(line.sku.startswith(code) and not is_goods(line.sku) for line in invoice.lines)


def draw(invoices: Iterable[Invoice]) -> list[Invoice]:
    """Return the invoices of the sample in the order in which they are played, and then the cancellations."""
    everything = [invoice for invoice in invoices if invoice.country in SOURCE_COUNTRIES]
    cancellations = [invoice for invoice in everything if invoice.is_cancellation]
    orders = [invoice for invoice in everything if not invoice.is_cancellation]
    kinds = strata(wholly_cancelled(orders, cancellations))
    waiting: dict[str, list[Invoice]] = {kind.name: [] for kind in kinds}
    for invoice in sorted(orders, key=_rank):
        kind = next((kind for kind in kinds if kind.holds(invoice)), None)
        if kind is not None:
            waiting[kind.name].append(invoice)
    waiting["huge"].sort(key=lambda invoice: -len(invoice.lines))
    of_customer: Counter[str] = Counter()
    drawn = [invoice for block in range(len(BLOCKS)) for invoice in _block(block, kinds, waiting, of_customer)]
    return drawn + list(_their_cancellations(drawn, cancellations))


def _block(
    block: int, kinds: list[Stratum], waiting: dict[str, list[Invoice]], of_customer: Counter[str]
) -> list[Invoice]:
    """Take one block's invoices, each kind spread evenly over it."""
    placed: list[tuple[float, Invoice]] = []
    for kind in kinds:
        wanted = min(kind.quotas[block], BLOCKS[block] - len(placed))
        taken: list[Invoice] = []
        of_country: Counter[str] = Counter()
        for invoice in waiting[kind.name]:
            full = of_country[invoice.country] >= kind.of_a_country
            often = invoice.customer and of_customer[invoice.customer] >= INVOICES_OF_A_CUSTOMER
            if len(taken) == wanted or full or often:
                continue
            taken.append(invoice)
            of_country[invoice.country] += 1
            of_customer[invoice.customer] += 1
        waiting[kind.name] = [invoice for invoice in waiting[kind.name] if invoice not in taken]
        placed += [((at + fraction("place", i.number)) / len(taken), i) for at, i in enumerate(taken)]
    return [invoice for _, invoice in sorted(placed, key=lambda entry: (entry[0], entry[1].number))]


def _rank(invoice: Invoice) -> tuple[float, float, str]:
    """Order by the customer's hash first, so that a customer's invoices are drawn together."""
    customer = fraction("customer", invoice.customer or invoice.number)
    return customer, fraction("invoice", invoice.number), invoice.number


def wholly_cancelled(orders: Iterable[Invoice], cancellations: Iterable[Invoice]) -> set[str]:
    """Return the numbers of the invoices of which one later cancellation takes back exactly everything."""
    by_content = defaultdict(list)
    for cancellation in cancellations:
        if cancellation.customer:
            by_content[_content(cancellation, -1)].append(cancellation.rows[0].at)
    return {
        order.number
        for order in orders
        if order.customer and any(at >= order.rows[0].at for at in by_content[_content(order, 1)])
    }


def _content(invoice: Invoice, sign: int) -> tuple[str, frozenset[tuple[str, int]]]:
    units: Counter[str] = Counter()
    for row in invoice.rows:
        if is_goods(row.sku):
            units[row.sku] += sign * row.quantity
    return invoice.customer, frozenset(units.items())


def _their_cancellations(drawn: list[Invoice], cancellations: list[Invoice]) -> Iterator[Invoice]:
    """Yield what the drawn customers cancelled after their first drawn invoice, and a few of nobody's."""
    since: dict[str, str] = {}
    for invoice in drawn:
        if invoice.customer:
            since[invoice.customer] = min(invoice.rows[0].at, since.get(invoice.customer, "9"))
    nobodys = sorted((c for c in cancellations if not c.customer), key=_rank)[:CANCELLATIONS_WITHOUT_CUSTOMER]
    numbers = {invoice.number for invoice in nobodys}
    for cancellation in sorted(cancellations, key=lambda invoice: (invoice.rows[0].at, invoice.number)):
        known = cancellation.customer in since and cancellation.rows[0].at >= since[cancellation.customer]
        if known or cancellation.number in numbers:
            yield cancellation


def price_observations(everything: Iterable[Invoice], drawn: Iterable[Invoice]) -> list[tuple[object, ...]]:
    """Return what was paid for the SKUs that the sample orders, by all invoices of their day and channel.

    Rows of day, channel, SKU, quantity, unit price in pence, and on how many invoices.
    """
    wanted = {
        (invoice.day, invoice.channel, line.sku)
        for invoice in drawn
        if not invoice.is_cancellation
        for line in invoice.lines
    }
    seen = Counter(
        (invoice.day, invoice.channel, line.sku, line.quantity, line.unit_price)
        for invoice in everything
        if not invoice.is_cancellation
        for line in invoice.lines
        if line.is_well_formed and (invoice.day, invoice.channel, line.sku) in wanted
    )
    return [(*key, count) for key, count in sorted(seen.items())]


def main(source: str, target: str) -> None:
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        raw = list(csv.DictReader(file))
    everything = list(group_rows(map(to_row, raw)))
    drawn = draw(everything)
    rows = defaultdict(list)
    for fields in raw:
        rows[fields["InvoiceNo"]].append([fields[name] for name in HEADER])
    folder = Path(target)
    write_gzip(folder / "sample.csv.gz", HEADER, (row for invoice in drawn for row in rows[invoice.number]))
    header = ("day", "channel", "sku", "quantity", "unit_price", "invoices")
    observed = price_observations(everything, drawn)
    write_gzip(folder / "prices.csv.gz", header, observed)
    cancelled = sum(invoice.is_cancellation for invoice in drawn)
    print(f"{len(drawn) - cancelled} invoices, {cancelled} cancellations, {len(observed)} observed prices")


if __name__ == "__main__":
    main(*sys.argv[1:])
