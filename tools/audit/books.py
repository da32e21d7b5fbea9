"""The tables as an auditor reads them: items sorted into what they are, nothing interpreted twice.

The formats are those that the stores document (``functions/<context>/store.py``); they are read here by code of the
auditor's own, so that a mistake in a store does not excuse itself.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Item = Mapping[str, Any]
Tables = Mapping[str, Sequence[Item]]
"""Context (``orders``, ``inventory``, ..., ``vault``) -> its items, numbers as int, binaries as bytes."""

Row = tuple[str, str]
"""SKU and warehouse."""

Shelf = tuple[str, str, int]
"""SKU, warehouse and shard."""

CHUNK = 99
"""Stock rows that one transaction of a reservation moves."""

_RANKS = {"allocated": 0, "dispatched": 1, "out_for_delivery": 2, "delivered": 3}


@dataclass(frozen=True)
class Finding:
    """Something that does not balance.

    Attributes
    ----------
    invariant
        Which one is broken; a key of `tools.audit.INVARIANTS`.
    subject
        What it is about: an order number, a SKU and warehouse, a waybill, ...
    says
        What was found, with its figures.
    """

    invariant: str
    subject: str
    says: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}: {self.says}"


@dataclass(frozen=True)
class Fact:
    """An entry of a timeline; ``about`` is the number of the fulfilment it concerns, or empty."""

    name: str
    detail: str
    at: datetime
    source: str
    about: str


@dataclass(frozen=True)
class Shipment:
    """What an order's header says of a fulfilment; ``rank`` counts from allocated (0) to delivered (3)."""

    number: int
    rank: int
    warehouse: str
    carrier: str
    waybill: str


@dataclass(frozen=True)
class Order:
    """A header and its lines.

    Attributes
    ----------
    lines
        Number -> (SKU, quantity, what it costs in minor units).
    """

    id: str
    head: Item
    lines: Mapping[int, tuple[str, int, int]]
    facts: Sequence[Fact]
    shipments: Mapping[int, Shipment]

    @property
    def status(self) -> str:
        return str(self.head["status"])

    @property
    def buyer(self) -> str:
        return str(self.head.get("buyer") or self.head["customer_id"])

    @property
    def total(self) -> int:
        return int(self.head["total"])

    @property
    def least_rank(self) -> int:
        """How far the slowest shipment is; -1 without any."""
        return min((one.rank for one in self.shipments.values()), default=-1)

    @property
    def touched(self) -> datetime:
        """When something last happened to it."""
        return max(one.at for one in self.facts)

    def has(self, name: str) -> bool:
        """Return whether the timeline tells it."""
        return any(one.name == name for one in self.facts)


@dataclass(frozen=True)
class Reservation:
    """A reservation and what it moves.

    Attributes
    ----------
    parts
        Fulfilment number -> its lines as (line, SKU, quantity, warehouse, shard).
    """

    order_id: str
    item: Item
    parts: Mapping[int, Sequence[tuple[int, str, int, str, int]]]

    @property
    def state(self) -> str:
        return str(self.item["state"])

    @property
    def done(self) -> frozenset[str]:
        """Labels of the transactions that moved stock."""
        return frozenset(self.item["progress"])

    def shipped(self) -> Counter[Shelf]:
        """Return the pieces that have left."""
        gone: Counter[Shelf] = Counter()
        for number in self.parts:
            for at, chunk in enumerate(self._chunks([number])):
                if f"s{number}.{at}" in self.done:
                    gone.update(chunk)
        return gone

    def has_left(self, number: int) -> bool:
        """Return whether all of a fulfilment has left."""
        return all(f"s{number}.{at}" in self.done for at, _ in enumerate(self._chunks([number])))

    def reserved(self) -> Counter[Shelf]:
        """Return the pieces that are held back for it now."""
        every = list(enumerate(self._chunks(self.parts)))
        if self.state == "pending":
            return _sum(chunk for at, chunk in every if f"r{at}" in self.done)
        if self.state == "abandoning":
            return _sum(chunk for at, chunk in every if f"r{at}" in self.done and f"u{at}" not in self.done)
        if self.state == "held":
            return _sum(chunk for _, chunk in every) - self.shipped()
        begun = [number for number in self.parts if any(label.startswith(f"s{number}.") for label in self.done)]
        leaving = _sum(self._chunks(begun)) - self.shipped()
        if self.state == "released":
            return leaving
        still = list(enumerate(self._chunks([number for number in self.parts if number not in begun])))
        return leaving + _sum(chunk for at, chunk in still if f"u{at}" not in self.done)

    def _chunks(self, numbers: Iterable[int]) -> list[dict[Shelf, int]]:
        rows: Counter[Shelf] = Counter()
        for number in numbers:
            for _, sku, quantity, warehouse, shard in self.parts[number]:
                rows[sku, warehouse, shard] += quantity
        ordered = sorted(rows.items())
        return [dict(ordered[at : at + CHUNK]) for at in range(0, len(ordered), CHUNK)]


