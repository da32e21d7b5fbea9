"""The table ``customers``: ``CUSTOMER#<subject>`` / ``PROFILE``, nothing personal in it.

Of an erased customer the item says when, and nothing is written over that.
"""

from __future__ import annotations

from boto3.dynamodb.conditions import Attr

from commerce.dynamo import Change, ConditionFailed, Item, Table
from commerce.vault import Closed
from customers.model import Settings


class CustomerStore:
    """Customers in their table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, subject: str) -> Item | None:
        """Return a customer's item, or None."""
        found = self._table.get(_key(subject))
        return None if found is None or "erased_at" in found else found

    def put(self, subject: str, settings: Settings, at: str) -> Item:
        """Store a customer's settings; the first call also says when he came (one write unit).

        Raises
        ------
        commerce.vault.Closed
            He was erased.
        """
        stored = {"locale": settings.locale, "time_zone": settings.time_zone, "updated_at": at, "v": 1}
        change = Change(set=stored, first={"created_at": at}, when=Attr("erased_at").not_exists())
        try:
            return self._table.update(_key(subject), change)
        except ConditionFailed as error:
            raise Closed from error

    def erase(self, subject: str, at: str) -> None:
        """Take away what is known of a customer, for good."""
        pk, sk = _key(subject)
        self._table.put({"pk": pk, "sk": sk, "v": 1, "erased_at": at})


def _key(subject: str) -> tuple[str, str]:
    return f"CUSTOMER#{subject}", "PROFILE"
