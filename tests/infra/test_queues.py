"""Queues, their rules and mappings, and the streams: nothing is lost without somebody being told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto.events.models import EventPattern

from commerce.events import EVENTS
from infra.settings import STAGES
from infra.tables import TABLES
from tests.infra.templates import ROOT, Synthesised, flat

pytestmark = pytest.mark.infra

CONSUMERS = {
    "OrderPlaced": {"orders-intake", "notifications-inbox"},
    "OrderAwaitingStock": {"notifications-inbox"},
    "OrderPaid": {"notifications-inbox"},
    "FulfilmentRequested": {"shipping-inbox"},
    "OrderDelivered": {"notifications-inbox"},
    "OrderAccepted": {"order-completion-express"},
    "OrderCancellationRequested": {"orders-inbox"},
    "OrderCancelled": {"notifications-inbox"},
    "OrderExpired": {"notifications-inbox"},
    "CancellationRefused": {"notifications-inbox"},
    "CustomerErased": {"customers-inbox", "notifications-inbox"},
    "PaymentAuthorised": {"orders-inbox"},
    "PaymentDeclined": {"notifications-inbox"},
    "PaymentReturned": {"notifications-inbox"},
    "StockAvailable": {"orders-inbox"},
    "ReplenishmentRaised": {"notifications-inbox"},
    "ShipmentDispatched": {"orders-inbox", "inventory-inbox", "payments-inbox", "notifications-inbox"},
    "ShipmentOutForDelivery": {"orders-inbox", "notifications-inbox"},
    "ShipmentDelivered": {"orders-inbox"},
    "ShipmentMilestonesAdded": {"orders-inbox"},
    "ShipmentExceptional": {"orders-inbox", "notifications-inbox"},
    "OffersPublished": {"orders-offers"},
    "ScanReported": {"shipping-scans"},
}
"""Event type -> who is told when its example is put on its bus."""


def examples() -> Iterator[tuple[str, Any]]:
    """Return (bus, event) of every example in ``events/``, as EventBridge sees it."""
    for file in sorted((ROOT / "events").glob("*/*.example.json")):
        context, name = file.parent.name, file.name.split(".")[0]
        bus, source = ("carriers", "carrier.generic") if context == "carriers" else ("commerce", f"commerce.{context}")
        yield bus, {"source": source, "detail-type": name, "detail": json.loads(file.read_text())}


def told(synthesised: Synthesised, bus: str, event: Any) -> set[str]:
    """Return the queues and state machines that rules on ``bus`` hand ``event`` to."""
    prefix = f"commerce-{synthesised.stage.name}-"
    found = []
    for stack, _, rule in synthesised.resources("AWS::Events::Rule"):
        properties = rule["Properties"]
        pattern = properties.get("EventPattern")
        if pattern is None or properties["EventBusName"] != prefix + bus:
            continue
        if EventPattern.load(json.dumps(pattern)).matches_event(event):
            for target in properties["Targets"]:
                to = synthesised.refer(stack, target["Arn"])["Properties"]
                found.append(to.get("QueueName", to.get("StateMachineName")).removeprefix(prefix))
    assert len(found) == len(set(found)), f"told twice: {found}"
    return set(found)


def test_every_event_type_has_an_example_and_every_example_goes_where_it_should(synthesised: Synthesised) -> None:
    seen = {event["detail-type"]: told(synthesised, bus, event) for bus, event in examples()}
    assert seen == CONSUMERS
    assert set(CONSUMERS) == {*EVENTS, "ScanReported"}


def test_only_who_did_not_accept_himself_is_told_of_an_acceptance(synthesised: Synthesised) -> None:
    event = {"source": "commerce.orders", "detail-type": "OrderAccepted", "detail": {"by": "window"}}
    assert told(synthesised, "commerce", event) == {"order-completion-express", "notifications-inbox"}


def test_an_event_on_the_wrong_bus_reaches_nobody(synthesised: Synthesised) -> None:
    for bus, event in examples():
        assert told(synthesised, "commerce" if bus == "carriers" else "carriers", event) == set()


def test_every_rule_keeps_what_it_cannot_deliver(synthesised: Synthesised) -> None:
    for stack, name, rule in synthesised.resources("AWS::Events::Rule"):
        for target in rule["Properties"]["Targets"]:
            dead = synthesised.refer(stack, target["DeadLetterConfig"]["Arn"])
            assert dead["Properties"]["QueueName"].endswith("-dlq"), name


def test_every_queue_has_a_dead_letter_queue_of_its_own(synthesised: Synthesised) -> None:
    taken = set()
    for stack, _, queue in synthesised.resources("AWS::SQS::Queue"):
        properties = queue["Properties"]
        assert properties["SqsManagedSseEnabled"] is True
        if properties["QueueName"].endswith("-dlq"):
            assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600
            continue
        dead = synthesised.refer(stack, properties["RedrivePolicy"]["deadLetterTargetArn"])["Properties"]
        assert dead["QueueName"] == f"{properties['QueueName']}-dlq"
        short = properties["QueueName"].removeprefix(f"commerce-{synthesised.stage.name}-")
        wanted = 10 if short == "shipping-scans" else 5
        assert properties["RedrivePolicy"]["maxReceiveCount"] == wanted
        assert dead["QueueName"] not in taken
        taken.add(dead["QueueName"])
    assert len(taken) == 9


def test_no_queue_takes_messages_without_tls(synthesised: Synthesised) -> None:
    guarded = {
        (stack, flat(queue))
        for stack, _, policy in synthesised.resources("AWS::SQS::QueuePolicy")
        for queue in policy["Properties"]["Queues"]
        if any(
            statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        )
    }
    queues = {(stack, f"${{{logical}}}") for stack, logical, _ in synthesised.resources("AWS::SQS::Queue")}
    assert guarded == queues


def test_every_mapping_reports_partial_failures_and_targets_an_alias(synthesised: Synthesised) -> None:
    for stack, _, mapping in synthesised.resources("AWS::Lambda::EventSourceMapping"):
        assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        alias = synthesised.refer(stack, mapping["Properties"]["FunctionName"])
        assert alias["Type"] == "AWS::Lambda::Alias"


def test_every_queue_is_worked_off_at_the_stage_s_pace(synthesised: Synthesised) -> None:
    seen = set()
    for stack, _, mapping in synthesised.resources("AWS::Lambda::EventSourceMapping"):
        properties = mapping["Properties"]
        if "StartingPosition" in properties:
            continue
        queue = synthesised.refer(stack, properties["EventSourceArn"])["Properties"]
        name = queue["QueueName"].removeprefix(f"commerce-{synthesised.stage.name}-")
        pace = synthesised.stage.queue_named(name)
        assert properties["BatchSize"] == pace.batch
        assert properties["ScalingConfig"] == {"MaximumConcurrency": pace.concurrency}
        alias = synthesised.refer(stack, properties["FunctionName"])
        function = synthesised.refer(stack, alias["Properties"]["FunctionName"])["Properties"]
        assert queue["VisibilityTimeout"] == pace.patience * function["Timeout"]
        seen.add(name)
    assert seen == {
        "orders-intake",
        "orders-inbox",
        "orders-offers",
        "inventory-inbox",
        "payments-inbox",
        "shipping-inbox",
        "shipping-scans",
        "notifications-inbox",
        "customers-inbox",
    }


def test_on_aws_a_message_stays_away_for_six_timeouts() -> None:
    for stage in STAGES.values():
        if not stage.emulated:
            assert all(queue.patience >= 6 for queue in (stage.queue, *stage.queues.values()))


def test_every_outbox_has_a_relay_that_sets_aside_what_it_cannot_publish(synthesised: Synthesised) -> None:
    relayed = set()
    for stack, _, mapping in synthesised.resources("AWS::Lambda::EventSourceMapping"):
        properties = mapping["Properties"]
        if "StartingPosition" not in properties:
            continue
        assert properties["StartingPosition"] == "TRIM_HORIZON"
        assert properties["BisectBatchOnFunctionError"] is True
        assert properties["MaximumRetryAttempts"] == synthesised.stage.relay_of(stack).retries
        [only] = properties["FilterCriteria"]["Filters"]
        assert json.loads(only["Pattern"]) == {"dynamodb": {"NewImage": {"outbox": {"S": [{"exists": True}]}}}}
        dead = synthesised.refer(stack, properties["DestinationConfig"]["OnFailure"]["Destination"])
        assert dead["Properties"]["QueueName"].endswith(f"-{stack}-relay-dlq")
        relayed.add(stack)
    assert relayed == {context for context, table in TABLES.items() if table.publishes}
