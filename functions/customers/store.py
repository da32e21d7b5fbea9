"""The table ``customers``: ``CUSTOMER#<subject>`` / ``PROFILE``, nothing personal in it."""

from __future__ import annotations

from commerce.dynamo import Change, Item, Table
from customers.model import Settings


class CustomerStore:
    """Customers in their table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, subject: str) -> Item | None:
        """Return a customer's item, or None."""
        return self._table.get(_key(subject))

    def put(self, subject: str, settings: Settings, at: str) -> Item:
        """Store a customer's settings; the first call also says when he came (one write unit)."""
        stored = {"locale": settings.locale, "time_zone": settings.time_zone, "updated_at": at, "v": 1}
        return self._table.update(_key(subject), Change(set=stored, first={"created_at": at}))


def _key(subject: str) -> tuple[str, str]:
    return f"CUSTOMER#{subject}", "PROFILE"
