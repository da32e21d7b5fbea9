"""Events of the context catalog."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from commerce.events.base import Currency, Event, Moment, Quantity, Sku


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
