"""What lies in each warehouse before the first order.

The source has no stock. It is made from the demand of the orders that will be accepted: each warehouse
has, with a reserve, what the orders of the countries nearest to it ask for, so that an order fits its
nearest warehouse. Then two kinds of trouble are put in, each at the SKU that the fewest orders ask for, so
that it stays with the order that was chosen for it: one order in `SPLIT` finds a SKU in another warehouse
only, and one in `SHORT` finds less of a SKU than it needs anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tools.loader.chance import number

SPLIT = 10
SHORT = 50


@dataclass(frozen=True, slots=True)
class StockLevel:
    """Units of a SKU that are free to sell in a warehouse."""

    sku: str
    warehouse: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What one order asks for, and the warehouses, nearest to its address first."""

    order: str
    warehouses: Sequence[str]
    units: Mapping[str, int]


def opening_stock(demands: Iterable[Demand]) -> tuple[StockLevel, ...]:
    """Return the stock to open with, by SKU and warehouse; the same for the same orders."""
    orders = list(demands)
    asked: Counter[tuple[str, str]] = Counter()
    popularity: Counter[str] = Counter()
    for order in orders:
        popularity.update(order.units.keys())
        for sku, units in order.units.items():
            asked[sku, order.warehouses[0]] += units
    stock = {key: units + units // 4 + 5 for key, units in asked.items()}
    spoilt: set[str] = set()
    for order in orders:
        rarest = min(order.units, key=lambda sku: (popularity[sku], sku))
        if rarest in spoilt:
            continue
        if number(SHORT, "short", order.order) == 0:
            _make_short(stock, order, rarest, popularity[rarest])
            spoilt.add(rarest)
        elif len(order.units) > 1 and number(SPLIT, "split", order.order) == 0:
            _move(stock, order, rarest)
            spoilt.add(rarest)
    return tuple(StockLevel(sku, warehouse, units) for (sku, warehouse), units in sorted(stock.items()) if units)


def _make_short(stock: dict[tuple[str, str], int], order: Demand, sku: str, orders: int) -> None:
    """Leave less than the order needs if it is the only one, else less than all of its kind need."""
    for warehouse in order.warehouses:
        stock.pop((sku, warehouse), None)
    stock[sku, order.warehouses[0]] = order.units[sku] - 1 if orders == 1 else order.units[sku]


def _move(stock: dict[tuple[str, str], int], order: Demand, sku: str) -> None:
    """Put all of a SKU into the nearest other warehouse that lacks something else that the order needs."""
    others = [
        warehouse
        for warehouse in order.warehouses[1:]
        if any((other, warehouse) not in stock for other in order.units if other != sku)
    ]
    if others:
        units = sum(stock.pop((sku, warehouse), 0) for warehouse in order.warehouses)
        stock[sku, others[0]] = units
