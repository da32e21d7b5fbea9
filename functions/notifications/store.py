"""The table ``notifications``: one item a notice, which is the inbox entry and the claim in one.

``pk`` = ``BUYER#<id>`` or ``PURCHASING``, ``sk`` = the notice's id, which starts with its time.
"""

from __future__ import annotations

from datetime import timedelta

from boto3.dynamodb.conditions import Attr, Key

from commerce.clock import parse
from commerce.dynamo import Change, ConditionFailed, Item, Page, Table
from notifications.model import PURCHASING, NoSuchNotice, Notice

KEPT = timedelta(days=400)
"""How long a notice stays; far longer than anything is redelivered."""


class NoticeStore:
    """Notices in their table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, notice: Notice, title: str) -> bool:
        """Store ``notice`` unless it is there; return whether it was not (one write unit)."""
        item: Item = {
            "pk": partition(notice.reader),
            "sk": notice.id,
            "v": 1,
            "kind": notice.kind,
            "title": title,
            "at": notice.at,
            "about": notice.about,
            "order_id": notice.order_id,
            "facts": dict(notice.facts),
            "ttl": int((parse(notice.at) + KEPT).timestamp()),
        }
        try:
            self._table.put(item, when=Attr("pk").not_exists())
        except ConditionFailed:
            return False
        return True

    def mail_failed(self, notice: Notice, reason: str) -> None:
        """Note on ``notice`` that its mail was not taken (one more write unit, only then), if it is there still."""
        noted = Change(set={"mail_failed": reason}, when=Attr("pk").exists())
        try:
            self._table.update((partition(notice.reader), notice.id), noted)
        except ConditionFailed:
            return  # its reader was erased meanwhile

    def inbox(self, reader: str, limit: int, after: str | None) -> Page:
        """Return a page of the reader's notices, newest first, going on after the notice ``after``."""
        start: Item | None = {"pk": partition(reader), "sk": after} if after else None
        return self._table.query(Key("pk").eq(partition(reader)), limit=limit, start=start, newest_first=True)

    def forget(self, reader: str) -> None:
        """Take every notice of the reader away."""
        for item in self._table.query_all(Key("pk").eq(partition(reader)), consistent=True):
            self._table.delete((item["pk"], item["sk"]))

    def mark_read(self, reader: str, notice_id: str, at: str) -> Item:
        """Note when a notice was first read, and return it.

        Raises
        ------
        NoSuchNotice
            There is none.
        """
        change = Change(first={"read_at": at}, when=Attr("pk").exists())
        try:
            return self._table.update((partition(reader), notice_id), change)
        except ConditionFailed as error:
            raise NoSuchNotice() from error


def partition(reader: str) -> str:
    """Return the partition of a reader's notices."""
    return PURCHASING if reader == PURCHASING else f"BUYER#{reader}"
