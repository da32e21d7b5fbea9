"""Each mend of the emulator: that it works, and that it is needed (red once upstream has mended it: remove it then)."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration import localcloud_kit as kit
from tools.localcloud.mends import MENDS
from tools.localcloud.server import LocalCloud

pytestmark = pytest.mark.integration

ENVIRONMENTS = 2

RAISING = """
import os
class StockShort(Exception):
    pass
def handler(event, context):
    if event.get("raise"):
        raise StockShort("three are missing")
    return os.getpid()
"""


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("mended"), minute=1.0, environments=ENVIRONMENTS)
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture
def without(tmp_path: Path) -> Iterator[Callable[..., LocalCloud]]:
    """Starts an emulator without the named mends."""
    clouds = []

    def start(*names: str) -> LocalCloud:
        cloud = LocalCloud(tmp_path / "-".join(names), environments=ENVIRONMENTS, without=names)
        clouds.append(cloud)
        cloud.start()
        return cloud

    yield start
    for cloud in clouds:
        cloud.stop()


def test_every_mend_is_shown() -> None:
    shown = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_localcloud_*.py"))
    assert [mend.name for mend in MENDS if f'"{mend.name}"' not in shown] == []


# ---- what functions count, and alarms on it ------------------------------------------------------------------------

COUNTING = """
import json
def handler(event, context):
    told = {"Namespace": "shop", "Dimensions": [["service"]], "Metrics": [{"Name": "Sold", "Unit": "Count"}]}
    print(json.dumps({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [told]}, "service": event["of"], "Sold": [2.0, 3]}))
    print('a line with "_aws" in it')
"""


def alarm(cloud: LocalCloud, name: str, of: str, absent: str = "notBreaching") -> None:
    kit.client(cloud, "cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="shop",
        MetricName="Sold",
        Dimensions=[{"Name": "service", "Value": of}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=4,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData=absent,
    )


def states(cloud: LocalCloud) -> dict[str, str]:
    found = kit.client(cloud, "cloudwatch").describe_alarms()["MetricAlarms"]
    return {one["AlarmName"]: one["StateValue"] for one in found}


def counts(cloud: LocalCloud) -> list[float]:
    now = datetime.now(UTC)
    asked = {
        "Id": "sold",
        "MetricStat": {
            "Metric": {"Namespace": "shop", "MetricName": "Sold", "Dimensions": [{"Name": "service", "Value": "hats"}]},
            "Period": 60,
            "Stat": "Sum",
        },
    }
    answer = kit.client(cloud, "cloudwatch").get_metric_data(
        MetricDataQueries=[asked], StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5)
    )
    values: list[float] = answer["MetricDataResults"][0]["Values"]
    return values


def test_what_a_function_counts_in_its_log_is_a_metric_and_raises_the_alarm_on_it_alone(mended: LocalCloud) -> None:
    kit.function(mended, "counting", COUNTING)
    for name, of, absent in (
        ("hats", "hats", "notBreaching"),
        ("shoes", "shoes", "notBreaching"),
        ("dead", "shoes", "breaching"),
        ("as-before", "shoes", "ignore"),
    ):
        alarm(mended, name, of, absent)
    before = {"hats": "OK", "shoes": "OK", "dead": "ALARM", "as-before": "INSUFFICIENT_DATA"}
    assert states(mended) == before
    kit.invoke(mended, "counting", {"of": "hats"})
    assert kit.until(lambda: sum(counts(mended)) == 5)
    assert states(mended) == before | {"hats": "ALARM"}


def test_without_the_mends_nothing_is_counted_and_no_alarm_looks(without: Callable[..., LocalCloud]) -> None:
    cloud = without("embedded_metrics", "alarms_looked_at")
    kit.function(cloud, "counting", COUNTING)
    kit.invoke(cloud, "counting", {"of": "hats"})
    assert sum(counts(cloud)) == 0
    alarm(cloud, "hats", "hats")
    first = states(cloud)
    data = [{"MetricName": "Sold", "Dimensions": [{"Name": "service", "Value": "hats"}], "Value": 9}]
    kit.client(cloud, "cloudwatch").put_metric_data(Namespace="shop", MetricData=data)
    assert (first, states(cloud)) == ({"hats": "OK"}, {"hats": "ALARM"}), "it looks when a client puts data"
    kit.client(cloud, "cloudwatch").set_alarm_state(AlarmName="hats", StateValue="OK", StateReason="by hand")
    assert states(cloud) == {"hats": "OK"}


def test_without_the_mend_an_alarm_is_on_all_metrics_of_a_name(without: Callable[..., LocalCloud]) -> None:
    cloud = without("alarm_of_its_dimensions")
    alarm(cloud, "shoes", "shoes", "breaching")
    assert states(cloud) == {"shoes": "INSUFFICIENT_DATA"}
    data = [{"MetricName": "Sold", "Dimensions": [{"Name": "service", "Value": "hats"}], "Value": 9}]
    kit.client(cloud, "cloudwatch").put_metric_data(Namespace="shop", MetricData=data)
    assert states(cloud) == {"shoes": "ALARM"}


# ---- what a function's exception is called -------------------------------------------------------------------------


def test_an_exception_keeps_its_name_and_its_environment(mended: LocalCloud) -> None:
    kit.function(mended, "raising", RAISING)
    before = kit.invoke(mended, "raising")
    answer = kit.invoke(mended, "raising", {"raise": True})
    assert (answer["errorType"], answer["errorMessage"]) == ("StockShort", "three are missing")
    assert any("index.py" in line for line in answer["stackTrace"])
    assert kit.invoke(mended, "raising") == before


def test_without_the_mend_the_name_is_lost(without: Callable[..., LocalCloud]) -> None:
    cloud = without("error_type_in_worker", "error_type_in_answer")
    kit.function(cloud, "raising", RAISING)
    before = kit.invoke(cloud, "raising")
    assert kit.invoke(cloud, "raising", {"raise": True})["errorType"] == "Runtime.HandlerError"
    assert kit.invoke(cloud, "raising") != before


# ---- a callback task whose function raises -------------------------------------------------------------------------


def waiting(function: str, payload: dict[str, Any], timeout: int = 60) -> dict[str, Any]:
    return {
        "Wait": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Arguments": {"FunctionName": function, "Payload": payload},
            "TimeoutSeconds": timeout,
            "End": True,
        }
    }


def test_a_callback_task_fails_with_its_function(mended: LocalCloud) -> None:
    function = kit.function(mended, "callback-raising", RAISING)
    execution = kit.ended(mended, kit.execution(mended, "callback", waiting(function, {"raise": True})))
    assert (execution["status"], execution["error"]) == ("FAILED", "StockShort")


def test_without_the_mend_a_callback_task_waits_out_its_time(without: Callable[..., LocalCloud]) -> None:
    cloud = without("callback_task_fails")
    function = kit.function(cloud, "callback-raising", RAISING)
    execution = kit.execution(cloud, "callback", waiting(function, {"raise": True}, timeout=4))
    assert kit.until(lambda: kit.journal(cloud, kind="invoke", function="callback-raising"))
    assert kit.ended(cloud, execution, 1.0)["status"] == "RUNNING"
    assert kit.ended(cloud, execution)["error"] == "States.Timeout"


# ---- the length of a task token ------------------------------------------------------------------------------------

TELLING = """
def handler(event, context):
    raise ValueError(str(len(event["token"])))
