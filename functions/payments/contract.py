"""Bodies of the payments' routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from commerce.ids import show_order_number
from commerce.limits import LONGEST_TOKEN
from payments.model import Demand, Payment, State
from payments.providers.port import NextAction, NextKind
from payments.service import Kept

LONGEST_PROVIDER = 40
"""Characters of a provider's name."""


class PaymentRequest(BaseModel):
    """Pay an order; a guest may give the token in the header ``Order-Token`` instead."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(max_length=LONGEST_PROVIDER, examples=["sandbox"])]
    order_token: Annotated[
        str | None,
        Field(max_length=LONGEST_TOKEN, description="As answered by POST /orders.", examples=["v1.eyJvcmRlcl9p..."]),
    ] = None


class NextStep(BaseModel):
    """How the buyer goes on: a URL, a client secret, or the content of a QR code."""

    kind: NextKind
    value: str


class PaymentShown(BaseModel):
    """One payment; amounts in minor units."""

    payment_id: Annotated[str, Field(examples=["pay_06PM4NXBDTKB_5f0c9a31d24e8b70"])]
    provider: str
    state: State
    amount: int
    currency: str
    authorised: int
    captured: int
    refunded: int
    at: str
    next: NextStep | None = None


class PaymentsShown(BaseModel):
    """What is due for an order, and its payments, oldest first."""

    number: Annotated[str, Field(examples=["06PM-4NXB-DTKB"])]
    amount: int
    currency: str
    state: Demand
    paid_by: str | None
    payments: list[PaymentShown]


class Received(BaseModel):
    """A callback was taken."""

    received: bool = True


def show_payment(payment: Payment, then: NextAction | None = None) -> PaymentShown:
    """Return what the API says of a payment."""
    return PaymentShown(
        payment_id=payment.id,
        provider=payment.provider,
        state=payment.state,
        amount=payment.amount,
        currency=payment.currency,
        authorised=payment.authorised,
        captured=payment.captured,
        refunded=payment.refunded,
        at=payment.at,
        next=NextStep(kind=then.kind, value=then.value) if then else None,
    )


def show_payments(kept: Kept) -> PaymentsShown:
    """Return what the API says of an order's payments."""
    order = kept.order
    return PaymentsShown(
        number=show_order_number(order.order_id),
        amount=order.amount,
        currency=order.currency,
        state=order.demand,
        paid_by=order.paid_by or None,
        payments=[show_payment(one) for one in sorted(order.payments.values(), key=lambda one: (one.at, one.id))],
    )
