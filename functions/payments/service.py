"""What can be done with the payments of an order.

Every change is made by `_change`: decide on what is there, write on condition that it is still
there, decide again if it is not. A provider is told only what has been written before, and is told
again by whoever finds it undone (a redelivered message, the provider's own redelivery, the sweep,
the settlement); its calls are idempotent by our ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from commerce import outbox, telemetry
from commerce.clock import Clock, rfc3339
from commerce.dynamo import Contended
from commerce.errors import Conflict, FieldError, Invalid, Malformed, NotFound
from commerce.events import Event, PaymentAuthorised, PaymentDeclined, PaymentReturned, ShipmentDispatched
from commerce.figures import Figure
from commerce.tokens import OrderClaims
from payments import model
from payments.model import CallbackFact, Demand, OrderPayments, Payment, PaymentsError, Standing, State, Verdict
from payments.providers.port import Header, NextAction, Provider

_ROUNDS = 12
"""How often a change is decided anew; each round means that another writer got through."""

RETURN = "return"
"""Key of the refund that gives back all that was captured."""


@dataclass(frozen=True)
class Kept:
    """An order's payments as they are in the books.

    Attributes
    ----------
    order
        The payments.
    version
        Counts the writes.
    open_since
        Since when money is to be returned, RFC 3339; empty if none is.
    """

    order: OrderPayments
    version: int
    open_since: str = ""


class WrittenMeanwhile(PaymentsError, Conflict):
    """Somebody else wrote the order's payments since they were read."""

    slug = "written-meanwhile"


class Books(Protocol):
    """Where the payments are kept (`payments.store`)."""

    def load(self, order_id: str) -> Kept | None: ...

    def save(self, order: OrderPayments, *, over: Kept | None, now: str, outbox: str | None) -> None: ...

    def open_orders(self) -> Iterator[str]: ...


Providers = Mapping[str, Provider]
Decide = Callable[[OrderPayments], OrderPayments]
Tell = Callable[[OrderPayments, OrderPayments], Sequence[Event]]


@dataclass(frozen=True)
class Desk:
    """All that the use cases need: the books, the providers by name, and the time."""

    books: Books
    providers: Providers
    clock: Clock

    def now(self) -> str:
        return rfc3339(self.clock.now())


def start_payment(desk: Desk, claims: OrderClaims, provider: str, key: str) -> tuple[Payment, NextAction | None]:
    """Create a payment of the order that ``claims`` are about; the same request again is the same payment.

    Parameters
    ----------
    claims
        From the order's token: what is due and from whom.
    provider
        Name of the provider that the buyer chose.
    key
        The request's Idempotency-Key.

    Returns
    -------
    The payment, and how the buyer goes on (None once the provider has decided).

    Raises
    ------
    Invalid
        There is no such provider.
    PaymentClosed, AlreadyPaid, NothingDue, TooManyPayments, KeyReused
        See `model.open_payment`.
    """
    if provider not in desk.providers:
        raise Invalid(fields=[FieldError("provider", "unknown", f"one of {', '.join(sorted(desk.providers))}")])
    new = model.payment_id(claims.order_id, key)

    def decide(order: OrderPayments) -> OrderPayments:
        if order == OrderPayments(claims.order_id):
            order = _demanded(claims)
        return model.open_payment(order, Payment(new, provider, order.amount, order.currency, desk.now()))

    order = _change(desk, claims.order_id, decide)
    payment = order.payments[new]
    return payment, desk.providers[provider].create(payment) if payment.state is State.CREATED else None


def read_payments(desk: Desk, order_id: str, buyer: str | None) -> Kept:
    """Return the payments of an order.

    Parameters
    ----------
    buyer
        Whose it must be; None for staff.

    Raises
    ------
    NotFound
        Nobody tried to pay it, or it is not the buyer's.
    """
    kept = desk.books.load(order_id)
    if kept is None or buyer not in (None, kept.order.buyer):
        raise NotFound("this order has no payments")
    return kept


def read_own_payments(desk: Desk, claims: OrderClaims) -> Kept:
    """Return the payments of the order that ``claims`` are about, also when there is none yet."""
    return desk.books.load(claims.order_id) or Kept(_demanded(claims), 0)


