"""The catalogue's table in memory, and what merchants put into it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from catalog.model import Description, Product
from catalog.service import Entry, Written
from commerce.dynamo import Item
from commerce.events import OffersPublished, Price

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Shelves:
    """Products in memory; ``race`` is called once before a write, to be overtaken by."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.merchants: dict[str, str] = {}
        self.published: list[OffersPublished] = []
        self.race: list[Written] = []
        self.reads: list[int] = []
        self.always_overtaken = False

    def read(self, skus: Sequence[str]) -> dict[str, Product]:
        self.reads.append(len(skus))
        return {sku: self.products[sku] for sku in skus if sku in self.products}

    def write(self, chunk: Sequence[Written], event: OffersPublished | None) -> bool:
        for other in self.race:
            self.products[other.product.sku] = other.product
        self.race = []
        found = {one.product.sku: self.products.get(one.product.sku) for one in chunk}
        versions = {sku: one.version if one else 0 for sku, one in found.items()}
        if self.always_overtaken or any(versions[one.product.sku] != one.before for one in chunk):
            return False
        self.products |= {one.product.sku: one.product for one in chunk}
        if event:
            self.published.append(event)
        return True

    def owners(self, merchants: Sequence[str]) -> dict[str, str]:
        return {one: self.merchants[one] for one in merchants if one in self.merchants}

    def own(self, merchant: str, subject: str) -> str:
        return self.merchants.setdefault(merchant, subject)

    def listed(self, after: str | None, limit: int) -> tuple[list[Item], str | None]:
        return [], None


def described(sku: str, merchant: str = "mer_a", *, listed: bool = True) -> Description:
    """Return what a merchant says of a product."""
    return Description(sku, merchant, {"en": f"Thing {sku}"}, tax_rate_bp=2000, tax_inclusive=True, listed=listed)


def price(amount: int, price_list: str = "2026-trade", quantity: int = 1, until: str = "2027") -> Price:
    """Return a price that holds from 2026 on."""
    return Price(
        price_list=price_list,
        valid_from="2026-01-01T00:00:00.000Z",
        valid_until=f"{until}-01-01T00:00:00.000Z",
        min_quantity=quantity,
        unit_price=amount,
    )


def entries(*given: tuple[str, Price]) -> list[Entry]:
    """Return a request's entries."""
    return [Entry(f"entries.{at}", sku, one) for at, (sku, one) in enumerate(given)]
