"""Erasing: nobody's order is stranded, nobody's data comes back, whoever comes first and however often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from greenlet import greenlet

from commerce.clock import FixedClock, rfc3339
from commerce.events import CustomerErased, OrderCancellationRequested
from commerce.vault import Closed, Forgotten
from orders import model
from orders.contract import PlaceOrder
from orders.model import Erasure, ErasureState, NoSuchOrder, Order, Status, needs_person
from orders.service import erasing, lifecycle, placing, reading
from orders.service.ports import Changed
from tests.unit.orders.fakes import NOW, PACE, FakeOffers, FakeOrders, FakeTombstones, FakeVault, body, clock, offer

pytestmark = pytest.mark.unit

AT = rfc3339(NOW)


class World:
    """A shop, whose orders may leave, and its erasures."""

    def __init__(self) -> None:
        self.orders, self.vault, self.clock = FakeOrders(), FakeVault(), clock()
        self.tombstones = FakeTombstones(self.vault)
        self.desk = erasing.Desk(self.orders, self.tombstones, self.vault, self.clock)
        self.shop = placing.Desk(self.orders, FakeOffers(offer()), self.vault, self.clock, timedelta(days=1), PACE)

    def place(self, buyer: str = "cus-1", key: str = "key-1") -> str:
        return placing.place(PlaceOrder(**body()), buyer, key, self.shop).order_id

    def screen(self, order_id: str) -> None:
        welcome = partial(erasing.still_welcome, erasures=self.orders, tombstones=self.tombstones)
        lifecycle.screen(order_id, AT, self.orders, welcome, self.clock)

    def put(self, order_id: str, status: Status) -> None:
        order = self.orders.headers[order_id]
        self.orders.headers[order_id] = replace(order, status=status, version=order.version + 1)

    def ask(self, subject: str = "cus-1") -> Erasure:
        return erasing.ask(subject, self.orders, self.clock)

    def go_on(self, subject: str = "cus-1") -> Erasure:
        return erasing.go_on(subject, self.desk)

    def readable(self, order_id: str) -> bool:
        revision = self.orders.revision(order_id, 1)
        try:
            self.vault.open(revision.subject, revision.sealed)
        except Forgotten:
            return False
        return True


@pytest.fixture
def world() -> World:
    return World()


def test_somebody_without_orders_is_erased_at_once(world: World) -> None:
    world.vault.put_contact("cus-1", {"email": "ada@example.com"}, replace=True)
    world.ask()
    assert world.go_on().state is ErasureState.ERASED
    assert world.vault.contact("cus-1") is None
    assert [(told.subject, told.who) for told in world.orders.told(CustomerErased)] == [("cus-1", "customer")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", Status)
def test_what_has_not_left_is_waited_for_and_nothing_else(world: World, status: Status) -> None:
    order_id = world.place()
    world.put(order_id, status)
    world.ask()
    waits = status in (
        *(Status.RECEIVED, Status.AWAITING_STOCK, Status.AWAITING_PAYMENT, Status.PAID),
        *(Status.CANCELLING, Status.EXPIRING),
    )
    for _ in range(3):
        assert world.go_on().state is (ErasureState.ASKED if waits else ErasureState.ERASED)
        assert world.readable(order_id) is waits
    world.put(order_id, Status.DISPATCHED)
    assert world.go_on().state is ErasureState.ERASED
    assert not world.readable(order_id)


def test_waiting_reads_the_one_order_that_is_waited_for(world: World) -> None:
    first = world.place()
    world.place(key="key-2")
    world.ask()
    assert world.go_on().waits_for == first
    world.orders.owned_by = lambda _: pytest.fail("listed them all")  # type: ignore[method-assign,assignment]
    assert world.go_on().waits_for == first


def test_asking_again_asks_nothing_new(world: World) -> None:
    asked = world.ask()
    world.clock.move(timedelta(days=1))
    assert world.ask() == asked
    done = world.go_on()
    assert world.ask() == done


def test_a_closed_customer_orders_nothing_more(world: World) -> None:
    order_id = world.place()
    world.ask()
    world.go_on()
    with pytest.raises(Closed):
        world.place(key="key-2")
    assert world.place() == order_id, "the same key is the same order still"


def test_an_order_that_comes_between_listing_and_decision_is_waited_for(world: World) -> None:
    world.ask()
    made: list[str] = []

    def come_in() -> None:
        world.vault.closed.clear()  # as one who looked before the account was closed
        made.append(world.place())
        world.vault.closed.add("cus-1")
        world.screen(made[0])

    world.orders.interfere_with_erasing.append(come_in)
    with pytest.raises(Changed):
        world.go_on()
    assert world.go_on().waits_for == made[0]
    assert world.orders.get(made[0]).started_at
    assert world.readable(made[0])


def test_an_order_that_begins_after_the_decision_is_cancelled(world: World) -> None:
    order_id = world.place()
    world.orders.headers, hidden = {}, world.orders.headers
    world.ask()
    world.go_on()
    world.orders.headers = hidden
    for _ in range(2):
        with pytest.raises(model.OrderCancelled):
            world.screen(order_id)
    assert world.orders.get(order_id).status is Status.CANCELLING
    assert len(world.orders.told(OrderCancellationRequested)) == 1


def test_an_order_that_has_begun_is_not_cancelled_by_an_erasure(world: World) -> None:
    order_id = world.place()
    world.screen(order_id)
    world.ask()
    world.go_on()
    world.screen(order_id)  # the same state's retry
    assert world.orders.get(order_id).status is Status.RECEIVED


class Stepping:
    """A collaborator before whose every call somebody else may come."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            current = greenlet.getcurrent()
            if current.parent is not None:
                current.parent.switch()
            answer = found(*given, **named)
            return list(answer) if isinstance(answer, Iterator) else answer

        return call


