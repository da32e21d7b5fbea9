"""Alarms: who is told of which trouble, and when."""

from __future__ import annotations

from aws_cdk import Duration, aws_sns
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.constructs.metrics import Metrics
from infra.names import Names
from infra.settings import Stage
from infra.troubles import RUNBOOKS, Trouble

PAGES = "alarms"
"""The topic of what somebody is woken for, in stages that say whom."""

TICKETS = "tickets"
"""The topic of what can wait for working hours, in stages that say whose."""

FINE = cloudwatch.TreatMissingData.NOT_BREACHING
"""No data is good news: the metric counts events, and there was none."""

AS_BEFORE = cloudwatch.TreatMissingData.IGNORE
"""No data is no news: the metric tells of something that lasts, and who publishes it is silent at times."""

BAD = cloudwatch.TreatMissingData.BREACHING
"""No data is the trouble."""


class Alarms:
    """The alarms of one stack.

    What can wait goes to the tickets one by one. What wakes goes through one alarm over all of them (`wake`), so that
    a person is woken once for one thing, however many of its effects are seen.

    Attributes
    ----------
    metrics
        What they can be on.
    waking, others
        Those made so far.
    """

    def __init__(self, scope: Construct, *, stage: Stage, names: Names) -> None:
        self._scope = scope
        self._stage = stage
        self._names = names
        self.metrics = Metrics(names)
        self.waking: list[cloudwatch.IAlarm] = []
        self.others: list[cloudwatch.IAlarm] = []

    def raise_above(
        self,
        trouble: Trouble,
        of: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        why: str,
        *,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = FINE,
    ) -> None:
        """Make an alarm that goes off when ``metric`` is above ``threshold`` in each of ``periods``.

        Parameters
        ----------
        of
            What has the trouble: part of the alarm's name.
        why
            For who is told; where to read on is added.
        """
        above = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        self._make(trouble, of, metric, threshold, why, above, periods=periods, missing=missing)

    def raise_unless(self, trouble: Trouble, of: str, metric: cloudwatch.IMetric, why: str, *, periods: int) -> None:
        """Make an alarm that goes off when ``metric`` was not published, or nought, in each of ``periods``."""
        below = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        self._make(trouble, of, metric, 1, why, below, periods=periods, missing=BAD)

    def wake(self) -> None:
        """Make the alarm that wakes, over all that were made so far; called once, last."""
        if not self._stage.alarm_mail or not self.waking:
            return
        over = cloudwatch.CompositeAlarm(
            self._scope,
            "Waking",
            composite_alarm_name=self._scope.node.id,
            alarm_rule=cloudwatch.AlarmRule.any_of(*self.waking),
            alarm_description=f"Buyers are affected: see which of its alarms are on. {RUNBOOKS}",
        )
        action = self._to(PAGES, "Waking")
        over.add_alarm_action(action)
        over.add_ok_action(action)

    def _make(
        self,
        trouble: Trouble,
        of: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        why: str,
        operator: cloudwatch.ComparisonOperator,
        *,
        periods: int,
        missing: cloudwatch.TreatMissingData,
    ) -> None:
        name = f"{of}-{trouble}"
        if isinstance(metric, cloudwatch.Metric):
            metric = metric.with_(period=Duration.seconds(self._stage.alarm_period))
        alarm = cloudwatch.Alarm(
            self._scope,
            f"{name}-alarm",
            alarm_name=self._names.of(name),
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=operator,
            treat_missing_data=missing,
            alarm_description=f"{why}. {'Wakes' if trouble.wakes else 'Ticket'}: {RUNBOOKS}#{trouble}",
        )
        (self.waking if trouble.wakes else self.others).append(alarm)
        if self._stage.ticket_mail and not trouble.wakes:
            alarm.add_alarm_action(self._to(TICKETS, name))

    def _to(self, topic: str, id_: str) -> actions.SnsAction:
        return actions.SnsAction(
            aws_sns.Topic.from_topic_arn(self._scope, f"{id_}-topic", self._names.topic_arn(topic))
        )


def watch_rule(name: str, bus: str, alarms: Alarms) -> None:
    """Make the alarm on events that rule ``name`` could neither deliver nor keep; those it kept are dead letters."""
    alarms.raise_above(
        Trouble.EVENT_LOST,
        f"{name}-rule",
        alarms.metrics.rule(name, bus, "InvocationsFailedToBeSentToDlq"),
        0,
        f"an event of rule {name} reached neither its target nor its dead-letter queue",
    )
