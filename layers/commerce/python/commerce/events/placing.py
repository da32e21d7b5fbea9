"""What acceptance tells: apart from the other events of orders, because the intake must start quickly."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from commerce.events.base import Currency, Event, OrderNumber


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
