"""Which warehouse sends what: the nearest one that has everything, or as few as it takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from inventory.model import AllocatedLine, Fulfilment, OrderLine, Rows


def wanted(lines: Iterable[OrderLine]) -> dict[str, int]:
    """Return SKU -> pieces that ``lines`` want of it together."""
    total: Counter[str] = Counter()
    for line in lines:
        total[line.sku] += line.quantity
    return dict(total)


def missing(lines: Iterable[OrderLine], free: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Return SKU -> pieces that all warehouses together have too few; empty if ``lines`` can be allocated.

    Parameters
    ----------
    free
        (SKU, warehouse) -> pieces on hand.
    """
    total: Counter[str] = Counter()
    for (sku, _), on_hand in free.items():
        total[sku] += on_hand
    return {sku: quantity - total[sku] for sku, quantity in wanted(lines).items() if quantity > total[sku]}


def allocate(
    lines: Sequence[OrderLine], free: Mapping[tuple[str, str], int], nearest: Sequence[str]
) -> tuple[Fulfilment, ...]:
    """Return the fulfilments of an order, one per merchant and warehouse.

    The smallest set of warehouses that has everything is taken, of sets of one size the one that comes first by
    nearness. Within it a SKU comes from the nearest warehouse that has all of it; only a SKU that no warehouse
    has whole is split. With n warehouses there are at most 2^n sets to look at: a handful, as warehouses are few.

    Parameters
    ----------
    lines
        Of which nothing is `missing`.
    free
        (SKU, warehouse) -> pieces on hand.
    nearest
        Warehouses, the nearest first.
    """
    wants = wanted(lines)
    whole = {sku for sku, want in wants.items() if any(free.get((sku, at), 0) >= want for at in nearest)}

    def enough(chosen: tuple[str, ...]) -> bool:
        return all(
            any(free.get((sku, at), 0) >= want for at in chosen)
            if sku in whole
            else sum(free.get((sku, at), 0) for at in chosen) >= want
            for sku, want in wants.items()
        )

    sets = (chosen for size in range(1, len(nearest) + 1) for chosen in combinations(nearest, size))
    chosen = next(filter(enough, sets))
    takes: Rows = {}
    for sku, want in wants.items():
        one = next((at for at in chosen if sku in whole and free.get((sku, at), 0) >= want), None)
        for at in (one,) if one else chosen:
            takes[sku, at] = min(want, free.get((sku, at), 0))
            want -= takes[sku, at]
    return _fulfilments(lines, takes, chosen)


def _fulfilments(lines: Sequence[OrderLine], takes: Rows, chosen: Sequence[str]) -> tuple[Fulfilment, ...]:
    left = dict(takes)
    groups: dict[tuple[str, str], list[AllocatedLine]] = defaultdict(list)
    for line in lines:
        want = line.quantity
        for at in chosen:
            take = min(want, left.get((line.sku, at), 0))
            if take:
                left[line.sku, at] -= take
                want -= take
                groups[line.merchant_id, at].append(AllocatedLine(line.line, line.sku, take))
    return tuple(
        Fulfilment(number, at, merchant, tuple(of))
        for number, ((merchant, at), of) in enumerate(groups.items(), start=1)
    )
