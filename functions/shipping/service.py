"""What can be done with slips and parcels.

An order is stopped or a parcel of it is dispatched, never both. Slips, and the order's stop mark, are
separate items, so this is how no order of steps leaves an open slip behind a stopped order:

- `stop` writes the mark ``asked``, *then* reads the slips and, in one transaction, stops all of them
  and makes the mark ``stopped``. `release` writes its slips, *then* reads the mark. If the slips were
  written before `stop` read, the transaction has them; if after, `release` (also when it is repeated
  after a crash) reads the mark and stops them itself.
- `dispatch` reads the mark after it has seen the slip. A slip that `stop` did not see was written
  after the mark, so `dispatch` sees the mark and refuses; one that `stop` saw is decided by the
  conditions on its state, of which only one can hold.
- ``asked`` decides nothing: whoever meets it comes again. `stop` takes it back where a parcel has
  left. All reads are strongly consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from commerce import outbox
from commerce.clock import Clock, rfc3339
from commerce.errors import Unavailable
from commerce.events import (
    FulfilmentRequested,
    Milestone,
    ScanReported,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentExceptional,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
)
from shipping.carriers.port import Carriers, Consignment
from shipping.model import (
    MOST_SLIPS,
    Line,
    NoShipments,
    NoSuchSlip,
    NotPacked,
    ShipmentAlreadyDispatched,
    Slip,
    SlipId,
    SlipState,
    SlipStopped,
    StopMark,
    StopUnderWay,
    TooManySlips,
    WaybillTaken,
    check_picks,
    read_slip_id,
)
from shipping.tracking import (
    TOLD,
    Parcel,
    ParcelChanged,
    Scan,
    Status,
    Track,
    UnknownWaybill,
    merge,
    moment_text,
    read_scans,
    track,
)

_STOP_ROUNDS = 5
"""Tries to stop an order's slips while others move them; a slip can move twice at the most."""


class Store(Protocol):
    """Where slips, parcels and stop marks are. Reads are strongly consistent unless they say otherwise."""

    def add(self, slip: Slip) -> None:
        """Write a slip that is not there yet; one that is there stays as it is."""
        ...

    def slip(self, slip_id: SlipId) -> Slip | None:
        """Return a slip."""
        ...

    def move(self, slip: Slip, outbox: str | None = None) -> Slip:
        """Write the slip's new state if the table of moves allows it; return the slip as it then is."""
        ...

    def slips(self, order_id: str, *, consistent: bool = True) -> list[Slip]:
        """Return the slips of an order, by number."""
        ...

    def queue(self, warehouse_id: str, after: str, limit: int) -> tuple[list[Slip], str | None]:
        """Return a warehouse's open slips, oldest first, and where the next page starts; eventually consistent."""
        ...

    def stop_mark(self, order_id: str) -> StopMark | None:
        """Return how far the stopping of an order is, if it has been asked for."""
        ...

    def ask_stop(self, order_id: str) -> None:
        """Write the mark ``asked`` unless there is a mark."""
        ...

    def withdraw_stop(self, order_id: str) -> None:
        """Take the mark ``asked`` away; ``stopped`` stays."""
        ...

    def stop_all(self, order_id: str, slips: Sequence[Slip]) -> bool:
        """Write slips that are stopped now and the mark ``stopped``, or nothing if one may not be stopped."""
        ...

    def add_parcel(self, parcel: Parcel) -> Parcel:
        """Write a parcel that is not there yet; return the one that then is there."""
        ...

    def forget_parcel(self, carrier: str, waybill: str) -> None:
        """Take a parcel away; one that is not there is no error."""
        ...

    def parcel(self, carrier: str, waybill: str) -> Parcel | None:
        """Return a parcel."""
        ...

    def parcels(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Parcel]:
        """Return those parcels that exist, by carrier and waybill; eventually consistent."""
        ...

    def save(self, parcel: Parcel, outbox: str | None) -> bool:
        """Write a parcel's scans over the version before; False if there is another one by now."""
        ...


@dataclass(frozen=True)
class Shipment:
    """A slip and, once dispatched, what its parcel's scans say."""

    slip: Slip
    parcel: Parcel | None
    track: Track | None


def release(request: FulfilmentRequested, store: Store, carriers: Carriers, clock: Clock) -> None:
    """Put a slip per fulfilment on its warehouse's queue; repeating it changes nothing.

    Raises
    ------
    StopUnderWay
        It is being decided whether the order is stopped: repeat this later.
    TooManySlips
        More than could be stopped as one.
    """
    if len(request.fulfilments) > MOST_SLIPS:
        raise TooManySlips(request.order_id)
    now = rfc3339(clock.now())
    slips = [
        Slip(
            id=read_slip_id(one.fulfilment_id),
            buyer=request.buyer,
            locale=request.locale,
            country=request.country,
            warehouse_id=one.warehouse_id,
            merchant_id=one.merchant_id,
            of=len(request.fulfilments),
            lines=tuple(Line(line.line, line.sku, line.quantity) for line in one.lines),
            released_at=now,
            value=one.value,
        )
        for one in request.fulfilments
    ]
    for slip in slips:
        store.add(slip)
    mark = store.stop_mark(request.order_id)
    if mark is StopMark.ASKED:
        raise StopUnderWay()
    if mark is StopMark.STOPPED:
        for slip in slips:
            _take_back(store.move(replace(slip, state=SlipState.STOPPED, stopped_at=now)), store, carriers)


