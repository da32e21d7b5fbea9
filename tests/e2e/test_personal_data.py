"""What a person said of himself: exported whole, erased whole, and never where it does not belong.

Three sets of marks are planted, in every personal field there is (`tests.personal`): a customer's, a guest's, and a
guest's whose order a customer claimed. Then everything that the local cloud can show is searched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commerce.access import ROUTES
from infra.tables import TABLES
from tests.e2e.support import GB, PASSWORD, Shop, begun, order_body, says, until
from tests.personal import Marks, exported, stored
from tools.client import Api, PlacedOrder, new_key, place

pytestmark = pytest.mark.e2e

SWEPT = 150
"""Seconds: two sweeps, a minute apart at the most, on a busy machine."""


@dataclass
class Person:
    """Somebody who will be erased: his marks, his order, and how he calls."""

    marks: Marks
    order: PlacedOrder
    api: Api


@dataclass
class Scene:
    """What was played before the search."""

    me: Person
    guest: Person
    claimed: Person
    tap: str
    email: str


def play(shop: Shop) -> Scene:
    """Plant marks, lead three orders to their ends, and listen to both buses meanwhile."""
    platform = shop.platform
    tap = listen(shop)
    (goods,) = shop.goods({GB: 3})
    me, guest, claimed = Marks(), Marks(), Marks()
    profile = me.profile()
    platform.operator.add_user(profile["email"], PASSWORD, ["customer"])
    api = platform.api.signed_in(platform.operator.sign_in(profile["email"], PASSWORD))
    api.ask("PUT", "/me", profile)

    def order(marks: Marks, buyer: Api) -> PlacedOrder:
        body = order_body([(goods, 1)], contact=marks.contact(), address=marks.address())
        placed = place(buyer, body)
        shop.orders.append(placed)
        return placed

    mine, his, once_his = order(me, api), order(guest, platform.api), order(claimed, platform.api)
    for placed in (mine, his, once_his):
        shop.complete(placed)
    claim = f"/orders/{once_his.number}/claim"
    answer = api.send("POST", claim, headers={"Order-Token": once_his.token}, key=new_key())
    assert answer.status == 200, answer
    return Scene(
        Person(me, mine, api),
        Person(guest, his, platform.api.guest(his.token)),
        Person(claimed, once_his, api),
        tap,
        profile["email"],
    )


def listen(shop: Shop) -> str:
    """Have every event of both buses sent to a queue of the test's own; return its address."""
    deployment = shop.platform.deployment
    sqs, events = deployment.client("sqs"), deployment.client("events")
    name = f"tap-{shop.platform.run}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    principal = {"Service": "events.amazonaws.com"}
    sent = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [sent]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    for bus in ("Commerce", "Carriers"):
        on = {"EventBusName": deployment.outputs[f"{bus}BusName"]}
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [{"prefix": "c"}]}), **on)
        events.put_targets(Rule=name, Targets=[{"Id": "tap", "Arn": arn}], **on)
    return str(url)


