"""What was told after the moment that the tables are restored to is done again, at the time at which it was told.

Every event says what its context had done, and when. It is done again with the context's own use cases under a clock
that stands at that time, so that whatever follows from it carries the same time as before: a notice's id is made of
the time, the kind and what it is about, so nobody is told anything a second time. All of it is idempotent; what the
tables know already changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from commerce.clock import FixedClock, parse
from commerce.errors import CommerceError
from commerce.events import (
    EVENTS,
    CancellationRefused,
    Event,
    FulfilmentRequested,
    OffersPublished,
    OrderAccepted,
    OrderAwaitingStock,
    OrderCancellationRequested,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    PaymentAuthorised,
    PaymentReturned,
    ReplenishmentRaised,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentExceptional,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
)
from commerce.tokens import OrderClaims
from inventory import service as inventory
from inventory.model import AllocatedLine, Fulfilment, Replenishment, read_replenishment_id
from notifications.letters import Letters
from notifications.model import KINDS, notice_of
from notifications.store import partition
from orders import model as order_model
from orders.model import Fact, NotPossibleNow, Order, Status, Wait
from orders.service import lifecycle
from orders.service.ports import change
from payments import service as payments
from shipping import service as shipping
from shipping.model import SlipState, StopMark, read_slip_id
from shipping.tracking import Parcel
from shipping.workers import take_scans
from tools.reconcile.archive import Archived
from tools.reconcile.desk import Desk, WouldChange

ORDER = (
    OffersPublished,
    OrderAwaitingStock,
    ReplenishmentRaised,
    PaymentAuthorised,
    FulfilmentRequested,
    OrderCancellationRequested,
    CancellationRefused,
    ShipmentDispatched,
    ShipmentOutForDelivery,
    ShipmentExceptional,
    ShipmentDelivered,
    ShipmentMilestonesAdded,
    OrderAccepted,
    PaymentReturned,
    OrderExpired,
    OrderCancelled,
)
"""In which order events that were put on the bus in the same second are done again."""

UNTOLD = frozenset({"OrderPlaced", "OrderPaid", "OrderDelivered", "PaymentDeclined", "StockAvailable"})
"""Events that follow from others, or that nothing follows from but a notice."""


class Irreparable(Exception):
    """A person has to look at it: the tables contradict what was told."""


@dataclass
class Outcome:
    """What came of it.

    Attributes
    ----------
    did
        What was done again, or in a dry run would be: a line each.
    newer
        Order that the restored table does not know -> its events.
    trouble
        What a person has to look at.
    """

    did: list[str] = field(default_factory=list)
    newer: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    trouble: list[str] = field(default_factory=list)


def keep_told(archived: Iterable[Archived], switched: datetime, desk: Desk, outcome: Outcome) -> None:
    """Write down again who was told what: notices that the restored table has lost, without a mail.

    Parameters
    ----------
    switched
        When the restored tables were taken into use, and all queues were empty: what came on the bus before was told.
    """
    letters = Letters()
    table = desk.table("notifications")
    for event in _events(one for one in archived if one.at < switched):
        notice = notice_of(event) if type(event) in KINDS else None
        if notice is None or table.get((partition(notice.reader), notice.id)) is not None:
            continue
        if not desk.dry:
            desk.notices.claim(notice, letters.write(notice, {}).subject)
        outcome.did.append(f"{notice.about}: {notice.kind} was told at {notice.at}")


def go_forward(archived: Iterable[Archived], desk: Desk, outcome: Outcome) -> None:
    """Do again what the bus ``commerce`` told, in the order in which it was told."""
    every = [(one.at, event) for one in archived for event in _events([one])]
    times = _Times.of(event for _, event in every)
    _find_newer((event for _, event in every), desk, outcome)
    ranked = [(at, ORDER.index(type(event)), event) for at, event in every if type(event) in STEPS]
    left = [event for _, _, event in sorted(ranked, key=lambda one: one[:2])]
    begun: set[str] = set()
    while left:
        failed: list[tuple[Event, Exception]] = []
        for event in left:
            order_id = getattr(event, "order_id", "")
            if order_id in outcome.newer:
                continue
            if order_id in begun:
                outcome.did.append(_line(event))
                continue
            try:
                if _watched(event, partial(STEPS[type(event)], event, desk, times), desk, outcome) and desk.dry:
                    begun.add(order_id)  # what would come after depends on what was not done
            except (CommerceError, Irreparable, ValueError) as error:
                failed.append((event, error))
        if len(failed) == len(left):
            outcome.trouble += [
                f"{_about(event)}: {event.name()} at {event.at}: {type(error).__name__} {error}"
                for event, error in failed
            ]
            return
        left = [event for event, _ in failed]


def hear_scans(archived: Iterable[Archived], desk: Desk, outcome: Outcome) -> None:
    """Record again what carriers reported; of a parcel that is not there any more somebody has to know."""
    waybills = {
        event.waybill for told in outcome.newer.values() for event in told if isinstance(event, ShipmentDispatched)
    }
    for one in archived:
        if one.type != "ScanReported" or one.detail.get("waybill") in waybills:
            continue
        envelope = {"source": one.source, "detail-type": one.type, "detail": dict(one.detail)}
        subject = f"{one.source} {one.detail.get('waybill')}"
        before = desk.watch.writes
        try:
            take_scans(envelope, desk.shipping, FixedClock(one.at))
        except WouldChange:
            outcome.did.append(f"{subject}: scans")
        except (CommerceError, ValueError, LookupError) as error:
            outcome.trouble.append(f"{subject}: scans: {type(error).__name__} {error}")
        else:
            if desk.watch.writes > before:
                outcome.did.append(f"{subject}: scans")


def put_back(order_id: str, reason: str, desk: Desk, at: datetime | None = None) -> None:
    """Do what follows from an order's being closed: no goods leave, the stock goes back, then the money.

    Raises
    ------
    shipping.model.ShipmentAlreadyDispatched
        Goods have left.
    """
    clock = FixedClock(at) if at else desk.inventory().clock
    if not is_stopped(order_id, desk):
        shipping.stop(order_id, desk.shipping, desk.carriers, clock)
    inventory.release(desk.inventory(at), order_id)
    payments.return_money(desk.payments(at), order_id, reason)


def is_stopped(order_id: str, desk: Desk) -> bool:
    """Return whether no slip of an order can go on any more, nor one that comes late."""
    stopped = all(slip.state is SlipState.STOPPED for slip in desk.shipping.slips(order_id))
    return stopped and desk.shipping.stop_mark(order_id) is StopMark.STOPPED


@dataclass(frozen=True)
class _Times:
    """When orders were delivered and their money went back, by the platform's clock."""

    delivered: Mapping[str, datetime]
    returned: Mapping[str, datetime]

    @classmethod
    def of(cls, events: Iterable[Event]) -> _Times:
        every = list(events)
        return cls(
            {one.order_id: parse(one.at) for one in every if isinstance(one, OrderDelivered)},
            {one.order_id: parse(one.at) for one in every if isinstance(one, PaymentReturned)},
        )


