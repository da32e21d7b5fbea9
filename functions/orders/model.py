"""What an order is: its statuses, its transition table, its lines and charges, and its errors.

Knows no AWS, no clock and no environment.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from commerce.errors import CommerceError, Conflict, Invalid, NotFound, TooMany, Unavailable

"""Bounds of one order: its lines, and the quantity of each. The largest real one has 704 lines."""


class Status(enum.StrEnum):
    """Where an order is."""

    RECEIVED = "received"
    AWAITING_STOCK = "awaiting_stock"
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    EXPIRING = "expiring"
    EXPIRED = "expired"


TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.RECEIVED: frozenset({Status.AWAITING_STOCK, Status.AWAITING_PAYMENT, Status.CANCELLING}),
        Status.AWAITING_STOCK: frozenset({Status.AWAITING_PAYMENT, Status.CANCELLING, Status.EXPIRING}),
        Status.AWAITING_PAYMENT: frozenset({Status.PAID, Status.CANCELLING, Status.EXPIRING}),
        Status.PAID: frozenset({Status.DISPATCHED, Status.CANCELLING, Status.EXPIRING}),
        # A parcel that had already left wins over a cancellation or a closed window.
        Status.CANCELLING: frozenset({Status.CANCELLED, Status.PAID}),
        Status.EXPIRING: frozenset({Status.EXPIRED, Status.PAID}),
        Status.DISPATCHED: frozenset({Status.DELIVERED}),
        Status.DELIVERED: frozenset({Status.ACCEPTED}),
        Status.ACCEPTED: frozenset({Status.COMPLETED}),
        Status.COMPLETED: frozenset(),
        Status.CANCELLED: frozenset(),
        Status.EXPIRED: frozenset(),
    }
)
"""The one transition table; the store enforces it with conditions."""

TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)


class Stage(enum.StrEnum):
    """What an open order's clock runs for; the key of the sparse index of open orders."""

    DISPATCH = "dispatch"
    DELIVERY = "delivery"
    ACCEPTANCE = "acceptance"


STAGES: Mapping[Status, Stage] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                Status.RECEIVED,
                Status.AWAITING_STOCK,
                Status.AWAITING_PAYMENT,
                Status.PAID,
                Status.CANCELLING,
                Status.EXPIRING,
            ),
            Stage.DISPATCH,
        ),
        Status.DISPATCHED: Stage.DELIVERY,
        Status.DELIVERED: Stage.ACCEPTANCE,
        Status.ACCEPTED: Stage.ACCEPTANCE,
    }
)
"""Stage of each open status. Three, not nine: every change of the index costs two write units."""


class Wait(enum.StrEnum):
    """What an execution waits for by callback."""

    STOCK = "stock"
    PAYMENT = "payment"
    DISPATCH = "dispatch"


class Fact(enum.StrEnum):
    """What the timeline tells, in the order in which it usually happens."""

    PLACED = "placed"
    SCREENED = "screened"
    STOCK_SHORT = "stock_short"
    RESERVED = "reserved"
    PAID = "paid"
    SLIP_RELEASED = "slip_released"
    PACKED = "packed"
    DISPATCHED = "dispatched"
    SCAN = "scan"
    DELIVERED = "delivered"
    SILENT = "silent"
    EXCEPTIONAL = "exceptional"
    ACCEPTED = "accepted"
    SETTLED = "settled"
    COMPLETED = "completed"
    CLAIMED = "claimed"
    CANCELLATION_REQUESTED = "cancellation_requested"
    CANCELLATION_REFUSED = "cancellation_refused"
    WINDOW_CLOSED = "window_closed"
    WINDOW_REOPENED = "window_reopened"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Entry:
    """One fact of the timeline.

    Attributes
    ----------
    fact
        A `Fact`, with what it is about behind a colon if that is needed (``scan:in_transit``).
    at
        When it became true, by the clock of its source.
    source
        The context that knows it, or ``carrier``.
    about
        The fulfilment it concerns, if not the whole order.
    """

    fact: str
    at: datetime
    source: str
    about: str = ""


