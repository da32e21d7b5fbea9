"""Which warehouse sends what."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory import warehouses
from inventory.allocation import allocate, missing
from inventory.model import EFFECTS, Fulfilment, OrderLine, ReplenishmentUnknown, read_replenishment_id
from inventory.store import pack, unpack

GB, DE, CN = "GB-DAV", "DE-DUI", "CN-YIW"
NEAREST = (GB, DE, CN)


def line(number: int, sku: str, quantity: int, merchant: str = "m") -> OrderLine:
    return OrderLine(number, sku, quantity, merchant)


def sent(fulfilments: tuple[Fulfilment, ...]) -> dict[str, list[tuple[str, int]]]:
    return {one.warehouse_id: [(of.sku, of.quantity) for of in one.lines] for one in fulfilments}


def test_the_nearest_warehouse_that_has_everything_is_taken() -> None:
    free = {("a", GB): 1, ("a", DE): 5, ("b", DE): 5, ("a", CN): 9, ("b", CN): 9}
    assert sent(allocate([line(1, "a", 2), line(2, "b", 2)], free, NEAREST)) == {DE: [("a", 2), ("b", 2)]}


def test_two_warehouses_are_better_than_the_three_that_greed_would_take() -> None:
    free = {(sku, GB): 1 for sku in "abcd"} | {(sku, DE): 1 for sku in "abe"} | {(sku, CN): 1 for sku in "cdf"}
    found = sent(allocate([line(at, sku, 1) for at, sku in enumerate("abcdef", 1)], free, NEAREST))
    assert found == {DE: [("a", 1), ("b", 1), ("e", 1)], CN: [("c", 1), ("d", 1), ("f", 1)]}


def test_a_line_is_split_only_when_no_warehouse_has_it_all() -> None:
    free = {("a", GB): 3, ("a", DE): 4, ("b", GB): 2, ("b", CN): 8}
    assert sent(allocate([line(1, "a", 6), line(2, "b", 5)], free, NEAREST)) == {
        GB: [("a", 3)],
        DE: [("a", 3)],
        CN: [("b", 5)],
    }


def test_there_is_one_fulfilment_per_merchant_and_warehouse() -> None:
    free = {("a", GB): 9, ("b", GB): 9, ("c", GB): 9}
    found = allocate([line(1, "a", 1, "m1"), line(2, "b", 1, "m2"), line(3, "c", 1, "m1")], free, NEAREST)
    assert [(one.number, one.merchant_id, [of.line for of in one.lines]) for one in found] == [
        (1, "m1", [1, 3]),
        (2, "m2", [2]),
    ]


def test_what_is_missing_counts_all_warehouses() -> None:
    free = {("a", GB): 3, ("a", DE): 2}
    assert missing([line(1, "a", 5)], free) == {}
    assert missing([line(1, "a", 3), line(2, "a", 4), line(3, "b", 1)], free) == {"a": 2, "b": 1}


SKUS = st.sampled_from("abcd")


@given(
    st.lists(st.tuples(SKUS, st.integers(1, 5), st.sampled_from(["m1", "m2"])), min_size=1, max_size=8),
    st.dictionaries(st.tuples(SKUS, st.sampled_from(NEAREST)), st.integers(0, 12)),
    st.permutations(NEAREST),
)
def test_an_allocation_takes_exactly_what_is_wanted_of_what_is_there(
    wants: list[tuple[str, int, str]], free: dict[tuple[str, str], int], nearest: list[str]
) -> None:
    lines = [line(at, *want) for at, want in enumerate(wants, 1)]
    if missing(lines, free):
        return
    found = allocate(lines, free, nearest)
    per_line: Counter[int] = Counter()
    per_row: Counter[tuple[str, str]] = Counter()
    for one in found:
        for of in one.lines:
            assert of.quantity > 0
            assert (lines[of.line - 1].sku, lines[of.line - 1].merchant_id) == (of.sku, one.merchant_id)
            per_line[of.line] += of.quantity
            per_row[of.sku, one.warehouse_id] += of.quantity
    assert per_line == {one.line: one.quantity for one in lines}
    assert all(quantity <= free[row] for row, quantity in per_row.items())
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert len({(one.merchant_id, one.warehouse_id) for one in found}) == len(found)
    total: Counter[str] = Counter()
    for want in lines:
        total[want.sku] += want.quantity
    splits = {sku for sku in total if len([row for row in per_row if row[0] == sku]) > 1}
    assert not any(free.get((sku, at), 0) >= total[sku] for sku in splits for at in nearest)
    used = {at for _, at in per_row}
    for fewer in combinations(nearest, len(used) - 1):
        covers = all(
            any(free.get((sku, at), 0) >= pieces for at in fewer)
            or (sku in splits and sum(free.get((sku, at), 0) for at in fewer) >= pieces)
            for sku, pieces in total.items()
        )
        assert not covers, "fewer warehouses would do"


def test_every_move_keeps_the_invariant() -> None:
    for effect in EFFECTS.values():
        assert sum(sign for level, sign in effect.items() if level != "received") == effect.get("received", 0)
        assert set(effect.values()) <= {1, -1}


def test_the_largest_order_fits_a_small_item() -> None:
    lines = [line(at, f"{20000 + at * 7}{'ABCD'[at % 4]}", at % 48 + 1) for at in range(1, 705)]
    free = {(one.sku, (GB, DE)[one.line % 2]): one.quantity for one in lines}
    fulfilments = allocate(lines, free, NEAREST)
    assert len(pack(fulfilments)) < 6_000
    assert unpack(pack(fulfilments)) == fulfilments


@pytest.mark.parametrize("text", ["", "x", "a_b", "a_b_", "_b_1", "a_b_x", "a_b_²"])
def test_what_is_no_replenishment_is_refused(text: str) -> None:
    with pytest.raises(ReplenishmentUnknown):
        read_replenishment_id(text)


def test_a_replenishment_id_is_read_whatever_the_sku() -> None:
    assert read_replenishment_id("a_b.c-d_GB-DAV_12") == ("a_b.c-d", "GB-DAV", 12)


def test_the_table_of_warehouses_is_the_data_sets() -> None:
    here = Path(warehouses.__file__).with_name("warehouses.json")
    data = Path(__file__).parents[3] / "data" / "places" / "warehouses.json"
    assert json.loads(here.read_text(encoding="utf-8")) == json.loads(data.read_text(encoding="utf-8"))
    known = warehouses.load()
    assert known.nearest("GB")[0] == GB
    assert known.nearest("CN")[0] == CN
    assert known.nearest("??") == known.ids
    assert all(sorted(order) == sorted(known.ids) for order in known.order.values())
