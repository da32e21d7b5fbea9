"""The notifications functions as Lambda calls them, on a simulated AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sesv2.models import sesv2_backends

from commerce import aws as clients
from commerce import events, telemetry
from commerce.dynamo import Table
from commerce.ids import show_order_number
from commerce.limits import LONGEST_PARAMETER
from commerce.vault import KmsVault, Tombstones
from notifications import api, workers
from tests.integration.calls import batch, call
from tests.integration.conftest import make_table
from tests.unit.notifications.examples import example

pytestmark = pytest.mark.integration

BUYER = example(events.OrderPlaced).buyer
NUMBER = show_order_number(example(events.OrderPlaced).order_id)
DONE: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def deployed(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    client = make_table("notifications")
    make_table("vault")
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    boto3.client("sesv2").create_email_identity(EmailIdentity="shop@example.com")
    for name, value in {
        "NOTIFICATIONS_TABLE": "notifications",
        "VAULT_TABLE": "vault",
        "DATA_KEY_ARN": key,
        "MAIL_FROM": "shop@example.com",
        "PURCHASING_MAIL": "",
        "POWERTOOLS_SERVICE_NAME": "notifications",
    }.items():
        monkeypatch.setenv(name, value)
    forget()
    KmsVault(client, kms, "vault", key).put_contact(BUYER, {"name": "Ada", "email": "ada@example.com"}, replace=True)
    yield client
    forget()


def forget() -> None:
    for kept in (clients._client, telemetry.metrics, workers._desk, api._notices):
        kept.cache_clear()


def mails() -> list[Any]:
    return list(sesv2_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].core_backend.sent_messages)


def inbox(**query: str) -> dict[str, Any]:
    status, page = call(api.handler, "GET /me/notifications", sub=BUYER, query=query)
    assert status == 200
    return page


def test_changes_are_told_once_and_listed_newest_first(deployed: Any) -> None:
    placed = example(events.OrderPlaced, at="2026-11-23T06:00:00.000Z")
    paid = example(events.OrderPaid, at="2026-11-23T06:05:00.000Z", locale="zh-CN")
    assert workers.inbox(batch(paid, placed, placed, paid), None) == DONE
    assert len(mails()) == 2
    page = inbox()
    assert [(one["kind"], one["at"]) for one in page["notices"]] == [
        ("order-paid", paid.at),
        ("order-placed", placed.at),
    ]
    assert page["next"] is None
    assert page["notices"][0]["title"] == f"订单 {NUMBER} 已收到付款"
    assert page["notices"][1]["facts"] == {"total": 13912, "currency": "GBP", "lines": 1}
    assert page["notices"][1]["order_number"] == NUMBER


def test_the_inbox_is_paged_and_no_cursor_leads_elsewhere(deployed: Any) -> None:
    workers.inbox(batch(*(example(events.PaymentDeclined, at=f"2026-11-23T06:0{n}:00.000Z") for n in range(5))), None)
    seen: list[str] = []
    page = inbox(limit="2")
    seen += [one["at"] for one in page["notices"]]
    while page["next"]:
        page = inbox(limit="2", cursor=page["next"])
        seen += [one["at"] for one in page["notices"]]
    assert seen == [f"2026-11-23T06:0{n}:00.000Z" for n in (4, 3, 2, 1, 0)]
    for cursor in ("bm8", "eyJpZCI6IiJ9", "eyJwayI6IkJVWUVSI3gifQ", "%"):
        assert call(api.handler, "GET /me/notifications", sub=BUYER, query={"cursor": cursor})[0] == 400
    assert call(api.handler, "GET /me/notifications", sub=BUYER, query={"limit": "0"})[0] == 422


def test_a_notice_is_read_by_its_reader_alone_and_the_first_time_counts(deployed: Any) -> None:
    workers.inbox(batch(example(events.OrderPaid)), None)
    path = {"id": inbox()["notices"][0]["id"]}
    assert inbox()["notices"][0]["read_at"] is None
    route = "POST /me/notifications/{id}/read"
    assert call(api.handler, route, sub="somebody-else", path=path)[0] == 404
    status, first = call(api.handler, route, sub=BUYER, path=path)
    assert status == 200
    assert first["read_at"]
    assert call(api.handler, route, sub=BUYER, path=path)[1] == first
    assert call(api.handler, route, sub=BUYER, path={"id": "no-such"})[0] == 404
    assert call(api.handler, route, sub=BUYER, path={"id": "a" * LONGEST_PARAMETER})[0] == 404
    assert call(api.handler, route, sub=BUYER, path={"id": "a" * (LONGEST_PARAMETER + 1)})[0] == 400
    assert call(api.handler, "GET /me/notifications", sub="somebody-else")[1]["notices"] == []


def test_who_has_no_account_sees_nothing(deployed: Any) -> None:
    assert call(api.handler, "GET /me/notifications")[0] == 401
    assert call(api.handler, "GET /me/notifications", sub=BUYER, groups="merchant")[0] == 403


def test_a_refused_mail_is_noted_and_the_message_is_done(deployed: Any) -> None:
    boto3.client("sesv2").delete_email_identity(EmailIdentity="shop@example.com")
    paid = example(events.OrderPaid)
    assert workers.inbox(batch(paid), None) == DONE
    items = deployed.scan(TableName="notifications")["Items"]
    assert [item["mail_failed"]["S"] for item in items] == ["MessageRejected"]
    assert workers.inbox(batch(paid), None) == DONE
    assert mails() == []


def test_an_unknown_buyer_has_his_inbox_and_no_mail(deployed: Any) -> None:
    assert workers.inbox(batch(example(events.OrderPaid, buyer="unknown")), None) == DONE
    assert mails() == []
    assert deployed.scan(TableName="notifications")["Count"] == 1


def test_an_erased_buyer_loses_his_inbox_and_is_told_nothing_more(deployed: Any) -> None:
    assert workers.inbox(batch(example(events.OrderPlaced), example(events.OrderPlaced, buyer="other")), None) == DONE
    sent = len(mails())
    Tombstones(Table(deployed, "vault")).erase(BUYER, "2026-11-23T06:07:08.123Z")
    erased = example(events.CustomerErased, subject=BUYER)
    for _ in range(2):
        assert workers.inbox(batch(erased, example(events.OrderPaid)), None) == DONE
    assert [item["pk"]["S"] for item in deployed.scan(TableName="notifications")["Items"]] == ["BUYER#other"]
    assert len(mails()) == sent


def test_a_message_that_breaks_its_contract_fails_alone(deployed: Any) -> None:
    good, bad = batch(example(events.OrderPaid))["Records"][0], batch(example(events.OrderPlaced))["Records"][0]
    bad = {**bad, "messageId": "bad", "body": bad["body"].replace('"lines": 1', '"lines": 0')}
    answer = workers.inbox({"Records": [bad, good]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert [one["kind"] for one in inbox()["notices"]] == ["order-paid"]


def test_a_notice_costs_one_write_unit_and_no_personal_data(deployed: Any) -> None:
    for contract in workers.KINDS:
        workers.inbox(batch(example(contract)), None)
    items = deployed.scan(TableName="notifications")["Items"]
    assert len(items) == len(workers.KINDS)
    for item in items:
        text = str(item)
        assert len(text.encode()) < 1024, "an item up to 1 KB is one write unit"
        assert "Ada" not in text
        assert "ada@example.com" not in text
