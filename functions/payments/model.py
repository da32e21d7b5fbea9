"""What is due for an order and its payments: states, transitions, invariants and errors.

All payments of an order are one thing, `OrderPayments`, because they are one decision: the first
authorised payment satisfies the demand, and whatever else is authorised goes back. Every function
here takes what is and returns what shall be (the very same object when nothing changes); the store
writes it on condition that nobody else has written meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from commerce.errors import CommerceError, Conflict, FieldError, Invalid, NotFound, Unauthenticated, Unavailable
from commerce.money import allocate

MOST_PAYMENTS = 20
"""Payments of one order: it bounds the item (20 take about 5 KB) and what a stolen card number can be tried."""

SETTLEMENT = "settlement"
"""Key of the capture that takes what no shipment captured."""

_PAYMENT_ID = re.compile(r"pay_([0-9B-DF-HJKMNP-TV-Z]{12})_[0-9a-f]{16}")


class PaymentsError(CommerceError):
    """Root of what payments refuse or cannot do."""


class PaymentClosed(PaymentsError, Conflict):
    """The order was cancelled or expired: nothing is due for it any more."""

    slug = "payment-closed"
    title = "This order can no longer be paid"


class AlreadyPaid(PaymentsError, Conflict):
    """Another payment has satisfied the demand."""

    slug = "already-paid"
    title = "This order is paid"


class NothingDue(PaymentsError, Conflict):
    """The order costs nothing."""

    slug = "nothing-due"
    title = "There is nothing to pay for this order"


class TooManyPayments(PaymentsError, Conflict):
    """The order has `MOST_PAYMENTS` payments already."""

    slug = "too-many-payments"
    title = "This order was tried to be paid too often"


class KeyReused(PaymentsError, Invalid):
    """The Idempotency-Key belongs to a payment that was asked for otherwise."""

    slug = "idempotency-key-reused"
    title = "This Idempotency-Key belongs to another request"


class UnknownProvider(PaymentsError, NotFound):
    """No provider of that name."""

    slug = "unknown-provider"
    title = "No such payment provider"


class BadSignature(PaymentsError, Unauthenticated):
    """A callback is not signed, or not by its provider."""

    slug = "bad-signature"
    title = "The signature does not hold"


class StaleCallback(BadSignature):
    """A callback was signed too long ago (or ahead): it may be replayed by somebody."""

    slug = "stale-callback"
    title = "The callback was signed too long ago"


class UnknownPayment(PaymentsError, Unavailable):
    """A verified callback of a payment that is not on record (yet): the provider shall send it again."""

    slug = "unknown-payment"
    title = "This payment is not known yet"


class ProviderUnavailable(PaymentsError, Unavailable):
    """The provider does not answer; the same call may be made again."""

    slug = "provider-unavailable"
    title = "The payment provider does not answer"


class ProviderRefused(PaymentsError):
    """The provider will not do what it was told, however often: a person has to look."""

    slug = "provider-refused"
    title = "The payment provider refused"


class NothingAuthorised(PaymentsError, Conflict):
    """A parcel left for whose order no money is held."""

    slug = "nothing-authorised"
    title = "No money is held for this order"


class SettlementImpossible(PaymentsError, Conflict):
    """What is due was not, and cannot be, captured."""

    slug = "settlement-impossible"
    title = "This order cannot be settled"


class Demand(StrEnum):
    """What became of the demand for an order's money."""

    OPEN = "open"
    SATISFIED = "satisfied"
    WITHDRAWN = "withdrawn"


