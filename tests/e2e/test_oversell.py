"""Eight threads want 320 of 100 pieces: exactly 100 are sold.

The reservation's own code on a table of its own in the deployed cloud's DynamoDB; `test_stock` races whole orders.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from commerce.clock import SystemClock
from commerce.dynamo import Contended, Table
from commerce.ids import mint_order_number
from inventory import service, warehouses
from inventory.model import Order, OrderLine, State, StockShort
from inventory.service import Desk
from inventory.store import Store
from tools.client import Deployment

pytestmark = pytest.mark.e2e

THREADS, WANTED, PIECES = 8, 320, 100


@pytest.fixture
def desk(deployment: Deployment) -> Iterator[Desk]:
    client = deployment.client("dynamodb")
    name = f"oversell-{uuid.uuid4().hex[:8]}"
    keys = ("pk", "HASH"), ("sk", "RANGE")
    index_keys = ("open_pk", "HASH"), ("open_since", "RANGE")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in (*keys, *index_keys)],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in index_keys],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    client.get_waiter("table_exists").wait(TableName=name)
    known = warehouses.load()
    yield Desk(Store(Table(client, name), known.ids), known, SystemClock(), timedelta(days=7))
    client.delete_table(TableName=name)


def outcome(desk: Desk, order: Order) -> str:
    """Reserve as the state machine does: contention is retried, a shortage is not."""
    for _ in range(50):
        try:
            return service.reserve(desk, order).state.value
        except StockShort:
            return "short"
        except Contended:
            continue
    return "contended"


def race(desk: Desk, orders: list[Order]) -> Counter[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(lambda order: outcome(desk, order), orders))


def numbers(count: int) -> list[str]:
    now = datetime.now(UTC)
    return [mint_order_number(now, at) for at in range(count)]


def test_a_hundred_pieces_are_sold_a_hundred_times(desk: Desk) -> None:
    service.receive(desk, "k1", "test", "GB-DAV", {"a": PIECES // 2}, "")
    service.receive(desk, "k2", "test", "DE-DUI", {"a": PIECES - PIECES // 2}, "")
    orders = [Order(number, "GB", (OrderLine(1, "a", 1, "m"),)) for number in numbers(WANTED)]
    assert race(desk, orders) == {State.HELD.value: PIECES, "short": WANTED - PIECES}
    levels = service.stock(desk, "a")
    assert sum(level.reserved for level in levels) == PIECES
    assert all((level.on_hand, level.shipped) == (0, 0) for level in levels)
    waiting = list(desk.store.queue("a", lanes=1))
    assert len(waiting) == WANTED - PIECES
    # Those who were short just after others had purchasing asked by the sweep.
    service.sweep(desk, timedelta())
    assert sum(one.outstanding for one in desk.store.replenishments("a")) >= WANTED - PIECES


def test_large_orders_that_want_the_same_are_whole_or_not_at_all(desk: Desk) -> None:
    skus = [f"sku{at:03d}" for at in range(120)]
    for at in range(0, len(skus), 60):
        service.receive(desk, f"k{at}", "test", "GB-DAV", dict.fromkeys(skus[at : at + 60], 3), "")
    lines = tuple(OrderLine(at, sku, 1, "m") for at, sku in enumerate(skus, start=1))
    orders = [Order(number, "GB", lines) for number in numbers(5)]
    found = race(desk, orders)
    # Large orders may block one another: then both go back whole, and purchasing is asked. None is ever held in part.
    held = found[State.HELD.value]
    assert held <= 3
    assert found.total() == 5
    for sku in skus:
        (level,) = service.stock(desk, sku)
        assert (level.on_hand, level.reserved, level.received) == (3 - held, held, 3)
