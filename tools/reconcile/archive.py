"""What a bus has told since a moment, read from its archive.

A replay puts archived events on their bus again. Here it goes to one rule of the reader's own (``FilterArns``), which
matches nothing but this replay (``replay-name``), and from there into a queue of its own: no consumer of the platform
gets any of it. Events come in no strict order, and may come twice (EventBridge API, StartReplay).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from commerce.clock import parse

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

QUIET = 3
"""Receives without a message, after the replay has ended, that say there are no more."""

WAIT_SECONDS = 1


class ReplayFailed(Exception):
    """The archive could not be replayed."""


@dataclass(frozen=True)
class Archived:
    """An event as it was on the bus; ``at`` is when it was put there."""

    source: str
    type: str
    at: datetime
    detail: Mapping[str, Any]


def read(
    events: EventBridgeClient, sqs: SQSClient, bus: str, since: datetime, until: datetime, settle: float
) -> list[Archived]:
    """Return what was put on ``bus`` between two moments, oldest first, each event once.

    Parameters
    ----------
    bus
        Its name, which is also its archive's.
    settle
        Seconds until a new rule takes effect.

    Raises
    ------
    ReplayFailed
        EventBridge says so.
    """
    name = f"{bus[:32]}-{uuid.uuid4().hex[:8]}"
    bus_arn = events.describe_event_bus(Name=bus)["Arn"]
    archive = events.describe_archive(ArchiveName=bus)["ArchiveArn"]
    found: dict[str, Archived] = {}
    with _ear(events, sqs, bus, name) as (rule, queue):
        time.sleep(settle)
        events.start_replay(
            ReplayName=name,
            EventSourceArn=archive,
            EventStartTime=since,
            EventEndTime=until,
            Destination={"Arn": bus_arn, "FilterArns": [rule]},
        )
        quiet = 0
        while quiet < QUIET:
            ended = _ended(events, name)
            got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_SECONDS)
            messages = got.get("Messages", [])
            quiet = quiet + 1 if ended and not messages else 0
            for message in messages:
                told = json.loads(message["Body"])
                found[told["id"]] = Archived(told["source"], told["detail-type"], parse(told["time"]), told["detail"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return sorted(found.values(), key=lambda one: one.at)


def _ended(events: EventBridgeClient, name: str) -> bool:
    replay = events.describe_replay(ReplayName=name)
    if replay["State"] in ("FAILED", "CANCELLED"):
        raise ReplayFailed(f"{name}: {replay.get('StateReason', replay['State'])}")
    return replay["State"] == "COMPLETED"


@contextmanager
def _ear(events: EventBridgeClient, sqs: SQSClient, bus: str, name: str) -> Iterator[tuple[str, str]]:
    """Make a rule for one replay and a queue behind it, yield the rule's ARN and the queue's URL, take both away."""
    queue = sqs.create_queue(QueueName=name, Attributes={"SqsManagedSseEnabled": "true"})["QueueUrl"]
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        pattern = json.dumps({"replay-name": [name]})
        rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
        try:
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": _policy(attributes["QueueArn"], rule)})
            events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "ear", "Arn": attributes["QueueArn"]}])
            yield rule, queue
        finally:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["ear"])
            events.delete_rule(Name=name, EventBusName=bus)
    finally:
        sqs.delete_queue(QueueUrl=queue)


def _policy(queue: str, rule: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
