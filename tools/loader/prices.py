"""Dated price lists, inferred from what was paid.

A list holds for one day and one channel (``2011-03-07-trade``). Its entries say from which quantity on
a SKU has which unit price; the price of a line is that of the entry with the greatest ``min_quantity``
that is not above its quantity. What a day's invoices paid does not always agree, so that a list is the
largest part of the observations that a list can say: one price a quantity, and more never costs more a
unit. The rest was bargained or mistyped, and such a line is refused when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Observation:
    """A price that was paid: unit price in pence, on how many invoices of the day and channel."""

    quantity: int
    unit_price: int
    invoices: int


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """From ``min_quantity`` units on, one unit costs ``unit_price`` minor units."""

    sku: str
    min_quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class PriceList:
    """One day's prices for one channel in one currency; entries by SKU, then by quantity."""

    id: str
    currency: str
    entries: tuple[PriceEntry, ...]


def infer_entries(sku: str, observations: Iterable[Observation]) -> tuple[PriceEntry, ...]:
    """Return the price steps of ``sku`` that agree with the most invoices.

    Of all ways to give each observed quantity one observed price or none, such that prices never rise
    with quantity, the one is taken that the most invoices paid; of several, the first by quantity and
    price. The first step counts from one unit on.
    """
    best: list[tuple[int, tuple[Observation, ...]]] = [(0, ())]
    ordered = sorted(observations, key=lambda seen: (seen.quantity, seen.unit_price))
    for _, same_quantity in groupby(ordered, key=lambda seen: seen.quantity):
        longer = []
        for seen in same_quantity:
            allowed = (way for way in best if not way[1] or way[1][-1].unit_price >= seen.unit_price)
            invoices, way = max(allowed, key=lambda way: way[0])
            longer.append((invoices + seen.invoices, (*way, seen)))
        best += longer
    chosen = max(best, key=lambda way: way[0])[1]
    steps = [seen for at, seen in enumerate(chosen) if at == 0 or seen.unit_price != chosen[at - 1].unit_price]
    return tuple(PriceEntry(sku, seen.quantity if at else 1, seen.unit_price) for at, seen in enumerate(steps))


def unit_price(entries: Sequence[PriceEntry], quantity: int) -> int | None:
    """Return what one unit costs if ``quantity`` are bought, or None if no entry says so."""
    reached = [entry for entry in entries if entry.min_quantity <= quantity]
    return max(reached, key=lambda entry: entry.min_quantity).unit_price if reached else None


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units of a currency one pound is worth, and the day that the rate is of."""

    date: str
    currency: str
    per_pound: Decimal

    def convert(self, pence: int) -> int:
        """Return ``pence`` in the currency's minor units (hundredths too), rounded half to even."""
        return int((pence * self.per_pound).quantize(Decimal(1), ROUND_HALF_EVEN))
