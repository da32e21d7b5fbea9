"""Orders of released versions (``tests/recorded``), and a world in which today's functions find them.

The world is moto with the tables of a case in it. Nothing of the released version runs: its executions are the inputs
that it passed to its tasks, its tokens are answered by `Executions`, and what functions write into outboxes goes
by today's relay to the queues that today's stacks subscribe (`subscriptions`).
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from commerce import aws as clients
from commerce import relay
from commerce.clock import rfc3339
from commerce.dynamo import Item, Table, load
from commerce.ids import show_order_number
from commerce.tokens import OrderClaims, TokenSigner
from inventory import api as inventory_api
from orders import api as orders_api
from orders.store import DynamoOrders
from payments import api as payments_api
from payments.model import OrderPayments
from payments.store import Store as PaymentStore
from shipping import api as shipping_api
from shipping import workers as shipping_workers
from tests.integration.conftest import make_table
from tools.sandbox_provider import callback

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "recorded"
CONTEXTS = ("orders", "inventory", "payments", "shipping", "notifications", "catalog", "customers")
INDEXES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "orders": {"customer": ("customer_id", "number"), "open": ("open_pk", "due")},
    "inventory": {"open": ("open_pk", "open_since")},
    "payments": {"open": ("open_pk", "open_since")},
    "shipping": {"queue": ("queue_pk", "queue_sk")},
    "notifications": {},
    "catalog": {"listed": ("listed_pk", "sku")},
    "customers": {},
    "vault": {},
}
WAY = ("information_received", "picked_up", "in_transit", "out_for_delivery", "delivered")
SECRET = "callback-key"

Task = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One order of a released version at one stage."""

    tag: str
    name: str
    content: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.tag}/{self.name}"

    @property
    def order_id(self) -> str:
        return str(self.content["order_id"])

    @property
    def buyer(self) -> str:
        return str(self.content["buyer"])

    @property
    def status(self) -> str:
        return str(self.content["status"])

    @property
    def tasks(self) -> list[Task]:
        """What its executions passed to their tasks, in order, with what came of it."""
        return list(self.content["tasks"])

    @property
    def waiting(self) -> Task | None:
        """The task whose token is not answered yet."""
        last = self.tasks[-1] if self.tasks else {"output": None}
        return None if "output" in last or "error" in last else last

    @property
    def head(self) -> Item:
        return next(item for item in self.items("orders") if item["sk"] == "HEAD")

    def raw(self, table: str) -> list[dict[str, Any]]:
        """Return the items of a table as boto3 takes them."""
        return [{name: _binary(value) for name, value in item.items()} for item in self.content[table]]

    def items(self, table: str) -> list[Item]:
        """Return the items of a table in plain form."""
        return [load(item) for item in self.raw(table)]


@cache
def cases() -> tuple[Case, ...]:
    """Return every recorded case of every release."""
    files = sorted(RECORDED.glob("*/*.json"))
    return tuple(Case(file.parent.name, file.stem, json.loads(file.read_text(encoding="utf-8"))) for file in files)


def later(case: Case, status: str) -> Case | None:
    """Return the same order of the same release when it had come to ``status`` at last."""
    of = [one for one in cases() if (one.tag, one.order_id, one.status) == (case.tag, case.order_id, status)]
    return max(of, key=lambda one: len(one.tasks), default=None)


def ahead(case: Case, status: str) -> list[Task]:
    """Return what the same order's executions went on to do, beginning with a task that waits for its answer."""
    found = later(case, status)
    assert found is not None, f"{case.tag} has no recording of {case.name}'s order as {status}"
    return found.tasks[len(case.tasks) - (case.waiting is not None) :]


def closing(case: Case, status: str, since: str, waited_for: str = "") -> list[Task]:
    """Return how an execution of the release closed an order as ``status``, from state ``since`` on, for this order."""
    for one in cases():
        states = [task["state"] for task in one.tasks]
        if one.tag == case.tag and one.status == status and since in states:
            tasks = one.tasks[states.index(since) :]
            if waited_for in ("", tasks[0]["input"].get("waited_for")):
                text = json.dumps(tasks).replace(one.order_id, case.order_id)
                found: list[Task] = json.loads(text)
                return found
    raise AssertionError(f"{case.tag} has no recording of an order {status}")


