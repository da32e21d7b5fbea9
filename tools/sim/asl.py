"""The part of the Amazon States Language that the platform's state machines use, on anybody's clock.

States Language specification (states-language.net) with JSONata: Task over Lambda (also by task token), Retry, Catch,
TimeoutSeconds, Assign, Output, Pass, Choice, Wait, Succeed and Fail. Anything else is refused when a definition is
read. Why an interpreter of our own: docs/decisions/2026-11-24-simulation.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, Protocol

from jsonata import Jsonata

from commerce.clock import rfc3339

_KNOWN = {
    "Task": {"Resource", "Arguments", "TimeoutSeconds", "Retry", "Catch", "Assign", "Output", "Next", "End"},
    "Pass": {"Assign", "Output", "Next", "End"},
    "Choice": {"Choices", "Default", "Assign", "Output"},
    "Wait": {"Seconds", "Assign", "Output", "Next", "End"},
    "Succeed": {"Output"},
    "Fail": {"Error", "Cause"},
}
_RETRIER = {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "MaxDelaySeconds", "JitterStrategy"}
_CATCHER = {"ErrorEquals", "Next", "Assign", "Output"}
_INVOKE, _WAIT = ":states:::lambda:invoke", ":states:::lambda:invoke.waitForTaskToken"


class NotSupported(ValueError):
    """A definition uses something that this interpreter does not know."""


@dataclass(frozen=True)
class TaskFailed(Exception):
    """A task ended badly: the error's name and its cause, as a Catch sees them."""

    error: str
    cause: str = ""


class Surroundings(Protocol):
    """What an execution needs of the world."""

    def now(self) -> datetime:
        """Return the time."""
        ...

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Do something later."""
        ...

    def invoke(self, function: str, payload: Any, done: Callable[[Any, TaskFailed | None], None]) -> None:
        """Invoke a function by its ARN; ``done`` gets its answer or its failure, once."""
        ...

    def token(self, execution: Execution, attempt: int) -> str:
        """Return a new task token for an attempt of the execution's current state."""
        ...

    def jitter(self, execution: Execution, most: float) -> float:
        """Return a delay between 0 and ``most`` seconds."""
        ...


def check(definition: Mapping[str, Any]) -> None:
    """Refuse a definition with anything unknown in it.

    Raises
    ------
    NotSupported
        Says what.
    """
    strange = definition.keys() - {"Comment", "QueryLanguage", "StartAt", "States"}
    if strange or definition.get("QueryLanguage") != "JSONata":
        raise NotSupported(f"{strange or 'a definition that is not written in JSONata'}")
    for name, state in definition["States"].items():
        known = _KNOWN.get(state["Type"])
        if known is None or (more := state.keys() - known - {"Type", "Comment"}):
            raise NotSupported(f"{name}: {state['Type'] if known is None else more}")
        for one in state.get("Retry", ()):
            if more := one.keys() - _RETRIER:
                raise NotSupported(f"{name}: {more}")
        for one in state.get("Catch", ()):
            if more := one.keys() - _CATCHER:
                raise NotSupported(f"{name}: {more}")


