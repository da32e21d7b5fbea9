"""Leading an order: what its execution does, what other contexts tell it, what its buyer asks.

The fact first, the token second: a wait's token is stored beside the order, a fact on the order. The
registration of a wait looks for its fact, whoever records a fact looks for the token, so that one of
the two sees the other whatever their order. Facts come by queue, so a crash between recording and
answering is repeated by redelivery; and if an answer were lost all the same, the closing window finds
the fact (`begin_close`). A token that is answered or over is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from commerce import telemetry
from commerce.clock import Clock, parse, rfc3339
from commerce.errors import CommerceError, Forbidden
from commerce.events import (
    CancellationRefused,
    Event,
    Fulfilment,
    FulfilmentRequested,
    Milestone,
    OrderAccepted,
    OrderAwaitingStock,
    OrderCancellationRequested,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentExceptional,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
    StockAvailable,
)
from commerce.money import allocate
from commerce.tokens import OrderClaims
from orders import model
from orders.model import Entry, Fact, Order, Shipment, Stage, Status, Wait, Windows
from orders.service.ports import Executions, Orders, change


class PaymentMismatch(CommerceError):
    """A payment was authorised over another amount than the order's: for a person to look at."""

    slug = "payment-mismatch"


# --- what the execution does -------------------------------------------------------------------


def screen(
    order_id: str, started_at: str, orders: Orders, welcome: Callable[[Order], bool], clock: Clock
) -> dict[str, Any]:
    """Give the order to the execution that began at ``started_at`` and return what to reserve.

    Parameters
    ----------
    welcome
        Whether the order may begin (`orders.service.erasing.still_welcome`); one that may not is cancelled.

    Raises
    ------
    orders.model.OrderCancelled, orders.model.OrderAlreadyStarted
        See `orders.model.start`.
    """

    def step(order: Order) -> Order:
        if order.status is Status.RECEIVED and not order.started_at and not welcome(order):
            raise model.BuyerErased
        return model.start(order, started_at, clock.now())

    try:
        order = change(orders, order_id, step, _silently)
    except model.BuyerErased as error:
        cancel(order_id, "", "erasure", orders, clock)
        raise model.OrderCancelled from error
    lines = orders.revision(order_id, order.revision).lines
    return {
        "order_id": order_id,
        "buyer": order.buyer,
        "locale": order.locale,
        "country": order.country,
        "lines": [
            {"line": one.line, "sku": one.sku, "quantity": one.quantity, "merchant_id": one.merchant_id}
            for one in lines
        ],
    }


def await_stock(
    order_id: str, token: str, expected_at: datetime, orders: Orders, runs: Executions, clock: Clock
) -> None:
    """Wait until a receipt lets the order try again; tell the buyer when that should be.

    Raises
    ------
    orders.model.OrderCancelled
        The order is being closed.
    """
    orders.put_wait(order_id, Wait.STOCK, token, ())

    def events(before: Order, after: Order) -> list[Event]:
        if before.status is after.status:
            return []
        return [OrderAwaitingStock(**_about(after), at=rfc3339(clock.now()), expected_at=rfc3339(expected_at))]

    order = change(orders, order_id, lambda it: model.lack_stock(it, clock.now()), events)
    if order.woken:
        # Answered first and used up after: a crash between the two makes the order look once more, not never again.
        runs.succeed(token)
        change(orders, order_id, lambda it: model.use_up_wake(it, order.woken), _silently)


def await_payment(
    order_id: str, token: str, fulfilments: Sequence[Fulfilment], orders: Orders, runs: Executions, clock: Clock
) -> None:
    """Record the reservation and wait for the payment, which may be there already.

    Raises
    ------
    orders.model.OrderCancelled
        The order is being closed.
    """
    orders.put_wait(order_id, Wait.PAYMENT, token, ())
    shipments = [Shipment(one.fulfilment_id, one.warehouse_id, one.merchant_id) for one in fulfilments]
    order = change(orders, order_id, lambda it: model.hold(it, shipments, clock.now()), _silently)
    if order.status is not Status.AWAITING_PAYMENT:
        runs.succeed(token)