def _watched(event: Event, step: Callable[[], None], desk: Desk, outcome: Outcome) -> bool:
    """Do a step and tell of it if it changed, or would change, anything; return whether it did."""
    before = desk.watch.writes
    try:
        step()
    except WouldChange:
        changed = True
    else:
        changed = desk.watch.writes > before
    if changed:
        outcome.did.append(_line(event))
    return changed


def _line(event: Event) -> str:
    return f"{_about(event)}: {event.name()} at {event.at}"


def _find_newer(events: Iterable[Event], desk: Desk, outcome: Outcome) -> None:
    known: set[str] = set()
    for event in events:
        order_id = getattr(event, "order_id", "")
        if not order_id or order_id in known:
            continue
        if order_id in outcome.newer or not desk.knows(order_id):
            outcome.newer[order_id].append(event)
        else:
            known.add(order_id)


def _events(archived: Iterable[Archived]) -> Iterable[Event]:
    for one in archived:
        contract: Any = EVENTS.get(one.type)
        if contract is not None and one.source == contract.source():
            yield contract.model_validate(one.detail)


def _about(event: Event) -> str:
    told = event.model_dump()
    return str(told.get("fulfilment_id") or told.get("order_id") or told.get("replenishment_id") or event.context)


# --- one step for each event -------------------------------------------------------------------