@dataclass(frozen=True)
class Charges:
    """Typed, signed charges of a line in minor units; they sum to what the line costs.

    Attributes
    ----------
    item
        Quantity times unit price.
    discount, shipping
        Zero until rules fill them; a discount is negative.
    tax
        Tax contained in (inclusive) or added to (exclusive) the rest.
    tax_rate_bp
        Hundredths of a per cent.
    tax_inclusive
        Whether ``tax`` is already contained in the others and adds nothing.
    """

    item: int
    tax_rate_bp: int
    tax_inclusive: bool
    tax: int
    discount: int = 0
    shipping: int = 0

    @property
    def total(self) -> int:
        """What the line costs the buyer."""
        return self.item + self.discount + self.shipping + (0 if self.tax_inclusive else self.tax)


def charge(quantity: int, unit_price: int, tax_rate_bp: int, *, tax_inclusive: bool) -> Charges:
    """Return the charges of a line; tax is rounded half to even to the minor unit."""
    item = quantity * unit_price
    base = 10_000 + tax_rate_bp if tax_inclusive else 10_000
    return Charges(item, tax_rate_bp, tax_inclusive, _half_even(item * tax_rate_bp, base))


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))


@dataclass(frozen=True)
class Line:
    """One line of an order; never changed after acceptance."""

    line: int
    sku: str
    quantity: int
    unit_price: int
    merchant_id: str
    charges: Charges


@dataclass(frozen=True)
class Shipment:
    """What the order knows of one of its fulfilments."""

    fulfilment_id: str
    warehouse_id: str
    merchant_id: str
    status: str = "allocated"
    carrier: str = ""
    waybill: str = ""


@dataclass(frozen=True)
class Order:
    """The small header of an order: all that ever changes.

    Attributes
    ----------
    order_id
        Compact order number.
    buyer
        Who placed it: a customer's id, or a guest's; whose contact card and data key it is.
    customer_id
        Whose account it is in: the same for a customer, empty for a guest until somebody claims it.
    total
        Minor units of ``currency``.
    due
        When the clock of the order's stage runs out; None when the order is closed.
    started_at
        Start time of the execution that leads the order; empty before.
    payment_id
        The payment that pays it; known before the order waits for it, if the buyer was quick.
    woken
        How often stock came in since the order last asked for it.
    version
        Counts changes; the ETag of a polled order.
    """

    order_id: str
    status: Status
    buyer: str
    customer_id: str
    currency: str
    total: int
    line_count: int
    locale: str
    country: str
    placed_at: datetime
    due: datetime | None
    started_at: str = ""
    payment_id: str = ""
    woken: int = 0
    version: int = 1
    revision: int = 1
    shipments: Mapping[str, Shipment] = field(default_factory=dict)
    timeline: Sequence[Entry] = ()


@dataclass(frozen=True)
class Revision:
    """What was agreed at one moment, immutable: lines, charges, and the sealed address.

    Attributes
    ----------
    subject
        Whose data key seals ``sealed``.
    sealed
        Ciphertext of the address and the contact (`commerce.vault`).
    time_zone
        The buyer's, by its name in the IANA database.
    """

    number: int
    subject: str
    sealed: bytes
    price_list: str
    time_zone: str
    lines: Sequence[Line]


GUEST = "guest_"
"""How the ids of guests begin; no customer's does."""


class ErasureState(enum.StrEnum):
    """How far the erasure of a person is."""

    ASKED = "asked"
    DUE = "due"
    ERASED = "erased"


ERASURE_TRANSITIONS: Mapping[ErasureState, frozenset[ErasureState]] = MappingProxyType(
    {
        # Orders that still need the address are waited for; once it is due nothing brings the person back.
        ErasureState.ASKED: frozenset({ErasureState.DUE}),
        ErasureState.DUE: frozenset({ErasureState.ERASED}),
        ErasureState.ERASED: frozenset(),
    }
)
"""The one transition table of erasures; the store enforces it with conditions."""