def await_dispatch(
    order_id: str, token: str, fulfilments: Sequence[Fulfilment], orders: Orders, runs: Executions, clock: Clock
) -> None:
    """Ask the warehouses for the goods and wait until all have left.

    Raises
    ------
    orders.model.OrderCancelled
        The order is being closed.
    """
    order = _not_closing(orders.get(order_id))
    now = rfc3339(clock.now())
    # The same time however often the wait is registered, so that the buyer is told once.
    paid_at = next((rfc3339(entry.at) for entry in order.timeline if entry.fact == Fact.PAID), rfc3339(order.placed_at))
    paid = OrderPaid(**_about(order), at=paid_at, currency=order.currency, total=order.total)
    valued = _valued(fulfilments, order, orders)
    requested = FulfilmentRequested(**_about(order), at=now, country=order.country, fulfilments=valued)
    orders.put_wait(order_id, Wait.DISPATCH, token, (paid, requested))
    order = _not_closing(orders.get(order_id))
    if order.status in model.GONE:
        runs.succeed(token)


def begin_close(order_id: str, waited_for: Wait, orders: Orders, clock: Clock) -> None:
    """Begin to expire an order whose window closed, unless the fact has come after all.

    Raises
    ------
    orders.model.PaymentArrived, orders.model.AlreadyDispatched
        See `orders.model.begin_expiry`.
    """
    change(orders, order_id, lambda it: model.begin_expiry(it, waited_for, clock.now()), _silently)


def hand_over(order_id: str, orders: Orders) -> None:
    """Take an order from the execution that led it, so that another may be started (`tools.reconcile`)."""
    change(orders, order_id, model.hand_over, _silently)


def resume(order_id: str, orders: Orders, windows: Windows, clock: Clock) -> None:
    """Go on with an order whose goods had left; tell the buyer that it can't be cancelled any more."""

    def events(before: Order, after: Order) -> list[Event]:
        refused: list[Event] = []
        if before.status is Status.CANCELLING:
            refused.append(CancellationRefused(**_about(after), at=rfc3339(clock.now())))
        return refused + _progress(before, after, clock.now())

    change(orders, order_id, lambda it: model.resume(it, windows, clock.now()), events)


def close(order_id: str, orders: Orders, clock: Clock) -> None:
    """End an order whose stock and money are back, and tell the buyer."""

    def events(_: Order, after: Order) -> list[Event]:
        at = rfc3339(clock.now())
        if after.status is Status.CANCELLED:
            return [OrderCancelled(**_about(after), at=at)]
        waited_for = next(
            (entry.fact.partition(":")[2] for entry in after.timeline if entry.fact.startswith(Fact.WINDOW_CLOSED)), ""
        )
        return [OrderExpired(**_about(after), at=at, waited_for=waited_for)]

    change(orders, order_id, lambda it: model.close(it, clock.now()), events)


def complete(order_id: str, orders: Orders, clock: Clock) -> None:
    """Close an order that is accepted and settled; what others need to know, `OrderAccepted` has told."""
    change(orders, order_id, lambda it: model.complete(it, clock.now()), _silently)


# --- what other contexts tell ------------------------------------------------------------------


def payment_authorised(event: PaymentAuthorised, orders: Orders, runs: Executions) -> None:
    """Record the payment and let the order go on.

    Raises
    ------
    PaymentMismatch
        It is over another amount.
    """

    def step(order: Order) -> Order:
        if (event.amount, event.currency) != (order.total, order.currency):
            raise PaymentMismatch(f"{event.payment_id} of {event.order_id}")
        return model.pay(order, event.payment_id, parse(event.at))

    order = change(orders, event.order_id, step, _silently)
    if order.status is Status.PAID:
        _answer(order.order_id, Wait.PAYMENT, orders, runs)


