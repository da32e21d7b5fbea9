"""The AWS in memory answers every call of a simulated run as moto does."""

from __future__ import annotations

import json

import boto3
import pytest
from moto.events.models import EventPattern

from commerce.events import EVENTS
from tests.simulated import Call, calls_of, differences, make_tables
from tools.sim import wiring
from tools.sim.cloud import Cloud, failure, matches

pytestmark = pytest.mark.integration

SEEDS = range(9, 60)
"""The first of these in which orders fight for the same pieces, so that transactions are cancelled, is compared."""


def refused(calls: list[Call]) -> set[str]:
    return {told[0] for _, _, _, told in calls if isinstance(told, tuple)}


def test_dynamodb_answers_each_call_as_moto_does(aws: None) -> None:
    runs = (calls_of(seed, frozenset({"dynamodb"})) for seed in SEEDS)
    calls = next(run for run in runs if "TransactionCanceledException" in refused(run))
    assert len(calls) > 1000
    assert {action for _, action, _, _ in calls} == {
        "get_item", "batch_get_item", "query", "put_item", "update_item", "delete_item", "batch_write_item",
        "transact_write_items",
    }  # fmt: skip
    assert refused(calls) == {"ConditionalCheckFailedException", "TransactionCanceledException"}
    client = boto3.client("dynamodb")
    make_tables(client)
    assert differences(client, calls) == []


@pytest.mark.parametrize("rule", wiring.load().rules, ids=lambda rule: rule.name)
def test_an_event_matches_the_rules_that_moto_says_it_matches(rule: wiring.Rule) -> None:
    theirs = EventPattern.load(json.dumps(rule.pattern))
    sources = {event.source() for event in EVENTS.values()} | {"carrier.generic", "carrier", "commerce"}
    for name in [*EVENTS, "ScanReported", "Unknown"]:
        for source in sources:
            event = {"source": source, "detail-type": name, "detail": {}}
            assert matches(rule.pattern, event) == theirs.matches_event(event), event


def test_a_key_opens_what_it_wrapped_for_the_same_context_only() -> None:
    cloud = Cloud({}, (), lambda: 0.0, lambda *_: None, lambda *_: None, lambda *_: None, "secret")
    about = {"KeyId": "key", "EncryptionContext": {"subject": "a"}}
    made = cloud.perform("kms", "generate_data_key", {**about, "KeySpec": "AES_256"})
    blob = {"CiphertextBlob": made["CiphertextBlob"]}
    assert cloud.perform("kms", "decrypt", {**about, **blob})["Plaintext"] == made["Plaintext"]
    with pytest.raises(type(failure("InvalidCiphertextException"))):
        cloud.perform("kms", "decrypt", {"KeyId": "key", "EncryptionContext": {"subject": "b"}, **blob})


def test_a_mac_holds_for_its_message_and_key_only() -> None:
    cloud = Cloud({}, (), lambda: 0.0, lambda *_: None, lambda *_: None, lambda *_: None, "secret")
    asked = {"KeyId": "key", "MacAlgorithm": "HMAC_SHA_256", "Message": b"text"}
    mac = cloud.perform("kms", "generate_mac", asked)["Mac"]
    assert cloud.perform("kms", "verify_mac", {**asked, "Mac": mac})["MacValid"]
    with pytest.raises(type(failure("KMSInvalidMacException"))):
        cloud.perform("kms", "verify_mac", {**asked, "Message": b"other", "Mac": mac})