def find(slip_id: SlipId, store: Store) -> Slip:
    """Return the slip.

    Raises
    ------
    NoSuchSlip
        There is none.
    """
    slip = store.slip(slip_id)
    if slip is None:
        raise NoSuchSlip()
    return slip


def pack(slip_id: SlipId, picks: Sequence[tuple[int, int]], store: Store, carriers: Carriers, clock: Clock) -> Slip:
    """Close the parcel of a slip and take a waybill for it; a slip that is packed already is returned as it is.

    Parameters
    ----------
    slip_id
        The slip.
    picks
        As in `shipping.model.check_picks`.
    store, carriers, clock
        Collaborators.

    Raises
    ------
    NoSuchSlip, SlipStopped, ShortPick, commerce.errors.Invalid
        Nothing is changed.
    """
    slip = find(slip_id, store)
    if slip.state is SlipState.RELEASED:
        check_picks(slip, picks)
        consignment = Consignment(str(slip.id), slip.warehouse_id, slip.country)
        carrier = carriers.choose(consignment)
        waybill = carrier.take_waybill(consignment)
        packed_at = rfc3339(clock.now())
        slip = store.move(
            replace(slip, state=SlipState.PACKED, carrier=carrier.code, waybill=waybill, packed_at=packed_at)
        )
        if (slip.carrier, slip.waybill) != (carrier.code, waybill):
            carrier.void_waybill(waybill)
    if slip.state is SlipState.STOPPED:
        raise SlipStopped()
    return slip


def dispatch(slip_id: SlipId, store: Store, clock: Clock) -> Slip:
    """Hand the parcel of a slip to its carrier; a slip that is dispatched already is returned as it is.

    Raises
    ------
    NoSuchSlip, NotPacked, SlipStopped, StopUnderWay, WaybillTaken
        Nothing is changed.
    """
    slip = find(slip_id, store)
    if slip.state is SlipState.PACKED:
        _refuse_if_stopping(slip.id.order_id, store)
        carrier, waybill, packed_at = _consigned(slip)
        held = store.add_parcel(Parcel(carrier, waybill, str(slip.id), packed_at))
        if held.slip_id != str(slip.id):
            raise WaybillTaken(f"waybill {waybill} is of slip {held.slip_id}")
        now = rfc3339(clock.now())
        event = ShipmentDispatched(
            at=now,
            order_id=slip.id.order_id,
            buyer=slip.buyer,
            locale=slip.locale,
            fulfilment_id=str(slip.id),
            carrier=carrier,
            waybill=waybill,
            warehouse_id=slip.warehouse_id,
            released_at=slip.released_at,
            packed_at=packed_at,
            of=slip.of,
            value=slip.value,
        )
        slip = store.move(replace(slip, state=SlipState.DISPATCHED, dispatched_at=now), outbox.pack(event))
    if slip.state is SlipState.RELEASED:
        raise NotPacked()
    if slip.state is SlipState.STOPPED:
        # Also when it was stopped before: a dispatch that broke off in between may have left the parcel.
        if slip.carrier is not None and slip.waybill is not None:
            store.forget_parcel(slip.carrier, slip.waybill)
        raise SlipStopped()
    return slip


def stop(order_id: str, store: Store, carriers: Carriers, clock: Clock) -> int:
    """Stop every slip of an order, those still to come as well, and give their waybills back.

    Returns
    -------
    int
        Slips of the order, all of them stopped.

    Raises
    ------
    ShipmentAlreadyDispatched
        A parcel has left; no slip is stopped.
    commerce.errors.Unavailable
        The slips kept moving; try again.
    """
    store.ask_stop(order_id)
    for _ in range(_STOP_ROUNDS):
        slips = store.slips(order_id)
        try:
            _refuse_if_dispatched(slips)
        except ShipmentAlreadyDispatched:
            store.withdraw_stop(order_id)
            raise
        now = rfc3339(clock.now())
        still_open = [slip for slip in slips if slip.state is not SlipState.STOPPED]
        stopped = [replace(slip, state=SlipState.STOPPED, stopped_at=now) for slip in still_open]
        if store.stop_all(order_id, stopped):
            break
    else:
        raise Unavailable("the order's slips kept moving")
    slips = store.slips(order_id)
    for slip in slips:
        _take_back(slip, store, carriers)
    return len(slips)


def queue(
    warehouse_id: str, state: SlipState | None, after: str, limit: int, store: Store
) -> tuple[list[Slip], str | None]:
    """Return a page of a warehouse's open slips, oldest first, and where the next one starts.

    Parameters
    ----------
    warehouse_id
        Whose queue.
    state
        Only slips in this state.
    after
        Where the page before ended, empty for the first.
    limit
        Slips at the most; a page can have fewer, and is the last only if it says so.
    store
        Collaborator.
    """
    slips, more = store.queue(warehouse_id, after, limit)
    return [slip for slip in slips if state in (None, slip.state)], more


