"""``python -m tools.record TAG``: what orders of this release leave behind, for the tests of the releases after it.

Plays orders through the public API and the buses of a fresh local cloud (``make record``) and writes at each stage of
each a file ``tests/recorded/<TAG>/<order>-<stage>.json``: every item of every table that belongs to the order, what its
executions passed to their tasks and got from them so far, the events that were put about it, and what its buyer was
shown of it. People are made up. ``tests/integration/test_recorded_releases.py`` lets later code finish these orders.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from commerce.clock import rfc3339
from tools.client import (
    Api,
    Carrier,
    CarrierScan,
    Deployment,
    Operator,
    PlacedOrder,
    Provider,
    TooLate,
    new_key,
    place,
    until,
)

RECORDED = Path(__file__).parents[1] / "tests" / "recorded"
TABLES = ("orders", "inventory", "payments", "shipping", "notifications", "catalog", "customers", "vault")
MACHINES = {"lifecycle": "OrderLifecycleArn", "completion": "OrderCompletionArn"}
GB, DE = "GB-DAV", "DE-DUI"
PASSWORD = "Correct-Horse-7-Battery"  # noqa: S105 - of made-up people in a cloud that is thrown away
WAY = ("information_received", "picked_up", "in_transit", "in_transit", "out_for_delivery", "delivered")
ADDRESS = {"country": "GB", "lines": ["1 Example Street"], "city": "London", "postal_code": "SW1A 1AA"}
PRICE = 250
REST = 0.6
"""Seconds between two looks at the tables that must be the same before they are recorded."""

Item = dict[str, Any]


@dataclass(frozen=True)
class Buyer:
    """Who buys; ``subject`` is the customer's id, empty for a guest until his order has one."""

    api: Api
    locale: str
    email: str
    subject: str = ""


