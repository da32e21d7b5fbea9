"""Use cases of the catalogue: merchants put products and prices, everybody reads what is listed.

A call reads all the products it is about, refuses before it writes anything, and then writes them a
chunk at a time: the chunk's products and the event that publishes their offers are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.model import (
    Description,
    NoSuchProduct,
    NotYourMerchant,
    Overtaken,
    Product,
    TooManyPrices,
    UnknownProducts,
    next_version,
)
from commerce.clock import Clock, rfc3339
from commerce.dynamo import Item
from commerce.errors import FieldError, Invalid
from commerce.events import Offer, OffersPublished, Price

CHUNK_PRODUCTS = 50
"""Products, and offers, of one transaction and event: half of what a transaction takes."""
CHUNK_BYTES = 200_000
"""Offers of one event as JSON, at the most: EventBridge and SQS take 256 KB, envelope included."""
TRIES = 5


@dataclass(frozen=True)
class Written:
    """A product to write.

    Attributes
    ----------
    before
        Version it was read in; 0 for a new one.
    offers
        What of it is to be published.
    """

    product: Product
    before: int
    offers: tuple[Offer, ...]


class Products(Protocol):
    """Where products and the merchants' owners are kept."""

    def read(self, skus: Sequence[str]) -> dict[str, Product]:
        """Return those of the products that exist."""
        ...

    def write(self, chunk: Sequence[Written], event: OffersPublished | None) -> bool:
        """Write products and their event as one; return False if one of them has changed meanwhile."""
        ...

    def owners(self, merchants: Sequence[str]) -> dict[str, str]:
        """Return who acts for those of the merchants that somebody acts for."""
        ...

    def own(self, merchant: str, subject: str) -> str:
        """Make ``subject`` act for a merchant that nobody acts for; return who does now."""
        ...

    def listed(self, after: str | None, limit: int) -> tuple[list[Item], str | None]:
        """Return ``sku`` and ``title`` of listed products, and the SKU after which the next page starts."""
        ...


@dataclass(frozen=True)
class Entry:
    """A price for a SKU, as given; ``field`` is where in the request."""

    field: str
    sku: str
    price: Price


Change = Callable[[str, Product | None], Written]


def put_products(products: Products, clock: Clock, subject: str, wanted: Sequence[Description]) -> list[Product]:
    """Make products what a merchant says they are; their prices stay.

    Returns
    -------
    list of Product
        As written, in the order given.

    Raises
    ------
    Invalid
        A SKU is given twice.
    NotYourMerchant
        Another subject acts for a merchant named, or for the one whose product it is.
    Overtaken
        Others kept changing the same products.
    """
    by_sku = {one.sku: one for one in wanted}
    positions = {one.sku: f"products.{at}" for at, one in enumerate(wanted)}
    twice = [f"products.{at}.sku" for at, one in enumerate(wanted) if positions[one.sku] != f"products.{at}"]
    if twice:
        raise Invalid(fields=[FieldError(at, "duplicate", "this SKU is given again below") for at in twice])

    def change(sku: str, found: Product | None) -> Written:
        before = found or Product(by_sku[sku])
        after = before.described(by_sku[sku], next_version(clock.now(), before.version))
        return Written(after, before.version, tuple(after.offer(currency) for currency in after.prices))

    found = products.read(list(by_sku))
    owned = [(f"{positions[sku]}.merchant_id", one.merchant_id) for sku, one in by_sku.items()]
    owned += [(f"{positions[sku]}.sku", product.description.merchant_id) for sku, product in found.items()]
    owners = _refuse_strangers(products, subject, owned)
    for merchant in dict.fromkeys(one.merchant_id for one in wanted):
        if merchant not in owners and products.own(merchant, subject) != subject:
            raise NotYourMerchant(f"somebody else acts for {merchant}")
    return _write_all(products, clock, subject, found, list(by_sku), change)


