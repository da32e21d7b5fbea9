"""The whole platform in memory at one moment of its life, one function called at a time.

Functions, their environments and who consumes what come from the synthesised templates, the AWS below them from the
simulation (`tools.sim`), made as strict as AWS is about what it is handed: parameters are checked against botocore's
service models and DynamoDB's limits. Every call starts from the same items.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from commerce import telemetry
from commerce.access import ROUTES
from commerce.dynamo import load
from tools.sim import wiring
from tools.sim.actors import Play
from tools.sim.cloud import Item, Key, Stored, failure
from tools.sim.world import BEGIN, World

SEED = 13
PLAYED = 27.0
"""Virtual seconds of trade before the moment: orders in many states, parcels packed and on their way."""

LONGEST = 901.0
"""Virtual seconds after which every function has ended."""

_LARGEST_ITEM = 400 * 1024
_KEY_BYTES = {"pk": 2048, "sk": 1024}
"""DynamoDB's quotas for an item, a partition key and a sort key."""

Items = dict[tuple[str, Key], Item]


@dataclass
class Outcome:
    """What came of one invocation.

    Attributes
    ----------
    result
        What the handler returned.
    error
        What it raised, if it did.
    logged
        Exceptions that were logged: message of the log line and the exception.
    changed
        Table and key of every item that is another one afterwards.
    sent
        Calls that leave the tables: mails, events, answers to and starts of executions.
    """

    result: Any = None
    error: BaseException | None = None
    logged: list[tuple[str, BaseException | None]] = field(default_factory=list)
    changed: set[tuple[str, Key]] = field(default_factory=set)
    sent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Message ids that a worker reported as failed."""
        return [one["itemIdentifier"] for one in self.result["batchItemFailures"]]

    @property
    def effect(self) -> bool:
        """Whether anything happened."""
        return bool(self.changed or self.sent)


class Stage:
    """The platform at that moment; `entered` before anything is called."""

    def __init__(self) -> None:
        self.world = World(wiring.load(), SEED)
        with self.world.entered():
            play = Play(self.world)
            play.prepare()
            play.begin(12)
            self.world.run(PLAYED)
            play.over = True
        assert not play.complaints, play.complaints
        self.placed = play.placed
        self._outcome = Outcome()
        self._moment = self.world.time
        self._items = {
            name: {key: (one.now, one.before, one.changed) for key, one in rows.items.items() if one.now is not None}
            for name, rows in self.world.cloud.rows.items()
        }
        self.world._agenda.clear()
        # Nobody carries an event on, and no execution goes on: what is seen is one function's doing.
        self.world._pump = lambda: None  # type: ignore[method-assign]
        self.world.cloud._deliver = lambda *_: None
        self.world.cloud._executions = lambda *_: {"executionArn": "arn"}
        perform = self.world.cloud.perform

        def strictly(service: str, action: str, request: Mapping[str, Any], **options: Any) -> Any:
            check(service, action, request)
            if action in ("send_email", "put_events", "start_execution", "send_task_success", "send_task_failure"):
                self._outcome.sent.append((action, json.dumps(request, default=str)))
            return perform(service, action, request, **options)

        self.world.cloud.perform = strictly  # type: ignore[method-assign]

    @property
    def now(self) -> datetime:
        """The moment."""
        return BEGIN + timedelta(seconds=self._moment)

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return the items of a table in their plain form."""
        return [load(now) for now, _, _ in self._items[table].values() if now is not None]

    @contextmanager
    def entered(self) -> Iterator[Stage]:
        """Be in this world, with a log that remembers exceptions."""
        stage = self

        class Log:
            def __getattr__(self, level: str) -> Callable[..., None]:
                def log(message: str, *_: object, **__: object) -> None:
                    if level == "exception":
                        stage._outcome.logged.append((message, sys.exc_info()[1]))

                return log

        with self.world.entered():
            inside = telemetry.logger
            telemetry.logger = lambda: Log()  # type: ignore[assignment]
            try:
                yield self
            finally:
                telemetry.logger = inside

    def invoke(self, function: str, event: Any) -> Outcome:
        """Call a function as Lambda does, from the moment on, and say what came of it."""
        self.restore()
        self._outcome = outcome = Outcome()
        handler = self.world._handlers[function]

        def watched(given: Any, context: Any) -> Any:
            try:
                return handler(given, context)
            except Exception as error:
                outcome.error = error
                raise

        self.world._handlers[function] = watched
        try:
            self.world.invoke(function, event, lambda result, _: setattr(outcome, "result", result))
            self.world.run(LONGEST)
        finally:
            self.world._handlers[function] = handler
        now = self._now()
        before = {(table, key): kept[0] for table, items in self._items.items() for key, kept in items.items()}
        outcome.changed = {at for at in now.keys() | before.keys() if now.get(at) != before.get(at)}
        return outcome

    def _now(self) -> Items:
        return {
            (table, key): one.now
            for table, rows in self.world.cloud.rows.items()
            for key, one in rows.items.items()
            if one.now is not None
        }

    def item(self, table: str, key: Key) -> Item | None:
        """Return an item as the last call has left it."""
        found = self.world.cloud.rows[table].items.get(key)
        return found.now if found else None

    def restore(self) -> None:
        """Go back to the moment."""
        self.world.time = self._moment
        self.world._agenda.clear()
        for table, items in self._items.items():
            rows = self.world.cloud.rows[table]
            rows.items = {key: Stored(*kept) for key, kept in items.items()}
            rows.stream.clear()


