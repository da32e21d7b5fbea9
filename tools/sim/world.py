"""The world: virtual time, function environments, queues, streams, executions and what goes wrong with them.

One process, one thread, and nothing that the seed does not decide. A function runs in a greenlet that gives way at each
of its AWS calls, so that invocations interleave call by call; a crash is a greenlet that is never resumed.
"""

from __future__ import annotations

import hashlib
import heapq
import importlib
import json
import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import GreenletExit, getcurrent, greenlet

from tools.sim.asl import Execution, TaskFailed, check
from tools.sim.cloud import Cloud, Exceptions, Record, failure, matches
from tools.sim.faults import Fault, Kind
from tools.sim.wiring import Consumer, Function, Rule, Wiring

BEGIN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SECRET = "simulated-callback-key"  # noqa: S105 - of a provider that exists in the simulation only

_TRANSIENT = frozenset({"ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError"})
_SDK_ATTEMPTS = 4
"""As `commerce.aws` sets them."""

_API_TIMEOUT = 30.0
LONGEST_EXPRESS = 300.0
"""Seconds after which an Express execution is ended."""

_PREFIX = "commerce-test-"

Done = Callable[[Any, TaskFailed | None], None]


@dataclass(frozen=True)
class Site:
    """An AWS call in the code: who makes it, what it is, and the line that asks for it."""

    function: str
    action: str
    line: str

    def __str__(self) -> str:
        return f"{self.function}: {self.action} at {self.line}"


@dataclass
class Invocation:
    """A running function."""

    function: Function
    done: Done
    skew: float
    glet: greenlet | None = None
    over: bool = False


@dataclass
class Message:
    """A message of a queue."""

    id: str
    body: str
    visible: float
    receives: int = 0
    gone: bool = False


@dataclass
class Line:
    """A queue with its messages, and how many invocations work on it."""

    messages: list[Message] = field(default_factory=list)
    running: int = 0


@dataclass
class Cursor:
    """How far a stream's consumer is."""

    at: int = 0
    attempts: int = 0
    running: bool = False


@dataclass(frozen=True)
class Answer:
    """What a caller of the API gets."""

    status: int
    body: Any
    headers: Mapping[str, str]


