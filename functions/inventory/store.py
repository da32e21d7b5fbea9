"""The table ``inventory``; nothing else speaks to it.

=====================  =======================  ==============================================================
pk                     sk                       what
=====================  =======================  ==============================================================
STOCK#<sku>            <warehouse>              levels of shard 0, and how many shards there are (none said: one)
STOCK#<sku>#<shard>    <warehouse>              levels of another shard
RESERVATION#<order>    RESERVATION              allocation, state and progress of one order
RESERVATION#<order>    WAITING                  what the order is short of, and since when
WAITING#<sku>          -                        marks a SKU that orders have waited for, so that a receipt of
                                                a hundred SKUs asks once which queues to look at; says how many
                                                lanes the queue has (none said: one)
WAITING#<sku>          <since>#<order>          an order's place in the queue, in its lane 0
WAITING#<sku>#<lane>   <since>#<order>          the same in another lane
REPLENISHMENT#<sku>    <warehouse>#<number>     what purchasing is asked for
MOVEMENT#<id>          MOVEMENT                 a receipt or adjustment, and its Idempotency-Key
=====================  =======================  ==============================================================

The sparse index ``open`` (``open_pk``, ``open_since``) has reservations and movements with something left to do,
queues for which purchasing is to be asked, and open replenishments.

A SKU that many want at once has more than one shard, and its queue as many lanes, each a partition key of its own; its
pieces go back to the shard that they came from. Shards and lanes only ever become more, so that whoever read an older
number finds nothing that is not there.
"""

from __future__ import annotations

import heapq
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from commerce import outbox
from commerce.dynamo import (
    Change,
    ConditionFailed,
    Contended,
    Item,
    Put,
    Table,
    TransactionFailed,
    Update,
)
from commerce.dynamo import Key as ItemKey
from commerce.events import Event
from inventory.model import (
    EFFECTS,
    AllocatedLine,
    Fulfilment,
    Level,
    Mark,
    Move,
    Movement,
    Open,
    Place,
    Replenishment,
    Reservation,
    Row,
    Rows,
    Seen,
    State,
    StockTaken,
    Waiting,
    drawn,
    free_of,
)

T = TypeVar("T")

INDEX = "open"

_MARK = "-"  # sorts before every time


