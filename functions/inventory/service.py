"""What can be done with stock: reserve, ship, release, receive, adjust, look, and tidy up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from commerce import telemetry
from commerce.clock import Clock, parse, rfc3339
from commerce.dynamo import ConditionFailed, Contended, Item, TransactionFailed
from commerce.errors import FieldError
from commerce.figures import Figure
from inventory import queues
from inventory.allocation import allocate, evened, from_shards, missing, off_shards, to_shards, wanted
from inventory.model import (
    CHUNK,
    MOVES,
    Fulfilment,
    KeyReused,
    Level,
    Move,
    Movement,
    NotHeld,
    Open,
    Order,
    Replenishment,
    ReplenishmentClosed,
    ReplenishmentUnknown,
    Reservation,
    ReservationReleased,
    Row,
    Rows,
    Seen,
    ShardsNeverFewer,
    State,
    StockShort,
    StockTaken,
    StockTooLow,
    StockUnknown,
    SweepIncomplete,
    WarehouseUnknown,
    chunks,
    read_replenishment_id,
)
from inventory.warehouses import Warehouses

ATTEMPTS = 10
"""Times that a decision is made anew because others were faster; then the task's own retry spreads them out."""


class Store(queues.Store, Protocol):
    """What the use cases need of the table; `inventory.store.Store` has it."""

    def levels(self, sku: str) -> list[Level]: ...
    def shelves(
        self, skus: Iterable[str], warehouses: Sequence[str] | None = None, *, consistent: bool = True
    ) -> Rows: ...
    def reservation(self, order_id: str) -> Reservation | None: ...
    def hold(self, reservation: Reservation) -> None: ...
    def begin(self, reservation: Reservation) -> None: ...
    def move(self, before: Reservation, after: Reservation, rows: Rows, move: Move) -> Reservation | None: ...
    def change(self, before: Reservation, after: Reservation) -> Reservation | None: ...
    def forget(self, reservation: Reservation) -> None: ...
    def replenishment(self, sku: str, warehouse_id: str, number: int) -> Replenishment | None: ...
    def open_replenishments(self, limit: int, start: Item | None) -> tuple[list[Replenishment], Item | None]: ...
    def record(
        self,
        movement: Movement,
        rows: Rows,
        *,
        shards: int | None = None,
        closes: tuple[Replenishment, Replenishment] | None = None,
    ) -> Movement: ...
    def movement(self, movement_id: str) -> Movement | None: ...
    def settle(self, movement: Movement) -> None: ...
    def unfinished(self, kind: Open, before: str) -> list[str]: ...
    def oldest(self, kind: Open) -> str | None: ...


@dataclass(frozen=True)
class Desk:
    """What every use case works with.

    Attributes
    ----------
    lead
        From a shortage to the goods' arrival.
    """

    store: Store
    warehouses: Warehouses
    clock: Clock
    lead: timedelta

    @property
    def now(self) -> str:
        return rfc3339(self.clock.now())

    @property
    def queues(self) -> queues.Queues:
        return queues.Queues(self.store, self.clock, self.lead)


def reserve(desk: Desk, order: Order) -> Reservation:
    """Hold everything an order wants, or nothing; once, however often it is asked.

    Returns
    -------
    Reservation
        In state ``held``.

    Raises
    ------
    StockShort
        All warehouses together have too little. The order is in the queues and purchasing was asked.
    ReservationReleased
        The order was closed.
    Contended
        Others were faster each time; nothing is left half done that a later call or the sweep does not finish.
    """
    queued: Mapping[str, int] | None = None
    nearest = desk.warehouses.nearest(order.country)
    wants = wanted(order.lines)
    for _ in range(ATTEMPTS):
        seen = desk.store.look(order.order_id, wants)
        if seen.reservation is not None:
            reservation = _carry_on(desk, seen.reservation)
        elif short := missing(order.lines, seen.free):
            waits_for = {sku: wants[sku] for sku in short}
            if queued == waits_for:
                expected_at = desk.queues.replenish_all(waits_for, nearest[0])
                raise StockShort(expected_at, short)
            # A receipt before the order was in the queue has not woken it: the stock is looked at once more after.
            shards = {sku: seen.shards(sku) for sku in waits_for}
            desk.store.wait(order.order_id, waits_for, nearest[0], desk.now, shards)
            queued = waits_for
            continue
        else:
            reservation = _take(desk, order, seen, nearest)
        if reservation is None:
            continue
        if reservation.state is not State.HELD:
            raise ReservationReleased(order.order_id)
        if seen.waiting is not None:
            desk.store.leave(seen.waiting)
        return reservation
    raise Contended(f"{order.order_id}: others were faster {ATTEMPTS} times")


