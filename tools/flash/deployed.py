"""The sale on a deployed local cloud: buyers place through the API at once, everything else takes its course."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from tools.client import (
    Api,
    Carrier,
    CarrierScan,
    Deployment,
    Operator,
    PlacedOrder,
    Provider,
    Refused,
    new_key,
    place,
    until,
)
from tools.flash import goods
from tools.flash.ledger import Image, Ledger
from tools.flash.verdict import TERMINAL, WAREHOUSE, Sale
from tools.run.journal import Journal
from tools.run.play import pack_and_dispatch

AT_ONCE = 16
"""Buyers who are at the API at the same moment."""

UNPAID = 5
"""Every so-manieth of those who first get a unit does not pay for it."""

PASSWORD = "Flash-Sale-2026-Sign-in"  # noqa: S105 - of users in an emulator on this machine


class Stream:
    """What is written to a table from now on, by its stream."""

    def __init__(self, deployment: Deployment, table: str) -> None:
        self._client = deployment.client("dynamodbstreams")
        arn = self._client.list_streams(TableName=table)["Streams"][0]["StreamArn"]
        shards = self._client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        self._iterators = [
            self._client.get_shard_iterator(StreamArn=arn, ShardId=one["ShardId"], ShardIteratorType="LATEST")[
                "ShardIterator"
            ]
            for one in shards
        ]

    def read(self) -> Iterator[tuple[str, str, Image]]:
        """Yield keys and image of each item written since the last time; what was taken away has none."""
        for at, iterator in enumerate(self._iterators):
            while True:
                answer = self._client.get_records(ShardIterator=iterator)
                iterator = self._iterators[at] = answer["NextShardIterator"]
                for record in answer["Records"]:
                    keys, image = record["dynamodb"]["Keys"], record["dynamodb"].get("NewImage")
                    if image is not None:
                        yield keys["pk"]["S"], keys["sk"]["S"], image
                if not answer["Records"]:
                    break


@dataclass
class Crowd:
    """The buyers, who each want one unit, and what they and the warehouse do next.

    Attributes
    ----------
    orders
        Order -> as its buyer has it.
    statuses
        Order -> status, as far as its table's stream was read.
    served
        Orders that ever held a unit.
    """

    api: Api
    warehouse: Api
    provider: Provider
    carrier: Carrier
    sku: str
    units: int
    orders: dict[str, PlacedOrder] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    placed_at: dict[str, str] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def buy(self, _: int) -> None:
        """Place an order for one unit."""
        order = place(self.api, goods.order(self.sku, f"{uuid.uuid4().hex[:12]}@example.com"))
        with self._guard:
            self.orders[order.id] = order

    def follow(self, pk: str, sk: str, image: Image) -> Callable[[], None] | None:
        """Take note of what became of an order; return what its buyer does about it."""
        name = pk.removeprefix("ORDER#")
        if sk != "HEAD" or name not in self.orders:
            return None
        order, status = self.orders[name], image["status"]["S"]
        before, self.statuses[name] = self.statuses.get(name), status
        self.placed_at[name] = image["placed_at"]["S"]
        if status == before:
            return None
        if status == "awaiting_payment":
            self.served.add(name)
            if len(self.served) > self.units or len(self.served) % UNPAID:
                return lambda: _in_time(lambda: self.provider.authorise(order.pay()))
        return (lambda: _in_time(order.accept)) if status == "delivered" else None

    def give_up(self) -> list[Callable[[], None]]:
        """Return what those who wait do when all that came back is taken: they cancel."""
        if len(self.served) < self.units + self.units // UNPAID:
            return []
        waiting = {name for name, status in self.statuses.items() if status == "awaiting_stock"} - self._left
        self._left |= waiting
        return [partial(_in_time, self.orders[name].cancel) for name in waiting]

    def send(self) -> bool:
        """Pack what the warehouse is asked for and bring it; return whether there was anything."""
        slips = self.warehouse.ask("GET", "/slips", query={"warehouse": WAREHOUSE, "limit": "100"})["slips"]
        mine = [slip for slip in slips if slip["order"] in self.orders]
        for slip in mine:
            waybill = pack_and_dispatch(self.warehouse, slip)["waybill"]
            self.carrier.report([CarrierScan(waybill, "delivered", datetime.now(UTC))])
        return bool(mine)


def _in_time(call: Callable[[], object]) -> None:
    """Make a call that comes too late where the order has been closed meanwhile."""
    try:
        call()
    except Refused as refused:
        if refused.status != HTTPStatus.CONFLICT:
            raise


def sell(deployment: Deployment, journal: Journal, buyers: int, units: int, shards: int, within: float) -> Sale:
    """Play a sale to its end.

    Parameters
    ----------
    within
        Seconds that it may take.
    """
    began, start = time.monotonic(), journal.end
    run = uuid.uuid4().hex[:8]
    operator, api = Operator(deployment), Api.of(deployment)
    staff = {group: _sign_in(operator, api, f"{group}.{run}@example.com", group) for group in ("merchant", "warehouse")}
    sku = f"FLASH-{run}"
    stock, orders = (Stream(deployment, deployment.outputs[f"{of}TableName"]) for of in ("Inventory", "Orders"))
    provider, carrier = Provider(api, operator.sandbox_secret()), Carrier(deployment)
    crowd = Crowd(api, staff["warehouse"], provider, carrier, sku, units)
    _open(staff, sku, units, shards, run)
    _await_offer(api, sku)
    ledger, missed = Ledger(sku), list[tuple[str, str, Image]]()
    actions: list[Future[None]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(4) as doers:
        placed = [pool.submit(crowd.buy, at) for at in range(buyers)]
        sent = None
        while time.monotonic() - began < within:
            if all(one.done() for one in placed):
                # Only now is every order known to its buyer; what was in the stream before is looked at with the rest.
                todo = [crowd.follow(*image) for image in (*missed, *orders.read())]
                missed.clear()
                actions += [doers.submit(action) for action in (*todo, *crowd.give_up()) if action]
            else:
                missed += orders.read()
            for key in stock.read():
                ledger.read(*key)
            ended = [status for status in crowd.statuses.values() if status in TERMINAL]
            if len(ended) == buyers:
                break
            if sent is None or sent.done():
                sent = doers.submit(crowd.send)
            time.sleep(0.5)
        failed = [str(done.exception()) for done in (*placed, *actions, sent) if done and done.exception()]
    return Sale(
        buyers=buyers,
        units=units,
        arrived=sorted(crowd.orders, key=lambda order: (crowd.placed_at.get(order, ""), order)),
        served=frozenset(crowd.served),
        statuses=crowd.statuses,
        most_held=ledger.most_held,
        told_too_early=ledger.told_too_early,
        attempts=_attempts(journal, start, deployment.outputs["InventoryTableName"], sku, set(crowd.orders)),
        findings=failed,
        seconds=time.monotonic() - began,
        more={"shards": shards, "replenishments_asked": len(ledger.asked), "wake_ups": ledger.wake_ups},
    )


def _attempts(journal: Journal, start: int, table: str, sku: str, orders: set[str]) -> dict[str, int]:
    """Return the writes that were tried at the keys of the sale: others on the same cloud dilute nothing."""
    tried: Counter[str] = Counter()
    for line in journal.lines(start, journal.end):
        for key in line.get("writes", {}).get(table, ()):
            name = key.split("#")[1]
            if name == sku or name in orders:
                tried[key] += 1
    return dict(tried)


def _sign_in(operator: Operator, api: Api, mail: str, group: str) -> Api:
    operator.add_user(mail, PASSWORD, [group])
    return api.signed_in(operator.sign_in(mail, PASSWORD))


def _open(staff: dict[str, Api], sku: str, units: int, shards: int, run: str) -> None:
    merchant, warehouse = staff["merchant"], staff["warehouse"]
    merchant.ask("PUT", "/catalog/products", goods.product(sku, f"mer_{run}"))
    merchant.ask("PUT", f"/catalog/price-lists/flash-{run}", goods.price_list(sku, datetime.now(UTC)))
    receipt = {"warehouse_id": WAREHOUSE, "lines": [{"sku": sku, "quantity": units}]}
    warehouse.ask("POST", "/stock/receipts", receipt, key=new_key())
    spread = {"warehouse_id": WAREHOUSE, "shards": shards}
    warehouse.ask("POST", f"/stock/{sku}/shards", spread, key=new_key())


def _await_offer(api: Api, sku: str) -> None:
    """Wait until the SKU may be ordered: then an order at an impossible price is refused for its price alone."""
    body = goods.order(sku, "nobody@example.com", unit_price=999_999_999)

    def codes() -> list[str]:
        answer = api.send("POST", "/guest/orders", body, key=new_key())
        return [error["code"] for error in (answer.body or {}).get("errors", ())]

    until(codes, lambda found: found == ["not-the-price"], f"the offer of {sku}")
