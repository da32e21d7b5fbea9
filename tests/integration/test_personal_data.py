"""What a person said of himself is exported whole and erased whole: every context's functions on one simulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import boto3
import pytest

from commerce import aws as clients
from commerce import events, telemetry
from commerce.access import ROUTES
from commerce.clock import SystemClock
from commerce.dynamo import load
from commerce.events import CustomerErased, OffersPublished, OrderPlaced
from commerce.outbox import unpack
from customers import api as customers_api
from customers import workers as customers_workers
from notifications import api as notifications_api
from notifications import workers as notifications_workers
from orders import api, tasks, wiring, workers
from orders.model import OrderCancelled
from orders.service import erasing
from payments import api as payments_api
from payments import wiring as payments_wiring
from shipping import api as shipping_api
from tests.integration.calls import batch, request
from tests.integration.conftest import make_table
from tests.personal import Marks, exported, stored
from tests.unit.orders.fakes import body, offer

pytestmark = pytest.mark.integration

TABLES = ("orders", "customers", "notifications", "payments", "shipping", "vault")
FUNCTIONS: dict[str, Any] = {
    "orders-intake": api.intake,
    "orders-api": api.handler,
    "orders-erasure": api.erasure,
    "customers-api": customers_api.handler,
    "notifications-api": notifications_api.handler,
    "payments-api": payments_api.handler,
    "shipping-api": shipping_api.handler,
}
DONE: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def deployed(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_table("orders", customer=("customer_id", "number"), open=("open_pk", "due"))
    for table in TABLES[1:]:
        make_table(table)
    kms = boto3.client("kms")
    users = boto3.client("cognito-idp")
    boto3.client("sesv2").create_email_identity(EmailIdentity="shop@example.com")
    for name, value in {
        **{f"{table.upper()}_TABLE": table for table in TABLES},
        "DATA_KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"],
        "MAC_KEY_ARN": kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"],
        "USER_POOL_ID": users.create_user_pool(PoolName="users", UsernameAttributes=["email"])["UserPool"]["Id"],
        **dict.fromkeys(("OPEN_SECONDS", "SILENCE_SECONDS", "ACCEPTANCE_SECONDS"), "3600"),
        "PACE_ORDERS": "1000",
        "PACE_SECONDS": "3600",
        "LIFECYCLE_ARN": "lifecycle",
        "COMPLETION_ARN": "completion",
        "MAIL_FROM": "shop@example.com",
        "PURCHASING_MAIL": "",
        "POWERTOOLS_SERVICE_NAME": "test",
    }.items():
        monkeypatch.setenv(name, value)
    forget()
    offers = OffersPublished(at="2026-11-23T12:00:00.000Z", offers=[offer()])
    assert workers.offers(batch(offers), None) == DONE
    yield
    forget()


def forget() -> None:
    """Drop what the functions keep warm."""
    kept = (clients._client, telemetry.metrics, wiring.orders, wiring.claims, wiring.vault, wiring.signer, wiring.runs)
    more = (wiring.tombstones, customers_api._customers, customers_api._vault, customers_workers._customers)
    rest = (notifications_workers._desk, notifications_api._notices, payments_wiring.desk, payments_api._buyers)
    for one in (*kept, *more, *rest, shipping_api._buyers, shipping_api._store):
        one.cache_clear()


def send(route: str, content: Any = None, **more: Any) -> tuple[int, Any]:
    answer = FUNCTIONS[ROUTES[route].function](request(route, content, **more), None)
    return answer["statusCode"], json.loads(answer.get("body") or "{}")


def asker(sub: str = "") -> Any:
    """Return somebody who calls paths as the gateway would route them."""

    def ask(path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        plain, _, query = path.partition("?")
        for route in ROUTES:
            method, template = route.split(" ")
            parts, wanted = plain.split("/"), template.split("/")
            same = len(parts) == len(wanted) and all(
                w.startswith("{") or p == w for p, w in zip(parts, wanted, strict=True)
            )
            if method == "GET" and same:
                path_values = {w.strip("{}"): p for p, w in zip(parts, wanted, strict=True) if w.startswith("{")}
                return send(route, sub=sub, path=path_values, query=dict(parse_qsl(query)), headers=headers)
        raise LookupError(path)

    return ask


def place(marks: Marks, sub: str = "", key: str = "key-1") -> dict[str, Any]:
    route = "POST /orders" if sub else "POST /guest/orders"
    content = body(contact=marks.contact(), address=marks.address())
    status, made = send(route, content, sub=sub, headers={"idempotency-key": key})
    assert status == 202, made
    return dict(made)


def told() -> list[Any]:
    """Return every event of the orders table's outboxes, as contracts."""
    found = []
    for raw in boto3.client("dynamodb").scan(TableName="orders")["Items"]:
        item = load(raw)
        packed = unpack(item.get("outbox", "[]"), item["sk"])
        found += [getattr(events, event["type"]).model_validate(event["detail"]) for event in packed]
    return found