@dataclass(frozen=True)
class Erasure:
    """The tombstone of a person: ids and times, and never anything else.

    Attributes
    ----------
    subject
        The customer's or guest's id.
    asked_at
        RFC 3339.
    order_id
        A guest's one order; empty for a customer, whose orders are listed.
    waits_for
        An order that needed the address when it was last looked.
    version
        Counts changes, and the orders that came in while it was asked for.
    """

    subject: str
    asked_at: str
    state: ErasureState = ErasureState.ASKED
    order_id: str = ""
    waits_for: str = ""
    erased_at: str = ""
    version: int = 1


def needs_person(order: Order) -> bool:
    """Whether the order cannot go on without its address: it has not left, and is not given up either."""
    return STAGES.get(order.status) is Stage.DISPATCH


class OrdersError(CommerceError):
    """Root of what this context refuses."""


class NoSuchOrder(OrdersError, NotFound):
    """There is no such order, or it is not the caller's."""

    slug = "no-such-order"
    title = "No such order"


class OrderRefused(OrdersError, Invalid):
    """A real-time check of acceptance failed; the fields are named and nothing is stored."""

    slug = "order-refused"
    title = "The order cannot be accepted as it is"


class IdempotencyConflict(OrdersError, Invalid):
    """The key was used before for an order with another content."""

    slug = "idempotency-conflict"
    title = "This Idempotency-Key belongs to an order with another content"


class NotPossibleNow(OrdersError, Conflict):
    """The order's status does not allow this."""

    slug = "not-possible-now"
    title = "The order is past that"


class OrderAlreadyStarted(OrdersError, Conflict):
    """Another execution leads this order, or it is closed."""

    slug = "order-already-started"


class OrderCancelled(OrdersError, Conflict):
    """The order is being cancelled: its execution turns to putting things back."""

    slug = "order-cancelled"


class BuyerErased(OrdersError, Conflict):
    """The order came in while its buyer was being erased: it may not begin."""

    slug = "buyer-erased"


class PaymentArrived(OrdersError, Conflict):
    """The window closed, but the payment was there: the payment wins."""

    slug = "payment-arrived"


class AlreadyDispatched(OrdersError, Conflict):
    """Everything has left already: the dispatch wins."""

    slug = "already-dispatched"


class TooManyOrders(OrdersError, TooMany):
    """The buyer has placed as many orders in this window as one may; nothing is stored."""

    slug = "too-many-orders"
    title = "Too many orders in a short time"


class NumberTaken(OrdersError, Unavailable):
    """Two orders of one second drew the same number; the second is minted again."""

    slug = "number-taken"


@dataclass(frozen=True)
class Pace:
    """How many orders one buyer may place in a window of time; windows follow one another from the epoch on."""

    orders: int
    window: timedelta

    def since(self, now: datetime) -> datetime:
        """Return when the window began that ``now`` is in."""
        return now - (now - datetime.fromtimestamp(0, UTC)) % self.window


@dataclass(frozen=True)
class Windows:
    """How long a stage lasts before its clock runs out; settings of the deployment's stage."""

    silence: timedelta
    acceptance: timedelta
    settlement: timedelta


_BEFORE_PAYMENT = frozenset({Status.RECEIVED, Status.AWAITING_STOCK, Status.AWAITING_PAYMENT})
GONE = frozenset({Status.DISPATCHED, Status.DELIVERED, Status.ACCEPTED, Status.COMPLETED})
CLOSING = frozenset({Status.CANCELLING, Status.CANCELLED, Status.EXPIRING, Status.EXPIRED})


def move(order: Order, to: Status) -> Order:
    """Return ``order`` in status ``to``.

    Raises
    ------
    NotPossibleNow
        The transition table does not know this step.
    """
    if to not in TRANSITIONS[order.status]:
        raise NotPossibleNow(f"{order.status} orders do not become {to}")
    return replace(order, status=to, due=None if to in TERMINAL else order.due)


def tell(order: Order, *entries: Entry) -> Order:
    """Return ``order`` with those of ``entries`` that its timeline does not hold yet."""
    known = {(entry.fact, entry.about) for entry in order.timeline}
    return replace(order, timeline=(*order.timeline, *(one for one in entries if (one.fact, one.about) not in known)))


