"""Event source mappings on DynamoDB streams: failures, retries, halving, the failure destination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import localcloud_kit as kit
from tools.localcloud.server import LocalCloud

pytestmark = pytest.mark.integration

# Sends what it was given, then fails as the records say: raise (all of the batch) or report (that record).
CONSUMING = """
import boto3, json, os
def handler(event, context):
    images = [r["dynamodb"]["NewImage"] for r in event["Records"]]
    names = [image["pk"]["S"] for image in images]
    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(names))
    if any(image.get("fails", {}).get("S") == "raise" for image in images):
        raise ValueError(names)
    reported = [
        {"itemIdentifier": r["dynamodb"]["SequenceNumber"]}
        for r in event["Records"] if r["dynamodb"]["NewImage"].get("fails", {}).get("S") == "report"
    ]
    return {"batchItemFailures": reported}
"""


class Stream:
    """A table whose stream a function consumes."""

    def __init__(self, cloud: LocalCloud, name: str, **settings: Any) -> None:
        self.cloud = cloud
        self.name = name
        tables = kit.client(cloud, "dynamodb")
        made = tables.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        self.seen_url, _ = kit.queue(cloud, f"{name}-seen")
        self.failed_url, failed = kit.queue(cloud, f"{name}-failed")
        function = kit.function(cloud, name, CONSUMING, Environment={"Variables": {"SEEN": self.seen_url}})
        # Written before the mapping exists, and read from the horizon: one batch, not as many as the clock allows.
        self._mapping = {
            "EventSourceArn": made["TableDescription"]["LatestStreamArn"],
            "FunctionName": function,
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 10,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "DestinationConfig": {"OnFailure": {"Destination": failed}},
            **settings,
        }
        self.batches: list[list[str]] = []

    def put(self, name: str, **attributes: str) -> None:
        item = {"pk": {"S": name}, **{key: {"S": value} for key, value in attributes.items()}}
        kit.client(self.cloud, "dynamodb").put_item(TableName=self.name, Item=item)

    def consume(self) -> None:
        kit.client(self.cloud, "lambda").create_event_source_mapping(**self._mapping)

    def seen(self, count: int) -> list[list[str]]:
        """The first batches the function was given, at least ``count`` if they come in time."""
        kit.until(lambda: self.batches.extend(kit.taken(self.cloud, self.seen_url)) or len(self.batches) >= count)
        return self.batches

    def names(self) -> list[str]:
        """Every record the function was given so far."""
        return [name for batch in self.batches for name in batch]

    def given_up(self) -> Any:
        """The record in the failure destination."""
        found: list[Any] = []
        kit.until(lambda: found.extend(kit.taken(self.cloud, self.failed_url)) or found)
        return found[0]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("streams"))
    cloud.start()
    yield cloud
    cloud.stop()


def test_goes_on_from_the_first_reported_failure_and_gives_up_after_the_retries(cloud: LocalCloud) -> None:
    stream = Stream(cloud, "reported", MaximumRetryAttempts=1, BisectBatchOnFunctionError=True)
    stream.put("a")
    stream.put("b", fails="report")
    stream.consume()
    assert stream.seen(2)[:2] == [["a", "b"], ["b"]]
    assert stream.given_up()["DDBStreamBatchInfo"]["batchSize"] == 1
    stream.put("c")
    assert stream.seen(3) == [["a", "b"], ["b"], ["c"]]


def test_halves_a_batch_that_raised_until_the_one_record_stands_alone(cloud: LocalCloud) -> None:
    stream = Stream(cloud, "halved", MaximumRetryAttempts=1, BisectBatchOnFunctionError=True)
    for name in ("a", "b"):
        stream.put(name)
    stream.put("c", fails="raise")
    stream.put("d")
    stream.consume()
    # Four, the first half (a, b: done), the rest, its half (c, twice: one attempt and one retry), and on.
    assert stream.seen(6) == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["c"], ["d"]]
    failed = stream.given_up()
    assert failed["requestContext"]["condition"] == "RetryAttemptsExhausted"


def test_gives_up_a_whole_batch_without_halving(cloud: LocalCloud) -> None:
    stream = Stream(cloud, "whole", MaximumRetryAttempts=0)
    stream.put("a")
    stream.put("b", fails="raise")
    stream.consume()
    assert stream.given_up()["DDBStreamBatchInfo"]["batchSize"] == 2
    stream.put("c")
    assert stream.seen(2) == [["a", "b"], ["c"]]


def test_filters_before_the_function(cloud: LocalCloud) -> None:
    pattern = json.dumps({"dynamodb": {"NewImage": {"outbox": {"S": [{"exists": True}]}}}})
    stream = Stream(cloud, "filtered", FilterCriteria={"Filters": [{"Pattern": pattern}]})
    stream.put("plain")
    stream.put("told", outbox="[]")
    stream.put("plain again")
    stream.consume()
    stream.put("told again", outbox="[]")
    kit.until(lambda: stream.batches.extend(kit.taken(cloud, stream.seen_url)) or len(stream.names()) >= 2)
    assert stream.names() == ["told", "told again"]


def test_without_the_mend_reported_failures_are_lost(tmp_path: Path) -> None:
    unmended = LocalCloud(tmp_path / "home", without=("streams",))
    unmended.start()
    try:
        stream = Stream(unmended, "lost")
        stream.put("a", fails="report")
        stream.consume()
        assert stream.seen(1) == [["a"]]
        stream.put("b")
        assert stream.seen(2) == [["a"], ["b"]]
    finally:
        unmended.stop()