@cache
def subscriptions() -> Mapping[str, frozenset[str]]:
    """Return handler -> event types that its queue gets, as the stacks of ``infra/contexts`` say.

    Read from their source: a synthesised app would need Node.js here.
    """
    found: dict[str, frozenset[str]] = {}
    for file in sorted((ROOT / "infra" / "contexts").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "worker":
                names = frozenset(_subscribed(node))
                if names:
                    found[str(ast.literal_eval(node.args[2]))] = names
    return found


def _subscribed(worker: ast.Call) -> Iterator[str]:
    for node in ast.walk(worker):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "subscribe":
            yield from (event.id for event in node.args[1:] if isinstance(event, ast.Name))


def named(path: str) -> Any:
    """Return the function that a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def task_handler(function: str) -> Any:
    """Return today's handler of a task's function: ``orders-await-payment`` is ``orders.tasks.await_payment``."""
    context, _, task = function.partition("-")
    return named(f"{context}.tasks.{task.replace('-', '_')}")


class Executions:
    """Step Functions in so far as functions call it: which executions are started, which tokens are answered how.

    Attributes
    ----------
    open
        Tokens that wait.
    answers
        Token -> name of the error it was answered with, empty for success.
    """

    class exceptions:  # noqa: N801 - as boto3's clients have it
        class ExecutionAlreadyExists(Exception):
            pass

        class TaskTimedOut(Exception):
            pass

        class TaskDoesNotExist(Exception):
            pass

        class InvalidToken(Exception):
            pass

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.answers: dict[str, str] = {}
        self.started: list[str] = []

    def start_execution(self, **asked: str) -> None:
        if asked["name"] in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        self.started.append(asked["name"])

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803 - boto3's names
        json.loads(output)
        self._answer(taskToken, "")

    def send_task_failure(self, *, taskToken: str, error: str) -> None:  # noqa: N803 - boto3's names
        self._answer(taskToken, error)

    def _answer(self, token: str, error: str) -> None:
        if token not in self.open:
            raise self.exceptions.TaskDoesNotExist
        self.open.remove(token)
        self.answers[token] = error


class Bus:
    """EventBridge in so far as the relay calls it."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [{} for _ in Entries]}


class World:
    """A simulated AWS in which a case's items are in today's tables.

    The vault stays empty: its data keys are wrapped by the key of the cloud they were recorded on, and nothing here
    could open them. The buyer is as one who was erased: he is told in his inbox and by no mail. Sealing and opening are
    tested where the keys are (``tests/integration/commerce``, ``tests/e2e``).
    """

    def __init__(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case = case
        self.executions = Executions()
        self.told: list[str] = []
        self._delivered: set[str] = set()
        self._keys = 0
        monkeypatch.setattr(clients, "stepfunctions", lambda: self.executions)
        self._dynamodb = boto3.client("dynamodb")
        for table, indexes in INDEXES.items():
            make_table(table, **indexes)
            monkeypatch.setenv(f"{table.upper()}_TABLE", table)
        kms = boto3.client("kms")
        mac_key = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
        self._signer = TokenSigner(kms, mac_key)
        secret = boto3.client("secretsmanager").create_secret(Name="sandbox", SecretString=SECRET)["ARN"]
        for name, value in {
            "MAC_KEY_ARN": mac_key,
            "DATA_KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"],
            "SANDBOX_SECRET_ARN": secret,
            "LIFECYCLE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:order-lifecycle",
            "MAIL_FROM": "shop@example.com",
            "PURCHASING_MAIL": "",
            "POWERTOOLS_SERVICE_NAME": "recorded",
            **dict.fromkeys(
                ("OPEN_SECONDS", "DISPATCH_SECONDS", "SILENCE_SECONDS", "ACCEPTANCE_SECONDS", "SETTLEMENT_SECONDS"),
                "3600",
            ),
            "PACE_ORDERS": "20",
            "PACE_SECONDS": "3600",
            **dict.fromkeys(("REPLENISHMENT_LEAD_SECONDS", "PENDING_SECONDS"), "3600"),
        }.items():
            monkeypatch.setenv(name, value)
        forget()
        for table in (*CONTEXTS,):
            for item in case.raw(table):
                self._dynamodb.put_item(TableName=table, Item=item)
        if case.waiting is not None:
            self.executions.open.add(case.waiting["input"]["token"])

    def table(self, name: str) -> Table:
        return Table(self._dynamodb, name)

    def scan(self, table: str) -> list[Item]:
        return [load(item) for item in self._dynamodb.scan(TableName=table)["Items"]]

    @property
    def orders(self) -> DynamoOrders:
        return DynamoOrders(self.table("orders"))

    @property
    def status(self) -> str:
        return str(self.orders.get(self.case.order_id).status.value)

    @property
    def money(self) -> OrderPayments:
        kept = PaymentStore(self.table("payments")).load(self.case.order_id)
        return kept.order if kept else OrderPayments(self.case.order_id)

    @property
    def slips(self) -> list[Item]:
        """Slips of the order in their stored form, by number."""
        return sorted(
            (one for one in self.scan("shipping") if one["sk"].startswith("SLIP#")), key=lambda one: one["sk"]
        )

    def pump(self) -> None:
        """Relay what stands in outboxes to the subscribed queues until nothing new comes of it.

        The outboxes that were recorded go out too, once more: a stream may deliver twice.
        """
        while fresh := [event for event in self._relayed() if event["detail"]["id"] not in self._delivered]:
            for event in fresh:
                self._delivered.add(event["detail"]["id"])
                self.told.append(event["detail-type"])
                for handler, types in subscriptions().items():
                    if event["detail-type"] in types:
                        self._deliver(named(handler), event)

    def _relayed(self) -> list[dict[str, Any]]:
        records: list[Mapping[str, Any]] = []
        for table in CONTEXTS:
            for item in self._dynamodb.scan(TableName=table)["Items"]:
                if "outbox" in item:
                    told = json.dumps([table, item["pk"], item["sk"], item["outbox"]])
                    write = hashlib.sha256(told.encode()).hexdigest()
                    records.append(
                        {"eventID": write, "dynamodb": {"NewImage": item, "SequenceNumber": str(len(records))}}
                    )
        bus: Any = Bus()
        assert relay.publish(records, bus, "commerce") is None
        return [
            {"source": one["Source"], "detail-type": one["DetailType"], "detail": json.loads(one["Detail"])}
            for one in bus.entries
        ]

    @staticmethod
    def _deliver(handler: Any, event: dict[str, Any]) -> None:
        record = {"messageId": "1", "body": json.dumps(event), "eventSource": "aws:sqs", "receiptHandle": "r"}
        assert handler({"Records": [record]}, None) == {"batchItemFailures": []}, event

    def call(self, handler: Any, route: str, body: Any = None, **options: Any) -> tuple[int, dict[str, Any]]:
        """Call a route as the HTTP API does (payload format 2.0), with an Idempotency-Key of its own."""
        self._keys += 1
        path, sub = options.get("path", {}), options.get("sub", "")
        method, raw = route.split(" ")
        for name, value in path.items():
            raw = raw.replace(f"{{{name}}}", value)
        context: dict[str, Any] = {"http": {"method": method, "path": raw}, "routeKey": route, "stage": "$default"}
        if sub:
            groups = f"[{options.get('groups', 'customer')}]"
            context["authorizer"] = {"jwt": {"claims": {"sub": sub, "cognito:groups": groups}}}
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        event = {
            "version": "2.0",
            "routeKey": route,
            "rawPath": raw,
            "rawQueryString": "",
            "headers": {"idempotency-key": f"key-{self._keys}"} | options.get("headers", {}),
            "pathParameters": path,
            "requestContext": context,
            "body": None if sent is None else base64.b64encode(sent).decode(),
            "isBase64Encoded": sent is not None,
        }
        answer = handler(event, None)
        return answer["statusCode"], json.loads(answer.get("body") or "null") or {}

    def ask(self, handler: Any, route: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """Call a route that must answer well, and relay what came of it."""
        status, answer = self.call(handler, route, body, **options)
        assert status < 300, (route, status, answer)
        self.pump()
        return answer

    def as_buyer(self, handler: Any, method: str, what: str, body: Any = None) -> dict[str, Any]:
        """Call a route of the buyer's order, signed in or by the order's token."""
        order = self.orders.get(self.case.order_id)
        number = {"number": show_order_number(order.order_id)}
        if order.customer_id:
            return self.ask(handler, f"{method} /orders/{{number}}{what}", body, path=number, sub=order.customer_id)
        headers = {"order-token": self.token()}
        return self.ask(handler, f"{method} /guest/orders/{{number}}{what}", body, path=number, headers=headers)

    def token(self) -> str:
        """Return the order's token as today's platform would issue it."""
        order = self.orders.get(self.case.order_id)
        claims = OrderClaims(order.order_id, order.buyer, order.total, order.currency, order.locale)
        return self._signer.issue(claims)

    def pay(self) -> None:
        started = self.as_buyer(
            payments_api.handler, "POST", "/payments", {"provider": "sandbox", "order_token": self.token()}
        )
        sent = callback(
            SECRET, "authorised", started["payment_id"], started["amount"], started["currency"], datetime.now(UTC)
        )
        self.ask(
            payments_api.callback,
            "POST /payments/callbacks/{provider}",
            sent.body,
            path={"provider": "sandbox"},
            headers={name.lower(): value for name, value in sent.headers.items()},
        )

    def cancel(self) -> None:
        self.as_buyer(orders_api.handler, "POST", "/cancel")

    def accept(self) -> None:
        self.as_buyer(orders_api.handler, "POST", "/accept")

    def supply(self) -> None:
        """Receive what the order is short of, where it has waited for it."""
        waiting = next(one for one in self.scan("inventory") if one["sk"] == "WAITING")
        levels = {one["pk"].removeprefix("STOCK#"): one for one in self.scan("inventory") if "on_hand" in one}
        lines = [
            {"sku": sku, "quantity": pieces - levels[sku]["on_hand"]}
            for sku, pieces in waiting["wants"].items()
            if pieces > levels[sku]["on_hand"]
        ]
        body = {"warehouse_id": levels[lines[0]["sku"]]["sk"], "lines": lines}
        self.ask(inventory_api.handler, "POST /stock/receipts", body, sub="w-1", groups="warehouse")

    def dispatch(self, most: int | None = None) -> None:
        """Pack and hand over the slips that are still here."""
        for slip in [one for one in self.slips if one["state"] != "dispatched"][:most]:
            path = {"id": f"{self.case.order_id}-{slip['sk'].removeprefix('SLIP#')}"}
            for step in ("pack", "dispatch"):
                route = f"POST /slips/{{id}}/{step}"
                self.ask(shipping_api.warehouse, route, path=path, sub="w-1", groups="warehouse")

    def deliver(self) -> None:
        """Report the way of every parcel, an event a scan."""
        now = datetime.now(UTC)
        for at, status in enumerate(WAY, 1 - len(WAY)):
            for slip in self.slips:
                scan = {"status": status, "at": rfc3339(now + timedelta(seconds=at))}
                detail = {"waybill": slip["waybill"], "scans": [scan]}
                event = {"source": f"carrier.{slip['carrier']}", "detail-type": "ScanReported", "detail": detail}
                self._deliver(shipping_workers.scans, event)
                self.pump()


def forget() -> None:
    """Drop what the functions keep warm, so that each test has its own AWS."""
    clients._client.cache_clear()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in (*CONTEXTS, "commerce"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _binary(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "M":
            return {"M": {name: _binary(one) for name, one in content.items()}}
        case "L":
            return {"L": [_binary(one) for one in content]}
    return {kind: content}