def ship(store: Store, fulfilment_id: str) -> None:
    """Note that a fulfilment's goods have left; once, however often it is told.

    Raises
    ------
    NotHeld
        There is no such fulfilment.
    ReservationReleased
        Its stock had gone back: goods left that nobody should have sent.
    """
    order_id, _, number = fulfilment_id.rpartition("-")
    reservation = store.reservation(order_id)
    while True:
        if reservation is None:
            raise NotHeld(fulfilment_id)
        steps = reservation.shipping_steps(int(number))
        if not steps:
            return
        label, rows = steps[0]
        reservation = store.move(reservation, reservation.did(label), rows, Move.SHIP)


def hold_again(desk: Desk, order_id: str, fulfilments: Sequence[Fulfilment]) -> None:
    """Hold for an order what is known to have been held for it and what the books have lost.

    Raises
    ------
    StockTaken
        There is less on hand by these books: a receipt was lost as well, or pieces were sold twice.
    """
    seen = desk.store.look(order_id)
    if seen.reservation is None:
        again = Reservation(
            order_id, secrets.token_hex(6), State.PENDING, tuple(fulfilments), desk.now, open_since=desk.now
        )
        with suppress(ConditionFailed):
            desk.store.begin(again)
        seen = desk.store.look(order_id)
        _carry_on(desk, seen.reservation)
        held = desk.store.reservation(order_id)
        if held is None or held.state is not State.HELD:
            raise StockTaken(order_id)
    if seen.waiting is not None:
        desk.store.leave(seen.waiting)


def release(desk: Desk, order_id: str) -> None:
    """Give back what is held for an order and has not left, and take it out of the queues; for good.

    Nothing can be reserved for the order afterwards. What has come back wakes orders that wait for it.

    Raises
    ------
    Contended
        Others changed the reservation each time.
    """
    for _ in range(ATTEMPTS):
        seen = desk.store.look(order_id)
        if seen.reservation is None:
            _close(desk, order_id, seen)
            continue
        reservation = _undo(desk, seen.reservation)
        if reservation is None:
            continue
        if reservation.state is State.HELD and reservation.held_rows:
            _give_back(desk, reservation)
            continue
        if reservation.open_since is not None:
            skus = {row.sku for row in reservation.rows} | set(seen.waiting.wants if seen.waiting else ())
            desk.queues.wake(skus, f"release-{order_id}")
        if seen.waiting is not None:
            desk.store.leave(seen.waiting)
        if reservation.open_since is not None:
            desk.store.change(reservation, reservation.rest())
        return
    raise Contended(f"{order_id}: others were faster {ATTEMPTS} times")


def receive(
    desk: Desk, key: str, by: str, warehouse_id: str, quantities: Mapping[str, int], reference: str
) -> Movement:
    """Take goods into a warehouse, in one transaction, and wake orders that wait for them.

    Parameters
    ----------
    key
        Idempotency-Key of the caller ``by``.
    quantities
        SKU -> pieces; at most 99 SKUs, because they are one transaction.

    Raises
    ------
    WarehouseUnknown
        There is no such warehouse.
    KeyReused
        The key came with another receipt before.
    """
    _known_warehouse(desk, warehouse_id)
    asked = Movement.asked(key, "receipt", warehouse_id, quantities, reference, by, desk.now)
    return _settle(desk, _same_request(asked, desk.store.record(asked, _incoming(desk, asked))))


