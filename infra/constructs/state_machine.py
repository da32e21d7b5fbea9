"""A workflow from its ASL file, whose placeholders are checked when the app is synthesised."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.alarm import Alarms
from infra.constructs.runtime import log_group
from infra.iam import TRACING, allow
from infra.names import Names
from infra.settings import Stage
from infra.troubles import Trouble

EXPRESS = "-express"
"""What the name of an Express workflow ends in.

CloudFormation replaces a machine whose type changes, and makes the new one while the old one still has its name.
"""

DEFINITIONS = Path(__file__).parents[2] / "statemachines"

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class PlaceholdersDiffer(Exception):
    """A definition asks for other values than it is given."""


def definition(file: Path, values: Mapping[str, str | int]) -> str:
    """Return the definition in ``file`` with ``${Name}`` replaced by ``values``.

    Numbers are written as numbers (``TimeoutSeconds``), texts inside the file's own quotes.

    Raises
    ------
    PlaceholdersDiffer
        The file's placeholders and ``values`` are not the same.
    ValueError
        The result is not JSON, or its states are not written in JSONata.
    """
    text = file.read_text()
    wanted = set(_PLACEHOLDER.findall(text))
    if wanted != set(values):
        message = f"{file.name}: missing {sorted(wanted - set(values))}, unknown {sorted(set(values) - wanted)}"
        raise PlaceholdersDiffer(message)
    result = _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text)
    if json.loads(result).get("QueryLanguage") != "JSONata":
        raise ValueError(f"{file.name} is not written in JSONata")
    return json.dumps(json.loads(result), separators=(",", ":"))


class StateMachine(Construct):
    """A workflow ``commerce-<stage>-<name>``: traced, its errors logged, alarms on what failed or was throttled.

    Parameters
    ----------
    process
        What it leads; its definition is ``statemachines/<process>.asl.json`` with underscores.
    functions
        Placeholder -> name of the function whose alias it stands for.
    numbers
        Placeholder -> number.
    express
        At least once, five minutes at most, no history and no tokens, for a fiftieth of the price: for short
        processes whose tasks take being repeated, and that somebody starts again if they do not end.

    Attributes
    ----------
    name
        Of the state machine, without its prefix.
    """

    def __init__(
        self,
        scope: Construct,
        process: str,
        *,
        stage: Stage,
        names: Names,
        alarms: Alarms,
        functions: Mapping[str, str],
        numbers: Mapping[str, int] | None = None,
        express: bool = False,
    ) -> None:
        self.name = name = f"{process}{EXPRESS}" if express else process
        super().__init__(scope, name)
        self.arn = names.machine_arn(name)
        aliases = {placeholder: names.function_arn(function) for placeholder, function in functions.items()}
        values: dict[str, str | int] = {"Partition": names.partition, **aliases, **(numbers or {})}
        # The prefix keeps the log's resource policy from growing with every state machine.
        log = log_group(self, "Log", f"/aws/vendedlogs/states/{names.of(name)}", stage=stage, names=names)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={
                "workflow": iam.PolicyDocument(
                    statements=[
                        allow(["lambda:InvokeFunction"], sorted(aliases.values())),
                        allow(LOG_DELIVERY, ["*"]),
                        allow([*TRACING, "xray:GetSamplingRules", "xray:GetSamplingTargets"], ["*"]),
                    ]
                )
            },
        )
        file = DEFINITIONS / f"{process.replace('-', '_')}.asl.json"
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=names.of(name),
            # Standard goes without saying: a type that is said where none was is a change, and a change replaces.
            state_machine_type=sfn.StateMachineType.EXPRESS if express else None,
            definition_body=sfn.DefinitionBody.from_string(definition(file, values)),
            role=role.without_policy_updates(),
            tracing_enabled=True,
            # An execution's input and output are in its history; the log is for what went wrong.
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ERROR, include_execution_data=False),
        )
        ends = [("ExecutionsFailed", "failed"), ("ExecutionsTimedOut", "timed out")]
        if not express:  # nobody can stop an Express execution
            ends.append(("ExecutionsAborted", "aborted"))
        for metric, how in ends:
            alarms.raise_above(
                Trouble.WORKFLOW_FAILED,
                f"{name}-{how.replace(' ', '-')}",
                alarms.metrics.machine(name, metric),
                0,
                f"an execution of {names.of(name)} {how}: its order stands still",
            )
        if not express:  # an Express execution's transitions are not rationed
            alarms.raise_above(
                Trouble.WORKFLOW_THROTTLED,
                name,
                alarms.metrics.machine(name, "ExecutionThrottled"),
                0,
                f"{names.of(name)} is slowed down: the account's state transitions a second are used up",
            )


LOG_DELIVERY: Sequence[str] = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
"""What Step Functions needs to log; CloudWatch Logs allows none of it on a narrower resource."""
