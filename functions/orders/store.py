"""The orders table: the only module that speaks to it.

=====================  ===============  ==========================================================
pk                     sk               what
=====================  ===============  ==========================================================
``ORDER#<number>``     ``HEAD``         the header, all that changes
``ORDER#<number>``     ``REV#<n>``      a revision: sealed address, first page of lines; immutable
``ORDER#<number>``     ``REV#<n>#<p>``  further pages of its lines
``ORDER#<number>``     ``WAIT#<what>``  the token of what the execution waits for
``KEY#<scope>``        ``<key>``        which order an Idempotency-Key made, as long as the order or its buyer
``PACE#<buyer>``       ``<since>``      orders placed since then, in a window of the buyer's; goes by itself
``CLAIM#<customer>``   ``<number>``     a guest's order that the customer claimed
``ERASED``             ``<subject>``    the tombstone of a person whose erasure was asked for: ids and times
``OFFER#<sku>``        ``<currency>``   this context's copy of an offer
=====================  ===============  ==========================================================

Index ``customer`` lists a customer's orders; index ``open`` (sparse, sharded) lists open orders by
what their clock runs for, and erasures that are not done. Both are keys-only: the headers are read by
batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.conditions import Key as KeyIs

from commerce import outbox
from commerce.clock import parse, rfc3339
from commerce.dynamo import (
    BadPosition,
    Change,
    Check,
    ConditionFailed,
    Item,
    Page,
    Put,
    Table,
    TransactionFailed,
    Update,
)
from commerce.events import Event, Offer
from commerce.vault import Closed
from orders.model import (
    ERASURE_TRANSITIONS,
    STAGES,
    Charges,
    Entry,
    Erasure,
    ErasureState,
    Line,
    NoSuchOrder,
    NumberTaken,
    Order,
    Revision,
    Shipment,
    Stage,
    Status,
    Wait,
)
from orders.service.ports import Changed, Clocks, Key, KeyUsed, OrderList, Window, WindowFull

SHARDS = 8
"""Partitions of each stage in the index ``open``: 8,000 changes a second each way."""

GLANCE = 25
"""Clocks that a sweep reads of a partition at once: less than the 4 KB that half a read unit pays for."""

HEADERS_AT_ONCE = 100
"""Of a person's orders, when all are gone through: as many as one call may read."""

LINES_A_PAGE = 100
"""Lines in one item: about 6 KB, and the largest order's pages still fit one transaction."""


_ERASED = "ERASED"
_PENDING = "erasure"


