"""What is known of every order while it is played; all parts look at it and write on it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tools.client import PlacedOrder, Refused
from tools.loader import Order

WAITING = "waiting"
REFUSED = "refused"
STAGES = (
    WAITING, REFUSED, "received", "awaiting_stock", "awaiting_payment", "paid", "packed", "dispatched",
    "out_for_delivery", "delivered", "accepted", "completed", "cancelling", "cancelled", "expiring", "expired",
)  # fmt: skip
"""Where an order can be seen to be, in the order of the display."""

COMPLETED = "completed"
CANCELLED = "cancelled"


@dataclass
class Tale:
    """One order and what became of it.

    Attributes
    ----------
    order
        Of the sample.
    stage
        Last seen, one of `STAGES`.
    ends
        The status that it should end in.
    placed
        In its buyer's hands, once it is accepted.
    refusal
        Why it was not accepted.
    trouble
        What went otherwise than it should; empty if nothing did.
    status, timeline
        As its buyer saw them at the end.
    arrived
        Its carriers have delivered all its parcels.
    """

    order: Order
    stage: str = WAITING
    ends: str = COMPLETED
    placed: PlacedOrder | None = None
    refusal: Refused | None = None
    trouble: str = ""
    status: str = ""
    timeline: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    _parcels: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def parcel_arrived(self, fulfilment: str, of: int) -> None:
        """Note that one of ``of`` parcels is delivered."""
        with self._lock:
            self._parcels.add(fulfilment)
            if len(self._parcels) >= of:
                self.arrived.set()


class Board:
    """All the tales of a run."""

    def __init__(self, orders: list[Order]) -> None:
        self.tales = [Tale(order) for order in orders]
        self._by_number: dict[str, Tale] = {}

    def place(self, tale: Tale, placed: PlacedOrder) -> None:
        """Note an accepted order."""
        tale.placed, tale.stage = placed, "received"
        self._by_number[placed.id] = tale

    def of(self, order_id: str) -> Tale | None:
        """Return the tale of an order, or None for one of an earlier run on the same cloud."""
        return self._by_number.get(order_id)

    def counts(self) -> Counter[str]:
        """Return how many orders are in each stage."""
        return Counter(tale.stage for tale in self.tales)

    @property
    def ended(self) -> int:
        """How many orders nothing more happens to."""
        counts = self.counts()
        return sum(counts[stage] for stage in (REFUSED, COMPLETED, CANCELLED, "expired"))
