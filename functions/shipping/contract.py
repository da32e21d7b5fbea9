"""Bodies of the shipping routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from commerce.events import FulfilmentId, Moment, OrderNumber, Quantity, Sku
from commerce.limits import MOST_LINES, MOST_PIECES
from shipping.model import Slip, SlipState
from shipping.service import Shipment
from shipping.tracking import PROGRESS_DISPATCHED, PROGRESS_PACKED, Doubt, Parcel, doubt, moment_text


class Pick(BaseModel):
    """How many were picked of one line."""

    model_config = ConfigDict(extra="forbid")

    line: Annotated[int, Field(ge=1, le=MOST_LINES, examples=[1])]
    quantity: Annotated[int, Field(ge=0, le=MOST_PIECES, examples=[6])]


class PackBody(BaseModel):
    """What was picked; a line that is not listed was picked in full."""

    model_config = ConfigDict(extra="forbid")

    lines: Annotated[list[Pick], Field(max_length=MOST_LINES)] = []


class LineView(BaseModel):
    """A line of a slip; ``line`` is its number in the order."""

    line: Annotated[int, Field(ge=1, examples=[1])]
    sku: Sku
    quantity: Quantity


class SlipView(BaseModel):
    """An outbound slip."""

    id: FulfilmentId
    order: OrderNumber
    of: Annotated[int, Field(ge=1, description="How many slips the order has in all.", examples=[1])]
    state: SlipState
    warehouse: Annotated[str, Field(examples=["GB-DAV"])]
    merchant: Annotated[str, Field(examples=["mer_hearts"])]
    country: Annotated[str, Field(description="Destination, ISO 3166.", examples=["GB"])]
    lines: list[LineView]
    released_at: Moment
    packed_at: Moment | None = None
    dispatched_at: Moment | None = None
    stopped_at: Moment | None = None
    carrier: Annotated[str | None, Field(examples=["generic"])] = None
    waybill: Annotated[str | None, Field(examples=["G06PM4NXBDTKB001Q"])] = None

    @classmethod
    def of_slip(cls, slip: Slip) -> SlipView:
        """Return a slip as the warehouse sees it."""
        return cls(
            id=str(slip.id),
            order=slip.id.order_id,
            of=slip.of,
            state=slip.state,
            warehouse=slip.warehouse_id,
            merchant=slip.merchant_id,
            country=slip.country,
            lines=_lines(slip),
            released_at=slip.released_at,
            packed_at=slip.packed_at,
            dispatched_at=slip.dispatched_at,
            stopped_at=slip.stopped_at,
            carrier=slip.carrier,
            waybill=slip.waybill,
        )


class SlipPage(BaseModel):
    """Open slips, oldest first; there are more while there is a ``cursor``, however many ``slips`` there are."""

    slips: list[SlipView]
    cursor: str | None = None


class MilestoneView(BaseModel):
    """When a parcel first had a status."""

    status: Annotated[str, Field(examples=["in_transit"])]
    at: Moment


class ScanView(BaseModel):
    """One scan as the carrier reported it."""

    status: Annotated[str, Field(examples=["in_transit"])]
    at: Annotated[
        str, Field(description="RFC 3339, in the carrier's offset.", examples=["2026-11-23T14:07:08.000+08:00"])
    ]
    place: Annotated[str, Field(examples=["London"])]
    text: Annotated[str, Field(examples=["Departed from facility"])]
    doubt: Annotated[Doubt | None, Field(description="Why it is not taken at its word.")] = None


class ShipmentView(BaseModel):
    """One of the parcels that an order comes in."""

    id: FulfilmentId
    merchant: Annotated[str, Field(examples=["mer_hearts"])]
    status: Annotated[
        str,
        Field(
            description="released, packed, stopped or dispatched; after its first scan, what its scans say.",
            examples=["out_for_delivery"],
        ),
    ]
    progress: Annotated[int, Field(ge=0, le=100, description="For a progress bar.", examples=[80])]
    carrier: Annotated[str | None, Field(examples=["generic"])] = None
    waybill: Annotated[str | None, Field(examples=["G06PM4NXBDTKB001Q"])] = None
    dispatched_at: Moment | None = None
    lines: list[LineView]
    milestones: list[MilestoneView] = []
    scans: Annotated[list[ScanView], Field(description="By their times.")] = []

    @classmethod
    def of_shipment(cls, shipment: Shipment) -> ShipmentView:
        """Return a shipment as its buyer sees it."""
        slip, parcel, seen = shipment.slip, shipment.parcel, shipment.track
        gone = slip.state is SlipState.DISPATCHED
        return cls(
            id=str(slip.id),
            merchant=slip.merchant_id,
            status=(seen.status if seen else None) or slip.state,
            progress=seen.progress if seen else _PROGRESS[slip.state],
            carrier=slip.carrier if gone else None,
            waybill=slip.waybill if gone else None,
            dispatched_at=slip.dispatched_at,
            lines=_lines(slip),
            milestones=[MilestoneView(status=one, at=moment_text(at)) for one, at in seen.milestones] if seen else [],
            scans=_scans(parcel) if parcel else [],
        )


class ShipmentList(BaseModel):
    """All the parcels that an order comes in."""

    order: OrderNumber
    shipments: list[ShipmentView]


_PROGRESS = {
    SlipState.RELEASED: 0,
    SlipState.PACKED: PROGRESS_PACKED,
    SlipState.DISPATCHED: PROGRESS_DISPATCHED,
    SlipState.STOPPED: 0,
}


def _lines(slip: Slip) -> list[LineView]:
    return [LineView(line=line.line, sku=line.sku, quantity=line.quantity) for line in slip.lines]


def _scans(parcel: Parcel) -> list[ScanView]:
    return [
        ScanView(status=scan.status, at=scan.at, place=scan.place, text=scan.text, doubt=doubt(scan, parcel.packed_at))
        for scan in parcel.scans
    ]
