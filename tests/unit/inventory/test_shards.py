"""Stock on several shards: many orders at once spread over them, and nothing lies where nobody looks."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.events import StockAvailable
from commerce.ids import mint_order_number
from inventory import service
from inventory.allocation import allocate, evened, from_shards, off_shards, to_shards
from inventory.model import (
    CHUNK,
    Order,
    OrderLine,
    ReservationReleased,
    Row,
    ShardsNeverFewer,
    StockShort,
    StockTooLow,
    StockUnknown,
    free_of,
    rows_of,
)
from tests.unit.inventory.fakes import NUMBERS, World, order

GB, DE = "GB-DAV", "DE-DUI"
MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return World()


def many(count: int, quantity: int = 1) -> list[Order]:
    """Return orders of a unit each, as they come in."""
    numbers = (mint_order_number(MORNING + timedelta(milliseconds=at), at) for at in range(count))
    return [Order(number, "GB", (OrderLine(1, "a", quantity, "mer_hearts"),)) for number in numbers]


def spread(world: World, pieces: int, shards: int, key: str = "s") -> None:
    world.stock(GB, a=pieces)
    service.shard(world.desk, key, "w", "a", GB, shards)


def woken(world: World) -> list[str]:
    return [StockAvailable.model_validate(event).order_id for event in world.table.told("StockAvailable")]


class TestLayout:
    def test_what_is_on_hand_is_laid_evenly_and_what_is_reserved_stays(self, world: World) -> None:
        world.stock(GB, a=12)
        service.reserve(world.desk, order(0, a=2))
        for _ in range(2):
            movement = service.shard(world.desk, "s", "w", "a", GB, 4)
        assert (movement.kind, movement.note, dict(movement.quantities)) == ("sharding", "4", {"a": 0})
        assert world.shelves("a") == [3, 3, 2, 2]
        assert world.level("a") == (10, 2, 0, 12)
        world.audit()
        service.ship(world.desk.store, f"{NUMBERS[0]}-1")
        assert world.level("a") == (10, 0, 2, 12)
        world.audit()

    def test_shards_become_more_and_never_fewer(self, world: World) -> None:
        spread(world, 8, 4)
        with pytest.raises(ShardsNeverFewer):
            service.shard(world.desk, "t", "w", "a", GB, 3)
        service.shard(world.desk, "u", "w", "a", GB, 8)
        assert world.shelves("a") == [1] * 8
        assert service.shard(world.desk, "s", "w", "a", GB, 4).note == "4", "the same request again"
        assert world.shelves("a") == [1] * 8

    def test_only_stock_that_is_there_has_shards(self, world: World) -> None:
        world.stock(GB, a=1)
        for sku, at in (("b", GB), ("a", DE)):
            with pytest.raises(StockUnknown):
                service.shard(world.desk, f"{sku}{at}", "w", sku, at, 4)

    def test_a_receipt_goes_to_all_shards_as_far_as_it_and_its_transaction_reach(self, world: World) -> None:
        spread(world, 1, 32)
        world.stock(GB, a=64)
        assert sorted(world.shelves("a")) == [2] * 31 + [3]
        service.receive(world.desk, "k", "w", GB, {f"sku{at:02d}": 1 for at in range(98)} | {"a": 10}, "")
        assert sorted(world.shelves("a")) == [2] * 30 + [3, 12] or sorted(world.shelves("a")) == [2] * 31 + [13]
        world.audit()

    def test_a_write_off_takes_what_is_free_of_all_shards(self, world: World) -> None:
        spread(world, 8, 4)
        service.reserve(world.desk, order(0, a=3))
        for _ in range(2):
            service.adjust(world.desk, "k1", "w", "a", GB, -4, "broken")
        assert world.level("a") == (1, 3, 0, 4)
        with pytest.raises(StockTooLow):
            service.adjust(world.desk, "k2", "w", "a", GB, -2, "broken")
        service.adjust(world.desk, "k3", "w", "a", GB, 4, "found")
        assert world.level("a") == (5, 3, 0, 8)
        world.audit()

    def test_levels_are_shown_a_warehouse(self, world: World) -> None:
        spread(world, 9, 4)
        world.stock(DE, a=2)
        shown = {one.warehouse_id: one.on_hand for one in service.stock(world.desk, "a")}
        assert shown == {GB: 9, DE: 2}


class TestTaking:
    def test_orders_spread_over_the_shards(self, world: World) -> None:
        spread(world, 1000, 20)
        first = Counter[int]()
        for one in many(400):
            (row,) = rows_of(service.reserve(world.desk, one).fulfilments)
            first[row.shard] += 1
        assert max(first.values()) / 400 < 0.1
        assert len(first) == 20
        world.audit()

    def test_the_last_piece_is_found_by_everybody_on_whatever_shard_it_is(self, world: World) -> None:
        spread(world, 7, 7)
        held = [service.reserve(world.desk, one) for one in many(7)]
        assert {row.shard for one in held for row in one.rows} == set(range(7))
        for one in many(7):
            with pytest.raises(StockShort):
                service.reserve(world.desk, Order(f"{one.order_id[:-1]}X", "GB", one.lines))
        assert world.level("a") == (0, 7, 0, 7)

    def test_a_line_takes_of_several_where_none_has_enough(self, world: World) -> None:
        spread(world, 10, 5)
        held = service.reserve(world.desk, order(0, a=7))
        assert sum(held.rows.values()) == 7
        assert len(held.rows) == 4
        world.audit()
        service.release(world.desk, NUMBERS[0])
        assert world.shelves("a") == [2] * 5, "each piece is where it was"
        world.audit()

    def test_pieces_go_back_to_their_shard_though_there_are_more_now(self, world: World) -> None:
        spread(world, 4, 2)
        held = service.reserve(world.desk, order(0, a=2))
        service.shard(world.desk, "t", "w", "a", GB, 6)
        service.release(world.desk, NUMBERS[0])
        (row,) = held.rows
        assert world.desk.store.shelves(["a"])[row] >= 2
        assert world.level("a") == (4, 0, 0, 4)
        world.audit()
        with pytest.raises(ReservationReleased):
            service.ship(world.desk.store, f"{NUMBERS[0]}-1")

    def test_one_shard_costs_one_read_and_several_one_more(self, world: World) -> None:
        calls: list[int] = []
        read = world.table.get_many

        def counted(keys: Any, **options: Any) -> Any:
            calls.append(len(keys))
            return read(keys, **options)

        world.table.get_many = counted  # type: ignore[method-assign]  # reads are counted
        world.stock(GB, a=5, b=5)
        calls.clear()
        service.reserve(world.desk, order(0, b=1))
        assert calls == [2 + 3], "the reservation, its place, and the SKU in three warehouses"
        service.shard(world.desk, "s", "w", "a", GB, 5)
        calls.clear()
        service.reserve(world.desk, order(1, a=1))
        assert calls == [2 + 3, 4]

    def test_a_sale_goes_the_way_of_an_ordinary_order(self, world: World) -> None:
        spread(world, 40, 20)
        world.stock(GB, b=40)
        ordinary = called(lambda: service.reserve(world.desk, order(0, b=1)))
        assert called(lambda: service.reserve(world.desk, order(1, a=1))) == ordinary
        assert called(lambda: service.release(world.desk, NUMBERS[1])) == called(
            lambda: service.release(world.desk, NUMBERS[0])
        )


def called(what: Callable[[], object]) -> set[str]:
    """Return the inventory's functions that a call goes through."""
    names: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and Path(frame.f_code.co_filename).parent.name == "inventory":
            names.add(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        what()
    finally:
        sys.setprofile(None)
    return names


class TestQueue:
    def test_is_one_by_time_though_it_has_lanes(self, world: World) -> None:
        world.stock(GB, a=1)
        service.reserve(world.desk, order(5, a=1))
        orders = many(60)
        for at, one in enumerate(orders):
            world.tick()
            if at == 20:
                service.shard(world.desk, "s", "w", "a", GB, 8)
            with pytest.raises(StockShort):
                service.reserve(world.desk, one)
        lanes = {key[0] for key in world.table.items if key[0].startswith("WAITING#") and key[1] != "-"}
        assert len(lanes) == 8
        assert world.queued("a") == [one.order_id for one in orders]
        world.stock(GB, a=30)
        assert woken(world) == [one.order_id for one in orders[:30]]

    def test_an_order_that_is_short_again_stands_in_its_old_lane(self, world: World) -> None:
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(0, a=1))
        spread(world, 1, 8)
        service.reserve(world.desk, order(1, a=1))
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(0, a=1))
        assert world.queued("a") == [NUMBERS[0]]
        service.release(world.desk, NUMBERS[0])
        assert world.queued("a") == []

    def test_a_piece_that_comes_back_wakes_one_and_him_once(self, world: World) -> None:
        spread(world, 3, 3)
        for number in range(3):
            service.reserve(world.desk, order(number, a=1))
        waiting = many(40)
        for one in waiting:
            world.tick()
            with pytest.raises(StockShort):
                service.reserve(world.desk, one)
        for number in range(3):
            service.release(world.desk, NUMBERS[number])
        assert woken(world) == [one.order_id for one in waiting[:3]]

    def test_who_has_looked_in_vain_since_he_was_woken_is_woken_again(self, world: World) -> None:
        world.stock(GB, a=2)
        service.reserve(world.desk, order(0, a=2))
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(1, a=1))
        service.release(world.desk, NUMBERS[0])
        service.reserve(world.desk, order(2, a=2))
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(1, a=1))
        service.release(world.desk, NUMBERS[2])
        assert woken(world) == [NUMBERS[1]] * 2

    def test_a_mark_is_written_once_and_a_crowd_asks_purchasing_a_few_times(self, world: World) -> None:
        world.stock(GB, a=1)
        service.reserve(world.desk, order(0, a=1))
        orders = many(300)
        written = Counter[tuple[str, str]]()
        update = world.table.update

        def counted(key: Any, change: Any) -> Any:
            written[key] += 1
            return update(key, change)

        world.table.update = counted  # type: ignore[method-assign]  # writes are counted
        for one in orders:
            world.clock.move(timedelta(milliseconds=10))
            with pytest.raises(StockShort):
                service.reserve(world.desk, one)
        assert written["WAITING#a", "-"] <= 3
        asked = [event["quantity"] for event in world.table.told("ReplenishmentRaised")]
        assert len(asked) <= 10
        world.tick()
        service.sweep(world.desk, timedelta(minutes=5))
        assert world.table.told("ReplenishmentRaised")[-1]["quantity"] == 300, "the last of them are not forgotten"
        assert "open_pk" not in world.table.items["WAITING#a", "-"]

    def test_who_joins_while_the_sweep_asks_is_asked_for_by_the_next(self, world: World) -> None:
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(0, a=100))
        with pytest.raises(StockShort):
            service.reserve(world.desk, order(1, a=10))
        read = world.table.query

        def joined(key: Any, **options: Any) -> Any:
            page = read(key, **options)
            if page.items and page.items[0]["pk"] == "REPLENISHMENT#a" and late:
                with pytest.raises(StockShort):
                    service.reserve(world.desk, late.pop())
            return page

        late = [order(2, a=1)]
        world.clock.move(timedelta(milliseconds=500))
        world.table.query = joined  # type: ignore[method-assign]  # somebody joins just then
        service.sweep(world.desk, timedelta(minutes=5))
        assert not late
        for _ in range(2):
            world.clock.move(timedelta(minutes=2))
            service.sweep(world.desk, timedelta(minutes=5))
        assert sum(one.outstanding for one in world.desk.store.replenishments("a")) == 111
        assert "open_pk" not in world.table.items["WAITING#a", "-"]


