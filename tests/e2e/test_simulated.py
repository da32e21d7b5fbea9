"""The simulation's AWS and Step Functions do what the local cloud's do: call by call, state by state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.support import Platform
from tests.simulated import calls_of, differences, make_tables
from tools.sim import wiring
from tools.sim.asl import Execution, TaskFailed

SEED = 13
MOST_EXECUTIONS = 400

Step = tuple[str, str, Any]


@pytest.mark.at_the_end
def test_dynamodb_answers_each_simulated_call_as_the_local_cloud_does(platform: Platform) -> None:
    calls = calls_of(SEED, frozenset({"dynamodb"}))
    client = platform.deployment.client("dynamodb")
    prefix = f"simulated-{platform.run}-"
    make_tables(client, prefix)
    assert differences(client, calls, prefix) == []


@pytest.mark.at_the_end
@pytest.mark.parametrize("machine", ["order-lifecycle", "order-completion-express"])
def test_executions_of_the_local_cloud_play_again_state_by_state(platform: Platform, machine: str) -> None:
    states = platform.deployment.client("stepfunctions")
    [arn] = [
        one["stateMachineArn"]
        for one in states.list_state_machines()["stateMachines"]
        if one["name"].endswith(f"-{machine}")
    ]
    definition = wiring.load().machines[machine]
    played: set[str] = set()
    listed = states.get_paginator("list_executions").paginate(stateMachineArn=arn)
    finished = [one for page in listed for one in page["executions"] if one["status"] != "RUNNING"]
    assert finished
    for one in finished[:MOST_EXECUTIONS]:
        pages = states.get_paginator("get_execution_history").paginate(executionArn=one["executionArn"])
        happened = list(_read([event for page in pages for event in page["events"]]))
        given = json.loads(states.describe_execution(executionArn=one["executionArn"])["input"])
        again = _Again(definition, given, happened, one["name"], one["startDate"])
        assert again.history == [step for step in happened if step[0] != "outcome"], one["name"]
        played |= {name for kind, name, _ in again.history if kind == "entered"}
    if machine == "order-lifecycle":
        assert played >= {
            "Screen", "Reserve", "AwaitStock", "AwaitPayment", "AwaitDispatch", "BeginClose", "StopSlips",
            "ReleaseStock", "ReturnMoney", "Close",
        }  # fmt: skip


def _read(events: list[Any]) -> Iterator[Step]:
    """Yield what a history tells, in the interpreter's words; ``outcome`` is what came of a task."""
    state = ""
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            state = event["stateEnteredEventDetails"]["name"]
            yield "entered", state, json.loads(event["stateEnteredEventDetails"]["input"])
        elif kind == "TaskScheduled":
            yield "task", state, _without_token(json.loads(event["taskScheduledEventDetails"]["parameters"]))
        elif kind == "TaskSucceeded":
            yield "outcome", state, (json.loads(event["taskSucceededEventDetails"]["output"]), None)
        elif kind == "TaskFailed":
            told = event["taskFailedEventDetails"]
            yield "outcome", state, (None, TaskFailed(told["error"], told.get("cause", "")))
        elif kind.endswith("StateExited"):
            yield "exited", state, json.loads(event["stateExitedEventDetails"]["output"])
        elif kind == "ExecutionSucceeded":
            yield "succeeded", state, json.loads(event["executionSucceededEventDetails"]["output"])
        elif kind == "ExecutionFailed":
            told = event["executionFailedEventDetails"]
            yield "failed", state, {"Error": told["error"], "Cause": told["cause"]}


def _without_token(arguments: Any) -> Any:
    payload = arguments.get("Payload")
    kept = {name: value for name, value in payload.items() if name not in ("token", "started_at")}
    # The names of functions are the deployment's account and region.
    return {"function": arguments["FunctionName"].rpartition("function:")[2], "payload": kept}


class _Again:
    """An execution played again with the outcomes that its tasks had."""

    def __init__(self, definition: Any, given: Any, happened: list[Step], name: str, started: datetime) -> None:
        self._outcomes = iter([told for kind, _, told in happened if kind == "outcome"])
        self._started = started
        self._attempt = 0
        self._execution = execution = Execution("machine", name, definition, given, self, started)
        execution.start()
        self.history = [
            (kind, state, _without_token(told) if kind == "task" else told)
            for kind, state, told in execution.history
            # The emulator tells no way out of a last state that only succeeds.
            if not (kind == "exited" and definition["States"][state]["Type"] == "Succeed")
        ]

    def now(self) -> datetime:
        return self._started

    def after(self, seconds: float, what: Any) -> None:
        # A retry comes at once; a timeout comes as an outcome.
        if what.func.__name__ == "_try_again":
            what()

    def invoke(self, function: str, payload: Any, done: Any) -> None:
        result, failure = next(self._outcomes)
        if failure is None and "token" not in payload:
            done(result["Payload"], None)
        elif failure is None:
            self._execution.answer(self._attempt, result, None)
        elif "token" in payload:
            self._execution.answer(self._attempt, None, failure)
        else:
            done(None, failure)

    def token(self, execution: Execution, attempt: int) -> str:
        self._attempt = attempt
        return "token"

    def jitter(self, execution: Execution, most: float) -> float:
        return 0.0
