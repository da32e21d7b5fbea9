"""What is connected to what, read from the synthesised templates: the wiring itself is simulated, not a copy of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.settings import STAGES, Stage

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "sim"

REGION, ACCOUNT, PARTITION = "eu-west-1", "000000000000", "aws"

Templates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Function:
    """A function: its handler, environment, and the seconds that it may take."""

    name: str
    handler: str
    environment: Mapping[str, str]
    timeout: int


@dataclass(frozen=True)
class Queue:
    """A queue: how long a message in work is hidden, and where it goes after so many attempts."""

    name: str
    visibility: int
    receives: int
    dead: str


@dataclass(frozen=True, eq=False)
class Consumer:
    """What takes from a queue or a table's stream.

    Attributes
    ----------
    source
        Name of the queue, or of the table.
    concurrency
        Invocations at once.
    retries
        Attempts of a stream's batch until it is set aside.
    filters
        Event patterns of a stream's records; empty for all.
    dead
        Where a stream's batch is noted that was given up.
    """

    function: str
    source: str
    batch: int
    concurrency: int
    retries: int = 0
    filters: tuple[Mapping[str, Any], ...] = ()
    dead: str = ""


@dataclass(frozen=True)
class Rule:
    """A rule of a bus: its pattern and where what matches goes."""

    name: str
    bus: str
    pattern: Mapping[str, Any]
    queue: str = ""
    machine: str = ""
    path: str = ""


@dataclass(frozen=True)
class Schedule:
    """A function that is called every so many seconds."""

    function: str
    seconds: int


@dataclass(frozen=True)
class Index:
    """A secondary index: its keys, and which attributes it holds besides."""

    partition: str
    sort: str
    includes: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table, its indexes, and whether it has a stream."""

    name: str
    indexes: Mapping[str, Index]
    streams: bool


@dataclass(frozen=True)
class Wiring:
    """Everything of a stage that the simulation plays; names without the prefix ``commerce-<stage>-``."""

    functions: Mapping[str, Function]
    queues: Mapping[str, Queue]
    consumers: tuple[Consumer, ...]
    rules: tuple[Rule, ...]
    schedules: tuple[Schedule, ...]
    tables: Mapping[str, Table]
    machines: Mapping[str, Mapping[str, Any]]
    express: frozenset[str]
    """Those of ``machines`` whose executions may run twice and end within five minutes."""


def load(stage: Stage = STAGES["test"]) -> Wiring:
    """Return a stage's wiring, synthesised anew only when its sources have changed.

    Parameters
    ----------
    stage
        Its settings; whatever they are, its name is ``test``, as everything in the simulation is called.
    """
    digest = hashlib.sha256(repr(stage).encode())
    sources = [
        *ROOT.glob("infra/**/*.py"),
        *ROOT.glob("statemachines/*.json"),
        *ROOT.glob("layers/**/commerce/**/*.py"),
    ]
    for file in sorted([*sources, ROOT / "cdk.json"]):
        digest.update(file.read_bytes())
    cached = CACHE / f"templates-{digest.hexdigest()[:16]}.json"
    if not cached.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = cached.with_suffix(".new")
        made.write_text(json.dumps(synthesise(stage)))
        made.replace(cached)
    return read(json.loads(cached.read_text()), "test")


def synthesise(stage: Stage) -> dict[str, Any]:
    """Return stack name -> template of a stage, over assets that hold nothing."""
    from aws_cdk import App

    from infra import platform

    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "asset"
        empty.mkdir()
        (empty / "code.py").write_text("")
        app = App(context={**context, "@aws-cdk/core:validateAgainstDefaultRules": False}, outdir=f"{folder}/out")
        names = ["dependencies", "commerce", *(stack.context for stack in platform.CONTEXT_STACKS)]
        platform.build(app, stage, dict.fromkeys(names, empty))
        return {stack.stack_name: stack.template for stack in app.synth().stacks}


def read(templates: Templates, stage: str) -> Wiring:
    """Read the templates of a stage."""
    return _Reader(templates, f"commerce-{stage}-").wiring()