class World:
    """Everything of a stage, playing.

    Parameters
    ----------
    wiring
        Of the stage.
    seed
        Decides whatever is left to chance.
    faults
        What goes wrong, from `arm` on.
    crash
        A call site to crash once, and whether before or after the call.

    Attributes
    ----------
    calls, messages
        Since `arm`: how often each call was made, and how many messages each queue and stream had.
    sites
        Call sites -> how often they were reached.
    struck
        Faults that befell something.
    errors
        Errors that no handler expected: what was logged as unknown.
    """

    def __init__(
        self,
        wiring: Wiring,
        seed: int,
        faults: Sequence[Fault] = (),
        crash: tuple[Site, Kind] | None = None,
    ) -> None:
        self.wiring = wiring
        self.seed = seed
        self.time = 0.0
        self.calls: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.sites: Counter[Site] = Counter()
        self.struck: set[Fault] = set()
        self.errors: list[str] = []
        self.counted: Counter[str] = Counter()
        self.invocations: Counter[str] = Counter()
        self.executions: dict[tuple[str, str], Execution] = {}
        self.dead: dict[str, list[Message]] = {name: [] for name in wiring.queues}
        """Dead-letter queue -> what is in it."""
        self.cloud = Cloud(
            wiring.tables, wiring.rules, lambda: self.time, self._routed, self._states, self._sqs, SECRET
        )
        self._faults = {(one.kind, one.at, one.number): one for one in faults}
        self._crash = crash
        self._armed = False
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._lines = {name: Line() for name in wiring.queues}
        self._cursors = {one: Cursor() for one in wiring.consumers if one.filters}
        self._tokens: dict[str, tuple[Execution, int]] = {}
        self._current: Invocation | None = None
        self._hub = getcurrent()
        self._hash = hashlib.sha256()
        self._handlers: dict[str, Callable[[Any, Any], Any]] = {}
        self._queues = {one.source: one for one in wiring.consumers if not one.filters}
        for definition in wiring.machines.values():
            check(definition)
        for of in wiring.functions.values():
            module, _, name = of.handler.rpartition(".")
            self._handlers[of.name] = getattr(importlib.import_module(module), name)
        for schedule in wiring.schedules:
            self._every(schedule.function, schedule.seconds)

    # time

    @property
    def now(self) -> datetime:
        """The true time."""
        return BEGIN + timedelta(seconds=self.time)

    @property
    def trace(self) -> str:
        """A hash of everything that happened, in its order."""
        return self._hash.hexdigest()

    def after(self, seconds: float, what: Callable[[], Any]) -> None:
        """Do something later."""
        self._sequence += 1
        heapq.heappush(self._agenda, (self.time + max(seconds, 0.0), self._sequence, what))

    def run(self, seconds: float) -> None:
        """Let the world go on for so long."""
        end = self.time + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.time, _, what = heapq.heappop(self._agenda)
            what()
        self.time = end

    def arm(self) -> None:
        """From here on faults befall, and calls and messages count."""
        self._armed = True

    @property
    def crashed(self) -> bool:
        """Whether the call site that was to be crashed was."""
        return self._crash is None

    def disarm(self) -> None:
        """No further faults."""
        self._armed = False

    def chance(self, *about: object) -> random.Random:
        """Return dice that depend on the seed and what they are for alone, so that nothing else moves them."""
        return random.Random(f"{self.seed} {about}")  # noqa: S311 - a simulation wants to be predicted

    def sleep(self, seconds: float) -> None:
        """Wait, in whatever greenlet this is."""
        me = getcurrent()
        invocation = self._current
        self.after(seconds, lambda: self._resume(me, invocation, None))
        self._hub.switch()

    def actor(self, what: Callable[[], None], at: float = 0.0) -> None:
        """Let somebody outside the platform act, from ``at`` seconds from now on."""
        self.after(at, lambda: greenlet(what, self._hub).switch())

    # the API

    def request(
        self,
        route: str,
        function: str,
        path: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        claims: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call the API as an actor, once; 500 where the function crashed, 503 where it took too long."""
        method, template = route.split(" ")
        raw = template
        for name, value in (path or {}).items():
            raw = raw.replace(f"{{{name}}}", value)
        text = body if isinstance(body, str) else None if body is None else json.dumps(body)
        context: dict[str, Any] = {
            "routeKey": route,
            "stage": "$default",
            "requestId": "simulated",
            "http": {"method": method, "path": raw, "sourceIp": "192.0.2.1"},
        }
        if claims:
            context["authorizer"] = {"jwt": {"claims": dict(claims)}}
        event = {
            "version": "2.0",
            "routeKey": route,
            "rawPath": raw,
            "rawQueryString": "",
            "headers": {name.lower(): value for name, value in (headers or {}).items()},
            "queryStringParameters": dict(query) if query else None,
            "pathParameters": dict(path) if path else None,
            "requestContext": context,
            "body": text,
            "isBase64Encoded": False,
        }
        me = getcurrent()
        answered = False

        def answer(found: Answer) -> None:
            nonlocal answered
            if not answered:
                answered = True
                self._resume(me, None, found)

        def done(result: Any, failed: TaskFailed | None) -> None:
            if failed:
                answer(Answer(500, {}, {}))
            else:
                content = json.loads(result["body"]) if result.get("body") else None
                answer(Answer(result["statusCode"], content, result.get("headers") or {}))

        self.after(_API_TIMEOUT, lambda: answer(Answer(503, {}, {})))
        self.invoke(function, event, done)
        found: Answer = self._hub.switch()
        return found

    # functions

    def invoke(self, function: str, payload: Any, done: Done) -> None:
        """Run a function; ``done`` gets its result, or how it failed, once."""
        of = self.wiring.functions[function.rpartition("function:")[2].removeprefix("commerce-test-").partition(":")[0]]
        self.invocations[of.name] += 1
        number = self.invocations[of.name]
        dice = self.chance("invocation", of.name, number)
        if self._armed:
            self.calls[f"{of.name}/start"] += 1
        skew = self._fault(Kind.SKEW, f"{of.name}/start", self.calls[f"{of.name}/start"])
        invocation = Invocation(of, done, skew.amount if skew else 0.0)
        event = json.loads(json.dumps(payload))

        def body(_: object) -> None:
            context = SimpleNamespace(
                function_name=of.name,
                memory_limit_in_mb=512,
                invoked_function_arn=of.name,
                aws_request_id=f"{of.name}-{number}",
                get_remaining_time_in_millis=lambda: of.timeout * 1000,
            )
            try:
                result = self._handlers[of.name](event, context)
            except Exception as error:  # noqa: BLE001 - Lambda's own boundary
                told = {"errorType": type(error).__name__, "errorMessage": str(error)}
                self._over(invocation, None, TaskFailed(type(error).__name__, json.dumps(told)))
            else:
                self._over(invocation, json.loads(json.dumps(result)), None)

        invocation.glet = greenlet(body, self._hub)
        self.after(dice.uniform(0.001, 0.05), lambda: self._resume(invocation.glet, invocation, None))
        self.after(of.timeout, lambda: self._kill(invocation, "Sandbox.Timedout"))

    def _over(self, invocation: Invocation, result: Any, failed: TaskFailed | None) -> None:
        if not invocation.over:
            invocation.over = True
            self._note("over", invocation.function.name, failed.error if failed else "")
            self.after(0.001, lambda: invocation.done(result, failed))

    def _kill(self, invocation: Invocation, error: str) -> None:
        if invocation.over:
            return
        self._over(invocation, None, TaskFailed(error, json.dumps({"errorType": error, "errorMessage": error})))
        if invocation.glet is not None and not invocation.glet.dead and invocation.glet is not getcurrent():
            invocation.glet.throw(GreenletExit)

    def _resume(self, who: greenlet | None, invocation: Invocation | None, value: Any) -> None:
        if who is None or who.dead or (invocation is not None and invocation.over):
            return
        before, self._current = self._current, invocation
        try:
            who.switch(value)
        finally:
            self._current = before

    # AWS calls

    def call(self, service: str, action: str, request: Mapping[str, Any], attempts: int) -> Any:
        """Make one call of a boto3 client, with the SDK's retries."""
        if action == "transact_write_items" and "ClientRequestToken" not in request:
            # The SDK gives a transaction one token for all its attempts.
            self._sequence += 1
            request = {**request, "ClientRequestToken": f"token-{self._sequence}"}
        attempt = 1
        while True:
            try:
                return self._wire(service, action, request)
            except ReadTimeoutError:
                if attempt >= attempts:
                    raise
            except ClientError as error:
                if error.response["Error"]["Code"] not in _TRANSIENT or attempt >= attempts:
                    raise
            attempt += 1
            self.sleep(0.05 * 2**attempt)

    def _wire(self, service: str, action: str, request: Mapping[str, Any]) -> Any:
        invocation = self._current
        if invocation is None:
            return self.cloud.perform(service, action, request)
        if invocation.over:
            raise GreenletExit
        me = f"{invocation.function.name}/{action}"
        number, site = self._count(invocation.function.name, action)
        self.sleep(self.chance("latency", me, number).uniform(0.002, 0.02))
        self._note("call", me, number)
        crash = self._crash[1] if self._crash and site == self._crash[0] else None
        if crash:
            self._crash = None
        if crash is Kind.CRASH_BEFORE or self._fault(Kind.CRASH_BEFORE, me, number):
            self._die(invocation)
        if self._fault(Kind.THROTTLED, me, number):
            self.sleep(1.0)
            raise failure("ThrottlingException" if service != "dynamodb" else "ProvisionedThroughputExceededException")
        if self._fault(Kind.CANCELLED, me, number):
            reasons = [{"Code": "TransactionConflict"}] + [{"Code": "None"}] * (len(request["TransactItems"]) - 1)
            raise failure("TransactionCanceledException", CancellationReasons=reasons)
        token = self._fault(Kind.TOKEN, me, number)
        if token:
            again = lambda: self._again(service, action, request)  # noqa: E731
            self.after(token.amount * 2, again)
            self.sleep(min(token.amount, invocation.function.timeout - 2))
        answer = self.cloud.perform(
            service,
            action,
            request,
            stale=bool(self._fault(Kind.STALE, me, number)),
            short=bool(self._fault(Kind.PARTIAL, me, number)),
        )
        self._pump()
        if crash is Kind.CRASH_AFTER or self._fault(Kind.CRASH_AFTER, me, number):
            self._die(invocation)
        if self._fault(Kind.LOST_RESPONSE, me, number):
            self.sleep(2.0)
            raise ReadTimeoutError(endpoint_url="https://simulated.invalid")
        return answer

    def _again(self, service: str, action: str, request: Mapping[str, Any]) -> None:
        try:
            self.cloud.perform(service, action, request)
        except ClientError as error:
            self._note("again", action, error.response["Error"]["Code"])

    def _die(self, invocation: Invocation) -> None:
        self._note("crash", invocation.function.name)
        self._over(invocation, None, TaskFailed("Runtime.ExitError", '{"errorMessage":"the environment died"}'))
        raise GreenletExit

    def _count(self, function: str, action: str) -> tuple[int, Site]:
        site = Site(function, action, _line())
        self.sites[site] += 1
        if self._armed:
            self.calls[f"{function}/{action}"] += 1
        return self.calls[f"{function}/{action}"], site

    def _fault(self, kind: Kind, at: str, number: int) -> Fault | None:
        if not self._armed:
            return None
        found = self._faults.get((kind, at, number))
        if found:
            self.struck.add(found)
            self._note("fault", found.kind, found.at, found.number)
        return found

    # queues and streams

    def _routed(self, rule: Rule, event: Mapping[str, Any]) -> None:
        if rule.machine:
            given = event["detail"] if rule.path == "$.detail" else event
            for copies, delay in self._befalls(rule.name):
                for copy in range(copies):
                    name = f"{event['id']}-{rule.name}-{copy}"
                    self.after(0.05 + delay, lambda name=name: self._start(rule.machine, name, given))  # type: ignore[misc]
            return
        self.send(rule.queue, json.dumps(event))

    def send(self, queue: str, body: str) -> None:
        """Put a message on a queue, as it may befall."""
        for copies, delay in self._befalls(queue):
            for _ in range(copies):
                self._sequence += 1
                message = Message(f"message-{self._sequence}", body, self.time + 0.02 + delay)
                self._lines[queue].messages.append(message)
                # A moment after, whatever the last digit of a float says.
                self.after(0.021 + delay, lambda: self._work_off(queue))

    def _befalls(self, at: str) -> Iterator[tuple[int, float]]:
        """Yield how many copies of a message come, and after how long."""
        number = 0
        if self._armed:
            self.messages[at] += 1
            number = self.messages[at]
        late = self._fault(Kind.LATE, at, number) or self._fault(Kind.REORDER, at, number)
        copies = 2 if self._fault(Kind.DUPLICATE, at, number) else 1
        yield copies, late.amount if late else 0.0

    def _work_off(self, queue: str) -> None:
        consumer, line, of = self._queues.get(queue), self._lines[queue], self.wiring.queues[queue]
        if consumer is None:
            return
        line.messages = [one for one in line.messages if not one.gone]
        ready = [one for one in line.messages if one.visible <= self.time]
        dice = self.chance("batch", queue, self._sequence)
        while ready and line.running < consumer.concurrency:
            size = dice.randint(1, consumer.batch)
            batch, ready = ready[:size], ready[size:]
            work: list[Message] = []
            for one in batch:
                one.receives += 1
                if of.receives and one.receives > of.receives:
                    one.gone = True
                    self.dead[of.dead].append(one)
                    self._note("dead", queue, one.body)
                else:
                    one.visible = self.time + of.visibility
                    self.after(of.visibility + 0.01, lambda: self._work_off(queue))
                    work.append(one)
            if work:
                self._deliver(consumer, line, work)

    def _deliver(self, consumer: Consumer, line: Line, work: list[Message]) -> None:
        line.running += 1

        def done(result: Any, failed: TaskFailed | None) -> None:
            line.running -= 1
            if failed is None:
                back = {one["itemIdentifier"] for one in (result or {}).get("batchItemFailures", ())}
                for one in work:
                    one.gone = one.gone or one.id not in back
            self._work_off(consumer.source)

        records = [
            {
                "messageId": one.id,
                "receiptHandle": one.id,
                "body": one.body,
                "attributes": {"ApproximateReceiveCount": str(one.receives)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:000000000000:commerce-test-{consumer.source}",
            }
            for one in work
        ]
        self.invoke(consumer.function, {"Records": records}, done)

    def _pump(self) -> None:
        for consumer, cursor in self._cursors.items():
            if not cursor.running and cursor.at < len(self.cloud.rows[consumer.source].stream):
                cursor.running = True
                self.after(0.05, lambda consumer=consumer: self._stream(consumer))  # type: ignore[misc]

    def _stream(self, consumer: Consumer) -> None:
        cursor, stream = self._cursors[consumer], self.cloud.rows[consumer.source].stream
        size = self.chance("stream", consumer.source, cursor.at).randint(1, consumer.batch)
        taken = stream[cursor.at : cursor.at + size]
        records = [one for one in map(_stream_record, taken) if any(matches(filt, one) for filt in consumer.filters)]
        if not records:
            self._streamed(consumer, len(taken))
            return

        def done(result: Any, failed: TaskFailed | None) -> None:
            back = (result or {}).get("batchItemFailures", ())
            if failed is None and not back:
                [(copies, _)] = self._befalls(f"stream:{consumer.source}")
                if copies > 1:
                    self.invoke(consumer.function, {"Records": records}, lambda *_: None)
                self._streamed(consumer, len(taken))
                return
            cursor.attempts += 1
            if cursor.attempts > consumer.retries:
                self.dead[consumer.dead].append(Message("stream", json.dumps([consumer.source, cursor.at]), self.time))
                self._streamed(consumer, len(taken))
                return
            if back:
                sequences = [one.sequence for one in taken]
                done_ones = sequences.index(back[0]["itemIdentifier"])
                cursor.at += done_ones
            self.after(1.0, lambda: self._stream(consumer))

        self.invoke(consumer.function, {"Records": records}, done)

    def _streamed(self, consumer: Consumer, number: int) -> None:
        cursor = self._cursors[consumer]
        cursor.at, cursor.attempts, cursor.running = cursor.at + number, 0, False
        self._pump()

    def _sqs(self, action: str, request: Mapping[str, Any]) -> Any:
        match action:
            case "list_queues":
                prefix = request["QueueNamePrefix"].removeprefix("commerce-test-")
                return {
                    "QueueUrls": [f"https://sqs/{_PREFIX}{name}" for name in self._lines if name.startswith(prefix)]
                }
            case "get_queue_url":
                name = request["QueueName"].removeprefix(_PREFIX)
                if name not in self._lines:
                    raise failure("QueueDoesNotExist")
                return {"QueueUrl": f"https://sqs/{_PREFIX}{name}"}
            case "get_queue_attributes":
                name = request["QueueUrl"].rpartition(_PREFIX)[2]
                waiting = len(self.dead.get(name, ()))
                return {"Attributes": {"ApproximateNumberOfMessages": str(waiting), "QueueArn": f"arn:{_PREFIX}{name}"}}
            case "start_message_move_task":
                source, to = (request[one].rpartition(_PREFIX)[2] for one in ("SourceArn", "DestinationArn"))
                moved, self.dead[source] = self.dead[source], []
                for one in moved:
                    self.send(to, one.body)
                return {"TaskHandle": f"move-{source}"}
        raise failure("InvalidAction", action)

    def _every(self, function: str, seconds: float) -> None:
        def tick() -> None:
            self.invoke(function, {"source": "aws.events"}, lambda *_: None)
            self.after(seconds, tick)

        self.after(self.chance("schedule", function).uniform(1, seconds), tick)

    # executions

    def token(self, execution: Execution, attempt: int) -> str:
        """Return a new task token."""
        text = f"{execution.machine}/{execution.name}/{attempt}"
        self._tokens[text] = execution, attempt
        return text

    def jitter(self, execution: Execution, most: float) -> float:
        """Return a delay of a retry."""
        return self.chance("jitter", execution.name, execution.transitions).uniform(0, most)

    def _start(self, machine: str, name: str, given: Any) -> None:
        execution = Execution(machine, name, self.wiring.machines[machine], given, _Around(self), self.now)
        self.executions[machine, name] = execution
        self._note("start", machine, name)
        if machine in self.wiring.express:
            self.after(LONGEST_EXPRESS, execution.expire)
        execution.start()

    def _states(self, action: str, request: Mapping[str, Any]) -> Any:
        if action == "start_execution":
            machine = request["stateMachineArn"].rpartition("commerce-test-")[2]
            name, given = request["name"], json.loads(request["input"])
            if machine in self.wiring.express:
                # A name says nothing there: the same one starts another execution.
                name = f"{name}#{len(self.executions)}"
            found = self.executions.get((machine, name))
            if found is None:
                self._start(machine, name, given)
            elif found.status != "RUNNING" or found.input != given:
                raise failure("ExecutionAlreadyExists")
            return {"executionArn": f"{machine}:{name}"}
        if request["taskToken"] not in self._tokens:
            raise failure("InvalidToken")
        execution, attempt = self._tokens[request["taskToken"]]
        if action == "send_task_success":
            taken = execution.answer(attempt, json.loads(request["output"]), None)
        else:
            taken = execution.answer(attempt, None, TaskFailed(request["error"], request.get("cause", "")))
        if not taken:
            raise failure("TaskTimedOut")
        return {}

    # what it is like to be in it

    def _note(self, *what: object) -> None:
        self._hash.update(f"{self.time:.6f} {what}\n".encode())

    @contextmanager
    def entered(self) -> Iterator[World]:
        """Be in this world: its clock, its AWS, its chance; everything as before afterwards."""
        from commerce import aws, clock, telemetry

        dice = random.Random(f"secrets {self.seed}")  # noqa: S311 - a simulation wants to be predicted
        world = self

        class Log:
            def __getattr__(self, level: str) -> Callable[..., None]:
                def log(message: str, *_: object, **__: object) -> None:
                    if message == "unknown error":
                        world.errors.append(repr(sys.exc_info()[1]))
                    world._note("log", level, message)

                return log

        def record(counts: Mapping[str, int], _seconds: Mapping[str, int] | None = None) -> None:
            world.counted.update(counts)

        def client(service: str, **options: Any) -> Any:
            retries = getattr(options.get("config"), "retries", None) or {}
            return _Client(world, service, retries.get("total_max_attempts", _SDK_ATTEMPTS))

        def sleep(seconds: float) -> None:
            world.sleep(seconds)

        def told(_: object) -> datetime:
            skew = world._current.skew if world._current else 0.0
            return world.now + timedelta(seconds=skew)

        changes: list[tuple[Any, str, Any]] = [
            (boto3, "client", client),
            (clock.SystemClock, "now", told),
            (telemetry, "logger", lambda: Log()),
            (telemetry, "record", record),
            (secrets, "randbits", dice.getrandbits),
            (secrets, "token_hex", lambda size: dice.randbytes(size).hex()),
            (secrets, "token_bytes", dice.randbytes),
            (time, "sleep", sleep),
            (time, "time_ns", lambda: int((world.now.timestamp()) * 1e9)),
            (os, "environ", _Environment(os.environ, lambda: world._current)),
        ]
        before = [(owner, name, owner.__dict__[name]) for owner, name, _ in changes]
        state = random.getstate()
        random.seed(self.seed)
        for owner, name, value in changes:
            setattr(owner, name, value)
        _forget(aws)
        try:
            yield self
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)
            random.setstate(state)
            _forget(aws)


class _Around:
    """`tools.sim.asl.Surroundings` over a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.after = world.after
        self.invoke = world.invoke
        self.token = world.token
        self.jitter = world.jitter

    def now(self) -> datetime:
        return self._world.now


class _Environment(dict[str, str]):
    """``os.environ`` as the running function sees it."""

    def __init__(self, outside: Mapping[str, str], current: Callable[[], Invocation | None]) -> None:
        super().__init__(outside)
        self._function = current

    def __getitem__(self, name: str) -> str:
        running = self._function()
        if running and name in running.function.environment:
            return running.function.environment[name]
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        running = self._function()
        return (
            running.function.environment.get(name) or super().get(name, default)
            if running
            else super().get(name, default)
        )


class _Client:
    """What ``boto3.client`` returns: its methods are calls of the world."""

    def __init__(self, world: World, service: str, attempts: int) -> None:
        self._world = world
        self._service = service
        self._attempts = attempts
        self.exceptions = Exceptions()

    def get_paginator(self, action: str) -> Any:
        """Return a paginator whose one page is the whole answer."""
        return SimpleNamespace(paginate=lambda **request: [getattr(self, action)(**request)])

    def __getattr__(self, action: str) -> Callable[..., Any]:
        if action.startswith("_"):
            raise AttributeError(action)
        return lambda **request: self._world.call(self._service, action, request, self._attempts)


def _forget(aws: Any) -> None:
    """Empty every cache that a function's environment has: a new one starts without."""
    aws._client.cache_clear()  # noqa: SLF001 - it has no public name, because nobody else clears it
    contexts = (
        "orders",
        "inventory",
        "payments",
        "shipping",
        "notifications",
        "catalog",
        "customers",
        "reference",
        "commerce",
    )
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in contexts:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _line() -> str:
    """Return the place in the platform's code that the call comes from, the kernel's own wrappers left out."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 - the way to the caller
    inner = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if "/functions/" in file:
            return f"{file.rpartition('/functions/')[2]}:{frame.f_code.co_name}:{frame.f_lineno}"
        if not inner and "/commerce/" in file and not file.endswith("/dynamo.py"):
            inner = f"commerce/{file.rpartition('/commerce/')[2]}:{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back
    return inner


def _stream_record(record: Record) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "SequenceNumber": record.sequence,
        "Keys": {"pk": {"S": record.key[0]}, "sk": {"S": record.key[1]}},
    }
    if record.image is not None:
        changed["NewImage"] = _jsonable(record.image)
    return {"eventID": record.id, "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": changed}


def _jsonable(value: Any) -> Any:
    # A stream hands binaries over as base64 text; no relay reads one.
    if isinstance(value, dict):
        return {name: _jsonable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_jsonable(one) for one in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else "binary"