class State(StrEnum):
    """Where a payment is.

    ``to_return`` is a promise that is kept by whoever comes next: money is or may be held at the
    provider and must go back.
    """

    CREATED = "created"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    TO_RETURN = "to_return"
    VOIDED = "voided"
    REFUNDED = "refunded"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.AUTHORISED, State.DECLINED, State.TO_RETURN}),
    # A provider that first said no and then holds the money: the money counts.
    State.DECLINED: frozenset({State.AUTHORISED, State.TO_RETURN}),
    State.AUTHORISED: frozenset({State.CAPTURED, State.TO_RETURN}),
    State.CAPTURED: frozenset({State.CAPTURED, State.TO_RETURN}),
    State.TO_RETURN: frozenset({State.VOIDED, State.REFUNDED}),
    # Voided before the provider knew of it, and authorised after all: back it goes.
    State.VOIDED: frozenset({State.TO_RETURN}),
    State.REFUNDED: frozenset(),
}

_NO_MONEY_YET = frozenset({State.CREATED, State.DECLINED, State.TO_RETURN, State.VOIDED})
"""States in which the provider may tell for the first time that it holds money."""


class Verdict(StrEnum):
    """What a provider says of a payment in a callback; ``other`` is nothing that matters here."""

    AUTHORISED = "authorised"
    DECLINED = "declined"
    OTHER = "other"


@dataclass(frozen=True)
class CallbackFact:
    """What a verified callback says.

    Attributes
    ----------
    payment_id
        Ours.
    verdict
        What happened.
    amount, currency
        What the provider holds, in minor units; 0 and empty unless authorised.
    ref
        The provider's own name of the payment.
    reason
        Why it was declined, in the provider's words; no personal data.
    """

    payment_id: str
    verdict: Verdict
    amount: int = 0
    currency: str = ""
    ref: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """How a payment stands in the provider's books, in minor units.

    Attributes
    ----------
    authorised
        What was ever held; a void does not lessen it.
    captured, refunded
        What was taken of it, and given back of that.
    """

    authorised: int = 0
    captured: int = 0
    refunded: int = 0


@dataclass(frozen=True)
class Payment:
    """One attempt to pay for an order, at one provider; amounts in minor units.

    Attributes
    ----------
    id
        ``pay_<order>_<digest>``, from the order and the request's Idempotency-Key.
    amount, currency
        What was asked for.
    authorised, authorised_currency
        What the provider holds or held.
    captured
        What the provider was told to take: recorded before it is told, so that the amounts of
        several shipments are arbitrated here, and told again until it has happened. When money goes
        back it becomes what was really taken.
    captures
        Fulfilment id (or `SETTLEMENT`) -> its part of ``captured``.
    refunded
        Given back of ``captured``.
    ref
        The provider's own name of it.
    reason
        Why it was declined, or is to be returned.
    """

    id: str
    provider: str
    amount: int
    currency: str
    at: str
    state: State = State.CREATED
    authorised: int = 0
    authorised_currency: str = ""
    captured: int = 0
    captures: Mapping[str, int] = field(default_factory=dict)
    refunded: int = 0
    ref: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.refunded <= self.captured <= self.authorised:
            raise ValueError(f"{self.id}: {self.refunded} refunded, {self.captured} captured, {self.authorised} held")

    def to(self, state: State) -> Payment:
        """Return the payment in ``state``; ValueError if `TRANSITIONS` has no such step."""
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"{self.id}: {self.state} -> {state}")
        return replace(self, state=state)

    @property
    def held(self) -> bool:
        """Whether its money is held or taken for the order."""
        return self.state in (State.AUTHORISED, State.CAPTURED)


@dataclass(frozen=True)
class OrderPayments:
    """What is due for one order, and its payments.

    Attributes
    ----------
    order_id
        Compact order number.
    amount, currency, buyer, locale
        What is due and from whom; 0 and empty when the demand was withdrawn before anybody paid.
    demand
        Whether it is still due.
    paid_by
        Id of the payment that satisfies the demand.
    reason
        Why the demand was withdrawn.
    payments
        By id.
    """

    order_id: str
    amount: int = 0
    currency: str = ""
    buyer: str = ""
    locale: str = ""
    demand: Demand = Demand.OPEN
    paid_by: str = ""
    reason: str = ""
    payments: Mapping[str, Payment] = field(default_factory=dict)

    def with_payment(self, payment: Payment) -> OrderPayments:
        return replace(self, payments={**self.payments, payment.id: payment})

    @property
    def paying(self) -> Payment | None:
        """The payment that satisfies the demand."""
        return self.payments.get(self.paid_by)

    @property
    def to_return(self) -> list[Payment]:
        """Payments whose money has yet to go back."""
        return [payment for payment in self.payments.values() if payment.state is State.TO_RETURN]


