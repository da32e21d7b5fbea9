"""Alarms and dashboards: on metrics that are published, of things that are there, with a runbook, and none missing."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from commerce.access import ROUTES
from commerce.events import EVENTS
from commerce.figures import NAMESPACE, Figure
from infra.names import CONTEXTS
from infra.tables import TABLES
from infra.troubles import RUNBOOKS, Trouble
from tests.infra.templates import ROOT, Synthesised, flat

pytestmark = pytest.mark.infra

PUBLISHED: Mapping[str, Mapping[str, Any]] = json.loads(
    (ROOT / "tests/infra/published_metrics.json").read_text(encoding="utf-8")
)
"""Namespace -> metric -> with which dimensions, when and how AWS publishes it; ``source`` is AWS's page about it."""

SWEPT = {
    Figure.ORDERS_ACCEPTED,
    Figure.ORDERS_SILENT,
    Figure.ORDERS_STARTED,
    Figure.ORDERS_STUCK,
    Figure.ORDERS_FAILED,
    Figure.LONGEST_DISPATCH_WAIT,
    Figure.LONGEST_DELIVERY_WAIT,
    Figure.ERASURES_ERASED,
    Figure.ERASURES_WAITING,
    Figure.ERASURES_LATE,
    Figure.ERASURES_FAILED,
    Figure.HALF_DONE,
    Figure.LONGEST_REPLENISHMENT,
    Figure.RETURNS_DUE,
}
"""Figures that a sweep publishes each time; the others are counted when it happens."""

MISSING = {"with activity": "notBreaching", "when not zero": "notBreaching", "a state, at times": "ignore"}
"""When a metric is published -> what an alarm on too much of it makes of no data."""

DOLLARS = {"AWS::CloudWatch::Alarm": 0.10, "AWS::CloudWatch::CompositeAlarm": 0.50, "AWS::CloudWatch::Dashboard": 3.0}
"""A month; an alarm on an expression costs as much as one on each of its metrics."""


@dataclass(frozen=True)
class Metric:
    """A metric as an alarm or a widget names it."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int


@dataclass(frozen=True)
class Alarm:
    stack: str
    properties: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.properties["AlarmName"])

    @property
    def trouble(self) -> str:
        return str(self.properties["AlarmDescription"]).rpartition("#")[2]

    @property
    def metrics(self) -> list[Metric]:
        if "Metrics" not in self.properties:
            return [metric_of(self.properties, self.properties)]
        stats = [one["MetricStat"] for one in self.properties["Metrics"] if "MetricStat" in one]
        return [metric_of(one["Metric"], one) for one in stats]


def metric_of(of: Mapping[str, Any], how: Mapping[str, Any]) -> Metric:
    dimensions = {one["Name"]: flat(one["Value"]) for one in of.get("Dimensions", [])}
    statistic = how.get("Statistic") or how.get("ExtendedStatistic") or how["Stat"]
    return Metric(of["Namespace"], of["MetricName"], dimensions, statistic, how["Period"])


def alarms(synthesised: Synthesised) -> list[Alarm]:
    return [Alarm(stack, alarm["Properties"]) for stack, _, alarm in synthesised.resources("AWS::CloudWatch::Alarm")]


def boards(synthesised: Synthesised) -> dict[str, list[dict[str, Any]]]:
    """Return the widgets of every dashboard, by its name."""
    return {
        name: json.loads(flat(properties["DashboardBody"]))["widgets"]
        for name, properties in synthesised.named("AWS::CloudWatch::Dashboard", "DashboardName").items()
    }


def shown(widget: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of a widget, those that its expressions are made of too."""
    properties = widget["properties"]
    for row in properties.get("metrics", []):
        *names, options = row if isinstance(row[-1], dict) else [*row, {}]
        if names:
            namespace, name, *pairs = names
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            statistic = options.get("stat", properties.get("stat", "Average"))
            yield Metric(namespace, name, dimensions, statistic, options.get("period", properties.get("period", 300)))