class _Reader:
    def __init__(self, templates: Templates, prefix: str) -> None:
        self._templates = templates
        self._prefix = prefix

    def wiring(self) -> Wiring:
        queues = {one.name: one for one in self._queues()}
        functions = {one.name: one for one in self._functions()}
        return Wiring(
            functions=functions,
            queues=queues,
            consumers=tuple(self._consumers()),
            rules=tuple(self._rules()),
            schedules=tuple(self._schedules()),
            tables={one.name: one for one in self._tables()},
            machines=dict(self._machines()),
            express=frozenset(
                self._name(of["StateMachineName"])
                for _, of in self._of("AWS::StepFunctions::StateMachine")
                if of.get("StateMachineType") == "EXPRESS"
            ),
        )

    def _of(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for stack, template in self._templates.items():
            for resource in template["Resources"].values():
                if resource["Type"] == kind:
                    yield stack, resource["Properties"]

    def _functions(self) -> Iterator[Function]:
        for stack, of in self._of("AWS::Lambda::Function"):
            variables = of.get("Environment", {}).get("Variables", {})
            environment = {name: self._text(stack, value) for name, value in variables.items()}
            yield Function(self._name(of["FunctionName"]), of["Handler"], environment, of["Timeout"])

    def _queues(self) -> Iterator[Queue]:
        for stack, of in self._of("AWS::SQS::Queue"):
            redrive = of.get("RedrivePolicy", {})
            dead = self._target(stack, redrive["deadLetterTargetArn"])[1] if redrive else ""
            receives = redrive.get("maxReceiveCount", 0)
            yield Queue(self._name(of["QueueName"]), of.get("VisibilityTimeout", 30), receives, dead)

    def _consumers(self) -> Iterator[Consumer]:
        for stack, of in self._of("AWS::Lambda::EventSourceMapping"):
            function = self._target(stack, of["FunctionName"])[1]
            filters = tuple(json.loads(one["Pattern"]) for one in of.get("FilterCriteria", {}).get("Filters", ()))
            if "StartingPosition" in of:
                table = self._text(stack, of["EventSourceArn"]).rpartition("/")[2]
                dead = self._target(stack, of["DestinationConfig"]["OnFailure"]["Destination"])[1]
                retries = of["MaximumRetryAttempts"]
                yield Consumer(function, table, of["BatchSize"], 1, retries, filters, dead)
            else:
                queue = self._target(stack, of["EventSourceArn"])[1]
                yield Consumer(function, queue, of["BatchSize"], of["ScalingConfig"]["MaximumConcurrency"])

    def _rules(self) -> Iterator[Rule]:
        for stack, of in self._of("AWS::Events::Rule"):
            if "EventPattern" not in of:
                continue
            for target in of["Targets"]:
                kind, name = self._target(stack, target["Arn"])
                bus, path = self._name(of["EventBusName"]), target.get("InputPath", "")
                where = {"machine": name} if kind == "AWS::StepFunctions::StateMachine" else {"queue": name}
                yield Rule(self._name(of["Name"]), bus, of["EventPattern"], path=path, **where)

    def _schedules(self) -> Iterator[Schedule]:
        for stack, of in self._of("AWS::Events::Rule"):
            if "ScheduleExpression" in of:
                number, unit = of["ScheduleExpression"].removeprefix("rate(").removesuffix(")").split()
                if not unit.startswith("minute"):
                    raise ValueError(of["ScheduleExpression"])
                yield Schedule(self._target(stack, of["Targets"][0]["Arn"])[1], int(number) * 60)

    def _tables(self) -> Iterator[Table]:
        for _, of in self._of("AWS::DynamoDB::GlobalTable"):
            indexes = {}
            for one in of.get("GlobalSecondaryIndexes", ()):
                partition, sort = (key["AttributeName"] for key in one["KeySchema"])
                includes = tuple(one["Projection"].get("NonKeyAttributes", ()))
                indexes[one["IndexName"]] = Index(partition, sort, includes)
            yield Table(self._name(of["TableName"]), indexes, "StreamSpecification" in of)

    def _machines(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for stack, of in self._of("AWS::StepFunctions::StateMachine"):
            yield self._name(of["StateMachineName"]), json.loads(self._text(stack, of["DefinitionString"]))

    def _name(self, text: str) -> str:
        return text.removeprefix(self._prefix)

    def _target(self, stack: str, value: Any) -> tuple[str, str]:
        """Return type and name of the resource that an intrinsic function refers to."""
        resources = self._templates[stack]["Resources"]
        [logical] = {name for name in _referred(value) if name in resources}
        resource = resources[logical]
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Alias":
            return self._target(stack, properties["FunctionName"])
        name = next(properties[key] for key in ("FunctionName", "QueueName", "StateMachineName") if key in properties)
        return resource["Type"], self._name(name)

    def _text(self, stack: str, value: Any) -> str:
        """Evaluate what CloudFormation would."""
        match value:
            case str():
                return value
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self._text(stack, part) for part in parts)
            case {"Ref": "AWS::Region"}:
                return REGION
            case {"Ref": "AWS::AccountId"}:
                return ACCOUNT
            case {"Ref": "AWS::Partition"}:
                return PARTITION
            case {"Ref": name} if name in self._templates[stack].get("Parameters", {}):
                # A parameter of the parameter store: what it names is enough to tell keys and streams apart.
                return str(self._templates[stack]["Parameters"][name]["Default"])
            case {"Ref": name}:
                return self._target(stack, value)[1] if name in self._templates[stack]["Resources"] else str(name)
            case _:
                return str(self._target(stack, value)[1])


def _referred(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": name}:
            yield name
        case {"Fn::GetAtt": [name, _]}:
            yield name
        case dict():
            for one in value.values():
                yield from _referred(one)
        case list():
            for one in value:
                yield from _referred(one)