def put_status(number: str, status: str) -> None:
    boto3.client("dynamodb").update_item(
        TableName="orders",
        Key={"pk": {"S": f"ORDER#{number.replace('-', '')}"}, "sk": {"S": "HEAD"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": status}},
    )


def erase_all() -> None:
    """Sweep until nothing moves, and let every context hear of it."""
    desk = erasing.Desk(wiring.orders(), wiring.tombstones(), wiring.vault(), SystemClock())
    while erasing.sweep(desk)["erased"]:
        pass
    heard = [event for event in told() if isinstance(event, CustomerErased)]
    for worker in (customers_workers.inbox, notifications_workers.inbox) if heard else ():
        assert worker(batch(*heard), None) == DONE


def everything() -> tuple[str, str]:
    return stored(boto3.client("dynamodb"), boto3.client("kms"), TABLES, "vault")


def test_all_that_a_person_said_is_exported_and_then_erased(deployed: None, capfd: pytest.CaptureFixture[str]) -> None:
    users, pool = boto3.client("cognito-idp"), wiring.settings.env("USER_POOL_ID")
    made = users.admin_create_user(UserPoolId=pool, Username="ada@example.com", MessageAction="SUPPRESS")
    sub = made["User"]["Username"]
    me, guest, claimed, other = Marks(), Marks(), Marks(), Marks()
    assert send("PUT /me", me.profile(), sub=sub)[0] == 200
    mine, his, before, others = place(me, sub), place(guest), place(claimed, key="key-2"), place(other, "other")
    path, token = {"number": before["number"]}, {"order-token": before["order_token"]}
    assert send("POST /orders/{number}/claim", sub=sub, path=path, headers=token)[0] == 200
    numbers = [mine["number"], his["number"], before["number"]]
    assert notifications_workers.inbox(batch(*[one for one in told() if isinstance(one, OrderPlaced)]), None) == DONE

    assert all(marks.cover() for marks in (me, guest, claimed))
    assert me.missing_from(exported(asker(sub), "/me/export")) == []
    assert claimed.missing_from(exported(asker(sub), "/me/export")) == []
    assert guest.found_in(exported(asker(sub), "/me/export")) == []
    his_token = {"Order-Token": his["order_token"]}
    start = f"/guest/orders/{his['number']}/export"
    assert guest.missing_from(exported(lambda to, _: asker()(to, his_token), start)) == []

    # Nobody who reads the tables, the events or the logs learns anything; whoever has the keys learns everything.
    plain, opened = everything()
    logged = "".join(capfd.readouterr()) + "".join(one.model_dump_json() for one in told())
    for marks in (me, guest, claimed, other):
        assert marks.found_in(plain) == []
        assert marks.found_in(logged) == []
        assert marks.missing_from(opened) == []

    assert send("POST /me/erasure", sub=sub)[0] == 202
    assert send("POST /guest/orders/{number}/erasure", path={"number": his["number"]}, headers=his_token)[0] == 202
    erase_all()
    assert me.missing_from(everything()[1]) == [], "erased although an order needs it"
    assert send("POST /me/erasure", sub=sub)[1]["waits_for"] in numbers

    for number in numbers:
        put_status(number, "dispatched")
    erase_all()
    assert send("POST /me/erasure", sub=sub)[1]["state"] == "erased"
    plain, opened = everything()
    for marks in (me, guest, claimed):
        assert marks.found_in(opened) == []
    assert other.missing_from(opened) == [], "somebody else was erased too"
    assert "BUYER#" + sub not in plain
    assert users.list_users(UserPoolId=pool)["Users"] == []

    # The functions are warm still, and have had the keys.
    assert me.found_in(exported(asker(sub), "/me/export")) == []
    shown = send("GET /orders/{number}", sub=sub, path={"number": mine["number"]})[1]
    assert (shown["contact"], shown["address"], shown["total"]) == ({}, {}, mine["total"])
    late = [one for one in told() if isinstance(one, OrderPlaced)]
    assert notifications_workers.inbox(batch(*late), None) == DONE
    assert send("GET /me", sub=sub)[0] == 404
    assert send("PUT /me", me.profile(), sub=sub)[1]["type"] == "/problems/account-closed"
    again = send("POST /orders", body(contact=me.contact()), sub=sub, headers={"idempotency-key": "new"})
    assert again[1]["type"] == "/problems/account-closed"
    his_again = body(contact=guest.contact(), address=guest.address())
    twice = send("POST /guest/orders", his_again, headers={"idempotency-key": "key-1"})
    assert twice[1]["type"] == "/problems/account-closed"
    for marks in (me, guest, claimed):
        assert marks.found_in(everything()[1]) == []
    assert send("GET /orders/{number}", sub="other", path={"number": others["number"]})[1]["contact"] != {}


def test_a_claim_is_written_only_while_its_new_owner_stays(deployed: None) -> None:
    made = place(Marks())
    path, token = {"number": made["number"]}, {"order-token": made["order_token"]}
    wiring.tombstones().close("cus-9", "2026-11-23T12:00:00.000Z")
    status, problem = send("POST /orders/{number}/claim", sub="cus-9", path=path, headers=token)
    assert (status, problem["type"]) == (409, "/problems/account-closed")
    for _ in range(2):
        assert send("POST /orders/{number}/claim", sub="cus-1", path=path, headers=token)[0] == 200
    assert [one.order_id for one in wiring.orders().owned_by("cus-1")] == [made["number"].replace("-", "")]


def test_an_order_that_raced_with_its_buyers_erasure_is_cancelled(deployed: None) -> None:
    number = place(Marks(), "cus-1")["number"].replace("-", "")
    wiring.tombstones().erase("cus-1", "2026-11-23T12:00:00.000Z")
    with pytest.raises(OrderCancelled):
        tasks.screen({"order_id": number, "started_at": "2026-11-23T12:00:00Z"}, None)
    assert wiring.orders().get(number).status == "cancelling"


def test_staff_erase_whom_an_order_belongs_to_and_nobody_else_may(deployed: None) -> None:
    made = place(Marks(), "cus-1")
    for route, path in (
        ("POST /ops/orders/{number}/erasure", {"number": made["number"]}),
        ("POST /ops/customers/{id}/erasure", {"id": "cus-1"}),
    ):
        assert send(route, sub="s", groups="support", path=path)[1]["state"] == "asked"
        for group in ("ops", "customer", "finance", "warehouse", "merchant"):
            assert send(route, sub="s", groups=group, path=path)[0] == 403
    for wrong in ("a b", "guest_0123"):
        assert send("POST /ops/customers/{id}/erasure", sub="s", groups="support", path={"id": wrong})[0] == 422
    assert send("POST /ops/orders/{number}/erasure", sub="s", groups="support", path={"number": "nonsense"})[0] == 400
    other = place(Marks(), key="key-3")
    path, token = {"number": made["number"]}, {"order-token": other["order_token"]}
    assert send("POST /guest/orders/{number}/erasure", path=path, headers=token)[0] == 404
    assert send("POST /guest/orders/{number}/erasure", path=path)[0] == 401


def test_an_erasure_wins_over_a_profile_that_is_being_put(deployed: None) -> None:
    erased = CustomerErased(at="2026-11-23T12:00:00.000Z", subject="cus-1", who="customer")
    assert customers_workers.inbox(batch(erased), None) == DONE
    assert send("PUT /me", Marks().profile(), sub="cus-1")[1]["type"] == "/problems/account-closed"


def test_what_a_restore_brought_back_goes_again(deployed: None) -> None:
    marks = Marks()
    made = place(marks, "cus-1")
    put_status(made["number"], "completed")
    client = boto3.client("dynamodb")
    kept = client.scan(TableName="vault")["Items"]
    send("POST /me/erasure", sub="cus-1")
    erase_all()
    for item in kept:
        client.put_item(TableName="vault", Item=item)
    assert marks.missing_from(everything()[1]) == []
    desk = erasing.Desk(wiring.orders(), wiring.tombstones(), wiring.vault(), SystemClock())
    for tombstone in list(wiring.orders().tombstones()):
        for _ in range(2):
            erasing.reapply(tombstone.subject, tombstone.erased_at, desk, tombstone.order_id)
    assert marks.found_in(everything()[1]) == []