def named(synthesised: Synthesised) -> dict[str, set[str]]:
    """Return the values that each dimension can have: the names of what is in the templates."""
    prefix = f"commerce-{synthesised.stage.name}-"

    def names(kind: str, attribute: str) -> set[str]:
        return {prefix + name for name in synthesised.named(kind, attribute)}

    machines = names("AWS::StepFunctions::StateMachine", "StateMachineName")
    partition = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:"
    return {
        "FunctionName": names("AWS::Lambda::Function", "FunctionName"),
        "QueueName": names("AWS::SQS::Queue", "QueueName"),
        "TableName": names("AWS::DynamoDB::GlobalTable", "TableName"),
        "GlobalSecondaryIndexName": {index for table in TABLES.values() for index in table.indexes},
        "RuleName": names("AWS::Events::Rule", "Name"),
        "EventBusName": names("AWS::Events::EventBus", "Name"),
        "StateMachineArn": {partition + machine for machine in machines},
        "service": set(CONTEXTS),
    }


def check(metric: Metric, synthesised: Synthesised, where: str) -> str:
    """Check that ``metric`` is published as it is named here; return when."""
    if metric.namespace == NAMESPACE:
        figures = {figure.value: figure.context for figure in Figure}
        events = {name: event.context for name, event in EVENTS.items()}
        assert {"service": (figures | events)[metric.name]} == metric.dimensions, where
        return "a state, at times" if metric.name in SWEPT else "with activity"
    known = PUBLISHED[metric.namespace][metric.name]
    assert sorted(metric.dimensions) in known["dimensions"], (where, metric)
    assert metric.statistic in known["statistics"], (where, metric)
    there = named(synthesised)
    for name, value in metric.dimensions.items():
        if name == "ApiId":
            assert re.fullmatch(r"\$\{(Api\w+|SsmParameterValue\w*apiid\w*)\}", value), (where, value)
        else:
            assert value in there[name], (where, name, value)
    rule = metric.dimensions.get("RuleName")
    if rule is not None:
        [properties] = [one for one in synthesised.named("AWS::Events::Rule", "Name").values() if one["Name"] == rule]
        assert properties.get("EventBusName") == metric.dimensions.get("EventBusName"), (where, rule)
    published: str = known["published"]
    return published


def test_every_alarm_is_on_a_metric_that_is_published_and_takes_its_absence_for_what_it_is(
    synthesised: Synthesised,
) -> None:
    for alarm in alarms(synthesised):
        [published] = {check(metric, synthesised, alarm.name) for metric in alarm.metrics}
        absent = alarm.properties["TreatMissingData"]
        if alarm.properties["ComparisonOperator"] == "LessThanThreshold":
            assert absent == "breaching", "a dead man's alarm: silence is the trouble"
        else:
            assert alarm.properties["ComparisonOperator"] == "GreaterThanThreshold"
            assert absent == MISSING[published], alarm.name
        for metric in alarm.metrics:
            assert metric.period == synthesised.stage.alarm_period
            assert metric.period % 60 == 0, "AWS's own metrics have a data point a minute"


def test_a_metric_that_nobody_publishes_is_found(synthesised: Synthesised) -> None:
    function = f"commerce-{synthesised.stage.name}-orders-sweep"
    check(Metric("AWS/Lambda", "Errors", {"FunctionName": function}, "Sum", 60), synthesised, "")
    for wrong in (
        Metric("AWS/Lambda", "Error", {"FunctionName": function}, "Sum", 60),
        Metric("AWS/Lambda", "Errors", {"Function": function}, "Sum", 60),
        Metric("AWS/Lambda", "Errors", {"FunctionName": "orders-sweep"}, "Sum", 60),
        Metric("AWS/Lambda", "Errors", {"FunctionName": function}, "Average", 60),
        Metric("AWS/DynamoDB", "WriteThrottleEvents", {"TableName": function, "Operation": "PutItem"}, "Sum", 60),
        Metric("commerce", "OrderPlaced", {"service": "payments"}, "Sum", 60),
        Metric("commerce", "OrdersPlaced", {"service": "orders"}, "Sum", 60),
        Metric("AWS/Events", "InvocationsFailedToBeSentToDlq", {"RuleName": f"{function}s"}, "Sum", 60),
    ):
        with pytest.raises((AssertionError, KeyError)):
            check(wrong, synthesised, "")


