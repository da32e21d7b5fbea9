"""Whatever happens, in whatever order, with whatever lost: what is due is captured, and nothing else is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from payments import model, service
from payments.model import Demand
from tests.unit.payments.doubles import ORDER, Counter
from tests.unit.payments.test_service import shipment
from tools.sandbox_provider import SignedCallback

pytestmark = pytest.mark.unit

TOTAL = 13912
OF = 3
_EXPECTED = (
    model.AlreadyPaid,
    model.PaymentClosed,
    model.ProviderUnavailable,
    model.NothingAuthorised,
    model.SettlementImpossible,
)


class OrderOfPayments(RuleBasedStateMachine):
    """One order, several payments, a provider that sends what it likes, and answers that get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.sent: list[SignedCallback] = []
        self.values: dict[int, int | None] = {}
        self.withdrawn = False

    @rule(key=st.sampled_from("abc"))
    def start(self, key: str) -> None:
        self._try(lambda: self.counter.start(key))

    @precondition(lambda self: self._payments())
    @rule(data=st.data(), amount=st.sampled_from([TOTAL] * 4 + [TOTAL + 1]))
    def provider_authorises(self, data: st.DataObject, amount: int) -> None:
        payment_id = data.draw(st.sampled_from(self._payments()))
        ledger = self.counter.ledger
        if payment_id not in ledger.authorised and ledger.authorise(payment_id, amount):
            self.sent.append(self.counter.says("authorised", payment_id, amount))

    @precondition(lambda self: self._payments())
    @rule(data=st.data())
    def provider_declines(self, data: st.DataObject) -> None:
        payment_id = data.draw(st.sampled_from(self._payments()))
        if payment_id not in self.counter.ledger.authorised:
            self.sent.append(self.counter.says("declined", payment_id))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        self._try(lambda: self.counter.hear(sent))

    @rule(number=st.integers(1, OF), value=st.none() | st.integers(0, TOTAL))
    def dispatch(self, number: int, value: int | None) -> None:
        self.values.setdefault(number, value)
        self._try(lambda: service.capture_shipment(self.counter.desk, shipment(number, OF, self.values[number])))

    @rule()
    def return_money(self) -> None:
        self._try(lambda: service.return_money(self.counter.desk, ORDER, "cancelled"))

    @rule()
    def settle(self) -> None:
        self._try(lambda: service.settle(self.counter.desk, ORDER, TOTAL))

    @rule()
    def sweep(self) -> None:
        with suppress(ExceptionGroup):
            service.sweep(self.counter.desk)

    @rule(after=st.booleans())
    def the_next_answer_of_the_provider_is_lost(self, *, after: bool) -> None:
        self.counter.ledger.trouble = "after" if after else "before"

    @rule(other=st.sampled_from(["return_money", "settle", "sweep", "hear", "dispatch"]), at=st.integers(0, 20))
    def somebody_writes_in_between(self, other: str, at: int) -> None:
        others: dict[str, Callable[[], object]] = {
            "return_money": self.return_money,
            "settle": self.settle,
            "sweep": self.sweep,
            "hear": lambda: self._hear(at),
            "dispatch": lambda: self._try(
                lambda: service.capture_shipment(self.counter.desk, shipment(at % OF + 1, OF, None))
            ),
        }
        self.counter.books.before_save = others[other]

    @invariant()
    def nothing_is_taken_or_given_back_twice(self) -> None:
        ledger, effects = self.counter.ledger, self.counter.ledger.effects
        assert len(effects) == len(set(effects))
        for payment_id in ledger.known:
            assert ledger.taken(payment_id) <= ledger.authorised.get(payment_id, 0)
            assert ledger.kept(payment_id) >= 0

    @invariant()
    def what_is_withdrawn_stays_withdrawn(self) -> None:
        if ORDER in self.counter.books.kept:
            now = self.counter.order.demand is Demand.WITHDRAWN
            assert now or not self.withdrawn
            self.withdrawn = now

    @invariant()
    def events_are_told_once(self) -> None:
        books = self.counter.books
        assert len(books.told("PaymentAuthorised")) <= 1
        for kind in ("PaymentReturned", "PaymentDeclined"):
            told = [event["payment_id"] for event in books.told(kind)]
            assert len(told) == len(set(told))

    def teardown(self) -> None:
        if ORDER not in self.counter.books.kept:
            return
        self.counter.books.before_save = None
        self.counter.ledger.trouble = ""
        for sent in self.sent:
            self.counter.hear(sent)
        service.sweep(self.counter.desk)
        self.what_is_withdrawn_stays_withdrawn()
        if self.counter.order.demand is Demand.SATISFIED:
            self._completed()
        else:
            self._cancelled()
        assert list(self.counter.books.open_orders()) == []

    def _completed(self) -> None:
        desk, ledger, order = self.counter.desk, self.counter.ledger, self.counter.order
        for number in range(1, OF + 1):
            service.capture_shipment(desk, shipment(number, OF, self.values.get(number)))
        assert service.settle(desk, ORDER, TOTAL) == (TOTAL, "GBP")
        assert ledger.taken(order.paid_by) == TOTAL
        assert sum(ledger.kept(payment_id) for payment_id in ledger.known) == TOTAL
        assert len(self.counter.books.told("PaymentAuthorised")) == 1

    def _cancelled(self) -> None:
        service.return_money(self.counter.desk, ORDER, "cancelled")
        ledger, order = self.counter.ledger, self.counter.order
        assert [payment_id for payment_id in ledger.known if ledger.kept(payment_id)] == []
        told = {event["payment_id"]: event["amount"] for event in self.counter.books.told("PaymentReturned")}
        assert told == ledger.authorised
        for payment in order.payments.values():
            assert payment.captured == payment.refunded == ledger.taken(payment.id)

    def _payments(self) -> list[str]:
        return sorted(self.counter.ledger.known)

    def _hear(self, at: int) -> None:
        for sent in self.sent[at : at + 1]:
            self._try(partial(self.counter.hear, sent))

    def _try(self, do: Callable[[], object]) -> None:
        with suppress(*_EXPECTED):
            do()


TestOrderOfPayments = OrderOfPayments.TestCase
TestOrderOfPayments.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