"""


def token_length(cloud: LocalCloud) -> int:
    function = kit.function(cloud, "telling", TELLING)
    states = waiting(function, {"token": "{% $states.context.Task.Token %}"})
    return int(json.loads(kit.ended(cloud, kit.execution(cloud, "token", states))["cause"])["errorMessage"])


def test_a_task_token_is_as_long_as_on_aws(mended: LocalCloud) -> None:
    assert token_length(mended) == 1024


def test_without_the_mend_a_task_token_is_short(without: Callable[..., LocalCloud]) -> None:
    assert token_length(without("task_token_length")) < 100


# ---- what a state passed to its task -------------------------------------------------------------------------------


def scheduled(cloud: LocalCloud) -> dict[str, Any]:
    function = kit.function(cloud, "scheduled", TELLING)
    execution = kit.execution(cloud, "scheduled", waiting(function, {"token": "{% $states.context.Task.Token %}"}))
    kit.ended(cloud, execution)
    history = kit.client(cloud, "stepfunctions").get_execution_history(executionArn=execution)["events"]
    details: dict[str, Any] = next(
        one["taskScheduledEventDetails"] for one in history if one["type"] == "TaskScheduled"
    )
    return details


def test_the_history_has_what_a_state_passed_to_its_task(mended: LocalCloud) -> None:
    assert len(json.loads(scheduled(mended)["parameters"])["Payload"]["token"]) == 1024


def test_without_the_mend_the_history_has_no_task_input(without: Callable[..., LocalCloud]) -> None:
    assert "parameters" not in scheduled(without("task_input_in_history"))


# ---- who made a call -----------------------------------------------------------------------------------------------

CALLING = """
import boto3
def handler(event, context):
    boto3.client("sqs").list_queues()