def adjust(desk: Desk, key: str, by: str, sku: str, warehouse_id: str, delta: int, reason: str) -> Movement:
    """Correct what is on hand by ``delta`` pieces.

    Raises
    ------
    WarehouseUnknown, StockUnknown
        There is no such warehouse, or it never had the SKU.
    StockTooLow
        Fewer than ``-delta`` pieces are free.
    KeyReused
        The key came with another adjustment before.
    """
    _known_warehouse(desk, warehouse_id)
    asked = Movement.asked(key, "adjustment", warehouse_id, {sku: delta}, reason, by, desk.now)
    for _ in range(ATTEMPTS):
        shelves = _shelves(desk, sku, warehouse_id)
        rows = to_shards(delta, shelves, CHUNK, asked.movement_id) if delta > 0 else off_shards(-delta, shelves)
        recorded = desk.store.movement(asked.movement_id) if rows is None else _record(desk, asked, rows)
        if recorded is not None:
            return _settle(desk, _same_request(asked, recorded))
        if rows is None:
            raise StockTooLow(fields=[FieldError("delta", "out-of-range", "less is on hand")])
    raise Contended(f"{sku}: others were faster {ATTEMPTS} times")


def shard(desk: Desk, key: str, by: str, sku: str, warehouse_id: str, shards: int) -> Movement:
    """Lay what is on hand of a SKU evenly on ``shards`` shards, so that many orders at once can take of it.

    What is reserved stays where it is and goes back there. Receipts are spread over as many shards from now on.

    Raises
    ------
    WarehouseUnknown, StockUnknown
        There is no such warehouse, or it never had the SKU.
    ShardsNeverFewer
        There are more than ``shards``.
    KeyReused
        The key came with another request before.
    """
    _known_warehouse(desk, warehouse_id)
    asked = Movement.asked(key, "sharding", warehouse_id, {sku: 0}, str(shards), by, desk.now)
    for _ in range(ATTEMPTS):
        shelves = _shelves(desk, sku, warehouse_id)
        fewer = len(shelves) > shards
        recorded = (
            desk.store.movement(asked.movement_id)
            if fewer
            else _record(desk, asked, evened(shelves, shards), shards=shards)
        )
        if recorded is not None:
            return _settle(desk, _same_request(asked, recorded))
        if fewer:
            raise ShardsNeverFewer(fields=[FieldError("shards", "out-of-range", f"there are {len(shelves)}")])
    raise Contended(f"{sku}: others were faster {ATTEMPTS} times")


def receive_replenishment(desk: Desk, key: str, by: str, replenishment_id: str, quantity: int) -> Movement:
    """Take in what purchasing was asked for, or a part of it, and wake orders that wait for it.

    More than was asked for is taken in too; the replenishment is closed when all has come.

    Raises
    ------
    ReplenishmentUnknown, ReplenishmentClosed
        There is no such one, or nothing is outstanding.
    KeyReused
        The key came with another receipt before.
    """
    sku, warehouse_id, number = read_replenishment_id(replenishment_id)
    asked = Movement.asked(key, "replenishment", warehouse_id, {sku: quantity}, replenishment_id, by, desk.now)
    for _ in range(ATTEMPTS):
        before = desk.store.replenishment(sku, warehouse_id, number)
        if before is None:
            raise ReplenishmentUnknown(replenishment_id)
        if not before.is_open:
            known = desk.store.movement(asked.movement_id)
            if known is None:
                raise ReplenishmentClosed(replenishment_id)
            return _settle(desk, _same_request(asked, known))
        try:
            closes = before, replace(before, received=before.received + quantity)
            recorded = desk.store.record(asked, _incoming(desk, asked), closes=closes)
        except TransactionFailed:
            continue
        return _settle(desk, _same_request(asked, recorded))
    raise Contended(f"{replenishment_id}: others were faster {ATTEMPTS} times")