def payment_id(order_id: str, key: str) -> str:
    """Return the id of the payment that a request with this Idempotency-Key asks for."""
    return f"pay_{order_id}_{hashlib.sha256(f'{order_id} {key}'.encode()).hexdigest()[:16]}"


def order_of(payment: str) -> str | None:
    """Return the order that a payment id belongs to, or None if it cannot be an id of ours."""
    found = _PAYMENT_ID.fullmatch(payment)
    return found[1] if found else None


def open_payment(order: OrderPayments, payment: Payment) -> OrderPayments:
    """Add ``payment`` to an order; the same payment again changes nothing.

    Raises
    ------
    PaymentClosed, AlreadyPaid, NothingDue, TooManyPayments
        The order takes no further payment.
    KeyReused
        The same Idempotency-Key asked for another provider before.
    """
    known = order.payments.get(payment.id)
    if known is not None:
        if known.provider != payment.provider:
            raise KeyReused(fields=[FieldError("provider", "changed", f"it was {known.provider} before")])
        return order
    if order.demand is Demand.WITHDRAWN:
        raise PaymentClosed
    if order.demand is Demand.SATISFIED:
        raise AlreadyPaid
    if order.amount <= 0:
        raise NothingDue
    if len(order.payments) >= MOST_PAYMENTS:
        raise TooManyPayments(f"at most {MOST_PAYMENTS}")
    return order.with_payment(payment)


def hear(order: OrderPayments, provider: str, fact: CallbackFact) -> OrderPayments:
    """Apply what a provider says of one of the order's payments, in whatever order and however often.

    Money that the provider holds is never overlooked: it satisfies an open demand if it is exactly
    what was asked for, and otherwise it is to be returned. A refusal counts only while nothing else
    was said.

    Raises
    ------
    UnknownPayment
        The payment is not on record, or is another provider's.
    """
    payment = order.payments.get(fact.payment_id)
    if payment is None or payment.provider != provider:
        raise UnknownPayment(fact.payment_id)
    if fact.verdict is Verdict.DECLINED and payment.state is State.CREATED:
        declined = replace(payment.to(State.DECLINED), reason=fact.reason[:120], ref=_ref(payment, fact))
        return order.with_payment(declined)
    unheard = payment.authorised == 0 and payment.state in _NO_MONEY_YET
    if fact.verdict is not Verdict.AUTHORISED or not unheard:
        return order
    held = replace(payment, authorised=fact.amount, authorised_currency=fact.currency, ref=_ref(payment, fact))
    if payment.state is State.TO_RETURN:
        return order.with_payment(held)
    if payment.state is State.VOIDED:
        return order.with_payment(held.to(State.TO_RETURN))
    if differs(payment, fact):
        return order.with_payment(replace(held.to(State.TO_RETURN), reason="amount-mismatch"))
    if order.demand is Demand.WITHDRAWN:
        return order.with_payment(replace(held.to(State.TO_RETURN), reason=order.reason))
    if order.demand is Demand.SATISFIED:
        return order.with_payment(replace(held.to(State.TO_RETURN), reason="paid-twice"))
    paid = order.with_payment(replace(held.to(State.AUTHORISED), reason=""))
    return replace(paid, demand=Demand.SATISFIED, paid_by=payment.id)


def differs(payment: Payment, fact: CallbackFact) -> bool:
    """Return whether the provider holds other money than was asked for."""
    return (fact.amount, fact.currency) != (payment.amount, payment.currency)


