"""What it takes to publish a whole catalogue."""

from __future__ import annotations

from typing import Any, cast

import pytest

from catalog.service import CHUNK_BYTES, put_prices, put_products
from commerce import outbox, relay
from commerce.clock import FixedClock
from tests.unit.catalog.fakes import NOW, Shelves, described, entries, price

pytestmark = pytest.mark.unit

QUOTA = 256 * 1024
"""Bytes of one PutEvents call, and of one message of SQS."""


class Bus:
    """Counts the bytes of each call."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def put_events(self, **request: Any) -> dict[str, Any]:
        self.sizes.append(sum(len(entry["Detail"].encode()) for entry in request["Entries"]))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}


def test_large_events_of_one_stream_batch_go_in_calls_of_a_size_that_is_taken() -> None:
    shelves, clock = Shelves(), FixedClock(NOW)
    skus = [f"S{n}" for n in range(40)]
    put_products(shelves, clock, "ann", [described(sku) for sku in skus])
    for sku in skus:
        put_prices(shelves, clock, "ann", "GBP", entries(*((sku, price(n, quantity=n)) for n in range(1, 201))))
    shelves.published = []
    put_products(shelves, clock, "ann", [described(sku) for sku in skus])
    boxes = [outbox.pack(event) for event in shelves.published]
    assert len(boxes) > 2
    records = [
        {"eventID": f"e{at}", "dynamodb": {"SequenceNumber": str(at), "NewImage": {"outbox": {"S": box}}}}
        for at, box in enumerate(boxes)
    ]
    bus = Bus()
    assert relay.publish(cast("Any", records), cast("Any", bus), "commerce") is None
    assert sum(bus.sizes) > CHUNK_BYTES
    assert max(bus.sizes) < QUOTA


def test_the_catalogue_of_a_shop_is_some_fifty_events() -> None:
    shelves, clock = Shelves(), FixedClock(NOW)
    skus = [f"S{n}" for n in range(2500)]
    for at in range(0, 2500, 100):
        put_products(shelves, clock, "ann", [described(sku) for sku in skus[at : at + 100]])
    assert shelves.published == []
    for at in range(0, 2500, 1000):
        given = [(sku, price(100)) for sku in skus[at : at + 1000]]
        put_prices(shelves, clock, "ann", "GBP", entries(*given))
    assert len(shelves.published) == 50
    assert sum(len(event.offers) for event in shelves.published) == 2500
