"""The shipping table.

=========================  ===============  ==========================================================
pk                         sk               item
=========================  ===============  ==========================================================
``ORDER#<order id>``       ``SLIP#<n>``     a slip; its outbox carries ShipmentDispatched
``ORDER#<order id>``       ``STOPPED``      how far the stopping of the order's slips is
``WAYBILL#<carrier>#<w>``  ``PARCEL``       a parcel; its outbox carries what its scans caused
=========================  ===============  ==========================================================

Index ``queue`` (``queue_pk``, ``queue_sk``; keys only): the open slips of a warehouse, oldest first,
over `SHARDS` partitions, because one would take no more than 1,000 writes a second. A slip's key in
it never changes while it is open, so it costs one write when it is released and one when it goes.

Writes are paid by the KB, outbox included, so lines and scans are packed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from boto3.dynamodb.conditions import Attr, Key

from commerce import dynamo
from commerce.clock import parse
from commerce.dynamo import Change, ConditionFailed, Contended, Item, Table, TransactionFailed, Update
from shipping.model import OPEN, Line, Slip, SlipId, SlipState, StopMark, sources
from shipping.tracking import Parcel, Scan, Status, milliseconds, moment_text

INDEX = "queue"
SHARDS = 4
_PARCEL = "PARCEL"
_MARK = "STOPPED"
_V = 1

_LETTERS = {
    Status.INFORMATION_RECEIVED: "i",
    Status.PICKED_UP: "p",
    Status.IN_TRANSIT: "t",
    Status.AT_CUSTOMS: "c",
    Status.OUT_FOR_DELIVERY: "o",
    Status.ATTEMPTED: "a",
    Status.AWAITING_COLLECTION: "w",
    Status.EXCEPTION: "x",
    Status.CANCELLED: "n",
    Status.LOST: "l",
    Status.DELIVERED: "d",
    Status.RETURNING: "r",
    Status.RETURNED: "e",
}
_BY_LETTER = {letter: status for status, letter in _LETTERS.items()}
_UNKNOWN = "?"
"""Goes before a status that we do not know, which may be a single letter too."""


class ShippingStore:
    """`shipping.service.Store` on DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, slip: Slip) -> None:
        try:
            self._table.put(_slip_item(slip), when=Attr("pk").not_exists())
        except ConditionFailed:
            return  # released before: wherever it has got to since is right

    def slip(self, slip_id: SlipId) -> Slip | None:
        item = self._table.get(_slip_key(slip_id))
        return _slip(item) if item else None

    def move(self, slip: Slip, outbox: str | None = None) -> Slip:
        try:
            return _slip(self._table.update(_slip_key(slip.id), _move(slip, outbox)))
        except ConditionFailed as error:
            if error.item is None:
                raise
            return _slip(error.item)

    def slips(self, order_id: str, *, consistent: bool = True) -> list[Slip]:
        key = Key("pk").eq(_order(order_id)) & Key("sk").begins_with("SLIP#")
        items = self._table.query_all(key, consistent=consistent)
        return sorted((_slip(item) for item in items), key=lambda slip: slip.id.number)

    def queue(self, warehouse_id: str, after: str, limit: int) -> tuple[list[Slip], str | None]:
        places: list[Item] = []
        for shard in range(SHARDS):
            key = Key("queue_pk").eq(f"{warehouse_id}#{shard}") & Key("queue_sk").gt(after or "0")
            places += self._table.query(key, index=INDEX, limit=limit + 1).items
        places.sort(key=lambda place: str(place["queue_sk"]))
        more = places[limit - 1]["queue_sk"] if len(places) > limit else None
        keys = [(place["pk"], place["sk"]) for place in places[:limit]]
        found = self._table.get_many(keys)
        slips = [_slip(found[key]) for key in keys if key in found]
        return [slip for slip in slips if slip.state in OPEN], more

    def stop_mark(self, order_id: str) -> StopMark | None:
        item = self._table.get((_order(order_id), _MARK))
        return StopMark(item["state"]) if item else None

    def ask_stop(self, order_id: str) -> None:
        mark = {"pk": _order(order_id), "sk": _MARK, "v": _V, "state": StopMark.ASKED.value}
        try:
            self._table.put(mark, when=Attr("pk").not_exists())
        except ConditionFailed:
            return  # asked before, or stopped already

    def withdraw_stop(self, order_id: str) -> None:
        try:
            self._table.delete((_order(order_id), _MARK), when=Attr("state").eq(StopMark.ASKED.value))
        except ConditionFailed:
            return  # withdrawn before

    def stop_all(self, order_id: str, slips: Sequence[Slip]) -> bool:
        marked = Attr("state").is_in([mark.value for mark in StopMark])
        mark = Change(set={"state": StopMark.STOPPED.value}, when=marked)
        moves = [Update(_slip_key(slip.id), _move(slip, None)) for slip in slips]
        try:
            self._table.transact([Update((_order(order_id), _MARK), mark), *moves])
        except (TransactionFailed, Contended):  # a slip has moved, or is moving: to be looked at again
            return False
        return True

    def add_parcel(self, parcel: Parcel) -> Parcel:
        try:
            self._table.put(_parcel_item(parcel), when=Attr("pk").not_exists())
        except ConditionFailed as error:
            if error.item is None:
                raise
            return _parcel(error.item)
        return parcel

    def forget_parcel(self, carrier: str, waybill: str) -> None:
        self._table.delete(_parcel_key(carrier, waybill))

    def parcel(self, carrier: str, waybill: str) -> Parcel | None:
        item = self._table.get(_parcel_key(carrier, waybill))
        return _parcel(item) if item else None

    def parcels(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Parcel]:
        found = self._table.get_many([_parcel_key(*key) for key in keys])
        parcels = [_parcel(item) for item in found.values()]
        return {(parcel.carrier, parcel.waybill): parcel for parcel in parcels}

    def save(self, parcel: Parcel, outbox: str | None) -> bool:
        change = Change(
            set={"version": parcel.version, "scans": pack_scans(parcel.scans), "told": _letters(parcel.told)},
            when=Attr("version").eq(parcel.version - 1),
            outbox=outbox,
        )
        try:
            self._table.update(_parcel_key(parcel.carrier, parcel.waybill), change)
        except ConditionFailed:
            return False
        return True


