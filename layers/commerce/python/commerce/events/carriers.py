"""What carriers put on the bus ``carriers``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Scan(BaseModel):
    """One carrier scan in the generic form.

    Attributes
    ----------
    status
        ``information_received picked_up in_transit at_customs out_for_delivery attempted
        awaiting_collection delivered exception returning returned lost cancelled``.
    at
        The carrier's time with its offset, RFC 3339.
    place, text
        Where, and what its people read: of the parcel, and never who took it in, for both are kept in plain.
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