def interleave(turns: tuple[int, ...], *parts: Callable[[], None]) -> None:
    """Run ``parts`` call by call, whose turn it is as ``turns`` say; then each to its end."""
    threads = [greenlet(part) for part in parts]
    for turn in turns:
        if not threads[turn].dead:
            threads[turn].switch()
    for thread in threads:
        while not thread.dead:
            thread.switch()


Outcome = tuple[Status | None, ErasureState, bool]
"""Status of the order that was placed, state of the erasure, whether the order is stranded."""


def outcomes(turns: tuple[int, ...], *, guarded: bool = True) -> Outcome:
    """Let somebody order and be erased at once, call by call in these turns."""
    world = World()
    orders, vault = Stepping(world.orders), Stepping(world.vault)
    tombstones: Any = Stepping(world.tombstones)
    shop = replace(world.shop, orders=orders, vault=vault)
    desk = erasing.Desk(orders, tombstones, vault, world.clock)
    placed: list[Order] = []

    def welcome(order: Order) -> bool:
        return not guarded or erasing.still_welcome(order, orders, tombstones)

    def buy() -> None:
        try:
            placed.append(placing.place(PlaceOrder(**body()), "cus-1", "key-1", shop))
            lifecycle.screen(placed[0].order_id, AT, orders, welcome, world.clock)
        except (Closed, model.OrderCancelled):
            return

    def erase() -> None:
        erasing.ask("cus-1", orders, world.clock)
        try:
            erasing.go_on("cus-1", desk)
        except Changed:
            return

    interleave(turns, buy, erase)
    state = world.orders.erasures["cus-1"].state
    if not placed:
        return None, state, False
    order = world.orders.get(placed[0].order_id)
    goes_on = needs_person(order) and order.status is not Status.CANCELLING
    return order.status, state, goes_on and not world.readable(order.order_id)


def test_whatever_comes_between_no_order_is_stranded() -> None:
    assert {outcomes(turns) for turns in itertools.product((0, 1), repeat=11)} == {
        (None, ErasureState.ERASED, False),
        (Status.RECEIVED, ErasureState.ASKED, False),
        (Status.CANCELLING, ErasureState.ERASED, False),
    }


def test_without_the_first_states_look_an_order_is_stranded() -> None:
    assert any(outcomes(turns, guarded=False)[2] for turns in itertools.product((0, 1), repeat=11))


