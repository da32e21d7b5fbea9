"""What every context's stack is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from commerce.access import ROUTES
from commerce.events import Event
from commerce.figures import Figure
from infra.constructs.alarm import AS_BEFORE, FINE, Alarms, watch_rule
from infra.constructs.board import Board, Parts, Shown
from infra.constructs.dead_letter_queue import SUFFIX
from infra.constructs.metrics import MAXIMUM, SUM
from infra.constructs.runtime import Runtime
from infra.constructs.service_function import ServiceFunction
from infra.constructs.stream_relay import StreamRelay
from infra.constructs.worker_queue import WorkerQueue
from infra.names import COMMERCE_BUS, Names
from infra.settings import Size, Stage
from infra.tables import TABLES
from infra.troubles import Trouble

Environment = Mapping[str, str]
Statements = Sequence[iam.PolicyStatement]


class ContextStack(Stack):
    """The stack ``commerce-<stage>-<context>``: functions, queues, rules and state machines, and no state.

    A context names itself in `context`, says in `shown` what its people look at first, and makes its parts in `build`.

    Parameters
    ----------
    assets
        Folders of staged code: the layers ``dependencies`` and ``commerce``, and one a context.

    Attributes
    ----------
    parts
        Names of the functions, queues and state machines made so far.
    """

    context: ClassVar[str]
    shown: ClassVar[Sequence[Shown]] = ()

    def __init__(self, scope: Construct, *, stage: Stage, assets: Mapping[str, Path]) -> None:
        super().__init__(
            scope, f"commerce-{stage.name}-{self.context}", description=f"The context {self.context}, without its table"
        )
        self.stage = stage
        self.names = Names(self, stage)
        self.alarms = Alarms(self, stage=stage, names=self.names)
        table = TABLES.get(self.context)
        self.parts = Parts(tables={self.context: tuple(table.indexes)} if table else {})
        self.runtime = Runtime(
            stage=stage,
            names=self.names,
            service=self.context,
            code=lambda_.Code.from_asset(str(assets[self.context])),
            layers=tuple(self._layer(name, assets) for name in ("dependencies", "commerce")),
            alarms=self.alarms,
        )
        self.build()
        self.alarms.wake()
        if table:
            Board(self, self.context, self.parts, self.alarms, names=self.names).of_context(self.shown)

    def build(self) -> None:
        """Make the parts of the context."""
        raise AssertionError("a context says what it is made of")

    def function(
        self,
        name: str,
        handler: str,
        *,
        environment: Environment | None = None,
        statements: Statements = (),
        size: Size | None = None,
    ) -> ServiceFunction:
        """Make a function that somebody calls and waits for: the API, or a state machine."""
        self.parts.functions.append(name)
        made = ServiceFunction(
            self,
            name,
            runtime=self.runtime,
            handler=handler,
            size=size or self.stage.sizes.usual,
            environment=environment,
            statements=statements,
        )
        if any(route.function == name for route in ROUTES.values()):
            lambda_.CfnPermission(
                made,
                "Routes",
                action="lambda:InvokeFunction",
                function_name=made.alias.function_arn,
                principal="apigateway.amazonaws.com",
                source_arn=self.names.routes_arn(self.names.published("api-id")),
            )
        return made

    def worker(
        self,
        queue: str,
        function: str,
        handler: str,
        *,
        patterns: Mapping[str, events.EventPattern],
        bus: str = COMMERCE_BUS,
        environment: Environment | None = None,
        statements: Statements = (),
        size: Size | None = None,
    ) -> WorkerQueue:
        """Make a queue, its rules and the function that works it off."""
        self.parts.queues.extend([queue, f"{queue}{SUFFIX}"])
        self.parts.functions.append(function)
        made = WorkerQueue(
            self,
            queue,
            runtime=self.runtime,
            worker=function,
            handler=handler,
            size=size or self.stage.sizes.worker,
            patterns=patterns,
            bus=bus,
            environment=environment,
            statements=statements,
        )
        title = "".join(part.capitalize() for part in queue.split("-"))
        CfnOutput(self, f"{title}QueueName", value=made.name)
        return made

    def relay(self) -> None:
        """Make the relay of the context's outbox."""
        StreamRelay(self, runtime=self.runtime)
        self.parts.functions.append(f"{self.context}-relay")
        self.parts.queues.append(f"{self.context}-relay{SUFFIX}")

    def scheduled(
        self, name: str, handler: str, *, environment: Environment | None = None, statements: Statements = ()
    ) -> None:
        """Make a function that a rule calls every so many minutes, and the alarm on its silence."""
        made = ServiceFunction(
            self,
            name,
            runtime=self.runtime,
            handler=handler,
            size=self.stage.sizes.batch,
            environment=environment,
            statements=statements,
            asynchronous=True,
        )
        self.parts.functions.append(name)
        self.parts.queues.append(f"{name}{SUFFIX}")
        events.Rule(
            self,
            f"{name}-schedule",
            rule_name=self.names.of(name),
            schedule=events.Schedule.rate(Duration.minutes(self.stage.sweep_minutes)),
            targets=[targets.LambdaFunction(made.alias, dead_letter_queue=made.failures.queue)],
        )
        watch_rule(name, "", self.alarms)
        silent = max(2, -(-3 * self.stage.sweep_minutes * 60 // self.stage.alarm_period))
        self.alarms.raise_unless(
            Trouble.SWEEP_SILENT,
            name,
            self.alarms.metrics.function(name, "Invocations", SUM),
            f"{made.name} has not run for {silent * self.stage.alarm_period // 60} minutes",
            periods=silent,
        )

    def tell_of(self, trouble: Trouble, figure: Figure, threshold: int, why: str) -> None:
        """Make an alarm on something that the context counts when it happens."""
        metric = self.alarms.metrics.own(figure, SUM)
        self.alarms.raise_above(trouble, self.context, metric, threshold, why, missing=FINE)

    def tell_of_state(self, trouble: Trouble, figure: Figure, threshold: int, why: str, *, periods: int = 1) -> None:
        """Make an alarm on something that the context's sweep finds again each time, as long as it is so."""
        metric = self.alarms.metrics.own(figure, MAXIMUM)
        self.alarms.raise_above(trouble, self.context, metric, threshold, why, periods=periods, missing=AS_BEFORE)

    def _layer(self, name: str, assets: Mapping[str, Path]) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            f"{name.capitalize()}Layer",
            layer_version_name=self.names.of(f"{self.context}-{name}"),
            code=lambda_.Code.from_asset(str(assets[name])),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )


def subscribe(queue: str, *types: type[Event]) -> dict[str, events.EventPattern]:
    """Return one rule a source for the event ``types``, whose contracts say what they are called."""
    sources = sorted({event.source() for event in types})
    return {
        f"{queue}-{source.removeprefix('commerce.')}": events.EventPattern(
            source=[source], detail_type=[event.name() for event in types if event.source() == source]
        )
        for source in sources
    }