def hear_callback(desk: Desk, provider: str, header: Header, raw_body: bytes) -> None:
    """Apply a provider's callback; money that is not wanted goes back before it is acknowledged.

    Raises
    ------
    UnknownProvider
        There is no such provider.
    BadSignature
        It is not the provider's.
    Malformed
        It is the provider's and is about nothing of ours.
    UnknownPayment
        It is about a payment that is not on record: to be sent again.
    ProviderUnavailable
        The fact is recorded, and the money could not be returned yet: sent again, it is tried again.
    """
    if provider not in desk.providers:
        raise model.UnknownProvider(provider)
    fact = desk.providers[provider].verify_callback(header, raw_body)
    if fact.verdict is Verdict.OTHER:
        return
    order_id = model.order_of(fact.payment_id)
    if order_id is None:
        raise Malformed("this is not a payment of ours")

    def decide(order: OrderPayments) -> OrderPayments:
        return model.hear(order, provider, fact)

    order = _change(desk, order_id, decide, lambda before, after: _heard(before, after, fact, desk.now()))
    if model.differs(order.payments[fact.payment_id], fact) and fact.verdict is Verdict.AUTHORISED:
        telemetry.logger().error(
            "a provider holds other money than was asked for", extra={"payment_id": fact.payment_id}
        )
        telemetry.count(Figure.PAYMENT_MISMATCHED)
    give_back(desk, order)


def remember(desk: Desk, claims: OrderClaims, event: PaymentAuthorised) -> OrderPayments:
    """Write down again a payment that was authorised and that the books have lost; nobody is told a second time.

    If the order takes no payment any more, the money is to be returned, as if the callback had come now.

    Parameters
    ----------
    claims
        What the order costs and whose it is.
    event
        What was told when it was authorised.
    """
    lost = Payment(event.payment_id, event.provider, event.amount, event.currency, event.at)
    held = CallbackFact(event.payment_id, Verdict.AUTHORISED, event.amount, event.currency)

    def decide(order: OrderPayments) -> OrderPayments:
        if order == OrderPayments(claims.order_id):
            order = _demanded(claims)
        if event.payment_id not in order.payments:
            order = order.with_payment(lost)
        return model.hear(order, event.provider, held)

    return _change(desk, claims.order_id, decide)


def capture_shipment(desk: Desk, shipment: ShipmentDispatched) -> None:
    """Capture what a dispatched shipment allows (`model.capture_shipment`); an order that costs nothing has none.

    Raises
    ------
    NothingAuthorised
        No money is held for the order.
    """
    kept = desk.books.load(shipment.order_id)
    if kept is None:
        return

    def decide(order: OrderPayments) -> OrderPayments:
        return model.capture_shipment(order, shipment.fulfilment_id, shipment.of, shipment.value)

    order = _change(desk, shipment.order_id, decide, kept=kept)
    payment = order.paying
    if payment is not None and payment.held:
        _take(desk, payment, shipment.fulfilment_id)


def settle(desk: Desk, order_id: str, due: int) -> tuple[int, str | None]:
    """Make sure that everything due for a completed order was captured, at the provider too.

    Parameters
    ----------
    due
        What an order is said to cost of which no payment was ever asked; 0 if nothing was said.

    Returns
    -------
    What was captured, in minor units, and its currency (None for an order that costs nothing).

    Raises
    ------
    SettlementImpossible
        Something is due and no money is held for it, or the provider took less than it was told.
    """
    kept = desk.books.load(order_id)
    if kept is None:
        model.capture_rest(OrderPayments(order_id, amount=due))
        return 0, None
    order = _change(desk, order_id, model.capture_rest, kept=kept)
    payment = order.paying
    if payment is None:
        return 0, None
    standing = desk.providers[payment.provider].query(payment)
    if standing.captured < payment.captured:
        for key in payment.captures:
            standing = _take(desk, payment, key)
    if standing.captured != payment.captured:
        raise model.SettlementImpossible(f"{standing.captured} of {payment.captured} captured")
    return payment.captured, payment.currency


def return_money(desk: Desk, order_id: str, reason: str) -> OrderPayments:
    """Withdraw an order's demand and return all that is or may be held for it; again it does nothing.

    An order that nobody tried to pay gets a withdrawn demand all the same, so that no payment can be
    started after.
    """
    order = _change(desk, order_id, lambda now: model.withdraw(now, reason))
    return give_back(desk, order)


