"""Stock, reservations, queues and replenishments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tools.audit.books import Books, Finding, Item, Reservation, Row, Shelf, moment

LEVELS = ("on_hand", "reserved", "shipped", "received")

STATES = {
    "pending": "r",
    "held": "s",
    "abandoning": "ru",
    "releasing": "su",
    "released": "su",
}
"""State of a reservation -> first letters of the labels that it may bear."""

_AT_REST = ("held",)
_CLOSED = ("cancelled", "expired")
_GONE = ("dispatched", "delivered", "accepted", "completed")


def balances(books: Books) -> Iterator[Finding]:
    for row, item in books.stock.items():
        there = item["on_hand"] + item["reserved"] + item["shipped"]
        if there != item["received"]:
            says = f"{item['on_hand']} on hand + {item['reserved']} reserved + {item['shipped']} shipped = {there}"
            yield Finding("stock-balances", _name(row), f"{says}, but {item['received']} received")


def not_negative(books: Books) -> Iterator[Finding]:
    for row, item in books.stock.items():
        for level in LEVELS:
            if item[level] < 0:
                yield Finding("stock-not-negative", _name(row), f"{level} is {item[level]}")


def received(books: Books) -> Iterator[Finding]:
    came: Counter[Row] = Counter()
    for movement in books.movements:
        for sku, quantity in movement["quantities"].items():
            came[sku, movement["warehouse_id"]] += quantity
    said: Counter[Row] = Counter()
    for (sku, warehouse, _), item in books.stock.items():
        said[sku, warehouse] += item["received"]
    for row in sorted(said.keys() | came.keys()):
        if said[row] != came[row]:
            says = f"received is {said[row]}, but {came[row]} were moved in"
            yield Finding("stock-received", f"{row[0]} in {row[1]}", says)


def shards(books: Books) -> Iterator[Finding]:
    for sku, warehouse, shard in sorted(books.stock):
        first = books.stock.get((sku, warehouse, 0))
        there = first.get("shards", 1) if first else 0
        if shard >= there:
            yield Finding(
                "stock-shards", _name((sku, warehouse, shard)), f"nobody looks there: {there} shards are known"
            )


def reserved(books: Books) -> Iterator[Finding]:
    held: Counter[Shelf] = Counter()
    for reservation in books.reservations.values():
        held.update(reservation.reserved())
    yield from _compare("stock-reserved", books, "reserved", held, "held by reservations")


def shipped(books: Books) -> Iterator[Finding]:
    gone: Counter[Shelf] = Counter()
    for reservation in books.reservations.values():
        gone.update(reservation.shipped())
    yield from _compare("stock-shipped", books, "shipped", gone, "shipped by reservations")


def legal(books: Books) -> Iterator[Finding]:
    for name, reservation in books.reservations.items():
        item = reservation.item
        if reservation.state not in STATES:
            yield Finding("reservation-legal", name, f"{reservation.state} is no state")
            continue
        strange = sorted(label for label in reservation.done if label[0] not in STATES[reservation.state])
        if strange:
            yield Finding("reservation-legal", name, f"{reservation.state} with {', '.join(strange)}")
        if ("open_pk" in item) != ("open_since" in item):
            yield Finding("reservation-legal", name, "half an entry in the index of what is left to do")
        if reservation.state in _AT_REST and "open_pk" in item:
            yield Finding("reservation-legal", name, f"{reservation.state}, and something is left to do")
        if reservation.state not in ("held", "released") and "open_pk" not in item:
            yield Finding("reservation-legal", name, f"{reservation.state}, and nobody would finish it")
        if "open_since" in item and books.now - moment(item["open_since"]) > books.slack:
            yield Finding("reservation-legal", name, f"{reservation.state}, unfinished since {item['open_since']}")


def of_an_order(books: Books) -> Iterator[Finding]:
    for name, reservation in books.reservations.items():
        order = books.orders.get(name)
        if order is None:
            yield Finding("reservation-of-an-order", name, "there is no such order")
            continue
        if reservation.parts:
            yield from _lines(name, reservation, {number: line[:2] for number, line in order.lines.items()})
        if not books.rests(order):
            continue
        kept = sum(reservation.reserved().values())
        if order.status in (*_CLOSED, *_GONE) and kept:
            yield Finding(
                "reservation-of-an-order", name, f"{kept} pieces are held for an order that is {order.status}"
            )
        if order.status in _GONE and reservation.parts.keys() != order.shipments.keys():
            yield Finding("reservation-of-an-order", name, "its fulfilments are not the order's shipments")
        if order.status in ("awaiting_payment", "paid") and reservation.state != "held":
            says = f"the order is {order.status} and its reservation {reservation.state}"
            yield Finding("reservation-of-an-order", name, says)
    for name, order in books.orders.items():
        needed = order.status in ("awaiting_payment", "paid", *_GONE, *_CLOSED)
        if needed and name not in books.reservations and books.rests(order):
            yield Finding("reservation-of-an-order", name, f"{order.status} without a reservation")


def queue_places(books: Books) -> Iterator[Finding]:
    places: set[tuple[str, str]] = set()
    for place in books.places:
        (sku, lane), name = _lane(place), str(place["order_id"])
        lanes = books.marks[sku].get("lanes", 1) if sku in books.marks else 0
        if lane >= lanes:
            yield Finding("queue-place", name, f"stands in lane {lane} of {sku}, of which {lanes} are known")
        places.add((sku, name))
        waits = books.waiting.get(name)
        if waits is None:
            yield Finding("queue-place", name, f"a place in the queue of {sku}, and it does not wait")
        elif (
            f"{waits['since']}#{name}" != place["sk"]
            or waits["wants"].get(sku) != place["quantity"]
            or (waits.get("lanes", {}).get(sku, 0) != lane)
        ):
            yield Finding("queue-place", name, f"another place in the queue of {sku} than its own record says")
    for name, waits in books.waiting.items():
        order = books.orders.get(name)
        if order is None:
            yield Finding("queue-place", name, "waits for stock, and there is no such order")
            continue
        if books.now - moment(waits["since"]) <= books.slack or not books.rests(order):
            continue
        if order.status not in ("received", "awaiting_stock"):
            yield Finding("queue-place", name, f"waits for stock, and the order is {order.status}")
        for sku in waits["wants"]:
            if (sku, name) not in places:
                yield Finding("queue-place", name, f"waits for {sku} without a place in its queue")
    yield from _stranded(books)


def replenishments(books: Books) -> Iterator[Finding]:
    came: Counter[str] = Counter()
    for movement in books.movements:
        if movement["kind"] == "replenishment":
            came[movement["note"]] += sum(movement["quantities"].values())
    for name in came.keys() - books.replenishments.keys():
        yield Finding("replenishment", name, "goods came for it, and there is no such replenishment")
    for name, item in books.replenishments.items():
        if item["received"] != came[name]:
            yield Finding("replenishment", name, f"{item['received']} received, but {came[name]} moved in")
        if (item["received"] < item["quantity"]) != ("open_pk" in item):
            says = "open" if "open_pk" in item else "closed"
            yield Finding("replenishment", name, f"{says} with {item['received']} of {item['quantity']} received")


def _stranded(books: Books) -> Iterator[Finding]:
    # The first in every queue it is in, for whom everything is there, has been forgotten.
    free: Counter[str] = Counter()
    for (sku, _, _), item in books.stock.items():
        free[sku] += item["on_hand"]
    first: dict[str, str] = {}
    for place in sorted(books.places, key=lambda one: str(one["sk"])):
        first.setdefault(_lane(place)[0], str(place["order_id"]))
    for name, waits in books.waiting.items():
        order = books.orders.get(name)
        if order is None or order.status != "awaiting_stock" or not books.rests(order):
            continue
        if all(first.get(sku) == name and free[sku] >= wanted for sku, wanted in waits["wants"].items()):
            short = [sku for sku, wanted in _wanted(order.lines.values()).items() if free[sku] < wanted]
            if not short:
                yield Finding("queue-place", name, "is first everywhere, its goods are there, and nobody woke it")


def _wanted(lines: Iterable[tuple[str, int, int]]) -> Counter[str]:
    wanted: Counter[str] = Counter()
    for sku, quantity, _ in lines:
        wanted[sku] += quantity
    return wanted


def _lines(name: str, reservation: Reservation, lines: dict[int, tuple[str, int]]) -> Iterator[Finding]:
    allocated: Counter[tuple[int, str]] = Counter()
    for parts in reservation.parts.values():
        for line, sku, quantity, _, _ in parts:
            allocated[line, sku] += quantity
    wanted = {(number, sku): quantity for number, (sku, quantity) in lines.items()}
    for one in sorted(wanted.keys() | allocated.keys()):
        if wanted.get(one, 0) != allocated[one]:
            says = f"{allocated[one]} of {wanted.get(one, 0)} pieces of line {one[0]} ({one[1]}) are allocated"
            yield Finding("reservation-of-an-order", name, says)


def _compare(invariant: str, books: Books, level: str, counted: Counter[Shelf], how: str) -> Iterator[Finding]:
    for row in sorted(books.stock.keys() | counted.keys()):
        said = books.stock[row][level] if row in books.stock else 0
        if said != counted[row]:
            yield Finding(invariant, _name(row), f"{level} is {said}, but {counted[row]} were {how}")


def _lane(place: Item) -> tuple[str, int]:
    sku, _, lane = str(place["pk"]).removeprefix("WAITING#").partition("#")
    return sku, int(lane or 0)


def _name(shelf: Shelf) -> str:
    return f"{shelf[0]} in {shelf[1]}" + (f" on shard {shelf[2]}" if shelf[2] else "")
