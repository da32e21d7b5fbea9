"""The sale on the simulation: real handlers and state machines, virtual time, the settings of the stage ``prod``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from commerce.clock import rfc3339
from commerce.dynamo import load as plain
from infra.settings import STAGES
from tools.audit import audit
from tools.flash import goods
from tools.flash.ledger import Ledger
from tools.flash.verdict import SHARDS, SKU, TERMINAL, WAREHOUSE, Sale
from tools.sim import wiring
from tools.sim.actors import Placed, Play
from tools.sim.world import World

ONSLAUGHT = 10.0
"""Seconds within which all buyers place."""

UNPAID = 0.2
"""Share of those who first get a unit and never pay for it."""


def sell(buyers: int, units: int, seed: int = 1, shards: int = SHARDS) -> Sale:
    """Play a sale to its end."""
    began = time.monotonic()
    stage = replace(STAGES["prod"], name="test")
    world = World(wiring.load(stage), seed)
    with world.entered():
        crowd = Crowd(world, buyers=buyers, units=units, shards=shards)
        crowd.prepare()
        before = Counter(world.cloud.attempts)
        world.arm()
        crowd.begin(buyers)
        # Until what was not paid for has come back and is paid for by the next in line, then those who wait give up.
        world.run(stage.windows.payment + 600)
        crowd.give_up()
        for _ in range(60):
            world.run(60)
            if all(status in TERMINAL for status in crowd.statuses.values()) and all(
                one.status != "RUNNING" for one in world.executions.values()
            ):
                break
        crowd.over = True
        world.run(120)
        crowd.watch_once()
        tables = {name: [plain(item) for item in world.cloud.items(name)] for name in world.cloud.rows}
        findings = [*crowd.complaints, *map(str, audit(tables, world.now, timedelta(0)))]
        findings += [f"{queue} has {len(dead)} messages" for queue, dead in world.dead.items() if dead]
        findings += [
            f"{machine} {name} is {one.status}"
            for (machine, name), one in world.executions.items()
            if one.status != "SUCCEEDED"
        ]
        findings += [f"unknown error {error}" for error in world.errors]
    heads = {item["pk"].removeprefix("ORDER#"): item for item in tables["orders"] if item["sk"] == "HEAD"}
    attempts = world.cloud.attempts - before
    ledger = Ledger(SKU)
    for record in world.cloud.rows["inventory"].stream:
        if record.image is not None:
            ledger.read(*record.key, record.image)
    return Sale(
        buyers=buyers,
        units=units,
        arrived=sorted(crowd.accepted, key=lambda order: (heads[order]["placed_at"], order)),
        served=frozenset(crowd.served),
        statuses={name: head["status"] for name, head in heads.items()},
        most_held=ledger.most_held,
        told_too_early=ledger.told_too_early,
        attempts={key: tried for (table, key), tried in attempts.items() if table == "inventory"},
        findings=findings[:50],
        seconds=time.monotonic() - began,
        more={
            "shards": shards,
            "seed": seed,
            "virtual_seconds": round(world.time),
            "replenishments_asked": len(ledger.asked),
            "wake_ups": ledger.wake_ups,
        },
    )


@dataclass
class Crowd(Play):
    """The buyers, of whom each wants one unit; and the warehouse, which has only these to send.

    Attributes
    ----------
    statuses
        Order -> status, as far as the watch has come.
    served
        Orders that ever held a unit.
    """

    buyers: int = 0
    units: int = 0
    shards: int = SHARDS
    statuses: dict[str, str] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    accepted: list[str] = field(default_factory=list)
    _orders: dict[str, Placed] = field(default_factory=dict)
    _seen: int = 0

    def prepare(self) -> None:
        """Open the shop with the one SKU, and spread it."""
        self.world.actor(self._opening)
        for _ in range(12):
            self.world.run(10)
            if self._open and any(item["pk"]["S"].startswith("OFFER#") for item in self.world.cloud.items("orders")):
                return
        self.complaints.append("the shop did not open")

    def begin(self, orders: int) -> None:
        """Let everybody act."""
        for at in range(orders):
            moment = self.world.chance("buyer", at).uniform(0, ONSLAUGHT)
            self.world.actor(lambda at=at: self._buy(at), moment)  # type: ignore[misc]
        self.world.actor(lambda: self._work(WAREHOUSE), 30)
        self.world.actor(self._watch, 1)

    def give_up(self) -> None:
        """Let all who still wait cancel."""
        waiting = sorted(order for order, status in self.statuses.items() if status == "awaiting_stock")
        for order in waiting:
            moment = self.world.chance("gives up", order).uniform(0, 60)
            self.world.actor(lambda order=order: self._cancel(self._orders[order]), moment)  # type: ignore[misc]

    def _opening(self) -> None:
        merchant = {"sub": "merchant-1", "cognito:groups": "[merchant]"}
        self._must("PUT /catalog/products", "catalog-api", None, goods.product(SKU, "mer_1"), claims=merchant)
        prices = goods.price_list(SKU, self.world.now)
        self._must("PUT /catalog/price-lists/{id}", "catalog-api", {"id": "list"}, prices, claims=merchant)
        self._receive(WAREHOUSE, {SKU: self.units}, "opening")
        self._must(
            "POST /stock/{sku}/shards",
            "inventory-api",
            {"sku": SKU},
            {"warehouse_id": WAREHOUSE, "shards": self.shards},
            headers={"Idempotency-Key": "shards"},
            claims={"sub": "staff", "cognito:groups": "[warehouse]"},
        )
        self._open = True

    def _buy(self, at: int) -> None:
        order = self._place(f"key-{at}", goods.order(SKU, f"guest{at}@example.com"), guest=True, customer="")
        if order is not None:
            self.accepted.append(order.id)
            self._orders[order.id] = order

    # what happens to the orders, by the stream of their table

    def _watch(self) -> None:
        while not self.over:
            self.watch_once()
            self.world.sleep(2.0)

    def watch_once(self) -> None:
        """Take note of what became of orders since the last time; who may pay does or
        does not, who has his parcel accepts.
        """
        stream = self.world.cloud.rows["orders"].stream
        for record in stream[self._seen :]:
            if record.image is None or record.key[1] != "HEAD":
                continue
            order, status = record.key[0].removeprefix("ORDER#"), record.image["status"]["S"]
            before, self.statuses[order] = self.statuses.get(order), status
            if status == before:
                continue
            if status == "awaiting_payment":
                first = len(self.served) < self.units
                self.served.add(order)
                dice = self.world.chance("payer", order)
                if not first or dice.random() >= UNPAID:
                    self.world.actor(lambda order=order: self._settle(order), dice.uniform(0, 60))  # type: ignore[misc]
            if status == "delivered":
                self.world.actor(lambda order=order: self._take(order), 1)  # type: ignore[misc]
        self._seen = len(stream)

    def _settle(self, name: str) -> None:
        order = self._orders[name]
        body = {"provider": "sandbox", "order_token": order.token}
        started = self._act(order, "POST /payments", "payments-api", body, key=f"{order.key}-pay")
        if started.status < 400 and (started.body or {}).get("next"):
            self._call_back(started.body, "authorised")

    def _take(self, name: str) -> None:
        order = self._orders[name]
        self._act(order, "POST /accept", "orders-api", key=f"{order.key}-accept")

    def _carry(self, waybill: str) -> None:
        self._report(waybill, [{"status": "delivered", "at": rfc3339(self.world.now), "place": "Door"}])