def heard(shop: Shop, url: str) -> Iterator[str]:
    sqs = shop.platform.deployment.client("sqs")
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield message["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def waiting(shop: Shop) -> Iterator[str]:
    """Yield what is in the dead-letter queues; their messages are hidden for no time and stay."""
    sqs = shop.platform.deployment.client("sqs")
    for url in sqs.list_queues().get("QueueUrls", []):
        if url.endswith("-dlq"):
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            yield from (message["Body"] for message in found.get("Messages", ()))


def histories(shop: Shop) -> Iterator[str]:
    """Yield the whole history of every execution: inputs, outputs, states, errors; Express ones have logs alone."""
    states = shop.platform.deployment.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        if machine.get("type") == "EXPRESS":
            continue
        for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"]):
            for one in page["executions"]:
                arn = one["executionArn"]
                yield json.dumps(states.describe_execution(executionArn=arn), default=str)
                pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
                yield from (json.dumps(found["events"], default=str) for found in pages)


def logs(shop: Shop) -> Iterator[str]:
    """Yield all log groups, and what the cloud itself wrote to files: its own log and the journal of calls."""
    client = shop.platform.deployment.client("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for found in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield from (event["message"] for event in found["events"])
    for pattern in ("*.log", "*.jsonl"):
        for file in Path(os.environ["LOCALCLOUD_HOME"]).glob(pattern):
            yield file.read_text(errors="replace")


def tables(shop: Shop) -> tuple[str, str]:
    deployment = shop.platform.deployment
    names = [f"commerce-{deployment.stage}-{context}" for context in TABLES]
    vault = f"commerce-{deployment.stage}-vault"
    return stored(deployment.client("dynamodb"), deployment.client("kms"), names, vault)


def export(api: Api, start: str, token: str = "") -> str:
    def ask(path: str, headers: Any) -> tuple[int, Any]:
        plain, _, query = path.partition("?")
        own = {"Order-Token": token} if token else {}
        parameters = {"cursor": query.removeprefix("cursor=")} if query else None
        answer = api.send("GET", plain, headers={**own, **headers}, query=parameters)
        return answer.status, answer.body

    return exported(ask, start)


@begun(play)
def test_a_person_takes_his_data_along_and_is_forgotten(shop: Shop, prelude: Scene) -> None:
    scene, platform = prelude, shop.platform
    everybody = (scene.me, scene.guest, scene.claimed)
    assert all(one.marks.cover() for one in everybody)

    mine = export(scene.me.api, "/me/export")
    his = export(platform.api, f"/guest/orders/{scene.guest.order.number}/export", scene.guest.order.token)
    assert scene.me.marks.missing_from(mine) == []
    assert scene.claimed.marks.missing_from(mine) == []
    assert scene.guest.marks.missing_from(his) == []
    assert scene.guest.marks.found_in(mine) == []
    for said in ("captured", "delivered", "order-paid", "out_for_delivery"):
        assert said in mine, f"the export lacks {said}"

    # Nobody learns anything from what is stored, sent, run and logged, except with the keys.
    plain, opened = tables(shop)
    told = "\n".join(heard(shop, scene.tap))
    assert scene.me.order.id in told, "the tap heard nothing"
    for one in everybody:
        assert one.marks.missing_from(opened) == [], "the search would not find it"
        assert one.marks.found_in(plain) == []
        assert one.marks.found_in(told) == []
        for where in (histories, logs, waiting):
            assert one.marks.found_in("\n".join(where(shop))) == [], where.__name__

    asked = scene.me.api.ask("POST", "/me/erasure", key=new_key())
    assert asked["state"] in ("asked", "due", "erased")
    path = f"/guest/orders/{scene.guest.order.number}/erasure"
    platform.api.ask("POST", path, headers={"Order-Token": scene.guest.order.token}, key=new_key())
    until(lambda: tables(shop)[1], lambda said: not _found(everybody, said), "the keys to be gone", within=SWEPT)

    pool = platform.deployment.outputs["UserPoolId"]
    users = platform.deployment.client("cognito-idp")

    def signs_in() -> bool:
        found = users.list_users(UserPoolId=pool, Filter=f'email = "{scene.email}"')["Users"]
        return bool(found)

    until(signs_in, lambda there: not there, "the sign-in to be gone")
    until(lambda: scene.me.api.ask("GET", "/me/notifications")["notices"], lambda left: not left, "the inbox to go")
    assert scene.me.api.ask("POST", "/me/erasure", key=new_key())["state"] == "erased"

    told = "\n".join(heard(shop, scene.tap))
    assert "CustomerErased" in told
    after = "\n".join((*tables(shop), told, *histories(shop), *logs(shop), *waiting(shop)))
    after += export(scene.me.api, "/me/export")
    assert _found(everybody, after) == []

    # What the law wants kept is kept; what is new is refused; and the functions, warm as they are, know nobody.
    for one in (scene.me, scene.claimed):
        kept = scene.me.api.ask("GET", f"/orders/{one.order.number}")
        assert (kept["contact"], kept["address"], kept["total"]) == ({}, {}, one.order.total)
    assert scene.me.api.send("GET", "/me").status == 404
    assert says(scene.me.api.send("PUT", "/me", scene.me.marks.profile())) == (409, "account-closed")
    body = order_body([], contact=scene.me.marks.contact(), address=scene.me.marks.address())
    body["lines"] = [{"sku": "NONE", "quantity": 1, "unit_price": 1}]
    assert says(scene.me.api.send("POST", "/orders", body, key=new_key())) == (409, "account-closed")
    assert _found(everybody, "\n".join(tables(shop))) == []


def _found(people: tuple[Person, ...], text: str) -> list[str]:
    return [field for one in people for field in one.marks.found_in(text)]


def test_an_erasure_waits_for_what_has_not_left(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    person = shop.platform.customer()
    order = shop.place((goods, 1), buyer=person)
    staff = shop.platform.staff["support"]
    path = f"/ops/orders/{order.number}/erasure"
    assert ROUTES["POST /ops/orders/{number}/erasure"].groups == {"support"}
    staff.ask("POST", path, key=new_key())
    shop.pay(order)
    (slip,) = shop.send(order)
    shop.deliver(slip)
    shop.wait(order, "delivered")
    until(
        lambda: staff.ask("POST", path, key=new_key())["state"],
        lambda now: now == "erased",
        "the erasure",
        within=SWEPT,
    )
    order.accept()
    shop.wait(order, "completed")
    assert order.show()["address"] == {}
    assert shop.await_money(order, "captured")["captured"] == order.total