def stock(desk: Desk, sku: str) -> list[Level]:
    """Return the levels of a SKU by warehouse.

    Raises
    ------
    StockUnknown
        It was never received.
    """
    levels = desk.store.levels(sku)
    if not levels:
        raise StockUnknown(sku)
    return levels


def open_replenishments(desk: Desk, limit: int, start: Item | None) -> tuple[list[Replenishment], Item | None]:
    """Return a page of open replenishments, the oldest first, and where the next one starts."""
    return desk.store.open_replenishments(limit, start)


def sweep(desk: Desk, older_than: timedelta) -> int:
    """Finish what was begun before ``older_than`` ago and has nobody at it: pending reservations go back whole,
    releases and receipts are carried through to the last order they wake, and purchasing is asked for those who
    joined a queue just after it was asked for others.

    Returns
    -------
    int
        Things found.

    Raises
    ------
    SweepIncomplete
        Some could not be finished; the others were.
    """
    now, before = desk.now, rfc3339(desk.clock.now() - older_than)
    finish: dict[Open, Callable[[Desk, str, str], None]] = {
        Open.RESERVATION: _finish_reservation,
        Open.MOVEMENT: _finish_movement,
        Open.QUEUE: lambda desk, sku, _: desk.queues.ask_for(sku),
    }
    # Nobody is at a queue: it need not grow old.
    since = {Open.RESERVATION: before, Open.MOVEMENT: before, Open.QUEUE: now}
    found = [(kind, name) for kind in finish for name in desk.store.unfinished(kind, since[kind])]
    oldest = desk.store.oldest(Open.REPLENISHMENT)
    waits = desk.clock.now() - parse(oldest) if oldest else timedelta(0)
    telemetry.record({Figure.HALF_DONE: len(found)}, {Figure.LONGEST_REPLENISHMENT: int(waits.total_seconds())})
    failed = 0
    for kind, name in found:
        try:
            finish[kind](desk, name, before)
        except Exception:  # noqa: BLE001 (the boundary of a batch: one must not keep the sweep from the others)
            telemetry.logger().exception("not finished", extra={"of": name})
            failed += 1
    if failed:
        raise SweepIncomplete(f"{failed} of {len(found)}")
    return len(found)


def _finish_reservation(desk: Desk, name: str, before: str) -> None:
    reservation = desk.store.reservation(name)
    # The index is behind the table: what is at rest, or was begun anew, is none of the sweep's business.
    if reservation is None or reservation.open_since is None or reservation.open_since >= before:
        return
    if reservation.state in (State.RELEASING, State.RELEASED):
        release(desk, name)
    else:
        _undo(desk, reservation)


def _finish_movement(desk: Desk, name: str, before: str) -> None:
    movement = desk.store.movement(name)
    if movement is not None and movement.open_since is not None and movement.open_since < before:
        _settle(desk, movement)


def _take(desk: Desk, order: Order, seen: Seen, nearest: Sequence[str]) -> Reservation | None:
    """Return the order's new reservation, or None if others were faster."""
    now = desk.now
    fulfilments = from_shards(allocate(order.lines, seen.free, nearest), seen.shelves, order.order_id)
    reservation = Reservation(order.order_id, secrets.token_hex(6), State.HELD, fulfilments, now)
    try:
        if len(chunks(reservation.rows)) == 1:
            desk.store.hold(reservation)
            return reservation
        reservation = replace(reservation, state=State.PENDING, open_since=now)
        desk.store.begin(reservation)
    except (TransactionFailed, ConditionFailed):
        return None
    return _carry_on(desk, reservation)


