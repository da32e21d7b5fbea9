"""A table in memory that can crash, be stepped through and be audited; and a desk that works on it."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import AttributeBase, ConditionBase

from commerce import outbox
from commerce.clock import FixedClock
from commerce.dynamo import (
    Change,
    Check,
    ConditionFailed,
    Contended,
    Item,
    Key,
    Page,
    Put,
    Table,
    TransactionFailed,
    Update,
    dump,
    load,
)
from inventory.model import Order, OrderLine, Reservation, Row, Rows, State, chunks, rows_of
from inventory.service import Desk, receive
from inventory.store import Store, _read_reservation
from inventory.warehouses import Warehouses

WAREHOUSES = Warehouses(
    ("GB-DAV", "DE-DUI", "CN-YIW"),
    {"GB": ("GB-DAV", "DE-DUI", "CN-YIW"), "CN": ("CN-YIW", "DE-DUI", "GB-DAV"), "DE": ("DE-DUI", "GB-DAV", "CN-YIW")},
)
NUMBERS = ["06PM4NXBDTKC", "06PM4NXBDTKD", "06PM4NXBDTKF", "06PM4NXBDTKG", "06PM4NXBDTKH", "06PM4NXBDTKJ"]


LEVELS = ("on_hand", "reserved", "shipped", "received")


class Crash(BaseException):
    """The process died; not an Exception, so that no code can recover from it."""


class MemoryTable(Table):
    """What DynamoDB does, as far as the stores use it: each call is atomic and conditions hold.

    Attributes
    ----------
    crash_at
        Number of the write (from 0) at which the process dies, and whether it dies before or after it.
    contended
        Transactions that are refused before the next one goes through.
    gate
        Called before every operation.
    units
        Write units used: 1 a KB, twice that in a transaction; each write of an index entry 1 more.
    """

    def __init__(self) -> None:
        self.name = "inventory"
        self.items: dict[Key, Item] = {}
        self.events: list[dict[str, Any]] = []
        self.crash_at: tuple[int, bool] | None = None
        self.contended = 0
        self.gate: Callable[[], None] = lambda: None
        self.writes = 0
        self.units = 0
        self.streamed = 0

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        self.gate()
        return _copy(self.items.get(key))

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> dict[Key, Item]:
        self.gate()
        return {key: load(dump(self.items[key])) for key in dict.fromkeys(keys) if key in self.items}

    def put(self, item: Item, *, when: ConditionBase | None = None) -> None:
        self._do([Put(item, when)], single=True)

    def update(self, key: Key, change: Change) -> Item:
        self._do([Update(key, change)], single=True)
        return load(dump(self.items[key]))

    def delete(self, key: Key, *, when: ConditionBase | None = None) -> None:
        self._before()
        found = self.items.get(key)
        if when is not None and not _holds(when, found):
            raise ConditionFailed(_copy(found))
        self.items.pop(key, None)
        self.units += 1
        self._after()

    def put_many(self, items: Sequence[Item]) -> None:
        for item in items:
            self._do([Put(item)], single=True)

    def transact(self, actions: Sequence[Put | Update | Check], *, token: str | None = None) -> None:
        if len(actions) > 100:
            raise AssertionError("a transaction takes 100 actions")
        self._do(actions)

    def query(
        self,
        key: ConditionBase,
        *,
        index: str | None = None,
        only: ConditionBase | None = None,
        limit: int | None = None,
        start: Item | None = None,
        newest_first: bool = False,
        consistent: bool = False,
    ) -> Page:
        self.gate()
        names = ("open_pk", "open_since") if index else ("pk", "sk")
        found = [item for item in self.items.values() if names[0] in item and _holds(key, item)]
        found.sort(key=lambda item: tuple(item[name] for name in (*names, "pk", "sk")), reverse=newest_first)
        if start is not None:
            last = next(at for at, item in enumerate(found) if (item["pk"], item["sk"]) == (start["pk"], start["sk"]))
            found = found[last + 1 :]
        page = found[: limit or len(found)]
        more = {name: page[-1][name] for name in {*names, "pk", "sk"}} if len(page) < len(found) else None
        return Page([load(dump(item)) for item in page], more)

    def _do(self, actions: Sequence[Put | Update | Check], *, single: bool = False) -> None:
        self._before()
        if not single and self.contended:
            self.contended -= 1
            raise Contended
        keys = [_key(action) for action in actions]
        if len(set(keys)) < len(keys):
            raise AssertionError("a transaction takes each item once")
        failed = {
            at: _copy(self.items.get(keys[at]))
            for at, action in enumerate(actions)
            if (when := action.change.when if isinstance(action, Update) else action.when) is not None
            and not _holds(when, self.items.get(keys[at]))
        }
        if failed:
            raise ConditionFailed(failed[0]) if single else TransactionFailed(failed)
        for key, action in zip(keys, actions, strict=True):
            self._apply(key, action, factor=1 if single else 2)
        self._after()

    def _apply(self, key: Key, action: Put | Update | Check, *, factor: int) -> None:
        before = self.items.get(key, {})
        if isinstance(action, Put):
            after = load(dump(action.item))
        elif isinstance(action, Update):
            after = _changed({**before, "pk": key[0], "sk": key[1]}, action.change)
        else:
            return
        self.items[key] = after
        self.units += factor * max(math.ceil(_size(before) / 1024), math.ceil(_size(after) / 1024))
        for one, other in ((before, after), (after, before)):
            # An index entry is put or taken away when its keys change.
            if "open_pk" in one and (one["open_pk"], one["open_since"]) != (
                other.get("open_pk"),
                other.get("open_since"),
            ):
                self.units += 1
        if "outbox" in after:
            self.streamed += 1
            self.events += outbox.unpack(after["outbox"], "record")

    def _before(self) -> None:
        self.gate()
        if self.crash_at == (self.writes, False):
            raise Crash
        self.writes += 1

    def _after(self) -> None:
        if self.crash_at == (self.writes - 1, True):
            raise Crash

    def told(self, name: str) -> list[dict[str, Any]]:
        """Return the details of the events of one type so far."""
        return [event["detail"] for event in self.events if event["type"] == name]


class World:
    """A desk on a table in memory, and the books that must always balance."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.clock = FixedClock(datetime(2026, 11, 23, 6, 0, tzinfo=UTC))
        self.desk = Desk(Store(self.table, WAREHOUSES.ids), WAREHOUSES, self.clock, timedelta(days=7))
        self._keys = 0

    def tick(self) -> None:
        self.clock.move(timedelta(seconds=1))

    def stock(self, warehouse_id: str, /, **quantities: int) -> None:
        """Receive what is needed, any number of SKUs."""
        for at in range(0, len(quantities), 99):
            self._keys += 1
            part = dict(list(quantities.items())[at : at + 99])
            receive(self.desk, f"stock-{self._keys}", "tests", warehouse_id, part, "")

    def level(self, sku: str, warehouse_id: str = "GB-DAV") -> tuple[int, int, int, int]:
        """Return on_hand, reserved, shipped, received."""
        of = [item for key, item in self.table.items.items() if is_stock(key, sku) and key[1] == warehouse_id]
        on_hand, reserved, shipped, received = (sum(item[name] for item in of) for name in LEVELS)
        return on_hand, reserved, shipped, received

    def shelves(self, sku: str, warehouse_id: str = "GB-DAV") -> list[int]:
        """Return what is on hand on each shard."""
        shelves = self.desk.store.shelves([sku], [warehouse_id])
        return [shelves[row] for row in sorted(shelves)]

    def reservation(self, order_id: str) -> Reservation | None:
        return _read_reservation(_copy(self.table.items.get((f"RESERVATION#{order_id}", "RESERVATION"))))

    def queued(self, sku: str) -> list[str]:
        """Return the orders in a queue, in its order."""
        lanes = [key for key in self.table.items if key[0].split("#")[:2] == ["WAITING", sku] and key[1] != "-"]
        return [self.table.items[key]["order_id"] for key in sorted(lanes, key=lambda key: key[1])]

    def audit(self) -> None:
        """Compare every stock row with what the reservations say they took, gave back and shipped."""
        reserved: Counter[Row] = Counter()
        shipped: Counter[Row] = Counter()
        for (_, sk), item in list(self.table.items.items()):
            if sk == "RESERVATION":
                reservation = _read_reservation(_copy(item))
                assert reservation is not None
                reserved.update(_reserved(reservation))
                shipped.update(_shipped(reservation))
        for (pk, sk), item in list(self.table.items.items()):
            if pk.startswith("STOCK#"):
                _, sku, *shard = pk.split("#")
                row = Row(sku, sk, int(shard[0]) if shard else 0)
                first = self.table.items[f"STOCK#{sku}", sk]
                assert row.shard < first.get("shards", 1), "a shard that nobody looks at"
                levels = [item[name] for name in LEVELS]
                assert min(levels) >= 0, (row, item)
                assert sum(levels[:3]) == levels[3], (row, item)
                assert (item["reserved"], item["shipped"]) == (reserved.pop(row, 0), shipped.pop(row, 0)), (row, item)
        assert not +reserved, "held without stock"
        assert not +shipped, "shipped without stock"