class Bench:
    """The deployed platform with its staff, and an ear on its bus."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment = deployment
        self.folder = folder
        self.api = Api.of(deployment)
        self.operator = Operator(deployment)
        self.provider = Provider(self.api, self.operator.sandbox_secret())
        self.carrier = Carrier(deployment)
        self.merchant = self._sign_in("merchant", "merchant")
        self.warehouse = self._sign_in("warehouse", "warehouse")
        self._events: dict[str, Item] = {}
        self._queue = self._listen()

    @cached_property
    def _dynamodb(self) -> Any:
        return self.deployment.client("dynamodb")

    @cached_property
    def _states(self) -> Any:
        return self.deployment.client("stepfunctions")

    @cached_property
    def _sqs(self) -> Any:
        return self.deployment.client("sqs")

    def _sign_in(self, name: str, group: str) -> Api:
        email = f"{name}@example.com"
        self.operator.add_user(email, PASSWORD, [group])
        return self.api.signed_in(self.operator.sign_in(email, PASSWORD))

    def _listen(self) -> str:
        url: str = self._sqs.create_queue(QueueName="recorded-events")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events, bus = self.deployment.client("events"), self.deployment.outputs["CommerceBusName"]
        pattern = json.dumps({"source": [{"prefix": "commerce."}]})
        events.put_rule(Name="recorded-events", EventBusName=bus, EventPattern=pattern)
        events.put_targets(Rule="recorded-events", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    def customer(self, name: str, locale: str = "en-GB") -> Buyer:
        """Return a new customer with a profile."""
        email = f"{name}@example.com"
        api = self._sign_in(name, "customer")
        zone = "Asia/Shanghai" if locale.startswith("zh") else "Europe/London"
        api.ask("PUT", "/me", {"name": "Ada Example", "email": email, "locale": locale, "time_zone": zone})
        return Buyer(api, locale, email, _claims(api.token)["sub"])

    def guest(self, name: str) -> Buyer:
        return Buyer(self.api, "en-GB", f"{name}@example.com")

    def goods(self, *names: str) -> None:
        """Put products, all at one price, and wait until they may be ordered."""
        products = [
            {
                "sku": sku,
                "merchant_id": "mer_recorded",
                "title": {"en": f"Goods {sku}", "zh": f"商品 {sku}"},
                "tax_rate_bp": 2000,
                "tax_inclusive": True,
                "listed": True,
            }
            for sku in names
        ]
        self.merchant.ask("PUT", "/catalog/products", {"products": products})
        now = datetime.now(UTC)
        prices = {
            "currency": "GBP",
            "valid_from": rfc3339(now - timedelta(days=1)),
            "valid_until": rfc3339(now + timedelta(days=30)),
            "entries": [{"sku": sku, "unit_price": PRICE} for sku in names],
        }
        self.merchant.ask("PUT", f"/catalog/price-lists/GBP-{names[0]}", prices)
        body = _body(Buyer(self.api, "en-GB", "nobody@example.com"), dict.fromkeys(names, 1))
        for line in body["lines"]:
            line["unit_price"] = 999_999_999

        def refusals() -> set[str]:
            problem = self.api.send("POST", "/guest/orders", body, key=new_key()).body
            return {error["code"] for error in problem["errors"]}

        until(refusals, lambda codes: codes == {"not-the-price"}, f"offers of {names}")

    def receive(self, warehouse: str, **quantities: int) -> None:
        """Book goods into a warehouse."""
        lines = [{"sku": sku, "quantity": pieces} for sku, pieces in quantities.items()]
        self.warehouse.ask("POST", "/stock/receipts", {"warehouse_id": warehouse, "lines": lines}, key=new_key())

    @contextmanager
    def intake_stopped(self) -> Iterator[None]:
        """Leave accepted orders in their queue meanwhile."""
        functions = self.deployment.client("lambda")
        (mapping,) = [
            one
            for one in functions.list_event_source_mappings()["EventSourceMappings"]
            if one["EventSourceArn"].endswith(self.deployment.outputs["OrdersIntakeQueueName"])
        ]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        time.sleep(3)  # a poll that is under way ends
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def tables(self, mentions: Sequence[str]) -> dict[str, list[Item]]:
        """Return the items that mention one of ``mentions``, by table, in the order of their keys."""
        found = {}
        for table in TABLES:
            name = self.deployment.outputs[f"{table.capitalize()}TableName"]
            pages = self._dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
            items = [_plain(item) for page in pages for item in page["Items"]]
            kept = [item for item in items if any(one in json.dumps(item) for one in mentions)]
            found[table] = sorted(kept, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
        return found

    def tasks(self, order_id: str) -> list[Item]:
        """Return what the order's executions passed to their tasks so far, and what came of it."""
        return [task for machine in MACHINES for task in self._tasks(machine, order_id)]

    def _tasks(self, machine: str, order_id: str) -> Iterator[Item]:
        for execution in self._states.list_executions(
            stateMachineArn=self.deployment.outputs[MACHINES[machine]], maxResults=1000
        )["executions"]:
            arn = execution["executionArn"]
            if json.loads(self._states.describe_execution(executionArn=arn)["input"])["order_id"] == order_id:
                yield from _read_history(machine, self._history(arn))

    def _history(self, arn: str) -> Iterator[Item]:
        for page in self._states.get_paginator("get_execution_history").paginate(executionArn=arn):
            yield from page["events"]

    def events(self, mentions: Sequence[str]) -> list[Item]:
        """Return the events that were put so far and mention one of ``mentions``, in the order they came."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                event = json.loads(message["Body"])
                told = {"source": event["source"], "type": event["detail-type"], "detail": event["detail"]}
                self._events.setdefault(event["detail"]["id"], told)
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [one for one in self._events.values() if any(name in json.dumps(one) for name in mentions)]


class Order:
    """One order that is played and recorded.

    Parameters
    ----------
    name
        What its files begin with.
    wants
        SKU -> pieces.
    """

    def __init__(self, bench: Bench, name: str, buyer: Buyer, wants: Mapping[str, int]) -> None:
        self.bench = bench
        self.name = name
        self.wants = wants
        self.placed: PlacedOrder = place(buyer.api, _body(buyer, wants))
        self.id = self.placed.id
        self.subject: str = buyer.subject or json.loads(_unpadded(self.placed.token.split(".")[1]))["buyer"]
        self.mentions = (self.id, self.subject, *wants)

    def record(self, stage: str, status: str) -> None:
        """Write what there is of the order once nothing moves any more.

        Raises
        ------
        RuntimeError
            The order is not in ``status`` by then: its window closed, or something is wrong.
        """

        def look() -> Item:
            return {
                "tasks": self.bench.tasks(self.id),
                "events": self.bench.events(self.mentions),
                "shown": self._shown(),
                **self.bench.tables(self.mentions),
            }

        found = self._at_rest(look)
        head = next(item for item in found["orders"] if item["sk"]["S"] == "HEAD")
        if head["status"]["S"] != status:
            raise RuntimeError(f"{self.name} is {head['status']['S']} at {stage}, not {status}")
        text = _text({"order_id": self.id, "buyer": self.subject, "status": status, **found})
        (self.bench.folder / f"{self.name}-{stage}.json").write_text(text, encoding="utf-8")
        print(f"{self.name}-{stage}: {', '.join(f'{len(part)} {name}' for name, part in found.items() if part)}")

    def _shown(self) -> list[Item]:
        """Return what the buyer is told of his order, without what is personal."""
        paths = (f"{self.placed.path}{part}" for part in ("/timeline", "/payments", "/shipments"))
        answers = {path: self.placed.api.send("GET", path) for path in paths}
        return [{"path": path, "body": answer.body} for path, answer in answers.items() if answer.status == 200]

    @staticmethod
    def _at_rest(look: Callable[[], Item]) -> Item:
        before = look()
        for _ in range(20):
            time.sleep(REST)
            now = look()
            if now == before:
                return now
            before = now
        raise TooLate("the order does not come to rest")

    def wait(self, *statuses: str, within: float = 60) -> None:
        self.placed.wait(*statuses, within=within)

    def pay(self) -> None:
        self.bench.provider.authorise(self.placed.pay())

    def slips(self, number: int = 1) -> list[Item]:
        """Wait for the released slips."""
        return [self._slip(f"/slips/{self.id}-{at}") for at in range(1, number + 1)]

    def _slip(self, path: str) -> Item:
        answer = until(lambda: self.bench.warehouse.send("GET", path), lambda one: one.status == 200, path)
        found: Item = answer.body
        return found

    def pack(self, slip: Item) -> Item:
        packed: Item = self.bench.warehouse.ask("POST", f"/slips/{slip['id']}/pack", key=new_key())
        return packed

    def dispatch(self, slip: Item) -> Item:
        packed = self.pack(slip)
        self.bench.warehouse.ask("POST", f"/slips/{slip['id']}/dispatch", key=new_key())
        return packed

    def scan(self, slip: Item, *statuses: str) -> None:
        """Report scans a second apart that end now, an event each."""
        begun = datetime.now(UTC) - timedelta(seconds=len(statuses))
        scans = [
            CarrierScan(slip["waybill"], status, begun + timedelta(seconds=at), f"Depot {at}")
            for at, status in enumerate(statuses)
        ]
        self.bench.carrier.report(*([one] for one in scans))

    def await_fact(self, fact: str) -> None:
        until(lambda: [entry["fact"] for entry in self.placed.timeline()], lambda facts: fact in facts, f"{fact} told")

    def end(self) -> None:
        """Accept the delivery and record the whole."""
        self.wait("delivered", "accepted", "completed")
        if self.placed.status == "delivered":
            self.placed.accept()
        self.wait("completed")
        self.record("completed", "completed")


def play(bench: Bench) -> None:
    """Play and record every order; those whose windows have to close are begun first."""
    unpaid, unsupplied, unsent = _unpaid(bench), _unsupplied(bench), _unsent(bench)
    _single(bench)
    unpaid.wait("expired")
    unpaid.record("expired", "expired")
    _short(bench)
    _split(bench)
    _guest(bench)
    _cancelled(bench)
    for order in (unsupplied, unsent):
        order.wait("expired", within=180)
        order.record("expired", "expired")


def _unpaid(bench: Bench) -> Order:
    """Nobody pays."""
    bench.goods("REC-UNPAID")
    bench.receive(GB, **{"REC-UNPAID": 3})
    order = Order(bench, "unpaid", bench.customer("unpaid"), {"REC-UNPAID": 2})
    order.placed.pay()
    return order


def _unsupplied(bench: Bench) -> Order:
    """The goods do not come; the money is held already."""
    bench.goods("REC-UNSUPPLIED")
    bench.receive(GB, **{"REC-UNSUPPLIED": 1})
    order = Order(bench, "unsupplied", bench.customer("unsupplied"), {"REC-UNSUPPLIED": 2})
    order.pay()
    return order


def _unsent(bench: Bench) -> Order:
    """The warehouse packs it and does not hand it over."""
    bench.goods("REC-UNSENT")
    bench.receive(GB, **{"REC-UNSENT": 2})
    order = Order(bench, "unsent", bench.customer("unsent"), {"REC-UNSENT": 1})
    order.pay()
    order.pack(*order.slips())
    return order


def _single(bench: Bench) -> None:
    """One parcel, at every stage."""
    bench.goods("REC-SINGLE1", "REC-SINGLE2")
    bench.receive(GB, **{"REC-SINGLE1": 10, "REC-SINGLE2": 10})
    buyer = bench.customer("single")
    with bench.intake_stopped():
        order = Order(bench, "single", buyer, {"REC-SINGLE1": 2, "REC-SINGLE2": 3})
        order.record("received", "received")
    order.wait("awaiting_payment")
    order.record("awaiting_payment", "awaiting_payment")
    order.pay()
    (slip,) = order.slips()
    order.record("paid", "paid")
    order.pack(slip)
    order.record("packed", "paid")
    slip = order.dispatch(slip)
    order.wait("dispatched")
    order.record("dispatched", "dispatched")
    order.scan(slip, *WAY[:-1])
    order.await_fact("scan:out_for_delivery")
    order.record("out_for_delivery", "dispatched")
    order.scan(slip, *WAY[-1:])
    order.wait("delivered")
    order.record("delivered", "delivered")
    order.end()


def _short(bench: Bench) -> None:
    """Waits for stock; a receipt lets it go on."""
    bench.goods("REC-SHORT")
    bench.receive(GB, **{"REC-SHORT": 1})
    order = Order(bench, "short", bench.customer("short", "zh-CN"), {"REC-SHORT": 3})
    order.wait("awaiting_stock")
    order.record("awaiting_stock", "awaiting_stock")
    bench.receive(GB, **{"REC-SHORT": 2})
    order.wait("awaiting_payment")
    order.record("awaiting_payment", "awaiting_payment")
    order.pay()
    order.scan(order.dispatch(*order.slips()), *WAY)
    order.end()


def _split(bench: Bench) -> None:
    """Two warehouses; a cancellation comes when the first parcel has left, and loses."""
    bench.goods("REC-HOME", "REC-ABROAD")
    bench.receive(GB, **{"REC-HOME": 5})
    bench.receive(DE, **{"REC-ABROAD": 5})
    order = Order(bench, "split", bench.customer("split"), {"REC-HOME": 2, "REC-ABROAD": 1})
    order.wait("awaiting_payment")
    order.pay()
    slips = order.slips(2)
    order.record("paid", "paid")
    first = order.dispatch(slips[0])
    order.record("one_dispatched", "paid")
    order.placed.cancel()
    order.await_fact("cancellation_refused")
    order.record("cancellation_refused", "paid")
    second = order.dispatch(slips[1])
    order.wait("dispatched")
    order.record("dispatched", "dispatched")
    order.scan(first, *WAY)
    order.scan(second, *WAY)
    order.end()


def _guest(bench: Bench) -> None:
    """Somebody without an account."""
    bench.goods("REC-GUEST")
    bench.receive(GB, **{"REC-GUEST": 4})
    order = Order(bench, "guest", bench.guest("guest"), {"REC-GUEST": 1})
    order.wait("awaiting_payment")
    order.record("awaiting_payment", "awaiting_payment")
    order.pay()
    slips = order.slips()
    order.record("paid", "paid")
    order.scan(order.dispatch(*slips), *WAY)
    order.wait("delivered")
    order.record("delivered", "delivered")
    order.end()


def _cancelled(bench: Bench) -> None:
    """Cancelled by its buyer when it is packed."""
    bench.goods("REC-CANCELLED")
    bench.receive(GB, **{"REC-CANCELLED": 2})
    order = Order(bench, "cancelled", bench.customer("cancelled"), {"REC-CANCELLED": 2})
    order.wait("awaiting_payment")
    order.pay()
    order.pack(*order.slips())
    order.placed.cancel()
    order.wait("cancelled")
    order.record("cancelled", "cancelled")


def _body(buyer: Buyer, wants: Mapping[str, int]) -> dict[str, Any]:
    contact = {"name": "Ada Example"} if buyer.api.token else {"name": "Ada Example", "email": buyer.email}
    lines = [{"sku": sku, "quantity": pieces, "unit_price": PRICE} for sku, pieces in wants.items()]
    return {
        "currency": "GBP",
        "locale": buyer.locale,
        "time_zone": "Europe/London",
        "contact": contact,
        "address": ADDRESS,
        "lines": lines,
    }


def _read_history(machine: str, events: Iterator[Item]) -> Iterator[Item]:
    """Yield one entry for each task state entered: its last attempt, without a result if there is none yet."""
    task: Item | None = None
    for event in events:
        match event["type"]:
            case "TaskStateEntered":
                if task is not None:
                    yield task
                task = {"machine": machine, "state": event["stateEnteredEventDetails"]["name"]}
            case "TaskScheduled" if task is not None:
                passed = json.loads(event["taskScheduledEventDetails"]["parameters"])
                task |= {"function": _function(passed["FunctionName"]), "input": passed["Payload"]}
            case "TaskSucceeded" if task is not None:
                result = json.loads(event["taskSucceededEventDetails"]["output"])
                task["output"] = result.get("Payload", result)
            case "TaskFailed" if task is not None:
                task["error"] = event["taskFailedEventDetails"]["error"]
    if task is not None:
        yield task


def _function(arn: str) -> str:
    found = re.search(r":function:commerce-[a-z0-9]+-([a-z-]+)", arn)
    if found is None:
        raise ValueError(f"{arn} is no function of the platform")
    return found[1]


def _plain(item: Mapping[str, Any]) -> Item:
    """Return an item as DynamoDB's typed JSON is written: binaries in base64."""
    return {name: _typed(value) for name, value in item.items()}


