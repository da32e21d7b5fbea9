"""What stock is: levels and what moves them, reservations and their states, queues, replenishments, errors.

Knows no AWS, no clock and no environment.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from commerce.errors import CommerceError, Conflict, Invalid, NotFound

CHUNK = 99
"""Stock rows in one transaction: DynamoDB takes 100 actions, and one is the reservation's own."""

MOST_SHARDS = 32
"""Shards that the stock of a SKU in one warehouse may lie on: to even them out is one transaction."""


class Row(NamedTuple):
    """A stock row: what lies of a SKU on one shard of a warehouse. Shard 0 is there wherever the SKU is."""

    sku: str
    warehouse_id: str
    shard: int = 0


Rows = dict[Row, int]
"""Stock row -> pieces."""

Free = Mapping[tuple[str, str], int]
"""(SKU, warehouse) -> pieces on hand, of all shards."""

Step = tuple[str, Rows]
"""One transaction of a reservation: the label it leaves in `Reservation.progress`, and the pieces it moves."""


class InventoryError(CommerceError):
    """Something that the inventory refuses."""


class StockShort(InventoryError, Conflict):
    """All warehouses together have too little for an order; it waits in the queue now.

    The text of this error is JSON, because a state machine reads it: ``expected_at``. What is short is
    not in it: a cause holds 32,768 characters at most (Step Functions API), and an order 1,000 lines.

    Parameters
    ----------
    expected_at
        When the goods are expected, RFC 3339.
    short
        SKU -> pieces missing.
    """

    slug = "stock-short"
    title = "There is not enough in stock"

    def __init__(self, expected_at: str, short: Mapping[str, int]) -> None:
        self.expected_at = expected_at
        self.short = dict(short)
        super().__init__(json.dumps({"expected_at": expected_at}))


class StockTaken(InventoryError, Conflict):
    """Somebody else was first at a stock row."""

    slug = "stock-taken"


class StockTooLow(InventoryError, Conflict):
    """An adjustment would take more than is free: what is reserved cannot be written off."""

    slug = "stock-too-low"
    title = "There is less on hand than the adjustment takes away"


class ShardsNeverFewer(InventoryError, Conflict):
    """What a reservation gives back goes to the shard that it came from, so that no shard is ever given up."""

    slug = "shards-never-fewer"
    title = "The stock lies on more shards already"


class StockUnknown(InventoryError, NotFound):
    """The SKU was never received, or not in this warehouse."""

    slug = "stock-unknown"


class WarehouseUnknown(InventoryError, Invalid):
    """There is no such warehouse."""

    slug = "warehouse-unknown"


class ReservationReleased(InventoryError, Conflict):
    """The order was closed: its stock has gone back and nothing can be held or shipped for it."""

    slug = "reservation-released"


class NotHeld(InventoryError, Conflict):
    """No stock is held for a fulfilment that is said to have left."""

    slug = "not-held"


class IllegalTransition(InventoryError):
    """A program's mistake: the transition table does not have this."""


class ReplenishmentUnknown(InventoryError, NotFound):
    """There is no such replenishment."""

    slug = "replenishment-unknown"


class ReplenishmentClosed(InventoryError, Conflict):
    """The replenishment has been received in full."""

    slug = "replenishment-closed"


class KeyReused(InventoryError, Invalid):
    """The same Idempotency-Key came with another request before."""

    slug = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"


class SweepIncomplete(InventoryError):
    """The sweep could not finish something; the log says what."""


class Move(enum.StrEnum):
    """What can happen to pieces of a SKU in a warehouse."""

    RECEIVE = "receive"
    WRITE_OFF = "write_off"
    RESERVE = "reserve"
    RELEASE = "release"
    SHIP = "ship"