class Store:
    """Stock, reservations, queues, replenishments and movements.

    Parameters
    ----------
    table
        The table ``inventory``.
    warehouses
        Every warehouse.
    """

    def __init__(self, table: Table, warehouses: Sequence[str]) -> None:
        self._table = table
        self._warehouses = tuple(warehouses)

    # stock

    def levels(self, sku: str) -> list[Level]:
        """Return what every warehouse has of ``sku`` on all its shards; none for one that was never received."""
        first = {_row(item): item for item in self._table.query_all(Key("pk").eq(f"STOCK#{sku}"))}
        others = self._table.get_many([_stock_key(row) for row in _others(first)])
        items: dict[str, list[Item]] = {}
        for item in (*first.values(), *others.values()):
            items.setdefault(item["sk"], []).append(item)
        names = ("on_hand", "reserved", "shipped", "received")
        return [Level(at, *(sum(item[name] for item in of) for name in names)) for at, of in items.items()]

    def free(self, skus: Iterable[str]) -> dict[str, int]:
        """Return SKU -> pieces on hand in all warehouses, as of now."""
        total = dict.fromkeys(skus, 0)
        for (sku, _), on_hand in free_of(self.shelves(total)).items():
            total[sku] += on_hand
        return total

    def shelves(self, skus: Iterable[str], warehouses: Sequence[str] | None = None, *, consistent: bool = True) -> Rows:
        """Return what is on hand of ``skus`` on every shard there is; in all warehouses without ``warehouses``."""
        keys = self._rows(skus, self._warehouses if warehouses is None else warehouses)
        return self._on_hand(self._table.get_many(keys, consistent=consistent), consistent=consistent)

    def look(self, order_id: str, skus: Iterable[str] = ()) -> Seen:
        """Return an order's reservation and place in the queue, and what is on hand of ``skus``, as of now."""
        reservation, waiting = _reservation_key(order_id), _waiting_key(order_id)
        found = self._table.get_many([reservation, waiting, *self._rows(skus, self._warehouses)], consistent=True)
        return Seen(
            _read_reservation(found.pop(reservation, None)),
            _read_waiting(found.pop(waiting, None)),
            self._on_hand(found),
        )

    @staticmethod
    def _rows(skus: Iterable[str], warehouses: Sequence[str]) -> list[ItemKey]:
        return [_stock_key(Row(sku, at)) for sku in skus for at in warehouses]

    def _on_hand(self, found: Mapping[ItemKey, Item], *, consistent: bool = True) -> Rows:
        first = {_row(item): item for item in found.values()}
        others = {row: _stock_key(row) for row in _others(first)}
        # Only a SKU that has more shards costs a second call.
        more = self._table.get_many(list(others.values()), consistent=consistent) if others else {}
        on_hand = {row: item["on_hand"] for row, item in first.items()}
        return on_hand | {row: more[key]["on_hand"] if key in more else 0 for row, key in others.items()}

    # reservations

    def reservation(self, order_id: str) -> Reservation | None:
        """Return an order's reservation."""
        return _read_reservation(self._table.get(_reservation_key(order_id)))

    def hold(self, reservation: Reservation) -> None:
        """Write a reservation of at most `CHUNK` rows and take its stock, in one transaction.

        Raises
        ------
        TransactionFailed
            Stock has been taken meanwhile, or the order has a reservation.
        """
        put = Put(_write_reservation(reservation), when=Attr("pk").not_exists())
        self._transact([*_moves(reservation.rows, Move.RESERVE), put])

    def begin(self, reservation: Reservation) -> None:
        """Write a reservation that takes no stock yet, or never will.

        Raises
        ------
        ConditionFailed
            The order has one.
        """
        _patient(lambda: self._table.put(_write_reservation(reservation), when=Attr("pk").not_exists()))

    def move(self, before: Reservation, after: Reservation, rows: Rows, move: Move) -> Reservation | None:
        """Move stock and record it in the reservation, in one transaction.

        Returns
        -------
        Reservation or None
            ``after``; or, with nothing moved, the reservation as it is because it is no longer ``before``.

        Raises
        ------
        StockTaken
            A row has too little.
        """
        actions = _moves(rows, move)
        update = Update(_reservation_key(before.order_id), _change(before, after))
        try:
            self._transact([*actions, update])
        except TransactionFailed as error:
            if len(actions) in error.failed:
                return _read_reservation(error.failed[len(actions)])
            raise StockTaken from error
        return after

    def change(self, before: Reservation, after: Reservation) -> Reservation | None:
        """Change a reservation alone; return ``after``, or it as it is if it is no longer ``before``."""
        try:
            _patient(lambda: self._table.update(_reservation_key(before.order_id), _change(before, after)))
        except ConditionFailed as error:
            return _read_reservation(error.item)
        return after

    def forget(self, reservation: Reservation) -> None:
        """Take an abandoned reservation away, unless somebody has."""
        try:
            _patient(lambda: self._table.delete(_reservation_key(reservation.order_id), when=_same(reservation)))
        except ConditionFailed:
            return

    # queues

    def wait(
        self, order_id: str, wants: Mapping[str, int], warehouse_id: str, now: str, shards: Mapping[str, int]
    ) -> Waiting:
        """Put an order in the queues of what it is short of, at its old place if it has one.

        The order's own item is written before its places: a place without it means nothing. Places that it wants no
        longer go before that.

        Parameters
        ----------
        shards
            SKU -> shards of its stock: its queue has as many lanes, and the order stands in one of them.
        """
        before = _read_waiting(self._table.get(_waiting_key(order_id)))
        lanes = {sku: drawn(order_id, shards[sku]) for sku in wants if before is None or sku not in before.wants}
        # First, while the order's own item still names them: what dies in between is done again by the next try.
        if before is not None:
            for sku in before.wants.keys() - wants.keys():
                self._table.delete(_place_key(before, sku))
            lanes |= {sku: lane for sku, lane in before.lanes.items() if sku in wants}
        # It is about to look at the stock: what has woken it so far is used up.
        change = Change(
            first={"since": now, "v": 1},
            set={
                "wants": dict(wants),
                "warehouse_id": warehouse_id,
                "lanes": {sku: lane for sku, lane in lanes.items() if lane},
            },
            remove=("woken",),
        )
        waiting = _read_waiting(self._table.update(_waiting_key(order_id), change))
        if waiting is None:
            raise AssertionError("an update answers with the item")
        marks = self.marks(wants)
        for sku in wants:
            if sku not in marks or marks[sku].lanes < shards[sku]:
                self._mark(sku, shards[sku])
        self._table.put_many([_write_place(waiting, sku) for sku in wants])
        return waiting

    def _mark(self, sku: str, lanes: int) -> None:
        try:
            self._table.update(_mark_key(sku), Change(set={"lanes": lanes}, when=~Attr("lanes").gte(lanes)))
        except ConditionFailed:
            return

    def leave(self, waiting: Waiting) -> None:
        """Take an order out of all queues."""
        for sku in waiting.wants:
            self._table.delete(_place_key(waiting, sku))
        self._table.delete(_waiting_key(waiting.order_id))

    def drop(self, place: Place) -> None:
        """Take one place out of its queue."""
        self._table.delete((_lane_pk(place.sku, place.lane), place.at))

    def marks(self, skus: Iterable[str]) -> dict[str, Mark]:
        """Return the marks of those of ``skus`` that orders wait for, or have waited for, as of now."""
        keys = {_mark_key(sku): sku for sku in skus}
        found = self._table.get_many(list(keys), consistent=True)
        return {keys[key]: _read_mark(item) for key, item in found.items()}

    def queue(self, sku: str, lanes: int, *, most: int | None = None, page: int | None = None) -> Iterator[Place]:
        """Yield the places of a queue in fair order, as of now.

        Parameters
        ----------
        lanes
            As its mark says.
        most
            Places at the most.
        page
            Places of a lane that are read at once; as many as go into an answer if left out.
        """
        each = [self._lane(sku, lane, page) for lane in range(lanes)]
        return islice(heapq.merge(*each, key=attrgetter("at")), most)

    def _lane(self, sku: str, lane: int, page: int | None) -> Iterator[Place]:
        of = Key("pk").eq(_lane_pk(sku, lane)) & Key("sk").gt(_MARK)
        for item in self._table.query_all(of, consistent=True, limit=page):
            yield Place(sku, item["sk"], item["order_id"], item["quantity"], lane)

    def wake(self, waiting: Waiting, cause: str, event: Event, now: str) -> bool:
        """Tell an order that it may try again; return False if ``cause`` has woken it already or it left."""
        when = Attr("since").exists() & ~Attr("causes").contains(cause)
        change = Change(append={"causes": [cause]}, set={"woken": now}, outbox=outbox.pack(event), when=when)
        try:
            self._table.update(_waiting_key(waiting.order_id), change)
        except ConditionFailed:
            return False
        return True

    def want_asking(self, sku: str, now: str) -> None:
        """Note in a queue's mark that purchasing is to be asked; nothing is written where it is noted already."""
        mark = self.marks([sku]).get(sku)
        if mark is None or mark.asks:
            return
        noted = {"open_pk": Open.QUEUE.value, "open_since": now}
        try:
            when = Attr("pk").exists() & ~(Attr("open_pk").exists() & Attr("asking").not_exists())
            self._table.update(_mark_key(sku), Change(set=noted, remove=("asking",), when=when))
        except ConditionFailed:
            return

    def begin_asking(self, sku: str, turn: str) -> Mark | None:
        """Begin to ask for all who have joined a queue so far; return its mark, or None if nobody has to be asked for.

        Parameters
        ----------
        turn
            Tells this asking from any other.
        """
        try:
            change = Change(set={"asking": turn}, when=Attr("open_pk").exists())
            return _read_mark(self._table.update(_mark_key(sku), change))
        except ConditionFailed:
            return None

    def end_asking(self, sku: str, turn: str) -> None:
        """Note that purchasing was asked, unless somebody has joined the queue since `begin_asking`."""
        try:
            change = Change(remove=("open_pk", "open_since", "asking"), when=Attr("asking").eq(turn))
            self._table.update(_mark_key(sku), change)
        except ConditionFailed:
            return

    # replenishments

    def replenishments(self, sku: str) -> list[Replenishment]:
        """Return all that was ever asked for of ``sku``, as of now."""
        of = Key("pk").eq(f"REPLENISHMENT#{sku}")
        return [_read_replenishment(item) for item in self._table.query_all(of, consistent=True)]

    def replenishment(self, sku: str, warehouse_id: str, number: int) -> Replenishment | None:
        """Return one replenishment."""
        item = self._table.get(_replenishment_key(sku, warehouse_id, number))
        return _read_replenishment(item) if item else None

    def ask(self, new: Replenishment, before: Replenishment | None, event: Event) -> None:
        """Write a replenishment that is new or has grown.

        Raises
        ------
        ConditionFailed
            It is no longer ``before``.
        """
        key = _replenishment_key(new.sku, new.warehouse_id, new.number)
        packed = outbox.pack(event)
        if before is None:
            item = {
                "pk": key[0],
                "sk": key[1],
                "v": 1,
                "sku": new.sku,
                "warehouse_id": new.warehouse_id,
                "number": new.number,
                "quantity": new.quantity,
                "received": new.received,
                "expected_at": new.expected_at,
                "raised_at": new.raised_at,
                "open_pk": Open.REPLENISHMENT.value,
                "open_since": new.raised_at,
                "outbox": packed,
            }
            self._table.put(item, when=Attr("pk").not_exists())
        else:
            grown = {"quantity": new.quantity, "expected_at": new.expected_at}
            self._table.update(key, Change(set=grown, when=_untouched(before), outbox=packed))

    def open_replenishments(self, limit: int, start: Item | None) -> tuple[list[Replenishment], Item | None]:
        """Return a page of open replenishments, the oldest first, and where the next one starts."""
        page = self._table.query(Key("open_pk").eq(Open.REPLENISHMENT.value), index=INDEX, limit=limit, start=start)
        keys = [(item["pk"], item["sk"]) for item in page.items]
        found = self._table.get_many(keys)
        return [_read_replenishment(found[key]) for key in keys if key in found], page.next

    # movements

    def record(
        self,
        movement: Movement,
        rows: Rows,
        *,
        shards: int | None = None,
        closes: tuple[Replenishment, Replenishment] | None = None,
    ) -> Movement:
        """Move stock by a receipt or adjustment and record it, once, in one transaction.

        Parameters
        ----------
        rows
            Stock row -> pieces that it gets; below zero: gives. At most `CHUNK`.
        shards
            What the SKU's shard 0, which must be among ``rows``, says from now on of how many shards there are.
        closes
            The replenishment that the receipt is for, before and after it.

        Returns
        -------
        Movement
            The one recorded, now or before; the caller compares digests.

        Raises
        ------
        TransactionFailed
            A row has too little or is not there, there are more shards, or the replenishment has changed.
        """
        moves = [Update(_stock_key(row), _gets(row, pieces, movement, shards)) for row, pieces in rows.items()]
        put = Put(_write_movement(movement), when=Attr("pk").not_exists())
        actions: list[Put | Update] = [*moves, put]
        if closes:
            before, after = closes
            gone = () if after.is_open else ("open_pk", "open_since")
            change = Change(set={"received": after.received}, remove=gone, when=_untouched(before))
            actions.append(Update(_replenishment_key(before.sku, before.warehouse_id, before.number), change))
        try:
            self._transact(actions)
        except TransactionFailed as error:
            if len(moves) in error.failed and (known := error.failed[len(moves)]):
                return _read_movement(known)
            raise
        return movement

    def movement(self, movement_id: str) -> Movement | None:
        """Return one movement."""
        item = self._table.get(_movement_key(movement_id))
        return _read_movement(item) if item else None

    def settle(self, movement: Movement) -> None:
        """Note that all who had to be woken because of a movement have been."""
        change = Change(remove=("open_pk", "open_since"), when=Attr("pk").exists())
        self._table.update(_movement_key(movement.movement_id), change)

    # what is half done

    def unfinished(self, kind: Open, before: str) -> list[str]:
        """Return the ids of reservations or movements that have had something left to do since ``before``."""
        of = Key("open_pk").eq(kind.value) & Key("open_since").lt(before)
        return [item["pk"].partition("#")[2] for item in self._table.query_all(of, index=INDEX)]

    def oldest(self, kind: Open) -> str | None:
        """Return since when the oldest of a kind is open, RFC 3339."""
        page = self._table.query(Key("open_pk").eq(kind.value), index=INDEX, limit=1)
        return str(page.items[0]["open_since"]) if page.items else None

    def _transact(self, actions: Sequence[Put | Update]) -> None:
        _patient(lambda: self._table.transact(actions))


