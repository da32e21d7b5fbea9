"""Bodies of the inventory's routes and the input of its task."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from commerce.events import Moment, OrderNumber, Quantity, Sku
from inventory.model import (
    CHUNK,
    MOST_SHARDS,
    Fulfilment,
    Level,
    Movement,
    Order,
    OrderLine,
    Replenishment,
    Reservation,
)

MOST = 10_000_000
"""Pieces in one line of a receipt or one adjustment."""

LONGEST_REFERENCE, LONGEST_REASON = 100, 200

WarehouseId = Annotated[str, Field(pattern=r"^[0-9A-Z-]{1,20}$", examples=["GB-DAV"])]
Pieces = Annotated[int, Field(ge=1, le=MOST, examples=[144])]


class ReserveLine(BaseModel):
    """A line of an order."""

    model_config = ConfigDict(extra="ignore")

    line: Annotated[int, Field(ge=1)]
    sku: Sku
    quantity: Quantity
    merchant_id: str


class ReserveRequest(BaseModel):
    """Input of the task Reserve; fields it does not know are ignored, because older executions outlive releases."""

    model_config = ConfigDict(extra="ignore")

    order_id: OrderNumber
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    lines: Annotated[list[ReserveLine], Field(min_length=1)]

    def order(self) -> Order:
        """Return it as the model's."""
        lines = tuple(OrderLine(one.line, one.sku, one.quantity, one.merchant_id) for one in self.lines)
        return Order(self.order_id, self.country, lines)


class ReceiptLine(BaseModel):
    """Pieces of one SKU that came in."""

    model_config = ConfigDict(extra="forbid")

    sku: Sku
    quantity: Pieces


class Receipt(BaseModel):
    """Goods that came into a warehouse: booked as one, all or nothing."""

    model_config = ConfigDict(extra="forbid")

    warehouse_id: WarehouseId
    lines: Annotated[list[ReceiptLine], Field(min_length=1, max_length=CHUNK, description="Each SKU once.")]
    reference: Annotated[str, Field(max_length=LONGEST_REFERENCE, examples=["PO-4711"])] = ""

    @field_validator("lines")
    @classmethod
    def _each_sku_once(cls, lines: list[ReceiptLine]) -> list[ReceiptLine]:
        if len({line.sku for line in lines}) < len(lines):
            raise ValueError("each SKU once")
        return lines


class Adjustment(BaseModel):
    """A correction of what is on hand, up or down."""

    model_config = ConfigDict(extra="forbid")

    warehouse_id: WarehouseId
    delta: Annotated[int, Field(ge=-MOST, le=MOST, description="Pieces; not 0.", examples=[-3])]
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, examples=["broken in the warehouse"])]

    @field_validator("delta")
    @classmethod
    def _changes_something(cls, delta: int) -> int:
        if delta == 0:
            raise ValueError("not 0")
        return delta


class Sharding(BaseModel):
    """Over how many shards a SKU's stock is spread."""

    model_config = ConfigDict(extra="forbid")

    warehouse_id: WarehouseId
    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS, description="Never fewer than there are.", examples=[16])]


class ReplenishmentReceipt(BaseModel):
    """Pieces that came in for a replenishment."""

    model_config = ConfigDict(extra="forbid")

    quantity: Pieces


class MovedLine(BaseModel):
    """Pieces of a SKU that came in, or went (below zero)."""

    sku: str
    quantity: int


class MovementShown(BaseModel):
    """A booked receipt or adjustment; the same for every call with its Idempotency-Key."""

    movement_id: Annotated[str, Field(examples=["mov_8f14e45fceea167a5a36dedd4bea2543"])]
    kind: Annotated[str, Field(examples=["receipt"])]
    warehouse_id: str
    lines: list[MovedLine]
    note: str
    at: Moment


class LevelShown(BaseModel):
    """Pieces in one warehouse; on_hand + reserved + shipped = received."""

    warehouse_id: str
    on_hand: Annotated[int, Field(description="Free to sell.")]
    reserved: Annotated[int, Field(description="Held for orders.")]
    shipped: int
    received: Annotated[int, Field(description="All that came in, adjustments included.")]


class StockShown(BaseModel):
    """The levels of a SKU."""

    sku: str
    warehouses: list[LevelShown]


class ReplenishmentShown(BaseModel):
    """What purchasing is asked to bring to a warehouse."""

    replenishment_id: Annotated[str, Field(examples=["85123A_GB-DAV_1"])]
    sku: str
    warehouse_id: str
    quantity: int
    received: int
    outstanding: int
    expected_at: Moment
    raised_at: Moment


class ReplenishmentsShown(BaseModel):
    """A page of replenishments."""

    replenishments: list[ReplenishmentShown]
    next: Annotated[str | None, Field(description="Cursor of the next page.")] = None


def show_movement(movement: Movement) -> dict[str, Any]:
    """Return the body of a booked movement."""
    lines = [MovedLine(sku=sku, quantity=quantity) for sku, quantity in sorted(movement.quantities.items())]
    return MovementShown(
        movement_id=movement.movement_id,
        kind=movement.kind,
        warehouse_id=movement.warehouse_id,
        lines=lines,
        note=movement.note,
        at=movement.at,
    ).model_dump()


def show_stock(sku: str, levels: list[Level]) -> dict[str, Any]:
    """Return the body of a SKU's levels."""
    shown = [LevelShown.model_validate(level, from_attributes=True) for level in levels]
    return StockShown(sku=sku, warehouses=shown).model_dump()


def show_replenishments(page: list[Replenishment], following: str | None) -> dict[str, Any]:
    """Return the body of a page of replenishments."""
    shown = [ReplenishmentShown.model_validate(one, from_attributes=True) for one in page]
    return ReplenishmentsShown(replenishments=shown, next=following).model_dump()


def show_allocation(reservation: Reservation) -> dict[str, Any]:
    """Return the output of the task Reserve: from which shard a line's pieces come is nobody else's business."""

    def lines(one: Fulfilment) -> list[dict[str, Any]]:
        pieces: Counter[tuple[int, str]] = Counter()
        for line in one.lines:
            pieces[line.line, line.sku] += line.quantity
        return [{"line": line, "sku": sku, "quantity": quantity} for (line, sku), quantity in pieces.items()]

    return {
        "fulfilments": [
            {
                "fulfilment_id": f"{reservation.order_id}-{one.number}",
                "warehouse_id": one.warehouse_id,
                "merchant_id": one.merchant_id,
                "lines": lines(one),
            }
            for one in reservation.fulfilments
        ]
    }
