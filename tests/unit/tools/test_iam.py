"""Comparing rights that are held with rights that were made use of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import iam
from tools.iam import Right

pytestmark = pytest.mark.unit

QUEUE, TABLE = "arn:aws:sqs:r:a:commerce-test-x-dlq", "arn:aws:dynamodb:r:a:table/t"


def test_a_right_covers_its_own_resource_and_what_its_pattern_fits() -> None:
    held = Right("ops", "sqs:SendMessage", "arn:aws:sqs:r:a:commerce-test-*")
    assert held.covers(Right("ops", "sqs:SendMessage", QUEUE))
    assert not held.covers(Right("ops", "sqs:DeleteMessage", QUEUE))
    assert not held.covers(Right("api", "sqs:SendMessage", QUEUE))
    assert not held.covers(Right("ops", "sqs:SendMessage", QUEUE.replace("commerce", "other")))


def test_a_right_that_nothing_made_use_of_is_named_unless_it_is_explained() -> None:
    get, put = (Right("orders-api", f"dynamodb:{name}", TABLE) for name in ("GetItem", "PutItem"))
    log = Right("orders-api", "logs:PutLogEvents", "arn:aws:logs:r:a:log-group:g:*")
    assert iam.unused([get, put, log], [get]) == [put]
    assert iam.unused([get, put, log], [get, put]) == []


def test_an_entry_that_fits_no_right_is_named() -> None:
    log = Right("orders-api", "logs:PutLogEvents", "*")
    assert ("*", "logs:*") not in iam.needless([log])
    assert ("*", "xray:*") in iam.needless([log])


def test_decisions_are_read_in_their_order_without_the_stages_prefix(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    lines = [
        {"t": 1, "kind": "call", "service": "sqs", "action": "SendMessage", "by": "client", "status": 200},
        {"t": 2, "kind": "right", "by": "commerce-test-b", "action": "x:B", "resource": "r", "allowed": True},
        {"t": 3, "kind": "right", "by": "commerce-test-a", "action": "x:A", "resource": "r", "allowed": True},
        {"t": 4, "kind": "right", "by": "commerce-test-a", "action": "x:C", "resource": "r", "allowed": False},
    ]
    journal.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    allowed, refused = iam.decisions(journal, "test")
    assert allowed == [Right("b", "x:B", "r"), Right("a", "x:A", "r")]
    assert refused == [Right("a", "x:C", "r")]


def test_an_action_is_taken_out_of_every_statement_and_empty_statements_go() -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["x:A", "x:B"], "Resource": "r"},
            {"Effect": "Allow", "Action": "x:A", "Resource": "s"},
        ],
    }
    assert iam._less(document, "x:A")["Statement"] == [{"Effect": "Allow", "Action": ["x:B"], "Resource": "r"}]
