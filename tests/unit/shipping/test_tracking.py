"""Parcels: the same scans make the same record, whatever order, batches and repetitions they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commerce import events
from commerce.clock import rfc3339
from commerce.events import ScanReported
from commerce.outbox import unpack
from shipping import service
from shipping.carriers import carrier_table
from shipping.store import pack_scans, unpack_scans
from shipping.tracking import (
    MOST_SCANS,
    MOVES,
    TOLD,
    Doubt,
    Parcel,
    ParcelChanged,
    Scan,
    Status,
    TooManyScans,
    Track,
    UnknownWaybill,
    UnreadableScan,
    doubt,
    merge,
    moment_text,
    read_scans,
    track,
)
from tests.unit.shipping.fakes import NOW, ORDER, SLIP, MemoryStore, clock, request

pytestmark = pytest.mark.unit

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine must not fail a test."""

DISPATCHED = NOW - timedelta(days=9)
HISTORY = [
    ("information_received", -8 * 24),
    ("picked_up", -7 * 24),
    ("in_transit", -6 * 24),
    ("at_customs", -5 * 24),
    ("out_for_delivery", -30),
    ("delivered", -24),
]


def scan(status: str, hours: float, place: str = "", text: str = "") -> events.Scan:
    return events.Scan(status=status, at=rfc3339(NOW + timedelta(hours=hours)), place=place, text=text)


def parcel(*scans: events.Scan) -> Parcel:
    read = merge((), read_scans(scans, NOW))
    return Parcel("generic", "G1", f"{ORDER}-1", rfc3339(DISPATCHED), scans=read)


def seen(*scans: tuple[str, float]) -> Track:
    return track(parcel(*(scan(status, hours) for status, hours in scans)))


def on_its_way() -> tuple[MemoryStore, str]:
    """Return a store with one dispatched parcel, and its waybill."""
    store, at = MemoryStore(), clock()
    at.at = DISPATCHED
    service.release(request(), store, carrier_table(), at)
    waybill = service.pack(SLIP, [], store, carrier_table(), at).waybill
    service.dispatch(SLIP, store, at)
    assert waybill is not None
    store.events.clear()
    return store, waybill


def report(store: MemoryStore, waybill: str, *scans: events.Scan) -> list[Scan]:
    return service.record(ScanReported(waybill=waybill, scans=list(scans)), "generic", store, clock())


def record_of(store: MemoryStore, waybill: str) -> tuple[tuple[Scan, ...], Track]:
    """Return what a parcel's record says."""
    held = store.parcels_held["generic", waybill]
    return held.scans, track(held)