def capture_shipment(order: OrderPayments, fulfilment_id: str, of: int, value: int | None) -> OrderPayments:
    """Record the capture that a dispatched shipment allows; once a shipment.

    A shipment captures its ``value`` where it is known, else an equal share of what is left over the
    shipments to come; the last of ``of`` shipments captures all that is left (delivery charges
    included), so that the captures sum to the authorised amount exactly.

    Parameters
    ----------
    fulfilment_id
        The shipment.
    of
        How many shipments the order has.
    value
        Sum of the charges of the shipment's lines in minor units, or None.

    Raises
    ------
    NothingAuthorised
        No money is held for the order.
    """
    if any(fulfilment_id in payment.captures for payment in order.payments.values()):
        return order
    payment = order.paying
    if payment is None or not payment.held:
        raise NothingAuthorised(order.order_id)
    rest = payment.authorised - payment.captured
    to_come = of - len(payment.captures.keys() - {SETTLEMENT})
    if to_come <= 1:
        share = rest
    elif value is None:
        share = allocate(rest, [1] * to_come)[0]
    else:
        share = min(value, rest)
    return order.with_payment(_capture(payment, fulfilment_id, share))


def capture_rest(order: OrderPayments) -> OrderPayments:
    """Record the capture of whatever is held for a dispatched order and was not captured yet.

    Raises
    ------
    SettlementImpossible
        Something is due and no money is held for it.
    """
    if order.amount == 0 and order.demand is Demand.OPEN:
        return order
    payment = order.paying
    if payment is None or not payment.held:
        raise SettlementImpossible(f"the demand is {order.demand} and no payment is held")
    rest = payment.authorised - payment.captured
    return order.with_payment(_capture(payment, SETTLEMENT, rest)) if rest else order


def withdraw(order: OrderPayments, reason: str) -> OrderPayments:
    """Take the demand back: whatever is or may be held for the order is to be returned."""
    if order.demand is not Demand.WITHDRAWN:
        order = replace(order, demand=Demand.WITHDRAWN, reason=reason)
    for payment in order.payments.values():
        if payment.state in (State.CREATED, State.AUTHORISED, State.CAPTURED):
            order = order.with_payment(replace(payment.to(State.TO_RETURN), reason=reason))
    return order


def returned(order: OrderPayments, payment: str, standing: Standing) -> OrderPayments:
    """Record that the provider holds nothing of a payment any more.

    Parameters
    ----------
    payment
        Its id; one that is not to be returned is left as it is.
    standing
        The provider's books after the void and the refund. They are believed, because a callback may
        have been lost and a recorded capture may never have reached the provider.

    Raises
    ------
    ProviderRefused
        The provider has kept something, or its books know less than its callback said: they were read
        before that, and have to be read again.
    """
    known = order.payments[payment]
    if known.state is not State.TO_RETURN:
        return order
    if standing.authorised < known.authorised:
        raise ProviderRefused(f"{payment}: {standing.authorised} in the books but {known.authorised} authorised")
    if standing.captured != standing.refunded:
        raise ProviderRefused(f"{payment}: {standing.captured} captured but {standing.refunded} refunded")
    return order.with_payment(
        replace(
            known.to(State.REFUNDED if standing.captured else State.VOIDED),
            authorised=standing.authorised,
            authorised_currency=known.authorised_currency or (known.currency if standing.authorised else ""),
            captured=standing.captured,
            refunded=standing.refunded,
        )
    )


def _capture(payment: Payment, key: str, amount: int) -> Payment:
    captures = {**payment.captures, key: payment.captures.get(key, 0) + amount}
    return replace(payment.to(State.CAPTURED), captured=payment.captured + amount, captures=captures)


def _ref(payment: Payment, fact: CallbackFact) -> str:
    return fact.ref[:120] or payment.ref
