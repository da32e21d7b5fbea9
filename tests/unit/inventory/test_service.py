"""Reserving, shipping, releasing and receiving, one call at a time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from commerce.dynamo import Contended
from commerce.events import ReplenishmentRaised, StockAvailable
from inventory import service
from inventory.model import (
    KeyReused,
    NotHeld,
    Order,
    OrderLine,
    ReplenishmentClosed,
    ReplenishmentUnknown,
    ReservationReleased,
    State,
    StockShort,
    StockTaken,
    StockTooLow,
    StockUnknown,
    WarehouseUnknown,
)
from tests.unit.inventory.fakes import NUMBERS, Crash, World, order

GB, DE = "GB-DAV", "DE-DUI"


@pytest.fixture
def world() -> World:
    return World()


def short(world: World, number: int, /, **quantities: int) -> StockShort:
    world.tick()
    with pytest.raises(StockShort) as caught:
        service.reserve(world.desk, order(number, **quantities))
    world.audit()
    return caught.value


def lines(count: int, quantity: int = 1) -> dict[str, int]:
    return {f"sku{at:03d}": quantity for at in range(count)}


class TestReserve:
    def test_holds_everything_once(self, world: World) -> None:
        world.stock(GB, a=10, b=5)
        first = service.reserve(world.desk, order(0, a=4, b=5))
        assert service.reserve(world.desk, order(0, a=4, b=5)) == first
        assert first.state is State.HELD
        assert (world.level("a"), world.level("b")) == ((6, 4, 0, 10), (0, 5, 0, 5))
        world.audit()

    @pytest.mark.parametrize("count", [1, 25, 99])
    def test_costs_two_write_units_a_line_and_two_and_the_same_to_ship(self, world: World, count: int) -> None:
        world.stock(GB, **lines(count))
        world.table.units = world.table.streamed = 0
        service.reserve(world.desk, order(0, **lines(count)))
        assert world.table.units == 2 * count + 2
        world.table.units = 0
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        assert world.table.units == 2 * count + 2
        assert world.table.streamed == 0

    def test_takes_no_more_than_there_is(self, world: World) -> None:
        world.stock(GB, a=3)
        service.reserve(world.desk, order(0, a=3))
        assert short(world, 1, a=1).short == {"a": 1}
        assert world.level("a") == (0, 3, 0, 3)

    def test_is_all_or_nothing(self, world: World) -> None:
        world.stock(GB, a=10)
        short(world, 0, a=1, b=1)
        assert world.level("a") == (10, 0, 0, 10)
        assert world.reservation(NUMBERS[0]) is None

    def test_plans_anew_when_the_stock_it_wanted_is_gone(self, world: World) -> None:
        world.stock(GB, a=5)
        world.stock(DE, a=5)
        rivals = [order(1, a=3)]
        hold = world.table.transact

        def overtaken(*args: object, **options: object) -> None:
            if rivals:
                service.reserve(world.desk, rivals.pop())
            hold(*args, **options)  # type: ignore[arg-type]  # handed through

        world.table.transact = overtaken  # type: ignore[method-assign]  # a rival comes first
        held = service.reserve(world.desk, order(0, a=4))
        assert [one.warehouse_id for one in held.fulfilments] == [DE]
        world.audit()

    def test_waits_for_other_transactions_to_pass(self, world: World) -> None:
        world.stock(GB, a=5)
        world.table.contended = 3
        assert service.reserve(world.desk, order(0, a=4)).state is State.HELD

    def test_leaves_lasting_contention_to_the_task(self, world: World) -> None:
        world.stock(GB, a=5)
        world.table.contended = 100
        with pytest.raises(Contended):
            service.reserve(world.desk, order(0, a=4))
        world.audit()

    def test_repeated_skus_are_one_row(self, world: World) -> None:
        world.stock(GB, a=5)
        twice = Order(NUMBERS[0], "GB", (OrderLine(1, "a", 2, "mer_hearts"), OrderLine(2, "a", 3, "mer_hearts")))
        held = service.reserve(world.desk, twice)
        assert [of.quantity for of in held.fulfilments[0].lines] == [2, 3]
        assert world.level("a") == (0, 5, 0, 5)


class TestLargeOrders:
    def test_are_held_in_chunks(self, world: World) -> None:
        world.stock(GB, **lines(704, 2))
        held = service.reserve(world.desk, order(0, **lines(704)))
        assert (held.state, held.progress, held.open_since) == (State.HELD, (), None)
        assert "open_pk" not in world.table.items[f"RESERVATION#{NUMBERS[0]}", "RESERVATION"]
        world.audit()
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        assert world.level("sku700") == (1, 0, 1, 2)
        world.audit()

    def test_go_back_whole_when_a_chunk_finds_too_little(self, world: World) -> None:
        world.stock(GB, **lines(250))
        calls = []
        move = world.table.transact

        def overtaken(*args: object, **options: object) -> None:
            calls.append(1)
            if len(calls) == 3:
                service.reserve(world.desk, order(1, sku249=1))
            move(*args, **options)  # type: ignore[arg-type]  # handed through

        world.table.transact = overtaken  # type: ignore[method-assign]  # a rival comes third
        assert short(world, 0, **lines(250)).short == {"sku249": 1}
        assert world.reservation(NUMBERS[0]) is None
        assert world.level("sku000") == (1, 0, 0, 1)

    def test_are_released_whole(self, world: World) -> None:
        world.stock(GB, **lines(250))
        service.reserve(world.desk, order(0, **lines(250)))
        service.release(world.desk, NUMBERS[0])
        assert all(world.level(sku) == (1, 0, 0, 1) for sku in lines(250))
        world.audit()

    def test_that_are_pending_are_taken_over_by_the_sweep_in_time(self, world: World) -> None:
        world.stock(GB, **lines(250))
        world.table.crash_at = (world.table.writes + 2, True)
        with pytest.raises(Crash):
            service.reserve(world.desk, order(0, **lines(250)))
        pending = world.reservation(NUMBERS[0])
        assert pending is not None
        assert (pending.state, pending.progress) == (State.PENDING, ("r0", "r1"))
        assert service.sweep(world.desk, timedelta(minutes=5)) == 0
        world.clock.move(timedelta(minutes=6))
        assert service.sweep(world.desk, timedelta(minutes=5)) == 1
        assert world.reservation(NUMBERS[0]) is None
        assert world.level("sku000") == (1, 0, 0, 1)
        world.audit()


class TestShip:
    def test_moves_only_its_fulfilment_and_once(self, world: World) -> None:
        world.stock(GB, a=4)
        world.stock(DE, a=4)
        service.reserve(world.desk, order(0, a=6))
        for _ in range(3):
            service.ship(world.desk.store, f"{NUMBERS[0]}-2")
        assert (world.level("a", GB), world.level("a", DE)) == ((0, 4, 0, 4), (2, 0, 2, 4))
        world.audit()

    @pytest.mark.parametrize("fulfilment", [f"{NUMBERS[0]}-2", f"{NUMBERS[1]}-1"])
    def test_of_what_is_not_held_is_loud(self, world: World, fulfilment: str) -> None:
        world.stock(GB, a=4)
        service.reserve(world.desk, order(0, a=1))
        with pytest.raises(NotHeld):
            service.ship(world.desk.store, fulfilment)

    def test_of_what_went_back_is_loud(self, world: World) -> None:
        world.stock(GB, a=4)
        service.reserve(world.desk, order(0, a=1))
        service.release(world.desk, NUMBERS[0])
        with pytest.raises(ReservationReleased):
            service.ship(world.desk.store, f"{NUMBERS[0]}-1")


class TestRelease:
    def test_gives_back_what_has_not_left_once(self, world: World) -> None:
        world.stock(GB, a=4)
        world.stock(DE, a=4)
        service.reserve(world.desk, order(0, a=6))
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        for _ in range(2):
            service.release(world.desk, NUMBERS[0])
        assert (world.level("a", GB), world.level("a", DE)) == ((0, 0, 4, 4), (4, 0, 0, 4))
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        world.audit()

    def test_of_nothing_keeps_a_late_task_from_reserving(self, world: World) -> None:
        world.stock(GB, a=4)
        service.release(world.desk, NUMBERS[0])
        with pytest.raises(ReservationReleased):
            service.reserve(world.desk, order(0, a=1))
        assert world.level("a") == (4, 0, 0, 4)

    def test_leaves_no_place_in_a_queue_and_lets_the_next_move_up(self, world: World) -> None:
        world.stock(GB, a=4)
        short(world, 0, a=10)
        short(world, 1, a=5)
        service.receive_replenishment(world.desk, "k", "w", "a_GB-DAV_1", 1)
        assert world.table.told("StockAvailable") == []
        service.release(world.desk, NUMBERS[0])
        assert world.queued("a") == [NUMBERS[1]]
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[1]]
        assert service.reserve(world.desk, order(1, a=5)).state is State.HELD
        assert world.queued("a") == []

    def test_wakes_who_waits_for_what_comes_back(self, world: World) -> None:
        world.stock(GB, a=4)
        service.reserve(world.desk, order(0, a=4))
        short(world, 1, a=2)
        service.release(world.desk, NUMBERS[0])
        service.release(world.desk, NUMBERS[0])
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[1]]

    def test_of_what_has_all_left_changes_nothing(self, world: World) -> None:
        world.stock(GB, a=4)
        service.reserve(world.desk, order(0, a=4))
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        before = dict(world.table.items)
        service.release(world.desk, NUMBERS[0])
        assert world.table.items == before


class TestShortage:
    def test_says_what_is_missing_and_when_it_is_expected(self, world: World) -> None:
        world.stock(GB, a=3)
        told = json.loads(str(short(world, 0, a=5, b=1)))
        assert told == {"expected_at": "2026-11-30T06:00:01.000Z"}

    def test_tells_the_buyer_the_date_that_purchasing_was_given(self, world: World) -> None:
        first = json.loads(str(short(world, 0, a=5)))["expected_at"]
        (asked,), _ = service.open_replenishments(world.desk, 10, None)
        assert first == asked.expected_at
        world.tick()
        assert json.loads(str(short(world, 0, a=5)))["expected_at"] == first, "what is on its way comes no later"

    def test_an_overdue_replenishment_is_promised_to_nobody(self, world: World) -> None:
        overdue = json.loads(str(short(world, 0, a=5)))["expected_at"]
        world.clock.move(timedelta(days=30))
        assert json.loads(str(short(world, 0, a=5)))["expected_at"] > overdue

    def test_asks_purchasing_for_all_who_wait_and_only_when_it_grows(self, world: World) -> None:
        world.stock(GB, a=3)
        short(world, 0, a=5)
        short(world, 0, a=5)
        short(world, 1, a=4)
        raised = [ReplenishmentRaised.model_validate(event) for event in world.table.told("ReplenishmentRaised")]
        assert [(one.replenishment_id, one.quantity) for one in raised] == [("a_GB-DAV_1", 2), ("a_GB-DAV_1", 6)]
        page, following = service.open_replenishments(world.desk, 10, None)
        assert [(one.replenishment_id, one.quantity, one.outstanding) for one in page] == [("a_GB-DAV_1", 6, 6)]
        assert following is None

    def test_does_not_ask_twice_for_what_another_warehouse_was_asked_for(self, world: World) -> None:
        short(world, 0, a=5)
        world.tick()
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(1, "CN", a=2))
        page, _ = service.open_replenishments(world.desk, 10, None)
        assert [(one.replenishment_id, one.quantity) for one in page] == [("a_GB-DAV_1", 5), ("a_CN-YIW_1", 2)]

    def test_is_over_when_a_receipt_comes_before_the_order_is_in_the_queue(self, world: World) -> None:
        write = world.table.put_many

        def late(items: object) -> None:
            world.stock(GB, a=5)
            write(items)  # type: ignore[arg-type]  # handed through

        world.table.put_many = late  # type: ignore[method-assign]  # a receipt comes just before
        assert service.reserve(world.desk, order(0, a=5)).state is State.HELD
        assert world.queued("a") == []
        assert world.table.told("ReplenishmentRaised") == []

    def test_wakes_in_fair_order_as_long_as_the_stock_suffices(self, world: World) -> None:
        for number, quantity in enumerate([2, 3, 4, 1]):
            short(world, number, a=quantity)
        service.receive(world.desk, "k", "w", GB, {"a": 6}, "PO-1")
        service.receive(world.desk, "k", "w", GB, {"a": 6}, "PO-1")
        woken = [StockAvailable.model_validate(event).order_id for event in world.table.told("StockAvailable")]
        assert woken == NUMBERS[:2]
        assert world.level("a") == (6, 0, 0, 6)

    def test_an_order_is_woken_when_all_it_lacks_is_there(self, world: World) -> None:
        short(world, 0, a=2, b=2)
        short(world, 1, a=1)
        world.stock(GB, a=2)
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[1]]
        assert service.reserve(world.desk, order(1, a=1)).state is State.HELD
        world.stock(GB, a=1, b=2)
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[1], NUMBERS[0]]
        assert service.reserve(world.desk, order(0, a=2, b=2)).state is State.HELD
        assert world.queued("a") == world.queued("b") == []

    def test_an_order_that_is_short_again_has_its_old_place(self, world: World) -> None:
        short(world, 0, a=2)
        short(world, 1, a=2)
        world.stock(GB, a=2)
        service.reserve(world.desk, order(2, a=1))
        short(world, 0, a=2)
        assert world.queued("a") == NUMBERS[:2]
        asked = world.table.told("ReplenishmentRaised")[-1]
        assert asked["quantity"] == 4, "3 are missing, and 4 were asked for already"
        world.stock(GB, a=1)
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[0], NUMBERS[0]]

    def test_purchasing_is_asked_again_when_a_receipt_does_not_suffice(self, world: World) -> None:
        world.stock(GB, a=4)
        short(world, 0, a=10)
        service.reserve(world.desk, order(1, a=4))
        service.receive_replenishment(world.desk, "k", "w", "a_GB-DAV_1", 6)
        page, _ = service.open_replenishments(world.desk, 10, None)
        assert [(one.replenishment_id, one.quantity) for one in page] == [("a_GB-DAV_2", 4)]

    def test_places_that_mean_nothing_are_dropped(self, world: World) -> None:
        short(world, 0, a=2)
        del world.table.items[f"RESERVATION#{NUMBERS[0]}", "WAITING"]
        world.stock(GB, a=2)
        assert world.queued("a") == []
        assert world.table.told("StockAvailable") == []


class TestReceiptsAndAdjustments:
    def test_a_receipt_is_booked_once_by_its_key(self, world: World) -> None:
        first = service.receive(world.desk, "k", "w", GB, {"a": 2, "b": 3}, "PO-1")
        world.tick()
        again = service.receive(world.desk, "k", "w", GB, {"b": 3, "a": 2}, "PO-1")
        assert (again.movement_id, again.at) == (first.movement_id, first.at)
        assert (world.level("a"), world.level("b")) == ((2, 0, 0, 2), (3, 0, 0, 3))
        with pytest.raises(KeyReused):
            service.receive(world.desk, "k", "w", GB, {"a": 2}, "PO-1")
        service.receive(world.desk, "k", "another", GB, {"a": 2}, "PO-1")
        assert world.level("a") == (4, 0, 0, 4)

    def test_a_receipt_of_opening_stock_looks_at_no_queue(self, world: World) -> None:
        service.receive(world.desk, "k", "w", GB, lines(99), "")
        assert world.level("sku098") == (1, 0, 0, 1)
        assert not world.table.events

    def test_an_adjustment_is_booked_once_and_never_takes_what_is_held(self, world: World) -> None:
        world.stock(GB, a=5)
        service.reserve(world.desk, order(0, a=3))
        for _ in range(2):
            service.adjust(world.desk, "k1", "w", "a", GB, -2, "broken")
        assert world.level("a") == (0, 3, 0, 3)
        with pytest.raises(StockTooLow):
            service.adjust(world.desk, "k2", "w", "a", GB, -1, "broken")
        service.adjust(world.desk, "k3", "w", "a", GB, 4, "found")
        assert world.level("a") == (4, 3, 0, 7)
        with pytest.raises(KeyReused):
            service.adjust(world.desk, "k3", "w", "a", GB, 5, "found")
        world.audit()

    def test_an_adjustment_is_of_stock_that_is_there(self, world: World) -> None:
        world.stock(GB, a=5)
        for warehouse, delta in ((DE, 1), (DE, -1)):
            with pytest.raises(StockUnknown):
                service.adjust(world.desk, f"{delta}", "w", "a", warehouse, delta, "x")
        with pytest.raises(WarehouseUnknown):
            service.adjust(world.desk, "k", "w", "a", "XX", 1, "x")
        with pytest.raises(WarehouseUnknown):
            service.receive(world.desk, "k", "w", "XX", {"a": 1}, "x")

    def test_a_replenishment_is_closed_when_all_has_come(self, world: World) -> None:
        short(world, 0, a=5)
        service.receive_replenishment(world.desk, "k1", "w", "a_GB-DAV_1", 3)
        service.receive_replenishment(world.desk, "k1", "w", "a_GB-DAV_1", 3)
        assert world.level("a") == (3, 0, 0, 3)
        service.receive_replenishment(world.desk, "k2", "w", "a_GB-DAV_1", 4)
        service.receive_replenishment(world.desk, "k2", "w", "a_GB-DAV_1", 4)
        assert world.level("a") == (7, 0, 0, 7)
        assert service.open_replenishments(world.desk, 10, None) == ([], None)
        with pytest.raises(ReplenishmentClosed):
            service.receive_replenishment(world.desk, "k3", "w", "a_GB-DAV_1", 1)
        with pytest.raises(ReplenishmentUnknown):
            service.receive_replenishment(world.desk, "k4", "w", "a_GB-DAV_2", 1)
        assert [event["order_id"] for event in world.table.told("StockAvailable")] == [NUMBERS[0]]


class TestHoldAgain:
    def test_holds_what_was_held_and_leaves_the_queues(self, world: World) -> None:
        world.stock(GB, a=10)
        held = service.reserve(world.desk, order(0, a=4))
        lost = World()
        short(lost, 0, a=4)
        lost.stock(GB, a=10)
        for _ in range(2):
            service.hold_again(lost.desk, held.order_id, held.fulfilments)
            assert lost.level("a") == (6, 4, 0, 10)
            assert lost.desk.store.look(held.order_id).waiting is None
        again = lost.desk.store.reservation(held.order_id)
        assert again is not None
        assert (again.state, again.fulfilments) == (State.HELD, held.fulfilments)
        lost.audit()

    def test_tells_that_there_is_less_than_was_held(self, world: World) -> None:
        world.stock(GB, a=10)
        held = service.reserve(world.desk, order(0, a=4))
        lost = World()
        lost.stock(GB, a=3)
        with pytest.raises(StockTaken):
            service.hold_again(lost.desk, held.order_id, held.fulfilments)
        assert lost.level("a") == (3, 0, 0, 3)
        lost.audit()
