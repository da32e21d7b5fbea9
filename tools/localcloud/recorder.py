"""Count what AWS would bill: every call, invocation, state transition, delivery and request, one JSON line each.

Runs inside the emulator. The lines go to ``.localcloud/calls.jsonl``; ``docs/operations/local-cloud.md`` describes
them. Capacity units are AWS's, not the emulator's, where the two differ (see :class:`Capacity`).
"""

from __future__ import annotations

import importlib
import json
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, dict[str, Any], Any]
Body = bytes | str  # a state machine's own calls come as text
Handler = Callable[[str, str, dict[str, str], Body, dict[str, Any]], Awaitable[Answer]]

SERVICES = {
    "dynamodb": "dynamodb",
    "sqs": "sqs",
    "eventbridge": "events",
    "stepfunctions": "states",
    "kms": "kms",
    "ses_v2": "ses",
    "ssm": "ssm",
    "secretsmanager": "secretsmanager",
    "cognito": "cognito-idp",
    "lambda_svc": "lambda",
    "scheduler": "scheduler",
    "cloudwatch": "cloudwatch",
}

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024
TRANSACTION_FACTOR = 2

LOG_EVENT_BYTES = 26
"""What CloudWatch Logs adds to each event that it takes in:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html."""

SYSTEM_LOG = (
    "START RequestId: 00000000-0000-0000-0000-000000000000 Version: 00\n",
    "END RequestId: 00000000-0000-0000-0000-000000000000\n",
    "REPORT RequestId: 00000000-0000-0000-0000-000000000000\tDuration: 000.00 ms\tBilled Duration: 000 ms\t"
    "Memory Size: 0000 MB\tMax Memory Used: 000 MB\t\n"
    "XRAY TraceId: 0-00000000-000000000000000000000000\tSegmentId: 0000000000000000\tSampled: true\t\n",
)
"""What Lambda itself logs of an invocation that is not a cold one, unless it is told to log warnings only."""