def _typed(value: Mapping[str, Any]) -> Item:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64encode(content).decode()}
        case "M":
            return {"M": _plain(content)}
        case "L":
            return {"L": [_typed(one) for one in content]}
    return {kind: content}


def _text(parts: Mapping[str, Any]) -> str:
    """Return JSON with one line an item: what a release changes is seen in the difference of two recordings."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    shown = [
        f" {line(name)}: "
        + ("[" + ",".join(f"\n  {line(one)}" for one in value) + "]" if isinstance(value, list) else line(value))
        for name, value in parts.items()
    ]
    return "{\n" + ",\n".join(shown) + "\n}\n"


def _claims(jwt: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(_unpadded(jwt.split(".")[1]))
    return claims


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.record", description=__doc__.partition("\n")[0])
    parser.add_argument("tag", help="the release that is recorded, as v0.1.0")
    tag = parser.parse_args(arguments).tag
    home, folder = os.environ.get("LOCALCLOUD_HOME"), RECORDED / tag
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        print(f"record: {tag} is no release", file=sys.stderr)
        return 2
    if home is None:
        print("record: LOCALCLOUD_HOME names no local cloud: make record TAG=...", file=sys.stderr)
        return 2
    if folder.exists():
        print(f"record: {tag} is recorded; what a release was does not change", file=sys.stderr)
        return 2
    folder.mkdir(parents=True)
    play(Bench(Deployment.at(Path(home)), folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
