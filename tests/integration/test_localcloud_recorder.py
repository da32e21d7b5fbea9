"""What the recorder says, against what AWS's documentation says the calls cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration import localcloud_kit as kit
from tools.localcloud.recorder import LOG_EVENT_BYTES, SYSTEM_LOG
from tools.localcloud.server import LocalCloud

pytestmark = pytest.mark.integration

TABLE = "counted"
KB = 1024


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("recorder"))
    cloud.start()
    kit.client(cloud, "dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "state")],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "state", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    yield cloud
    cloud.stop()


class Counter:
    """Calls of DynamoDB with the units that the recorder wrote down for each."""

    def __init__(self, cloud: LocalCloud, partition: str) -> None:
        self._cloud = cloud
        self._tables = kit.client(cloud, "dynamodb")
        self._partition = partition

    def key(self, sk: str) -> dict[str, Any]:
        return {"pk": {"S": self._partition}, "sk": {"S": sk}}

    def item(self, sk: str, size: int = 100, **attributes: str) -> dict[str, Any]:
        text = {name: {"S": value} for name, value in attributes.items()}
        return {**self.key(sk), "content": {"S": "x" * size}, **text}

    def units(self, operation: str, **asked: Any) -> tuple[float, float]:
        """Read and write units of one call, refused or not."""
        before = len(kit.journal(self._cloud, kind="call", service="dynamodb"))
        refusals = (
            self._tables.exceptions.ConditionalCheckFailedException,
            self._tables.exceptions.TransactionCanceledException,
        )
        with contextlib.suppress(*refusals):
            getattr(self._tables, operation)(**asked)
        [line] = kit.journal(self._cloud, kind="call", service="dynamodb")[before:]
        counted = line["tables"][TABLE]
        return counted["read"], counted["write"]

    def one(self, operation: str, **asked: Any) -> tuple[float, float]:
        return self.units(operation, TableName=TABLE, **asked)


@pytest.fixture
def counter(cloud: LocalCloud, request: pytest.FixtureRequest) -> Counter:
    return Counter(cloud, request.node.name)


def test_a_write_is_charged_by_the_kilobyte_and_the_larger_of_before_and_after(counter: Counter) -> None:
    assert counter.one("put_item", Item=counter.item("a")) == (0, 1)
    assert counter.one("put_item", Item=counter.item("a", 2 * KB)) == (0, 3)
    assert counter.one("put_item", Item=counter.item("a")) == (0, 3)
    assert counter.one("delete_item", Key=counter.key("a")) == (0, 1)


def test_an_index_is_charged_when_its_view_changes(counter: Counter) -> None:
    assert counter.one("put_item", Item=counter.item("a", state="open")) == (0, 2)
    assert counter.one("put_item", Item=counter.item("a", state="open", more="text")) == (0, 1)
    assert counter.one("put_item", Item=counter.item("a", state="other")) == (0, 3)
    assert counter.one("put_item", Item=counter.item("a")) == (0, 2)


def test_a_read_is_charged_by_four_kilobytes(counter: Counter) -> None:
    counter.one("put_item", Item=counter.item("big", 9 * KB))
    assert counter.one("get_item", Key=counter.key("big")) == (1.5, 0)
    assert counter.one("get_item", Key=counter.key("big"), ConsistentRead=True) == (3, 0)
    assert counter.one("get_item", Key=counter.key("none")) == (0.5, 0)
    asked = {TABLE: {"Keys": [counter.key("big"), counter.key("none")]}}
    assert counter.units("batch_get_item", RequestItems=asked) == (2, 0)
    gets = [{"Get": {"TableName": TABLE, "Key": counter.key(name)}} for name in ("big", "none")]
    assert counter.units("transact_get_items", TransactItems=gets) == (8, 0)


def test_a_query_is_charged_for_what_it_reads_and_not_for_what_it_returns(counter: Counter) -> None:
    for name in ("a", "b", "c"):
        counter.one("put_item", Item=counter.item(name, 3 * KB))
    values = {":pk": counter.key("")["pk"]}
    asked = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values}
    assert counter.one("query", **asked) == (1.5, 0)
    assert counter.one("query", **asked, ProjectionExpression="sk") == (1.5, 0)
    filtered = {**asked, "ExpressionAttributeValues": {**values, ":none": {"S": "none"}}}
    assert counter.one("query", **filtered, FilterExpression="content = :none") == (1.5, 0)
    assert counter.one("query", **asked, Limit=1, ConsistentRead=True) == (1, 0)


def test_a_transaction_is_charged_twice_and_its_indexes_once(counter: Counter) -> None:
    counter.one("put_item", Item=counter.item("checked"))
    actions = [
        {"Put": {"TableName": TABLE, "Item": counter.item("put", state="open")}},
        {
            "ConditionCheck": {
                "TableName": TABLE,
                "Key": counter.key("checked"),
                "ConditionExpression": "attribute_exists(pk)",
            }
        },
    ]
    assert counter.units("transact_write_items", TransactItems=actions) == (0, 5)


def test_a_refused_condition_is_charged_all_the_same(counter: Counter) -> None:
    counter.one("put_item", Item=counter.item("a", 2 * KB))
    new = "attribute_not_exists(pk)"
    assert counter.one("put_item", Item=counter.item("a"), ConditionExpression=new) == (0, 3)
    put = {"TableName": TABLE, "Item": counter.item("a"), "ConditionExpression": new}
    other = {"TableName": TABLE, "Item": counter.item("b")}
    assert counter.units("transact_write_items", TransactItems=[{"Put": put}, {"Put": other}]) == (0, 8)


def test_a_repeated_transaction_is_charged_as_reads(counter: Counter) -> None:
    asked = {
        "TransactItems": [{"Put": {"TableName": TABLE, "Item": counter.item("a")}}],
        "ClientRequestToken": "token-1",
    }
    assert counter.units("transact_write_items", **asked) == (0, 2)
    read, write = counter.units("transact_write_items", **asked)
    assert (read > 0, write) == (True, 0)


def test_each_write_that_is_tried_is_told_by_its_partition_key(cloud: LocalCloud, counter: Counter) -> None:
    before = len(kit.journal(cloud, kind="call", service="dynamodb"))
    mine = counter.item("a")
    new = "attribute_not_exists(pk)"
    counter.one("put_item", Item=mine)
    counter.one("put_item", Item=mine, ConditionExpression=new)
    counter.one("get_item", Key=counter.key("a"))
    refused = {"Put": {"TableName": TABLE, "Item": mine, "ConditionExpression": new}}
    other = {"Put": {"TableName": TABLE, "Item": {**mine, "pk": {"S": "other"}}}}
    counter.units("transact_write_items", TransactItems=[refused, other])
    counter.units("batch_write_item", RequestItems={TABLE: [{"DeleteRequest": {"Key": counter.key("a")}}]})
    counter.one("delete_item", Key=counter.key("a"))
    lines = kit.journal(cloud, kind="call", service="dynamodb")[before:]
    name = mine["pk"]["S"]
    assert [line.get("writes", {}).get(TABLE) for line in lines] == [
        [name],
        [name],
        None,
        [name, "other"],
        [name],
        [name],
    ]


def test_a_caller_sees_capacity_only_if_it_asked(cloud: LocalCloud, counter: Counter) -> None:
    tables = kit.client(cloud, "dynamodb")
    assert "ConsumedCapacity" not in tables.put_item(TableName=TABLE, Item=counter.item("a"))
    asked = tables.put_item(TableName=TABLE, Item=counter.item("a"), ReturnConsumedCapacity="INDEXES")
    assert asked["ConsumedCapacity"]["Table"]["CapacityUnits"] == 1


FAILING_ONCE = """
class Busy(Exception):
    pass
