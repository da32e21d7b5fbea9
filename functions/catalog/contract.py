"""Bodies of the catalogue's API. Changed only by addition."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from catalog.model import CURRENCIES
from commerce.clock import parse, rfc3339
from commerce.events import Sku
from commerce.limits import DEAREST, MOST_PIECES


def _iso_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("not an ISO 4217 currency code")
    return code


def _utc(text: str) -> str:
    return rfc3339(parse(text))


LONGEST_MOMENT = 40
"""Characters of a time as sent: RFC 3339 sets no bound to a second's fraction."""

Currency = Annotated[StrictStr, AfterValidator(_iso_currency), Field(pattern=r"^[A-Z]{3}$", examples=["GBP"])]
Moment = Annotated[StrictStr, Field(max_length=LONGEST_MOMENT, examples=["2026-12-01T00:00:00Z"]), AfterValidator(_utc)]
MerchantId = Annotated[StrictStr, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$", examples=["mer_hearts"])]
LONGEST_TITLE = 200
TitleText = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_TITLE, pattern=r"^[^\x00-\x1f\x7f]*$")]
MOST_PRODUCTS = 100
MOST_PRICES = 1000
"""Entries of one call."""

PRICE_LIST_ID = r"^[0-9A-Za-z_.-]{1,60}$"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Body):
    """A product's title by language."""

    en: Annotated[TitleText, Field(examples=["White hanging heart T-light holder"])]
    zh: Annotated[TitleText | None, Field(examples=["白色心形烛台"])] = None


class ProductWanted(_Body):
    """A product as its merchant describes it; ``tax_rate_bp`` in hundredths of a per cent."""

    sku: Sku
    merchant_id: MerchantId
    title: Title
    tax_rate_bp: Annotated[StrictInt, Field(ge=0, le=10_000, examples=[2000])]
    tax_inclusive: StrictBool
    listed: StrictBool = True


class PutProducts(_Body):
    """Up to 100 products; prices they have stay."""

    products: Annotated[list[ProductWanted], Field(min_length=1, max_length=MOST_PRODUCTS)]


class ProductPut(BaseModel):
    """A product that was written, and its version."""

    sku: str
    version: Annotated[int, Field(examples=[1795413600000])]


class ProductsPut(BaseModel):
    """What was written, in the order given."""

    products: list[ProductPut]


class EntryWanted(_Body):
    """A price per unit in minor units, from ``min_quantity`` units on."""

    sku: Sku
    min_quantity: Annotated[StrictInt, Field(ge=1, le=MOST_PIECES)] = 1
    unit_price: Annotated[StrictInt, Field(ge=0, le=DEAREST, examples=[295])]


class PutPriceList(_Body):
    """Up to 1000 prices of a list, valid from ``valid_from`` and before ``valid_until``.

    Several calls may add to one list; a price of the same SKU and quantity is replaced.
    """

    currency: Currency
    valid_from: Moment
    valid_until: Moment
    entries: Annotated[list[EntryWanted], Field(min_length=1, max_length=MOST_PRICES)]

    @model_validator(mode="after")
    def _in_order(self) -> PutPriceList:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        return self


class ListedProduct(BaseModel):
    """A product in a list."""

    sku: str
    title: Title


class ProductPage(BaseModel):
    """Listed products; ``next`` is the cursor of the next page."""

    products: list[ListedProduct]
    next: str | None = None


class CurrentPrice(BaseModel):
    """A price that holds now, in minor units."""

    price_list: str
    min_quantity: int
    unit_price: Annotated[int, Field(examples=[295])]
    valid_until: str


class CurrentOffer(BaseModel):
    """The prices of one currency that hold now."""

    currency: str
    prices: list[CurrentPrice]


class ProductBody(BaseModel):
    """A listed product with the prices that hold now."""

    sku: str
    merchant_id: str
    title: Title
    tax_rate_bp: int
    tax_inclusive: bool
    offers: list[CurrentOffer]