"""


def test_a_recorded_call_names_its_function(mended: LocalCloud) -> None:
    kit.function(mended, "calling", CALLING)
    kit.invoke(mended, "calling")
    assert [line["by"] for line in kit.journal(mended, kind="call", action="ListQueues")] == ["calling"]


def test_without_the_mend_a_call_has_no_name(without: Callable[..., LocalCloud]) -> None:
    cloud = without("caller_in_user_agent")
    kit.function(cloud, "calling", CALLING)
    kit.invoke(cloud, "calling")
    assert [line["by"] for line in kit.journal(cloud, kind="call", action="ListQueues")] == ["client"]


# ---- how long the end of a log is waited for -----------------------------------------------------------------------

SILENT = "def handler(event, context):\n    pass\n"
TALKING = "def handler(event, context):\n    print('said', event['n'])\n"
UPSTREAM_WAIT_MS = 50


def quickest(cloud: LocalCloud) -> int:
    """The shortest of some invocations in ms: what none of them can do without."""
    kit.function(cloud, "silent", SILENT)
    for _ in range(20):
        kit.invoke(cloud, "silent")
    return min(line["ms"] for line in kit.journal(cloud, kind="invoke", function="silent"))


def test_a_silent_function_is_not_waited_for(mended: LocalCloud) -> None:
    assert quickest(mended) < UPSTREAM_WAIT_MS


def test_without_the_mend_every_silent_invocation_is_waited_for(without: Callable[..., LocalCloud]) -> None:
    assert quickest(without("end_of_log_in_worker", "end_of_log_awaited")) >= UPSTREAM_WAIT_MS


def test_what_a_function_prints_is_in_the_log_of_its_invocation(mended: LocalCloud) -> None:
    kit.function(mended, "talking", TALKING)
    for n in range(3):
        kit.invoke(mended, "talking", {"n": n})
    events = kit.client(mended, "logs").filter_log_events(logGroupName="/aws/lambda/talking")["events"]
    kinds = [event["message"].split(" RequestId")[0] for event in events]
    assert kinds == [word for n in range(3) for word in ("START", f"said {n}", "END", "REPORT")]


# ---- an answer without a body --------------------------------------------------------------------------------------

UNCHANGED = """
def handler(event, context):
    return {"statusCode": 304, "headers": {"etag": "1"}, "body": None}
