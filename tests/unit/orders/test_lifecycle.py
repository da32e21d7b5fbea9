"""Leading an order: whoever comes second answers, whatever comes twice, late or reordered changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commerce.clock import FixedClock, rfc3339
from commerce.errors import Forbidden
from commerce.events import (
    CancellationRefused,
    Fulfilment,
    FulfilmentRequested,
    Line,
    Milestone,
    OrderAccepted,
    OrderAwaitingStock,
    OrderCancellationRequested,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
    StockAvailable,
)
from commerce.tokens import OrderClaims
from orders import model
from orders.contract import PlaceOrder
from orders.model import TERMINAL, TRANSITIONS, Order, Stage, Status, Wait, Windows
from orders.service import lifecycle
from orders.service.placing import Desk, place
from orders.service.ports import Overtaken
from tests.unit.orders.fakes import NOW, PACE, FakeOffers, FakeOrders, FakeRuns, FakeVault, body, clock, offer

WINDOWS = Windows(timedelta(days=10), timedelta(days=7), timedelta(minutes=15))
AT = rfc3339(NOW)


class World:
    """One order of two shipments and everything around it."""

    def __init__(self) -> None:
        self.orders, self.runs, self.clock = FakeOrders(), FakeRuns(), clock()
        desk = Desk(self.orders, FakeOffers(offer()), FakeVault(), self.clock, timedelta(days=1), PACE)
        self.id = place(PlaceOrder(**body()), "cus-1", "key-1", desk).order_id
        self.fulfilments = [
            Fulfilment(
                fulfilment_id=f"{self.id}-{n}",
                warehouse_id=warehouse,
                merchant_id="mer_hearts",
                lines=[Line(line=1, sku="85123A", quantity=3)],
            )
            for n, warehouse in ((1, "GB-DAV"), (2, "DE-DUI"))
        ]

    @property
    def order(self) -> Order:
        return self.orders.headers[self.id]

    def screen(self, started_at: str = "2026-11-23T12:00:00Z") -> dict[str, Any]:
        return lifecycle.screen(self.id, started_at, self.orders, lambda _: True, self.clock)

    def await_stock(self, token: str = "stock") -> None:
        lifecycle.await_stock(self.id, token, NOW + timedelta(days=3), self.orders, self.runs, self.clock)

    def await_payment(self, token: str = "payment") -> None:
        lifecycle.await_payment(self.id, token, self.fulfilments, self.orders, self.runs, self.clock)

    def await_dispatch(self, token: str = "dispatch") -> None:
        lifecycle.await_dispatch(self.id, token, self.fulfilments, self.orders, self.runs, self.clock)

    def paid(self, amount: int = 1530) -> None:
        event = PaymentAuthorised(
            at=AT, order_id=self.id, payment_id="pay_1", provider="sandbox", amount=amount, currency="GBP"
        )
        lifecycle.payment_authorised(event, self.orders, self.runs)

    def _shipment(self, n: int) -> dict[str, Any]:
        at = {"at": rfc3339(self.clock.now()), "order_id": self.id, "buyer": "cus-1"}
        return at | {"fulfilment_id": f"{self.id}-{n}", "carrier": "generic", "waybill": f"GX{n}"}

    def dispatched(self, n: int) -> None:
        more = {"warehouse_id": "GB-DAV", "released_at": AT, "packed_at": AT, "of": 2}
        event = ShipmentDispatched(**self._shipment(n), **more)
        lifecycle.shipment_dispatched(event, self.orders, self.runs, WINDOWS, self.clock)

    def on_the_van(self, n: int) -> None:
        event = ShipmentOutForDelivery(**self._shipment(n), milestones=[Milestone(status="in_transit", at=AT)])
        lifecycle.out_for_delivery(event, self.orders, WINDOWS, self.clock)

    def delivered(self, n: int) -> None:
        scans = [Milestone(status="in_transit", at=AT), Milestone(status="delivered", at=AT)]
        event = ShipmentDelivered(**self._shipment(n), milestones=scans)
        lifecycle.shipment_delivered(event, self.orders, self.runs, WINDOWS, self.clock)

    def way_added(self, n: int) -> None:
        scans = [Milestone(status="picked_up", at=AT), Milestone(status="delivered", at=AT)]
        lifecycle.milestones_added(ShipmentMilestonesAdded(**self._shipment(n), milestones=scans), self.orders)

    def cancel(self) -> None:
        lifecycle.cancel(self.id, "cus-1", "buyer", self.orders, self.clock)
        self.cancellation_told()

    def cancellation_told(self) -> None:
        event = OrderCancellationRequested(at=AT, order_id=self.id, buyer="cus-1")
        lifecycle.cancellation_requested(event, self.orders, self.runs)

    def until_paid(self) -> None:
        self.screen()
        self.await_payment()
        self.paid()


@pytest.fixture
def world() -> World:
    return World()


def test_the_happy_path_tells_every_fact_and_answers_every_wait(world: World) -> None:
    request = world.screen()
    assert request["lines"] == [{"line": 1, "sku": "85123A", "quantity": 6, "merchant_id": "mer_hearts"}]
    assert request["country"] == "GB"
    world.await_payment()
    assert world.runs.succeeded == []
    world.paid()
    assert world.runs.succeeded == ["payment"]
    world.await_dispatch()
    assert len(world.orders.told(FulfilmentRequested)) == len(world.orders.told(OrderPaid)) == 1
    world.dispatched(1)
    assert world.order.status is Status.PAID
    world.dispatched(2)
    assert world.order.status is Status.DISPATCHED
    assert world.runs.succeeded == ["payment", "dispatch"]
    world.on_the_van(1)
    world.delivered(1)
    assert world.orders.told(OrderDelivered) == []
    world.delivered(2)
    assert world.order.status is Status.DELIVERED
    assert len(world.orders.told(OrderDelivered)) == 1
    lifecycle.accept(world.id, "cus-1", "buyer", world.orders, WINDOWS, world.clock)
    lifecycle.complete(world.id, world.orders, world.clock)
    assert world.order.status is Status.COMPLETED
    assert world.order.due is None
    facts = [entry.fact for entry in world.order.timeline]
    assert len(facts) >= 12
    assert len({(entry.fact, entry.about) for entry in world.order.timeline}) == len(facts)


def test_each_of_several_fulfilments_says_what_its_lines_cost(world: World) -> None:
    world.until_paid()
    world.await_dispatch()
    [told] = world.orders.told(FulfilmentRequested)
    assert isinstance(told, FulfilmentRequested)
    assert [one.value for one in told.fulfilments] == [765, 765]
    world.fulfilments = world.fulfilments[:1]
    world.await_dispatch("alone")
    told = world.orders.told(FulfilmentRequested)[-1]
    assert isinstance(told, FulfilmentRequested)
    assert [one.value for one in told.fulfilments] == [1530]


def test_the_first_state_refuses_an_order_that_was_already_started(world: World) -> None:
    world.screen()
    world.screen()  # the same execution's retry
    with pytest.raises(model.OrderAlreadyStarted):
        world.screen("2027-03-01T00:00:00Z")
    assert [entry.fact for entry in world.order.timeline].count("screened") == 1


def test_a_payment_before_the_order_waits_lets_it_go_on_at_once(world: World) -> None:
    world.screen()
    world.paid()
    assert world.order.status is Status.RECEIVED
    world.await_payment()
    assert world.order.status is Status.PAID
    assert world.runs.succeeded == ["payment"]


def test_an_order_of_nothing_to_pay_needs_no_payment() -> None:
    world = World()
    free = replace(world.order, total=0)
    world.orders.headers[world.id] = free
    world.screen()
    world.await_payment()
    assert world.order.status is Status.PAID
    assert world.runs.succeeded == ["payment"]


def test_a_payment_of_another_amount_is_loud(world: World) -> None:
    world.screen()
    world.await_payment()
    with pytest.raises(lifecycle.PaymentMismatch):
        world.paid(1)
    assert world.order.status is Status.AWAITING_PAYMENT


def test_stock_that_came_before_the_wait_wakes_it(world: World) -> None:
    world.screen()
    lifecycle.stock_available(StockAvailable(at=AT, order_id=world.id), world.orders, world.runs)
    world.await_stock("one")
    assert world.runs.succeeded == ["one"]
    world.await_stock("two")  # it was short again: the wake-up is used up
    assert world.runs.succeeded == ["one"]
    lifecycle.stock_available(StockAvailable(at=AT, order_id=world.id), world.orders, world.runs)
    assert world.runs.succeeded == ["one", "two"]
    assert len(world.orders.told(OrderAwaitingStock)) == 1
    world.await_payment()
    assert world.order.status is Status.AWAITING_PAYMENT


def test_a_wake_up_survives_a_crash_of_the_wait_and_one_that_comes_meanwhile(world: World) -> None:
    def wake() -> None:
        lifecycle.stock_available(StockAvailable(at=AT, order_id=world.id), world.orders, world.runs)

    class Crash(Exception):
        pass

    def crash(_token: str) -> None:
        raise Crash

    world.screen()
    wake()
    answer, world.runs.succeed = world.runs.succeed, crash  # type: ignore[method-assign] # the function dies here
    with pytest.raises(Crash):
        world.await_stock("one")
    world.runs.succeed = answer  # type: ignore[method-assign]
    world.await_stock("two")
    assert world.runs.succeeded == ["two"]
    wake()
    world.orders.interfere = [wake]  # another receipt, between the answer and the use
    world.await_stock("three")
    world.await_stock("four")
    assert world.runs.succeeded[-2:] == ["three", "four"]
    world.await_stock("five")
    assert world.runs.succeeded[-1] == "four"


@pytest.mark.parametrize("wait", [Wait.STOCK, Wait.PAYMENT, Wait.DISPATCH])
def test_a_cancellation_breaks_off_the_wait_and_is_told_once_all_is_back(world: World, wait: Wait) -> None:
    world.screen()
    if wait is Wait.STOCK:
        world.await_stock()
    if wait in (Wait.PAYMENT, Wait.DISPATCH):
        world.await_payment()
    if wait is Wait.DISPATCH:
        world.paid()
        world.await_dispatch()
    world.cancel()
    assert (wait.value, "OrderCancelled") in world.runs.failed
    assert world.orders.told(OrderCancelled) == []
    lifecycle.close(world.id, world.orders, world.clock)
    lifecycle.close(world.id, world.orders, world.clock)
    assert world.order.status is Status.CANCELLED
    assert len(world.orders.told(OrderCancelled)) == 1


@pytest.mark.parametrize("register", ["screen", "await_stock", "await_payment", "await_dispatch"])
def test_a_cancellation_before_a_wait_is_registered_is_seen_by_it(world: World, register: str) -> None:
    if register != "screen":
        world.screen()
    if register == "await_dispatch":
        world.await_payment()
        world.paid()
    world.cancel()
    with pytest.raises(model.OrderCancelled):
        getattr(world, register)()


def test_a_parcel_that_had_left_wins_over_the_cancellation(world: World) -> None:
    world.until_paid()
    world.await_dispatch()
    world.cancel()
    world.dispatched(1)
    world.dispatched(2)
    assert world.order.status is Status.CANCELLING
    lifecycle.resume(world.id, world.orders, WINDOWS, world.clock)
    assert world.order.status is Status.DISPATCHED
    assert len(world.orders.told(CancellationRefused)) == 1
    world.await_dispatch("again")
    assert "again" in world.runs.succeeded


def test_a_window_that_closes_after_the_payment_loses(world: World) -> None:
    world.until_paid()
    with pytest.raises(model.PaymentArrived):
        lifecycle.begin_close(world.id, Wait.PAYMENT, world.orders, world.clock)
    assert world.order.status is Status.PAID


def test_a_payment_after_the_window_closed_changes_nothing(world: World) -> None:
    world.screen()
    world.await_payment()
    lifecycle.begin_close(world.id, Wait.PAYMENT, world.orders, world.clock)
    world.paid()
    assert world.order.status is Status.EXPIRING
    lifecycle.close(world.id, world.orders, world.clock)
    [told] = world.orders.told(OrderExpired)
    assert isinstance(told, OrderExpired)
    assert told.waited_for == "payment"
    world.paid()
    assert world.order.status is Status.EXPIRED


def test_delivered_before_dispatched_is_told_ends_the_same(world: World) -> None:
    world.until_paid()
    world.await_dispatch()
    for n in (2, 1):
        world.delivered(n)
    assert world.order.status is Status.DELIVERED
    before = world.order
    for n in (1, 2):
        world.dispatched(n)
        world.on_the_van(n)
    assert world.order.status is Status.DELIVERED
    assert {one.status for one in world.order.shipments.values()} == {"delivered"}
    assert len(world.order.timeline) > len(before.timeline)
    assert len(world.orders.told(OrderDelivered)) == 1


def test_only_the_owner_may_cancel_and_accept(world: World) -> None:
    guest = OrderClaims(world.id, "guest_1", 1530, "GBP", "en")
    for stranger in ("cus-2", guest):
        with pytest.raises(model.NoSuchOrder):
            lifecycle.cancel(world.id, stranger, "buyer", world.orders, world.clock)
        with pytest.raises(model.NoSuchOrder):
            lifecycle.accept(world.id, stranger, "buyer", world.orders, WINDOWS, world.clock)
    with pytest.raises(model.NotPossibleNow):
        lifecycle.accept(world.id, "cus-1", "buyer", world.orders, WINDOWS, world.clock)


def test_a_dispatched_order_cannot_be_cancelled(world: World) -> None:
    world.until_paid()
    world.dispatched(1)
    world.dispatched(2)
    with pytest.raises(model.NotPossibleNow):
        world.cancel()


def test_the_clock_accepts_marks_silence_and_starts_what_was_lost(world: World) -> None:
    world.clock.move(timedelta(days=2))
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["started"] == 1
    assert world.runs.started == [world.id]
    world.until_paid()
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["stuck"] == 1
    world.dispatched(1)
    world.dispatched(2)
    world.clock.move(timedelta(days=11))
    for _ in range(2):
        assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["silent"] == 1
        world.clock.move(timedelta(days=11))
    assert [entry.fact for entry in world.order.timeline if "silent" in entry.fact] == ["silent:1", "silent:2"]
    world.delivered(1)
    world.delivered(2)
    delivered = world.order
    assert model.go_silent(delivered, WINDOWS, world.clock.now()) == delivered  # an index that lags behind
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["accepted"] == 0
    world.clock.move(timedelta(days=8))
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["accepted"] == 1
    [told] = world.orders.told(OrderAccepted)
    assert isinstance(told, OrderAccepted)
    assert told.by == "window"
    lifecycle.complete(world.id, world.orders, world.clock)
    assert set(lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts.values()) == {0}


def test_the_longest_wait_of_each_stage_is_told(world: World) -> None:
    set_to = {
        Stage.DISPATCH: timedelta(days=1),
        Stage.DELIVERY: WINDOWS.silence,
    }

    def waits() -> dict[Stage, timedelta]:
        swept = lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock)
        told = lifecycle.longest_waits(swept, set_to, world.clock)
        assert set(told) == set(set_to)
        return {stage: timedelta(seconds=seconds) for stage, seconds in told.items() if seconds}

    hour = timedelta(hours=1)
    started = world.order.due
    assert started is not None
    world.clock.move(started - set_to[Stage.DISPATCH] - world.clock.now() + hour)
    assert waits() == {Stage.DISPATCH: hour}
    world.until_paid()
    world.clock.move(hour)
    assert waits() == {Stage.DISPATCH: 2 * hour}, "it waits for its dispatch since it was placed"
    world.dispatched(1)
    world.dispatched(2)
    world.clock.move(hour)
    assert waits() == {Stage.DELIVERY: hour}
    world.clock.move(hour)
    assert waits() == {Stage.DELIVERY: 2 * hour}
    world.delivered(1)
    world.delivered(2)
    world.clock.move(hour)
    assert waits() == {}


def test_a_completion_that_did_not_end_is_started_again_each_time_its_clock_runs_out(world: World) -> None:
    def sweep() -> int:
        return lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["stuck"]

    world.until_paid()
    for number in (1, 2):
        world.dispatched(number)
        world.delivered(number)
    accepted = lifecycle.accept(world.id, "cus-1", "buyer", world.orders, WINDOWS, world.clock)
    assert accepted.due == world.clock.now() + WINDOWS.settlement
    assert sweep() == 0
    for times in (1, 2):
        world.clock.move(WINDOWS.settlement + timedelta(seconds=1))
        assert sweep() == 1
        assert sweep() == 0, "once a window, not once a sweep"
        assert len(set(world.runs.completions)) == times
        assert world.runs.completions[-1] == (world.id, world.order.total, world.clock.now())
    lifecycle.complete(world.id, world.orders, world.clock)
    completed = world.order
    assert model.settle_again(completed, WINDOWS, world.clock.now()) == completed  # an index that lags behind
    world.clock.move(timedelta(days=1))
    assert sweep() == 0


def test_an_order_accepted_by_a_release_before_is_settled_when_its_acceptance_clock_runs_out(world: World) -> None:
    world.until_paid()
    for number in (1, 2):
        world.dispatched(number)
        world.delivered(number)
    until = world.order.due
    assert until is not None
    lifecycle.accept(world.id, "cus-1", "buyer", world.orders, WINDOWS, world.clock)
    world.orders.headers[world.id] = replace(world.order, due=until)
    world.clock.move(WINDOWS.acceptance + timedelta(seconds=1))
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["stuck"] == 1
    assert len(world.runs.completions) == 1
    assert world.order.due == world.clock.now() + WINDOWS.settlement


def test_one_order_that_fails_does_not_stop_the_sweep(world: World) -> None:
    def refuse(_order_id: str) -> None:
        raise RuntimeError

    world.runs.start = refuse  # type: ignore[method-assign] # throttled, say
    world.clock.move(timedelta(days=2))
    assert lifecycle.sweep(world.orders, world.runs, WINDOWS, world.clock).counts["failed"] == 1


def test_a_change_that_is_overtaken_reads_again_and_in_the_end_is_loud(world: World) -> None:
    def meddle() -> None:
        world.orders.headers[world.id] = replace(world.order, version=world.order.version + 1)

    world.orders.interfere = [meddle] * 3
    world.screen()
    assert world.order.started_at
    world.orders.interfere = [meddle] * 100
    with pytest.raises(Overtaken):
        world.cancel()


def test_a_guest_order_is_claimed_with_its_token_and_once() -> None:
    orders, when = FakeOrders(), FixedClock(NOW)
    desk = Desk(orders, FakeOffers(offer()), FakeVault(), when, timedelta(days=1), PACE)
    order = place(PlaceOrder(**body()), "", "key-1", desk)
    claims = OrderClaims(order.order_id, order.buyer, order.total, order.currency, order.locale)
    assert lifecycle.claim(order.order_id, claims, "cus-9", orders, when).customer_id == "cus-9"
    assert lifecycle.claim(order.order_id, claims, "cus-9", orders, when).customer_id == "cus-9"
    with pytest.raises(model.NoSuchOrder):
        lifecycle.claim(order.order_id, claims, "cus-8", orders, when)
    with pytest.raises(model.NoSuchOrder):  # the guest's token ends with the claim
        lifecycle.cancel(order.order_id, claims, "buyer", orders, when)
    assert lifecycle.cancel(order.order_id, "cus-9", "buyer", orders, when).status is Status.CANCELLING


STEPS: list[Callable[[World], None]] = [
    lambda it: it.screen() and None,
    lambda it: it.await_stock(),
    lambda it: it.await_payment(),
    lambda it: it.await_dispatch(),
    lambda it: it.paid(),
    lambda it: lifecycle.stock_available(StockAvailable(at=AT, order_id=it.id), it.orders, it.runs),
    lambda it: it.dispatched(1),
    lambda it: it.dispatched(2),
    lambda it: it.on_the_van(1),
    lambda it: it.delivered(1),
    lambda it: it.delivered(2),
    lambda it: it.cancel(),
    lambda it: lifecycle.begin_close(it.id, Wait.PAYMENT, it.orders, it.clock),
    lambda it: lifecycle.begin_close(it.id, Wait.DISPATCH, it.orders, it.clock),
    lambda it: lifecycle.resume(it.id, it.orders, WINDOWS, it.clock),
    lambda it: lifecycle.close(it.id, it.orders, it.clock),
    lambda it: lifecycle.accept(it.id, "cus-1", "buyer", it.orders, WINDOWS, it.clock) and None,
    lambda it: lifecycle.complete(it.id, it.orders, it.clock),
    lambda it: it.cancellation_told(),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(range(len(STEPS))), max_size=60))
def test_no_sequence_leaves_the_transition_table_or_tells_an_end_twice(steps: list[int]) -> None:
    world = World()
    for step in steps:
        before = world.order
        try:
            STEPS[step](world)
        except (model.OrdersError, Forbidden):
            assert world.order == before or world.order.status is before.status
        after = world.order
        seen = {before.status}
        while after.status not in seen and any(TRANSITIONS[one] - seen for one in seen):
            seen |= {to for one in seen for to in TRANSITIONS[one]}
        assert after.status in seen
        if before.status in TERMINAL:
            assert after.status is before.status
            assert after.due is None
        else:
            assert (after.due is None) == (after.status in TERMINAL)
    for kind in (OrderDelivered, OrderAccepted, OrderCancelled, OrderExpired):
        assert len(world.orders.told(kind)) <= 1
    ends = [kind for kind in (OrderAccepted, OrderCancelled, OrderExpired) if world.orders.told(kind)]
    assert len(ends) <= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_facts_after_payment_in_any_order_and_number_end_the_same(seed: int) -> None:
    world = World()
    world.until_paid()
    world.await_dispatch()
    news = [world.dispatched, world.on_the_van, world.delivered, world.way_added]
    told = [(one, n) for one in news for n in (1, 2)] * 2
    random.Random(seed).shuffle(told)
    for one, n in told:
        one(n)
    assert world.order.status is Status.DELIVERED
    assert len(world.orders.told(OrderDelivered)) == 1
    assert world.runs.succeeded.count("dispatch") >= 1
    assert {entry.fact for entry in world.order.timeline} >= {"scan:picked_up", "scan:in_transit", "delivered"}
    assert len({(entry.fact, entry.about) for entry in world.order.timeline}) == len(world.order.timeline)


# --- after a restore ---------------------------------------------------------------------------


def restarted(world: World, started_at: str = "2026-11-24T12:00:00Z") -> None:
    """Lead an order anew, as its lifecycle does when everything it asks for is there."""
    lifecycle.hand_over(world.id, world.orders)
    world.screen(started_at)
    world.await_payment("payment-2")


def test_an_order_that_was_handed_over_is_led_on_from_where_it_is() -> None:
    world = World()
    world.screen()
    world.await_payment()
    with pytest.raises(model.OrderAlreadyStarted):
        world.screen("2026-11-24T12:00:00Z")
    before = world.order
    restarted(world)
    assert world.order.status is Status.AWAITING_PAYMENT
    assert world.order.started_at == "2026-11-24T12:00:00Z"
    assert world.order.timeline == before.timeline
    assert world.orders.token(world.id, Wait.PAYMENT) == "payment-2"


def test_a_paid_order_that_was_handed_over_goes_straight_to_its_dispatch() -> None:
    world = World()
    world.screen()
    world.await_payment()
    world.paid()
    restarted(world)
    assert "payment-2" in world.runs.succeeded
    assert world.order.status is Status.PAID


def test_an_order_that_left_is_never_led_again() -> None:
    order = replace(World().order, status=Status.DISPATCHED)
    with pytest.raises(model.OrderAlreadyStarted):
        model.start(model.hand_over(order), "2026-11-24T12:00:00Z", NOW)


def test_another_reservation_counts_as_long_as_nothing_has_left() -> None:
    world = World()
    world.screen()
    world.await_payment()
    lost = world.order.shipments
    moved = [replace(one, warehouse_id="CN-YIW") for one in lost.values()]
    held = model.hold(world.order, moved, NOW)
    assert {one.warehouse_id for one in held.shipments.values()} == {"CN-YIW"}
    assert replace(held, shipments=lost) == world.order
    left = {**lost, moved[0].fulfilment_id: replace(moved[0], status="dispatched")}
    assert model.hold(replace(world.order, shipments=left), moved, NOW).shipments == left
