"""Dead-letter queues as operations see them: what is in them, and giving it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commerce.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_SUFFIX = "-dlq"


class NoSuchQueue(NotFound):
    """There is no dead-letter queue of this name."""

    slug = "no-such-queue"
    title = "No such dead-letter queue"


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
    """
    if not name.endswith(_SUFFIX):
        raise NoSuchQueue
    try:
        url = client.get_queue_url(QueueName=prefix + name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist as error:
        raise NoSuchQueue from error
    arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return client.start_message_move_task(SourceArn=arn)["TaskHandle"]