@dataclass(frozen=True)
class Books:
    """Everything that is on record.

    Attributes
    ----------
    now
        When the tables were read.
    slack
        How long something may be on its way from one table to another before it is missing.
    erasures
        Subject -> its tombstone.
    claims
        Customer and order number.
    vault, profiles
        Subject -> its item in the tables ``vault`` and ``customers``.
    unknown
        Items that no context documents.
    """

    now: datetime
    slack: timedelta
    orders: Mapping[str, Order]
    torn: Sequence[str]
    keys: Sequence[Item]
    tokens: Mapping[str, Mapping[str, Item]]
    offers: Mapping[Row, Item]
    stock: Mapping[Shelf, Item]
    reservations: Mapping[str, Reservation]
    waiting: Mapping[str, Item]
    marks: Mapping[str, Item]
    places: Sequence[Item]
    replenishments: Mapping[str, Item]
    movements: Sequence[Item]
    payments: Mapping[str, Item]
    slips: Mapping[str, Mapping[int, Item]]
    stops: Mapping[str, Item]
    parcels: Mapping[str, Item]
    notices: Mapping[str, frozenset[tuple[str, str]]]
    products: Mapping[str, Item]
    erasures: Mapping[str, Item]
    claims: Sequence[tuple[str, str]]
    vault: Mapping[str, Item]
    profiles: Mapping[str, Item]
    unknown: Sequence[tuple[str, Item]] = field(default_factory=list)

    def rests(self, order: Order) -> bool:
        """Return whether nothing of the order can be on its way any more."""
        return self.now - order.touched > self.slack

    def erased(self, subject: str) -> bool:
        """Return whether nothing that is somebody's has to be there any more."""
        return subject in self.erasures and self.erasures[subject]["state"] != "asked"


