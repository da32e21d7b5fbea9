"""The outbox relay of a context: from its table's stream to the bus ``commerce``."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.constructs.metrics import MAXIMUM
from infra.constructs.runtime import Runtime
from infra.constructs.service_function import ServiceFunction, watch_destination
from infra.iam import put_events, read_stream, send
from infra.names import COMMERCE_BUS
from infra.troubles import Trouble

OUTBOX = {"dynamodb": {"NewImage": {"outbox": {"S": [{"exists": True}]}}}}
"""Only images with an outbox reach the relay; a change that emits nothing takes the attribute away."""

_LATE = 60_000
"""Milliseconds by which the relay may be behind."""


class StreamRelay(Construct):
    """The function ``<context>-relay`` on the stream of the context's table.

    A record that cannot be published is tried again, then found by halving its batch and set aside: the queue
    ``<context>-relay-dlq`` holds where in the stream it is.
    """

    def __init__(self, scope: Construct, *, runtime: Runtime) -> None:
        name = f"{runtime.service}-relay"
        super().__init__(scope, f"{name}-stream")
        stage, names = runtime.stage, runtime.names
        failures = f"{name}{SUFFIX}"
        pace = stage.relay_of(runtime.service)
        stream = names.published(f"streams/{runtime.service}")
        self.function = ServiceFunction(
            scope,
            name,
            runtime=runtime,
            handler="commerce.relay.handler",
            size=stage.sizes.worker,
            environment={"BUS_NAME": names.of(COMMERCE_BUS)},
            statements=[put_events(names, COMMERCE_BUS), read_stream(stream), send(names.queue_arn(failures))],
        )
        dead = DeadLetterQueue(
            self,
            "Failures",
            name=failures,
            holds=f"positions in the stream of {names.table(runtime.service)} whose events were not published",
            alarms=runtime.alarms,
            names=names,
        )
        lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=self.function.alias,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=pace.batch,
            parallelization_factor=pace.parallel,
            retry_attempts=pace.retries,
            bisect_batch_on_error=True,
            report_batch_item_failures=True,
            filters=[lambda_.FilterCriteria.filter(OUTBOX)],
            on_failure=sources.SqsDlq(dead.queue),
        )
        alarms = runtime.alarms
        alarms.raise_above(
            Trouble.RELAY_LATE,
            name,
            alarms.metrics.function(name, "IteratorAge", MAXIMUM),
            _LATE,
            f"{self.function.name} is behind its stream: events are late",
        )
        watch_destination(name, alarms)