def _offers(event: OffersPublished, desk: Desk, _: _Times) -> None:
    for currency in sorted({offer.currency for offer in event.offers}):
        offers = [offer for offer in event.offers if offer.currency == currency]
        known = desk.orders.find([offer.sku for offer in offers], currency)
        for offer in offers:
            if offer.sku not in known or known[offer.sku].version < offer.version:
                desk.orders.put(offer)


def _awaiting_stock(event: OrderAwaitingStock, desk: Desk, _: _Times) -> None:
    _change(event.order_id, lambda order: order_model.lack_stock(order, parse(event.at)), desk)


def _raised(event: ReplenishmentRaised, desk: Desk, _: _Times) -> None:
    sku, warehouse_id, number = read_replenishment_id(event.replenishment_id)
    before = desk.stock.replenishment(sku, warehouse_id, number)
    if before is None:
        new = Replenishment(sku, warehouse_id, number, event.quantity, 0, event.expected_at, event.at)
        desk.stock.ask(new, None, event)
    elif before.quantity < event.quantity:
        desk.stock.ask(replace(before, quantity=event.quantity, expected_at=event.expected_at), before, event)


def _authorised(event: PaymentAuthorised, desk: Desk, _: _Times) -> None:
    order = desk.orders.get(event.order_id)
    payments.remember(desk.payments(parse(event.at)), claims_of(order), event)
    lifecycle.payment_authorised(event, desk.orders, desk.runs)


def _requested(event: FulfilmentRequested, desk: Desk, _: _Times) -> None:
    order = desk.orders.get(event.order_id)
    if order.status in order_model.CLOSING:
        return
    held = [
        Fulfilment(
            read_slip_id(one.fulfilment_id).number,
            one.warehouse_id,
            one.merchant_id,
            tuple(AllocatedLine(line.line, line.sku, line.quantity) for line in one.lines),
        )
        for one in event.fulfilments
    ]
    at = parse(event.at)
    inventory.hold_again(desk.inventory(), event.order_id, held)
    shipments = [
        order_model.Shipment(one.fulfilment_id, one.warehouse_id, one.merchant_id) for one in event.fulfilments
    ]
    _change(event.order_id, lambda order: order_model.hold(order, shipments, at), desk)
    if len(desk.shipping.slips(event.order_id)) < len(event.fulfilments):
        shipping.release(event, desk.shipping, desk.carriers, FixedClock(at))


def _cancellation(event: OrderCancellationRequested, desk: Desk, _: _Times) -> None:
    order = desk.orders.get(event.order_id)
    asked = {entry.at for entry in order.timeline if entry.fact == Fact.CANCELLATION_REQUESTED}
    if parse(event.at) in asked or order.status in (*order_model.CLOSING, *order_model.GONE):
        return
    lifecycle.cancel(event.order_id, "", "buyer", desk.orders, FixedClock(parse(event.at)))


def _refused(event: CancellationRefused, desk: Desk, _: _Times) -> None:
    lifecycle.resume(event.order_id, desk.orders, desk.windows, FixedClock(parse(event.at)))


