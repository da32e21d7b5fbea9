"""The use cases, with books in memory and a provider that remembers."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from commerce.errors import Invalid, Malformed, NotFound
from commerce.events import PaymentAuthorised, ShipmentDispatched
from payments import model, service
from payments.model import Demand, State
from tests.unit.payments.doubles import CLAIMS, ORDER, SECRET, Counter
from tools.sandbox_provider import callback

pytestmark = pytest.mark.unit


@pytest.fixture
def counter() -> Counter:
    return Counter()


def shipment(number: int = 1, of: int = 1, value: int | None = None) -> ShipmentDispatched:
    return ShipmentDispatched(
        at="2026-11-23T06:07:08.123Z",
        order_id=ORDER,
        buyer="buyer-1",
        fulfilment_id=f"{ORDER}-{number}",
        carrier="generic",
        waybill="GX0000000123",
        warehouse_id="GB-DAV",
        released_at="2026-11-23T06:07:08.123Z",
        packed_at="2026-11-23T06:07:08.123Z",
        of=of,
        value=value,
    )


def state(counter: Counter, payment_id: str) -> State:
    return counter.order.payments[payment_id].state


def test_the_way_of_an_order_takes_three_writes(counter: Counter) -> None:
    payment_id = counter.start("key")
    assert counter.start("key") == payment_id
    counter.hear(counter.says("authorised", payment_id))
    assert [one["payment_id"] for one in counter.books.told("PaymentAuthorised")] == [payment_id]
    service.capture_shipment(counter.desk, shipment())
    assert service.settle(counter.desk, ORDER, 0) == (13912, "GBP")
    assert counter.books.writes == 3
    assert counter.ledger.effects == [("capture", payment_id, f"{ORDER}-1")]


def test_how_the_buyer_goes_on_is_said_until_the_provider_has_decided(counter: Counter) -> None:
    payment, then = service.start_payment(counter.desk, CLAIMS, "sandbox", "key")
    assert then is not None
    assert then.value.endswith(payment.id)
    counter.hear(counter.says("authorised", payment.id))
    assert service.start_payment(counter.desk, CLAIMS, "sandbox", "key")[1] is None


def test_a_payment_whose_creation_was_not_answered_is_created_again(counter: Counter) -> None:
    counter.ledger.trouble = "before"
    with pytest.raises(model.ProviderUnavailable):
        counter.start("key")
    assert counter.start("key") in counter.ledger.known


def test_unknown_providers(counter: Counter) -> None:
    with pytest.raises(Invalid) as refused:
        service.start_payment(counter.desk, CLAIMS, "nobody", "key")
    assert refused.value.fields[0].field == "provider"
    with pytest.raises(model.UnknownProvider):
        counter.hear(counter.says("authorised", counter.start()), provider="nobody")


def test_callbacks_of_unknown_payments_are_to_be_sent_again(counter: Counter) -> None:
    with pytest.raises(model.UnknownPayment) as refused:
        counter.hear(callback(SECRET, "authorised", model.payment_id(ORDER, "x"), 5, "GBP", counter.clock.now()))
    assert refused.value.status == 503
    counter.start()
    with pytest.raises(model.UnknownPayment):
        counter.hear(callback(SECRET, "authorised", model.payment_id(ORDER, "x"), 5, "GBP", counter.clock.now()))
    with pytest.raises(Malformed):
        counter.hear(callback(SECRET, "authorised", "pi_123", 5, "GBP", counter.clock.now()))


def test_another_provider_s_payment_is_unknown(counter: Counter) -> None:
    payment_id = counter.start()
    desk = replace(counter.desk, providers={"other": counter.desk.providers["sandbox"]})
    sent = counter.says("authorised", payment_id)
    with pytest.raises(model.UnknownPayment):
        service.hear_callback(desk, "other", sent.headers.get, sent.body)


def test_twice_late_and_reordered_callbacks(counter: Counter) -> None:
    payment_id = counter.start()
    yes, no = counter.says("authorised", payment_id), counter.says("declined", payment_id)
    for sent in (yes, yes, no, yes, no):
        counter.hear(sent)
    assert state(counter, payment_id) is State.AUTHORISED
    assert len(counter.books.told("PaymentAuthorised")) == 1
    assert counter.books.told("PaymentDeclined") == []
    assert counter.books.writes == 2


def test_money_wins_over_a_refusal_before_it(counter: Counter) -> None:
    payment_id = counter.start()
    counter.hear(counter.says("declined", payment_id))
    counter.hear(counter.says("declined", payment_id))
    assert [one["buyer"] for one in counter.books.told("PaymentDeclined")] == ["buyer-1"]
    counter.hear(counter.says("authorised", payment_id))
    assert counter.order.paid_by == payment_id
    assert len(counter.books.told("PaymentAuthorised")) == 1


def test_money_after_a_refusal_and_after_the_order_s_end_goes_back(counter: Counter) -> None:
    payment_id = counter.start()
    counter.hear(counter.says("declined", payment_id))
    service.return_money(counter.desk, ORDER, "expired")
    counter.hear(counter.says("authorised", payment_id))
    assert (counter.order.demand, state(counter, payment_id)) == (Demand.WITHDRAWN, State.VOIDED)
    assert counter.ledger.kept(payment_id) == 0
    assert [one["reason"] for one in counter.books.told("PaymentReturned")] == ["expired"]


def test_paid_twice_the_second_goes_back(counter: Counter) -> None:
    first, second = counter.start(), counter.start()
    counter.hear(counter.says("authorised", first))
    counter.hear(counter.says("authorised", second))
    assert (state(counter, first), state(counter, second)) == (State.AUTHORISED, State.VOIDED)
    assert [(one["payment_id"], one["reason"]) for one in counter.books.told("PaymentReturned")] == [
        (second, "paid-twice")
    ]
    assert (counter.ledger.kept(first), counter.ledger.kept(second)) == (13912, 0)


def test_two_authorised_at_the_same_moment(counter: Counter) -> None:
    first, second = counter.start(), counter.start()
    counter.books.before_save = lambda: counter.hear(counter.says("authorised", second))
    counter.hear(counter.says("authorised", first))
    assert counter.order.paid_by == second
    assert counter.ledger.kept(first) == 0
    assert len(counter.books.told("PaymentAuthorised")) == 1


@pytest.mark.parametrize(("amount", "currency"), [(13911, "GBP"), (13913, "GBP"), (13912, "USD")])
def test_other_money_than_was_asked_for_goes_back(
    counter: Counter, amount: int, currency: str, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = counter.start()
    counter.hear(counter.says("authorised", payment_id, amount, currency))
    assert counter.order.demand is Demand.OPEN
    told = counter.books.told("PaymentReturned")
    assert [(one["amount"], one["currency"], one["reason"]) for one in told] == [(amount, currency, "amount-mismatch")]
    assert counter.ledger.kept(payment_id) == 0
    assert "PaymentMismatched" in capsys.readouterr().out
    assert counter.paid() == counter.order.paid_by


@pytest.mark.parametrize("trouble", ["before", "after"])
def test_a_return_that_the_provider_did_not_answer_is_finished_by_the_redelivery(
    counter: Counter, trouble: Literal["before", "after"]
) -> None:
    payment_id = counter.start()
    sent = counter.says("authorised", payment_id)
    counter.ledger.trouble = trouble
    with pytest.raises(model.ProviderUnavailable):
        service.return_money(counter.desk, ORDER, "expired")
    counter.hear(sent)
    assert state(counter, payment_id) is State.VOIDED
    assert counter.ledger.effects == [("void", payment_id)]
    assert len(counter.books.told("PaymentReturned")) == 1


def test_the_sweep_finishes_what_nobody_else_does(counter: Counter) -> None:
    payment_id = counter.paid()
    counter.ledger.trouble = "after"
    with pytest.raises(model.ProviderUnavailable):
        service.return_money(counter.desk, ORDER, "cancelled")
    assert service.sweep(counter.desk) == 1
    assert service.sweep(counter.desk) == 0
    assert state(counter, payment_id) is State.VOIDED
    assert [one["reason"] for one in counter.books.told("PaymentReturned")] == ["cancelled"]


def test_a_sweep_that_fails_says_so_and_tends_to_the_others(counter: Counter) -> None:
    counter.paid()
    other = replace(CLAIMS, order_id="06PM4NXBDTHG")
    second = service.start_payment(counter.desk, other, "sandbox", "key")[0].id
    counter.hear(counter.says("authorised", second))
    for order_id in (ORDER, other.order_id):
        counter.ledger.trouble = "before"
        with pytest.raises(model.ProviderUnavailable):
            service.return_money(counter.desk, order_id, "cancelled")
    counter.ledger.trouble = "before"
    with pytest.raises(ExceptionGroup):
        service.sweep(counter.desk)
    assert list(counter.books.open_orders()) == [ORDER]
    assert service.sweep(counter.desk) == 1


def test_an_order_that_nobody_paid_is_closed_all_the_same(counter: Counter) -> None:
    service.return_money(counter.desk, ORDER, "expired")
    with pytest.raises(model.PaymentClosed):
        counter.start()
    service.return_money(counter.desk, ORDER, "expired")
    assert counter.books.writes == 1
    assert counter.books.events == []


def test_a_payment_without_a_verdict_is_called_off_and_nothing_is_told(counter: Counter) -> None:
    payment_id = counter.start()
    service.return_money(counter.desk, ORDER, "expired")
    assert not counter.ledger.authorise(payment_id, 13912)
    assert state(counter, payment_id) is State.VOIDED
    assert counter.books.told("PaymentReturned") == []


def test_an_authorisation_whose_callback_was_lost_is_found_and_returned(counter: Counter) -> None:
    payment_id = counter.start()
    late = counter.says("authorised", payment_id)
    service.return_money(counter.desk, ORDER, "expired")
    assert [one["amount"] for one in counter.books.told("PaymentReturned")] == [13912]
    counter.hear(late)
    assert len(counter.books.told("PaymentReturned")) == 1
    assert counter.ledger.effects == [("void", payment_id)]


def test_a_payment_that_reaches_the_provider_after_its_order_expired_goes_back(counter: Counter) -> None:
    counter.ledger.trouble = "before"
    with pytest.raises(model.ProviderUnavailable):
        counter.start("key")
    service.return_money(counter.desk, ORDER, "expired")
    payment = counter.order.payments[model.payment_id(ORDER, "key")]
    assert payment.state is State.VOIDED
    counter.ledger.open(payment)
    counter.hear(counter.says("authorised", payment.id))
    assert state(counter, payment.id) is State.VOIDED
    assert counter.ledger.kept(payment.id) == 0
    assert [one["reason"] for one in counter.books.told("PaymentReturned")] == ["expired"]


def test_expiry_and_callback_at_the_same_moment(counter: Counter) -> None:
    payment_id = counter.start()
    counter.books.before_save = lambda: service.return_money(counter.desk, ORDER, "expired")
    counter.hear(counter.says("authorised", payment_id))
    assert counter.ledger.kept(payment_id) == 0
    assert counter.books.told("PaymentAuthorised") == []
    assert len(counter.books.told("PaymentReturned")) == 1


def test_captured_money_is_refunded_and_the_rest_let_go(counter: Counter) -> None:
    payment_id = counter.paid()
    service.capture_shipment(counter.desk, shipment(1, 2, 5000))
    service.return_money(counter.desk, ORDER, "cancelled")
    payment = counter.order.payments[payment_id]
    assert (payment.state, payment.captured, payment.refunded) == (State.REFUNDED, 5000, 5000)
    assert [one["amount"] for one in counter.books.told("PaymentReturned")] == [13912]
    assert counter.ledger.kept(payment_id) == 0


def test_a_capture_that_was_not_answered_is_made_by_the_redelivery(counter: Counter) -> None:
    payment_id = counter.paid()
    counter.ledger.trouble = "before"
    with pytest.raises(model.ProviderUnavailable):
        service.capture_shipment(counter.desk, shipment())
    service.capture_shipment(counter.desk, shipment())
    service.capture_shipment(counter.desk, shipment())
    assert counter.ledger.effects == [("capture", payment_id, f"{ORDER}-1")]


def test_settlement_makes_captures_that_were_lost(counter: Counter) -> None:
    payment_id = counter.paid()
    counter.ledger.trouble = "before"
    with pytest.raises(model.ProviderUnavailable):
        service.capture_shipment(counter.desk, shipment(1, 3))
    service.capture_shipment(counter.desk, shipment(2, 3))
    assert service.settle(counter.desk, ORDER, 0) == (13912, "GBP")
    assert counter.ledger.taken(payment_id) == 13912
    assert service.settle(counter.desk, ORDER, 0) == (13912, "GBP")
    assert len(counter.ledger.effects) == 3


def test_two_shipments_at_the_same_moment_share_what_there_is(counter: Counter) -> None:
    payment_id = counter.paid()
    counter.books.before_save = lambda: service.capture_shipment(counter.desk, shipment(2, 2, 900))
    service.capture_shipment(counter.desk, shipment(1, 2, 13000))
    assert counter.ledger.taken(payment_id) == 13912
    assert counter.ledger.captures[payment_id, f"{ORDER}-1"] == 13012


def test_a_shipment_of_an_order_without_money(counter: Counter) -> None:
    service.capture_shipment(counter.desk, shipment())
    counter.start()
    with pytest.raises(model.NothingAuthorised):
        service.capture_shipment(counter.desk, shipment())


def test_a_shipment_seen_again_after_the_money_went_back(counter: Counter) -> None:
    counter.paid()
    service.capture_shipment(counter.desk, shipment())
    service.return_money(counter.desk, ORDER, "cancelled")
    service.capture_shipment(counter.desk, shipment())
    assert [effect[0] for effect in counter.ledger.effects] == ["capture", "void", "refund"]


def test_settlement_without_money(counter: Counter) -> None:
    assert service.settle(counter.desk, ORDER, 0) == (0, None)
    with pytest.raises(model.SettlementImpossible):
        service.settle(counter.desk, ORDER, 13912)
    counter.start()
    with pytest.raises(model.SettlementImpossible):
        service.settle(counter.desk, ORDER, 0)
    service.return_money(counter.desk, ORDER, "expired")
    with pytest.raises(model.SettlementImpossible):
        service.settle(counter.desk, ORDER, 0)


def test_whose_payments_are_read(counter: Counter) -> None:
    with pytest.raises(NotFound):
        service.read_payments(counter.desk, ORDER, "buyer-1")
    assert service.read_own_payments(counter.desk, CLAIMS).order.amount == 13912
    payment_id = counter.start()
    assert payment_id in service.read_payments(counter.desk, ORDER, "buyer-1").order.payments
    assert payment_id in service.read_payments(counter.desk, ORDER, None).order.payments
    with pytest.raises(NotFound):
        service.read_payments(counter.desk, ORDER, "buyer-2")


def test_a_payment_that_the_books_have_lost_is_remembered_once_and_told_to_nobody(counter: Counter) -> None:
    payment_id = counter.start("key")
    counter.hear(counter.says("authorised", payment_id))
    [told] = counter.books.told("PaymentAuthorised")
    event = PaymentAuthorised.model_validate(told)
    known = counter.order.payments[payment_id]
    counter.books.kept.clear()
    counter.books.events.clear()
    service.remember(counter.desk, CLAIMS, event)
    assert (counter.order.demand, counter.order.paid_by) == (Demand.SATISFIED, payment_id)
    again = counter.order.payments[payment_id]
    assert replace(again, ref=known.ref, at=known.at) == known
    writes = counter.books.writes
    service.remember(counter.desk, CLAIMS, event)
    assert (counter.books.writes, counter.books.events) == (writes, [])


def test_a_remembered_payment_of_an_order_that_was_closed_goes_back(counter: Counter) -> None:
    payment_id = counter.start("key")
    counter.hear(counter.says("authorised", payment_id))
    event = PaymentAuthorised.model_validate(counter.books.told("PaymentAuthorised")[0])
    counter.books.kept.clear()
    service.return_money(counter.desk, ORDER, "cancelled")
    service.remember(counter.desk, CLAIMS, event)
    assert state(counter, payment_id) is State.TO_RETURN
