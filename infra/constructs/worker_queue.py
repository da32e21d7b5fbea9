"""A queue between a bus and a worker: the consumer owns its subscription, its pace and its dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarm import watch_rule
from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.constructs.runtime import Runtime
from infra.constructs.service_function import ServiceFunction
from infra.iam import consume
from infra.names import COMMERCE_BUS
from infra.settings import Size
from infra.troubles import Trouble


class WorkerQueue(Construct):
    """A queue, the rules that feed it and the function that works it off.

    Parameters
    ----------
    name
        Of the queue.
    worker, handler, size, environment, statements
        Of the function, see `ServiceFunction`; that it may take from the queue goes without saying.
    patterns
        Rule name -> event pattern.
    bus
        That the rules are on.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        runtime: Runtime,
        worker: str,
        handler: str,
        size: Size,
        patterns: Mapping[str, events.EventPattern],
        bus: str = COMMERCE_BUS,
        environment: Mapping[str, str] | None = None,
        statements: Sequence[iam.PolicyStatement] = (),
    ) -> None:
        super().__init__(scope, f"{name}-queue")
        stage, names = runtime.stage, runtime.names
        pace = stage.queue_named(name)
        self.name = names.of(name)
        dead = DeadLetterQueue(
            self,
            "Dead",
            name=f"{name}{SUFFIX}",
            holds=f"messages that {self.name}'s worker kept failing and events that did not reach the queue",
            alarms=runtime.alarms,
            names=names,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=self.name,
            visibility_timeout=Duration.seconds(pace.patience * size.timeout),
            retention_period=Duration.days(4),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead.queue, max_receive_count=pace.receives),
        )
        runtime.alarms.raise_above(
            Trouble.QUEUE_LATE,
            name,
            runtime.alarms.metrics.queue(name, "ApproximateAgeOfOldestMessage"),
            stage.queue_age_alarm,
            f"{self.name} is not worked off in time",
        )
        on = events.EventBus.from_event_bus_name(self, "Bus", names.of(bus))
        for rule, pattern in patterns.items():
            events.Rule(
                self,
                rule,
                rule_name=names.of(rule),
                event_bus=on,
                event_pattern=pattern,
                targets=[targets.SqsQueue(self.queue, dead_letter_queue=dead.queue)],
            )
            watch_rule(rule, bus, runtime.alarms)
        self.function = ServiceFunction(
            scope,
            worker,
            runtime=runtime,
            handler=handler,
            size=size,
            environment=environment,
            statements=[*statements, consume(names.queue_arn(name))],
        )
        lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=self.function.alias,
            event_source_arn=self.queue.queue_arn,
            batch_size=pace.batch,
            max_batching_window=Duration.seconds(pace.window),
            max_concurrency=pace.concurrency,
            report_batch_item_failures=True,
        )
