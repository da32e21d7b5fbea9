"""Which order a cancellation takes back: the source does not say.

A cancellation names its customer, SKUs and quantities. Each of its lines is matched to an earlier order
of that customer that still has as many of the SKU: to one order that has all of its lines if there is
one (first one that it takes back whole, else the latest), else line by line to the latest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tools.loader.retail import Invoice, is_goods


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What one cancellation takes back of one order.

    Attributes
    ----------
    number, order
        Invoice numbers of the cancellation and of what it cancels.
    lines
        SKU and quantity, positive.
    is_whole
        Nothing of the order is left after it.
    """

    number: str
    order: str
    lines: tuple[tuple[str, int], ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Matched:
    """All cancellations of a sample.

    Attributes
    ----------
    found
        By time.
    unmatched
        Reason -> number of lines: ``no customer``, ``not a product`` (discounts, fees, postage) and
        ``no such order line``.
    unmatched_cancellations
        Cancellations of which no line was matched.
    """

    found: tuple[Cancellation, ...]
    unmatched: dict[str, int]
    unmatched_cancellations: int


def match(orders: Iterable[Invoice], cancellations: Iterable[Invoice]) -> Matched:
    """Match ``cancellations`` to ``orders``; a unit ordered is taken back once at most."""
    left: dict[str, Counter[str]] = {}
    of_customer: defaultdict[str, list[Invoice]] = defaultdict(list)
    for order in sorted(orders, key=_when):
        left[order.number] = Counter({line.sku: line.quantity for line in order.lines if line.is_well_formed})
        if order.customer:
            of_customer[order.customer].append(order)
    found: list[Cancellation] = []
    unmatched: Counter[str] = Counter()
    without_any = 0
    for cancellation in sorted(cancellations, key=_when):
        wanted = _wanted(cancellation, unmatched)
        earlier = [o for o in of_customer[cancellation.customer] if o.rows[0].at <= cancellation.rows[0].at]
        taken = _assign(wanted, earlier, left)
        unmatched["no such order line"] += len(wanted) - sum(map(len, taken.values()))
        without_any += not taken
        for number, lines in taken.items():
            left[number] -= Counter(lines)
            found.append(Cancellation(cancellation.number, number, tuple(lines.items()), not left[number]))
    return Matched(tuple(found), {reason: count for reason, count in unmatched.items() if count}, without_any)


def _when(invoice: Invoice) -> tuple[str, str]:
    return invoice.rows[0].at, invoice.number


def _wanted(cancellation: Invoice, unmatched: Counter[str]) -> Counter[str]:
    """Return SKU -> quantity of what can be matched at all; count what cannot."""
    wanted: Counter[str] = Counter()
    for row in cancellation.rows:
        if not is_goods(row.sku) or row.quantity >= 0:
            unmatched["not a product"] += 1
        elif not cancellation.customer:
            unmatched["no customer"] += 1
        else:
            wanted[row.sku] -= row.quantity
    return wanted


def _assign(wanted: Counter[str], earlier: list[Invoice], left: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Return order -> SKU -> quantity; orders are by time."""
    if not wanted:
        return {}
    having_all = [order.number for order in earlier if wanted <= left[order.number]]
    if having_all:
        whole = [number for number in having_all if wanted == left[number]]
        return {(whole or having_all)[-1]: dict(wanted)}
    taken: dict[str, dict[str, int]] = {}
    for sku, quantity in wanted.items():
        latest = next((o.number for o in reversed(earlier) if left[o.number][sku] >= quantity), None)
        if latest is not None:
            taken.setdefault(latest, {})[sku] = quantity
    return taken
