"""What a simulated run asks of AWS, for comparing the AWS in memory with others, call by call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools.sim import wiring
from tools.sim.cloud import Cloud
from tools.sim.faults import Fault, Kind
from tools.sim.run import play

Call = tuple[str, str, dict[str, Any], Any]
"""Service, action, request, and what came of it: the answer, or the error as (code, what it says of items)."""


def calls_of(seed: int, services: frozenset[str]) -> list[Call]:
    """Return every call of a run in the order in which they were made.

    Messages come twice and answers are lost in it, so that conditions fail and transactions are cancelled.
    """
    seen: list[Call] = []
    connected = wiring.load()
    twice = [Fault(Kind.DUPLICATE, queue, number) for queue in connected.queues for number in range(1, 9)]
    lost = [
        Fault(Kind.LOST_RESPONSE, f"{function}/{action}", number)
        for function in connected.functions
        for action in ("put_item", "update_item", "delete_item")
        for number in (1, 2)
    ]
    with recording(seen, services):
        outcome = play(connected, seed, [*twice, *lost])
    assert outcome.findings == ()
    return seen


@contextmanager
def recording(seen: list[Call], services: frozenset[str]) -> Iterator[None]:
    perform = Cloud.perform

    def noted(self: Cloud, service: str, action: str, request: Mapping[str, Any], **options: Any) -> Any:
        if service not in services:
            return perform(self, service, action, request, **options)
        asked = {name: value for name, value in request.items() if name != "ClientRequestToken"}
        try:
            answer = perform(self, service, action, request, **options)
        except ClientError as error:
            seen.append((service, action, asked, told(error)))
            raise
        seen.append((service, action, asked, normal(action, answer)))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cloud, "perform", noted)
        yield


def told(error: ClientError) -> tuple[str, Any]:
    """Return an error's code, and what it says of the items that stood in the way."""
    answer: Any = error.response
    reasons = [(one["Code"], plain(one.get("Item"))) for one in answer.get("CancellationReasons", ())]
    return answer["Error"]["Code"], reasons or plain(answer.get("Item"))


def normal(action: str, answer: Mapping[str, Any]) -> Any:
    """Return what an answer says: without metadata, and the items of a batch in an order of their own."""
    if action == "batch_get_item":
        found = [plain(item) for items in answer["Responses"].values() for item in items]
        return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    kept = ("Item", "Items", "Attributes", "LastEvaluatedKey")
    return {name: plain(answer[name]) for name in kept if answer.get(name)}


def plain(value: Any) -> Any:
    """Return a value in DynamoDB's JSON with numbers in one form and binaries as bytes."""
    if isinstance(value, dict):
        if value.keys() == {"N"}:
            return {"N": str(int(value["N"]))}
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def make_tables(client: Any, prefix: str = "commerce-test-") -> None:
    """Create the stage's tables, with their indexes."""
    for table in wiring.load().tables.values():
        names = {"pk", "sk"} | {key for one in table.indexes.values() for key in (one.partition, one.sort)}
        more: dict[str, Any] = {}
        if table.indexes:
            more["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": name,
                    "KeySchema": _keys(one.partition, one.sort),
                    "Projection": (
                        {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(one.includes)}
                        if one.includes
                        else {"ProjectionType": "KEYS_ONLY"}
                    ),
                }
                for name, one in table.indexes.items()
            ]
        client.create_table(
            TableName=f"{prefix}{table.name}",
            KeySchema=_keys("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in sorted(names)],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )


def differences(client: Any, calls: list[Call], prefix: str = "commerce-test-") -> list[str]:
    """Make every DynamoDB call again with ``client`` and say where the answers differ."""
    differing = []
    for at, (_, action, request, expected) in enumerate(calls):
        asked = json.loads(json.dumps(request, default=_hex).replace("commerce-test-", prefix), object_hook=_unhex)
        try:
            found: Any = normal(action, getattr(client, action)(**asked))
        except ClientError as error:
            found = told(error)
        if found != expected:
            differing.append(
                f"call {at}, {action} {json.dumps(request, default=_hex)[:600]}: {found} and not {expected}"
            )
    return differing


def _hex(value: Any) -> Any:
    return {"__hex__": bytes(value).hex()}


def _unhex(found: dict[str, Any]) -> Any:
    return bytes.fromhex(found["__hex__"]) if found.keys() == {"__hex__"} else found


def _keys(partition: str, sort: str) -> list[Any]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
