"""What the orders API answers, and its page of the API reference.

Only `tools.openapi` and the tests read this: the functions answer with plain dicts, so that no cold
start pays for models that nothing validates.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from commerce.http import Operation
from commerce.limits import MOST_EXPORTED
from orders.contract import PlaceOrder


class OrderPlacedBody(BaseModel):
    """202: the order is accepted. ``order_token`` proves it is yours and says what is due."""

    number: Annotated[str, Field(examples=["06PM-4NXB-DTKB"])]
    status: str
    currency: str
    total: Annotated[int, Field(examples=[1530])]
    placed_at: str
    order_token: str
    links: dict[str, str]


class ShipmentBody(BaseModel):
    """A shipment of an order."""

    fulfilment_id: str
    warehouse_id: str
    status: str
    carrier: str | None = None
    waybill: str | None = None


class ChargesBody(BaseModel):
    """Typed, signed charges of a line in minor units; with ``tax_inclusive`` the tax adds nothing."""

    item: int
    discount: int
    shipping: int
    tax: int
    tax_rate_bp: int
    tax_inclusive: bool


class LineBody(BaseModel):
    """A line as agreed."""

    line: int
    sku: str
    quantity: int
    unit_price: int
    merchant_id: str
    charges: ChargesBody


class OrderSummary(BaseModel):
    """An order in a list."""

    number: str
    status: str
    currency: str
    total: int
    line_count: int
    placed_at: str


class OrderBody(OrderSummary):
    """A whole order."""

    revision: int
    locale: str
    time_zone: str
    due: str | None
    shipments: list[ShipmentBody]
    lines: list[LineBody]
    contact: dict[str, Any]
    address: dict[str, Any]
    order_token: str | None = None


class OrderPage(BaseModel):
    """Orders, newest first; ``next`` is the cursor of the next page."""

    orders: list[OrderSummary]
    next: str | None = None


class TimelineEntry(BaseModel):
    """One fact: what, when (by the clock of its source), and who says so."""

    fact: Annotated[str, Field(examples=["packed"])]
    at: str
    source: Annotated[str, Field(examples=["shipping"])]
    about: Annotated[str | None, Field(examples=["06PM4NXBDTKB-1"])] = None


class Timeline(BaseModel):
    """Every fact of an order, oldest first."""

    number: str
    status: str
    timeline: list[TimelineEntry]


class OrderExport(OrderBody):
    """All that is held about an order. ``parts`` are paths of the same API to the rest; a 404 there says there is
    none. With an ``order_token`` they take it as the header ``Order-Token``.
    """

    placed_as: Annotated[str, Field(examples=["customer"])]
    card: Annotated[dict[str, Any] | None, Field(description="A guest's contact card.")] = None
    timeline: list[TimelineEntry]
    parts: Annotated[list[str], Field(examples=[["/orders/06PM4NXBDTKB/payments", "/orders/06PM4NXBDTKB/shipments"]])]


class OrderExportPage(BaseModel):
    """Orders as they are held, newest first; ``next`` is the cursor of the next page."""

    orders: list[OrderExport]
    next: str | None = None


class ErasureBody(BaseModel):
    """How far an erasure is: ``asked``, ``due`` or ``erased``. ``waits_for`` is an order that has not left yet."""

    state: Annotated[str, Field(examples=["asked"])]
    asked_at: str
    erased_at: str | None
    waits_for: Annotated[str | None, Field(examples=["06PM-4NXB-DTKB"])] = None


class StatusBody(BaseModel):
    """Where the order is after what was asked."""

    number: str
    status: str


class OpenOrder(BaseModel):
    """An open order as operations see it."""

    number: str
    status: str
    placed_at: str
    due: str | None


class OpenOrderPage(BaseModel):
    """Open orders, the one with the oldest clock first within each shard."""

    orders: list[OpenOrder]
    next: str | None = None


class DeadLetters(BaseModel):
    """A dead-letter queue and how many messages are in it."""

    name: str
    messages: int


class Queues(BaseModel):
    """All dead-letter queues."""

    queues: list[DeadLetters]


class Redrive(BaseModel):
    """A redrive under way."""

    name: str
    task: str


_KEY = {"Idempotency-Key": ("The same key and body is the same order, for good; another body is refused (422).", True)}
_TOKEN = {"Order-Token": ("The token that came with the order.", True)}
_TAG = {"If-None-Match": ("The ETag of the last answer: 304 when nothing has changed.", False)}
_PAGE = {"cursor": "Where to go on: `next` of the page before.", "limit": "1 to 100, usually 25."}

OPENAPI: dict[str, Operation] = {
    "POST /orders": Operation(
        "Place an order.", request=PlaceOrder, response=OrderPlacedBody, status=202, headers=_KEY
    ),
    "POST /guest/orders": Operation(
        "Place an order without an account.", request=PlaceOrder, response=OrderPlacedBody, status=202, headers=_KEY
    ),
    "GET /orders": Operation("Your orders, newest first.", response=OrderPage, query=_PAGE),
    "GET /orders/{number}": Operation("An order.", response=OrderBody, headers=_TAG),
    "GET /guest/orders/{number}": Operation("A guest's order.", response=OrderBody, headers=_TOKEN | _TAG),
    "GET /orders/{number}/timeline": Operation("Every fact of an order.", response=Timeline, headers=_TAG),
    "GET /guest/orders/{number}/timeline": Operation(
        "Every fact of a guest's order.", response=Timeline, headers=_TOKEN | _TAG
    ),
    "POST /orders/{number}/cancel": Operation(
        "Cancel before dispatch; stock and money come back.", response=StatusBody, status=202
    ),
    "POST /guest/orders/{number}/cancel": Operation(
        "Cancel a guest's order before dispatch.", response=StatusBody, status=202, headers=_TOKEN
    ),
    "POST /orders/{number}/accept": Operation("Accept the delivery.", response=StatusBody),
    "POST /guest/orders/{number}/accept": Operation(
        "Accept the delivery of a guest's order.", response=StatusBody, headers=_TOKEN
    ),
    "POST /orders/{number}/claim": Operation(
        "Take a guest's order into your account.", response=StatusBody, headers=_TOKEN
    ),
    "GET /me/export/orders": Operation(
        "All that is held about my orders.",
        response=OrderExportPage,
        query={
            "cursor": "Where to go on: `next` of the page before.",
            "limit": f"1 to {MOST_EXPORTED}, usually {MOST_EXPORTED}.",
        },
        most=MOST_EXPORTED,
    ),
    "GET /guest/orders/{number}/export": Operation(
        "All that is held about a guest's order.", response=OrderExport, headers=_TOKEN
    ),
    "POST /me/erasure": Operation(
        "Erase me: at once, or when the last order has left. Asking again shows how far it is.",
        response=ErasureBody,
        status=202,
    ),
    "POST /guest/orders/{number}/erasure": Operation(
        "Erase the guest of an order.", response=ErasureBody, status=202, headers=_TOKEN
    ),
    "POST /ops/orders/{number}/erasure": Operation(
        "Erase whose order it is, at his request.", response=ErasureBody, status=202
    ),
    "POST /ops/customers/{id}/erasure": Operation(
        "Erase a customer, at his request.", response=ErasureBody, status=202
    ),
    "GET /ops/orders": Operation(
        "Open orders by status and age.",
        response=OpenOrderPage,
        query=_PAGE | {"status": "One open status.", "older_than": "Placed at least so many seconds ago."},
    ),
    "GET /ops/queues": Operation("Dead-letter queues and what is in them.", response=Queues),
    "POST /ops/queues/{name}/redrive": Operation(
        "Give a dead-letter queue's messages back to their queue.", response=Redrive, status=202
    ),
}