def _patient(call: Callable[[], T]) -> T:
    # Conflicts of transactions pass within milliseconds; what takes longer is retried by the caller's caller.
    patience = Retrying(
        retry=retry_if_exception_type(Contended),
        wait=wait_random_exponential(multiplier=0.02, max=0.5),
        stop=stop_after_attempt(6),
        reraise=True,
    )
    return patience(call)


def _moves(rows: Rows, move: Move) -> list[Update]:
    return [Update(_stock_key(row), _effect(move, quantity)) for row, quantity in rows.items()]


def _effect(move: Move, quantity: int) -> Change:
    effect = EFFECTS[move]
    when: ConditionBase | None = None
    for level, sign in effect.items():
        if sign < 0:
            enough = Attr(level).gte(quantity)
            when = enough if when is None else when & enough
    first = {"reserved": 0, "shipped": 0, "v": 1} if move is Move.RECEIVE else {}
    return Change(first=first, add={level: sign * quantity for level, sign in effect.items()}, when=when)


def _gets(row: Row, pieces: int, movement: Movement, shards: int | None) -> Change:
    change = _effect(Move.WRITE_OFF if pieces < 0 else Move.RECEIVE, abs(pieces))
    if row.shard == 0 and movement.kind in ("adjustment", "sharding"):
        # They concern stock that is there; only a receipt brings a SKU into a warehouse.
        there = Attr("pk").exists()
        change = replace(change, when=there if change.when is None else there & change.when)
        if shards is not None and change.when is not None:
            change = replace(change, set={"shards": shards}, when=change.when & ~Attr("shards").gt(shards))
    return change


