"""What a product is: whose, how it is taxed, and its dated prices in each currency.

Knows no AWS, no clock and no environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from commerce.clock import parse
from commerce.errors import Forbidden, Invalid, NotFound, Unavailable
from commerce.events import Offer, Price

MOST_PRICES = 500
"""Prices of one product in all its lists and currencies: some 85 KB of an event's 256 KB."""

# ISO 4217 List One (2025): what is legal tender somewhere; funds, metals and test codes are not.
_LIST_ONE = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
    RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_LIST_ONE.split())


class NoSuchProduct(NotFound):
    """No product of this SKU is listed."""

    slug = "no-such-product"
    title = "No such product"


class UnknownProducts(Invalid):
    """Prices were given for SKUs that have no product."""

    slug = "unknown-products"
    title = "Prices need products; put those first"


class NotYourMerchant(Forbidden):
    """Somebody else acts for this merchant."""

    slug = "not-your-merchant"
    title = "Somebody else acts for this merchant"


class TooManyPrices(Invalid):
    """A product would have more prices than `MOST_PRICES`."""

    slug = "too-many-prices"
    title = "A product would have too many prices"


class Overtaken(Unavailable):
    """Products were changed by another call between reading and writing, again and again."""

    slug = "overtaken"


@dataclass(frozen=True)
class Description:
    """What a merchant says of a product.

    Attributes
    ----------
    title
        Language (``en``, ``zh``) -> title.
    tax_rate_bp
        Hundredths of a per cent.
    """

    sku: str
    merchant_id: str
    title: Mapping[str, str]
    tax_rate_bp: int
    tax_inclusive: bool
    listed: bool


@dataclass(frozen=True)
class Product:
    """A product with all its prices: the one thing that is read and written.

    Attributes
    ----------
    prices
        Currency -> every price of every list in it.
    version
        Milliseconds of the last change; grows with every change.
    """

    description: Description
    prices: Mapping[str, tuple[Price, ...]] = field(default_factory=dict)
    version: int = 0

    @property
    def sku(self) -> str:
        return self.description.sku

    def described(self, description: Description, version: int) -> Product:
        """Return the product with another description."""
        return replace(self, description=description, version=version)

    def priced(self, currency: str, prices: Iterable[Price], version: int) -> Product:
        """Return the product with ``prices`` added; one of the same list and quantity is replaced.

        Raises
        ------
        TooManyPrices
            There would be more than `MOST_PRICES`.
        """
        merged = {_key(price): price for price in (*self.prices.get(currency, ()), *prices)}
        everything = {**self.prices, currency: tuple(merged[key] for key in sorted(merged))}
        if sum(map(len, everything.values())) > MOST_PRICES:
            raise TooManyPrices(f"{self.sku} would have more than {MOST_PRICES} prices")
        return replace(self, prices=everything, version=version)

    def offer(self, currency: str) -> Offer:
        """Return all that may be asked for the product in ``currency``."""
        told = self.description
        return Offer(
            sku=told.sku,
            currency=currency,
            merchant_id=told.merchant_id,
            listed=told.listed,
            tax_rate_bp=told.tax_rate_bp,
            tax_inclusive=told.tax_inclusive,
            version=self.version,
            prices=list(self.prices[currency]),
        )

    def current(self, at: datetime) -> dict[str, list[Price]]:
        """Return the prices that hold at a moment, by currency; currencies without any are left out."""
        holding = {
            currency: [price for price in prices if parse(price.valid_from) <= at < parse(price.valid_until)]
            for currency, prices in self.prices.items()
        }
        return {currency: prices for currency, prices in holding.items() if prices}


def next_version(now: datetime, before: int) -> int:
    """Return the version of a change: the milliseconds of ``now``, and always more than the one before."""
    return max(int(now.timestamp() * 1000), before + 1)


def _key(price: Price) -> tuple[str, int]:
    return price.price_list, price.min_quantity
