"""Events of the context payments."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from commerce.events.base import Currency, Event, OrderNumber


class PaymentEvent(Event):
    """An event about one payment of an order; amounts in minor units."""

    context: ClassVar[str] = "payments"

    order_id: OrderNumber
    payment_id: Annotated[str, Field(examples=["pay_06PM4NXBDTKB_5f0c9a"])]
    provider: Annotated[str, Field(examples=["sandbox"])]
    amount: Annotated[int, Field(examples=[13912])]
    currency: Currency


class PaymentAuthorised(PaymentEvent):
    """The provider holds the money for us."""


class PaymentDeclined(PaymentEvent):
    """The provider said no; the buyer may try again."""

    buyer: str
    locale: str = "en"


class PaymentReturned(PaymentEvent):
    """Money went back: an authorisation was voided or a capture refunded (row 7.2c)."""

    buyer: str
    locale: str = "en"
    reason: Annotated[str, Field(examples=["cancelled"])]
