"""What every event has, and the kinds of field that events share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from commerce.clock import checked_moment
from commerce.ids import new_id

OrderNumber = Annotated[str, Field(pattern=r"^[0-9B-DF-HJKMNP-TV-Z]{12}$", examples=["06PM4NXBDTKB"])]
FulfilmentId = Annotated[str, Field(pattern=r"^[0-9B-DF-HJKMNP-TV-Z]{12}-\d{1,3}$", examples=["06PM4NXBDTKB-1"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["GBP"])]
Sku = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{1,40}$", examples=["85123A"])]
Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T06:07:08.123Z"]),
    AfterValidator(checked_moment),
]
Quantity = Annotated[int, Field(ge=1, examples=[6])]


class Event(BaseModel):
    """What every event has.

    Attributes
    ----------
    id
        The same however often the event is delivered; the relay gives the one that counts.
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