def test_every_source_of_what_is_published_is_aws_s_own_page() -> None:
    for metrics in PUBLISHED.values():
        for name, known in metrics.items():
            if name != "source":
                page = known.get("source", metrics["source"])
                assert page.startswith("https://docs.aws.amazon.com/"), name
                assert known["published"] in MISSING, name
                assert all(pair == sorted(pair) for pair in known["dimensions"]), name


def test_everything_that_can_be_in_trouble_has_its_alarms(synthesised: Synthesised) -> None:
    there = {
        (alarm.trouble, metric.name, tuple(sorted(metric.dimensions.values())))
        for alarm in alarms(synthesised)
        for metric in alarm.metrics
    }
    prefix = f"commerce-{synthesised.stage.name}-"

    def wanted(trouble: Trouble, metric: str, *dimensions: str) -> None:
        found = (trouble.value, metric, tuple(sorted(dimensions)))
        assert found in there, found

    scheduled = {
        name for name, rule in synthesised.named("AWS::Events::Rule", "Name").items() if "ScheduleExpression" in rule
    }
    for name, function in synthesised.named("AWS::Lambda::Function", "FunctionName").items():
        wanted(Trouble.FUNCTION_SLOW, "Duration", prefix + name)
        wanted(Trouble.FUNCTION_THROTTLED, "Throttles", prefix + name)
        if ".tasks." not in function["Handler"]:  # what a task refuses is caught, or fails its execution
            wanted(Trouble.FUNCTION_ERRORS, "Errors", prefix + name)
        if name in scheduled:
            wanted(Trouble.SWEEP_SILENT, "Invocations", prefix + name)
        if name in scheduled or name.endswith("-relay"):
            wanted(Trouble.EVENT_LOST, "DestinationDeliveryFailures", prefix + name)
        if name.endswith("-relay"):
            wanted(Trouble.RELAY_LATE, "IteratorAge", prefix + name)
    for name in synthesised.named("AWS::SQS::Queue", "QueueName"):
        if name.endswith("-dlq"):
            wanted(Trouble.DEAD_LETTERS, "ApproximateNumberOfMessagesVisible", prefix + name)
        else:
            wanted(Trouble.QUEUE_LATE, "ApproximateAgeOfOldestMessage", prefix + name)
    for name, rule in synthesised.named("AWS::Events::Rule", "Name").items():
        bus = [rule["EventBusName"]] if "EventBusName" in rule else []
        wanted(Trouble.EVENT_LOST, "InvocationsFailedToBeSentToDlq", prefix + name, *bus)
    for name, machine in synthesised.named("AWS::StepFunctions::StateMachine", "StateMachineName").items():
        arn = f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:stateMachine:{prefix}{name}"
        for metric in ("ExecutionsFailed", "ExecutionsTimedOut"):
            wanted(Trouble.WORKFLOW_FAILED, metric, arn)
        if machine.get("StateMachineType", "STANDARD") == "STANDARD":  # nobody can stop or ration an Express execution
            wanted(Trouble.WORKFLOW_FAILED, "ExecutionsAborted", arn)
            wanted(Trouble.WORKFLOW_THROTTLED, "ExecutionThrottled", arn)
    for name, table in TABLES.items():
        for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
            wanted(Trouble.TABLE_THROTTLED, metric, prefix + name)
            for index in table.indexes:
                wanted(Trouble.TABLE_THROTTLED, metric, prefix + name, index)
    about_api = {alarm.trouble for alarm in alarms(synthesised) if alarm.stack == "edge"}
    assert about_api == {Trouble.API_ERRORS, Trouble.API_SLOW} | (
        set() if synthesised.stage.emulated else {Trouble.API_REFUSALS}
    )