@dataclass
class Execution:
    """One execution, driven by its surroundings' callbacks.

    Attributes
    ----------
    history
        What happened, in order: ``(kind, state, data)`` with the kinds ``entered`` (input), ``task`` (arguments),
        ``exited`` (output) and, at the end, ``succeeded`` or ``failed``.
    status
        ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``TIMED_OUT``.
    transitions
        What AWS bills: the start, every state entered, every retry.
    """

    machine: str
    name: str
    definition: Mapping[str, Any]
    input: Any
    world: Surroundings
    started: datetime
    status: str = "RUNNING"
    output: Any = None
    history: list[tuple[str, str, Any]] = field(default_factory=list)
    transitions: int = 1
    state: str = ""
    _variables: dict[str, Any] = field(default_factory=dict)
    _given: Any = None
    _attempt: int = 0
    _failures: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Enter the first state."""
        self._enter(self.definition["StartAt"], self.input)

    def expire(self) -> None:
        """End it, wherever it is: the longest time that an Express execution may take is over."""
        if self.status == "RUNNING":
            self._finish("TIMED_OUT", {"Error": "States.Timeout", "Cause": ""})

    def answer(self, attempt: int, result: Any, failure: TaskFailed | None) -> bool:
        """Take the answer to the token of an attempt; False if nothing waits for it any more."""
        if self.status != "RUNNING" or attempt != self._attempt:
            return False
        self._ended(attempt, result, failure)
        return True

    # states

    def _enter(self, name: str, given: Any) -> None:
        self.state, self._given, self._failures = name, given, {}
        self.history.append(("entered", name, given))
        self.transitions += 1
        state = self.definition["States"][name]
        match state["Type"]:
            case "Task":
                self._try()
            case "Succeed":
                self._finish("SUCCEEDED", self._render(state.get("Output", given), given))
            case "Fail":
                self._finish("FAILED", {"Error": state.get("Error", ""), "Cause": state.get("Cause", "")})
            case "Pass":
                self._leave(state, given)
            case "Wait":
                self.world.after(float(self._render(state["Seconds"], given)), lambda: self._leave(state, given))
            case _:
                self._choose(state)

    def _choose(self, state: Mapping[str, Any]) -> None:
        for choice in state["Choices"]:
            if self._render(choice["Condition"], self._given):
                self._leave({**state, **choice}, self._given)
                return
        self._leave({**state, "Next": state["Default"]}, self._given)

    def _try(self) -> None:
        state = self.definition["States"][self.state]
        self._attempt += 1
        attempt = self._attempt
        token = self.world.token(self, attempt) if state["Resource"].endswith(_WAIT) else ""
        if not state["Resource"].endswith((_WAIT, _INVOKE)):
            raise NotSupported(state["Resource"])
        arguments = self._render(state["Arguments"], self._given, token=token)
        self.history.append(("task", self.state, arguments))
        if "TimeoutSeconds" in state:
            self.world.after(state["TimeoutSeconds"], partial(self._time_out, attempt))

        def done(answer: Any, failure: TaskFailed | None) -> None:
            # With a token the function's answer means nothing, and its failure fails the task.
            if self._current(attempt) and (failure or not token):
                self._ended(attempt, {"Payload": answer, "StatusCode": 200}, failure)

        self.world.invoke(arguments["FunctionName"], arguments.get("Payload"), done)

    def _time_out(self, attempt: int) -> None:
        if self._current(attempt):
            self._ended(attempt, None, TaskFailed("States.Timeout"))

    def _try_again(self, attempt: int) -> None:
        if self._current(attempt):
            self._try()

    def _current(self, attempt: int) -> bool:
        return self.status == "RUNNING" and attempt == self._attempt

    def _ended(self, attempt: int, result: Any, failure: TaskFailed | None) -> None:
        state = self.definition["States"][self.state]
        if failure is None:
            self._attempt += 1  # whatever else of this attempt comes, comes too late
            self._leave(state, result, result=result)
        elif not self._retry(state, attempt, failure):
            self._attempt += 1
            self._catch(state, failure)

    def _retry(self, state: Mapping[str, Any], attempt: int, failure: TaskFailed) -> bool:
        for at, retrier in enumerate(state.get("Retry", ())):
            if not _matches(retrier["ErrorEquals"], failure.error):
                continue
            failed = self._failures.get(at, 0)
            if failed >= retrier.get("MaxAttempts", 3):
                return False
            self._failures[at] = failed + 1
            delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** failed
            delay = min(delay, retrier.get("MaxDelaySeconds", delay))
            if retrier.get("JitterStrategy") == "FULL":
                delay = self.world.jitter(self, delay)
            self._attempt += 1
            waiting = self._attempt
            self.transitions += 1
            self.world.after(delay, partial(self._try_again, waiting))
            return True
        return False

    def _catch(self, state: Mapping[str, Any], failure: TaskFailed) -> None:
        told = {"Error": failure.error, "Cause": failure.cause}
        for catcher in state.get("Catch", ()):
            if _matches(catcher["ErrorEquals"], failure.error):
                self._leave(catcher, told, error=told)
                return
        self._finish("FAILED", told)

    def _leave(self, way: Mapping[str, Any], value: Any, *, result: Any = None, error: Any = None) -> None:
        output = self._render(way["Output"], self._given, result=result, error=error) if "Output" in way else value
        assigned = self._render(way.get("Assign", {}), self._given, result=result, error=error)
        self._variables |= assigned
        self.history.append(("exited", self.state, output))
        if way.get("End"):
            self._finish("SUCCEEDED", output)
        else:
            self._enter(way["Next"], output)

    def _finish(self, status: str, output: Any) -> None:
        self.status, self.output = status, output
        self.history.append((status.lower(), self.state, output))

    # JSONata

    def _render(self, template: Any, given: Any, *, token: str = "", result: Any = None, error: Any = None) -> Any:
        if isinstance(template, str) and template.startswith("{%") and template.endswith("%}"):
            context = {
                "Execution": {
                    "Id": f"{self.machine}:{self.name}",
                    "Name": self.name,
                    "StartTime": rfc3339(self.started),
                    "Input": self.input,
                },
                "State": {"Name": self.state},
                "Task": {"Token": token},
            }
            states = {"input": given, "context": context, "result": result, "errorOutput": error}
            return evaluate(template[2:-2].strip(), {"states": states, **self._variables})
        if isinstance(template, dict):
            return {
                name: self._render(one, given, token=token, result=result, error=error)
                for name, one in template.items()
            }
        if isinstance(template, list):
            return [self._render(one, given, token=token, result=result, error=error) for one in template]
        return template


@cache
def _compiled(expression: str) -> Jsonata:
    made = Jsonata(expression)
    # Step Functions' own function, which JSONata has not.
    made.register_lambda("parse", json.loads)
    return made


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of a JSONata expression; its variables are named without the dollar sign."""
    compiled = _compiled(expression)
    frame = compiled.create_frame()
    for name, value in variables.items():
        frame.bind(name, value)
    return _plain(compiled.evaluate(None, frame))


def _plain(value: Any) -> Any:
    # The library's own lists and nulls become plain ones.
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _matches(wanted: list[str], error: str) -> bool:
    # States.TaskFailed matches any failure of a task but a timeout; States.ALL matches every one.
    return (
        error in wanted
        or "States.ALL" in wanted
        or ("States.TaskFailed" in wanted and not error.startswith("States.Timeout"))
    )
