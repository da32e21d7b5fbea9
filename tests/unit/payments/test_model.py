"""Transitions and shares."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import model
from payments.model import TRANSITIONS, OrderPayments, Payment, State

pytestmark = pytest.mark.unit

ORDER = "06PM4NXBDTKB"
PAYMENT = model.payment_id(ORDER, "key")


def paid(amount: int) -> OrderPayments:
    order = model.open_payment(
        OrderPayments(ORDER, amount, "GBP", "buyer-1", "en"), Payment(PAYMENT, "sandbox", amount, "GBP", "now")
    )
    return model.hear(order, "sandbox", model.CallbackFact(PAYMENT, model.Verdict.AUTHORISED, amount, "GBP"))


def test_payment_id_is_of_order_and_key() -> None:
    assert PAYMENT == model.payment_id(ORDER, "key") != model.payment_id(ORDER, "other")
    assert model.order_of(PAYMENT) == ORDER


@pytest.mark.parametrize(
    "text", ["", "pay_", f"pay_{ORDER}", f"{PAYMENT}0", "pay_AEIOUAEIOUAE_0123456789abcdef", f"{PAYMENT}\n"]
)
def test_ids_that_are_not_ours(text: str) -> None:
    assert model.order_of(text) is None


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_only_the_table_s_steps_are_taken(before: State, after: State) -> None:
    payment = Payment(PAYMENT, "sandbox", 5, "GBP", "now", before)
    if after in TRANSITIONS[before]:
        assert payment.to(after).state is after
    else:
        with pytest.raises(ValueError, match="->"):
            payment.to(after)


@pytest.mark.parametrize(("authorised", "captured", "refunded"), [(1, 2, 0), (2, 1, 2), (0, 0, -1)])
def test_amounts_that_cannot_be(authorised: int, captured: int, refunded: int) -> None:
    with pytest.raises(ValueError, match="captured"):
        Payment(PAYMENT, "sandbox", 5, "GBP", "now", State.CAPTURED, authorised, "GBP", captured, {}, refunded)


@given(
    st.integers(1, 10**7),
    st.lists(st.none() | st.integers(0, 10**6), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_shipments_capture_the_whole_in_any_order(amount: int, values: list[int | None], random: object) -> None:
    order = paid(amount)
    shipments = list(enumerate(values, 1))
    random.shuffle(shipments)  # type: ignore[attr-defined] # hypothesis types its Random as an object
    for number, value in shipments:
        order = model.capture_shipment(order, f"{ORDER}-{number}", len(values), value)
        assert model.capture_shipment(order, f"{ORDER}-{number}", len(values), value) is order
    payment = order.paying
    assert payment is not None
    assert payment.captured == amount == sum(payment.captures.values())
    assert model.capture_rest(order) is order


@given(st.integers(1, 10**7), st.integers(1, 12))
def test_shares_without_values_differ_by_one_unit_at_most(amount: int, of: int) -> None:
    order = paid(amount)
    for number in range(1, of + 1):
        order = model.capture_shipment(order, f"{ORDER}-{number}", of, None)
    assert order.paying is not None
    shares = order.paying.captures.values()
    assert max(shares) - min(shares) <= 1


def test_values_are_captured_and_the_last_takes_what_is_over() -> None:
    order = paid(1000)
    for number, value in ((2, 300), (1, 500), (3, 50)):
        order = model.capture_shipment(order, f"{ORDER}-{number}", 3, value)
    assert order.paying is not None
    assert order.paying.captures == {f"{ORDER}-2": 300, f"{ORDER}-1": 500, f"{ORDER}-3": 200}


def test_settlement_takes_what_no_shipment_took() -> None:
    order = model.capture_rest(model.capture_shipment(paid(1000), f"{ORDER}-1", 2, 400))
    assert order.paying is not None
    assert order.paying.captures == {f"{ORDER}-1": 400, model.SETTLEMENT: 600}
    assert order.paying.captured == 1000


def test_a_return_believes_the_provider_s_books() -> None:
    # The capture of the second shipment was recorded and never reached the provider.
    order = model.capture_shipment(paid(1000), f"{ORDER}-1", 2, 400)
    order = model.withdraw(model.capture_shipment(order, f"{ORDER}-2", 2, 600), "cancelled")
    done = model.returned(order, PAYMENT, model.Standing(1000, 400, 400)).payments[PAYMENT]
    assert (done.state, done.captured, done.refunded) == (State.REFUNDED, 400, 400)


@pytest.mark.parametrize("standing", [model.Standing(1000, 400, 0), model.Standing(0, 0, 0)])
def test_a_return_that_is_none_is_refused(standing: model.Standing) -> None:
    order = model.withdraw(paid(1000), "cancelled")
    with pytest.raises(model.ProviderRefused):
        model.returned(order, PAYMENT, standing)


def test_nothing_is_due_for_an_order_that_costs_nothing() -> None:
    with pytest.raises(model.NothingDue):
        model.open_payment(OrderPayments(ORDER, 0, "GBP", "buyer-1"), Payment(PAYMENT, "sandbox", 0, "GBP", "now"))


def test_twenty_payments_are_enough() -> None:
    order = OrderPayments(ORDER, 5, "GBP", "buyer-1")
    for at in range(20):
        order = model.open_payment(order, Payment(model.payment_id(ORDER, str(at)), "sandbox", 5, "GBP", "now"))
    with pytest.raises(model.TooManyPayments):
        model.open_payment(order, Payment(PAYMENT, "sandbox", 5, "GBP", "now"))
    again = Payment(model.payment_id(ORDER, "3"), "sandbox", 5, "GBP", "later")
    assert model.open_payment(order, again) is order


def test_withdrawn_and_paid_orders_take_no_payment() -> None:
    other = Payment(model.payment_id(ORDER, "other"), "sandbox", 1000, "GBP", "now")
    with pytest.raises(model.AlreadyPaid):
        model.open_payment(paid(1000), other)
    with pytest.raises(model.PaymentClosed):
        model.open_payment(model.withdraw(paid(1000), "expired"), other)
    with pytest.raises(model.KeyReused):
        model.open_payment(paid(1000), replace(other, id=PAYMENT, provider="another"))