def start(order: Order, started_at: str, now: datetime) -> Order:
    """Mark the execution that leads the order from now on.

    An order that was taken from its execution (`hand_over`) is led on from where it is: every task does again only what
    is missing.

    Raises
    ------
    OrderCancelled
        The buyer was quicker.
    OrderAlreadyStarted
        Another execution leads it.
    """
    if order.started_at not in ("", started_at):
        raise OrderAlreadyStarted
    if order.status in CLOSING:
        raise OrderCancelled
    if order.started_at == started_at:
        return order
    if order.status in GONE:
        raise OrderAlreadyStarted
    return tell(replace(order, started_at=started_at), Entry(Fact.SCREENED, now, "orders"))


def hand_over(order: Order) -> Order:
    """Take an order from the execution that led it, which is over or knows nothing of it any more."""
    return replace(order, started_at="")


def lack_stock(order: Order, now: datetime) -> Order:
    """Let the order wait for stock.

    Raises
    ------
    OrderCancelled
        The order is being closed.
    """
    if order.status in CLOSING:
        raise OrderCancelled
    if order.status is Status.RECEIVED:
        return tell(move(order, Status.AWAITING_STOCK), Entry(Fact.STOCK_SHORT, now, "inventory"))
    return order


def wake(order: Order) -> Order:
    """Remember that stock came in for an order that waits for it or is about to."""
    if order.status in (Status.RECEIVED, Status.AWAITING_STOCK):
        return replace(order, woken=order.woken + 1)
    return order


def use_up_wake(order: Order, seen: int) -> Order:
    """Forget the wake-ups that were ``seen``; one that came since stays."""
    return replace(order, woken=0) if order.woken == seen else order


def hold(order: Order, shipments: Sequence[Shipment], now: datetime) -> Order:
    """Record the reservation: the order waits for its payment, or is paid if that came first.

    A reservation that was lost and made anew may be another one; it counts as long as nothing has left.

    Raises
    ------
    OrderCancelled
        The order is being closed.
    """
    if order.status in CLOSING:
        raise OrderCancelled
    if order.status in GONE or any(_RANK[one.status] for one in order.shipments.values()):
        return order
    order = replace(order, shipments={one.fulfilment_id: one for one in shipments})
    if order.status not in (Status.RECEIVED, Status.AWAITING_STOCK):
        return order
    order = replace(order, woken=0)
    order = tell(move(order, Status.AWAITING_PAYMENT), Entry(Fact.RESERVED, now, "inventory"))
    return move(order, Status.PAID) if order.payment_id or not order.total else order


def pay(order: Order, payment_id: str, at: datetime) -> Order:
    """Record the authorised payment; of an order that is being closed it is none of our business."""
    if order.payment_id or order.status not in _BEFORE_PAYMENT:
        return order
    order = tell(replace(order, payment_id=payment_id), Entry(Fact.PAID, at, "payments"))
    return move(order, Status.PAID) if order.status is Status.AWAITING_PAYMENT else order


def ship(order: Order, shipment: Shipment, entries: Sequence[Entry], windows: Windows, now: datetime) -> Order:
    """Record what is known of a shipment; it never goes back, whatever the order of the news."""
    before = order.shipments.get(shipment.fulfilment_id)
    if before is not None and _RANK[before.status] > _RANK[shipment.status]:
        shipment = replace(shipment, status=before.status)
    order = replace(order, shipments={**order.shipments, shipment.fulfilment_id: shipment})
    return advance(tell(order, *entries), windows, now)


def advance(order: Order, windows: Windows, now: datetime) -> Order:
    """Move a paid order as far as its shipments are."""
    ranks = [_RANK[one.status] for one in order.shipments.values()]
    if order.status is Status.PAID and ranks and min(ranks) >= _RANK["dispatched"]:
        order = replace(move(order, Status.DISPATCHED), due=now + windows.silence)
    if order.status is Status.DISPATCHED and ranks and min(ranks) >= _RANK["delivered"]:
        order = replace(move(order, Status.DELIVERED), due=now + windows.acceptance)
    return order