class DynamoOrders:
    """`orders.service.ports.Orders`, `Offers` and `Erasures` over the orders table.

    Parameters
    ----------
    table
        The orders table.
    vault
        Name of the table ``vault``, for the one write that depends on it: `save_claim`.
    """

    def __init__(self, table: Table, vault: str | None = None) -> None:
        self._table = table
        self._vault = vault

    def add(
        self, order: Order, revision: Revision, key: Key, events: Sequence[Event], window: Window | None = None
    ) -> None:
        pages = [revision.lines[at : at + LINES_A_PAGE] for at in range(0, len(revision.lines), LINES_A_PAGE)]
        first = {
            "pk": _pk(order.order_id),
            "sk": _rev(revision.number),
            "v": 1,
            "subject": revision.subject,
            "sealed": revision.sealed,
            "price_list": revision.price_list,
            "pages": len(pages),
            "time_zone": revision.time_zone,
            "lines": [_line_item(line) for line in pages[0]],
        }
        more = [
            {
                "pk": _pk(order.order_id),
                "sk": _rev(revision.number, at),
                "v": 1,
                "lines": [_line_item(line) for line in page],
            }
            for at, page in enumerate(pages[1:], 2)
        ]
        used: Item = {"pk": f"KEY#{key.scope}", "sk": key.key, "v": 1, "order_id": order.order_id, "digest": key.digest}
        try:
            self._table.transact(
                [
                    Put(used, Attr("pk").not_exists()),
                    Put(_header_item(order, events), Attr("pk").not_exists()),
                    Put(first),
                    *(Put(page) for page in more),
                    *([_counted(window)] if window else []),
                ]
            )
        except TransactionFailed as error:
            if 0 in error.failed:
                raise _key_used(error.failed[0] or self._table.get((used["pk"], used["sk"])) or used) from error
            if 1 in error.failed:
                raise NumberTaken() from error
            raise WindowFull from error

    def key_used(self, key: Key) -> KeyUsed | None:
        found = self._table.get((f"KEY#{key.scope}", key.key))
        return _key_used(found) if found else None

    def get(self, order_id: str) -> Order:
        found = self._table.get((_pk(order_id), "HEAD"))
        if found is None:
            raise NoSuchOrder()
        return _order(found)

    def revision(self, order_id: str, number: int) -> Revision:
        first = self._table.get((_pk(order_id), _rev(number)), consistent=False)
        if first is None:  # written before the caller can know of it, so only a lagging replica has none
            first = self._table.get((_pk(order_id), _rev(number)))
        if first is None:
            raise NoSuchOrder()
        lines = [*first["lines"]]
        if first["pages"] > 1:
            wanted = KeyIs("pk").eq(_pk(order_id)) & KeyIs("sk").begins_with(_rev(number) + "#")
            for page in self._table.query_all(wanted, consistent=True):
                lines += page["lines"]
        return Revision(
            number,
            first["subject"],
            first["sealed"],
            first["price_list"],
            first["time_zone"],
            [_line(one) for one in lines],
        )

    def save(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        try:
            self._table.update((_pk(before.order_id), "HEAD"), _change(before, after, events))
        except ConditionFailed as error:
            raise Changed() from error

    def save_claim(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        if self._vault is None:
            raise ValueError("claims depend on the vault")
        owner = after.customer_id
        claim: Item = {"pk": f"CLAIM#{owner}", "sk": after.order_id, "v": 1}
        try:
            self._table.transact(
                [
                    Update((_pk(before.order_id), "HEAD"), _change(before, after, events)),
                    Put(claim),
                    Check((owner, "KEY"), Attr("erasure").not_exists(), self._vault),
                ]
            )
        except TransactionFailed as error:
            raise (Closed() if 2 in error.failed else Changed()) from error

    def put_wait(self, order_id: str, wait: Wait, token: str, events: Sequence[Event]) -> None:
        item = {"pk": _pk(order_id), "sk": _wait(wait), "v": 1, "token": token, "outbox": outbox.pack(*events)}
        self._table.put(item)

    def token(self, order_id: str, wait: Wait) -> str | None:
        found = self._table.get((_pk(order_id), _wait(wait)))
        return found["token"] if found else None

    def of_customer(self, customer_id: str, limit: int, position: dict[str, str] | None) -> OrderList:
        page = self._table.query(
            KeyIs("customer_id").eq(customer_id), index="customer", limit=limit, start=position, newest_first=True
        )
        return self._list(page)

    def open(self, stage: Stage, limit: int, position: dict[str, str] | None) -> OrderList:
        shard = _shard(position) if position else 0
        start = {name: value for name, value in position.items() if name != "shard"} if position else None
        page = self._table.query(
            KeyIs("open_pk").eq(f"{stage}#{shard}"), index="open", limit=limit, start=start or None
        )
        found = self._list(page)
        if page.next is not None:
            return OrderList(found.orders, {**{k: str(v) for k, v in page.next.items()}, "shard": str(shard)})
        return OrderList(found.orders, {"shard": str(shard + 1)} if shard + 1 < SHARDS else None)

    def clocks(self, stage: Stage, now: datetime) -> Clocks:
        overdue: list[str] = []
        firsts: list[datetime] = []
        for shard in range(SHARDS):
            wanted = KeyIs("open_pk").eq(f"{stage}#{shard}")
            for at, item in enumerate(self._table.query_all(wanted, index="open", limit=GLANCE)):
                due = parse(item["due"])
                if at == 0:
                    firsts.append(due)
                if due >= now:
                    break
                overdue.append(item["pk"].removeprefix("ORDER#"))
        return Clocks(overdue, min(firsts, default=None))

    def find(self, skus: Iterable[str], currency: str) -> dict[str, Offer]:
        found = self._table.get_many([(f"OFFER#{sku}", currency) for sku in skus])
        return {item["sku"]: Offer.model_validate(item) for item in found.values()}

    def put(self, offer: Offer) -> None:
        item = {"pk": f"OFFER#{offer.sku}", "sk": offer.currency, "v": 1, **offer.model_dump(mode="json")}
        try:
            self._table.put(item, when=Attr("pk").not_exists() | Attr("version").lt(offer.version))
        except ConditionFailed:
            return  # a newer version is there already

    def owned_by(self, customer_id: str) -> Iterator[Order]:
        ids = {item["order_id"] for item in self._partition(f"KEY#{customer_id}")}
        ids |= {item["sk"] for item in self._partition(f"CLAIM#{customer_id}")}
        # Claims that are older than their own items are in the index alone, which has had the time to catch up.
        indexed = self._table.query_all(KeyIs("customer_id").eq(customer_id), index="customer")
        ids |= {item["pk"].removeprefix("ORDER#") for item in indexed}
        keys = [(_pk(order_id), "HEAD") for order_id in sorted(ids)]
        for at in range(0, len(keys), HEADERS_AT_ONCE):
            headers = self._table.get_many(keys[at : at + HEADERS_AT_ONCE], consistent=True)
            orders = (_order(item) for item in headers.values())
            yield from (order for order in orders if order.customer_id == customer_id)

    def ask_erasure(self, erasure: Erasure) -> Erasure:
        try:
            self._table.put(_erasure_item(erasure), when=Attr("pk").not_exists())
        except ConditionFailed as error:
            if error.item is None:
                raise
            return _erasure(error.item)
        return erasure

    def erasure(self, subject: str) -> Erasure | None:
        found = self._table.get((_ERASED, subject))
        return _erasure(found) if found else None

    def move_erasure(self, before: Erasure, after: Erasure, events: Sequence[Event] = ()) -> Erasure:
        if after.state is not before.state and after.state not in ERASURE_TRANSITIONS[before.state]:
            raise ValueError(f"{before.state} erasures do not become {after.state}")
        moved = replace(after, version=before.version + 1)
        as_before = Attr("version").eq(before.version) & Attr("state").eq(before.state.value)
        try:
            self._table.put(_erasure_item(moved, events), when=as_before)
        except ConditionFailed as error:
            raise Changed() from error
        return moved

    def hold_erasure(self, subject: str) -> bool:
        held = Change(add={"version": 1}, when=Attr("state").eq(ErasureState.ASKED.value))
        try:
            self._table.update((_ERASED, subject), held)
        except ConditionFailed:
            return False
        return True

    def repeat_erasure(self, erasure: Erasure) -> Erasure:
        self._table.put(_erasure_item(erasure))
        return erasure

    def pending_erasures(self) -> Iterator[str]:
        for item in self._table.query_all(KeyIs("open_pk").eq(_PENDING), index="open"):
            yield item["sk"]

    def tombstones(self) -> Iterator[Erasure]:
        for item in self._partition(_ERASED):
            yield _erasure(item)

    def forget_keys(self, scope: str, key: str = "") -> None:
        keys = [key] if key else [item["sk"] for item in self._partition(f"KEY#{scope}")]
        for one in keys:
            self._table.delete((f"KEY#{scope}", one))

    def _partition(self, pk: str) -> Iterator[Item]:
        return self._table.query_all(KeyIs("pk").eq(pk), consistent=True)

    def _list(self, page: Page) -> OrderList:
        keys = [(item["pk"], "HEAD") for item in page.items]
        headers = self._table.get_many(keys, consistent=True)
        orders = [_order(headers[key]) for key in keys if key in headers]
        return OrderList(orders, {k: str(v) for k, v in page.next.items()} if page.next else None)


def _shard(position: Mapping[str, str]) -> int:
    shard = position.get("shard", "")
    if shard not in {str(one) for one in range(SHARDS)}:
        raise BadPosition
    return int(shard)


def _pk(order_id: str) -> str:
    return f"ORDER#{order_id}"


def _rev(number: int, page: int = 1) -> str:
    return f"REV#{number:04d}" + (f"#{page:04d}" if page > 1 else "")


def _counted(window: Window) -> Update:
    """Count one more order in the window, if it has room."""
    change = Change(
        add={"orders": 1},
        set={"ttl": round(window.until.timestamp())},
        when=Attr("orders").not_exists() | Attr("orders").lt(window.orders),
    )
    return Update((f"PACE#{window.buyer}", rfc3339(window.since)), change)


def _wait(wait: Wait) -> str:
    return f"WAIT#{wait}"


def _change(before: Order, after: Order, events: Sequence[Event]) -> Change:
    old, new = _header_item(before, ()), _header_item(after, ())
    told = [_entry_text(entry, after.placed_at) for entry in after.timeline[len(before.timeline) :]]
    return Change(
        set={
            **{name: value for name, value in new.items() if name != "timeline" and old.get(name) != value},
            "version": before.version + 1,
        },
        append={"timeline": told} if told else {},
        remove=[name for name in old if name not in new],
        when=Attr("version").eq(before.version) & Attr("status").eq(before.status.value),
        outbox=outbox.pack(*events),
    )


def _key_used(item: Mapping[str, Any]) -> KeyUsed:
    return KeyUsed(item["order_id"], item["digest"])


def _header_item(order: Order, events: Sequence[Event]) -> Item:
    item: Item = {
        "pk": _pk(order.order_id),
        "sk": "HEAD",
        "v": 1,
        "status": order.status.value,
        "currency": order.currency,
        "total": order.total,
        "line_count": order.line_count,
        "locale": order.locale,
        "country": order.country,
        "placed_at": rfc3339(order.placed_at),
        "version": order.version,
        "revision": order.revision,
        "timeline": [_entry_text(entry, order.placed_at) for entry in order.timeline],
    }
    if order.buyer != order.customer_id:
        item["buyer"] = order.buyer
    if order.customer_id:
        item |= {"customer_id": order.customer_id, "number": order.order_id}
    if order.started_at:
        item["started_at"] = order.started_at
    if order.payment_id:
        item["payment_id"] = order.payment_id
    if order.woken:
        item["woken"] = order.woken
    if order.shipments:
        item["shipments"] = {_suffix(one.fulfilment_id): _shipment_text(one) for one in order.shipments.values()}
    if order.due is not None:
        shard = zlib.crc32(order.order_id.encode()) % SHARDS
        item |= {"open_pk": f"{STAGES[order.status]}#{shard}", "due": rfc3339(order.due)}
    if events:
        item["outbox"] = outbox.pack(*events)
    return item


def _erasure_item(erasure: Erasure, events: Sequence[Event] = ()) -> Item:
    item: Item = {
        "pk": _ERASED,
        "sk": erasure.subject,
        "v": 1,
        "state": erasure.state.value,
        "version": erasure.version,
        "asked_at": erasure.asked_at,
        "order_id": erasure.order_id or None,
        "waits_for": erasure.waits_for or None,
        "erased_at": erasure.erased_at or None,
        "outbox": outbox.pack(*events),
    }
    if erasure.state is not ErasureState.ERASED:
        item |= {"open_pk": _PENDING, "due": erasure.asked_at}
    return item


def _erasure(item: Mapping[str, Any]) -> Erasure:
    return Erasure(
        subject=item["sk"],
        asked_at=item["asked_at"],
        state=ErasureState(item["state"]),
        order_id=item.get("order_id", ""),
        waits_for=item.get("waits_for", ""),
        erased_at=item.get("erased_at", ""),
        version=item["version"],
    )


def _order(item: Mapping[str, Any]) -> Order:
    order_id = item["pk"].removeprefix("ORDER#")
    shipments = [_shipment(order_id, suffix, text) for suffix, text in sorted(item.get("shipments", {}).items())]
    return Order(
        order_id=order_id,
        status=Status(item["status"]),
        buyer=item.get("buyer") or item["customer_id"],
        customer_id=item.get("customer_id", ""),
        currency=item["currency"],
        total=item["total"],
        line_count=item["line_count"],
        locale=item["locale"],
        country=item["country"],
        placed_at=parse(item["placed_at"]),
        due=parse(item["due"]) if "due" in item else None,
        started_at=item.get("started_at", ""),
        payment_id=item.get("payment_id", ""),
        woken=item.get("woken", 0),
        version=item["version"],
        revision=item["revision"],
        shipments={one.fulfilment_id: one for one in shipments},
        timeline=tuple(_entry(order_id, parse(item["placed_at"]), text) for text in item["timeline"]),
    )


# A header of one write unit (1 KB) has no room for attribute names: facts and shipments are packed texts.


def _entry_text(entry: Entry, placed_at: datetime) -> str:
    millis = round((entry.at - placed_at) / timedelta(milliseconds=1))
    return f"{entry.fact}|{millis}|{entry.source}|{_suffix(entry.about)}"


def _entry(order_id: str, placed_at: datetime, text: str) -> Entry:
    fact, millis, source, suffix = text.split("|")
    at = placed_at + timedelta(milliseconds=int(millis))
    return Entry(fact, at, source, f"{order_id}-{suffix}" if suffix else "")


def _shipment_text(one: Shipment) -> str:
    return f"{one.status}|{one.warehouse_id}|{one.merchant_id}|{one.carrier}|{one.waybill}"


def _shipment(order_id: str, suffix: str, text: str) -> Shipment:
    status, warehouse_id, merchant_id, carrier, waybill = text.split("|")
    return Shipment(f"{order_id}-{suffix}", warehouse_id, merchant_id, status, carrier, waybill)


def _suffix(fulfilment_id: str) -> str:
    return fulfilment_id.rpartition("-")[2]


# A line is a list by position, without names: a hundred lines are 6 KB and not 20. Positions are only ever added.


def _line_item(line: Line) -> list[Any]:
    charges = line.charges
    return [
        line.line,
        line.sku,
        line.quantity,
        line.unit_price,
        line.merchant_id,
        charges.item,
        charges.discount,
        charges.shipping,
        charges.tax,
        charges.tax_rate_bp,
        charges.tax_inclusive,
    ]


def _line(item: Sequence[Any]) -> Line:
    line, sku, quantity, unit_price, merchant_id, charged, discount, shipping, tax, rate, inclusive = item[:11]
    charges = Charges(charged, rate, inclusive, tax, discount, shipping)
    return Line(line, sku, quantity, unit_price, merchant_id, charges)