scans = st.builds(
    scan,
    status=st.sampled_from([*(status.value for status in Status), "no_word_of_ours"]),
    hours=st.sampled_from([-24 * 20, *range(-48, 4, 6), 30]),
    place=st.sampled_from(["", "London"]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[events.Scan], list[list[events.Scan]]]:
    """Return a history, and batches that hold each scan of it once or more, in any order."""
    history = draw(st.lists(scans, min_size=1, max_size=8))
    again = draw(st.lists(st.sampled_from(history), max_size=6))
    shuffled = draw(st.permutations([*history, *again]))
    batches: list[list[events.Scan]] = []
    for one in shuffled:
        if not batches or draw(st.booleans()):
            batches.append([])
        batches[-1].append(one)
    if draw(st.booleans()):
        batches.append(history)  # many carriers send the whole history every time
    return history, batches


@unhurried
@given(deliveries())
def test_any_delivery_of_a_history_makes_the_same_record_and_tells_each_thing_once(
    delivered: tuple[list[events.Scan], list[list[events.Scan]]],
) -> None:
    history, batches = delivered
    at_once, waybill = on_its_way()
    report(at_once, waybill, *history)
    in_parts, waybill = on_its_way()
    for batch in batches:
        report(in_parts, waybill, *batch)

    assert record_of(in_parts, waybill) == record_of(at_once, waybill)
    once = [one for one in in_parts.told() if one != "ShipmentMilestonesAdded"]
    assert len(set(once)) == len(once)
    status = record_of(in_parts, waybill)[1].status
    told = in_parts.parcels_held["generic", waybill].told
    assert (status in told) == (status in TOLD)
    assert len(told) == len(once)
    if "ShipmentDelivered" in once:  # whoever listens knows the whole way
        last = unpack(in_parts.events[-1], "record")[0]["detail"]["milestones"]
        assert [(one["status"], one["at"]) for one in last] == [
            (one, moment_text(at)) for one, at in record_of(in_parts, waybill)[1].milestones
        ]
    before = in_parts.writes
    report(in_parts, waybill, *history)
    assert in_parts.writes == before <= len(batches)


@unhurried
@given(st.lists(scans, min_size=1, max_size=10))
def test_statuses_only_move_as_the_table_says(history: list[events.Scan]) -> None:
    made = track(parcel(*history))
    times = [at for _, at in made.milestones]
    assert times == sorted(times)
    assert made.status is None or made.status in dict(made.milestones)
    assert (made.status is None) == (not made.milestones)
    assert 20 <= made.progress <= 100
    if Status.DELIVERED in dict(made.milestones) and Status.LOST not in dict(
        made.milestones
    ):  # a lost one may be found
        assert made.status in {Status.DELIVERED, Status.RETURNING, Status.RETURNED, Status.LOST}


@unhurried
@given(st.lists(scans, max_size=10))
def test_packed_scans_are_the_same_scans(history: list[events.Scan]) -> None:
    held = parcel(*history).scans
    assert unpack_scans(pack_scans(held)) == held


def test_every_status_has_its_moves() -> None:
    assert set(MOVES) == set(Status)


def test_a_parcel_on_its_way_scan_by_scan() -> None:
    store, waybill = on_its_way()
    told, progress = [], []
    for status, hours in HISTORY:
        report(store, waybill, scan(status, hours))
        told.append(len(store.events))
        progress.append(record_of(store, waybill)[1].progress)
    assert told == [0, 0, 0, 0, 1, 2]
    assert progress == [20, 30, 50, 60, 80, 100]
    assert store.told() == ["ShipmentOutForDelivery", "ShipmentDelivered"]
    assert store.writes == 6
    event = unpack(store.events[1], "record")[0]["detail"]
    assert [one["status"] for one in event["milestones"]] == [status for status, _ in HISTORY]
    assert event["at"] == event["milestones"][-1]["at"] == rfc3339(NOW - timedelta(hours=24))
    assert (event["order_id"], event["fulfilment_id"], event["waybill"]) == (ORDER, f"{ORDER}-1", waybill)


def test_a_history_that_comes_at_once_tells_how_it_ended() -> None:
    store, waybill = on_its_way()
    report(store, waybill, *(scan(status, hours) for status, hours in HISTORY))
    assert store.told() == ["ShipmentDelivered"]
    assert store.writes == 1


def test_out_for_delivery_is_not_told_after_delivered() -> None:
    store, waybill = on_its_way()
    report(store, waybill, scan("delivered", -1))
    report(store, waybill, scan("out_for_delivery", -5))
    assert store.told() == ["ShipmentDelivered", "ShipmentMilestonesAdded"]
    report(store, waybill, scan("out_for_delivery", -5))
    report(store, waybill, scan("out_for_delivery", -4))  # no new milestone
    assert len(store.told()) == 2


def test_each_trouble_is_told_once_and_progress_after_it() -> None:
    store, waybill = on_its_way()
    for status, hours in [("attempted", -9), ("exception", -8), ("attempted", -7), ("out_for_delivery", -6)]:
        report(store, waybill, scan(status, hours))
    assert store.told() == ["ShipmentExceptional attempted", "ShipmentExceptional exception", "ShipmentOutForDelivery"]


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([("delivered", -5), ("in_transit", -3)], Status.DELIVERED),
        ([("delivered", -5), ("attempted", -6)], Status.DELIVERED),
        ([("delivered", -5), ("exception", -3)], Status.DELIVERED),
        ([("delivered", -5), ("returning", -3)], Status.RETURNING),
        ([("delivered", -5), ("returned", -3)], Status.RETURNED),
        ([("delivered", -5), ("returning", -6)], Status.DELIVERED),
        ([("returning", -6), ("in_transit", -5), ("returned", -4), ("delivered", -3)], Status.RETURNED),
        ([("exception", -5), ("in_transit", -3)], Status.IN_TRANSIT),
        ([("lost", -5), ("picked_up", -3)], Status.PICKED_UP),
        ([("in_transit", -5), ("information_received", -3)], Status.IN_TRANSIT),
        ([("in_transit", -5), ("exception", -5)], Status.EXCEPTION),
        ([("in_transit", -5), ("held_by_goblins", -3)], Status.IN_TRANSIT),
        ([("held_by_goblins", -3)], None),
        ([("delivered", -24 * 30), ("in_transit", -3)], Status.IN_TRANSIT),
        ([("delivered", -24 * 30)], None),
        ([("in_transit", 8), ("delivered", 9)], Status.DELIVERED),
    ],
)
def test_main_status(history: list[tuple[str, float]], status: Status | None) -> None:
    assert seen(*history).status == status
    assert seen(*reversed(history)).status == status


def test_a_milestone_is_the_first_time_of_a_status() -> None:
    made = seen(("in_transit", -9), ("out_for_delivery", -8), ("in_transit", -7), ("out_for_delivery", -6))
    hours = [round((NOW.timestamp() * 1000 - at) / 3_600_000) for _, at in made.milestones]
    assert [status for status, _ in made.milestones] == [Status.IN_TRANSIT, Status.OUT_FOR_DELIVERY]
    assert hours == [9, 8]


