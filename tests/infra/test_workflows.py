"""State machines: their placeholders, whom they call, and who starts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.state_machine import DEFINITIONS, EXPRESS, PlaceholdersDiffer, definition
from infra.contexts.orders import (
    COMPLETION,
    COMPLETION_FUNCTIONS,
    COMPLETION_MACHINE,
    LIFECYCLE,
    LIFECYCLE_FUNCTIONS,
)
from tests.infra.templates import Synthesised, flat

pytestmark = pytest.mark.infra

FIVE_MINUTES = 300
"""The longest time that AWS lets an Express execution take."""


def machines(synthesised: Synthesised) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return (name, properties, definition) of each."""
    for _, _, machine in synthesised.resources("AWS::StepFunctions::StateMachine"):
        properties = machine["Properties"]
        name = properties["StateMachineName"].removeprefix(f"commerce-{synthesised.stage.name}-")
        yield name, properties, json.loads(flat(properties["DefinitionString"]))


def test_every_definition_is_deployed_without_a_placeholder_left(synthesised: Synthesised) -> None:
    found = {name: json.dumps(asl) for name, _, asl in machines(synthesised)}
    processes = {name.removesuffix(EXPRESS).replace("-", "_") for name in found}
    assert {f"{process}.asl.json" for process in processes} == {file.name for file in DEFINITIONS.iterdir()}
    for text in found.values():
        assert "Function}" not in text
        assert "Seconds}" not in text


def test_every_task_calls_the_alias_of_a_function_that_is_there_and_allowed(synthesised: Synthesised) -> None:
    functions = synthesised.named("AWS::Lambda::Function", "FunctionName")
    for name, properties, asl in machines(synthesised):
        called = {state["Arguments"]["FunctionName"] for state in asl["States"].values() if state["Type"] == "Task"}
        wanted = LIFECYCLE_FUNCTIONS if name == LIFECYCLE else COMPLETION_FUNCTIONS
        short = {arn.split(":function:commerce-")[1] for arn in called}
        assert short == {f"{synthesised.stage.name}-{function}:live" for function in wanted.values()}
        assert set(wanted.values()) <= set(functions)
        role = synthesised.refer("orders", properties["RoleArn"])["Properties"]
        [invoke] = [
            statement
            for statement in role["Policies"][0]["PolicyDocument"]["Statement"]
            if statement["Action"] == "lambda:InvokeFunction"
        ]
        assert {flat(arn) for arn in invoke["Resource"]} == called


def test_windows_are_numbers(synthesised: Synthesised) -> None:
    windows = synthesised.stage.windows
    asl = next(asl for name, _, asl in machines(synthesised) if name == LIFECYCLE)
    timeouts = {
        name: state["TimeoutSeconds"]
        for name, state in asl["States"].items()
        if "waitForTaskToken" in state.get("Resource", "")
    }
    assert timeouts == {
        "AwaitStock": windows.stock,
        "AwaitPayment": windows.payment,
        "AwaitDispatch": windows.dispatch,
    }


def test_workflows_are_traced_and_log_their_errors_without_data(synthesised: Synthesised) -> None:
    for _, properties, _ in machines(synthesised):
        assert properties["TracingConfiguration"] == {"Enabled": True}
        logging = properties["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
        log = synthesised.refer("orders", logging["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"])
        assert log["Properties"]["RetentionInDays"] == synthesised.stage.log_retention_days


def test_the_completion_is_express_and_ends_in_time_without_waits(synthesised: Synthesised) -> None:
    made = {name: (properties, asl) for name, properties, asl in machines(synthesised)}
    properties, asl = made[COMPLETION_MACHINE]
    assert properties["StateMachineType"] == "EXPRESS"
    functions = synthesised.named("AWS::Lambda::Function", "FunctionName")
    longest = 0
    for state in asl["States"].values():
        assert "waitForTaskToken" not in state["Resource"], "Express workflows have no tokens"
        [retry] = state["Retry"]
        pauses = (
            min(retry["IntervalSeconds"] * retry["BackoffRate"] ** at, retry["MaxDelaySeconds"])
            for at in range(retry["MaxAttempts"])
        )
        called = state["Arguments"]["FunctionName"].split(":")[-2].removeprefix(f"commerce-{synthesised.stage.name}-")
        longest += sum(pauses) + (retry["MaxAttempts"] + 1) * functions[called]["Timeout"]
    assert longest < FIVE_MINUTES, "it is over before it is cut off"
    # Nobody starts it again before it is over, but where windows are seconds.
    assert synthesised.stage.emulated or synthesised.stage.windows.settlement > FIVE_MINUTES
    standard, _ = made[LIFECYCLE]
    assert "StateMachineType" not in standard, "a type said where none was would replace the machine"


def test_an_acceptance_starts_the_completion_with_what_it_says(synthesised: Synthesised) -> None:
    rules = synthesised.named("AWS::Events::Rule", "Name")
    [target] = rules[f"{COMPLETION}-orders"]["Targets"]
    assert target["InputPath"] == "$.detail"
    role = synthesised.refer("orders", target["RoleArn"])["Properties"]
    [statement] = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "states:StartExecution"
    assert flat(statement["Resource"]).endswith(f":stateMachine:commerce-{synthesised.stage.name}-{COMPLETION_MACHINE}")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"Function": "arn"}, "missing ['Seconds'], unknown []"),
        ({"Function": "arn", "Seconds": 1, "More": 2}, "missing [], unknown ['More']"),
    ],
)
def test_placeholders_and_values_must_be_the_same(tmp_path: Path, values: dict[str, str | int], told: str) -> None:
    file = tmp_path / "some.asl.json"
    file.write_text('{"QueryLanguage": "JSONata", "TimeoutSeconds": ${Seconds}, "Name": "${Function}"}')
    with pytest.raises(PlaceholdersDiffer, match=r"some\.asl\.json: ") as error:
        definition(file, values)
    assert told in str(error.value)


def test_a_definition_in_another_language_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "some.asl.json"
    file.write_text('{"QueryLanguage": "JSONPath"}')
    with pytest.raises(ValueError, match="not written in JSONata"):
        definition(file, {})
