"""Dead-letter queues: where what failed waits for a person, who is told."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm import AS_BEFORE, Alarms
from infra.names import Names
from infra.troubles import Trouble

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

    def __init__(self, scope: Construct, id_: str, *, name: str, holds: str, alarms: Alarms, names: Names) -> None:
        super().__init__(scope, id_)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=names.of(name),
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        alarms.raise_above(
            Trouble.DEAD_LETTERS,
            name,
            alarms.metrics.queue(name, "ApproximateNumberOfMessagesVisible"),
            0,
            f"{names.of(name)} holds {holds}",
            missing=AS_BEFORE,
        )
