"""In-memory collaborators of the orders use cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from commerce.clock import FixedClock
from commerce.events import Event, Offer, Price
from commerce.vault import Closed, Forgotten
from orders.model import (
    ERASURE_TRANSITIONS,
    STAGES,
    Erasure,
    ErasureState,
    NoSuchOrder,
    NumberTaken,
    Order,
    Pace,
    Revision,
    Stage,
    Wait,
)
from orders.service.ports import Changed, Clocks, Key, KeyUsed, OrderList, Window, WindowFull

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PACE = Pace(1000, timedelta(hours=1))


class FakeOrders:
    """Headers, revisions, keys and waits in dicts, with the store's conditions."""

    def __init__(self) -> None:
        self.headers: dict[str, Order] = {}
        self.revisions: dict[tuple[str, int], Revision] = {}
        self.keys: dict[tuple[str, str], KeyUsed] = {}
        self.waits: dict[tuple[str, Wait], str] = {}
        self.events: list[Event] = []
        self.placed: Counter[tuple[str, datetime]] = Counter()
        self.saves = 0
        self.interfere: list[Any] = []
        self.erasures: dict[str, Erasure] = {}
        self.interfere_with_erasing: list[Any] = []

    def add(
        self, order: Order, revision: Revision, key: Key, events: Sequence[Event], window: Window | None = None
    ) -> None:
        if (key.scope, key.key) in self.keys:
            raise self.keys[key.scope, key.key]
        if order.order_id in self.headers:
            raise NumberTaken()
        if window is not None:
            if self.placed[window.buyer, window.since] >= window.orders:
                raise WindowFull
            self.placed[window.buyer, window.since] += 1
        self.keys[key.scope, key.key] = KeyUsed(order.order_id, key.digest)
        self.headers[order.order_id] = order
        self.revisions[order.order_id, revision.number] = revision
        self.events += events

    def key_used(self, key: Key) -> KeyUsed | None:
        return self.keys.get((key.scope, key.key))

    def get(self, order_id: str) -> Order:
        if order_id not in self.headers:
            raise NoSuchOrder()
        return self.headers[order_id]

    def revision(self, order_id: str, number: int) -> Revision:
        return self.revisions[order_id, number]

    def save(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        if self.interfere:
            self.interfere.pop(0)()
        if self.headers[before.order_id] != before:
            raise Changed()
        self.headers[before.order_id] = replace(after, version=before.version + 1)
        self.events += events
        self.saves += 1

    def save_claim(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        self.save(before, after, events)

    def put_wait(self, order_id: str, wait: Wait, token: str, events: Sequence[Event]) -> None:
        self.waits[order_id, wait] = token
        self.events += events

    def token(self, order_id: str, wait: Wait) -> str | None:
        return self.waits.get((order_id, wait))

    def of_customer(self, customer_id: str, limit: int, position: dict[str, str] | None) -> OrderList:
        return OrderList([one for one in self.headers.values() if one.customer_id == customer_id][:limit], None)

    def open(self, stage: Stage, limit: int, position: dict[str, str] | None) -> OrderList:
        return OrderList([one for one in self.headers.values() if STAGES.get(one.status) is stage][:limit], None)

    def clocks(self, stage: Stage, now: datetime) -> Clocks:
        dues = {
            order.order_id: order.due
            for order in self.headers.values()
            if STAGES.get(order.status) is stage and order.due is not None
        }
        overdue = [order_id for order_id, due in dues.items() if due < now]
        return Clocks(overdue, min(dues.values(), default=None))

    # erasures

    def owned_by(self, customer_id: str) -> Iterator[Order]:
        yield from [one for one in self.headers.values() if one.customer_id == customer_id]
        if self.interfere_with_erasing:
            self.interfere_with_erasing.pop(0)()

    def ask_erasure(self, erasure: Erasure) -> Erasure:
        return self.erasures.setdefault(erasure.subject, erasure)

    def erasure(self, subject: str) -> Erasure | None:
        return self.erasures.get(subject)

    def move_erasure(self, before: Erasure, after: Erasure, events: Sequence[Event] = ()) -> Erasure:
        if self.erasures[before.subject] != before:
            raise Changed()
        assert after.state is before.state or after.state in ERASURE_TRANSITIONS[before.state]
        self.events += events
        self.erasures[before.subject] = replace(after, version=before.version + 1)
        return self.erasures[before.subject]

    def hold_erasure(self, subject: str) -> bool:
        there = self.erasures.get(subject)
        if there is None or there.state is not ErasureState.ASKED:
            return False
        self.erasures[subject] = replace(there, version=there.version + 1)
        return True

    def repeat_erasure(self, erasure: Erasure) -> Erasure:
        self.erasures[erasure.subject] = erasure
        return erasure

    def pending_erasures(self) -> Iterator[str]:
        yield from [one.subject for one in self.erasures.values() if one.state is not ErasureState.ERASED]

    def tombstones(self) -> Iterator[Erasure]:
        yield from self.erasures.values()

    def forget_keys(self, scope: str, key: str = "") -> None:
        self.keys = {one: used for one, used in self.keys.items() if one[0] != scope or key not in ("", one[1])}

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class FakeOffers:
    def __init__(self, *offers: Offer) -> None:
        self.offers = {(offer.sku, offer.currency): offer for offer in offers}

    def find(self, skus: Iterable[str], currency: str) -> dict[str, Offer]:
        return {sku: self.offers[sku, currency] for sku in skus if (sku, currency) in self.offers}

    def put(self, offer: Offer) -> None:
        self.offers[offer.sku, offer.currency] = offer


class FakeVault:
    """Seals by writing JSON: enough to see who may open what."""

    def __init__(self) -> None:
        self.cards: dict[str, dict[str, Any]] = {}
        self.subjects: set[str] = set()
        self.closed: set[str] = set()
        self.erased: set[str] = set()

    def seal(self, subject: str, data: Mapping[str, Any], *, create: bool = True) -> bytes:
        if subject not in self.erased:  # a warm function seals on with a key that is gone
            self.subjects.add(subject)
        return json.dumps([subject, data]).encode()

    def open(self, subject: str, sealed: bytes) -> dict[str, Any]:
        if subject not in self.subjects:
            raise Forgotten()
        owner, data = json.loads(sealed)
        assert owner == subject
        return dict(data)

    def contact(self, subject: str, *, unless_closed: bool = False) -> dict[str, Any] | None:
        if unless_closed and subject in self.closed:
            raise Closed()
        return self.cards.get(subject)

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        if subject in self.erased:
            raise Closed()
        self.subjects.add(subject)
        if replace or subject not in self.cards:
            self.cards[subject] = dict(card)


class FakeTombstones:
    """Closes and erases in a `FakeVault`."""

    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault

    def closed(self, subject: str) -> bool:
        return subject in self.vault.closed

    def close(self, subject: str, at: str) -> None:
        self.vault.closed.add(subject)

    def erase(self, subject: str, at: str) -> None:
        self.vault.closed.add(subject)
        self.vault.erased.add(subject)
        self.vault.subjects.discard(subject)
        self.vault.cards.pop(subject, None)


class FakeRuns:
    """Executions: what was started and how tokens were answered."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.succeeded: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.completions: list[tuple[str, int, datetime]] = []

    def start(self, order_id: str) -> None:
        if order_id not in self.started:
            self.started.append(order_id)

    def complete(self, order_id: str, total: int, at: datetime) -> None:
        self.completions.append((order_id, total, at))

    def succeed(self, token: str) -> None:
        self.succeeded.append(token)

    def fail(self, token: str, error: str) -> None:
        self.failed.append((token, error))


def clock() -> FixedClock:
    return FixedClock(NOW)


def offer(sku: str = "85123A", unit_price: int = 255, **changes: Any) -> Offer:
    price = Price(
        price_list="2011-03-07-trade",
        valid_from="2011-03-07T00:00:00.000Z",
        valid_until="2027-01-01T00:00:00.000Z",
        min_quantity=1,
        unit_price=unit_price,
    )
    fields: dict[str, Any] = {
        "sku": sku,
        "currency": "GBP",
        "merchant_id": "mer_hearts",
        "listed": True,
        "tax_rate_bp": 2000,
        "tax_inclusive": True,
        "version": 1,
        "prices": [price],
    }
    return Offer(**(fields | changes))


def body(*lines: tuple[str, int, int], **changes: Any) -> dict[str, Any]:
    wanted = lines or (("85123A", 6, 255),)
    return {
        "currency": "GBP",
        "locale": "en-GB",
        "time_zone": "Europe/London",
        "price_list": "2011-03-07-trade",
        "contact": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "address": {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"},
        "lines": [{"sku": sku, "quantity": quantity, "unit_price": price} for sku, quantity, price in wanted],
    } | changes


DAY = timedelta(days=1)
