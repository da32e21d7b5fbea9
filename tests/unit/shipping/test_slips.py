"""Slips: their moves, packing, dispatch."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commerce.errors import Invalid
from commerce.ids import MistypedNumber, mint_order_number
from commerce.outbox import unpack
from shipping import service
from shipping.carriers import RULES, CarrierTable, Rule, UnknownCarrier, carrier_table
from shipping.carriers.generic import GenericCarrier
from shipping.carriers.port import Consignment
from shipping.model import (
    MOVES,
    NoSuchSlip,
    NotPacked,
    ShortPick,
    Slip,
    SlipId,
    SlipState,
    SlipStopped,
    TooManySlips,
    WaybillTaken,
    read_slip_id,
)
from shipping.tracking import Parcel
from tests.unit.shipping.fakes import NOW, ORDER, SLIP, CountingCarrier, MemoryStore, clock, request, table_of

pytestmark = pytest.mark.unit

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine must not fail a test."""


Held = TypeVar("Held", bound=MemoryStore)


class Busy(MemoryStore):
    """Somebody else moves the slip between our reading and our writing it."""

    to: SlipState | None = None

    def move(self, slip: Slip, outbox: str | None = None) -> Slip:
        to, self.to = self.to, None
        if to is not None:
            super().move(replace(self.slips_held[slip.id], state=to))
        return super().move(slip, outbox)


def released(store: Held, fulfilments: int = 1) -> Held:
    service.release(request(fulfilments), store, carrier_table(), clock())
    return store


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(SlipState)


def test_a_request_makes_one_slip_a_fulfilment() -> None:
    slips = released(MemoryStore(), 3).slips(ORDER)
    assert [str(slip.id) for slip in slips] == [f"{ORDER}-1", f"{ORDER}-2", f"{ORDER}-3"]
    assert {(slip.state, slip.of, slip.value) for slip in slips} == {(SlipState.RELEASED, 3, 7200)}


def test_a_repeated_request_leaves_slips_where_they_are() -> None:
    store = released(MemoryStore())
    service.pack(SLIP, [], store, carrier_table(), clock())
    packed = store.slip(SLIP)
    assert released(store).slip(SLIP) == packed


def test_more_slips_than_can_be_stopped_as_one_are_refused() -> None:
    store = MemoryStore()
    with pytest.raises(TooManySlips):
        released(store, 100)
    assert store.slips(ORDER) == []


def test_packing_takes_a_waybill_once() -> None:
    store = released(MemoryStore())
    first = service.pack(SLIP, [(1, 6)], store, carrier_table(), clock())
    assert first.state is SlipState.PACKED
    assert first.waybill is not None
    assert first.packed_at == "2026-11-23T09:00:00.000Z"
    assert service.pack(SLIP, [], store, carrier_table(), clock()) == first


def test_a_short_pick_is_refused_and_names_its_line() -> None:
    store = released(MemoryStore())
    with pytest.raises(ShortPick) as refused:
        service.pack(SLIP, [(1, 6), (2, 5)], store, carrier_table(), clock())
    assert [(one.field, one.code) for one in refused.value.fields] == [("lines.1.quantity", "short")]
    assert "5 of 6 of line 2" in refused.value.detail
    slip = store.slip(SLIP)
    assert slip is not None
    assert slip.state is SlipState.RELEASED


