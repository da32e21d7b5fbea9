"""The orders functions as Lambda calls them, on a simulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from commerce import aws as clients
from commerce import telemetry
from commerce.events import OffersPublished
from commerce.figures import Figure
from orders import api, tasks, wiring, workers
from tests.integration.calls import request
from tests.integration.conftest import make_table
from tests.unit.orders.fakes import body, offer


@pytest.fixture
def deployed(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_table("orders", customer=("customer_id", "number"), open=("open_pk", "due"))
    make_table("vault")
    kms = boto3.client("kms")
    data_key = kms.create_key()["KeyMetadata"]["Arn"]
    mac_key = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
    for name, value in {
        "ORDERS_TABLE": "orders",
        "VAULT_TABLE": "vault",
        "DATA_KEY_ARN": data_key,
        "MAC_KEY_ARN": mac_key,
        "OPEN_SECONDS": "3600",
        "PACE_ORDERS": "3",
        "PACE_SECONDS": "3600",
        "DISPATCH_SECONDS": "3600",
        "SILENCE_SECONDS": "3600",
        "ACCEPTANCE_SECONDS": "3600",
        "SETTLEMENT_SECONDS": "3600",
        "QUEUE_PREFIX": "commerce-test-",
        "POWERTOOLS_SERVICE_NAME": "orders",
    }.items():
        monkeypatch.setenv(name, value)
    forget()
    offers = OffersPublished(at="2026-11-23T12:00:00.000Z", offers=[offer()])
    assert workers.offers(sqs("OffersPublished", offers.model_dump(mode="json")), None) == {"batchItemFailures": []}
    yield
    forget()


def forget() -> None:
    """Drop what the functions keep warm, so that each test has its own AWS."""
    for kept in (clients._client, wiring.orders, wiring.claims, wiring.vault, wiring.signer, wiring.runs):
        kept.cache_clear()


def sqs(kind: str, detail: dict[str, Any]) -> dict[str, Any]:
    message = {"detail-type": kind, "source": "commerce.test", "detail": detail}
    record = {"messageId": "1", "body": json.dumps(message), "eventSource": "aws:sqs", "receiptHandle": "r"}
    return {"Records": [record]}


def call(function: Any, route: str, content: Any = None, **more: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    answer = function(request(route, content, **more), None)
    return answer["statusCode"], json.loads(answer.get("body") or "{}"), answer["headers"]


def place(sub: str = "cus-1", key: str = "key-1", **changes: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    route = "POST /orders" if sub else "POST /guest/orders"
    return call(api.intake, route, body(**changes), sub=sub, headers={"idempotency-key": key})


def test_an_order_is_placed_seen_and_cancelled_by_its_owner_alone(deployed: None) -> None:
    status, made, headers = place()
    assert status == 202
    number = made["number"]
    assert len(number) == 14
    assert headers["Location"] == f"/orders/{number.replace('-', '')}"
    status, seen, headers = call(api.handler, "GET /orders/{number}", sub="cus-1", path={"number": number.lower()})
    assert status == 200
    assert seen["address"]["postal_code"] == "SW1Y 4JH"
    assert seen["lines"][0]["charges"]["item"] == 1530
    again = call(
        api.handler,
        "GET /orders/{number}",
        sub="cus-1",
        path={"number": number},
        headers={"if-none-match": headers["ETag"]},
    )
    assert again[0] == 304
    assert call(api.handler, "GET /orders/{number}", sub="cus-2", path={"number": number})[0] == 404
    assert call(api.handler, "POST /orders/{number}/cancel", sub="cus-2", path={"number": number})[0] == 404
    status, cancelled, _ = call(api.handler, "POST /orders/{number}/cancel", sub="cus-1", path={"number": number})
    assert (status, cancelled["status"]) == (202, "cancelling")
    listed = call(api.handler, "GET /orders", sub="cus-1")[1]
    assert [one["number"] for one in listed["orders"]] == [number]
    assert call(api.handler, "GET /orders", sub="cus-2")[1]["orders"] == []


def test_a_mistyped_number_is_recognised_as_such(deployed: None) -> None:
    number = place()[1]["number"]
    wrong = number[:-1] + ("0" if number[-1] != "0" else "1")
    status, problem, headers = call(api.handler, "GET /orders/{number}", sub="cus-1", path={"number": wrong})
    assert (status, problem["type"]) == (400, "/problems/mistyped-order-number")
    assert headers["Content-Type"] == "application/problem+json"


def test_a_replay_is_the_same_order_and_another_body_is_refused(deployed: None) -> None:
    first, again, other = place(), place(), place(lines=[{"sku": "85123A", "quantity": 7, "unit_price": 255}])
    assert first[1]["number"] == again[1]["number"]
    assert (other[0], other[1]["type"]) == (422, "/problems/idempotency-conflict")


def test_a_guest_acts_with_his_token_and_with_no_other(deployed: None) -> None:
    status, made, _ = place("", "6f1c")
    assert status == 202
    other = place("", "6f1d")[1]
    route, path = "GET /guest/orders/{number}", {"number": made["number"]}
    assert call(api.handler, route, path=path, headers={"order-token": made["order_token"]})[0] == 200
    assert call(api.handler, route, path=path, headers={"order-token": other["order_token"]})[0] == 404
    assert call(api.handler, route, path=path)[0] == 401
    token = made["order_token"]
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert call(api.handler, route, path=path, headers={"order-token": changed})[0] == 401
    claim = "POST /orders/{number}/claim"
    assert call(api.handler, claim, sub="cus-3", path=path, headers={"order-token": token})[0] == 200
    assert call(api.handler, "GET /orders/{number}", sub="cus-3", path=path)[0] == 200


def test_problems_name_their_field_and_wrong_groups_are_kept_out(deployed: None) -> None:
    status, problem, _ = place(lines=[{"sku": "85123A", "quantity": -1, "unit_price": 255}])
    assert status == 422
    assert problem["errors"][0]["field"] == "lines.0.quantity"
    assert call(api.intake, "POST /orders", body(), sub="cus-1")[1]["type"] == "/problems/idempotency-key-missing"
    key = {"idempotency-key": "k"}
    assert call(api.intake, "POST /orders", "{", sub="cus-1", headers=key)[0] == 400
    assert call(api.intake, "POST /orders", "x" * 300_000, sub="cus-1", headers=key)[0] == 413
    assert call(api.intake, "POST /orders", body(), sub="staff", groups="ops", headers=key)[0] == 403
    assert call(api.ops, "GET /ops/orders", sub="cus-1")[0] == 403
    assert call(api.intake, "POST /orders", body(), headers=key)[0] == 401


def test_operations_see_open_orders_and_dead_letters(deployed: None) -> None:
    numbers = {place(key=f"key-{n}")[1]["number"] for n in range(3)}
    found: set[str] = set()
    position = None
    while True:
        query = {"status": "received", "limit": "2"} | ({"cursor": position} if position else {})
        page = call(api.ops, "GET /ops/orders", sub="s", groups="ops", query=query)[1]
        found |= {one["number"] for one in page["orders"]}
        position = page["next"]
        if position is None:
            break
    assert found == numbers
    assert call(api.ops, "GET /ops/orders", sub="s", groups="ops", query={"status": "lost"})[0] == 422
    assert call(api.ops, "GET /ops/orders", sub="s", groups="ops", query={"cursor": "bm9uc2Vuc2U"})[0] == 400
    queues = boto3.client("sqs")
    url = queues.create_queue(QueueName="commerce-test-orders-inbox-dlq")["QueueUrl"]
    queues.create_queue(QueueName="commerce-test-orders-inbox")
    queues.send_message(QueueUrl=url, MessageBody="lost")
    listed = call(api.ops, "GET /ops/queues", sub="s", groups="ops")[1]
    assert listed["queues"] == [{"name": "orders-inbox-dlq", "messages": 1}]
    missing = call(api.ops, "POST /ops/queues/{name}/redrive", sub="s", groups="ops", path={"name": "nothing-dlq"})
    assert missing[0] == 404
    queues.create_queue(QueueName="commerce-test-orders-relay-dlq")
    alone = call(api.ops, "POST /ops/queues/{name}/redrive", sub="s", groups="ops", path={"name": "orders-relay-dlq"})
    assert (alone[0], alone[1]["type"]) == (409, "/problems/no-source-queue")
    wrong = call(api.ops, "POST /ops/queues/{name}/redrive", sub="s", groups="ops", path={"name": "orders-inbox"})
    assert wrong[0] == 404


def test_a_bad_message_fails_alone(deployed: None) -> None:
    good = sqs(
        "OffersPublished", OffersPublished(at="2026-11-23T12:00:00.000Z", offers=[offer()]).model_dump(mode="json")
    )
    bad = sqs("OffersPublished", {"offers": []})
    strange = sqs("SomethingElse", {})
    bad["Records"][0]["messageId"], strange["Records"][0]["messageId"] = "2", "3"
    batch = {"Records": [bad["Records"][0], good["Records"][0], strange["Records"][0]]}
    failed = workers.offers(batch, None)["batchItemFailures"]
    assert [one["itemIdentifier"] for one in failed] == ["2", "3"]


def test_the_screening_task_hands_on_what_to_reserve(deployed: None) -> None:
    number = place()[1]["number"].replace("-", "")
    request = tasks.screen({"order_id": number, "started_at": "2026-11-23T12:00:00Z"}, None)
    assert request["lines"] == [{"line": 1, "sku": "85123A", "quantity": 6, "merchant_id": "mer_hearts"}]
    json.dumps(request)


def test_a_buyer_who_places_too_many_orders_is_told_when_to_go_on(
    deployed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACE_SECONDS", str(10**9))  # until 2033: no window ends meanwhile
    placed = [place(key=f"key-{n}")[0] for n in range(3)]
    status, problem, headers = place(key="key-3")
    assert placed == [202] * 3
    assert (status, problem["type"]) == (429, "/problems/too-many-orders")
    assert int(headers["Retry-After"]) > 0
    assert headers["Content-Type"] == "application/problem+json"
    assert place(key="key-2")[0] == 202, "the same order again"
    assert place("cus-2", key="key-3")[0] == 202


def test_the_sweep_tells_of_everything_it_looks_at(
    deployed: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE_ARN", "lifecycle")
    monkeypatch.setenv("COMPLETION_ARN", "completion")
    telemetry.metrics.cache_clear()
    place()
    capsys.readouterr()
    workers.sweep({}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    told = {name: value for line in lines for name, value in line.items() if isinstance(value, list)}
    units = {one["Name"]: one["Unit"] for line in lines for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert len(lines) == 2, "a line for orders, one for erasures"
    assert set(told) == {figure.value for figure in Figure if figure.context == "orders"}
    assert 0 <= told.pop("LongestDispatchWait")[0] < 60
    assert units["LongestDispatchWait"] == "Seconds"
    assert set(map(tuple, told.values())) == {(0.0,)}
