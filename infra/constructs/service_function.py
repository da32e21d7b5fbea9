"""A function as the platform makes them: its own role, published versions behind an alias, logs, traces, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.alarm import Alarms
from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.constructs.metrics import MAXIMUM, SUM
from infra.constructs.runtime import Runtime, log_group
from infra.iam import TRACING, allow, send
from infra.names import ALIAS
from infra.settings import Size
from infra.troubles import Trouble

SLOW = 0.8
"""Share of its timeout that an invocation may take."""


class ServiceFunction(Construct):
    """One function.

    Parameters
    ----------
    name
        As in the route table or ``<context>-<task>``.
    handler
        Module and function, ``orders.api.handler``.
    environment
        Variables beside those of Powertools.
    statements
        All that the role allows, beside writing its own log and traces.
    asynchronous
        Whether it is invoked without anybody waiting (schedules): what fails twice more is kept in a queue.

    Attributes
    ----------
    alias
        What everything integrates with.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        runtime: Runtime,
        handler: str,
        size: Size,
        environment: Mapping[str, str] | None = None,
        statements: Sequence[iam.PolicyStatement] = (),
        asynchronous: bool = False,
    ) -> None:
        super().__init__(scope, name)
        stage, names = runtime.stage, runtime.names
        self.name = names.of(name)
        failures = f"{name}{SUFFIX}"
        log = log_group(self, "Log", f"/aws/lambda/{self.name}", stage=stage, names=names)
        own = [
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], [log.log_group_arn]),
            allow(TRACING, ["*"]),
        ]
        if asynchronous:
            own.append(send(names.queue_arn(failures)))
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"function": iam.PolicyDocument(statements=[*own, *statements])},
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=self.name,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=handler,
            code=runtime.code,
            layers=list(runtime.layers),
            # The role is complete as it stands: nothing may add to it.
            role=role.without_policy_updates(),
            memory_size=size.memory,
            timeout=Duration.seconds(size.timeout),
            # Workflows decide what is traced and their tasks follow; Lambda's own sampling cannot be set.
            tracing=lambda_.Tracing.PASS_THROUGH,
            reserved_concurrent_executions=stage.reserved_concurrency.get(name),
            environment={
                "POWERTOOLS_SERVICE_NAME": runtime.service,
                "POWERTOOLS_LOG_LEVEL": stage.log_level,
                "PYDANTIC_DISABLE_PLUGINS": "__all__",  # looking for them reads every installed distribution
                **(environment or {}),
            },
            log_group=log,
            # Lambda's own lines only if an invocation failed; ours are chosen by POWERTOOLS_LOG_LEVEL alone, because
            # Lambda takes a line without a level of its own, a metric's for one, for an INFO.
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            application_log_level_v2=lambda_.ApplicationLogLevel.TRACE,
            current_version_options=lambda_.VersionOptions(
                removal_policy=RemovalPolicy.RETAIN if stage.stateful_retained else RemovalPolicy.DESTROY
            ),
        )
        self.alias = lambda_.Alias(self, "Alias", alias_name=ALIAS, version=self.function.current_version)
        if asynchronous:
            self.failures = DeadLetterQueue(
                self,
                "Failures",
                name=failures,
                holds=f"invocations that {self.name} failed",
                alarms=runtime.alarms,
                names=names,
            )
            lambda_.CfnEventInvokeConfig(
                self,
                "Invocation",
                function_name=self.function.function_name,
                qualifier=self.alias.alias_name,
                maximum_retry_attempts=2,
                destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                    on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=self.failures.queue.queue_arn)
                ),
            )
        alarms = runtime.alarms
        if ".tasks." not in handler:  # a task's refusals are exceptions; what nobody catches fails its execution
            alarms.raise_above(
                Trouble.FUNCTION_ERRORS,
                name,
                alarms.metrics.function(name, "Errors", SUM),
                0,
                f"{self.name} raised: see its log",
            )
        alarms.raise_above(
            Trouble.FUNCTION_SLOW,
            name,
            alarms.metrics.function(name, "Duration", MAXIMUM),
            SLOW * size.timeout * 1000,
            f"{self.name} took more than {SLOW:.0%} of its {size.timeout} s",
        )
        alarms.raise_above(
            Trouble.FUNCTION_THROTTLED,
            name,
            alarms.metrics.function(name, "Throttles", SUM),
            0,
            f"{self.name} was throttled: the account's or its own concurrency is used up",
        )
        if asynchronous:
            watch_destination(name, alarms)


def watch_destination(name: str, alarms: Alarms) -> None:
    """Make the alarm on what function ``name`` failed and nobody kept."""
    alarms.raise_above(
        Trouble.EVENT_LOST,
        name,
        alarms.metrics.function(name, "DestinationDeliveryFailures", SUM),
        0,
        f"what {name} failed could not be put into its dead-letter queue",
    )