@pytest.mark.parametrize(
    ("picks", "field", "code"),
    [
        ([(3, 1)], "lines.0.line", "unknown"),
        ([(1, 6), (1, 6)], "lines.1.line", "duplicate"),
        ([(1, 7)], "lines.0.quantity", "out-of-range"),
        ([(2, 1), (3, 1)], "lines.1.line", "unknown"),
    ],
)
def test_a_pick_that_is_not_of_the_slip_is_refused(picks: list[tuple[int, int]], field: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        service.pack(SLIP, picks, released(MemoryStore()), carrier_table(), clock())
    assert [(one.field, one.code) for one in refused.value.fields] == [(field, code)]


def test_the_waybill_goes_back_when_the_slip_is_stopped_while_it_is_packed() -> None:
    carrier, store = CountingCarrier(), released(Busy())
    store.to = SlipState.STOPPED
    with pytest.raises(SlipStopped):
        service.pack(SLIP, [], store, table_of(carrier), clock())
    assert len(carrier.voided) == 1


def test_dispatch_writes_the_parcel_and_tells_once() -> None:
    store = released(MemoryStore())
    packed = service.pack(SLIP, [], store, carrier_table(), clock())
    gone = service.dispatch(SLIP, store, clock())
    assert service.dispatch(SLIP, store, clock()) == gone
    assert gone.state is SlipState.DISPATCHED
    assert packed.carrier is not None
    assert packed.waybill is not None
    assert store.parcel(packed.carrier, packed.waybill) is not None
    assert len(store.events) == 1
    detail = unpack(store.events[0], "record")[0]["detail"]
    assert (detail["fulfilment_id"], detail["of"], detail["value"]) == (f"{ORDER}-1", 1, 7200)
    assert (detail["waybill"], detail["carrier"]) == (packed.waybill, "generic")


def test_dispatch_needs_a_packed_slip() -> None:
    store = released(MemoryStore())
    with pytest.raises(NotPacked):
        service.dispatch(SLIP, store, clock())
    assert store.parcels_held == {}


def test_a_dispatch_that_loses_to_a_stop_leaves_no_parcel() -> None:
    store = released(Busy())
    service.pack(SLIP, [], store, carrier_table(), clock())
    store.to = SlipState.STOPPED
    with pytest.raises(SlipStopped):
        service.dispatch(SLIP, store, clock())
    assert store.parcels_held == {}
    assert store.events == []


def test_a_waybill_of_another_parcel_is_refused() -> None:
    store = released(MemoryStore())
    packed = service.pack(SLIP, [], store, carrier_table(), clock())
    assert packed.waybill is not None
    store.add_parcel(Parcel("generic", packed.waybill, f"{ORDER}-9", "2026-01-01T00:00:00.000Z"))
    with pytest.raises(WaybillTaken):
        service.dispatch(SLIP, store, clock())
    assert store.events == []


@pytest.mark.parametrize("text", ["", "-1", ORDER, f"{ORDER}-", f"{ORDER}-x", f"{ORDER}-1234", f"{ORDER}-²"])
def test_what_names_no_slip(text: str) -> None:
    with pytest.raises((NoSuchSlip, MistypedNumber)):
        read_slip_id(text)


def test_a_slip_id_reads_as_it_is_written() -> None:
    assert read_slip_id(str(SLIP)) == SLIP
    with pytest.raises(NoSuchSlip):
        service.find(SlipId(ORDER, 2), released(MemoryStore()))


@unhurried
@given(bits=st.integers(0, 2**22 - 1), numbers=st.lists(st.integers(1, 999), min_size=2, max_size=2, unique=True))
def test_generic_waybills_are_stable_and_differ(bits: int, numbers: list[int]) -> None:
    carrier, order = GenericCarrier(), mint_order_number(NOW, bits)
    waybills = [carrier.take_waybill(Consignment(f"{order}-{number}", "GB-DAV", "GB")) for number in numbers]
    again = [carrier.take_waybill(Consignment(f"{order}-{number}", "DE-BER", "CN")) for number in numbers]
    assert waybills == again
    assert len(set(waybills)) == 2
    assert all(len(waybill) == 17 and waybill.startswith("G") for waybill in waybills)


def test_the_first_rule_that_fits_chooses_the_carrier() -> None:
    class Other(GenericCarrier):
        code = "other"

    carriers = {"generic": GenericCarrier(), "other": Other()}
    table = CarrierTable(carriers, [Rule("GB-DAV", "CN", "other"), *RULES])
    assert table.choose(Consignment("x-1", "GB-DAV", "CN")).code == "other"
    assert table.choose(Consignment("x-1", "GB-DAV", "GB")).code == "generic"
    with pytest.raises(UnknownCarrier):
        CarrierTable(carriers, [Rule("GB-DAV", "CN", "other")]).choose(Consignment("x-1", "GB-DAV", "GB"))
    with pytest.raises(UnknownCarrier):
        table.by_code("none")