tries = []
def handler(event, context):
    tries.append(1)
    if len(tries) == 1:
        raise Busy
"""


def test_transitions_are_starts_states_and_retries(cloud: LocalCloud) -> None:
    function = kit.function(cloud, "failing-once", FAILING_ONCE)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function},
        "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 1}],
        "Next": "End",
    }
    execution = kit.execution(cloud, "counted", {"Try": task, "End": {"Type": "Succeed"}})
    assert kit.ended(cloud, execution)["status"] == "SUCCEEDED"
    lines = kit.journal(cloud, kind="transition", execution="counted")
    assert [(line["of"], line["state"]) for line in lines] == [
        ("start", ""),
        ("state", "Try"),
        ("retry", ""),
        ("state", "End"),
        ("end", ""),
    ]
    assert {line["type"] for line in lines} == {"STANDARD"}
    invoked = kit.journal(cloud, kind="invoke", function="failing-once")
    assert [(line["source"], line["error"]) for line in invoked] == [("task", "Busy"), ("task", None)]


def test_an_express_execution_is_told_apart_and_timed(cloud: LocalCloud) -> None:
    machines = kit.client(cloud, "stepfunctions")
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Wait",
        "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}},
    }
    made = machines.create_state_machine(
        name="quick", roleArn=kit.ROLE, definition=json.dumps(definition), type="EXPRESS"
    )
    kit.ended(cloud, machines.start_execution(stateMachineArn=made["stateMachineArn"], name="once")["executionArn"])
    lines = kit.journal(cloud, kind="transition", execution="once")
    assert [(line["type"], line["of"]) for line in lines] == [("EXPRESS", of) for of in ("start", "state", "end")]
    assert 900 <= lines[-1]["ms"] < 5000


TALKING = """
def handler(event, context):
    print("one line")
    print("another one")