@pytest.mark.parametrize(
    ("status", "hours", "why"),
    [
        ("in_transit", -1, None),
        ("in_transit", 0.2, None),
        ("in_transit", 0.3, Doubt.AHEAD),
        ("information_received", -9 * 24 - 0.2, None),
        ("information_received", -9 * 24 - 0.3, Doubt.BEFORE_PACKING),
        ("held_by_goblins", -1, Doubt.UNKNOWN_STATUS),
    ],
)
def test_doubts(status: str, hours: float, why: Doubt | None) -> None:
    held = parcel(scan(status, hours))
    assert doubt(held.scans[0], held.packed_at) == why


def test_a_scan_ahead_of_its_time_counts_from_when_it_was_heard() -> None:
    made = seen(("in_transit", 8), ("out_for_delivery", -1))
    assert made.milestones[-1] == (Status.IN_TRANSIT, round(NOW.timestamp() * 1000))
    store, waybill = on_its_way()
    report(store, waybill, scan("in_transit", 8))
    later = clock()
    later.move(timedelta(hours=9))
    again = ScanReported(waybill=waybill, scans=[scan("in_transit", 8)])
    assert service.record(again, "generic", store, later) == []
    assert store.writes == 1


def test_carriers_times_keep_their_offset() -> None:
    one = events.Scan(status="in_transit", at="2026-11-22T14:07:08.1234+08:00")
    (read,) = read_scans([one], NOW)
    assert read.at == "2026-11-22T14:07:08.123+08:00"
    assert moment_text(read.moment) == "2026-11-22T06:07:08.123Z"


def test_scans_of_one_moment_in_two_words_are_two_and_white_space_is_none() -> None:
    held = parcel(scan("in_transit", -1, "London "), scan("in_transit", -1, " London"), scan("in_transit", -1, "Leeds"))
    assert [one.place for one in held.scans] == ["Leeds", "London"]


@pytest.mark.parametrize("at", ["yesterday", "2026-11-23", "2026-11-23T09:00:00", ""])
def test_a_time_without_an_offset_is_refused(at: str) -> None:
    store, waybill = on_its_way()
    with pytest.raises(UnreadableScan):
        report(store, waybill, scan("in_transit", -1), events.Scan(status="in_transit", at=at))
    assert store.writes == 0


def test_unknown_statuses_are_kept_and_handed_back_once() -> None:
    store, waybill = on_its_way()
    assert [one.status for one in report(store, waybill, scan("beamed_up", -1))] == ["beamed_up"]
    assert report(store, waybill, scan("beamed_up", -1), scan("in_transit", -1)) == []
    assert {one.status for one in record_of(store, waybill)[0]} == {"beamed_up", "in_transit"}


def test_a_waybill_that_is_not_ours_is_refused() -> None:
    store, waybill = on_its_way()
    with pytest.raises(UnknownWaybill):
        report(store, "G000000", scan("in_transit", -1))
    with pytest.raises(UnknownWaybill):
        service.record(ScanReported(waybill=waybill, scans=[scan("lost", -1)]), "other", store, clock())


def test_a_carrier_that_reports_without_end_is_refused() -> None:
    store, waybill = on_its_way()
    for start in range(0, MOST_SCANS, 100):
        report(store, waybill, *(scan("in_transit", -(start + n) / 100) for n in range(100)))
    with pytest.raises(TooManyScans):
        report(store, waybill, scan("delivered", -0.005))


def test_a_record_that_changed_meanwhile_is_not_overwritten() -> None:
    class Busy(MemoryStore):
        def save(self, parcel: Parcel, outbox: str | None) -> bool:
            key = parcel.carrier, parcel.waybill
            self.parcels_held[key] = replace(self.parcels_held[key], version=7)
            return super().save(parcel, outbox)

    calm, waybill = on_its_way()
    store = Busy()
    store.slips_held, store.parcels_held = calm.slips_held, calm.parcels_held
    with pytest.raises(ParcelChanged):
        report(store, waybill, scan("delivered", -1))
    assert store.events == []


def test_shipments_show_slips_and_parcels() -> None:
    store, waybill = on_its_way()
    report(store, waybill, scan("in_transit", -1))
    (one,) = service.shipments(ORDER, None, store)
    assert one.parcel is not None
    assert one.track is not None
    assert one.track.status is Status.IN_TRANSIT


def _names(of: Sequence[Status]) -> set[str]:
    return {status.value for status in of}


def test_statuses_are_those_of_the_contract() -> None:
    words = (events.Scan.__doc__ or "").replace("``", " ").split()
    assert _names(list(Status)) <= set(words)