EFFECTS: Mapping[Move, Mapping[str, int]] = MappingProxyType(
    {
        Move.RECEIVE: {"on_hand": +1, "received": +1},
        Move.WRITE_OFF: {"on_hand": -1, "received": -1},
        Move.RESERVE: {"on_hand": -1, "reserved": +1},
        Move.RELEASE: {"reserved": -1, "on_hand": +1},
        Move.SHIP: {"reserved": -1, "shipped": +1},
    }
)
"""Move -> level -> sign. Each keeps on_hand + reserved + shipped = received; a level that falls must be high enough."""


@dataclass(frozen=True)
class Level:
    """Pieces of a SKU in one warehouse: free to sell, held for orders, gone, and all that ever came (adjusted)."""

    warehouse_id: str
    on_hand: int
    reserved: int
    shipped: int
    received: int


@dataclass(frozen=True)
class OrderLine:
    """A line of an order; ``line`` is its number there."""

    line: int
    sku: str
    quantity: int
    merchant_id: str


@dataclass(frozen=True)
class Order:
    """What is to be reserved for whom; ``country`` is the destination's ISO 3166 code."""

    order_id: str
    country: str
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True)
class AllocatedLine:
    """Pieces of an order's line that come from one shard of a warehouse; a line has one of them a shard."""

    line: int
    sku: str
    quantity: int
    shard: int = 0


@dataclass(frozen=True)
class Fulfilment:
    """What one merchant's goods in one warehouse contribute to an order."""

    number: int
    warehouse_id: str
    merchant_id: str
    lines: tuple[AllocatedLine, ...]


class State(enum.StrEnum):
    """Where a reservation is.

    To a reader only ``held`` is a reservation; ``pending`` is one that takes several transactions and is not complete,
    ``abandoning`` one that could not be completed and gives back what it took.
    """

    PENDING = "pending"
    HELD = "held"
    ABANDONING = "abandoning"
    RELEASING = "releasing"
    RELEASED = "released"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.PENDING: frozenset({State.HELD, State.ABANDONING}),
        State.ABANDONING: frozenset(),  # and then it is forgotten, so that the order may be planned afresh
        State.HELD: frozenset({State.RELEASING, State.RELEASED}),
        State.RELEASING: frozenset({State.RELEASED}),
        State.RELEASED: frozenset(),
    }
)

MOVES: Mapping[State, Move] = MappingProxyType(
    {State.PENDING: Move.RESERVE, State.ABANDONING: Move.RELEASE, State.RELEASING: Move.RELEASE}
)
"""State that is under way -> what its steps do to the stock."""