def put_prices(
    products: Products, clock: Clock, subject: str, currency: str, entries: Sequence[Entry]
) -> list[Product]:
    """Add prices of one list to products; one of the same SKU and quantity is replaced.

    Raises
    ------
    Invalid
        A SKU and quantity is given twice.
    UnknownProducts
        A SKU has no product.
    NotYourMerchant
        Another subject acts for the merchant of a product.
    TooManyPrices
        A product would have too many prices.
    Overtaken
        Others kept changing the same products.
    """
    by_sku: dict[str, list[Entry]] = {}
    for entry in entries:
        by_sku.setdefault(entry.sku, []).append(entry)
    _refuse_twice(by_sku.values())

    def change(sku: str, found: Product | None) -> Written:
        if found is None:  # read before, and no product is ever taken away
            raise Overtaken()
        version = next_version(clock.now(), found.version)
        try:
            after = found.priced(currency, [entry.price for entry in by_sku[sku]], version)
        except TooManyPrices as error:
            field = FieldError(f"{by_sku[sku][0].field}.sku", "too-many", error.detail)
            raise TooManyPrices(error.detail, fields=[field]) from error
        return Written(after, found.version, (after.offer(currency),))

    found = products.read(list(by_sku))
    unknown = [given[0].field for sku, given in by_sku.items() if sku not in found]
    if unknown:
        raise UnknownProducts(fields=[FieldError(f"{at}.sku", "unknown", "no product of this SKU") for at in unknown])
    owned = [(f"{by_sku[sku][0].field}.sku", product.description.merchant_id) for sku, product in found.items()]
    _refuse_strangers(products, subject, owned)
    return _write_all(products, clock, subject, found, list(by_sku), change)


def product(products: Products, sku: str) -> Product:
    """Return a listed product.

    Raises
    ------
    NoSuchProduct
        There is none, or it is not listed.
    """
    found = products.read([sku]).get(sku)
    if found is None or not found.description.listed:
        raise NoSuchProduct()
    return found


def _write_all(
    products: Products, clock: Clock, subject: str, found: Mapping[str, Product], skus: Sequence[str], change: Change
) -> list[Product]:
    written: dict[str, Product] = {}
    changes = [change(sku, found.get(sku)) for sku in skus]  # all that can be refused is refused here
    for first in _chunks(changes):
        chunk = first
        for _ in range(TRIES):
            if products.write(chunk, _published(chunk, clock)):
                break
            again = products.read([one.product.sku for one in chunk])
            _refuse_strangers(products, subject, [("sku", one.description.merchant_id) for one in again.values()])
            chunk = [change(one.product.sku, again.get(one.product.sku)) for one in chunk]
        else:
            raise Overtaken()
        written |= {one.product.sku: one.product for one in chunk}
    return [written[sku] for sku in skus]


def _chunks(changes: Iterable[Written]) -> Iterator[list[Written]]:
    chunk: list[Written] = []
    offers = size = 0
    for one in changes:
        more = sum(len(offer.model_dump_json().encode()) for offer in one.offers)
        full = len(chunk) == CHUNK_PRODUCTS or offers + len(one.offers) > CHUNK_PRODUCTS or size + more > CHUNK_BYTES
        if chunk and full:
            yield chunk
            chunk, offers, size = [], 0, 0
        chunk.append(one)
        offers += len(one.offers)
        size += more
    if chunk:
        yield chunk


def _published(chunk: Sequence[Written], clock: Clock) -> OffersPublished | None:
    offers = [offer for one in chunk for offer in one.offers]
    return OffersPublished(at=rfc3339(clock.now()), offers=offers) if offers else None


def _refuse_strangers(products: Products, subject: str, owned: Sequence[tuple[str, str]]) -> dict[str, str]:
    owners = products.owners(list(dict.fromkeys(merchant for _, merchant in owned)))
    strange = [(field, merchant) for field, merchant in owned if owners.get(merchant, subject) != subject]
    if strange:
        raise NotYourMerchant(
            fields=[FieldError(field, "not-yours", f"somebody else acts for {merchant}") for field, merchant in strange]
        )
    return owners


def _refuse_twice(groups: Iterable[Sequence[Entry]]) -> None:
    twice: list[FieldError] = []
    for entries in groups:
        seen: set[int] = set()
        for entry in entries:
            if entry.price.min_quantity in seen:
                twice.append(FieldError(entry.field, "duplicate", "this SKU and quantity is given above already"))
            seen.add(entry.price.min_quantity)
    if twice:
        raise Invalid(fields=twice)