def test_every_trouble_has_a_runbook_and_every_runbook_an_alarm(prod: Synthesised) -> None:
    sections = Counter(
        heading.strip().lower().replace(" ", "-")
        for heading in re.findall(r"^### (.+)$", (ROOT / RUNBOOKS).read_text(encoding="utf-8"), re.MULTILINE)
    )
    told = {alarm.trouble for alarm in alarms(prod)}
    assert sections == Counter(told)
    assert told == set(Trouble)
    for alarm in alarms(prod):
        assert f"{RUNBOOKS}#{alarm.trouble}" in alarm.properties["AlarmDescription"]


def test_a_person_is_woken_once_a_stack_and_told_by_ticket_of_the_rest(synthesised: Synthesised) -> None:
    over = {
        stack: composite["Properties"]
        for stack, _, composite in synthesised.resources("AWS::CloudWatch::CompositeAlarm")
    }
    topic = ":sns:${AWS::Region}:${AWS::AccountId}:" + f"commerce-{synthesised.stage.name}-"
    waking: Counter[str] = Counter()
    topics = synthesised.named("AWS::SNS::Topic", "TopicName") if synthesised.stage.alarm_mail else {}
    assert set(topics) == ({"alarms", "tickets"} if synthesised.stage.ticket_mail else set())
    for alarm in alarms(synthesised):
        actions = [flat(one) for one in alarm.properties.get("AlarmActions", [])]
        if Trouble(alarm.trouble).wakes:
            assert actions == [], f"{alarm.name} would wake beside its stack's"
            waking[alarm.stack] += 1
        elif synthesised.stage.ticket_mail:
            [action] = actions
            assert action.endswith(f"{topic}tickets"), alarm.name
        else:
            assert actions == []
    assert set(over) == (set(waking) if synthesised.stage.alarm_mail else set())
    for stack, composite in over.items():
        assert flat(composite["AlarmRule"]).count("ALARM(") == waking[stack]
        for action in (*composite["AlarmActions"], *composite["OKActions"]):
            assert flat(action).endswith(f"{topic}alarms")


def test_names_of_alarms_are_unique_and_say_what_and_which(synthesised: Synthesised) -> None:
    names = Counter(alarm.name for alarm in alarms(synthesised))
    assert set(names.values()) == {1}
    for alarm in alarms(synthesised):
        assert alarm.name.startswith(f"commerce-{synthesised.stage.name}-")
        assert alarm.name.endswith(f"-{alarm.trouble}")


def test_every_context_has_a_dashboard_whose_metrics_are_published(synthesised: Synthesised) -> None:
    found = boards(synthesised)
    assert set(found) == {*CONTEXTS, "platform"}
    for name, widgets in found.items():
        kinds = [widget["type"] for widget in widgets]
        assert kinds[0] == "text"
        for widget in widgets[1:]:
            assert widget["properties"]["title"], name
            for metric in shown(widget):
                check(metric, synthesised, f"{name}: {widget['properties']['title']}")
                assert metric.period == 60, "a minute, whatever the interval shown"


def test_widgets_fill_their_dashboard_and_none_lies_on_another(synthesised: Synthesised) -> None:
    for name, widgets in boards(synthesised).items():
        taken: set[tuple[int, int]] = set()
        for widget in widgets:
            assert widget["x"] + widget["width"] <= 24
            area = {
                (widget["x"] + column, widget["y"] + row)
                for column in range(widget["width"])
                for row in range(widget["height"])
            }
            assert not area & taken, (name, widget["properties"].get("title"))
            taken |= area
        assert len(taken) == 24 * max(widget["y"] + widget["height"] for widget in widgets), f"{name} has gaps"