ROWS = st.dictionaries(
    st.builds(Row, st.sampled_from("ab"), st.sampled_from([GB, DE]), st.integers(0, 6)), st.integers(0, 5), min_size=1
)


@given(ROWS, st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6)), min_size=1, max_size=4), st.text())
def test_what_is_allocated_is_taken_from_shards_that_have_it(
    shelves: dict[Row, int], wants: list[tuple[str, int]], order_id: str
) -> None:
    lines = [OrderLine(at, sku, quantity, "m") for at, (sku, quantity) in enumerate(wants, start=1)]
    free = free_of(shelves)
    for sku in "ab":
        if sum(pieces for (of, _), pieces in free.items() if of == sku) < sum(n for of, n in wants if of == sku):
            return
    allocated = allocate(lines, free, (GB, DE))
    taken = from_shards(allocated, shelves, order_id)
    assert taken == from_shards(allocated, dict(reversed(list(shelves.items()))), order_id), "the same each time"
    assert all(0 < pieces <= shelves[row] for row, pieces in rows_of(taken).items())
    assert free_of(rows_of(taken)) == free_of(rows_of(allocated))
    for before, after in zip(allocated, taken, strict=True):
        pieces = Counter[int]()
        for line in after.lines:
            pieces[line.line] += line.quantity
        assert pieces == Counter({line.line: line.quantity for line in before.lines})