def stock_available(event: StockAvailable, orders: Orders, runs: Executions) -> None:
    """Let an order that waits for stock try again."""
    order = change(orders, event.order_id, model.wake, _silently)
    if order.status is Status.AWAITING_STOCK:
        _answer(order.order_id, Wait.STOCK, orders, runs)


def cancellation_requested(event: OrderCancellationRequested, orders: Orders, runs: Executions) -> None:
    """Break off whatever the order waits for."""
    if orders.get(event.order_id).status is not Status.CANCELLING:
        return
    for wait in Wait:
        token = orders.token(event.order_id, wait)
        if token is not None:
            runs.fail(token, model.OrderCancelled.__name__)


def shipment_dispatched(
    event: ShipmentDispatched, orders: Orders, runs: Executions, windows: Windows, clock: Clock
) -> None:
    """Record that a shipment left; when all have, the execution ends."""
    about = event.fulfilment_id
    entries = [
        Entry(Fact.SLIP_RELEASED, parse(event.released_at), "shipping", about),
        Entry(Fact.PACKED, parse(event.packed_at), "shipping", about),
        Entry(Fact.DISPATCHED, parse(event.at), "shipping", about),
    ]
    order = _shipped(event, "dispatched", entries, orders, windows, clock)
    if order.status in model.GONE:
        _answer(order.order_id, Wait.DISPATCH, orders, runs)


def out_for_delivery(event: ShipmentOutForDelivery, orders: Orders, windows: Windows, clock: Clock) -> None:
    """Record the parcel's way so far."""
    _shipped(event, "out_for_delivery", _scans(event.milestones, event.fulfilment_id), orders, windows, clock)


def shipment_delivered(
    event: ShipmentDelivered, orders: Orders, runs: Executions, windows: Windows, clock: Clock
) -> None:
    """Record the delivery; when all shipments are delivered, the buyer is asked to accept."""
    scans = _scans([one for one in event.milestones if one.status != "delivered"], event.fulfilment_id)
    entries = [*scans, Entry(Fact.DELIVERED, parse(event.at), "carrier", event.fulfilment_id)]
    order = _shipped(event, "delivered", entries, orders, windows, clock)
    if order.status in model.GONE:  # the news of the dispatch may be later than this
        _answer(order.order_id, Wait.DISPATCH, orders, runs)


def milestones_added(event: ShipmentMilestonesAdded, orders: Orders) -> None:
    """Record scans that came after the delivery they led to."""
    scans = _scans([one for one in event.milestones if one.status != "delivered"], event.fulfilment_id)

    def step(order: Order) -> Order:
        _known(order, event)
        return model.tell(order, *scans)

    change(orders, event.order_id, step, _silently)


def shipment_exceptional(event: ShipmentExceptional, orders: Orders) -> None:
    """Record the carrier's trouble on the timeline."""
    entries = [
        *_scans(event.milestones, event.fulfilment_id),
        Entry(f"{Fact.EXCEPTIONAL}:{event.status}", parse(event.at), "carrier", event.fulfilment_id),
    ]

    def step(order: Order) -> Order:
        _known(order, event)
        return model.tell(order, *entries)

    change(orders, event.order_id, step, _silently)


# --- what the buyer asks -----------------------------------------------------------------------


def cancel(order_id: str, who: OrderClaims | str, by: str, orders: Orders, clock: Clock) -> Order:
    """Begin to cancel an order before dispatch.

    Parameters
    ----------
    who
        The customer's id, a guest's token claims, or ``""`` for staff, who may cancel any order.

    Raises
    ------
    orders.model.NoSuchOrder
        It is not his.
    orders.model.NotPossibleNow
        It has left, or is closing already.
    """

    def events(_: Order, after: Order) -> list[Event]:
        return [OrderCancellationRequested(**_about(after), at=rfc3339(clock.now()))]

    return change(orders, order_id, lambda it: model.ask_to_cancel(owned(it, who), by, clock.now()), events)