def give_back(desk: Desk, order: OrderPayments) -> OrderPayments:
    """Return at the provider whatever is recorded as to be returned, and record that it was.

    The void comes first and then the provider's books are read: after it nothing more can be
    authorised or captured, so that what was captured by then is exactly what is to be refunded.
    """
    for payment in order.to_return:
        provider = desk.providers[payment.provider]
        standing = provider.void(payment)
        if standing.captured > standing.refunded:
            standing = provider.refund(payment, RETURN, standing.captured - standing.refunded)
        order = _record_return(desk, order.order_id, payment.id, standing)
    return order


def sweep(desk: Desk) -> int:
    """Return what is still to be returned of every order; one that fails does not stop the others.

    Returns
    -------
    How many orders were tended to.

    Raises
    ------
    ExceptionGroup
        What failed.
    """
    failed: list[Exception] = []
    done = 0
    for order_id in desk.books.open_orders():
        try:
            kept = desk.books.load(order_id)
            if kept is not None:
                give_back(desk, kept.order)
                done += 1
        except Exception as error:  # noqa: BLE001 - one order must not keep the others' money; all are raised below
            telemetry.logger().warning("money not returned yet", extra={"order_id": order_id}, exc_info=error)
            failed.append(error)
    telemetry.count(Figure.RETURNS_DUE, done + len(failed))
    if failed:
        raise ExceptionGroup("money could not be returned", failed)
    return done


def _change(
    desk: Desk, order_id: str, decide: Decide, tell: Tell | None = None, *, kept: Kept | None = None
) -> OrderPayments:
    """Write what ``decide`` makes of an order's payments, with the events that ``tell`` tells of the change."""
    for _ in range(_ROUNDS):
        kept = kept or desk.books.load(order_id)
        before = kept.order if kept else OrderPayments(order_id)
        after = decide(before)
        if after is before:
            return after
        events = tell(before, after) if tell else ()
        try:
            desk.books.save(after, over=kept, now=desk.now(), outbox=outbox.pack(*events))
        except WrittenMeanwhile:
            kept = None
        else:
            return after
    raise Contended("the payments of this order are being changed too often")


def _demanded(claims: OrderClaims) -> OrderPayments:
    return OrderPayments(claims.order_id, claims.amount, claims.currency, claims.buyer, claims.locale)


def _heard(before: OrderPayments, after: OrderPayments, fact: CallbackFact, now: str) -> Sequence[Event]:
    payment = after.payments[fact.payment_id]
    if after.demand is Demand.SATISFIED and before.demand is Demand.OPEN:
        return [PaymentAuthorised(at=now, amount=payment.authorised, **_about(after, payment))]
    if payment.state is State.DECLINED and after.demand is Demand.OPEN:
        return [PaymentDeclined(at=now, amount=payment.amount, **_about(after, payment), **_whom(after))]
    return ()


def _record_return(desk: Desk, order_id: str, payment_id: str, standing: Standing) -> OrderPayments:
    def tell(before: OrderPayments, after: OrderPayments) -> Sequence[Event]:
        payment = after.payments[payment_id]
        gone_back = payment.authorised - before.payments[payment_id].refunded
        if gone_back <= 0:
            return ()
        about = _about(after, payment) | {"currency": payment.authorised_currency}
        return [PaymentReturned(at=desk.now(), amount=gone_back, reason=payment.reason, **about, **_whom(after))]

    return _change(desk, order_id, lambda now: model.returned(now, payment_id, standing), tell)


def _take(desk: Desk, payment: Payment, key: str) -> Standing:
    provider = desk.providers[payment.provider]
    amount = payment.captures[key]
    return provider.capture(payment, key, amount) if amount else provider.query(payment)


def _about(order: OrderPayments, payment: Payment) -> dict[str, str]:
    return {
        "order_id": order.order_id,
        "payment_id": payment.id,
        "provider": payment.provider,
        "currency": payment.currency,
    }


def _whom(order: OrderPayments) -> dict[str, str]:
    return {"buyer": order.buyer, "locale": order.locale or "en"}
