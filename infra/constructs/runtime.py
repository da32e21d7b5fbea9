"""What the functions of one stack have in common."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.alarm import Alarms
from infra.names import Names
from infra.settings import Stage

_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


@dataclass(frozen=True)
class Runtime:
    """The code and settings of a stack's functions.

    Attributes
    ----------
    service
        The context's name: Powertools' service.
    code
        The context's asset.
    layers
        The kernel and its dependencies.
    alarms
        The stack's.
    """

    stage: Stage
    names: Names
    service: str
    code: lambda_.Code
    layers: tuple[lambda_.ILayerVersion, ...]
    alarms: Alarms


def log_group(scope: Construct, id_: str, name: str, *, stage: Stage, names: Names) -> logs.LogGroup:
    """Make the log group ``name``, kept as long as the stage says, under the platform's key for logs."""
    return logs.LogGroup(
        scope,
        id_,
        log_group_name=name,
        retention=_RETENTION[stage.log_retention_days],
        encryption_key=kms.Key.from_key_arn(scope, f"{id_}Key", names.published("log-key-arn")),
        removal_policy=RemovalPolicy.DESTROY,
    )


def stateful_removal(stage: Stage) -> RemovalPolicy:
    """Return what becomes of what holds state when its stack goes."""
    return RemovalPolicy.RETAIN if stage.stateful_retained else RemovalPolicy.DESTROY