def is_stock(key: Key, sku: str) -> bool:
    """Whether an item is a stock row of a SKU, on whatever shard."""
    return key[0].split("#")[:2] == ["STOCK", sku]


def _shipped(reservation: Reservation) -> Counter[Row]:
    gone: Counter[Row] = Counter()
    for one in reservation.fulfilments:
        for number, rows in enumerate(chunks(rows_of([one]))):
            if f"s{one.number}.{number}" in reservation.progress:
                gone.update(rows)
    return gone


def _reserved(reservation: Reservation) -> Counter[Row]:
    def of(prefix: str, rows: Rows) -> Counter[Row]:
        total: Counter[Row] = Counter()
        for number, chunk in enumerate(chunks(rows)):
            if f"{prefix}{number}" in reservation.progress:
                total.update(chunk)
        return total

    if reservation.state in (State.PENDING, State.ABANDONING):
        return of("r", reservation.rows) - of("u", reservation.rows)
    return Counter(reservation.rows) - _shipped(reservation) - of("u", reservation.held_rows)


class Steps:
    """Runs calls in threads, one table operation at a time, in an order that the caller chooses."""

    def __init__(self, table: MemoryTable, calls: Sequence[Callable[[], object]]) -> None:
        self.results: list[object] = [None] * len(calls)
        self._main = threading.Semaphore(0)
        self._turns = [threading.Semaphore(0) for _ in calls]
        self._alive = set(range(len(calls)))
        self._me = threading.local()
        table.gate = self._wait
        self._threads = [
            threading.Thread(target=self._run, args=(at, call), daemon=True) for at, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()
            self._main.acquire()

    @property
    def alive(self) -> list[int]:
        """Calls that have not returned."""
        return sorted(self._alive)

    def step(self, at: int) -> None:
        """Let call ``at`` do its next table operation."""
        self._turns[at].release()
        self._main.acquire()

    def _run(self, at: int, call: Callable[[], object]) -> None:
        self._me.at = at
        try:
            self.results[at] = call()
        except Exception as error:  # noqa: BLE001 (a result like any other)
            self.results[at] = error
        self._alive.discard(at)
        self._main.release()

    def _wait(self) -> None:
        at = getattr(self._me, "at", None)
        if at is not None:
            self._main.release()
            self._turns[at].acquire()


def order(number: int, country: str = "GB", /, **quantities: int) -> Order:
    """Return an order of one merchant; ``number`` counts from 0."""
    lines = [OrderLine(line, sku, of, "mer_hearts") for line, (sku, of) in enumerate(quantities.items(), start=1)]
    return Order(NUMBERS[number], country, tuple(lines))


def _copy(item: Item | None) -> Item | None:
    return None if item is None else load(dump(item))


def _key(action: Put | Update | Check) -> Key:
    return (action.item["pk"], action.item["sk"]) if isinstance(action, Put) else action.key


def _changed(item: Item, change: Change) -> Item:
    item |= change.set
    item = {**change.first, **item}
    for name, by in change.add.items():
        item[name] = item.get(name, 0) + by
    for name, values in change.append.items():
        item[name] = [*item.get(name, []), *values]
    for name in (*change.remove, *([] if change.outbox else ["outbox"])):
        item.pop(name, None)
    if change.outbox:
        item["outbox"] = change.outbox
    return load(dump(item))


def _holds(when: ConditionBase, item: Item | None) -> bool:
    built = when.get_expression()
    operator, values = built["operator"], built["values"]
    if operator == "AND":
        return all(_holds(value, item) for value in values)
    if operator == "OR":
        return any(_holds(value, item) for value in values)
    if operator == "NOT":
        return not _holds(values[0], item)
    name = values[0].name if isinstance(values[0], AttributeBase) else str(values[0])
    has = item is not None and name in item
    if operator in ("attribute_exists", "attribute_not_exists"):
        return has == (operator == "attribute_exists")
    if not has or item is None:
        return False
    given, value = item[name], values[1]
    compare: dict[str, Callable[[], bool]] = {
        "=": lambda: bool(given == value),
        ">=": lambda: bool(given >= value),
        ">": lambda: bool(given > value),
        "<": lambda: bool(given < value),
        "contains": lambda: value in given,
    }
    return compare[operator]()


def _size(item: Item) -> int:
    # As DynamoDB counts: names and texts in UTF-8, numbers about half their digits, 3 a list or map and 1 an element.
    def of(value: Any) -> int:
        if isinstance(value, str):
            return len(value.encode())
        if isinstance(value, bytes):
            return len(value)
        if isinstance(value, dict):
            return 3 + sum(len(name) + 1 + of(one) for name, one in value.items())
        if isinstance(value, list):
            return 3 + sum(1 + of(one) for one in value)
        return len(str(value)) // 2 + 2

    return sum(len(name) + of(value) for name, value in item.items())


def interleavings(steps: Steps, choose: Callable[[list[int]], int]) -> Iterator[int]:
    """Yield after every step, chosen by ``choose`` among the calls that go on, until all have returned."""
    while steps.alive:
        at = choose(steps.alive)
        steps.step(at)
        yield at
