"""Metrics as AWS and the platform publish them, by the names of what they are of.

``tests/infra/published_metrics.json`` says which there are, with which dimensions and when they are published; every
alarm and every dashboard is compared with it.
"""

from __future__ import annotations

from typing import NamedTuple

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from commerce.events import Event
from commerce.figures import NAMESPACE, Figure
from infra.names import Names

MINUTE = Duration.minutes(1)
SUM, MAXIMUM, AVERAGE, P99 = "Sum", "Maximum", "Average", "p99"

THROTTLES = ("ReadThrottleEvents", "WriteThrottleEvents")
"""A throttled read or write of a table, or of an index, each counted."""


class AccountMetric(NamedTuple):
    """A metric that has no dimension: it is of the whole account in its region."""

    namespace: str
    metric: str


class Metrics:
    """The metrics of a stage, a minute each; ``names`` are without the stage's prefix throughout."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def function(self, name: str, metric: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric of a function, all its versions and aliases together."""
        return _metric("AWS/Lambda", metric, statistic, FunctionName=self._names.of(name))

    def queue(self, name: str, metric: str) -> cloudwatch.Metric:
        return _metric("AWS/SQS", metric, MAXIMUM, QueueName=self._names.of(name))

    def table(self, name: str, metric: str) -> cloudwatch.Metric:
        return _metric("AWS/DynamoDB", metric, SUM, TableName=self._names.table(name))

    def index(self, table: str, index: str, metric: str) -> cloudwatch.Metric:
        table_name = self._names.table(table)
        return _metric("AWS/DynamoDB", metric, SUM, TableName=table_name, GlobalSecondaryIndexName=index)

    def machine(self, name: str, metric: str) -> cloudwatch.Metric:
        return _metric("AWS/States", metric, SUM, StateMachineArn=self._names.machine_arn(name))

    def rule(self, name: str, bus: str, metric: str) -> cloudwatch.Metric:
        """Return a metric of a rule on a bus; on the default bus (``""``) a rule has no bus among its dimensions."""
        on = {"EventBusName": self._names.of(bus)} if bus else {}
        return _metric("AWS/Events", metric, SUM, RuleName=self._names.of(name), **on)

    def own(self, what: type[Event] | Figure, statistic: str) -> cloudwatch.Metric:
        """Return what a relay or a function counts."""
        name = what.value if isinstance(what, Figure) else what.name()
        return _metric(NAMESPACE, name, statistic, service=what.context)


def of_api(api_id: str, metric: str, statistic: str) -> cloudwatch.Metric:
    return _metric("AWS/ApiGateway", metric, statistic, ApiId=api_id)


def of_account(what: AccountMetric, statistic: str) -> cloudwatch.Metric:
    return _metric(what.namespace, what.metric, statistic)


def _metric(namespace: str, name: str, statistic: str, **dimensions: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=MINUTE,
    )