def _dispatched(event: ShipmentDispatched, desk: Desk, times: _Times) -> None:
    slip = desk.shipping.slip(read_slip_id(event.fulfilment_id))
    if slip is None or slip.state is SlipState.STOPPED:
        raise Irreparable("the parcel left, and its slip is " + (slip.state if slip else "not there"))
    if slip.state is SlipState.RELEASED:
        packed = replace(
            slip, state=SlipState.PACKED, carrier=event.carrier, waybill=event.waybill, packed_at=event.packed_at
        )
        slip = desk.shipping.move(packed)
    if slip.waybill != event.waybill:
        raise Irreparable(f"the parcel left with waybill {event.waybill}, and its slip has {slip.waybill}")
    if desk.shipping.parcel(event.carrier, event.waybill) is None:
        desk.shipping.add_parcel(Parcel(event.carrier, event.waybill, event.fulfilment_id, event.packed_at))
    if slip.state is SlipState.PACKED:
        desk.shipping.move(replace(slip, state=SlipState.DISPATCHED, dispatched_at=event.at))
    inventory.ship(desk.stock, event.fulfilment_id)
    payments.capture_shipment(desk.payments(parse(event.at)), event)
    clock = FixedClock(parse(event.at))
    lifecycle.shipment_dispatched(event, desk.orders, desk.runs, desk.windows, clock)


def _out(event: ShipmentOutForDelivery, desk: Desk, times: _Times) -> None:
    lifecycle.out_for_delivery(event, desk.orders, desk.windows, _then(event, times))


def _delivered(event: ShipmentDelivered, desk: Desk, times: _Times) -> None:
    lifecycle.shipment_delivered(event, desk.orders, desk.runs, desk.windows, _then(event, times))


def _added(event: ShipmentMilestonesAdded, desk: Desk, _: _Times) -> None:
    lifecycle.milestones_added(event, desk.orders)


def _exceptional(event: ShipmentExceptional, desk: Desk, _: _Times) -> None:
    lifecycle.shipment_exceptional(event, desk.orders)


def _accepted(event: OrderAccepted, desk: Desk, _: _Times) -> None:
    lifecycle.accept(event.order_id, "", event.by, desk.orders, desk.windows, FixedClock(parse(event.at)))


def _returned(event: PaymentReturned, desk: Desk, _: _Times) -> None:
    kept = desk.books.load(event.order_id)
    if kept is not None and any(payment.id == event.payment_id for payment in kept.order.to_return):
        payments.give_back(desk.payments(parse(event.at)), kept.order)


def _closed(event: OrderCancelled | OrderExpired, desk: Desk, times: _Times) -> None:
    order = desk.orders.get(event.order_id)
    if order.status in (Status.CANCELLED, Status.EXPIRED):
        return
    at = parse(event.at)
    if isinstance(event, OrderExpired):
        lifecycle.begin_close(event.order_id, Wait(event.waited_for), desk.orders, FixedClock(at))
    elif order.status is not Status.CANCELLING:
        raise NotPossibleNow(f"it was cancelled, and it is {order.status}")
    reason = "expired" if isinstance(event, OrderExpired) else "cancelled"
    put_back(event.order_id, reason, desk, times.returned.get(event.order_id, at))
    lifecycle.close(event.order_id, desk.orders, FixedClock(at))


STEPS: Mapping[type[Event], Callable[[Any, Desk, _Times], None]] = {
    OffersPublished: _offers,
    OrderAwaitingStock: _awaiting_stock,
    ReplenishmentRaised: _raised,
    PaymentAuthorised: _authorised,
    FulfilmentRequested: _requested,
    OrderCancellationRequested: _cancellation,
    CancellationRefused: _refused,
    ShipmentDispatched: _dispatched,
    ShipmentOutForDelivery: _out,
    ShipmentExceptional: _exceptional,
    ShipmentDelivered: _delivered,
    ShipmentMilestonesAdded: _added,
    OrderAccepted: _accepted,
    PaymentReturned: _returned,
    OrderExpired: _closed,
    OrderCancelled: _closed,
}
"""Event -> what is done again because of it."""


def claims_of(order: Order) -> OrderClaims:
    """Return what an order's token says."""
    return OrderClaims(order.order_id, order.buyer, order.total, order.currency, order.locale)


def _then(event: Event, times: _Times) -> FixedClock:
    order_id = event.model_dump()["order_id"]
    return FixedClock(times.delivered.get(order_id, parse(event.at)))


def _change(order_id: str, step: Callable[[Order], Order], desk: Desk) -> None:
    change(desk.orders, order_id, step, lambda _before, _after: [])
