"""The recovery drill: fill, back up, go on, damage, restore into new tables, switch over, reconcile, finish everything.

It is done with the commands of ``docs/operations/recovery.md``, in their order, and prints how long each took.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.settings import STAGES
from tests.e2e.support import DE, GB, Goods, Platform, Shop, until
from tools.audit.deployed import findings
from tools.client import Deployment, PlacedOrder, new_key
from tools.localcloud.archives import make_archives
from tools.localcloud.deploy import deploy
from tools.localcloud.server import LocalCloud
from tools.reconcile.__main__ import run, show
from tools.restore.tables import Account, back_up, publish_stream, restore

pytestmark = pytest.mark.e2e

STAGE = STAGES["drill"]
EARLY, MIDDLE, LATE = ("inventory",), ("orders",), ("payments", "shipping", "notifications")
"""Tables in the order in which they are backed up, while orders go on."""

ON_ITS_WAY = timedelta(seconds=5)
SKEW = timedelta(minutes=10)


@dataclass
class Clock:
    """How long each step took."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.steps.append((name, time.monotonic() - began))
        print(f"drill: {name}: {self.steps[-1][1]:.1f} s")


@dataclass
class Story:
    """The orders of the drill by what they are for."""

    orders: dict[str, PlacedOrder] = field(default_factory=dict)
    parcels: dict[str, list[Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> PlacedOrder:
        return self.orders[name]


def test_everything_comes_back(cloud: LocalCloud) -> None:
    clock = Clock()
    deployment = Deployment.on(cloud)
    make_archives(deployment.client("events"), STAGE.name, STAGE.archive_days)
    account = Account(deployment.client("dynamodb"), deployment.client("ssm"))
    shop = Shop(Platform(deployment))
    story = Story()

    with clock.step("fill"):
        short, lost = fill(shop, story)
        at_rest(deployment)
    with clock.step("back up, and go on meanwhile"):
        since = datetime.now(UTC)
        backups = back_up(account, {name: deployment.tables[name] for name in EARLY}, "drill")
        story.orders["placed before orders"] = shop.place((lost, 1))
        shop.wait(story["placed before orders"], "awaiting_payment")
        backups |= back_up(account, {name: deployment.tables[name] for name in MIDDLE}, "drill")
        story.orders["newer, placed before payments"] = shop.place((lost, 1))
        shop.pay(story["newer, placed before payments"])
        shop.wait(story["newer, placed before payments"], "paid")
        shop.slips(story["newer, placed before payments"])
        shop.pay(story["paid between"])
        shop.wait(story["paid between"], "paid")
        backups |= back_up(account, {name: deployment.tables[name] for name in LATE}, "drill")
    with clock.step("go on"):
        receipt = go_on(shop, story, short, lost)
        at_rest(deployment)
    ended = {name: order.status for name, order in story.orders.items()}
    sent = mails(deployment)

    with clock.step("damage"):
        damage(account, deployment)
        assert findings(deployment, ON_ITS_WAY)
    with clock.step("restore"):
        restored = {name: deployment.tables[name] for name in backups}
        restore(account, STAGE, restored, "r1", backups)
    with clock.step("switch over"):
        deploy(cloud, STAGE.name, dict.fromkeys(backups, "r1"))
        deployment = Deployment.on(cloud)
        assert deployment.tables["orders"] == "commerce-drill-orders-r1"
        assert deployment.tables["vault"] == "commerce-drill-vault"
    with clock.step("what came in is booked again"):
        shop.warehouse.ask("POST", "/stock/receipts", receipt["body"], key=receipt["key"])
    with clock.step("dry run"):
        dry = run(STAGE.name, since - SKEW, dry=True)
        assert dry.did > 0
        assert dry.trouble == []
    with clock.step("reconcile"):
        report = run(STAGE.name, since - SKEW, dry=False)
        show(report, dry=False)
    assert report.trouble == []
    with clock.step("audit clean"):
        at_rest(deployment)

    known = {name: order for name, order in story.orders.items() if not name.startswith("newer")}
    newer = {order.id for name, order in story.orders.items() if name.startswith("newer")}
    assert {one.order_id for one in report.newer} == newer, "every order that is not there any more is listed"
    paid = [one for one in report.newer if one.paid]
    assert len(paid) == 2
    assert {one.outcome for one in paid} == {"its money went back"}
    assert {name: order.status for name, order in known.items()} == {name: ended[name] for name in known}
    again = run(STAGE.name, since - SKEW, dry=False)
    assert (again.steps, again.trouble) == ({name: [] for name in again.steps}, [])

    with clock.step("every order to its end"):
        finish(shop, known, story)
        at_rest(deployment)
    told = mails(deployment)
    assert sent <= told
    assert [(mail, number) for mail, number in told.items() if number > 1] == [], "nobody is told anything twice"
    if os.environ.get("DRILL_BACK"):
        with clock.step("the way back"):
            go_back(cloud, account, list(backups))
    total = sum(seconds for name, seconds in clock.steps if name in RECOVERY)
    print(f"drill: recovered in {total:.1f} s")


RECOVERY = ("restore", "switch over", "what came in is booked again", "reconcile", "audit clean")


def go_back(cloud: LocalCloud, account: Account, contexts: list[str]) -> None:
    """Use the old tables again, damaged as they are: every name and every relay follows in one deployment."""
    for context in contexts:
        publish_stream(account, STAGE, context, f"commerce-drill-{context}")
    deploy(cloud, STAGE.name, dict.fromkeys(contexts, ""))
    deployment = Deployment.on(cloud)
    assert deployment.tables == {context: f"commerce-drill-{context}" for context in deployment.tables}
    mappings = deployment.client("lambda").get_paginator("list_event_source_mappings").paginate()
    streams = {one["EventSourceArn"] for page in mappings for one in page["EventSourceMappings"]}
    for context in ("orders", "inventory", "payments", "shipping"):
        table = account.dynamodb.describe_table(TableName=deployment.tables[context])["Table"]
        assert table["LatestStreamArn"] in streams


def fill(shop: Shop, story: Story) -> tuple[Goods, Goods]:
    """Place orders and lead each to another status; return goods that are short, and goods to spare."""
    short, lost = shop.goods({GB: 1}, {GB: 50})
    for name, status in (
        ("to be paid", "awaiting_payment"),
        ("to be cancelled", "awaiting_payment"),
        ("paid between", "awaiting_payment"),
        ("paid after", "awaiting_payment"),
        ("paid", "paid"),
        ("packed", "packed"),
        ("sent after", "paid"),
        ("cancelled after", "paid"),
        ("dispatched", "dispatched"),
        ("delivered after", "dispatched"),
        ("delivered", "delivered"),
        ("completed", "completed"),
        ("cancelled", "cancelled"),
    ):
        story.orders[name] = place(shop, status, story, name)
    story.orders["waits"] = shop.place((short, 3))
    story.orders["stock after"] = shop.place((short, 2))
    home, abroad = shop.goods({GB: 4}, {DE: 4})
    several = story.orders["several parcels"] = shop.place((home, 2), (abroad, 3))
    shop.pay(several)
    story.parcels["several parcels"] = [shop.pack(one) for one in shop.slips(several, 2)]
    assert shop.dispatch(story.parcels["several parcels"][0]).status == 200
    guest = story.orders["guest"] = shop.guest((home, 1))
    shop.pay(guest)
    shop.slips(guest)
    for name in ("waits", "stock after"):
        shop.wait(story[name], "awaiting_stock")
    return short, lost


def place(shop: Shop, status: str, story: Story | None = None, name: str = "") -> PlacedOrder:
    """Place an order and lead it as far as ``status``."""
    (goods,) = shop.goods({GB: 5})
    order = shop.place((goods, 1))
    shop.wait(order, "awaiting_payment")
    if status == "awaiting_payment":
        return order
    shop.pay(order)
    slips = shop.slips(order)
    if status == "cancelled":
        order.cancel()
        shop.wait(order, "cancelled")
    if status in ("paid", "cancelled"):
        return order
    packed = [shop.pack(slip) for slip in slips]
    if story is not None:
        story.parcels[name] = packed
    if status == "packed":
        return order
    assert shop.dispatch(packed[0]).status == 200
    shop.wait(order, "dispatched")
    if status in ("delivered", "completed"):
        shop.deliver(*packed)
        shop.wait(order, "delivered")
    if status == "completed":
        order.accept()
        shop.wait(order, "completed")
    return order


def go_on(shop: Shop, story: Story, short: Goods, lost: Goods) -> dict[str, Any]:
    """Let known orders go on and place new ones, all of which the backups do not know; return a receipt."""
    shop.pay(story["paid after"])
    shop.slips(story["paid after"])
    story.parcels["sent after"] = shop.send(story["sent after"])
    story["cancelled after"].cancel()
    shop.deliver(*story.parcels["delivered after"])
    body = {"warehouse_id": GB, "lines": [{"sku": short.sku, "quantity": 4}]}
    receipt = {"body": body, "key": new_key()}
    shop.warehouse.ask("POST", "/stock/receipts", body, key=receipt["key"])
    for name in ("waits", "stock after"):
        shop.wait(story[name], "awaiting_payment")
    shop.pay(story["stock after"])
    shop.slips(story["stock after"])
    shop.wait(story["cancelled after"], "cancelled")
    shop.wait(story["delivered after"], "delivered")
    story["delivered after"].accept()
    shop.wait(story["delivered after"], "completed")
    story.orders["newer, only placed"] = shop.place((lost, 2))
    story.orders["newer, paid"] = shop.place((lost, 1))
    shop.pay(story["newer, paid"])
    shop.slips(story["newer, paid"])
    return receipt


def damage(account: Account, deployment: Deployment) -> None:
    """Delete a third of what several tables hold, and scramble the statuses of the orders that are left."""
    chance = random.Random(20261125)
    for context in ("orders", "inventory", "payments", "shipping"):
        table = deployment.tables[context]
        for page in account.dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                key = {"pk": item["pk"], "sk": item["sk"]}
                if chance.random() < 1 / 3:
                    account.dynamodb.delete_item(TableName=table, Key=key)
                elif "timeline" in item:
                    account.dynamodb.update_item(
                        TableName=table,
                        Key=key,
                        UpdateExpression="SET #status = :status",
                        ExpressionAttributeNames={"#status": "status"},
                        ExpressionAttributeValues={":status": {"S": chance.choice(["completed", "cancelled"])}},
                    )


def finish(shop: Shop, known: dict[str, PlacedOrder], story: Story) -> None:
    """Bring every order to its end through the API."""
    for name, order in known.items():
        if order.status == "awaiting_payment":
            if name == "to be cancelled":
                order.cancel()
                continue
            shop.pay(order)
        if order.status in ("paid", "awaiting_payment"):
            for slip in shop.slips(order, 2 if name == "several parcels" else 1):
                slip = shop.slip(slip)
                packed = slip if slip["state"] != "released" else shop.pack(slip)
                story.parcels.setdefault(name, []).append(packed)
                if packed["state"] != "dispatched":
                    assert shop.dispatch(packed).status == 200
    for name, order in known.items():
        if name == "to be cancelled":
            shop.wait(order, "cancelled")
            continue
        if order.status in ("paid", "dispatched", "awaiting_payment"):
            shop.wait(order, "dispatched")
            slips = {slip["id"]: slip for slip in story.parcels[name]}
            shop.deliver(*slips.values())
            shop.wait(order, "delivered")
        if order.status == "delivered":
            order.accept()
        shop.wait(order, "completed", "cancelled")


def at_rest(deployment: Deployment) -> None:
    """Wait until the tables balance and no queue has a message."""
    queues = deployment.client("sqs")

    def unrest() -> list[str]:
        found = findings(deployment, ON_ITS_WAY)
        if found:
            return found
        for url in queues.list_queues(QueueNamePrefix=f"commerce-{STAGE.name}-").get("QueueUrls", []):
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            counted = queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if any(int(number) for number in counted.values()):
                found.append(f"{url.rpartition('/')[2]}: {counted}")
        return found

    assert until(unrest, lambda found: not found, "the tables to balance and the queues to empty", within=60) == []


def mails(deployment: Deployment) -> Counter[tuple[str, str, str]]:
    """Return every mail that was sent (to whom, subject, text) and how often."""
    with httpx.Client(base_url=deployment.aws["endpoint_url"], trust_env=False) as http:
        kept = http.get("/_ministack/ses/messages").raise_for_status().json()["messages"]
    return Counter((mail["To"][0], mail["Subject"], mail["BodyText"]) for every in kept.values() for mail in every)