@given(st.integers(1, 200), st.integers(1, 32), st.integers(1, CHUNK), st.text())
def test_what_comes_in_is_spread_whole(pieces: int, shards: int, most: int, seed: str) -> None:
    rows = to_shards(pieces, [Row("a", GB, shard) for shard in range(shards)], most, seed)
    assert sum(rows.values()) == pieces
    assert len(rows) <= most
    assert max(rows.values()) - min(rows.values()) <= 1
    assert min(rows.values()) > 0


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9), min_size=1), st.integers(1, 60))
def test_what_is_written_off_is_there(on_hand: dict[int, int], pieces: int) -> None:
    shelves = {Row("a", GB, shard): of for shard, of in on_hand.items()}
    rows = off_shards(pieces, shelves)
    assert (rows is None) == (pieces > sum(on_hand.values()))
    if rows is not None:
        assert sum(rows.values()) == -pieces
        assert all(0 < -taken <= shelves[row] for row, taken in rows.items())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 9))
def test_evening_out_moves_and_makes_nothing(on_hand: list[int], more: int) -> None:
    shelves = {Row("a", GB, shard): of for shard, of in enumerate(on_hand)}
    rows = evened(shelves, len(on_hand) + more)
    after = [shelves.get(row, 0) + moved for row, moved in rows.items()]
    assert sum(after) == sum(on_hand)
    assert max(after) - min(after) <= 1
    assert len(after) == len(on_hand) + more
