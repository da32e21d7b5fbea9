"""What a flash sale came to, and what of it does not hold: the same for the simulated sale and the deployed one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SKU, WAREHOUSE = "FLASH-1", "GB-DAV"

SHARDS = 20
"""Shards that the SKU is spread over before the sale: 5 % of the stock's writes each, so that an uneven one stays below
10."""

BUSIEST = 0.10
"""The busiest key's share of write attempts, at most."""

ENOUGH = 100
"""Units from which on shares of their number mean something: in a smaller sale the stock rows are not judged by
themselves, and one who changes places with his neighbour weighs too much."""

SMALL = 0.7
"""The share of `FIRST_COMERS` and `IN_TURN` in a smaller sale."""

FIRST_COMERS = 0.95
"""Of the first as many arrivals as there are units, the share that must get one."""

IN_TURN = 0.90
"""Of all who got a unit, the share that would have got one if all had been served strictly as they arrived."""

TERMINAL = ("completed", "cancelled", "expired")
SHOWN = 8


@dataclass(frozen=True)
class Sale:
    """What happened.

    Attributes
    ----------
    arrived
        Accepted orders in the order of their acceptance.
    served
        Those that ever held a unit.
    statuses
        Order -> status in the end.
    most_held
        Units that were held for orders or shipped at any one time.
    told_too_early
        Orders that were told "sold out" while a unit lay free on some shard all the time that they looked.
    attempts
        Partition key of the stock's table -> writes that were tried during the sale: failed conditions and the actions
        of cancelled transactions count like any other.
    findings
        What the audit and the buyers complain about.
    """

    buyers: int
    units: int
    arrived: Sequence[str]
    served: frozenset[str]
    statuses: Mapping[str, str]
    most_held: int
    told_too_early: Sequence[str]
    attempts: Mapping[str, int]
    findings: Sequence[str]
    seconds: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def returned(self) -> int:
        """Units that came back and were held again."""
        return len(self.served) - self.units

    @property
    def first_comers(self) -> float:
        """See `FIRST_COMERS`."""
        return len(self.served & set(self.arrived[: self.units])) / self.units

    @property
    def in_turn(self) -> float:
        """See `IN_TURN`."""
        return len(self.served & set(self.arrived[: len(self.served)])) / max(len(self.served), 1)

    def busiest(self, kind: str = "") -> tuple[str, float]:
        """Return the busiest key of those that begin with ``kind``, and its share of their write attempts."""
        of = Counter({key: tried for key, tried in self.attempts.items() if key.startswith(kind)})
        [(key, most)] = of.most_common(1) or [("", 0)]
        return key, most / max(of.total(), 1)

    def troubles(self) -> Iterator[str]:
        """Yield what does not hold."""
        small = self.units < ENOUGH
        if len(self.arrived) != self.buyers:
            yield f"{len(self.arrived)} orders of {self.buyers} buyers were accepted"
        if self.most_held > self.units:
            yield f"oversold: {self.most_held} of {self.units} units were held at once"
        if self.most_held < min(self.units, self.buyers):
            yield f"no more than {self.most_held} of {self.units} units were ever held"
        stranded = [order for order in self.arrived if self.statuses.get(order) not in TERMINAL]
        if stranded:
            yield f"{len(stranded)} orders have not come to an end, {stranded[0]} is {self.statuses.get(stranded[0])}"
        if self.told_too_early:
            yield f"{len(self.told_too_early)} were told sold out while a unit lay free: {self.told_too_early[:3]}"
        # Of the whole table; and, unless they are too few to say, of the stock rows alone, which nothing else dilutes.
        for what, kind in (("table's", ""), ("stock rows'", "STOCK#")):
            key, share = self.busiest(kind)
            if share > BUSIEST and (not kind or not small):
                yield f"{key} has {share:.1%} of the {what} write attempts"
        if self.first_comers < (SMALL if small else FIRST_COMERS):
            yield f"{self.first_comers:.1%} of the first {self.units} arrivals were served"
        if self.in_turn < (SMALL if small else IN_TURN):
            yield f"{self.in_turn:.1%} of those who were served had arrived in time"
        yield from self.findings

    def figures(self) -> dict[str, Any]:
        """Return the figures, for reading and for ``build/flash.json``."""
        tried = Counter(self.attempts)
        stock = Counter({key: of for key, of in self.attempts.items() if key.startswith("STOCK#")})
        return {
            "buyers": self.buyers,
            "units": self.units,
            "accepted": len(self.arrived),
            "served": len(self.served),
            "returned_and_served": self.returned,
            "most_held_at_once": self.most_held,
            "statuses": dict(sorted(Counter(self.statuses.values()).items())),
            "first_comers_served": round(self.first_comers, 4),
            "served_in_turn": round(self.in_turn, 4),
            "told_sold_out_too_early": len(self.told_too_early),
            "write_attempts": tried.total(),
            "busiest_key_share": round(self.busiest()[1], 4),
            "stock_write_attempts": stock.total(),
            "busiest_stock_key_share_of_table": round(max(stock.values(), default=0) / max(tried.total(), 1), 4),
            "busiest_stock_key_share_of_stock": round(self.busiest("STOCK#")[1], 4),
            "busiest_keys": dict(tried.most_common(SHOWN)),
            "busiest_stock_keys": dict(stock.most_common(SHOWN)),
            "seconds": round(self.seconds, 1),
            **self.more,
        }
