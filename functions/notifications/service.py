"""Use cases of notifications: tell a change, list what was told, mark it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from commerce import telemetry
from commerce.clock import Clock, rfc3339
from commerce.dynamo import Item, Page
from commerce.events import CustomerErased, Event
from commerce.figures import Figure
from commerce.vault import Forgotten
from notifications.model import PURCHASING, MailFailed, Notice, notice_of


@dataclass(frozen=True)
class Letter:
    """A mail: one line of subject, and the same message as plain text and as HTML."""

    subject: str
    text: str
    html: str


class Notices(Protocol):
    """Where notices are kept."""

    def claim(self, notice: Notice, title: str) -> bool:
        """Store a notice; return False if it was there, that is: told before."""
        ...

    def mail_failed(self, notice: Notice, reason: str) -> None:
        """Note on a notice that its mail was not taken."""
        ...

    def inbox(self, reader: str, limit: int, after: str | None) -> Page:
        """Return a page of a reader's notices, newest first, going on after the notice ``after``."""
        ...

    def forget(self, reader: str) -> None:
        """Take every notice of a reader away."""
        ...

    def mark_read(self, reader: str, notice_id: str, at: str) -> Item:
        """Note when a notice was first read; raises `NoSuchNotice`."""
        ...


class Contacts(Protocol):
    """Who is behind a reader's id (`commerce.vault.Vault`)."""

    def contact(self, subject: str) -> dict[str, Any] | None:
        """Return the contact card, or None for somebody unknown; raises `commerce.vault.Forgotten` if erased."""
        ...


class Writer(Protocol):
    """Turns a notice into words."""

    def write(self, notice: Notice, card: Mapping[str, Any]) -> Letter:
        """Return the letter in the notice's language."""
        ...


class Post(Protocol):
    """Sends mail."""

    def send(self, to: str, letter: Letter, kind: str) -> None:
        """Hand a letter over, at most once; raises `MailFailed`."""
        ...


@dataclass(frozen=True)
class Desk:
    """Everything it takes to tell somebody something.

    Attributes
    ----------
    purchasing
        Mail address of purchasing; empty for none.
    """

    notices: Notices
    contacts: Contacts
    writer: Writer
    post: Post
    purchasing: str = ""

    def card(self, reader: str) -> dict[str, Any]:
        """Return the reader's contact card; an empty one for somebody who cannot be written to.

        Raises
        ------
        commerce.vault.Forgotten
            He was erased.
        """
        if reader == PURCHASING:
            return {"email": self.purchasing} if self.purchasing else {}
        return self.contacts.contact(reader) or {}


def tell(event: Event, desk: Desk) -> None:
    """Tell a change: a notice in the inbox, and a mail where there is an address.

    All that can fail and be tried again comes first; the notice's claim is the point of no return.
    Who wins it sends the mail, once; somebody erased is told nothing. A mail that is refused or cannot be handed
    over is counted and noted on the notice and holds nothing up (docs/decisions/2026-11-23-mail-at-most-once.md).
    """
    notice = notice_of(event)
    if notice is None:
        return
    try:
        card = desk.card(notice.reader)
    except Forgotten:
        return
    letter = desk.writer.write(notice, card)
    if not desk.notices.claim(notice, letter.subject) or not card.get("email"):
        return
    try:
        desk.post.send(card["email"], letter, notice.kind)
    except MailFailed as error:
        telemetry.logger().error("mail failed", extra={"notice": notice.id, "reason": error.reason})
        telemetry.count(Figure.MAIL_FAILED)
        desk.notices.mail_failed(notice, error.reason)


def forget(event: CustomerErased, notices: Notices) -> None:
    """Take away what an erased person was told."""
    notices.forget(event.subject)


def inbox(notices: Notices, reader: str, limit: int, after: str | None) -> Page:
    """Return a page of what a reader was told, newest first, going on after the notice ``after``."""
    return notices.inbox(reader, limit, after)


def mark_read(notices: Notices, clock: Clock, reader: str, notice_id: str) -> Item:
    """Note that a reader has seen a notice; the first time counts.

    Raises
    ------
    NoSuchNotice
        He was told no such thing.
    """
    return notices.mark_read(reader, notice_id, rfc3339(clock.now()))
