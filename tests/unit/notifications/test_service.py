"""Telling: once a change, whatever the mail does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from commerce import events, telemetry
from commerce.dynamo import Item, Page
from commerce.vault import Forgotten
from notifications.model import MailFailed, NoSuchNotice, Notice
from notifications.service import Desk, Letter, tell
from tests.unit.notifications.examples import example

pytestmark = pytest.mark.unit


class Shelf:
    """Notices in memory."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def claim(self, notice: Notice, title: str) -> bool:
        if notice.id in self.told:
            return False
        self.told[notice.id] = title
        return True

    def mail_failed(self, notice: Notice, reason: str) -> None:
        self.failed[notice.id] = reason

    def inbox(self, reader: str, limit: int, after: str | None) -> Page:
        return Page([], None)

    def forget(self, reader: str) -> None:
        self.told.clear()

    def mark_read(self, reader: str, notice_id: str, at: str) -> Item:
        raise NoSuchNotice


class Cards:
    """Contact cards in memory; a card that is an error is raised."""

    def __init__(self, card: dict[str, Any] | Exception | None) -> None:
        self.card = card

    def contact(self, subject: str) -> dict[str, Any] | None:
        if isinstance(self.card, Exception):
            raise self.card
        return self.card


class Pen:
    """Writes one letter for everything."""

    def write(self, notice: Notice, card: Mapping[str, Any]) -> Letter:
        return Letter(f"about {notice.kind}", "text", "html")


class Box:
    """A post that notes what it was given; or fails."""

    def __init__(self, error: MailFailed | None = None) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error = error

    def send(self, to: str, letter: Letter, kind: str) -> None:
        self.sent.append((to, kind))
        if self.error:
            raise self.error


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(telemetry, "count", names.append)
    return names


ADA = {"name": "Ada", "email": "ada@example.com"}


def test_a_change_is_in_the_inbox_and_mailed_once(counted: list[str]) -> None:
    shelf, box = Shelf(), Box()
    desk = Desk(shelf, Cards(ADA), Pen(), box)
    for _ in range(3):
        tell(example(events.OrderPaid), desk)
    assert list(shelf.told.values()) == ["about order-paid"]
    assert box.sent == [("ada@example.com", "order-paid")]
    assert counted == []


def test_a_broken_mailbox_holds_nothing_up_and_is_noted(counted: list[str]) -> None:
    shelf, box = Shelf(), Box(MailFailed("MessageRejected"))
    desk = Desk(shelf, Cards(ADA), Pen(), box)
    tell(example(events.OrderPaid), desk)
    tell(example(events.OrderPaid), desk)
    assert len(box.sent) == 1
    assert list(shelf.failed.values()) == ["MessageRejected"]
    assert counted == ["MailFailed"]


@pytest.mark.parametrize("card", [None, {"name": "Ada"}])
def test_somebody_without_an_address_has_the_inbox(card: dict[str, Any] | None) -> None:
    shelf, box = Shelf(), Box()
    tell(example(events.OrderPaid), Desk(shelf, Cards(card), Pen(), box))
    assert len(shelf.told) == 1
    assert box.sent == []


def test_somebody_erased_is_told_nothing() -> None:
    shelf, box = Shelf(), Box()
    tell(example(events.OrderPaid), Desk(shelf, Cards(Forgotten()), Pen(), box))
    assert (shelf.told, box.sent) == ({}, [])


def test_what_can_be_tried_again_fails_before_the_claim() -> None:
    shelf, cards, box = Shelf(), Cards(TimeoutError()), Box()
    desk = Desk(shelf, cards, Pen(), box)
    with pytest.raises(TimeoutError):
        tell(example(events.OrderPaid), desk)
    assert shelf.told == {}
    cards.card = ADA
    tell(example(events.OrderPaid), desk)
    assert len(box.sent) == 1


def test_purchasing_is_mailed_where_it_has_an_address() -> None:
    shelf, box = Shelf(), Box()
    raised = example(events.ReplenishmentRaised)
    tell(raised, Desk(shelf, Cards(TimeoutError()), Pen(), box, purchasing="buy@example.com"))
    assert box.sent == [("buy@example.com", "replenishment-raised")]
    tell(raised, Desk(Shelf(), Cards(TimeoutError()), Pen(), box))
    assert len(box.sent) == 1


def test_what_the_buyer_did_himself_is_not_told() -> None:
    shelf, box = Shelf(), Box()
    tell(example(events.OrderAccepted, by="buyer"), Desk(shelf, Cards(ADA), Pen(), box))
    assert (shelf.told, box.sent) == ({}, [])
