"""The table ``catalog``.

``PRODUCT#<sku>`` / ``PRODUCT``: a product with all its prices, so that one condition on its version
guards whatever changes. ``MERCHANT#<id>`` / ``MERCHANT``: who acts for a merchant, claimed on first
use. ``PUBLISH#<event id>`` / ``PUBLISH``: the outbox of one chunk of products, kept for a week.
Index ``listed`` (``listed_pk``, ``sku``): listed products over eight shards, with their titles.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from boto3.dynamodb.conditions import Attr, Key
from pydantic import TypeAdapter

from catalog.model import Description, Product
from catalog.service import Written
from commerce import outbox
from commerce.clock import parse
from commerce.dynamo import ConditionFailed, Contended, Item, Put, Table, TransactionFailed
from commerce.events import OffersPublished, Price

SHARDS = 8
KEPT = timedelta(days=7)
"""How long a publication stays to be looked at; it leaves the table by TTL."""

_PRICES = TypeAdapter(dict[str, tuple[Price, ...]])


class ProductStore:
    """Products in their table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, skus: Sequence[str]) -> dict[str, Product]:
        """Return those of the products that exist, in one consistent read a hundred."""
        items = self._table.get_many([(f"PRODUCT#{sku}", "PRODUCT") for sku in skus], consistent=True)
        return {item["sku"]: _product(item) for item in items.values()}

    def write(self, chunk: Sequence[Written], event: OffersPublished | None) -> bool:
        """Write products and their event in one transaction (two write units a kilobyte of each).

        Returns
        -------
        bool
            False if a product is not in the version it was read in, or is being written right now.
        """
        actions = [Put(_item(one.product), when=_unchanged(one.before)) for one in chunk]
        if event is not None:
            actions.append(Put(_publication(event)))
        try:
            self._table.transact(actions)
        except (TransactionFailed, Contended):
            return False
        return True

    def owners(self, merchants: Sequence[str]) -> dict[str, str]:
        """Return who acts for those of the merchants that somebody acts for."""
        items = self._table.get_many([(f"MERCHANT#{one}", "MERCHANT") for one in merchants], consistent=True)
        return {pk.removeprefix("MERCHANT#"): item["owner"] for (pk, _), item in items.items()}

    def own(self, merchant: str, subject: str) -> str:
        """Make ``subject`` act for a merchant that nobody acts for; return who does now."""
        item: Item = {"pk": f"MERCHANT#{merchant}", "sk": "MERCHANT", "v": 1, "owner": subject}
        try:
            self._table.put(item, when=Attr("pk").not_exists())
        except ConditionFailed as other:
            if other.item is None:
                raise
            return str(other.item["owner"])
        return subject

    def listed(self, after: str | None, limit: int) -> tuple[list[Item], str | None]:
        """Return ``sku`` and ``title`` of listed products, shard after shard, and where the next page starts."""
        first = _shard(after) if after else 0
        found: list[Item] = []
        for shard in range(first, SHARDS):
            whole = Key("listed_pk").eq(_listed_pk(shard))
            rest = whole & Key("sku").gt(after) if after and shard == first else whole
            page = self._table.query(rest, index="listed", limit=limit - len(found))
            found += page.items
            if len(found) == limit:
                return found, found[-1]["sku"]
        return found, None


def _shard(sku: str) -> int:
    return zlib.crc32(sku.encode()) % SHARDS


def _listed_pk(shard: int) -> str:
    return f"L#{shard}"


def _unchanged(before: int) -> Any:
    return Attr("version").eq(before) if before else Attr("pk").not_exists()


def _item(product: Product) -> Item:
    told = product.description
    return {
        "pk": f"PRODUCT#{told.sku}",
        "sk": "PRODUCT",
        "v": 1,
        "sku": told.sku,
        "merchant_id": told.merchant_id,
        "title": dict(told.title),
        "tax_rate_bp": told.tax_rate_bp,
        "tax_inclusive": told.tax_inclusive,
        "listed": told.listed,
        "listed_pk": _listed_pk(_shard(told.sku)) if told.listed else None,
        "prices": _PRICES.dump_json(dict(product.prices)).decode(),
        "version": product.version,
    }


def _product(item: Item) -> Product:
    return Product(
        Description(
            sku=item["sku"],
            merchant_id=item["merchant_id"],
            title=item["title"],
            tax_rate_bp=item["tax_rate_bp"],
            tax_inclusive=item["tax_inclusive"],
            listed=item["listed"],
        ),
        prices=_PRICES.validate_json(item["prices"]),
        version=item["version"],
    )


def _publication(event: OffersPublished) -> Item:
    return {
        "pk": f"PUBLISH#{event.id}",
        "sk": "PUBLISH",
        "v": 1,
        "ttl": int((parse(event.at) + KEPT).timestamp()),
        "outbox": outbox.pack(event),
    }