def accept(order_id: str, who: OrderClaims | str, by: str, orders: Orders, windows: Windows, clock: Clock) -> Order:
    """Accept the delivery, ``by`` the buyer or the window.

    Raises
    ------
    orders.model.NoSuchOrder
        It is not his.
    orders.model.NotPossibleNow
        It is not delivered.
    """

    def events(_: Order, after: Order) -> list[Event]:
        at = rfc3339(clock.now())
        return [OrderAccepted(**_about(after), at=at, by="window" if by == "window" else "buyer", total=after.total)]

    return change(orders, order_id, lambda it: model.accept(owned(it, who), by, windows, clock.now()), events)


def claim(order_id: str, claims: OrderClaims, customer_id: str, orders: Orders, clock: Clock) -> Order:
    """Give a guest's order to the customer who holds its token.

    Raises
    ------
    orders.model.NoSuchOrder
        The token is of another order.
    orders.model.NotPossibleNow
        It is another customer's.
    commerce.vault.Closed
        The customer's erasure was asked for.
    """

    def step(order: Order) -> Order:
        if order.customer_id == customer_id:
            return order
        return model.claim(owned(order, claims), customer_id, clock.now())

    return change(orders, order_id, step, _silently, orders.save_claim)


def owned(order: Order, who: OrderClaims | str) -> Order:
    """Return ``order`` if it is the asker's (see `cancel`).

    Raises
    ------
    orders.model.NoSuchOrder
        It is not; whether it exists is not told.
    """
    if isinstance(who, OrderClaims):
        yours = who.order_id == order.order_id and who.buyer == (order.customer_id or order.buyer)
    else:
        yours = who in ("", order.customer_id)
    if not yours:
        raise model.NoSuchOrder()
    return order


# --- what the clock does -----------------------------------------------------------------------