def _stock_key(row: Row) -> ItemKey:
    return f"STOCK#{row.sku}#{row.shard}" if row.shard else f"STOCK#{row.sku}", row.warehouse_id


def _row(item: Item) -> Row:
    _, sku, *shard = item["pk"].split("#")
    return Row(sku, item["sk"], int(shard[0]) if shard else 0)


def _others(first: Mapping[Row, Item]) -> list[Row]:
    return [row._replace(shard=shard) for row, item in first.items() for shard in range(1, item.get("shards", 1))]


def _lane_pk(sku: str, lane: int) -> str:
    return f"WAITING#{sku}#{lane}" if lane else f"WAITING#{sku}"


def _mark_key(sku: str) -> ItemKey:
    return _lane_pk(sku, 0), _MARK


def _reservation_key(order_id: str) -> ItemKey:
    return f"RESERVATION#{order_id}", "RESERVATION"


def _waiting_key(order_id: str) -> ItemKey:
    return f"RESERVATION#{order_id}", "WAITING"


def _place_key(waiting: Waiting, sku: str) -> ItemKey:
    return _lane_pk(sku, waiting.lanes.get(sku, 0)), f"{waiting.since}#{waiting.order_id}"


def _replenishment_key(sku: str, warehouse_id: str, number: int) -> ItemKey:
    return f"REPLENISHMENT#{sku}", f"{warehouse_id}#{number:06d}"