_RANK = {"allocated": 0, "dispatched": 1, "out_for_delivery": 2, "delivered": 3}


def accept(order: Order, by: str, windows: Windows, now: datetime) -> Order:
    """Accept the delivery, for the buyer or for the window; from now on the order's clock runs for its settlement.

    Raises
    ------
    NotPossibleNow
        The order is not delivered.
    """
    if order.status in (Status.ACCEPTED, Status.COMPLETED):
        return order
    accepted = replace(move(order, Status.ACCEPTED), due=now + windows.settlement)
    return tell(accepted, Entry(Fact.ACCEPTED, now, by))


def settle_again(order: Order, windows: Windows, now: datetime) -> Order:
    """Let the clock of an accepted order that nobody settled in time run once more; any other is left alone."""
    if order.status is not Status.ACCEPTED or order.due is None or order.due > now:
        return order
    return replace(order, due=now + windows.settlement)


def complete(order: Order, now: datetime) -> Order:
    """Close a settled order."""
    if order.status is Status.COMPLETED:
        return order
    order = move(order, Status.COMPLETED)
    return tell(order, Entry(Fact.SETTLED, now, "payments"), Entry(Fact.COMPLETED, now, "orders"))


def ask_to_cancel(order: Order, by: str, now: datetime) -> Order:
    """Begin to cancel; the execution puts things back.

    Raises
    ------
    NotPossibleNow
        The order has left, or its window has closed.
    """
    if order.status in (Status.CANCELLING, Status.CANCELLED):
        return order
    return tell(move(order, Status.CANCELLING), Entry(Fact.CANCELLATION_REQUESTED, now, by))


def begin_expiry(order: Order, waited_for: Wait, now: datetime) -> Order:
    """Close a window, unless what it waited for has come.

    Raises
    ------
    PaymentArrived
        The order is paid.
    AlreadyDispatched
        The order has left.
    """
    if order.status in CLOSING:
        return order
    if order.status in GONE:
        raise AlreadyDispatched
    if waited_for is Wait.PAYMENT and order.status is Status.PAID:
        raise PaymentArrived
    return tell(move(order, Status.EXPIRING), Entry(f"{Fact.WINDOW_CLOSED}:{waited_for}", now, "orders"))


def resume(order: Order, windows: Windows, now: datetime) -> Order:
    """Go on with an order whose goods had left before it could be cancelled or expire."""
    if order.status not in (Status.CANCELLING, Status.EXPIRING):
        return order
    fact = Fact.CANCELLATION_REFUSED if order.status is Status.CANCELLING else Fact.WINDOW_REOPENED
    return advance(tell(move(order, Status.PAID), Entry(fact, now, "shipping")), windows, now)


def close(order: Order, now: datetime) -> Order:
    """End an order whose stock and money are back.

    Raises
    ------
    NotPossibleNow
        It was not being closed.
    """
    if order.status in (Status.CANCELLED, Status.EXPIRED):
        return order
    to = Status.CANCELLED if order.status is Status.CANCELLING else Status.EXPIRED
    return tell(move(order, to), Entry(Fact(to.value), now, "orders"))


def go_silent(order: Order, windows: Windows, now: datetime) -> Order:
    """Note that no delivery came within the window of a dispatched order; its clock starts again.

    What the index said may be old: an order that is past that, or whose clock was just set, is left alone.
    """
    if order.status is not Status.DISPATCHED or order.due is None or order.due > now:
        return order
    silences = sum(entry.fact.startswith(Fact.SILENT) for entry in order.timeline)
    order = replace(order, due=now + windows.silence)
    return tell(order, Entry(f"{Fact.SILENT}:{silences + 1}", now, "orders"))


def claim(order: Order, customer_id: str, now: datetime) -> Order:
    """Give a guest's order to the customer who proved to be the guest.

    Raises
    ------
    NotPossibleNow
        It is another customer's already.
    """
    if order.customer_id == customer_id:
        return order
    if order.customer_id:
        raise NotPossibleNow("the order belongs to an account already")
    return tell(replace(order, customer_id=customer_id), Entry(Fact.CLAIMED, now, "buyer"))
