"""What people look at: one dashboard, and the topic that alarms go to."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.alarm import ALARMS
from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.names import Names
from infra.settings import Stage

_MINUTE = Duration.minutes(1)


class ObserveStack(Stack):
    """The stack ``commerce-<stage>-observe``.

    Parameters
    ----------
    queues
        Names of all queues, without their prefix.
    machines
        Names of all state machines, without their prefix.
    """

    def __init__(self, scope: Construct, *, stage: Stage, queues: Sequence[str], machines: Sequence[str]) -> None:
        super().__init__(scope, f"commerce-{stage.name}-observe", description="Dashboard and alarm topic")
        self._names = Names(self, stage)
        if stage.alarm_mail:
            self._topic(stage)
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self._names.of("platform"))
        dashboard.add_widgets(
            self._graph("Requests", [self._api("Count", cloudwatch.Stats.SUM)]),
            self._graph("Errors", [self._api(name, cloudwatch.Stats.SUM) for name in ("4xx", "5xx")]),
            self._graph("Latency", [self._api("Latency", stat) for stat in ("p50", "p95", "p99")]),
        )
        dashboard.add_widgets(
            *(
                self._graph(
                    f"Executions of {machine}",
                    [
                        self._execution(machine, outcome)
                        for outcome in ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed")
                    ],
                )
                for machine in machines
            )
        )
        work = [name for name in queues if not name.endswith(SUFFIX)]
        dead = [name for name in queues if name.endswith(SUFFIX)]
        dashboard.add_widgets(
            self._graph(
                "Age of the oldest message (s)", [self._queue(n, "ApproximateAgeOfOldestMessage") for n in work]
            ),
            self._graph("Dead letters", [self._queue(n, "ApproximateNumberOfMessagesVisible") for n in dead]),
        )

    def _topic(self, stage: Stage) -> None:
        key = kms.Key(
            self,
            "AlarmKey",
            description="Encrypts the alarm topic",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarms = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        key.grant(alarms, "kms:Decrypt", "kms:GenerateDataKey")
        topic = sns.Topic(self, "Alarms", topic_name=self._names.of(ALARMS), master_key=key, enforce_ssl=True)
        topic.grant_publish(alarms)
        undelivered = DeadLetterQueue(
            self, "Undelivered", name=f"{ALARMS}{SUFFIX}", holds="mail of alarms", stage=stage, names=self._names
        )
        topic.add_subscription(subscriptions.EmailSubscription(stage.alarm_mail, dead_letter_queue=undelivered.queue))

    def _graph(self, title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)

    def _api(self, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map={"ApiId": self._names.published("api-id")},
            statistic=statistic,
            period=_MINUTE,
        )

    def _execution(self, machine: str, outcome: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/States",
            metric_name=outcome,
            dimensions_map={"StateMachineArn": self._names.machine_arn(machine)},
            statistic=cloudwatch.Stats.SUM,
            period=_MINUTE,
        )

    def _queue(self, queue: str, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/SQS",
            metric_name=name,
            dimensions_map={"QueueName": self._names.of(queue)},
            statistic=cloudwatch.Stats.MAXIMUM,
            period=_MINUTE,
        )