@dataclass(frozen=True)
class Reservation:
    """Stock held, or about to be held, for one order.

    Attributes
    ----------
    attempt
        Tells this reservation from an abandoned one of the same order.
    version
        Counts its changes; each is conditional on the one before.
    fulfilments
        The allocation.
    progress
        Labels of the transactions that moved stock: ``r<chunk>`` reserved (only while pending), ``u<chunk>`` given
        back, ``s<fulfilment>.<chunk>`` shipped.
    since
        RFC 3339, when it was first asked for.
    open_since
        Since when something is left to do for it; None when it rests.
    """

    order_id: str
    attempt: str
    state: State
    fulfilments: tuple[Fulfilment, ...]
    since: str
    version: int = 1
    progress: tuple[str, ...] = ()
    open_since: str | None = None

    @property
    def rows(self) -> Rows:
        """All that the allocation takes."""
        return rows_of(self.fulfilments)

    @property
    def held_rows(self) -> Rows:
        """What would go back if the order were closed now: a fulfilment whose shipping has begun does not."""
        begun = {label.partition(".")[0] for label in self.progress}
        return rows_of(one for one in self.fulfilments if f"s{one.number}" not in begun)

    def steps(self) -> list[Step]:
        """Return what is left to do in a state that is under way, a transaction each."""
        done = set(self.progress)
        if self.state is State.PENDING:
            return [step for step in _steps("r", self.rows) if step[0] not in done]
        if self.state is State.ABANDONING:
            taken = (step for step in _steps("u", self.rows) if "r" + step[0][1:] in done)
            return [step for step in taken if step[0] not in done]
        if self.state is State.RELEASING:
            return [step for step in _steps("u", self.held_rows) if step[0] not in done]
        return []

    def shipping_steps(self, number: int) -> list[Step]:
        """Return what is left to do to ship fulfilment ``number``; nothing when it has left.

        Raises
        ------
        NotHeld
            There is no such fulfilment, or it is not held yet.
        ReservationReleased
            Its stock has gone back.
        """
        one = next((one for one in self.fulfilments if one.number == number), None)
        if one is None or self.state in (State.PENDING, State.ABANDONING):
            raise NotHeld(f"{self.order_id}-{number}")
        done = set(self.progress)
        every = _steps(f"s{number}.", rows_of([one]))
        left = [step for step in every if step[0] not in done]
        if len(left) == len(every) and self.state is not State.HELD:
            raise ReservationReleased(f"{self.order_id}-{number}")
        return left

    def did(self, label: str) -> Reservation:
        """Return it with one more transaction done."""
        return replace(self, version=self.version + 1, progress=(*self.progress, label))

    def to(self, state: State, now: str) -> Reservation:
        """Return it in the next state.

        Raises
        ------
        IllegalTransition
            The transition table does not have it.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state} -> {state}")
        held = state is State.HELD
        return replace(
            self,
            version=self.version + 1,
            state=state,
            progress=() if held else self.progress,
            open_since=None if held else now,
        )

    def rest(self) -> Reservation:
        """Return it with nothing left to do."""
        return replace(self, version=self.version + 1, open_since=None)


class Open(enum.StrEnum):
    """Kinds of things with something left to do."""

    RESERVATION = "RESERVATION"
    MOVEMENT = "MOVEMENT"
    REPLENISHMENT = "REPLENISHMENT"
    QUEUE = "QUEUE"


@dataclass(frozen=True)
class Waiting:
    """An order's place in the queues of what it is short of.

    Attributes
    ----------
    since
        RFC 3339, when it was first short: its place, which it keeps until it gets its goods or is closed.
    wants
        SKU it is short of -> pieces it wants of it in all.
    warehouse_id
        Where it would rather have it from.
    causes
        Receipts and releases that have woken it.
    lanes
        SKU -> lane of its queue that it stands in, where that is not lane 0.
    woken
        RFC 3339, when it was last woken, if it has not looked at the stock since; else empty.
    """

    order_id: str
    since: str
    wants: Mapping[str, int]
    warehouse_id: str
    causes: tuple[str, ...] = ()
    lanes: Mapping[str, int] = field(default_factory=dict)
    woken: str = ""


@dataclass(frozen=True)
class Mark:
    """Says of a SKU that orders have waited for it.

    Attributes
    ----------
    lanes
        Lanes that its queue has.
    asks
        Whether somebody has joined it for whom purchasing is still to be asked; the sweep does it.
    """

    lanes: int = 1
    asks: bool = False


@dataclass(frozen=True)
class Place:
    """One order in the queue of one SKU; ``at`` sorts by the time it first asked."""

    sku: str
    at: str
    order_id: str
    quantity: int
    lane: int = 0


@dataclass(frozen=True)
class Seen:
    """What was read, consistently, to decide on an order; ``shelves`` is stock row -> pieces on hand."""

    reservation: Reservation | None
    waiting: Waiting | None
    shelves: Mapping[Row, int]

    @property
    def free(self) -> Free:
        """What every warehouse has on all its shards."""
        return free_of(self.shelves)

    def shards(self, sku: str) -> int:
        """Return how many shards the SKU has in the warehouse where it has most of them."""
        return max((row.shard + 1 for row in self.shelves if row.sku == sku), default=1)

    @property
    def still_waits(self) -> bool:
        """Whether its places in queues mean anything: none that has its goods or is closed has a claim."""
        done = (State.HELD, State.RELEASING, State.RELEASED)
        return self.waiting is not None and (self.reservation is None or self.reservation.state not in done)


@dataclass(frozen=True)
class Replenishment:
    """What purchasing is asked to bring to a warehouse; open until all of it was received."""

    sku: str
    warehouse_id: str
    number: int
    quantity: int
    received: int
    expected_at: str
    raised_at: str

    @property
    def replenishment_id(self) -> str:
        return f"{self.sku}_{self.warehouse_id}_{self.number}"

    @property
    def outstanding(self) -> int:
        return max(self.quantity - self.received, 0)

    @property
    def is_open(self) -> bool:
        return self.outstanding > 0


def read_replenishment_id(text: str) -> tuple[str, str, int]:
    """Return SKU, warehouse and number of a replenishment's id.

    Raises
    ------
    ReplenishmentUnknown
        It is none.
    """
    parts = re.fullmatch(r"([0-9A-Za-z_.-]{1,40})_([0-9A-Z-]{1,20})_([0-9]{1,9})", text)
    if parts is None:
        raise ReplenishmentUnknown(text)
    return parts[1], parts[2], int(parts[3])


@dataclass(frozen=True)
class Movement:
    """A recorded receipt or adjustment; its id comes from who asked and his Idempotency-Key.

    Attributes
    ----------
    kind
        ``receipt``, ``adjustment``, ``replenishment`` or ``sharding``.
    quantities
        SKU -> pieces that came; below zero: went.
    note
        The reference of a receipt, the reason of an adjustment, the id of a replenishment, the number of shards.
    by
        Subject of whoever did it.
    digest
        Of all that was asked: the same key with another request is refused.
    open_since
        Since when orders that wait may have to be woken because of it; None when they have been.
    """

    movement_id: str
    kind: str
    warehouse_id: str
    quantities: Mapping[str, int]
    note: str
    by: str
    at: str
    digest: str = field(default="")
    open_since: str | None = None

    @classmethod
    def asked(
        cls, key: str, kind: str, warehouse_id: str, quantities: Mapping[str, int], note: str, by: str, at: str
    ) -> Movement:
        """Return the movement that ``by`` asks for with Idempotency-Key ``key``."""
        movement_id = "mov_" + _digest([by, key])[:32]
        digest = _digest([kind, warehouse_id, sorted(quantities.items()), note])
        # Stock that is moved from shard to shard may be missed by an order that looks meanwhile.
        more = kind == "sharding" or any(quantity > 0 for quantity in quantities.values())
        return cls(movement_id, kind, warehouse_id, dict(quantities), note, by, at, digest, at if more else None)


def rows_of(fulfilments: Iterable[Fulfilment]) -> Rows:
    """Return what ``fulfilments`` take of each stock row, each row once, in a fixed order."""
    total: Counter[Row] = Counter()
    for one in fulfilments:
        for line in one.lines:
            total[Row(line.sku, one.warehouse_id, line.shard)] += line.quantity
    return dict(sorted(total.items()))


def free_of(shelves: Mapping[Row, int]) -> Free:
    """Return what lies on all shards together."""
    total: Counter[tuple[str, str]] = Counter()
    for row, pieces in shelves.items():
        total[row.sku, row.warehouse_id] += pieces
    return total


def drawn(seed: str, of: int) -> int:
    """Return a number below ``of`` that is the same whenever it is drawn for ``seed``, and evenly spread."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % of


def chunks(rows: Rows) -> list[Rows]:
    """Return ``rows`` cut into what fits a transaction each."""
    items: Sequence[Any] = list(rows.items())
    return [dict(items[at : at + CHUNK]) for at in range(0, len(items), CHUNK)]


def _steps(prefix: str, rows: Rows) -> list[Step]:
    return [(f"{prefix}{number}", chunk) for number, chunk in enumerate(chunks(rows))]


def _digest(of: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(of, separators=(",", ":")).encode()).hexdigest()
