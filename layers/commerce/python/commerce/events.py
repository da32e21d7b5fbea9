"""Event contracts: what contexts tell one another on the bus ``commerce``.

Each class is one event type; its name is the EventBridge ``detail-type``, ``source`` is
``commerce.<context>``, and its fields are the ``detail``. Contracts change only by addition: a new
field has a default, a field is never renamed or taken away (`tools.contracts` writes the JSON Schemas
and examples in ``events/`` and the contract tests compare them). No event carries personal data.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from commerce.ids import new_id

OrderNumber = Annotated[str, Field(pattern=r"^[0-9B-DF-HJKMNP-TV-Z]{12}$", examples=["06PM4NXBDTKB"])]
FulfilmentId = Annotated[str, Field(pattern=r"^[0-9B-DF-HJKMNP-TV-Z]{12}-\d{1,3}$", examples=["06PM4NXBDTKB-1"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["GBP"])]
Sku = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{1,40}$", examples=["85123A"])]
Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T06:07:08.123Z"]),
]
Quantity = Annotated[int, Field(ge=1, examples=[6])]


class Event(BaseModel):
    """What every event has.

    Attributes
    ----------
    id
        The same however often the event is delivered.
    v
        Version of this type's contract.
    at
        When the fact became true, RFC 3339 in UTC.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)
    context: ClassVar[str] = ""

    id: str = Field(default_factory=lambda: new_id("evt"), examples=["evt_019360d5a1b27c3e8f0123456789abcd"])
    v: int = 1
    at: Moment

    @classmethod
    def name(cls) -> str:
        """Return the EventBridge ``detail-type``."""
        return cls.__name__

    @classmethod
    def source(cls) -> str:
        """Return the EventBridge ``source``."""
        return f"commerce.{cls.context}"


class Line(BaseModel):
    """A quantity of one SKU of an order; ``line`` is its number there, from 1."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    line: Annotated[int, Field(ge=1)]
    sku: Sku
    quantity: Quantity


class OrderEvent(Event):
    """An event about one order; ``buyer`` is the customer's or guest's id, ``locale`` what he reads."""

    context: ClassVar[str] = "orders"

    order_id: OrderNumber
    buyer: Annotated[str, Field(examples=["019360d5-a1b2-7c3e-8f01-23456789abcd"])]
    locale: Annotated[str, Field(examples=["en-GB"])] = "en"


class OrderPlaced(OrderEvent):
    """An order was accepted: it has a number and passed its real-time checks (row 6.1.1)."""

    currency: Currency
    total: Annotated[int, Field(examples=[13912])]
    lines: Annotated[int, Field(ge=1)]


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


class OrderCompleted(OrderEvent):
    """Settled and closed."""


class OrderCancellationRequested(OrderEvent):
    """The buyer cancelled before dispatch; whatever the order waits for is broken off."""


class OrderCancelled(OrderEvent):
    """Cancelled at the buyer's wish: stock and money are back."""

    reason: Annotated[str, Field(examples=["buyer"])] = "buyer"


class OrderExpired(OrderEvent):
    """A window closed (payment, stock or dispatch): stock and money are back."""

    waited_for: Annotated[str, Field(examples=["payment"])]


class OrderRejected(OrderEvent):
    """Refused after acceptance, before anything was reserved."""

    reason: Annotated[str, Field(examples=["screening"])]


class CancellationRefused(OrderEvent):
    """The parcel had already left when the cancellation reached it."""


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


class StockAvailable(Event):
    """An order that waited for stock may try to reserve again."""

    context: ClassVar[str] = "inventory"

    order_id: OrderNumber


class ReplenishmentRaised(Event):
    """Purchasing is asked to replenish a SKU at a warehouse (row 6.1.2)."""

    context: ClassVar[str] = "inventory"

    replenishment_id: Annotated[str, Field(examples=["rep_019360d5a1b27c3e8f0123456789abcd"])]
    sku: Sku
    warehouse_id: str
    quantity: Quantity
    expected_at: Moment


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

    milestones: list[Milestone] = []


class ShipmentDelivered(ShipmentEvent):
    """The parcel is delivered; ``milestones`` are its way there."""

    milestones: list[Milestone] = []


class ShipmentExceptional(ShipmentEvent):
    """The carrier reports trouble (row 6.2.3)."""

    status: Annotated[str, Field(examples=["refused"])]
    milestones: list[Milestone] = []


class Price(BaseModel):
    """A price of one list: per unit, in minor units, from ``min_quantity`` units on."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    price_list: Annotated[str, Field(examples=["2011-03-07-trade"])]
    valid_from: Moment
    valid_until: Moment
    min_quantity: Quantity
    unit_price: Annotated[int, Field(ge=0, examples=[295])]


class Offer(BaseModel):
    """All that may be asked for one SKU in one currency, as of ``version`` (milliseconds of its change)."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    sku: Sku
    currency: Currency
    merchant_id: str
    listed: bool
    tax_rate_bp: Annotated[int, Field(ge=0, description="Hundredths of a per cent.", examples=[2000])]
    tax_inclusive: bool
    version: int
    prices: list[Price]


class OffersPublished(Event):
    """The catalogue's offers changed; each offer is whole, so the newest version of it wins."""

    context: ClassVar[str] = "catalog"

    offers: Annotated[list[Offer], Field(min_length=1)]


EVENTS: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        OrderPlaced,
        OrderAwaitingStock,
        OrderPaid,
        FulfilmentRequested,
        OrderDelivered,
        OrderAccepted,
        OrderCompleted,
        OrderCancellationRequested,
        OrderCancelled,
        OrderExpired,
        OrderRejected,
        CancellationRefused,
        PaymentAuthorised,
        PaymentDeclined,
        PaymentReturned,
        StockAvailable,
        ReplenishmentRaised,
        ShipmentDispatched,
        ShipmentOutForDelivery,
        ShipmentDelivered,
        ShipmentExceptional,
        OffersPublished,
    )
}
"""Every event type on the bus ``commerce`` by its ``detail-type``."""


class Scan(BaseModel):
    """One carrier scan in the generic form.

    Attributes
    ----------
    status
        ``information_received picked_up in_transit at_customs out_for_delivery attempted
        awaiting_collection delivered exception returning returned lost cancelled``.
    at
        The carrier's time with its offset, RFC 3339.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    status: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$", examples=["in_transit"])]
    at: Annotated[str, Field(examples=["2026-11-23T14:07:08+08:00"])]
    place: Annotated[str, Field(max_length=120)] = ""
    text: Annotated[str, Field(max_length=300)] = ""


class ScanReported(BaseModel):
    """What a carrier puts on the bus ``carriers``: source ``carrier.<code>``, detail-type ``ScanReported``."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    waybill: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{4,40}$", examples=["GX0000000123"])]
    scans: Annotated[list[Scan], Field(min_length=1, max_length=200)]
