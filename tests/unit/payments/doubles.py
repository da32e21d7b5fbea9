"""Books in memory, and a provider's ledger that remembers what was done to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from commerce.clock import FixedClock
from commerce.outbox import unpack
from commerce.tokens import OrderClaims
from payments import service
from payments.model import OrderPayments, Payment, ProviderRefused, ProviderUnavailable, Standing
from payments.providers.sandbox import CallbackKey, Sandbox
from payments.service import Desk, Kept, WrittenMeanwhile
from tools.sandbox_provider import SignedCallback
from tools.sandbox_provider import callback as signed

NOW = datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC)
ORDER = "06PM4NXBDTKB"
SECRET = "a key of the tests"
CLAIMS = OrderClaims(ORDER, "buyer-1", 13912, "GBP", "en-GB")


class MemoryBooks:
    """`payments.service.Books`.

    ``events`` are those of every write in order; ``before_save`` runs once, between a read and its write.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.events: list[dict[str, Any]] = []
        self.writes = 0
        self.before_save: Callable[[], object] | None = None

    def load(self, order_id: str) -> Kept | None:
        return self.kept.get(order_id)

    def save(self, order: OrderPayments, *, over: Kept | None, now: str, outbox: str | None) -> None:
        interfere, self.before_save = self.before_save, None
        if interfere:
            interfere()
        there = self.kept.get(order.order_id)
        if (there.version if there else 0) != (over.version if over else 0):
            raise WrittenMeanwhile
        self.kept[order.order_id] = Kept(order, (over.version if over else 0) + 1, now if order.to_return else "")
        self.writes += 1
        self.events += unpack(outbox, "record") if outbox else []

    def open_orders(self) -> Iterator[str]:
        return iter([order_id for order_id, kept in self.kept.items() if kept.open_since])

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event["detail"] for event in self.events if event["type"] == kind]


class RememberingLedger:
    """`payments.providers.sandbox.Ledger` that holds money like a provider: one effect a key, and none after a void.

    ``trouble`` makes the next call answer nothing, either ``before`` it did anything or ``after``.
    """

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.authorised: dict[str, int] = {}
        self.captures: dict[tuple[str, str], int] = {}
        self.refunds: dict[tuple[str, str], int] = {}
        self.voided: set[str] = set()
        self.effects: list[tuple[str, ...]] = []
        self.trouble: Literal["", "before", "after"] = ""

    def open(self, payment: Payment) -> None:
        def do() -> None:
            self.known.add(payment.id)

        self._call(do)

    def authorise(self, payment_id: str, amount: int) -> bool:
        """The buyer pays; False if the provider no longer takes it."""
        if payment_id in self.known - self.voided:
            self.authorised.setdefault(payment_id, amount)
        return payment_id in self.authorised

    def capture(self, payment: Payment, key: str, amount: int) -> Standing:
        def do() -> None:
            if (payment.id, key) in self.captures:
                assert self.captures[payment.id, key] == amount
                return
            if payment.id in self.voided or self.taken(payment.id) + amount > self.authorised.get(payment.id, 0):
                raise ProviderRefused(payment.id)
            self.captures[payment.id, key] = amount
            self.effects.append(("capture", payment.id, key))

        self._call(do)
        return self._standing(payment.id)

    def void(self, payment: Payment) -> Standing:
        def do() -> None:
            if payment.id in self.known - self.voided:
                self.voided.add(payment.id)
                self.effects.append(("void", payment.id))

        self._call(do)
        return self._standing(payment.id)

    def refund(self, payment: Payment, key: str, amount: int) -> Standing:
        def do() -> None:
            if (payment.id, key) not in self.refunds:
                assert amount <= self.taken(payment.id)
                self.refunds[payment.id, key] = amount
                self.effects.append(("refund", payment.id, key))

        self._call(do)
        return self._standing(payment.id)

    def standing(self, payment: Payment) -> Standing:
        self._call(lambda: None)
        return self._standing(payment.id)

    def taken(self, payment_id: str) -> int:
        return sum(amount for (one, _), amount in self.captures.items() if one == payment_id)

    def kept(self, payment_id: str) -> int:
        """What the provider has of the buyer's money: held, or captured and not refunded."""
        back = sum(amount for (one, _), amount in self.refunds.items() if one == payment_id)
        held = 0 if payment_id in self.voided else self.authorised.get(payment_id, 0) - self.taken(payment_id)
        return held + self.taken(payment_id) - back

    def _standing(self, payment_id: str) -> Standing:
        back = sum(amount for (one, _), amount in self.refunds.items() if one == payment_id)
        return Standing(self.authorised.get(payment_id, 0), self.taken(payment_id), back)

    def _call(self, do: Callable[[], None]) -> None:
        trouble, self.trouble = self.trouble, ""
        if trouble == "before":
            raise ProviderUnavailable
        do()
        if trouble == "after":
            raise ProviderUnavailable


class Counter:
    """A shop's payments with everything in memory, and the short ways the tests take."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.books = MemoryBooks()
        self.ledger = RememberingLedger()
        provider = Sandbox(CallbackKey(lambda: SECRET, self.clock), self.ledger, self.clock)
        self.desk = Desk(self.books, {"sandbox": provider}, self.clock)
        self._keys = (f"key-{at}" for at in itertools.count())

    @property
    def order(self) -> OrderPayments:
        return self.books.kept[ORDER].order

    def start(self, key: str | None = None) -> str:
        return service.start_payment(self.desk, CLAIMS, "sandbox", key or next(self._keys))[0].id

    def says(
        self, verdict: Literal["authorised", "declined"], payment_id: str, amount: int = 13912, currency: str = "GBP"
    ) -> SignedCallback:
        """What the provider sends when it has decided."""
        if verdict == "authorised":
            self.ledger.authorise(payment_id, amount)
        return signed(SECRET, verdict, payment_id, amount, currency, self.clock.now())

    def hear(self, callback: SignedCallback, provider: str = "sandbox") -> None:
        service.hear_callback(self.desk, provider, callback.headers.get, callback.body)

    def paid(self, key: str | None = None) -> str:
        payment_id = self.start(key)
        self.hear(self.says("authorised", payment_id))
        return payment_id