def test_the_guest_that_a_customer_was_goes_with_him(world: World) -> None:
    order_id = world.place(buyer="", key="guests-key")
    order = world.orders.get(order_id)
    world.orders.headers[order_id] = replace(order, customer_id="cus-1", status=Status.COMPLETED)
    world.ask()
    assert erasing.sweep(world.desk) == {"erased": 1, "waiting": 0, "late": 0, "failed": 0}
    assert erasing.sweep(world.desk) == {"erased": 1, "waiting": 0, "late": 0, "failed": 0}
    assert erasing.sweep(world.desk)["erased"] == 0
    assert not world.readable(order_id)
    assert world.vault.cards == {}
    told = {(one.subject, one.who) for one in world.orders.told(CustomerErased)}  # type: ignore[attr-defined]
    assert told == {("cus-1", "customer"), (order.buyer, "guest")}


def test_a_guests_erasure_is_his_orders(world: World) -> None:
    order_id = world.place(buyer="", key="guests-key")
    order = world.orders.get(order_id)
    asked = erasing.ask_for_buyer(order, world.orders, world.clock)
    assert (asked.subject, asked.order_id) == (order.buyer, order_id)
    assert world.go_on(order.buyer).waits_for == order_id
    world.put(order_id, Status.CANCELLED)
    assert world.go_on(order.buyer).state is ErasureState.ERASED
    assert ("guest", "guests-key") not in world.orders.keys
    assert reading.whole(world.orders.get(order_id), world.orders, world.vault)["contact"] == {}


def test_who_is_asked_for_by_a_claimed_order_is_its_customer(world: World) -> None:
    order = replace(world.orders.get(world.place(buyer="")), customer_id="cus-1")
    assert erasing.ask_for_buyer(order, world.orders, world.clock).subject == "cus-1"


def test_the_hashes_of_what_he_ordered_go(world: World) -> None:
    world.put(world.place(), Status.COMPLETED)
    world.put(world.place(buyer="cus-2"), Status.COMPLETED)
    world.ask()
    world.go_on()
    assert [scope for scope, _ in world.orders.keys] == ["cus-2"]


@pytest.mark.parametrize("crash", ["forget_keys", "erase", "move_erasure"])
def test_an_erasure_that_broke_off_is_completed(world: World, crash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = world.place(buyer="", key="guests-key")
    world.put(order_id, Status.COMPLETED)
    order = world.orders.get(order_id)
    erasing.ask_for_buyer(order, world.orders, world.clock)
    where: Any = world.tombstones if crash == "erase" else world.orders
    works = getattr(where, crash)

    def once(*given: Any, **named: Any) -> Any:
        if crash == "move_erasure" and given[1].state is not ErasureState.ERASED:
            return works(*given, **named)
        raise TimeoutError

    monkeypatch.setattr(where, crash, once)
    assert erasing.sweep(world.desk)["failed"] == 1
    monkeypatch.setattr(where, crash, works)
    assert erasing.sweep(world.desk)["erased"] == 1
    assert not world.readable(order_id)
    assert world.orders.keys == {}
    assert len(world.orders.told(CustomerErased)) == 1


def test_one_that_fails_keeps_nobody_else_waiting(world: World) -> None:
    world.orders.ask_erasure(Erasure("lost", AT, order_id="06PM4NXBDTKB"))
    world.ask()
    assert erasing.sweep(world.desk) == {"erased": 1, "waiting": 0, "late": 0, "failed": 1}


def test_an_erasure_that_waits_for_weeks_is_told(world: World) -> None:
    world.place()
    world.ask()
    assert erasing.sweep(world.desk)["waiting"] == 1
    world.clock.move(erasing.LATE + timedelta(seconds=1))
    assert isinstance(world.clock, FixedClock)
    assert erasing.sweep(world.desk)["late"] == 1


def test_what_a_restore_brought_back_is_erased_again(world: World) -> None:
    order_id = world.place()
    world.put(order_id, Status.COMPLETED)
    restored = dict(world.orders.headers), dict(world.vault.cards), set(world.vault.subjects)
    world.ask()
    world.go_on()
    world.orders.headers, world.vault.cards, world.vault.subjects = restored
    world.orders.erasures, world.vault.closed, world.vault.erased = {}, set(), set()
    assert world.readable(order_id)
    for _ in range(2):
        assert erasing.reapply("cus-1", AT, world.desk).state is ErasureState.ERASED
        assert not world.readable(order_id)
        assert world.vault.cards == {}
    assert {told.at for told in world.orders.told(CustomerErased)} == {AT}


def test_nobody_is_erased_who_was_not_asked_for(world: World) -> None:
    with pytest.raises(NoSuchOrder):
        world.go_on("somebody")
