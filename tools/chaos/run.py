"""One run under chaos: orders in peace, the same orders under faults, dead letters given back, the audit."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tools.audit.deployed import unbalanced
from tools.chaos.proxy import SHARES, Plan, Proxy
from tools.client import Carrier, Deployment, Provider, Refused, TooLate, until
from tools.loader import Sample, load_sample
from tools.localcloud.deploy import deploy
from tools.localcloud.server import LocalCloud
from tools.run.board import CANCELLED, COMPLETED, Board
from tools.run.journal import Journal
from tools.run.load import Cast, load, receive, sign_in_all
from tools.run.play import Play, look_back

STAGE = "local"
TWICE = 0.1
MOST_AMPLIFIED = 1.5

POLLED = frozenset(
    {"orders-api", "shipping-api", "shipping-warehouse", "inventory-api", "notifications-api", "orders-ops"}
)
"""Functions that people and sweeps call as often as time passes, whatever happens to the orders."""

REST = 90.0
"""Seconds that the platform has to come to rest once the faults have ended."""

BALANCED = 60.0
"""Seconds that the tables have to balance after that."""


@dataclass
class Report:
    """What became of it.

    Attributes
    ----------
    accepted, ended
        Orders under faults: taken, and come to their end (status -> number).
    lost
        Accepted orders that are not there or have not come to an end.
    calm_calls, calls
        Of an order, in peace and under faults; 0 where calls are not what a run is about.
    amplification
        Calls of an order under faults, as a multiple of those in peace.
    faults
        Kind -> how many struck.
    letters
        What was in dead-letter queues, each with its explanation.
    unexplained
        Those that no fault explains.
    left
        What was in dead-letter queues still after the redrive.
    findings
        Of the audit.
    """

    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    calm_calls: float = 0.0
    calls: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    letters: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def amplification(self) -> float:
        return self.calls / self.calm_calls if self.calm_calls else 0.0

    @property
    def troubles(self) -> list[str]:
        """Return everything that is not as it must be."""
        found = [*self.lost, *(f"not explained: {one}" for one in self.unexplained), *self.findings]
        found += [f"still a dead letter: {one}" for one in self.left]
        if not self.accepted:
            found.append("no order was accepted")
        if self.amplification > MOST_AMPLIFIED:
            found.append(f"calls were amplified {self.amplification:.2f} times, at most {MOST_AMPLIFIED}")
        return found


def chaos(
    cloud: LocalCloud, proxy: Proxy, orders: int, seed: int, down: frozenset[str], say: Callable[[str], None]
) -> Report:
    """Play.

    Parameters
    ----------
    orders
        How many are played, in peace first and then under faults: the same ones, so that the calls of an order compare.
    down
        AWS services that do not answer at all while the others are played.
    """
    sample = load_sample(orders)
    cloud.start()
    proxy.lead_to(cloud.endpoint)
    deploy(cloud, STAGE)
    deployment, journal = Deployment.on(cloud), Journal(cloud.home / "calls.jsonl")
    cast = sign_in_all(sample, deployment)
    load(sample, cast, journal, say)
    report = Report()
    calm, before = _played(sample, sample.orders, cast, deployment, proxy, say)
    report.calm_calls = before / max(1, sum(tale.placed is not None for tale in calm.tales))
    say(f"in peace: {report.calm_calls:.0f} calls an order")
    receive(sample.stock, cast)
    began = time.time()
    proxy.misbehave(Plan(seed, {} if down else SHARES, down))
    board, calls = _played(sample, sample.orders, cast, deployment, proxy, say)
    proxy.misbehave(Plan())
    report.faults = Counter(one.fault for one in proxy.struck)
    report.accepted = sum(tale.placed is not None for tale in board.tales)
    report.calls = calls / max(1, report.accepted)
    say(f"under faults: {report.calls:.0f} calls an order, {sum(report.faults.values())} faults")
    _redrive(deployment, cast, proxy, began, report)
    with suppress(TooLate):
        until(lambda: _ends(board), lambda open_: not open_, "all orders to end", within=REST, every=2)
    report.left = [f"{name}: {number}" for name, number in _dead(cast).items() if number]
    look_back(board)
    report.ended = Counter(tale.status for tale in board.tales if tale.placed is not None)
    report.lost = [
        f"{tale.placed.number} is {tale.status or 'gone'} ({tale.trouble})"
        for tale in board.tales
        if tale.placed is not None and tale.status not in (COMPLETED, CANCELLED)
    ]
    report.findings = unbalanced(deployment, BALANCED)
    return report


def _played(
    sample: Sample,
    orders: Sequence[Any],
    cast: Cast,
    deployment: Deployment,
    proxy: Proxy,
    say: Callable[[str], None],
) -> tuple[Board, int]:
    """Play orders to their ends; return them, and how many calls that took of functions that orders drive."""
    board = Board(list(orders))
    start = proxy.calls.copy()
    cancelled = frozenset(one.order for one in sample.whole_cancellations)
    provider, carrier = Provider(cast.anonymous, cast.operator.sandbox_secret()), Carrier(deployment)
    Play(board, cast, provider, carrier, cancelled).run(lambda: time.sleep(0.2))
    say(str(dict(Counter(tale.stage for tale in board.tales))))
    counted = proxy.calls - start
    return board, sum(
        number
        for name, number in counted.items()
        if (short := name.partition("-")[2].partition("-")[2]) not in POLLED and not short.endswith("-sweep")
    )


def _ends(board: Board) -> list[str]:
    """Return the orders that have not come to their end; an accepted one whose buyer gave up is accepted for him."""
    still = []
    for tale in board.tales:
        if tale.placed is None:
            continue
        status = tale.placed.status
        if status == "delivered":
            with suppress(Refused):
                tale.placed.accept()
        if status not in (COMPLETED, CANCELLED, "expired"):
            still.append(f"{tale.placed.number} {status}")
    return still


def _dead(cast: Cast) -> Mapping[str, int]:
    return {one["name"]: one["messages"] for one in cast.ops.ask("GET", "/ops/queues")["queues"]}


def _redrive(deployment: Deployment, cast: Cast, proxy: Proxy, began: float, report: Report) -> None:
    """Explain what is in dead-letter queues by the faults that its function met, and give it back."""
    functions = _workers(deployment)
    for name, number in _dead(cast).items():
        if not number:
            continue
        queue = name.removesuffix("-dlq")
        function = functions.get(queue, queue)
        met = Counter(one.fault for one in proxy.struck if one.function.endswith(f"-{function}") and one.at >= began)
        for body in _peek(deployment, name, number):
            told = f"{name}: {body}: {function} met {dict(met) or 'no fault'}"
            report.letters.append(told)
            if not met:
                report.unexplained.append(told)
        with suppress(Refused):
            cast.ops.ask("POST", f"/ops/queues/{name}/redrive", key=f"chaos-{name}")


def _workers(deployment: Deployment) -> dict[str, str]:
    """Return queue -> the function that works it off, both without their prefix."""
    prefix = f"commerce-{deployment.stage}-"
    found = {}
    for page in deployment.client("lambda").get_paginator("list_event_source_mappings").paginate():
        for one in page["EventSourceMappings"]:
            queue = one["EventSourceArn"].rpartition(":")[2].removeprefix(prefix)
            found[queue] = one["FunctionArn"].rpartition("function:")[2].partition(":")[0].removeprefix(prefix)
    return found


def _peek(deployment: Deployment, name: str, number: int) -> list[str]:
    """Return what the messages of a dead-letter queue are about, and leave them there."""
    client = deployment.client("sqs")
    url = client.get_queue_url(QueueName=f"commerce-{deployment.stage}-{name}")["QueueUrl"]
    seen: dict[str, str] = {}
    for _ in range(number + 2):
        got = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        for message in got:
            body: Any = json.loads(message["Body"])
            detail = body.get("detail", {}) if isinstance(body, dict) else {}
            about = detail.get("order_id") or detail.get("waybill") or ""
            seen[message["MessageId"]] = f"{body.get('detail-type', 'a batch')} {about}".strip()
    return list(seen.values())
