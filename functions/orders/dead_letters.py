"""Dead-letter queues as operations see them: what is in them, and giving it back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commerce.errors import Conflict, NotFound

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_SUFFIX = "-dlq"


class NoSuchQueue(NotFound):
    """There is no dead-letter queue of this name."""

    slug = "no-such-queue"
    title = "No such dead-letter queue"


class NothingToGiveBackTo(Conflict):
    """What is in this dead-letter queue came from no queue: it is repaired by hand (`docs/operations`)."""

    slug = "no-source-queue"
    title = "This dead-letter queue has no queue to give back to"


def counts(client: SQSClient, prefix: str) -> list[dict[str, object]]:
    """Return each dead-letter queue's name (without ``prefix``) and about how many messages it holds."""
    found: list[dict[str, object]] = []
    for page in client.get_paginator("list_queues").paginate(QueueNamePrefix=prefix):
        for url in page.get("QueueUrls", []):
            name = url.rsplit("/", 1)[-1]
            if name.endswith(_SUFFIX):
                answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
                messages = int(answer["Attributes"]["ApproximateNumberOfMessages"])
                found.append({"name": name.removeprefix(prefix), "messages": messages})
    return sorted(found, key=lambda one: str(one["name"]))


def redrive(client: SQSClient, prefix: str, name: str) -> str:
    """Move a dead-letter queue's messages back to the queue they came from; return the task's handle.

    Raises
    ------
    NoSuchQueue
        ``name`` is no dead-letter queue of this deployment.
    NothingToGiveBackTo
        It holds failures of a stream, a schedule or a rule on a state machine.
    """
    if not re.fullmatch(rf"[a-z0-9-]{{1,60}}{_SUFFIX}", name):
        raise NoSuchQueue
    dead = _arn(client, prefix + name)
    if dead is None:
        raise NoSuchQueue
    source = _arn(client, prefix + name.removesuffix(_SUFFIX))
    if source is None:
        raise NothingToGiveBackTo
    # The destination is said: an event that its rule could not deliver never was on the source queue.
    return client.start_message_move_task(SourceArn=dead, DestinationArn=source)["TaskHandle"]


def _arn(client: SQSClient, name: str) -> str | None:
    try:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist:
        return None
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
