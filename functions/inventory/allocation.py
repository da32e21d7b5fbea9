"""Which warehouse sends what: the nearest one that has everything, or as few as it takes; and which of its shards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

from inventory.model import AllocatedLine, Free, Fulfilment, OrderLine, Row, Rows, drawn


def wanted(lines: Iterable[OrderLine]) -> dict[str, int]:
    """Return SKU -> pieces that ``lines`` want of it together."""
    total: Counter[str] = Counter()
    for line in lines:
        total[line.sku] += line.quantity
    return dict(total)


def missing(lines: Iterable[OrderLine], free: Free) -> dict[str, int]:
    """Return SKU -> pieces that all warehouses together have too few; empty if ``lines`` can be allocated."""
    total: Counter[str] = Counter()
    for (sku, _), on_hand in free.items():
        total[sku] += on_hand
    return {sku: quantity - total[sku] for sku, quantity in wanted(lines).items() if quantity > total[sku]}


def allocate(lines: Sequence[OrderLine], free: Free, nearest: Sequence[str]) -> tuple[Fulfilment, ...]:
    """Return the fulfilments of an order, one per merchant and warehouse.

    The smallest set of warehouses that has everything is taken, of sets of one size the one that comes first by
    nearness. Within it a SKU comes from the nearest warehouse that has all of it; only a SKU that no warehouse
    has whole is split. With n warehouses there are at most 2^n sets to look at: a handful, as warehouses are few.

    Parameters
    ----------
    lines
        Of which nothing is `missing`.
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
    takes: dict[tuple[str, str], int] = {}
    for sku, want in wants.items():
        one = next((at for at in chosen if sku in whole and free.get((sku, at), 0) >= want), None)
        for at in (one,) if one else chosen:
            takes[sku, at] = min(want, free.get((sku, at), 0))
            want -= takes[sku, at]
    return _fulfilments(lines, takes, chosen)


def from_shards(fulfilments: Iterable[Fulfilment], shelves: Mapping[Row, int], order_id: str) -> tuple[Fulfilment, ...]:
    """Return ``fulfilments`` with the shards that their pieces come from.

    Each order goes through the shards in an order of its own, so that many at once spread over all that are not
    empty. The first that has enough for a line gives all of it; where none has, it comes from several.

    Parameters
    ----------
    fulfilments
        What `allocate` made of the same ``shelves``.
    """
    left = dict(shelves)
    shards: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in _drawn(left, order_id):
        shards[row.sku, row.warehouse_id].append(row)

    def of(line: AllocatedLine, rows: Sequence[Row]) -> Iterator[AllocatedLine]:
        want = line.quantity
        whole = next((row for row in rows if left[row] >= want), None)
        for row in rows if whole is None else [whole]:
            take = min(want, left[row])
            if take:
                left[row] -= take
                want -= take
                yield replace(line, quantity=take, shard=row.shard)

    return tuple(
        replace(one, lines=tuple(part for line in one.lines for part in of(line, shards[line.sku, one.warehouse_id])))
        for one in fulfilments
    )


def to_shards(pieces: int, shelves: Iterable[Row], most: int, seed: str) -> Rows:
    """Return where ``pieces`` that come in are put: evenly on the shards, on ``most`` of them at the most."""
    rows = _drawn(shelves, seed)[: max(1, min(most, pieces))]
    return {row: pieces // len(rows) + (at < pieces % len(rows)) for at, row in enumerate(rows)}


def _drawn(rows: Iterable[Row], seed: str) -> list[Row]:
    """Return ``rows`` in an order of the shards that is drawn for ``seed``."""
    rank = cache(lambda shard: drawn(f"{seed} {shard}", 2**64))
    return sorted(rows, key=lambda row: rank(row.shard))


def off_shards(pieces: int, shelves: Mapping[Row, int]) -> Rows | None:
    """Return where ``pieces`` that are written off are taken from, the fullest shard first; None if there are fewer."""
    rows: Rows = {}
    for row in sorted(shelves, key=lambda row: (-shelves[row], row)):
        take = min(pieces, shelves[row])
        if take:
            rows[row] = -take
            pieces -= take
    return None if pieces else rows


def evened(shelves: Mapping[Row, int], shards: int) -> Rows:
    """Return what each of ``shards`` shards of one warehouse gets (below zero: gives) so that all have the same."""
    first = min(shelves)
    total = sum(shelves.values())
    return {
        (row := first._replace(shard=shard)): total // shards + (shard < total % shards) - shelves.get(row, 0)
        for shard in range(shards)
    }


def _fulfilments(
    lines: Sequence[OrderLine], takes: Mapping[tuple[str, str], int], chosen: Sequence[str]
) -> tuple[Fulfilment, ...]:
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
