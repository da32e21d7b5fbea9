"""What people look at: the dashboard of the whole platform, and the topics that alarms go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from commerce.events import (
    OrderAccepted,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    ShipmentDispatched,
)
from commerce.figures import Figure
from infra.constructs.alarm import PAGES, TICKETS, Alarms
from infra.constructs.board import AGE, COUNT, STATE, Board, Parts, Shown
from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.constructs.metrics import MAXIMUM, AccountMetric, of_account
from infra.names import Names
from infra.settings import Stage
from infra.tables import TABLES
from infra.troubles import Trouble

SHOWN = (
    Shown("Orders placed", OrderPlaced, COUNT),
    Shown("Paid", OrderPaid, COUNT),
    Shown("Shipments dispatched", ShipmentDispatched, COUNT),
    Shown("Delivered", OrderDelivered, COUNT),
    Shown("Accepted", OrderAccepted, COUNT),
    Shown("Cancelled", OrderCancelled, COUNT),
    Shown("Expired", OrderExpired, COUNT),
    Shown("Stuck now", Figure.ORDERS_STUCK, STATE),
    Shown("Money to return now", Figure.RETURNS_DUE, STATE),
    Shown("Oldest not dispatched", Figure.LONGEST_DISPATCH_WAIT, AGE),
    Shown("Oldest on its way", Figure.LONGEST_DELIVERY_WAIT, AGE),
    Shown("Oldest replenishment", Figure.LONGEST_REPLENISHMENT, AGE),
)

_FULL = 0.8
"""Share of the account's concurrency at which somebody is woken: a quota takes hours to raise."""


class ObserveStack(Stack):
    """The stack ``commerce-<stage>-observe``.

    Parameters
    ----------
    contexts
        What each context's stack is made of.
    waking
        Names of the other stacks that have an alarm that wakes.
    """

    def __init__(self, scope: Construct, *, stage: Stage, contexts: Mapping[str, Parts], waking: Sequence[str]) -> None:
        super().__init__(scope, f"commerce-{stage.name}-observe", description="Dashboard and alarm topics")
        self._names = Names(self, stage)
        self._alarms = Alarms(self, stage=stage, names=self._names)
        for topic, recipient in ((PAGES, stage.alarm_mail), (TICKETS, stage.ticket_mail)):
            if recipient:
                self._topic(topic, recipient)
        limit = round(_FULL * stage.concurrency)
        self._alarms.raise_above(
            Trouble.CONCURRENCY_USED,
            "account",
            of_account(AccountMetric("AWS/Lambda", "ClaimedAccountConcurrency"), MAXIMUM),
            limit,
            f"functions of this account claim more than {limit} of {stage.concurrency} invocations at once",
        )
        self._alarms.wake()
        whole = Parts(
            functions=[name for parts in contexts.values() for name in parts.functions],
            queues=[name for parts in contexts.values() for name in parts.queues],
            machines=[name for parts in contexts.values() for name in parts.machines],
            tables={name: tuple(table.indexes) for name, table in TABLES.items()},
        )
        states = [
            cloudwatch.Alarm.from_alarm_arn(self, f"{stack}-waking", self._names.alarm_arn(stack))
            for stack in ((*waking, self.stack_name) if stage.alarm_mail else ())
        ]
        board = Board(self, "platform", whole, self._alarms, names=self._names)
        board.of_platform(SHOWN, self._names.published("api-id"), states)

    def _topic(self, name: str, recipient: str) -> None:
        key = kms.Key(
            self,
            f"{name}-key",
            description=f"Encrypts the topic {name}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarms = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        key.grant(alarms, "kms:Decrypt", "kms:GenerateDataKey")
        topic = sns.Topic(self, f"{name}-topic", topic_name=self._names.of(name), master_key=key, enforce_ssl=True)
        topic.grant_publish(alarms)
        undelivered = DeadLetterQueue(
            self,
            f"{name}-undelivered",
            name=f"{name}{SUFFIX}",
            holds=f"mail of {name}",
            alarms=self._alarms,
            names=self._names,
        )
        topic.add_subscription(subscriptions.EmailSubscription(recipient, dead_letter_queue=undelivered.queue))
