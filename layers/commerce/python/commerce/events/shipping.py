"""Events of the context shipping."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from commerce.events.base import Event, FulfilmentId, Moment, OrderNumber


class ShipmentEvent(Event):
    """An event about one shipment (the dispatched fulfilment) of an order."""

    context: ClassVar[str] = "shipping"

    order_id: OrderNumber
    buyer: str
    locale: str = "en"
    fulfilment_id: FulfilmentId
    carrier: Annotated[str, Field(examples=["generic"])]
    waybill: Annotated[str, Field(examples=["GX0000000123"])]


class ShipmentDispatched(ShipmentEvent):
    """The carrier took the parcel; ``packed_at`` is when the warehouse closed it."""

    warehouse_id: str
    released_at: Moment
    packed_at: Moment
    of: Annotated[int, Field(ge=1, description="How many shipments the order has in all.")] = 1
    value: Annotated[int | None, Field(ge=0, description="Charges of its lines, in minor units, where known.")] = None


class Milestone(BaseModel):
    """The first scan of a parcel in a status, at the carrier's time."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    status: Annotated[str, Field(examples=["in_transit"])]
    at: Moment


class ShipmentOutForDelivery(ShipmentEvent):
    """The parcel is on the van."""

    milestones: Annotated[list[Milestone], Field(default_factory=list)]


class ShipmentDelivered(ShipmentEvent):
    """The parcel is delivered; ``milestones`` are its way there."""

    milestones: Annotated[list[Milestone], Field(default_factory=list)]


class ShipmentExceptional(ShipmentEvent):
    """The carrier reports trouble (row 6.2.3)."""

    status: Annotated[str, Field(examples=["refused"])]
    milestones: Annotated[list[Milestone], Field(default_factory=list)]


class ShipmentMilestonesAdded(ShipmentEvent):
    """Scans of the way came after the delivery they led to had been told."""

    milestones: Annotated[list[Milestone], Field(default_factory=list)]
