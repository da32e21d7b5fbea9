"""Dead-letter queues: where what failed waits for a person, who is told."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm import PERIOD, raise_when
from infra.names import Names
from infra.settings import Stage

SUFFIX = "-dlq"
"""What the name of a dead-letter queue ends in."""


class DeadLetterQueue(Construct):
    """A queue that keeps messages for fourteen days, the longest there is, and an alarm on the first of them.

    Parameters
    ----------
    name
        Of the queue, ending in ``-dlq``.
    holds
        What lies in it, for the alarm's text.
    """

    def __init__(self, scope: Construct, id_: str, *, name: str, holds: str, stage: Stage, names: Names) -> None:
        super().__init__(scope, id_)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=names.of(name),
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        raise_when(
            self,
            "NotEmpty",
            self.queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic=cloudwatch.Stats.MAXIMUM),
            0,
            f"{names.of(name)} holds {holds}: find the cause, then redrive it",
            stage=stage,
            names=names,
        )