class Journal:
    """The file the lines go to, emptied at start; each line is complete once written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def write(self, kind: str, **fields: object) -> None:
        line = json.dumps({"t": round(time.time(), 4), "kind": kind, **fields}, separators=(",", ":"))
        with self._lock:
            self._file.write(line + "\n")


def caller(headers: Mapping[str, str]) -> str:
    """Who made a call: the function (its name travels in the SDK's user agent), a state machine, or a client."""
    agent = headers.get("user-agent", "")
    for word in agent.split():
        if word.startswith("app/"):
            return word[len("app/") :]
    return "client" if agent else "states"


def action_of(method: str, path: str, headers: Mapping[str, str], body: Body) -> str:
    """The API action a request names: in its target header, its form body, or (REST) its method and path."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = body if isinstance(body, str) else body.decode("utf-8", "replace")
        return parse_qs(form).get("Action", [f"{method} {path}"])[0]
    if path == "/v2/email/outbound-emails" and method == "POST":
        return "SendEmail"
    return f"{method} {path}"


def _writes(action: str, asked: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return table -> partition key of each write that a call tries, whatever becomes of it."""
    match action:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            parts = [asked]
        case "TransactWriteItems":
            parts = [part for entry in asked["TransactItems"] for part in entry.values()]
        case "BatchWriteItem":
            parts = [
                {"TableName": table, **part}
                for table, entries in asked["RequestItems"].items()
                for entry in entries
                for part in entry.values()
            ]
        case _:
            parts = []
    writes: dict[str, list[str]] = {}
    for part in parts:
        key = (part.get("Key") or part.get("Item") or {}).get("pk", {}).get("S")
        if key:
            writes.setdefault(part["TableName"], []).append(key)
    return writes


class Capacity:
    """The capacity a DynamoDB call consumes on AWS.

    Writes are the emulator's own figures, which follow AWS (1 KB steps, the larger of before and after, indexes only
    when their view changes, transactions twice). It reports a flat unit for reads, nothing for ``BatchGetItem`` and
    nothing for refused conditions; these are computed here from the stored items, by
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html.
    """

    def __init__(self, dynamodb: ModuleType) -> None:
        self._dynamodb = dynamodb

    def of(self, action: str, asked: Mapping[str, Any], status: int, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Units per table: ``{table: {"read": units, "write": units}}``."""
        if status >= 500:
            return {}
        tables: dict[str, dict[str, float]] = {}
        for table, read, write in self._units(action, asked, status, answer):
            entry = tables.setdefault(table, {"read": 0.0, "write": 0.0})
            entry["read"] += read
            entry["write"] += write
        return tables

    def _units(
        self, action: str, asked: Mapping[str, Any], status: int, answer: Mapping[str, Any]
    ) -> Iterable[tuple[str, float, float]]:
        if status >= 400:
            yield from self._refused(action, asked, answer)
        elif action == "GetItem":
            table = asked["TableName"]
            yield table, self._read([self._stored(table, asked["Key"])], asked.get("ConsistentRead", False)), 0.0
        elif action in ("Query", "Scan"):
            items = self._evaluated(action, asked, answer)
            size = sum(self._size(item) for item in items)
            steps = max(1, math.ceil(size / READ_UNIT_BYTES))
            yield asked["TableName"], steps * (1.0 if asked.get("ConsistentRead") else 0.5), 0.0
        elif action == "BatchGetItem":
            for table, wanted in asked["RequestItems"].items():
                found = [self._stored(table, key) for key in wanted["Keys"]]
                yield table, self._read(found, wanted.get("ConsistentRead", False)), 0.0
        elif action == "TransactGetItems":
            for entry in asked["TransactItems"]:
                table = entry["Get"]["TableName"]
                units = TRANSACTION_FACTOR * self._read([self._stored(table, entry["Get"]["Key"])], consistent=True)
                yield table, units, 0.0
        elif "ConsumedCapacity" in answer:
            consumed = answer["ConsumedCapacity"]
            for entry in consumed if isinstance(consumed, list) else [consumed]:
                # A transaction repeated under its client token is charged as reads.
                read = entry.get("ReadCapacityUnits", 0.0)
                yield entry["TableName"], read, entry["CapacityUnits"] - read

    def _refused(
        self, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> Iterable[tuple[str, float, float]]:
        """A refused condition consumes what the write would have, by the larger of the stored and the new item."""
        kind = str(answer.get("__type", ""))
        if kind.endswith("ConditionalCheckFailedException"):
            yield asked["TableName"], 0.0, self._write_steps(asked["TableName"], asked)
        elif kind.endswith("TransactionCanceledException") and action == "TransactWriteItems":
            for entry in asked["TransactItems"]:
                for part in entry.values():
                    yield part["TableName"], 0.0, TRANSACTION_FACTOR * self._write_steps(part["TableName"], part)

    def _write_steps(self, table: str, part: Mapping[str, Any]) -> float:
        new = part.get("Item")
        stored = self._stored(table, part["Key"] if new is None else new)
        size = max(self._size(stored), self._size(new))
        return float(max(1, math.ceil(size / WRITE_UNIT_BYTES)))

    def _read(self, items: Iterable[Mapping[str, Any] | None], consistent: bool) -> float:
        steps = sum(max(1, math.ceil(self._size(item) / READ_UNIT_BYTES)) for item in items)
        return steps * (1.0 if consistent else 0.5)

    def _evaluated(self, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The items read before filter and projection, which is what AWS charges."""
        if not asked.keys() & {"FilterExpression", "ProjectionExpression", "Select", "QueryFilter", "ScanFilter"}:
            items: list[Mapping[str, Any]] = answer.get("Items", [])
            return items
        whole = {k: v for k, v in asked.items() if k not in ("FilterExpression", "ProjectionExpression", "Select")}
        used = set(re.findall(r"[#:]\w+", whole.get("KeyConditionExpression", "")))
        for placeholders in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            kept = {name: value for name, value in whole.pop(placeholders, {}).items() if name in used}
            if kept:
                whole[placeholders] = kept
        run = self._dynamodb._query if action == "Query" else self._dynamodb._scan
        status, _, body = run(whole)
        if status != 200:
            message = f"the recorder could not repeat a {action}: {body!r}"
            raise RuntimeError(message)
        repeated: list[Mapping[str, Any]] = json.loads(body)["Items"]
        return repeated

    def _stored(self, table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        record = self._dynamodb._tables.get(self._dynamodb._normalize_table_name(table))
        found: Mapping[str, Any] | None = self._dynamodb._get_item_by_key(record, key) if record else None
        return found

    def _size(self, item: Mapping[str, Any] | None) -> int:
        return int(self._dynamodb._item_size_bytes(item)) if item else 0


class Recorder:
    """Hooks into the emulator's modules; :meth:`install` is called once, before it serves."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._dynamodb = importlib.import_module("ministack.services.dynamodb")
        self._capacity = Capacity(self._dynamodb)
        self._machines = importlib.import_module("ministack.services.stepfunctions")._state_machines
        self._failed_tasks: set[tuple[str, str]] = set()

    def install(self) -> None:
        for name, service in SERVICES.items():
            module = importlib.import_module(f"ministack.services.{name}")
            module.handle_request = self._calls(service, module.handle_request)  # type: ignore[attr-defined] # a hook
        self._hook("ministack.services.stepfunctions", "_invoke_dynamodb", self._task_on_table)
        self._hook("ministack.services.stepfunctions", "_start_execution", self._start)
        self._hook("ministack.services.stepfunctions", "_add_event", self._history)
        self._hook("ministack.services.lambda_svc", "_execute_function_dispatch", self._invocation)
        self._hook("ministack.services.lambda_svc", "_run_sqs_batch", self._mapping_batch)
        self._hook("ministack.services.eventbridge", "_invoke_target", self._delivery)
        self._hook("ministack.app", "_handle_execute_api_request", self._request)

    @staticmethod
    def _hook(module_name: str, name: str, around: Callable[..., Any]) -> None:
        module = importlib.import_module(module_name)
        original = getattr(module, name)

        def hooked(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        setattr(module, name, hooked)

    # ---- calls ---------------------------------------------------------------------------------------------------

    def _calls(self, service: str, handle: Handler) -> Handler:
        async def recorded(
            method: str, path: str, headers: dict[str, str], body: Body, query: dict[str, Any]
        ) -> Answer:
            action = action_of(method, path, headers, body)
            if service != "dynamodb":
                answer = await handle(method, path, headers, body, query)
                self._call(service, action, headers, answer[0], entries=_entries(body))
                return answer
            asked = json.loads(body or b"{}")
            wanted = asked.get("ReturnConsumedCapacity", "NONE")
            measured = json.dumps({**asked, "ReturnConsumedCapacity": "TOTAL" if wanted == "NONE" else wanted}).encode()
            counted = "Item" in action or action in ("Query", "Scan")
            status, head, content = await handle(method, path, headers, measured if counted else body, query)
            if not counted:
                self._call(service, action, headers, status)
                return status, head, content
            answered = json.loads(content or b"{}")
            units = self._capacity.of(action, asked, status, answered)
            self._call(service, action, headers, status, tables=units, writes=_writes(action, asked))
            if wanted == "NONE" and answered.pop("ConsumedCapacity", None) is not None:
                content = json.dumps(answered).encode()
                head = {name: value for name, value in head.items() if name.lower() != "x-amz-crc32"}
            return status, head, content

        return recorded

    def _call(self, service: str, action: str, headers: Mapping[str, str], status: int, **more: object) -> None:
        said = {name: value for name, value in more.items() if value}
        self._journal.write("call", service=service, action=action, by=caller(headers), status=status, **said)

    def _task_on_table(self, original: Callable[..., Any], operation: str, asked: dict[str, Any]) -> Any:
        action = operation[0].upper() + operation[1:]
        answer = original(operation, {**asked, "ReturnConsumedCapacity": "TOTAL"})
        tables = self._capacity.of(action, asked, 200, answer)
        self._call("dynamodb", action, {}, 200, tables=tables)
        return answer

    # ---- step functions ------------------------------------------------------------------------------------------

    def _start(self, original: Callable[..., Any], asked: dict[str, Any]) -> Any:
        answer = original(asked)
        if answer[0] == 200:
            arn = json.loads(answer[2])["executionArn"]
            self._transition(arn, asked["stateMachineArn"], "start", "")
        return answer

    def _history(
        self, original: Callable[..., Any], execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None
    ) -> Any:
        arn, machine = execution["executionArn"], execution["stateMachineArn"]
        place = (arn, threading.current_thread().name)
        if kind.endswith("StateEntered"):
            self._failed_tasks.discard(place)
            entered = (details or {}).get("stateEnteredEventDetails", {})
            self._transition(arn, machine, "state", entered.get("name", ""))
        elif kind == "TaskFailed":
            self._failed_tasks.add(place)
        elif kind == "TaskScheduled" and place in self._failed_tasks:
            self._failed_tasks.discard(place)
            self._transition(arn, machine, "retry", "")
        elif kind in ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted"):
            took = datetime.now(UTC) - datetime.fromisoformat(execution["startDate"])
            self._transition(arn, machine, "end", "", ms=round(took.total_seconds() * 1000))
        return original(execution, kind, details)

    def _transition(self, arn: str, machine_arn: str, of: str, state: str, **more: object) -> None:
        machine, _, execution = arn.partition(":execution:")[2].partition(":")
        kind = self._machines[machine_arn]["type"]
        self._journal.write("transition", machine=machine, execution=execution, type=kind, of=of, state=state, **more)

    # ---- functions, queues, buses, the API -----------------------------------------------------------------------

    def _invocation(
        self,
        original: Callable[..., Any],
        func: dict[str, Any],
        config: dict[str, Any],
        event: Any,
        request_id: str,
        started: float,
    ) -> Any:
        result = original(func, config, event, request_id, started)
        failed = result.get("error")
        answered = result.get("body")
        records = event.get("Records") if isinstance(event, dict) else None
        self._journal.write(
            "invoke",
            function=config.get("FunctionName", ""),
            version=config.get("Version", ""),
            source=_source(event),
            records=len(records) if isinstance(records, list) else 0,
            ms=round((time.time() - started) * 1000),
            error=(answered or {}).get("errorType", "unknown") if failed else None,
            log=_logged(str(result.get("log") or ""), config.get("LoggingConfig") or {}),
        )
        return result

    def _mapping_batch(
        self,
        original: Callable[..., Any],
        mapping: dict[str, Any],
        func: dict[str, Any],
        event: dict[str, Any],
        batch: list[Any],
        queue_url: str,
        queue: str,
    ) -> Any:
        # The poller receives a batch with one request and deletes what succeeded with another.
        self._journal.write("queue", queue=queue, requests=2, messages=len(batch), why="mapping")
        return original(mapping, func, event, batch, queue_url, queue)

    def _delivery(
        self,
        original: Callable[..., Any],
        target: dict[str, Any],
        event: dict[str, Any],
        rule: dict[str, Any],
        view: Any = None,
    ) -> Any:
        service, name = (target.get("Arn", "").split(":", 5) + [""] * 6)[2:6:3]
        self._journal.write(
            "delivery",
            bus=event.get("EventBusName", "default"),
            rule=rule.get("Name", ""),
            source=event.get("Source", ""),
            detail_type=event.get("DetailType", ""),
            target=service,
            target_name=name,
        )
        if service == "sqs":
            self._journal.write("queue", queue=name, requests=1, messages=1, why="rule")
        return original(target, event, rule, view)

    async def _request(
        self,
        original: Callable[..., Awaitable[Answer | None]],
        host: str,
        path: str,
        method: str,
        *rest: Any,
        **more: Any,
    ) -> Answer | None:
        started = time.time()
        answer = await original(host, path, method, *rest, **more)
        if answer is not None:
            took = round((time.time() - started) * 1000)
            self._journal.write("request", method=method, path=path, status=answer[0], ms=took, out=_sent(answer))
        return answer


def _entries(body: Body) -> int:
    """How many entries a batch call carries (PutEvents and the SQS batches); 0 for any other call."""
    marked = '"Entries"' in body if isinstance(body, str) else b'"Entries"' in body
    entries = json.loads(body).get("Entries") if marked else None
    return len(entries) if isinstance(entries, list) else 0


def _logged(lines: str, settings: Mapping[str, Any]) -> int:
    """How many bytes CloudWatch Logs takes in for an invocation: the function's own lines and Lambda's."""
    of_lambda = () if settings.get("SystemLogLevel") == "WARN" else SYSTEM_LOG
    return sum(len(line.encode()) + LOG_EVENT_BYTES for line in (*lines.splitlines(), *of_lambda))


def _sent(answer: Answer) -> int:
    """How many bytes an answer of the API has: body and headers."""
    _, headers, body = answer
    content = body if isinstance(body, bytes) else str(body or "").encode()
    return len(content) + sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())


def _source(event: Any) -> str:
    """What invoked a function, told by the shape of its event."""
    if not isinstance(event, dict):
        return "task"
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        return "sqs" if records[0].get("eventSource") == "aws:sqs" else "stream"
    if "routeKey" in event:
        return "api"
    if "detail-type" in event:
        return "rule"
    return "task"