"""


def test_what_a_function_logs_is_counted_with_what_lambda_adds(cloud: LocalCloud) -> None:
    functions = kit.client(cloud, "lambda")
    own = len("one line") + len("another one") + 2 * LOG_EVENT_BYTES
    kit.function(cloud, "talking", TALKING)
    functions.invoke(FunctionName="talking")
    functions.update_function_configuration(
        FunctionName="talking", LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"}
    )
    functions.invoke(FunctionName="talking")
    all_of_them, own_alone = (line["log"] for line in kit.journal(cloud, kind="invoke", function="talking"))
    assert own_alone == own
    assert all_of_them == own + sum(len(line) + LOG_EVENT_BYTES for line in SYSTEM_LOG)


def test_an_event_a_delivery_and_a_batch_are_counted(cloud: LocalCloud) -> None:
    url, arn = kit.queue(cloud, "worked-off")
    functions, events = kit.client(cloud, "lambda"), kit.client(cloud, "events")
    worker = kit.function(cloud, "working", "def handler(event, context):\n    pass\n")
    functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=worker, BatchSize=10)
    events.create_event_bus(Name="commerce")
    events.put_rule(Name="placed", EventBusName="commerce", EventPattern=json.dumps({"detail-type": ["OrderPlaced"]}))
    events.put_targets(Rule="placed", EventBusName="commerce", Targets=[{"Id": "queue", "Arn": arn}])
    entry = {"EventBusName": "commerce", "Source": "commerce.orders", "Detail": "{}"}
    events.put_events(Entries=[{**entry, "DetailType": "OrderPlaced"}, {**entry, "DetailType": "OrderAccepted"}])
    assert kit.until(lambda: kit.journal(cloud, kind="invoke", function="working"))

    [put] = kit.journal(cloud, kind="call", service="events", action="PutEvents")
    assert put["entries"] == 2
    [delivery] = kit.journal(cloud, kind="delivery", bus="commerce")
    assert (delivery["rule"], delivery["target"], delivery["target_name"]) == ("placed", "sqs", "worked-off")
    assert delivery["detail_type"] == "OrderPlaced"
    requests = kit.journal(cloud, kind="queue", queue="worked-off")
    assert [(line["why"], line["requests"], line["messages"]) for line in requests] == [
        ("rule", 1, 1),
        ("mapping", 2, 1),
    ]
    [invoked] = kit.journal(cloud, kind="invoke", function="working")
    assert (invoked["source"], invoked["records"]) == ("sqs", 1)
    assert url.endswith("worked-off")