def _movement_key(movement_id: str) -> ItemKey:
    return f"MOVEMENT#{movement_id}", "MOVEMENT"


def _same(reservation: Reservation) -> ConditionBase:
    return Attr("attempt").eq(reservation.attempt) & Attr("version").eq(reservation.version)


def _untouched(replenishment: Replenishment) -> ConditionBase:
    return Attr("quantity").eq(replenishment.quantity) & Attr("received").eq(replenishment.received)


def _change(before: Reservation, after: Reservation) -> Change:
    changed: Item = {"state": after.state.value, "version": after.version, "progress": list(after.progress)}
    if after.open_since is not None:
        changed |= {"open_pk": Open.RESERVATION.value, "open_since": after.open_since}
    gone = ("open_pk", "open_since") if after.open_since is None and before.open_since is not None else ()
    return Change(set=changed, remove=gone, when=_same(before))


def pack(fulfilments: Sequence[Fulfilment]) -> bytes:
    """Return an allocation as compressed JSON: what it takes is paid for at every change of its item."""
    plain = [
        [one.number, one.warehouse_id, one.merchant_id, [_pack_line(line) for line in one.lines]] for one in fulfilments
    ]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 9)


def _pack_line(line: AllocatedLine) -> list[Any]:
    return [line.line, line.sku, line.quantity, *([line.shard] if line.shard else [])]


