"""No sequence of calls, crash or race oversells, goes below zero, breaks the invariant or does a thing twice.

The books are audited after every step: each stock row against what the reservations say they took. Transactions have
two rows here, so that small orders already need several.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from commerce.dynamo import Contended
from inventory import model, service
from inventory.model import (
    NotHeld,
    Order,
    ReplenishmentClosed,
    Reservation,
    ReservationReleased,
    ShardsNeverFewer,
    State,
    StockShort,
    StockTooLow,
    StockUnknown,
)
from tests.unit.inventory.fakes import NUMBERS, Crash, Steps, World, interleavings, is_stock, order

GB, DE = "GB-DAV", "DE-DUI"
AGE = timedelta(minutes=5)


@pytest.fixture(autouse=True, scope="module")
def small_transactions() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "CHUNK", 2)
        yield


def rest(world: World) -> None:
    """Let time pass, the sweep run, and see that nothing is left half done; what it finishes may leave purchasing to
    be asked by the next.
    """
    world.table.crash_at = None
    for _ in range(2):
        world.clock.move(2 * AGE)
        service.sweep(world.desk, AGE)
    world.audit()
    left = [item["open_pk"] for item in world.table.items.values() if "open_pk" in item]
    assert set(left) <= {"REPLENISHMENT"}


def five(world: World) -> Order:
    world.stock(GB, a=2, b=2, c=2)
    world.stock(DE, c=2, d=2, e=2)
    return order(0, a=2, b=1, c=3, d=2, e=1)


def reserving(world: World) -> Callable[[], object]:
    wanted = five(world)
    return lambda: service.reserve(world.desk, wanted)


def releasing(world: World) -> Callable[[], object]:
    service.reserve(world.desk, five(world))
    world.tick()
    with pytest.raises(StockShort):
        service.reserve(world.desk, order(1, a=1, e=2))
    return lambda: service.release(world.desk, NUMBERS[0])


def shipping(world: World) -> Callable[[], object]:
    service.reserve(world.desk, five(world))

    def call() -> None:
        for number in (1, 2):
            service.ship(world.desk.store, f"{NUMBERS[0]}-{number}")

    return call


def receiving(world: World) -> Callable[[], object]:
    for number in range(2):
        world.tick()
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(number, a=1, b=1))
    return lambda: service.receive(world.desk, "k", "w", GB, {"a": 2, "b": 3}, "")


def reserving_of_shards(world: World) -> Callable[[], object]:
    """One line takes all of three shards."""
    world.stock(GB, a=5, b=1)
    service.shard(world.desk, "s", "w", "a", GB, 3)
    return lambda: service.reserve(world.desk, order(0, a=5, b=1))


def releasing_to_shards(world: World) -> Callable[[], object]:
    reserving_of_shards(world)()
    for number in range(1, 4):
        world.tick()
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(number, a=2))
    return lambda: service.release(world.desk, NUMBERS[0])


def sharding(world: World) -> Callable[[], object]:
    """What is reserved on shard 0 stays there; who waits for more than is there waits on."""
    world.stock(GB, a=7)
    service.reserve(world.desk, order(0, a=2))
    world.tick()
    with pytest.raises(StockShort):
        service.reserve(world.desk, order(1, a=6))
    return lambda: service.shard(world.desk, "s", "w", "a", GB, 4)


def falling_short(world: World) -> Callable[[], object]:
    world.stock(GB, a=1)

    def call() -> object:
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(0, a=2, b=1))
        return None

    return call


def written(scenario: Callable[[World], Callable[[], object]]) -> int:
    world = World()
    call = scenario(world)
    before = world.table.writes
    call()
    return world.table.writes - before


def outcome(world: World) -> dict[str, Any]:
    # What is planned anew after a crash may come from other shards: what counts is what lies on all of them.
    rows = {(key[0].split("#")[1], key[1]) for key in world.table.items if key[0].startswith("STOCK#")}
    stock = {row: world.level(*row) for row in rows}
    states = {key: item["state"] for key, item in world.table.items.items() if key[1] == "RESERVATION"}
    places = sorted(key[0].split("#")[1] for key in world.table.items if key[0].startswith("WAITING#"))
    woken = sorted({(event["order_id"]) for event in world.table.told("StockAvailable")})
    return {"stock": stock, "states": states, "places": places, "woken": woken}


REPEATED = [
    reserving,
    releasing,
    shipping,
    receiving,
    falling_short,
    reserving_of_shards,
    releasing_to_shards,
    sharding,
]


@pytest.mark.parametrize("scenario", REPEATED)
def test_a_retry_after_a_crash_at_any_write_ends_where_an_undisturbed_call_does(
    scenario: Callable[[World], Callable[[], object]],
) -> None:
    undisturbed = World()
    scenario(undisturbed)()
    for number in range(written(scenario)):
        for after in (False, True):
            world = World()
            call = scenario(world)
            world.table.crash_at = (world.table.writes + number, after)
            with pytest.raises(Crash):
                call()
            world.audit()
            world.table.crash_at = None
            call()
            call()
            assert outcome(world) == outcome(undisturbed), (number, after)
            rest(world)
            woken = [event["order_id"] for event in world.table.told("StockAvailable")]
            assert len(woken) == len(set(woken)), "once per order and cause"


@pytest.mark.parametrize("scenario", [reserving, releasing, receiving, releasing_to_shards, sharding])
def test_the_sweep_finishes_what_died_at_any_write(scenario: Callable[[World], Callable[[], object]]) -> None:
    undisturbed = World()
    scenario(undisturbed)()
    for number in range(written(scenario)):
        for after in (False, True):
            world = World()
            call = scenario(world)
            before = outcome(world)
            world.table.crash_at = (world.table.writes + number, after)
            with pytest.raises(Crash):
                call()
            rest(world)
            found = outcome(world)
            # Whole or not at all: what was reserved in part goes back, what was released or received is finished.
            assert found in (outcome(undisturbed), before), (number, after)


CALLS: dict[str, Callable[[World], object]] = {
    "reserve 0": lambda world: service.reserve(world.desk, order(0, a=2, b=1, c=2)),
    "reserve 0 again": lambda world: service.reserve(world.desk, order(0, a=2, b=1, c=2)),
    "reserve 1": lambda world: service.reserve(world.desk, order(1, a=2, b=2, c=2)),
    "reserve 2": lambda world: service.reserve(world.desk, order(2, c=1)),
    "release 0": lambda world: service.release(world.desk, NUMBERS[0]),
    "release 1": lambda world: service.release(world.desk, NUMBERS[1]),
    "ship 0": lambda world: service.ship(world.desk.store, f"{NUMBERS[0]}-1"),
    "sweep": lambda world: service.sweep(world.desk, timedelta(seconds=-1)),
    "receive": lambda world: service.receive(world.desk, "k", "w", GB, {"a": 1, "c": 1}, ""),
    "receive again": lambda world: service.receive(world.desk, "k", "w", GB, {"a": 1, "c": 1}, ""),
    "shard": lambda world: service.shard(world.desk, "s", "w", "a", GB, 3),
    "shard again": lambda world: service.shard(world.desk, "t", "w", "a", GB, 4),
    "adjust": lambda world: service.adjust(world.desk, "a", "w", "a", GB, -1, "broken"),
}
REFUSALS = (StockShort, NotHeld, ReservationReleased, StockTooLow, ShardsNeverFewer, Contended)


@given(
    st.lists(st.sampled_from(sorted(CALLS)), min_size=2, max_size=4, unique=True),
    st.booleans(),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_races_of_any_calls_in_any_order_of_their_steps(names: list[str], held: bool, data: st.DataObject) -> None:
    world = World()
    world.stock(GB, a=2, b=2, c=1)
    world.stock(DE, a=1, c=2)
    if held:
        service.reserve(world.desk, order(0, a=2, b=1, c=2))
    steps = Steps(world.table, [lambda name=name: CALLS[name](world) for name in names])  # type: ignore[misc]  # bound
    for _ in interleavings(steps, lambda alive: data.draw(st.sampled_from(alive))):
        world.audit()
    for result in steps.results:
        assert not isinstance(result, Exception) or isinstance(result, REFUSALS), result
    both = [result for name, result in zip(names, steps.results, strict=True) if name.startswith("reserve 0")]
    if len(both) == 2 and all(isinstance(one, Reservation) for one in both) and "release 0" not in names:
        assert both[0].fulfilments == both[1].fulfilments  # type: ignore[attr-defined]  # reservations, see above
    rest(world)
    nobody_waits_in_vain(world)


def nobody_waits_in_vain(world: World) -> None:
    """The first in each queue was woken, or what it is short of is not there and purchasing was asked for it."""
    woken = {event["order_id"] for event in world.table.told("StockAvailable")}
    for sku in "abc":
        first = next((one for one in world.queued(sku) if world.desk.store.look(one).still_waits), None)
        if first is None or first in woken:
            continue
        wants = world.table.items[f"RESERVATION#{first}", "WAITING"]["wants"]
        free = world.desk.store.free(wants)
        lacks = [one for one, quantity in wants.items() if free[one] < quantity]
        assert lacks
        for one in lacks:
            assert any(known.is_open for known in world.desk.store.replenishments(one))


class Warehouse(RuleBasedStateMachine):
    """Any sequence of calls, each of which may crash before or after any of its writes and come again."""

    movements = Bundle("movements")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.wanted: dict[int, Order] = {}
        self.held: dict[int, Reservation] = {}
        self.received: dict[str, int] = dict.fromkeys("abc", 0)
        self.keys = 0

    def attempt(self, call: Callable[[], object], crash: tuple[int, bool] | None) -> object:
        table = self.world.table
        table.crash_at = None if crash is None else (table.writes + crash[0], crash[1])
        try:
            return call()
        except Crash:
            return None
        except (*REFUSALS, StockUnknown, ReplenishmentClosed) as error:
            return error
        finally:
            table.crash_at = None
            self.world.tick()

    crashes = st.none() | st.tuples(st.integers(0, 8), st.booleans())
    quantities = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1)
    numbers = st.integers(0, len(NUMBERS) - 1)

    @rule(number=numbers, quantities=quantities, country=st.sampled_from(["GB", "CN"]), crash=crashes)
    def reserve(self, number: int, quantities: dict[str, int], country: str, crash: tuple[int, bool] | None) -> None:
        wanted = self.wanted.setdefault(number, order(number, country, **quantities))
        found = self.attempt(lambda: service.reserve(self.world.desk, wanted), crash)
        if isinstance(found, Reservation):
            known = self.held.setdefault(number, found)
            assert known.fulfilments == found.fulfilments, "the same allocation each time"

    @rule(number=numbers, crash=crashes)
    def release(self, number: int, crash: tuple[int, bool] | None) -> None:
        self.attempt(lambda: service.release(self.world.desk, NUMBERS[number]), crash)

    @rule(number=numbers, fulfilment=st.integers(1, 3), crash=crashes)
    def ship(self, number: int, fulfilment: int, crash: tuple[int, bool] | None) -> None:
        self.attempt(lambda: service.ship(self.world.desk.store, f"{NUMBERS[number]}-{fulfilment}"), crash)

    @rule(target=movements, of=quantities, warehouse=st.sampled_from([GB, DE]), crash=crashes)
    def receive(self, of: dict[str, int], warehouse: str, crash: tuple[int, bool] | None) -> tuple[Any, ...]:
        self.keys += 1
        movement = (f"k{self.keys}", warehouse, dict(list(of.items())[:1]))
        self.receive_again(movement, crash)
        return movement

    @rule(movement=movements, crash=crashes)
    def receive_again(self, movement: tuple[Any, ...], crash: tuple[int, bool] | None) -> None:
        key, warehouse, of = movement
        self.attempt(lambda: service.receive(self.world.desk, key, "w", warehouse, of, ""), crash)

    @rule(sku=st.sampled_from("abc"), delta=st.integers(-3, 3).filter(bool), crash=crashes)
    def adjust(self, sku: str, delta: int, crash: tuple[int, bool] | None) -> None:
        self.keys += 1
        key = f"k{self.keys}"
        for again in (crash, None):
            self.attempt(lambda: service.adjust(self.world.desk, key, "w", sku, GB, delta, "x"), again)

    @rule(sku=st.sampled_from("abc"), shards=st.integers(1, 5), warehouse=st.sampled_from([GB, DE]), crash=crashes)
    def shard(self, sku: str, shards: int, warehouse: str, crash: tuple[int, bool] | None) -> None:
        self.keys += 1
        key = f"k{self.keys}"
        for again in (crash, None):
            self.attempt(lambda: service.shard(self.world.desk, key, "w", sku, warehouse, shards), again)

    @rule(sku=st.sampled_from("abc"), quantity=st.integers(1, 5), crash=crashes)
    def replenish(self, sku: str, quantity: int, crash: tuple[int, bool] | None) -> None:
        self.keys += 1
        key = f"k{self.keys}"
        for one in self.world.desk.store.replenishments(sku)[-1:]:
            name = one.replenishment_id
            for again in (crash, None):
                self.attempt(
                    lambda: service.receive_replenishment(self.world.desk, key, "w", name, quantity),  # noqa: B023 (called at once)
                    again,
                )

    @rule()
    def sweep(self) -> None:
        rest(self.world)

    @invariant()
    def books_balance(self) -> None:
        self.world.audit()

    @invariant()
    def all_that_came_was_booked_once(self) -> None:
        booked = dict.fromkeys("abc", 0)
        for key, item in self.world.table.items.items():
            if key[1] == "MOVEMENT":
                for sku, quantity in item["quantities"].items():
                    booked[sku] += quantity
        for sku in "abc":
            rows = [item for key, item in self.world.table.items.items() if is_stock(key, sku)]
            assert sum(item["received"] for item in rows) == booked[sku]

    @invariant()
    def what_is_held_stays_held_until_it_is_shipped_or_released(self) -> None:
        for number in self.held:
            found = self.world.reservation(NUMBERS[number])
            assert found is not None
            assert found.state in (State.HELD, State.RELEASING, State.RELEASED)

    def teardown(self) -> None:
        rest(self.world)


Warehouse.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestWarehouse = Warehouse.TestCase
