"""Events of the context orders."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from commerce.events.base import Currency, Event, FulfilmentId, Line, Moment
from commerce.events.placing import OrderEvent


class OrderAwaitingStock(OrderEvent):
    """Not everything is in stock; the order waits for a receipt (row 6.1.2)."""

    expected_at: Moment


class OrderPaid(OrderEvent):
    """The order is paid (or authorised) and stock is held for it."""

    currency: Currency
    total: Annotated[int, Field(examples=[13912])]


class Fulfilment(BaseModel):
    """What one merchant's goods in one warehouse contribute to an order."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    fulfilment_id: FulfilmentId
    warehouse_id: Annotated[str, Field(examples=["GB-DAV"])]
    merchant_id: Annotated[str, Field(examples=["mer_hearts"])]
    lines: Annotated[list[Line], Field(min_length=1)]
    value: Annotated[int | None, Field(ge=0, description="Charges of its lines, in minor units, where known.")] = None


class FulfilmentRequested(OrderEvent):
    """A paid order's allocation is confirmed: each fulfilment becomes an outbound slip.

    ``country`` is the destination's ISO 3166 code; the address itself stays with the order.
    """

    country: Annotated[str, Field(examples=["GB"])]
    fulfilments: Annotated[list[Fulfilment], Field(min_length=1)]


class OrderDelivered(OrderEvent):
    """Every parcel of the order is delivered; the buyer accepts until ``accept_by``."""

    accept_by: Moment


class OrderAccepted(OrderEvent):
    """The buyer accepted the delivery, or the window did it for him."""

    by: Literal["buyer", "window"]
    total: Annotated[int, Field(ge=0, description="What the order costs, in minor units.", examples=[13912])] = 0


class OrderCancellationRequested(OrderEvent):
    """The buyer cancelled before dispatch; whatever the order waits for is broken off."""


class OrderCancelled(OrderEvent):
    """Cancelled at the buyer's wish: stock and money are back."""

    reason: Annotated[str, Field(examples=["buyer"])] = "buyer"


class OrderExpired(OrderEvent):
    """A window closed (payment, stock or dispatch): stock and money are back."""

    waited_for: Annotated[str, Field(examples=["payment"])]


class CancellationRefused(OrderEvent):
    """The parcel had already left when the cancellation reached it."""


class CustomerErased(Event):
    """A person's data key is destroyed: whoever keeps something of his under his id takes it away.

    ``subject`` is the customer's or guest's id, ``who`` says which; nothing else is told.
    """

    context: ClassVar[str] = "orders"

    subject: Annotated[str, Field(examples=["019360d5-a1b2-7c3e-8f01-23456789abcd"])]
    who: Annotated[Literal["customer", "guest"], Field(examples=["customer"])]
