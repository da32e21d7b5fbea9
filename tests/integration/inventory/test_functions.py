"""The inventory's functions on a simulated AWS: what Lambda hands over goes in, what the table says comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from commerce import aws as clients
from commerce import outbox
from commerce.clock import SystemClock
from commerce.dynamo import Item, Table
from commerce.events import ShipmentDispatched, StockAvailable
from inventory import api, queues, service, tasks, warehouses, wiring, workers
from inventory.model import Order, OrderLine, State, StockShort
from inventory.service import Desk
from inventory.store import Store
from tests.integration.calls import batch
from tests.integration.conftest import make_table

NUMBERS = ["06PM4NXBDTKC", "06PM4NXBDTKD"]
GB = "GB-DAV"


@pytest.fixture
def table(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    for name, value in {
        "INVENTORY_TABLE": "inventory",
        "REPLENISHMENT_LEAD_SECONDS": "3600",
        "PENDING_SECONDS": "300",
        "POWERTOOLS_SERVICE_NAME": "inventory",
    }.items():
        monkeypatch.setenv(name, value)
    caches = (clients._client, wiring.store, wiring.desk, api._api)
    for cache in caches:
        cache.cache_clear()
    yield Table(make_table("inventory", open=("open_pk", "open_since")), "inventory")
    for cache in caches:
        cache.cache_clear()


def call(
    route: str,
    body: Any = None,
    *,
    key: str | None = None,
    groups: str = "warehouse",
    query: Mapping[str, str] | None = None,
    **path: str,
) -> tuple[int, dict[str, Any]]:
    method, raw = route.split(" ")
    for name, value in path.items():
        raw = raw.replace(f"{{{name}}}", value)
    claims = {"sub": "w-1", "cognito:groups": f"[{groups}]"}
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw,
        "rawQueryString": "",
        "headers": {"idempotency-key": key} if key else {},
        "pathParameters": path,
        "queryStringParameters": dict(query or {}),
        "requestContext": {
            "http": {"method": method, "path": raw},
            "routeKey": route,
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims}},
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
    answer = api.handler(event, None)
    return answer["statusCode"], json.loads(answer["body"])


def receive(key: str, warehouse: str = GB, /, **quantities: int) -> None:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in quantities.items()]
    status, body = call("POST /stock/receipts", {"warehouse_id": warehouse, "lines": lines}, key=key)
    assert status == 201, body


def request(number: int, country: str = "GB", /, **quantities: int) -> dict[str, Any]:
    lines = [
        {"line": at, "sku": sku, "quantity": quantity, "merchant_id": "mer_hearts", "later": "ignored"}
        for at, (sku, quantity) in enumerate(quantities.items(), start=1)
    ]
    return {"order_id": NUMBERS[number], "buyer": "c-1", "locale": "en", "country": country, "lines": lines}


def levels(sku: str) -> dict[str, tuple[int, ...]]:
    _, body = call("GET /stock/{sku}", sku=sku)
    return {
        one["warehouse_id"]: (one["on_hand"], one["reserved"], one["shipped"], one["received"])
        for one in body["warehouses"]
    }


def dispatched(fulfilment_id: str) -> ShipmentDispatched:
    return ShipmentDispatched(
        at="2026-11-23T06:07:08.123Z",
        order_id=fulfilment_id[:12],
        buyer="c-1",
        fulfilment_id=fulfilment_id,
        carrier="generic",
        waybill="GX0000000123",
        warehouse_id=GB,
        released_at="2026-11-23T06:07:08.123Z",
        packed_at="2026-11-23T06:07:08.123Z",
    )


def told(table: Table, key: tuple[str, str]) -> list[str]:
    item: Item = table.get(key) or {}
    return [event["type"] for event in outbox.unpack(item.get("outbox", "[]"), "record")]


def test_an_order_is_reserved_and_shipped_once(table: Table) -> None:
    receive("k1", a=10, b=3)
    receive("k1", a=10, b=3)
    first = tasks.reserve(request(0, a=4, b=3), None)
    assert tasks.reserve(request(0, a=4, b=3), None) == first
    assert first == {
        "fulfilments": [
            {
                "fulfilment_id": f"{NUMBERS[0]}-1",
                "warehouse_id": GB,
                "merchant_id": "mer_hearts",
                "lines": [{"line": 1, "sku": "a", "quantity": 4}, {"line": 2, "sku": "b", "quantity": 3}],
            }
        ]
    }
    assert levels("a") == {GB: (6, 4, 0, 10)}
    event = dispatched(f"{NUMBERS[0]}-1")
    assert workers.inbox(batch(event, event), None) == {"batchItemFailures": []}
    assert levels("a") == {GB: (6, 0, 4, 10)}
    assert tasks.release({"order_id": NUMBERS[0]}, None) == {"order_id": NUMBERS[0]}
    assert levels("b") == {GB: (0, 0, 3, 3)}


def test_a_shipment_of_what_is_not_held_stays_on_the_queue(table: Table) -> None:
    receive("k1", a=1)
    tasks.reserve(request(0, a=1), None)
    found = workers.inbox(batch(dispatched(f"{NUMBERS[1]}-1"), dispatched(f"{NUMBERS[0]}-1")), None)
    assert found == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert levels("a") == {GB: (0, 0, 1, 1)}


def test_a_shortage_resumes_when_its_replenishment_is_received(table: Table) -> None:
    receive("k1", a=1)
    with pytest.raises(StockShort) as short:
        tasks.reserve(request(0, a=3), None)
    assert short.value.short == {"a": 2}
    assert set(json.loads(str(short.value))) == {"expected_at"}
    status, body = call("GET /replenishments", query={"state": "open"}, groups="merchant")
    assert (status, body["next"]) == (200, None)
    assert [(one["replenishment_id"], one["quantity"]) for one in body["replenishments"]] == [("a_GB-DAV_1", 2)]
    assert told(table, ("REPLENISHMENT#a", "GB-DAV#000001")) == ["ReplenishmentRaised"]
    for _ in range(2):
        status, body = call("POST /replenishments/{id}/receipts", {"quantity": 2}, key="k2", id="a_GB-DAV_1")
        assert (status, body["kind"]) == (201, "replenishment")
    waiting = (f"RESERVATION#{NUMBERS[0]}", "WAITING")
    assert told(table, waiting) == [StockAvailable.name()]
    assert call("GET /replenishments")[1]["replenishments"] == []
    tasks.reserve(request(0, a=3), None)
    assert levels("a") == {GB: (0, 3, 0, 3)}
    assert table.get(waiting) is None


def test_a_large_order_is_held_shipped_and_released_in_chunks(table: Table) -> None:
    skus = [f"sku{at:03d}" for at in range(120)]
    for at in range(0, len(skus), 99):
        receive(f"k{at}", **dict.fromkeys(skus[at : at + 99], 2))
    for number in range(2):
        found = tasks.reserve(request(number, **dict.fromkeys(skus, 1)), None)
        assert len(found["fulfilments"][0]["lines"]) == 120
    assert workers.inbox(batch(*[dispatched(f"{NUMBERS[0]}-1")] * 2), None) == {"batchItemFailures": []}
    tasks.release({"order_id": NUMBERS[1]}, None)
    assert [levels(sku) for sku in (skus[0], skus[119])] == [{GB: (1, 0, 1, 2)}] * 2


def test_the_sweep_gives_back_what_is_pending_for_too_long(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    receive("k1", **{f"sku{at:03d}": 1 for at in range(99)})
    receive("k2", **{f"sku{at:03d}": 1 for at in range(99, 150)})
    move, calls = Store.move, []

    def dies(store: Store, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return move(store, *args)

    monkeypatch.setattr(Store, "move", dies)
    with pytest.raises(KeyboardInterrupt):
        tasks.reserve(request(0, **{f"sku{at:03d}": 1 for at in range(150)}), None)
    assert levels("sku000") == {GB: (0, 1, 0, 1)}
    assert workers.sweep({}, None) == {"found": 0}
    monkeypatch.setenv("PENDING_SECONDS", "-60")
    assert workers.sweep({}, None) == {"found": 1}
    assert levels("sku000") == {GB: (1, 0, 0, 1)}
    assert table.get((f"RESERVATION#{NUMBERS[0]}", "RESERVATION")) is None


def test_replenishments_are_paged(table: Table) -> None:
    with pytest.raises(StockShort):
        tasks.reserve(request(0, a=1, b=1, c=1), None)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        _, body = call("GET /replenishments", query=query)
        seen += [one["sku"] for one in body["replenishments"]]
        cursor = body["next"]
    assert sorted(seen) == ["a", "b", "c"]


def test_adjustments_are_booked_with_their_reason(table: Table) -> None:
    receive("k1", a=5)
    body = {"warehouse_id": GB, "delta": -2, "reason": "broken"}
    for _ in range(2):
        status, booked = call("POST /stock/{sku}/adjustments", body, key="k2", sku="a")
        assert status == 201
    assert (booked["lines"], booked["note"]) == ([{"sku": "a", "quantity": -2}], "broken")
    assert levels("a") == {GB: (3, 0, 0, 3)}
    record = table.get((f"MOVEMENT#{booked['movement_id']}", "MOVEMENT"))
    assert record is not None
    assert (record["by"], record["quantities"]) == ("w-1", {"a": -2})


@pytest.mark.parametrize(
    ("route", "body", "status", "problem"),
    [
        ("POST /stock/{sku}/adjustments", {"warehouse_id": GB, "delta": -9, "reason": "x"}, 409, "stock-too-low"),
        ("POST /stock/{sku}/adjustments", {"warehouse_id": "CN-YIW", "delta": 9, "reason": "x"}, 404, "stock-unknown"),
        ("POST /stock/{sku}/adjustments", {"warehouse_id": GB, "delta": 0, "reason": "x"}, 422, "invalid"),
        ("POST /stock/{sku}/adjustments", {"warehouse_id": GB, "delta": 1}, 422, "invalid"),
        (
            "POST /stock/receipts",
            {"warehouse_id": "XX-1", "lines": [{"sku": "a", "quantity": 1}]},
            422,
            "warehouse-unknown",
        ),
        ("POST /stock/receipts", {"warehouse_id": GB, "lines": [{"sku": "a", "quantity": 1}] * 2}, 422, "invalid"),
        (
            "POST /stock/receipts",
            {"warehouse_id": GB, "lines": [{"sku": "a", "quantity": 9}]},
            422,
            "idempotency-key-reused",
        ),
        ("POST /replenishments/{id}/receipts", {"quantity": 1}, 404, "replenishment-unknown"),
        ("GET /replenishments", None, 422, "invalid"),
        ("GET /stock/{sku}", None, 404, "stock-unknown"),
    ],
)
def test_refusals_are_problems(table: Table, route: str, body: Any, status: int, problem: str) -> None:
    receive("k1", a=5)
    key = "k1" if problem == "idempotency-key-reused" else "k2"
    query = {"state": "closed"} if route == "GET /replenishments" else {}
    path = {} if "{" not in route else {"sku": "a" if body else "never"} if "{sku}" in route else {"id": "a_GB-DAV_9"}
    found = call(route, body, key=key, query=query, **path)
    assert (found[0], found[1]["type"]) == (status, f"/problems/{problem}")


def test_a_write_needs_a_key_and_a_group(table: Table) -> None:
    body = {"warehouse_id": GB, "lines": [{"sku": "a", "quantity": 1}]}
    assert call("POST /stock/receipts", body)[0] == 400
    assert call("POST /stock/receipts", body, key="k", groups="customer")[0] == 403


def test_a_reservation_costs_two_calls_and_a_shipment_two(table: Table) -> None:
    receive("k1", a=5, b=5)
    made: list[str] = []
    clients.dynamodb().meta.events.register("before-call.dynamodb", lambda model, **_: made.append(model.name))
    tasks.reserve(request(0, a=1, b=1), None)
    assert made == ["BatchGetItem", "TransactWriteItems"]
    made.clear()
    workers.inbox(batch(dispatched(f"{NUMBERS[0]}-1")), None)
    assert made == ["GetItem", "TransactWriteItems"]


def test_the_store_reads_what_it_wrote(table: Table) -> None:
    store = Store(table, warehouses.load().ids)
    desk = Desk(store, warehouses.load(), SystemClock(), timedelta(days=1))
    receive("k1", a=5)
    held = service.reserve(desk, Order(NUMBERS[0], "GB", (OrderLine(1, "a", 2, "m"),)))
    assert store.reservation(NUMBERS[0]) == held
    assert held.state is State.HELD


def test_a_sku_is_spread_and_sold_from_all_its_shards(table: Table) -> None:
    receive("k1", a=7)
    spread = {"warehouse_id": GB, "shards": 3}
    first = call("POST /stock/{sku}/shards", spread, key="s1", sku="a")
    assert first == call("POST /stock/{sku}/shards", spread, key="s1", sku="a")
    assert (first[0], first[1]["kind"], first[1]["note"]) == (201, "sharding", "3")
    assert call("POST /stock/{sku}/shards", {**spread, "shards": 2}, key="s2", sku="a")[0] == 409
    [fulfilment] = tasks.reserve(request(0, a=5), None)["fulfilments"]
    assert fulfilment["lines"] == [{"line": 1, "sku": "a", "quantity": 5}], "which shards is nobody's business"
    assert levels("a") == {GB: (2, 5, 0, 7)}
    on_hand = [
        item["on_hand"] for item in table.get_many([("STOCK#a", GB), ("STOCK#a#1", GB), ("STOCK#a#2", GB)]).values()
    ]
    assert sum(on_hand) == 2
    workers.inbox(batch(dispatched(f"{NUMBERS[0]}-1")), None)
    assert levels("a") == {GB: (2, 0, 5, 7)}
    receive("k2", a=9)
    adjusted = {"warehouse_id": GB, "delta": -10, "reason": "broken"}
    assert call("POST /stock/{sku}/adjustments", adjusted, key="a1", sku="a")[0] == 201
    assert call("POST /stock/{sku}/adjustments", adjusted, key="a2", sku="a")[0] == 409
    assert levels("a") == {GB: (1, 0, 5, 6)}


def test_purchasing_is_asked_by_the_sweep_for_who_joins_a_queue_just_after(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "SHORTEST_PAUSE", timedelta(minutes=1))  # however slow this machine is
    receive("k1", a=1)
    for number in range(2):
        with pytest.raises(StockShort):
            tasks.reserve(request(number, a=5), None)
    assert workers.sweep({}, None) == {"found": 1}
    assert workers.sweep({}, None) == {"found": 0}
    _, body = call("GET /replenishments", groups="merchant")
    assert [one["quantity"] for one in body["replenishments"]] == [9]