def request(
    key: str,
    *,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    claims: Mapping[str, str] | None = None,
    body: str | None = None,
    encoded: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Return the function of a route, and a call of it as the HTTP API hands it over (payload format 2.0)."""
    method, raw = key.split(" ")
    for name, value in (path or {}).items():
        raw = raw.replace(f"{{{name}}}", value)
    context: dict[str, Any] = {
        "routeKey": key,
        "stage": "$default",
        "requestId": "fuzz",
        "http": {"method": method, "path": raw, "sourceIp": "192.0.2.1"},
    }
    if claims:
        context["authorizer"] = {"jwt": {"claims": dict(claims)}}
    return ROUTES[key].function, {
        "version": "2.0",
        "routeKey": key,
        "rawPath": raw,
        "rawQueryString": "",
        "headers": dict(headers or {}),
        "queryStringParameters": dict(query) if query else None,
        "pathParameters": dict(path) if path else None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": encoded,
    }


def batch(*bodies: str) -> dict[str, Any]:
    """Return the SQS event that carries ``bodies``; message ids count from 0."""
    return {
        "Records": [
            {
                "messageId": str(at),
                "receiptHandle": str(at),
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:queue",
            }
            for at, body in enumerate(bodies)
        ]
    }


def check(service: str, action: str, request: Mapping[str, Any]) -> None:
    """Refuse what AWS would refuse whatever is stored.

    Raises
    ------
    botocore.exceptions.ClientError
        ValidationException.
    """
    report = ParamValidator().validate(dict(request), _shape(service, action))
    if report.has_errors():
        raise failure("ParamValidationError", report.generate_report())
    for text in _texts(request):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise failure("ValidationException", f"{text!r} is no UTF-8") from error
    if service == "dynamodb":
        for item in _written(request):
            if len(json.dumps(item, default=str)) > _LARGEST_ITEM:
                raise failure("ValidationException", "Item size has exceeded the maximum allowed size")
        for name, value in (*_keys(request), *_asked(request)):
            if not 1 <= len(value.encode()) <= _KEY_BYTES[name]:
                raise failure("ValidationException", f"{name} of {len(value.encode())} bytes")
    for name in ("QueueName", "name"):
        if not re.fullmatch(r"[0-9A-Za-z_.-]{1,80}", request.get(name, "-")):
            raise failure("InvalidParameterValue", f"{name} {request[name]!r}")


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@cache
def _shape(service: str, action: str) -> Any:
    model = _model(service)
    return next(model.operation_model(name).input_shape for name in model.operation_names if xform_name(name) == action)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for name, one in value.items():
                yield from _texts(name)
                yield from _texts(one)
        case list() | tuple():
            for one in value:
                yield from _texts(one)


def _written(request: Any) -> Iterator[Mapping[str, Any]]:
    match request:
        case {"Item": Mapping() as item}:
            yield item
        case Mapping():
            for one in request.values():
                yield from _written(one)
        case list():
            for one in request:
                yield from _written(one)


def _asked(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a query's key condition compares with."""
    for at, value in enumerate(re.findall(r":\w+", request.get("KeyConditionExpression", ""))):
        yield "sk" if at else "pk", request["ExpressionAttributeValues"][value]["S"]


def _keys(request: Any) -> Iterator[tuple[str, str]]:
    match request:
        case {"pk": {"S": partition}, "sk": {"S": sort}}:
            yield "pk", partition
            yield "sk", sort
        case Mapping():
            for one in request.values():
                yield from _keys(one)
        case list():
            for one in request:
                yield from _keys(one)
