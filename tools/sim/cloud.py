"""AWS in memory, as far as the handlers call it: DynamoDB, EventBridge, KMS, Secrets Manager, SES, Step Functions.

Each call is one undivided step, as a DynamoDB transaction is on AWS; what may come between two calls is the world's
business (`tools.sim.world`). Errors have AWS's codes. `tests/integration/sim` compares it with moto, call by call.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from botocore.exceptions import ClientError

from tools.sim import expressions
from tools.sim.expressions import Item, Placeholders
from tools.sim.wiring import Index, Rule, Table

Key = tuple[str, str]
Request = Mapping[str, Any]

LAG = 2.0
"""Seconds for which an eventually consistent read may show what was before."""

_TOKENS_LIVE = 600.0
"""Seconds for which a transaction's ClientRequestToken is remembered (TransactWriteItems)."""

_EQUALS = re.compile(r"(#?\w+) = (:\w+)")

_MOST_TRANSACTED, _MOST_GOT, _MOST_WRITTEN = 100, 100, 25


@cache
def _kind(code: str) -> type[ClientError]:
    return type(code, (ClientError,), {})


def failure(code: str, message: str = "", **more: Any) -> ClientError:
    """Return an error of AWS by its code, as boto3 raises it."""
    told: Any = {"Error": {"Code": code, "Message": message or code}, **more}
    return _kind(code)(told, code)


class Exceptions:
    """What ``client.exceptions`` is: an error's class by its name."""

    def __getattr__(self, name: str) -> type[ClientError]:
        return ClientError if name == "ClientError" else _kind(name)


class Clock(Protocol):
    """Seconds since the simulation began."""

    def __call__(self) -> float: ...


@dataclass
class Stored:
    """An item, and what it was before its last change; whoever reads one gets it itself, and no write changes it."""

    now: Item | None
    before: Item | None = None
    changed: float = -1e9

    def seen(self, stale: bool, at: float) -> Item | None:
        return self.before if stale and at - self.changed < LAG else self.now


@dataclass(frozen=True)
class Record:
    """A record of a table's stream."""

    id: str
    sequence: str
    image: Item | None
    key: Key


@dataclass
class Rows:
    """One table."""

    table: Table
    items: dict[Key, Stored] = field(default_factory=dict)
    stream: list[Record] = field(default_factory=list)
    _partitions: defaultdict[tuple[str, str], dict[Key, Stored]] = field(default_factory=lambda: defaultdict(dict))
    """Attribute that is some partition key, and its value -> what has it, or had it before its last change."""

    def file(self, key: Key, stored: Stored) -> None:
        """Note where an item is to be found now."""
        self._partitions["pk", key[0]][key] = stored
        for index in self.table.indexes.values():
            for item in (stored.now, stored.before):
                if item is not None and index.partition in item:
                    self._partitions[index.partition, item[index.partition]["S"]][key] = stored

    def partition(self, name: str, value: str) -> Iterable[Stored]:
        """Return what may be in a partition of the table or of an index."""
        return self._partitions[name, value].values()