def moment(text: str) -> datetime:
    """Return an RFC 3339 text as a moment in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def read(tables: Tables, now: datetime, slack: timedelta) -> Books:
    """Sort the items of all tables.

    Parameters
    ----------
    now
        When they were read.
    slack
        See `Books`.
    """
    sorter = _Sorter()
    for context in ("orders", "inventory", "payments", "shipping", "notifications", "catalog", "customers", "vault"):
        for item in tables.get(context, ()):
            if not getattr(sorter, f"_{context}")(str(item["pk"]), str(item["sk"]), item):
                sorter.unknown.append((context, item))
    return sorter.books(now, slack)


class _Sorter:
    def __init__(self) -> None:
        self.heads: dict[str, Item] = {}
        self.pages: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self.tokens: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self.keys: list[Item] = []
        self.offers: dict[Row, Item] = {}
        self.stock: dict[Shelf, Item] = {}
        self.reservations: dict[str, Reservation] = {}
        self.waiting: dict[str, Item] = {}
        self.marks: dict[str, Item] = {}
        self.places: list[Item] = []
        self.replenishments: dict[str, Item] = {}
        self.movements: list[Item] = []
        self.payments: dict[str, Item] = {}
        self.slips: defaultdict[str, dict[int, Item]] = defaultdict(dict)
        self.stops: dict[str, Item] = {}
        self.parcels: dict[str, Item] = {}
        self.notices: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self.products: dict[str, Item] = {}
        self.erasures: dict[str, Item] = {}
        self.claims: list[tuple[str, str]] = []
        self.vault: dict[str, Item] = {}
        self.profiles: dict[str, Item] = {}
        self.unknown: list[tuple[str, Item]] = []

    def _orders(self, pk: str, sk: str, item: Item) -> bool:
        kind, _, name = pk.partition("#")
        if kind == "KEY":
            self.keys.append(item)
        elif kind == "OFFER":
            self.offers[name, sk] = item
        elif kind == "CLAIM":
            self.claims.append((name, sk))
        elif kind == "ERASED":
            self.erasures[sk] = item
        elif kind == "ORDER" and sk == "HEAD":
            self.heads[name] = item
        elif kind == "ORDER" and sk.startswith("REV#"):
            self.pages[name][sk] = item
        elif kind == "ORDER" and sk.startswith("WAIT#"):
            self.tokens[name][sk.removeprefix("WAIT#")] = item
        elif kind == "PACE":
            pass  # how many orders a buyer placed in a window: it goes by itself
        else:
            return False
        return True

    def _inventory(self, pk: str, sk: str, item: Item) -> bool:
        kind, _, name = pk.partition("#")
        if kind == "STOCK":
            sku, _, shard = name.partition("#")
            self.stock[sku, sk, int(shard or 0)] = item
        elif kind == "RESERVATION" and sk == "WAITING":
            self.waiting[name] = item
        elif kind == "RESERVATION":
            self.reservations[name] = Reservation(name, item, _parts(item["fulfilments"]))
        elif kind == "WAITING":
            if sk == "-":
                self.marks[name] = item
            else:
                self.places.append(item)
        elif kind == "REPLENISHMENT":
            self.replenishments[f"{name}_{item['warehouse_id']}_{item['number']}"] = item
        elif kind == "MOVEMENT":
            self.movements.append(item)
        else:
            return False
        return True

    def _payments(self, pk: str, sk: str, item: Item) -> bool:
        if not pk.startswith("ORDER#") or sk != "PAYMENTS":
            return False
        self.payments[pk.removeprefix("ORDER#")] = item
        return True

    def _shipping(self, pk: str, sk: str, item: Item) -> bool:
        kind, _, name = pk.partition("#")
        if kind == "WAYBILL":
            self.parcels[name] = item
        elif kind == "ORDER" and sk == "STOPPED":
            self.stops[name] = item
        elif kind == "ORDER" and sk.startswith("SLIP#"):
            self.slips[name][int(sk.removeprefix("SLIP#"))] = item
        else:
            return False
        return True

    def _notifications(self, pk: str, _sk: str, item: Item) -> bool:
        reader = "PURCHASING" if pk == "PURCHASING" else pk.removeprefix("BUYER#")
        if reader == pk != "PURCHASING" or "kind" not in item:
            return False
        self.notices[reader].add((str(item["kind"]), str(item["about"])))
        return True

    def _catalog(self, pk: str, _sk: str, item: Item) -> bool:
        kind, _, name = pk.partition("#")
        if kind == "PRODUCT":
            self.products[name] = item
        return kind in ("PRODUCT", "MERCHANT", "PUBLISH")

    def _customers(self, pk: str, sk: str, item: Item) -> bool:
        kind, _, name = pk.partition("#")
        if kind != "CUSTOMER" or sk != "PROFILE":
            return False
        self.profiles[name] = item
        return True

    def _vault(self, pk: str, sk: str, item: Item) -> bool:
        self.vault[pk] = item
        return sk == "KEY"

    def books(self, now: datetime, slack: timedelta) -> Books:
        orders: dict[str, Order] = {}
        torn = sorted(self.pages.keys() - self.heads.keys())
        for name, head in self.heads.items():
            pages = self.pages[name]
            first = pages.get(f"REV#{head['revision']:04d}")
            if first is None or len(pages) < first["pages"]:
                torn.append(name)
            lines = [line for _, page in sorted(pages.items()) for line in page["lines"]]
            orders[name] = Order(
                name,
                head,
                {line[0]: (line[1], line[2], _cost(line)) for line in lines},
                list(_facts(head)),
                {int(number): _shipment(int(number), text) for number, text in head.get("shipments", {}).items()},
            )
        return Books(
            now=now,
            slack=slack,
            orders=orders,
            torn=torn,
            keys=self.keys,
            tokens=self.tokens,
            offers=self.offers,
            stock=self.stock,
            reservations=self.reservations,
            waiting=self.waiting,
            marks=self.marks,
            places=self.places,
            replenishments=self.replenishments,
            movements=self.movements,
            payments=self.payments,
            slips=self.slips,
            stops=self.stops,
            parcels=self.parcels,
            notices={reader: frozenset(told) for reader, told in self.notices.items()},
            products=self.products,
            erasures=self.erasures,
            claims=self.claims,
            vault=self.vault,
            profiles=self.profiles,
            unknown=self.unknown,
        )


def _cost(line: Sequence[Any]) -> int:
    _, _, _, _, _, charged, discount, shipping, tax, _, inclusive = line[:11]
    return int(charged) + int(discount) + int(shipping) + (0 if inclusive else int(tax))


def _facts(head: Item) -> Iterator[Fact]:
    placed = moment(head["placed_at"])
    for text in head["timeline"]:
        fact, millis, source, about = text.split("|")
        name, _, detail = fact.partition(":")
        yield Fact(name, detail, placed + timedelta(milliseconds=int(millis)), source, about)


def _shipment(number: int, text: str) -> Shipment:
    status, warehouse, _, carrier, waybill = text.split("|")
    return Shipment(number, _RANKS[status], warehouse, carrier, waybill)


def _parts(packed: bytes) -> dict[int, list[tuple[int, str, int, str, int]]]:
    # A line names its shard where that is not shard 0.
    return {
        number: [(line, sku, quantity, warehouse, *(shard or [0])) for line, sku, quantity, *shard in lines]
        for number, warehouse, _, lines in json.loads(zlib.decompress(packed))
    }


def _sum(chunks: Iterable[Mapping[Shelf, int]]) -> Counter[Shelf]:
    total: Counter[Shelf] = Counter()
    for chunk in chunks:
        total.update(chunk)
    return total