"""


def asked(cloud: LocalCloud, name: str, code: str, **stage: Any) -> httpx.Response:
    """Deploy a function behind an HTTP API and ask for its one route."""
    arn = kit.function(cloud, name, code)
    gateway = kit.client(cloud, "apigatewayv2")
    api = gateway.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    proxy = {"IntegrationType": "AWS_PROXY", "IntegrationUri": arn, "PayloadFormatVersion": "2.0"}
    target = gateway.create_integration(ApiId=api, **proxy)["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="GET /thing", Target=f"integrations/{target}")
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True, **stage)
    return httpx.get(f"{cloud.endpoint}/_aws/execute-api/{api}/thing", timeout=20)


def test_an_answer_may_have_no_body(mended: LocalCloud) -> None:
    assert asked(mended, "unchanged", UNCHANGED).status_code == 304


def test_without_the_mend_an_answer_without_a_body_is_an_error(without: Callable[..., LocalCloud]) -> None:
    assert asked(without("no_body_is_empty"), "unchanged", UNCHANGED).status_code == 500


# ---- variables of an API's stage -----------------------------------------------------------------------------------

SHOWING = """
import json
def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event.get("stageVariables"))}
"""
TOLD = {"StageVariables": {"originDigests": "0a,0b"}}


def test_a_function_is_told_the_variables_of_its_stage_if_there_are_any(mended: LocalCloud) -> None:
    assert asked(mended, "showing", SHOWING, **TOLD).json() == {"originDigests": "0a,0b"}
    assert asked(mended, "showing-nothing", SHOWING).json() is None


def test_without_the_mend_a_function_is_told_no_variables(without: Callable[..., LocalCloud]) -> None:
    assert asked(without("stage_variables_in_event"), "showing", SHOWING, **TOLD).json() is None


# ---- where a layer lies --------------------------------------------------------------------------------------------

FINDING = "import shared\n\ndef handler(event, context):\n    return shared.__file__\n"


def layer_places(cloud: LocalCloud) -> set[str]:
    content = {"ZipFile": kit.archive({"python/shared.py": ""})}
    layer = kit.client(cloud, "lambda").publish_layer_version(LayerName="shared", Content=content)["LayerVersionArn"]
    names = ("finding-one", "finding-two")
    for name in names:
        kit.function(cloud, name, FINDING, Layers=[layer])
    return {kit.invoke(cloud, name) for name in names}


def test_a_layer_is_unpacked_once(mended: LocalCloud) -> None:
    assert len(layer_places(mended)) == 1


def test_without_the_mend_a_layer_is_unpacked_for_each(without: Callable[..., LocalCloud]) -> None:
    assert len(layer_places(without("layer_unpacked_once"))) == 2


# ---- schedules and environments ------------------------------------------------------------------------------------


def test_a_minute_of_a_schedule_is_as_long_as_set(mended: LocalCloud) -> None:
    url, arn = kit.queue(mended, "ticks")
    events = kit.client(mended, "events")
    events.put_rule(Name="every-minute", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule="every-minute", Targets=[{"Id": "ticks", "Arn": arn}])
    ticks: list[Any] = []
    assert kit.until(lambda: ticks.extend(kit.taken(mended, url)) or len(ticks) >= 2, 20.0)
    assert {tick["detail-type"] for tick in ticks} == {"Scheduled Event"}


SLOW = "import os, time\n\ndef handler(event, context):\n    time.sleep(0.2)\n    return os.getpid()\n"


def test_a_function_has_no_more_environments_than_set(mended: LocalCloud) -> None:
    kit.function(mended, "slow", SLOW)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        processes = set(pool.map(lambda _: kit.invoke(mended, "slow"), range(6)))
    assert len(processes) == ENVIRONMENTS


def test_a_dead_letter_queue_gives_its_messages_back(mended: LocalCloud, without: Callable[..., LocalCloud]) -> None:
    def queue_pair(cloud: LocalCloud) -> tuple[Any, str, str]:
        sqs = kit.client(cloud, "sqs")
        urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("moved", "moved-dlq")]
        arns = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"] for url in urls]
        sqs.send_message(QueueUrl=urls[1], MessageBody="lost")
        task = {"SourceArn": arns[1]["QueueArn"], "DestinationArn": arns[0]["QueueArn"]}
        return sqs, urls[0], json.dumps(task)

    sqs, source, task = queue_pair(mended)
    assert sqs.start_message_move_task(**json.loads(task))["TaskHandle"]
    assert sqs.receive_message(QueueUrl=source)["Messages"][0]["Body"] == "lost"
    sqs, _, task = queue_pair(without("message_moves"))
    with pytest.raises(sqs.exceptions.ClientError, match="InvalidAction"):
        sqs.start_message_move_task(**json.loads(task))


# ---- replays of an archive -----------------------------------------------------------------------------------------


def replayed(cloud: LocalCloud, name: str) -> dict[str, list[Any]]:
    """Put an event on an archived bus, replay it to one of two rules, and return what each rule's queue has got."""
    events = kit.client(cloud, "events")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    events.create_archive(ArchiveName=name, EventSourceArn=bus)
    rules, urls = {}, {}
    for rule in ("live", "own"):
        url, arn = kit.queue(cloud, f"{name}-{rule}")
        pattern = json.dumps({"source": ["shop"]})
        rules[rule] = events.put_rule(Name=f"{name}-{rule}", EventBusName=name, EventPattern=pattern)["RuleArn"]
        events.put_targets(Rule=f"{name}-{rule}", EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
        urls[rule] = url
    entry = {"EventBusName": name, "Source": "shop", "DetailType": "Told", "Detail": "{}"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    for url in urls.values():
        assert kit.until(lambda url=url: kit.taken(cloud, url))
    now = datetime.now(UTC)
    events.start_replay(
        ReplayName=name,
        EventSourceArn=events.describe_archive(ArchiveName=name)["ArchiveArn"],
        EventStartTime=now - timedelta(hours=1),
        EventEndTime=now + timedelta(hours=1),
        Destination={"Arn": bus, "FilterArns": [rules["own"]]},
    )
    assert kit.until(lambda: events.describe_replay(ReplayName=name)["State"] == "COMPLETED")
    return {rule: kit.taken(cloud, url) for rule, url in urls.items()}


def test_a_replay_goes_only_to_the_rules_that_it_names(mended: LocalCloud) -> None:
    got = replayed(mended, "replayed")
    assert [event["replay-name"] for event in got["own"]] == ["replayed"]
    assert got["live"] == []


def test_without_the_mends_every_rule_hears_a_replay(without: Callable[..., LocalCloud]) -> None:
    got = replayed(without("replay_is_filtered", "replay_filter_is_kept"), "unfiltered")
    assert len(got["live"]) == 1
