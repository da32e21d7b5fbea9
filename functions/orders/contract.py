"""What a buyer sends to place an order. Changed only by addition."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from commerce.events import Currency, Sku
from commerce.limits import DEAREST, LONGEST_NAME, MOST_LINES, MOST_PIECES
from commerce.mailbox import EMAIL, LONGEST_EMAIL

LONGEST_PHONE = 32

Locale = Annotated[StrictStr, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", examples=["en-GB"])]
TimeZone = Annotated[
    StrictStr,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64, examples=["Europe/London"]),
]
Email = Annotated[StrictStr, Field(pattern=EMAIL, max_length=LONGEST_EMAIL)]
Written = r"^[^\x00-\x1f\x7f]*$"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class LineWanted(_Body):
    """A quantity of a product at the price that the buyer saw, in minor units."""

    sku: Sku
    quantity: Annotated[StrictInt, Field(ge=1, le=MOST_PIECES, examples=[6])]
    unit_price: Annotated[StrictInt, Field(ge=0, le=DEAREST, examples=[255])]


class Contact(_Body):
    """Who receives the parcel. ``email`` is needed of a guest; a customer's comes from his profile."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_NAME, pattern=Written, examples=["Ada Lovelace"])]
    email: Annotated[Email | None, Field(examples=["ada@example.com"])] = None
    phone: Annotated[
        StrictStr | None, Field(max_length=LONGEST_PHONE, pattern=r"^[0-9+() ./-]*$", examples=["+44 20 7946 0958"])
    ] = None


class Shipping(_Body):
    """How the buyer wants it sent."""

    method: Annotated[StrictStr, Field(pattern=r"^standard$", examples=["standard"])] = "standard"


class PlaceOrder(_Body):
    """An order as a front end places it."""

    currency: Currency
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"
    price_list: Annotated[StrictStr | None, Field(pattern=r"^[0-9A-Za-z_.-]{1,60}$", examples=["2011-03-07-trade"])] = (
        None
    )
    contact: Contact
    address: Annotated[
        dict[str, StrictStr | list[StrictStr] | None],
        Field(
            max_length=12,
            description="country, lines, district, city, region, postal_code; which are needed depends on the country",
            examples=[
                {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"}
            ],
        ),
    ]
    lines: Annotated[list[LineWanted], Field(min_length=1, max_length=MOST_LINES)]
    shipping: Shipping = Shipping()
