"""Events of the context inventory."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from commerce.events.base import Event, Moment, OrderNumber, Quantity, Sku


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