def test_business_comes_first_on_a_dashboard(synthesised: Synthesised) -> None:
    for name, widgets in boards(synthesised).items():
        owned = [{metric.namespace for metric in shown(widget)} for widget in widgets if widget["type"] == "metric"]
        first_technical = next(at for at, spaces in enumerate(owned) if not spaces & {NAMESPACE, "AWS/SES"})
        assert all(not spaces & {NAMESPACE, "AWS/SES"} for spaces in owned[first_technical:]), name
        assert first_technical > 0 or name == "customers", "customers has no event and no figure"
    orders = {metric.name for widget in boards(synthesised)["orders"] for metric in shown(widget)}
    assert {"OrderPlaced", "OrderPaid", "ShipmentDispatched", "OrdersStuck", "LongestDispatchWait"} <= orders


def test_every_function_queue_machine_and_table_is_on_its_context_s_dashboard_and_on_the_platform_s(
    synthesised: Synthesised,
) -> None:
    on = {
        name: {value for widget in widgets for metric in shown(widget) for value in metric.dimensions.values()}
        for name, widgets in boards(synthesised).items()
    }
    for kind, attribute in (
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::StepFunctions::StateMachine", "StateMachineName"),
    ):
        for stack, _, made in synthesised.resources(kind):
            name = made["Properties"][attribute]
            for board in {stack, "platform"} & set(on):
                if stack in CONTEXTS:
                    assert any(value.endswith(name) for value in on[board]), (board, name)
    for table in set(TABLES) - {"vault"}:
        assert f"commerce-{synthesised.stage.name}-{table}" in on[table]


def counted(folder: str) -> set[str]:
    """Return the members of `Figure` that the code below ``folder`` names."""
    found = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Figure":
                found.add(node.attr)
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Figure":
                made = re.sub(r"\{.*?\}", r"\\w+", ast.unparse(node.slice).removeprefix("f").strip("'\""))
                found |= {figure.name for figure in Figure if re.fullmatch(made, figure.name)}
    return found


def test_every_figure_is_counted_by_its_context() -> None:
    for context in CONTEXTS:
        assert counted(f"functions/{context}") == {one.name for one in Figure if one.context == context}, context


def test_what_watching_costs_a_month_is_about_what_the_runbooks_say(prod: Synthesised) -> None:
    counts = {kind: len(list(prod.resources(kind))) for kind in DOLLARS}
    counts["AWS::CloudWatch::Alarm"] += sum(len(alarm.metrics) - 1 for alarm in alarms(prod))
    numbers = [*counts.values(), len(EVENTS) + len(Figure)]
    prices = [*DOLLARS.values(), 0.30]
    text = (ROOT / RUNBOOKS).read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z ,]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert [float(price) for _, price, _ in rows] == prices
    for (told, price, dollars), number in zip(rows, numbers, strict=True):
        assert abs(int(told) - number) <= 0.1 * number, f"{number} at ${price} now"
        assert float(dollars) == pytest.approx(int(told) * float(price))
    [together] = re.findall(r"^\| \*\*together\*\* \| \| \| \*\*([\d.]+)\*\* \|$", text, re.MULTILINE)
    assert float(together) == pytest.approx(sum(float(dollars) for _, _, dollars in rows))


def test_routes_lead_to_functions_that_are_watched(synthesised: Synthesised) -> None:
    watched = {
        metric.dimensions["FunctionName"]
        for alarm in alarms(synthesised)
        if alarm.trouble == Trouble.FUNCTION_ERRORS
        for metric in alarm.metrics
    }
    prefix = f"commerce-{synthesised.stage.name}-"
    assert {prefix + route.function for route in ROUTES.values()} <= watched