def pack_scans(scans: Sequence[Scan]) -> bytes:
    """Return scans, which are in the order of their moments, as raw DEFLATE (RFC 1951) of JSON rows.

    A row is ``[status, milliseconds since the row before, offset, place, text, heard?]``.
    """
    before = [0, *(scan.moment for scan in scans)]
    rows = [
        [
            _LETTERS[Status(scan.status)] if scan.known else _UNKNOWN + scan.status,
            scan.moment - since,
            scan.offset,
            scan.place,
            scan.text,
            *([] if scan.heard is None else [scan.heard]),
        ]
        for scan, since in zip(scans, before, strict=False)
    ]
    raw = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflate.compress(raw) + deflate.flush()


def unpack_scans(packed: bytes) -> tuple[Scan, ...]:
    """Return what `pack_scans` packed."""
    rows: list[list[Any]] = json.loads(zlib.decompress(packed, wbits=-zlib.MAX_WBITS))
    moments = accumulate(row[1] for row in rows)
    return tuple(
        Scan(
            status=word[1:] if word.startswith(_UNKNOWN) else _BY_LETTER[word].value,
            moment=moment,
            offset=offset,
            place=place,
            text=text,
            heard=heard[0] if heard else None,
        )
        for moment, (word, _, offset, place, text, *heard) in zip(moments, rows, strict=True)
    )


def _order(order_id: str) -> str:
    return f"ORDER#{order_id}"


def _slip_key(slip_id: SlipId) -> dynamo.Key:
    return _order(slip_id.order_id), f"SLIP#{slip_id.number}"


def _parcel_key(carrier: str, waybill: str) -> dynamo.Key:
    return f"WAYBILL#{carrier}#{waybill}", _PARCEL


def _move(slip: Slip, outbox: str | None) -> Change:
    """Return the change that brings a slip into its state, under the condition that it may come there."""
    news = {
        "carrier": slip.carrier,
        "waybill": slip.waybill,
        "packed_at": slip.packed_at,
        "dispatched_at": slip.dispatched_at,
        "stopped_at": slip.stopped_at,
    }
    return Change(
        set={"state": slip.state.value, **{name: value for name, value in news.items() if value is not None}},
        remove=() if slip.state in OPEN else ("queue_pk", "queue_sk"),
        when=Attr("state").is_in([state.value for state in sources(slip.state)]),
        outbox=outbox,
    )


def _slip_item(slip: Slip) -> Item:
    pk, sk = _slip_key(slip.id)
    shard = zlib.crc32(str(slip.id).encode()) % SHARDS
    return {
        "pk": pk,
        "sk": sk,
        "v": _V,
        "queue_pk": f"{slip.warehouse_id}#{shard}",
        "queue_sk": f"{slip.released_at}#{slip.id}",
        "state": slip.state.value,
        "buyer": slip.buyer,
        "locale": slip.locale,
        "country": slip.country,
        "warehouse_id": slip.warehouse_id,
        "merchant_id": slip.merchant_id,
        "of": slip.of,
        "lines": ",".join(f"{line.line}:{line.sku}:{line.quantity}" for line in slip.lines),
        "value": slip.value,
        "released_at": slip.released_at,
    }


def _slip(item: Item) -> Slip:
    lines = (line.split(":") for line in item["lines"].split(","))
    return Slip(
        id=SlipId(item["pk"].removeprefix("ORDER#"), int(item["sk"].removeprefix("SLIP#"))),
        buyer=item["buyer"],
        locale=item["locale"],
        country=item["country"],
        warehouse_id=item["warehouse_id"],
        merchant_id=item["merchant_id"],
        of=item["of"],
        lines=tuple(Line(int(line), sku, int(quantity)) for line, sku, quantity in lines),
        released_at=item["released_at"],
        value=item.get("value"),
        state=SlipState(item["state"]),
        carrier=item.get("carrier"),
        waybill=item.get("waybill"),
        packed_at=item.get("packed_at"),
        dispatched_at=item.get("dispatched_at"),
        stopped_at=item.get("stopped_at"),
    )


def _parcel_item(parcel: Parcel) -> Item:
    pk, sk = _parcel_key(parcel.carrier, parcel.waybill)
    return {
        "pk": pk,
        "sk": sk,
        "v": _V,
        "slip": parcel.slip_id,
        "packed_at": milliseconds(parse(parcel.packed_at)),
        "version": parcel.version,
    }


def _parcel(item: Item) -> Parcel:
    _, carrier, waybill = item["pk"].split("#")
    return Parcel(
        carrier=carrier,
        waybill=waybill,
        slip_id=item["slip"],
        packed_at=moment_text(item["packed_at"]),
        scans=unpack_scans(item["scans"]) if "scans" in item else (),
        told=tuple(_BY_LETTER[letter] for letter in item.get("told", "")),
        version=item["version"],
    )


def _letters(told: Sequence[Status]) -> str:
    return "".join(_LETTERS[status] for status in told)