def shipments(order_id: str, buyer: str | None, store: Store) -> list[Shipment]:
    """Return the shipments of an order, by number.

    Parameters
    ----------
    order_id
        Compact order number.
    buyer
        Whose order it must be; None where the caller's right is shown otherwise.
    store
        Collaborator.

    Raises
    ------
    NoShipments
        There are none, or the order is another's.
    """
    slips = store.slips(order_id, consistent=False)
    if not slips or (buyer is not None and slips[0].buyer != buyer):
        raise NoShipments()
    parcels = store.parcels([_consigned(slip)[:2] for slip in slips if slip.state is SlipState.DISPATCHED])
    found = [parcels.get((slip.carrier or "", slip.waybill or "")) for slip in slips]
    return [
        Shipment(slip, parcel, track(parcel) if parcel else None) for slip, parcel in zip(slips, found, strict=True)
    ]


def record(reported: ScanReported, carrier: str, store: Store, clock: Clock) -> list[Scan]:
    """Add a carrier's scans to its parcel's record, and tell what they change.

    Returns
    -------
    list of Scan
        Those that are new and whose status we do not know.

    Raises
    ------
    UnknownWaybill
        The carrier has no such parcel of ours (yet).
    ParcelChanged
        Somebody else recorded scans of it meanwhile: do it again.
    TooManyScans, UnreadableScan
        The carrier reports nonsense.
    """
    parcel = store.parcel(carrier, reported.waybill)
    if parcel is None:
        raise UnknownWaybill(f"{carrier} {reported.waybill}")
    scans = merge(parcel.scans, read_scans(reported.scans, clock.now()))
    if scans == parcel.scans:
        return []
    grown = replace(parcel, scans=scans, version=parcel.version + 1)
    seen = track(grown)
    told = None
    if seen.status in TOLD and seen.status not in parcel.told:
        grown = replace(grown, told=(*parcel.told, seen.status))
        told = outbox.pack(_tell(grown, seen.status, seen, find(read_slip_id(parcel.slip_id), store)))
    elif Status.DELIVERED in parcel.told and seen.milestones != track(parcel).milestones:
        told = outbox.pack(_add(grown, seen, find(read_slip_id(parcel.slip_id), store)))
    if not store.save(grown, told):
        raise ParcelChanged(reported.waybill)
    known = {scan.identity for scan in parcel.scans}
    return [scan for scan in scans if not scan.known and scan.identity not in known]


def _tell(parcel: Parcel, status: Status, seen: Track, slip: Slip) -> ShipmentEvent:
    fields = {**_about(parcel, seen, slip), "at": moment_text(dict(seen.milestones)[status])}
    if status is Status.DELIVERED:
        return ShipmentDelivered.model_validate(fields)
    if status is Status.OUT_FOR_DELIVERY:
        return ShipmentOutForDelivery.model_validate(fields)
    return ShipmentExceptional.model_validate({**fields, "status": status.value})


def _add(parcel: Parcel, seen: Track, slip: Slip) -> ShipmentEvent:
    last = max(at for _, at in seen.milestones)
    return ShipmentMilestonesAdded.model_validate({**_about(parcel, seen, slip), "at": moment_text(last)})


def _about(parcel: Parcel, seen: Track, slip: Slip) -> dict[str, object]:
    return {
        "order_id": slip.id.order_id,
        "buyer": slip.buyer,
        "locale": slip.locale,
        "fulfilment_id": str(slip.id),
        "carrier": parcel.carrier,
        "waybill": parcel.waybill,
        "milestones": [Milestone(status=one, at=moment_text(at)) for one, at in seen.milestones],
    }


def _take_back(slip: Slip, store: Store, carriers: Carriers) -> None:
    """Undo what packing and a dispatch that did not come to its end have left of a stopped slip."""
    if slip.state is not SlipState.STOPPED or slip.carrier is None or slip.waybill is None:
        return
    store.forget_parcel(slip.carrier, slip.waybill)
    carriers.by_code(slip.carrier).void_waybill(slip.waybill)


def _refuse_if_dispatched(slips: Sequence[Slip]) -> None:
    if any(slip.state is SlipState.DISPATCHED for slip in slips):
        raise ShipmentAlreadyDispatched()


def _refuse_if_stopping(order_id: str, store: Store) -> None:
    mark = store.stop_mark(order_id)
    if mark is StopMark.ASKED:
        raise StopUnderWay()
    if mark is StopMark.STOPPED:
        raise SlipStopped()


def _consigned(slip: Slip) -> tuple[str, str, str]:
    if slip.carrier is None or slip.waybill is None or slip.packed_at is None:
        raise ValueError(f"slip {slip.id} is {slip.state} without a waybill")
    return slip.carrier, slip.waybill, slip.packed_at
