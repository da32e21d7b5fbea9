"""Alarms: a metric that must stay at nothing, sent where the stage says."""

from __future__ import annotations

from aws_cdk import Duration, aws_sns
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.names import Names
from infra.settings import Stage

ALARMS = "alarms"
"""The topic that alarms go to, in stages that name a recipient."""


def raise_when(
    scope: Construct, name: str, metric: cloudwatch.IMetric, threshold: float, why: str, *, stage: Stage, names: Names
) -> cloudwatch.Alarm:
    """Make an alarm that goes off when ``metric`` is above ``threshold`` for one period; ``why`` is for who wakes."""
    alarm = cloudwatch.Alarm(
        scope,
        name,
        metric=metric,
        threshold=threshold,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=why,
    )
    if stage.alarm_mail:
        topic = aws_sns.Topic.from_topic_arn(scope, f"{name}Topic", names.topic_arn(ALARMS))
        alarm.add_alarm_action(actions.SnsAction(topic))
    return alarm


PERIOD = Duration.minutes(5)
"""Over which alarmed metrics are summed."""