def unpack(packed: bytes) -> tuple[Fulfilment, ...]:
    """Return what `pack` packed."""
    return tuple(
        Fulfilment(number, at, merchant, tuple(AllocatedLine(*line) for line in lines))
        for number, at, merchant, lines in json.loads(zlib.decompress(packed))
    )


def _write_reservation(reservation: Reservation) -> Item:
    pk, sk = _reservation_key(reservation.order_id)
    return {
        "pk": pk,
        "sk": sk,
        "v": 1,
        "attempt": reservation.attempt,
        "state": reservation.state.value,
        "version": reservation.version,
        "fulfilments": pack(reservation.fulfilments),
        "progress": list(reservation.progress),
        "since": reservation.since,
        "open_pk": Open.RESERVATION.value if reservation.open_since else None,
        "open_since": reservation.open_since,
    }


def _read_reservation(item: Item | None) -> Reservation | None:
    if item is None:
        return None
    return Reservation(
        order_id=item["pk"].partition("#")[2],
        attempt=item["attempt"],
        state=State(item["state"]),
        fulfilments=unpack(item["fulfilments"]),
        since=item["since"],
        version=item["version"],
        progress=tuple(item["progress"]),
        open_since=item.get("open_since"),
    )


def _read_waiting(item: Item | None) -> Waiting | None:
    if item is None:
        return None
    return Waiting(
        order_id=item["pk"].partition("#")[2],
        since=item["since"],
        wants=item["wants"],
        warehouse_id=item["warehouse_id"],
        causes=tuple(item.get("causes", ())),
        lanes=item.get("lanes", {}),
        woken=item.get("woken", ""),
    )


def _read_mark(item: Item) -> Mark:
    return Mark(lanes=item.get("lanes", 1), asks="open_pk" in item and "asking" not in item)


def _write_place(waiting: Waiting, sku: str) -> Item:
    pk, sk = _place_key(waiting, sku)
    return {"pk": pk, "sk": sk, "v": 1, "order_id": waiting.order_id, "quantity": waiting.wants[sku]}


def _read_replenishment(item: Item) -> Replenishment:
    return Replenishment(
        sku=item["sku"],
        warehouse_id=item["warehouse_id"],
        number=item["number"],
        quantity=item["quantity"],
        received=item["received"],
        expected_at=item["expected_at"],
        raised_at=item["raised_at"],
    )


def _write_movement(movement: Movement) -> Item:
    pk, sk = _movement_key(movement.movement_id)
    return {
        "pk": pk,
        "sk": sk,
        "v": 1,
        "kind": movement.kind,
        "warehouse_id": movement.warehouse_id,
        "quantities": dict(movement.quantities),
        "note": movement.note,
        "by": movement.by,
        "at": movement.at,
        "digest": movement.digest,
        "open_pk": Open.MOVEMENT.value if movement.open_since else None,
        "open_since": movement.open_since,
    }


def _read_movement(item: Item) -> Movement:
    return Movement(
        movement_id=item["pk"].partition("#")[2],
        kind=item["kind"],
        warehouse_id=item["warehouse_id"],
        quantities=item["quantities"],
        note=item["note"],
        by=item["by"],
        at=item["at"],
        digest=item["digest"],
        open_since=item.get("open_since"),
    )