def _carry_on(desk: Desk, reservation: Reservation | None) -> Reservation | None:
    """Bring a reservation that is under way to rest: held, released, or gone (None).

    Any number of callers may do so at once: each step is conditional on the one before, and whoever finds that
    another has done it goes on from there.
    """
    while reservation is not None and reservation.state in MOVES:
        steps = reservation.steps()
        if steps:
            reservation = _step(desk, reservation, *steps[0])
        elif reservation.state is State.ABANDONING:
            desk.queues.wake({row.sku for row in reservation.rows}, reservation.attempt)
            desk.store.forget(reservation)
            return None
        else:
            rest = State.HELD if reservation.state is State.PENDING else State.RELEASED
            reservation = desk.store.change(reservation, reservation.to(rest, desk.now))
    return reservation


def _step(desk: Desk, reservation: Reservation, label: str, rows: Rows) -> Reservation | None:
    try:
        return desk.store.move(reservation, reservation.did(label), rows, MOVES[reservation.state])
    except StockTaken:
        if reservation.state is not State.PENDING:
            raise  # what was reserved is not there: the books are wrong
        return desk.store.change(reservation, reservation.to(State.ABANDONING, desk.now))


def _undo(desk: Desk, reservation: Reservation) -> Reservation | None:
    """Bring a reservation to rest without making it held."""
    found: Reservation | None = reservation
    if reservation.state is State.PENDING:
        found = desk.store.change(reservation, reservation.to(State.ABANDONING, desk.now))
    return _carry_on(desk, found)


def _give_back(desk: Desk, reservation: Reservation) -> None:
    rows = reservation.held_rows
    if len(chunks(rows)) == 1:
        # Both in one version: the state and the record of what went back are one change.
        after = replace(reservation.to(State.RELEASED, desk.now).did("u0"), version=reservation.version + 1)
        desk.store.move(reservation, after, rows, Move.RELEASE)
    else:
        desk.store.change(reservation, reservation.to(State.RELEASING, desk.now))


def _close(desk: Desk, order_id: str, seen: Seen) -> None:
    # Nothing was reserved, and nothing may be by a task that is late. Those behind it in a queue may move up.
    now = desk.now
    open_since = now if seen.waiting else None
    closed = Reservation(order_id, secrets.token_hex(6), State.RELEASED, (), now, open_since=open_since)
    try:
        desk.store.begin(closed)
    except ConditionFailed:
        return


def _known_warehouse(desk: Desk, warehouse_id: str) -> None:
    if warehouse_id not in desk.warehouses.ids:
        raise WarehouseUnknown(fields=[FieldError("warehouse_id", "unknown", "there is no such warehouse")])


def _shelves(desk: Desk, sku: str, warehouse_id: str) -> Rows:
    shelves = desk.store.shelves([sku], [warehouse_id])
    if not shelves:
        raise StockUnknown(f"{sku} in {warehouse_id}")
    return shelves


def _incoming(desk: Desk, asked: Movement) -> Rows:
    """Return the shards that what comes in is put on; as many of each SKU as go into the one transaction."""
    # Shards only become more: an older number of them names some of those that there are.
    shelves = desk.store.shelves(asked.quantities, [asked.warehouse_id], consistent=False)
    rows: Rows = {}
    for sku, pieces in asked.quantities.items():
        of_it = [row for row in shelves if row.sku == sku] or [Row(sku, asked.warehouse_id)]
        rows |= to_shards(pieces, of_it, CHUNK // len(asked.quantities), asked.movement_id)
    return rows


def _record(desk: Desk, asked: Movement, rows: Rows, *, shards: int | None = None) -> Movement | None:
    """Return the recorded movement, or None if the stock has changed meanwhile."""
    try:
        return desk.store.record(asked, rows, shards=shards)
    except TransactionFailed:
        return None


def _same_request(asked: Movement, recorded: Movement) -> Movement:
    if asked.digest != recorded.digest:
        raise KeyReused()
    return recorded


def _settle(desk: Desk, movement: Movement) -> Movement:
    if movement.open_since is not None:
        desk.queues.wake(movement.quantities, movement.movement_id)
        desk.store.settle(movement)
    return movement
