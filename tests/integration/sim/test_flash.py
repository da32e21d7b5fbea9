"""A flash sale on the simulation holds; planted mistakes are told."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest

from inventory import store
from inventory.model import Place
from tools.flash import simulated
from tools.flash.simulated import sell
from tools.flash.verdict import SHARDS

pytestmark = pytest.mark.integration


def test_a_thousand_buyers_for_a_hundred_units() -> None:
    sale = sell(1000, 100)
    assert list(sale.troubles()) == [], sale.figures()


def test_a_store_that_overlooks_a_shard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    others = store._others
    monkeypatch.setattr(store, "_others", lambda first: others(first)[:-1])
    told = " ".join(sell(60, SHARDS).troubles())
    assert "told sold out while a unit lay free" in told
    assert f"no more than {SHARDS - 1} of {SHARDS} units were ever held" in told


def test_a_hot_key_is_found() -> None:
    told = list(sell(150, 100, shards=1).troubles())
    assert "STOCK#FLASH-1 has 100.0% of the stock rows' write attempts" in told
    assert any(trouble.startswith("STOCK#FLASH-1 ") and "the table's" in trouble for trouble in told)


def test_a_queue_that_serves_the_last_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_first(self: Any, sku: str, lanes: int, **_: Any) -> Iterator[Place]:
        each = [self._lane(sku, lane, None) for lane in range(lanes)]
        return iter(list(heapq.merge(*each, key=attrgetter("at")))[::-1])

    monkeypatch.setattr(store.Store, "queue", last_first)
    monkeypatch.setattr(simulated, "UNPAID", 0.7)
    assert any("had arrived in time" in trouble for trouble in sell(60, 10).troubles())