@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Attributes
    ----------
    counts
        How many orders of each kind it acted on.
    first
        When the first clock of each stage runs out, or ran out.
    """

    counts: Mapping[str, int]
    first: Mapping[Stage, datetime | None]


def sweep(orders: Orders, runs: Executions, windows: Windows, clock: Clock) -> Swept:
    """Act on every open order whose clock has run out.

    A delivered order is accepted by its window. A dispatched one that nobody delivered is marked
    silent. One that should have left long ago is started if it never was (its message was lost). What
    is left is counted as stuck, with an alarm: an accepted order that nobody settled, whose completion
    is started again, or one whose execution should have closed its windows long before. One order that
    fails is left to the next sweep, and the others go on.
    """
    now = clock.now()
    counts = {"accepted": 0, "silent": 0, "started": 0, "stuck": 0, "failed": 0}
    first: dict[Stage, datetime | None] = {}
    for stage, act in ((Stage.ACCEPTANCE, _after_delivery), (Stage.DELIVERY, _in_silence), (Stage.DISPATCH, _unsent)):
        clocks = orders.clocks(stage, now)
        first[stage] = clocks.first
        for order_id in clocks.overdue:
            try:
                counts[act(order_id, orders, runs, windows, clock)] += 1
            except Exception:  # noqa: BLE001 - whatever one order's trouble is, the others' clocks run too
                telemetry.logger().exception("sweep failed", extra={"order_id": order_id})
                counts["failed"] += 1
    return Swept(counts, first)


def longest_waits(swept: Swept, set_to: Mapping[Stage, timedelta], clock: Clock) -> dict[Stage, int]:
    """Return for each stage of ``set_to`` how many seconds ago its oldest clock was started; 0 if none runs.

    Parameters
    ----------
    set_to
        How long each stage's clock runs.
    """
    now = clock.now()

    def waits(due: datetime | None, runs: timedelta) -> int:
        return 0 if due is None else max(0, int((now - due + runs).total_seconds()))

    return {stage: waits(swept.first[stage], runs) for stage, runs in set_to.items()}


def _after_delivery(order_id: str, orders: Orders, runs: Executions, windows: Windows, clock: Clock) -> str:
    order = orders.get(order_id)
    if order.status is Status.ACCEPTED:
        now = clock.now()
        # Started first and the clock set after: a crash between the two starts it once more, which does nothing.
        runs.complete(order_id, order.total, now)
        change(orders, order_id, lambda it: model.settle_again(it, windows, now), _silently)
        return "stuck"
    accept(order_id, "", "window", orders, windows, clock)
    return "accepted"


def _in_silence(order_id: str, orders: Orders, _r: Executions, windows: Windows, clock: Clock) -> str:
    change(orders, order_id, lambda it: model.go_silent(it, windows, clock.now()), _silently)
    return "silent"


def _unsent(order_id: str, orders: Orders, runs: Executions, _w: Windows, _c: Clock) -> str:
    if orders.get(order_id).started_at:
        return "stuck"
    runs.start(order_id)
    return "started"


# --- helpers -----------------------------------------------------------------------------------


def _silently(_before: Order, _after: Order) -> list[Event]:
    return []


def _not_closing(order: Order) -> Order:
    if order.status in model.CLOSING:
        raise model.OrderCancelled()
    return order


def _valued(fulfilments: Sequence[Fulfilment], order: Order, orders: Orders) -> list[Fulfilment]:
    """Say of each of several fulfilments what its lines cost, so that each is captured when it leaves.

    A line that is split over fulfilments is shared by quantity without losing a unit.
    """
    if len(fulfilments) == 1:
        return [fulfilments[0].model_copy(update={"value": order.total})]
    values = dict.fromkeys((one.fulfilment_id for one in fulfilments), 0)
    for line in orders.revision(order.order_id, order.revision).lines:
        parts = [
            (one.fulfilment_id, part.quantity) for one in fulfilments for part in one.lines if part.line == line.line
        ]
        shares = allocate(line.charges.total, [quantity for _, quantity in parts])
        for (fulfilment_id, _), share in zip(parts, shares, strict=True):
            values[fulfilment_id] += share
    return [one.model_copy(update={"value": values[one.fulfilment_id]}) for one in fulfilments]


def _answer(order_id: str, wait: Wait, orders: Orders, runs: Executions) -> None:
    token = orders.token(order_id, wait)
    if token is not None:
        runs.succeed(token)


def _about(order: Order) -> Mapping[str, Any]:
    return {"order_id": order.order_id, "buyer": order.buyer, "locale": order.locale}


def _shipped(
    event: ShipmentEvent, status: str, entries: Sequence[Entry], orders: Orders, windows: Windows, clock: Clock
) -> Order:
    def step(order: Order) -> Order:
        known = _known(order, event)
        news = Shipment(
            known.fulfilment_id, known.warehouse_id, known.merchant_id, status, event.carrier, event.waybill
        )
        return model.ship(order, news, entries, windows, clock.now())

    return change(orders, event.order_id, step, lambda before, after: _progress(before, after, clock.now()))


def _known(order: Order, event: ShipmentEvent) -> Shipment:
    if event.fulfilment_id not in order.shipments:
        raise Forbidden(f"{event.fulfilment_id} is no fulfilment of the order")
    return order.shipments[event.fulfilment_id]


def _progress(before: Order, after: Order, now: datetime) -> list[Event]:
    if after.status is not Status.DELIVERED or before.status is Status.DELIVERED or after.due is None:
        return []
    return [OrderDelivered(**_about(after), at=rfc3339(now), accept_by=rfc3339(after.due))]


def _scans(milestones: Sequence[Milestone], about: str) -> list[Entry]:
    return [Entry(f"{Fact.SCAN}:{one.status}", parse(one.at), "carrier", about) for one in milestones]