class Cloud:
    """The account.

    Parameters
    ----------
    tables, rules
        Of the stage.
    clock
        The time.
    deliver
        Takes an event that matched a rule: the rule and the event as EventBridge would send it.
    executions, queues
        Step Functions and SQS: take the action and the request of a call.
    secret
        Text of every secret.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        rules: tuple[Rule, ...],
        clock: Clock,
        deliver: Callable[[Rule, Mapping[str, Any]], None],
        executions: Callable[[str, Request], Any],
        queues: Callable[[str, Request], Any],
        secret: str,
        prefix: str = "commerce-test-",
    ) -> None:
        self.rows = {name: Rows(table) for name, table in tables.items()}
        self.mails: list[Request] = []
        self._rules = rules
        self._clock = clock
        self._deliver = deliver
        self._executions = executions
        self._queues = queues
        self._secret = secret
        self._prefix = prefix
        self._events = 0
        self._keys = 0
        self._done: dict[str, tuple[float, Any]] = {}
        self.attempts: Counter[Key] = Counter()
        """Table and partition key -> writes that were tried, refused ones and those of cancelled transactions too."""
        self.deleted_users: set[str] = set()

    def perform(self, service: str, action: str, request: Request, *, stale: bool = False, short: bool = False) -> Any:
        """Do what a call asks for.

        Parameters
        ----------
        stale
            Eventually consistent reads show what was before.
        short
            A batch call leaves its last entry undone and says so.
        """
        match service:
            case "dynamodb":
                return getattr(self, f"_{action}")(request, stale=stale, short=short)
            case "stepfunctions":
                return self._executions(action, request)
            case "sqs":
                return self._queues(action, request)
            case _:
                return getattr(self, f"_{service.replace('-', '_')}_{action}")(request, short=short)

    def items(self, table: str) -> list[Item]:
        """Return what is in a table."""
        return [one.now for one in self.rows[table].items.values() if one.now is not None]

    # DynamoDB

    def _get_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        found = self._find(request, stale=stale and not request.get("ConsistentRead"))
        return {"Item": found} if found is not None else {}

    def _batch_get_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        [(table, wanted)] = request["RequestItems"].items()
        keys = wanted["Keys"]
        if len(keys) > _MOST_GOT or len({_key(key) for key in keys}) < len(keys):
            raise failure("ValidationException", "too many keys, or one twice")
        left = keys[-1:] if short and len(keys) > 1 else []
        stale = stale and not wanted.get("ConsistentRead")
        found = [
            item
            for key in keys[: len(keys) - len(left)]
            if (item := self._find({"TableName": table, "Key": key}, stale=stale)) is not None
        ]
        return {
            "Responses": {table: found},
            "UnprocessedKeys": {table: {**wanted, "Keys": left}} if left else {},
        }

    def _put_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        self._apply("Put", request)
        return {}

    def _update_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        after = self._apply("Update", request)
        return {"Attributes": after} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _delete_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        self._apply("Delete", request)
        return {}

    def _batch_write_item(self, request: Request, *, stale: bool, short: bool) -> Any:
        [(table, writes)] = request["RequestItems"].items()
        keys = [_key(write["PutRequest"]["Item"]) for write in writes]
        if len(writes) > _MOST_WRITTEN or len(set(keys)) < len(keys):
            raise failure("ValidationException", "too many items, or one twice")
        left = writes[-1:] if short and len(writes) > 1 else []
        for write in writes[: len(writes) - len(left)]:
            self._apply("Put", {"TableName": table, "Item": write["PutRequest"]["Item"]})
        return {"UnprocessedItems": {table: left} if left else {}}

    def _transact_write_items(self, request: Request, *, stale: bool, short: bool) -> Any:
        token = request.get("ClientRequestToken", "")
        asked = request["TransactItems"]
        if token and token in self._done and self._clock() - self._done[token][0] < _TOKENS_LIVE:
            if self._done[token][1] != asked:
                raise failure("IdempotentParameterMismatchException")
            return {}
        actions = [next(iter(one.items())) for one in asked]
        keys = [(action["TableName"], _key(action.get("Key") or action["Item"])) for _, action in actions]
        if len(actions) > _MOST_TRANSACTED or len(set(keys)) < len(keys):
            raise failure("ValidationException", "too many actions, or two on one item")
        for _, action in actions:
            self._count(action)
        reasons = [self._refusal(action) for _, action in actions]
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise failure(
                "TransactionCanceledException", f"Transaction cancelled [{codes}]", CancellationReasons=reasons
            )
        for verb, action in actions:
            if verb != "ConditionCheck":
                self._write(verb, action)
        if token:
            self._done[token] = self._clock(), _copied(asked)
        return {}

    def _query(self, request: Request, *, stale: bool, short: bool) -> Any:
        rows = self.rows[self._table(request)]
        index = rows.table.indexes.get(request.get("IndexName", ""))
        if "IndexName" in request and index is None:
            raise failure("ValidationException", "no such index")
        if index is not None and request.get("ConsistentRead"):
            raise failure("ValidationException", "no consistent reads of a secondary index")
        partition, sort = (index.partition, index.sort) if index else ("pk", "sk")
        stale = stale and not request.get("ConsistentRead")
        given = Placeholders(request)
        wanted = expressions.condition(request["KeyConditionExpression"])
        found = [
            item
            for stored in rows.partition(partition, _wanted(request, partition))
            if (item := stored.seen(stale, self._clock())) is not None
            and partition in item
            and sort in item
            and wanted(item, given)
        ]

        def place(item: Item) -> tuple[str, ...]:
            return item[sort]["S"], item["pk"]["S"], item["sk"]["S"]

        found.sort(key=place, reverse=not request.get("ScanIndexForward", True))
        start = request.get("ExclusiveStartKey")
        if start is not None:
            names = {"pk", "sk", partition, sort}
            if start.keys() != names or any(set(value) != {"S"} for value in start.values()):
                raise failure("ValidationException", "The provided starting key is invalid")
            forward = request.get("ScanIndexForward", True)
            found = [item for item in found if (place(item) > place(start)) == forward and place(item) != place(start)]
        limit = request.get("Limit")
        more = limit is not None and len(found) >= limit
        page = found[:limit]
        answer: dict[str, Any] = {}
        if more:
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in ("pk", "sk", partition, sort)}
        if "FilterExpression" in request:
            only = expressions.condition(request["FilterExpression"])
            page = [item for item in page if only(item, given)]
        answer["Items"] = [_projected(item, index) for item in page]
        return answer

    def _apply(self, verb: str, request: Request) -> Item | None:
        self._count(request)
        reason = self._refusal(request)
        if reason["Code"] != "None":
            more = {"Item": reason["Item"]} if "Item" in reason else {}
            raise failure("ConditionalCheckFailedException", "The conditional request failed", **more)
        return self._write(verb, request)

    def _count(self, request: Request) -> None:
        self.attempts[self._table(request), _key(request.get("Key") or request["Item"])[0]] += 1

    def _refusal(self, request: Request) -> dict[str, Any]:
        if "ConditionExpression" not in request:
            return {"Code": "None"}
        found = self._find(request)
        if expressions.condition(request["ConditionExpression"])(found or {}, Placeholders(request)):
            return {"Code": "None"}
        told = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        if found is not None and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            return {**told, "Item": found}
        return told

    def _write(self, verb: str, request: Request) -> Item | None:
        rows = self.rows[self._table(request)]
        key = _key(request.get("Key") or request["Item"])
        stored = rows.items.setdefault(key, Stored(None))
        before = stored.now
        after: Item | None = None
        if verb == "Put":
            after = _copied(request["Item"])
        elif verb == "Update":
            after = _copied(before) if before is not None else {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
            given = Placeholders(request)
            for change in expressions.update(request["UpdateExpression"]):
                change(before or {}, after, given)
        stored.now, stored.before, stored.changed = after, before, self._clock()
        rows.file(key, stored)
        # DynamoDB writes no record for a change that changes nothing.
        if rows.table.streams and after != before:
            number = len(rows.stream) + 1
            rows.stream.append(Record(f"{rows.table.name}-{number}", f"{number:021d}", after, key))
        return after

    def _find(self, request: Request, *, stale: bool = False) -> Item | None:
        stored = self.rows[self._table(request)].items.get(_key(request.get("Key") or request["Item"]))
        return stored.seen(stale, self._clock()) if stored else None

    def _table(self, request: Request) -> str:
        name = str(request["TableName"]).removeprefix(self._prefix)
        if name not in self.rows:
            raise failure("ResourceNotFoundException", name)
        return name

    # the others

    def _events_put_events(self, request: Request, *, short: bool) -> Any:
        entries = request["Entries"]
        if len(entries) > 10 or sum(len(str(one["Detail"]).encode()) for one in entries) > 262_144:
            raise failure("ValidationException", "too many entries, or too large")
        answers: list[dict[str, str]] = []
        for at, entry in enumerate(entries):
            if short and at == len(entries) - 1:
                answers.append({"ErrorCode": "InternalFailure", "ErrorMessage": "simulated"})
                continue
            self._events += 1
            event = {
                "id": f"event-{self._events}",
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "detail": json.loads(entry["Detail"]),
            }
            answers.append({"EventId": event["id"]})
            for rule in self._rules:
                if rule.bus == entry["EventBusName"].removeprefix(self._prefix) and matches(rule.pattern, event):
                    self._deliver(rule, event)
        return {"FailedEntryCount": sum("ErrorCode" in one for one in answers), "Entries": answers}

    def _kms_generate_data_key(self, request: Request, *, short: bool) -> Any:
        self._keys += 1
        plain = hashlib.sha256(f"data key {self._keys}".encode()).digest()
        about = json.dumps([request["KeyId"], request["EncryptionContext"]], sort_keys=True).encode()
        return {"Plaintext": plain, "CiphertextBlob": hashlib.sha256(about).digest() + plain}

    def _kms_decrypt(self, request: Request, *, short: bool) -> Any:
        about = json.dumps([request["KeyId"], request["EncryptionContext"]], sort_keys=True).encode()
        blob = bytes(request["CiphertextBlob"])
        if blob[:32] != hashlib.sha256(about).digest():
            raise failure("InvalidCiphertextException")
        return {"Plaintext": blob[32:]}

    def _kms_generate_mac(self, request: Request, *, short: bool) -> Any:
        return {"Mac": _mac(request)}

    def _kms_verify_mac(self, request: Request, *, short: bool) -> Any:
        if not hmac.compare_digest(_mac(request), request["Mac"]):
            raise failure("KMSInvalidMacException")
        return {"MacValid": True}

    def _cognito_idp_admin_delete_user(self, request: Request, *, short: bool) -> Any:
        if request["Username"] in self.deleted_users:
            raise failure("UserNotFoundException")
        self.deleted_users.add(request["Username"])
        return {}

    def _secretsmanager_get_secret_value(self, request: Request, *, short: bool) -> Any:
        return {"SecretString": self._secret}

    def _sesv2_send_email(self, request: Request, *, short: bool) -> Any:
        self.mails.append(request)
        return {"MessageId": f"mail-{len(self.mails)}"}


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Return whether an event pattern matches (EventBridge user guide, "event patterns")."""
    for name, wanted in pattern.items():
        found = event.get(name)
        if isinstance(wanted, dict):
            if not isinstance(found, dict) or not matches(wanted, found):
                return False
        elif not any(_fits(one, found, name in event) for one in wanted):
            return False
    return True


def _fits(wanted: Any, found: Any, there: bool) -> bool:
    match wanted:
        case {"prefix": start}:
            return isinstance(found, str) and found.startswith(start)
        case {"exists": exists}:
            return there is exists
        case {"anything-but": others}:
            return there and found not in (others if isinstance(others, list) else [others])
        case dict():
            raise expressions.NotUnderstood(f"{wanted} in an event pattern")
        case _:
            return bool(found == wanted)


def _projected(item: Item, index: Index | None) -> Item:
    if index is None:
        return item
    return {name: item[name] for name in ("pk", "sk", index.partition, index.sort, *index.includes) if name in item}


def _wanted(request: Request, partition: str) -> str:
    """Return the value of the partition key that a query asks for: each asks for one."""
    names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
    for name, value in _EQUALS.findall(request["KeyConditionExpression"]):
        if names.get(name, name) == partition:
            return str(values[value]["S"])
    raise failure("ValidationException", "a query without a partition key")


def _copied(value: Any) -> Any:
    """Return a copy of something made of dicts, lists and values: what `copy.deepcopy` does, in a tenth of the time."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _mac(request: Request) -> bytes:
    return hmac.new(str(request["KeyId"]).encode(), request["Message"], hashlib.sha256).digest()
