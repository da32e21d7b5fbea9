"""What of the journal is counted as an order's, and how waiting for rest works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.run.journal import ACCESS_LOG_BYTES, Journal, Tally, read

pytestmark = pytest.mark.unit

MEMORY = {"orders-intake": 1024, "orders-sweep": 512}


def call(service: str, action: str, by: str, **more: Any) -> dict[str, Any]:
    return {"t": 1.0, "kind": "call", "service": service, "action": action, "by": by, "status": 200, **more}


def invoke(function: str, ms: int, source: str = "api") -> dict[str, Any]:
    return {"t": 1.0, "kind": "invoke", "function": function, "source": source, "ms": ms, "error": None, "log": 150}


def transition(of: str, kind: str = "STANDARD", **more: Any) -> dict[str, Any]:
    return {
        "t": 1.0,
        "kind": "transition",
        "machine": "m",
        "execution": "e",
        "type": kind,
        "of": of,
        "state": "",
        **more,
    }


def test_everything_an_order_causes_is_added_up() -> None:
    lines = [
        invoke("orders-intake", 500),
        call("dynamodb", "TransactWriteItems", "orders-intake", tables={"a": {"read": 0, "write": 8}}),
        call(
            "dynamodb", "Query", "shipping-api", tables={"a": {"read": 0.5, "write": 0}, "b": {"read": 2, "write": 1}}
        ),
        call("events", "PutEvents", "orders-relay", entries=3),
        call("events", "PutEvents", "client", entries=1),
        call("kms", "GenerateMac", "orders-intake"),
        call("ses", "SendEmail", "notifications-inbox"),
        call("secretsmanager", "GetSecretValue", "payments-callback"),
        call("sqs", "ListQueues", "orders-ops"),
        {"t": 1.0, "kind": "queue", "queue": "orders-intake", "requests": 1, "messages": 1, "why": "rule"},
        {"t": 1.0, "kind": "queue", "queue": "orders-intake", "requests": 2, "messages": 1, "why": "mapping"},
        transition("start"),
        transition("state"),
        transition("retry"),
        transition("end", ms=4000),
        transition("start", "EXPRESS"),
        transition("state", "EXPRESS"),
        transition("retry", "EXPRESS"),
        transition("end", "EXPRESS", ms=201),
        {"t": 1.0, "kind": "request", "method": "POST", "path": "/orders", "status": 202, "ms": 9, "out": 700},
        {"t": 1.0, "kind": "delivery", "bus": "b", "rule": "r", "source": "commerce.orders", "target": "sqs"},
    ]
    reading = read(lines, MEMORY)
    assert reading.caused == Tally(
        state_transitions=3,
        express_starts=1,
        express_gb_seconds=0.3 * 64 / 1024,
        write_units=9,
        read_units=2.5,
        lambda_invocations=1,
        lambda_gb_seconds=0.5,
        api_requests=1,
        events=4,
        queue_requests=4,
        kms_requests=1,
        mails=1,
        secret_reads=1,
        log_bytes=150 + ACCESS_LOG_BYTES,
        traces=2,
        bytes_out=700,
    )
    assert reading.scheduled == Tally()
    assert reading.calls == {
        "dynamodb": 2, "events": 2, "kms": 1, "ses": 1, "secretsmanager": 1, "sqs": 1,
    }  # fmt: skip


def test_what_a_schedule_starts_is_counted_apart() -> None:
    lines = [
        {"t": 1.0, "kind": "delivery", "bus": "default", "source": "aws.events", "target": "lambda"},
        invoke("orders-sweep", 100, "rule"),
        call("dynamodb", "Query", "orders-sweep", tables={"a": {"read": 0.5, "write": 0}}),
    ]
    reading = read(lines, MEMORY)
    assert reading.caused == Tally()
    assert reading.scheduled == Tally(lambda_invocations=1, read_units=0.5, lambda_gb_seconds=0.05, log_bytes=150)


def test_an_operators_look_costs_no_order_anything() -> None:
    lines = [call("sqs", "GetQueueAttributes", "client"), call("secretsmanager", "GetSecretValue", "client")]
    assert read(lines, MEMORY).caused == Tally()


def test_the_mean_of_several_orders() -> None:
    assert Tally(write_units=9, events=3).each(2) == Tally(write_units=4.5, events=1.5)


def write(path: Path, *lines: dict[str, Any], rest: str = "") -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.write(rest)


def test_a_line_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, invoke("one", 1), rest='{"kind": "inv')
    assert [line["function"] for line in Journal(path).lines(0)] == ["one"]


def test_only_lines_of_the_window_are_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, invoke("before", 1))
    journal = Journal(path)
    start = journal.end
    write(path, invoke("in", 1))
    end = journal.end
    write(path, invoke("after", 1))
    assert [line["function"] for line in journal.lines(start, end)] == ["in"]


def test_a_cloud_on_which_something_happened_comes_to_rest(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, invoke("one", 1))
    Journal(path).settle(0, quiet=0.02, within=5)


def test_schedules_are_not_what_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, invoke("orders-sweep", 1, "rule"))
    with pytest.raises(TimeoutError):
        Journal(path).settle(0, quiet=0.02, within=0.2)


def test_a_function_that_ends_the_chain_is_waited_for_however_quiet_it_is(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, invoke("commerce-local-orders-inbox", 1))
    with pytest.raises(TimeoutError, match="shipping-inbox"):
        Journal(path).settle(0, quiet=0.02, within=0.2, ran=["orders-inbox", "shipping-inbox"])
    write(path, invoke("commerce-local-shipping-inbox", 1))
    Journal(path).settle(0, quiet=0.02, within=5, ran=["orders-inbox", "shipping-inbox"])
