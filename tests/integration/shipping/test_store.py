"""The shipping table on a simulated DynamoDB: conditions, the queue, sizes and write units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from commerce import events
from commerce.clock import rfc3339
from commerce.dynamo import Table
from commerce.events import ScanReported
from commerce.ids import mint_order_number
from shipping import service
from shipping.carriers import carrier_table
from shipping.model import ShipmentAlreadyDispatched, Slip, SlipId, SlipState, StopMark
from shipping.service import release
from shipping.store import INDEX, ShippingStore
from shipping.tracking import Parcel, Status, read_scans
from tests.integration.conftest import make_table
from tests.unit.shipping.fakes import NOW, ORDER, SLIP, clock, request

pytestmark = pytest.mark.integration

SECOND = SlipId(ORDER, 2)


@pytest.fixture
def table(aws: None) -> Table:
    return Table(make_table("shipping", queue=("queue_pk", "queue_sk")), "shipping")


@pytest.fixture
def store(table: Table) -> ShippingStore:
    return ShippingStore(table)


def held(store: ShippingStore, slip_id: SlipId = SLIP) -> Slip:
    slip = store.slip(slip_id)
    assert slip is not None
    return slip


def packed(store: ShippingStore) -> Slip:
    return service.pack(SLIP, [], store, carrier_table(), clock())


def test_a_slip_is_written_once_and_reads_as_it_was(store: ShippingStore) -> None:
    release(request(lines=3), store, carrier_table(), clock())
    first = held(store)
    assert [(line.line, line.sku, line.quantity) for line in first.lines] == [
        (1, "85121A", 6),
        (2, "85122A", 6),
        (3, "85123A", 6),
    ]
    store.add(replace(first, country="CN"))
    assert held(store) == first


def test_slips_of_an_order_come_by_number(store: ShippingStore) -> None:
    release(request(12), store, carrier_table(), clock())
    assert [slip.id.number for slip in store.slips(ORDER)] == list(range(1, 13))
    store.ask_stop(ORDER)
    assert len(store.slips(ORDER)) == 12


@pytest.mark.parametrize("start", list(SlipState))
@pytest.mark.parametrize("to", [state for state in SlipState if state is not SlipState.RELEASED])
def test_only_moves_of_the_table_are_written(store: ShippingStore, start: SlipState, to: SlipState) -> None:
    release(request(), store, carrier_table(), clock())
    ways = {
        SlipState.RELEASED: (),
        SlipState.PACKED: (SlipState.PACKED,),
        SlipState.DISPATCHED: (SlipState.PACKED, SlipState.DISPATCHED),
        SlipState.STOPPED: (SlipState.STOPPED,),
    }
    for state in ways[start]:
        store.move(replace(held(store), state=state))
    allowed = {
        (SlipState.RELEASED, SlipState.PACKED),
        (SlipState.RELEASED, SlipState.STOPPED),
        (SlipState.PACKED, SlipState.DISPATCHED),
        (SlipState.PACKED, SlipState.STOPPED),
    }
    moved = store.move(replace(held(store), state=to, waybill="G1"))
    assert moved == held(store)
    assert moved.state is (to if (start, to) in allowed else start)
    assert (moved.waybill == "G1") == ((start, to) in allowed)


def test_the_queue_is_paged_over_its_shards_oldest_first(store: ShippingStore) -> None:
    at = clock()
    orders = [mint_order_number(NOW, bits) for bits in range(23)]
    for order in orders:
        release(request(order_id=order), store, carrier_table(), at)
        at.move(timedelta(seconds=1))
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page, after = store.queue("GB-DAV", after, 5)
        assert len(page) <= 5
        found += [slip.id.order_id for slip in page]
    assert found == orders
    assert store.queue("GB", "", 5) == ([], None)
    gone = SlipId(orders[0], 1)
    service.pack(gone, [], store, carrier_table(), at)
    assert store.queue("GB-DAV", "", 1)[0][0].state is SlipState.PACKED
    service.dispatch(gone, store, at)
    service.stop(orders[1], store, carrier_table(), at)
    assert [slip.id.order_id for slip in store.queue("GB-DAV", "", 100)[0]] == orders[2:]
    assert service.queue("GB-DAV", SlipState.PACKED, "", 100, store) == ([], None)


def test_stopping_is_all_or_nothing(store: ShippingStore, table: Table) -> None:
    release(request(2), store, carrier_table(), clock())
    packed(store)
    store.ask_stop(ORDER)
    seen = store.slips(ORDER)
    store.move(replace(held(store), state=SlipState.DISPATCHED))
    assert not store.stop_all(ORDER, [replace(slip, state=SlipState.STOPPED) for slip in seen])
    assert held(store, SECOND).state is SlipState.RELEASED
    assert store.stop_mark(ORDER) is StopMark.ASKED
    with pytest.raises(ShipmentAlreadyDispatched):
        service.stop(ORDER, store, carrier_table(), clock())


def test_a_stop_needs_its_mark_and_the_mark_stays(store: ShippingStore) -> None:
    release(request(2), store, carrier_table(), clock())
    assert not store.stop_all(ORDER, [])
    assert service.stop(ORDER, store, carrier_table(), clock()) == 2
    store.withdraw_stop(ORDER)
    store.ask_stop(ORDER)
    assert store.stop_mark(ORDER) is StopMark.STOPPED
    assert {slip.state for slip in store.slips(ORDER)} == {SlipState.STOPPED}
    assert service.stop(ORDER, store, carrier_table(), clock()) == 2


def test_a_mark_that_was_asked_for_is_withdrawn(store: ShippingStore) -> None:
    store.ask_stop(ORDER)
    store.withdraw_stop(ORDER)
    store.withdraw_stop(ORDER)
    assert store.stop_mark(ORDER) is None


def test_as_many_slips_as_an_order_may_have_are_stopped_as_one(store: ShippingStore) -> None:
    release(request(99, lines=1), store, carrier_table(), clock())
    assert service.stop(ORDER, store, carrier_table(), clock()) == 99


def test_a_parcel_is_written_once_and_over_the_version_before(store: ShippingStore) -> None:
    parcel = Parcel("generic", "G1", str(SLIP), rfc3339(NOW))
    assert store.add_parcel(parcel) == parcel
    assert store.add_parcel(replace(parcel, slip_id=str(SECOND))) == parcel
    scans = tuple(read_scans([events.Scan(status="delivered", at=rfc3339(NOW), place="伦敦", text="已签收")], NOW))
    grown = replace(parcel, scans=scans, told=(Status.DELIVERED,), version=1)
    assert store.save(grown, None)
    assert not store.save(grown, None)
    assert store.parcel("generic", "G1") == grown
    assert store.parcels([("generic", "G1"), ("generic", "G2")]) == {("generic", "G1"): grown}
    store.forget_parcel("generic", "G1")
    store.forget_parcel("generic", "G1")
    assert not store.save(replace(grown, version=2), None)
    assert store.parcel("generic", "G1") is None


class Meter:
    """Counts write units as DynamoDB bills them: by the KB of the larger image, and each change of an index."""

    def __init__(self, client: Any) -> None:
        self.writes: list[tuple[str, int]] = []
        self.outboxes = 0
        self._read = boto3.client("dynamodb")
        self._before: dict[str, Any] = {}
        for name in ("PutItem", "UpdateItem"):
            client.meta.events.register(f"provide-client-params.dynamodb.{name}", self._see)
            client.meta.events.register(f"after-call.dynamodb.{name}", self._count)

    def units(self) -> int:
        return sum(units for _, units in self.writes)

    def _item(self) -> dict[str, Any]:
        found: dict[str, Any] = self._read.get_item(TableName="shipping", Key=self._key).get("Item", {})
        return found

    def _see(self, params: dict[str, Any], **_: Any) -> None:
        given = params.get("Key") or params["Item"]
        self._key = {name: given[name] for name in ("pk", "sk")}
        self._before = self._item()

    def _count(self, http_response: Any, **_: Any) -> None:
        assert http_response.status_code == 200
        before, after = self._before, self._item()
        units = -(-max(size(before), size(after), 1) // 1024)
        index_before, index_after = before.get("queue_sk"), after.get("queue_sk")
        if index_before != index_after:
            units += sum(1 for one in (index_before, index_after) if one)
        self.writes.append((self._key["sk"]["S"].split("#")[0], units))
        self.outboxes += "outbox" in after


def size(item: dict[str, Any]) -> int:
    """Return an item's size as DynamoDB's documentation reckons it (no nested values here)."""

    def lengths() -> Iterator[int]:
        for name, typed in item.items():
            value = TypeDeserializer().deserialize(typed)
            yield len(name)
            if isinstance(value, Decimal):
                yield (len(value.as_tuple().digits) + 1) // 2 + 1
            else:
                yield len(value.encode() if isinstance(value, str) else bytes(value))

    return sum(lengths())


SIX = [
    ("information_received", "Daventry", "Shipment information received"),
    ("picked_up", "Daventry", "Collected by the carrier"),
    ("in_transit", "Daventry", "Departed from facility"),
    ("at_customs", "London Heathrow", "Cleared for export"),
    ("out_for_delivery", "London", "Out for delivery"),
    ("delivered", "London", "Delivered, signed for"),
]


def test_what_a_parcel_of_six_scans_costs(aws: None) -> None:
    """Slip 2, packing 1, parcel 1, dispatch 2, and one for each scan, outboxes included."""
    client = make_table("shipping", queue=("queue_pk", "queue_sk"))
    meter, store, at = Meter(client), ShippingStore(Table(client, "shipping")), clock()
    release(request(lines=8), store, carrier_table(), at)
    waybill = packed(store).waybill
    assert waybill is not None
    service.dispatch(SLIP, store, at)
    for status, place, text in SIX:
        at.move(timedelta(hours=7, minutes=13, seconds=7))
        one = events.Scan(status=status, at=rfc3339(at.now()), place=place, text=text)
        service.record(ScanReported(waybill=waybill, scans=[one]), "generic", store, at)
    assert meter.writes == [("SLIP", 2), ("SLIP", 1), ("PARCEL", 1), ("SLIP", 2), *[("PARCEL", 1)] * 6]
    assert meter.units() == 12
    assert meter.outboxes == 3


def test_the_largest_real_order_fits_a_slip(aws: None) -> None:
    client = make_table("shipping", queue=("queue_pk", "queue_sk"))
    meter, store = Meter(client), ShippingStore(Table(client, "shipping"))
    release(request(lines=704), store, carrier_table(), clock())
    packed(store)
    service.dispatch(SLIP, store, clock())
    assert len(held(store).lines) == 704
    assert meter.units() < 5 * 704 / 50


def test_a_slips_place_in_the_queue_is_keys_only_and_sharded(store: ShippingStore, table: Table) -> None:
    for bits in range(12):
        release(request(order_id=mint_order_number(NOW, bits)), store, carrier_table(), clock())
    places = boto3.client("dynamodb").scan(TableName="shipping", IndexName=INDEX)["Items"]
    assert {frozenset(place) for place in places} == {frozenset({"pk", "sk", "queue_pk", "queue_sk"})}
    assert len({place["queue_pk"]["S"] for place in places}) > 1
