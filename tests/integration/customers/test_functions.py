"""The customers function as Lambda calls it, on a simulated AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from commerce import aws as clients
from commerce.vault import KmsVault
from customers import api
from tests.integration.calls import call
from tests.integration.conftest import make_table

pytestmark = pytest.mark.integration

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "locale": "en-GB", "time_zone": "Europe/London"}


@pytest.fixture
def deployed(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    client = make_table("customers")
    make_table("vault")
    monkeypatch.setenv("CUSTOMERS_TABLE", "customers")
    monkeypatch.setenv("VAULT_TABLE", "vault")
    monkeypatch.setenv("DATA_KEY_ARN", boto3.client("kms").create_key()["KeyMetadata"]["Arn"])
    forget()
    yield client
    forget()


def forget() -> None:
    for kept in (clients._client, api._customers, api._vault):
        kept.cache_clear()


def put(sub: str = "cus-1", **changes: Any) -> tuple[int, dict[str, Any]]:
    return call(api.handler, "PUT /me", {**ADA, **changes}, sub=sub)


def show(sub: str = "cus-1") -> tuple[int, dict[str, Any]]:
    return call(api.handler, "GET /me", sub=sub)


def test_a_profile_is_put_shown_and_changed(deployed: Any) -> None:
    assert show()[0] == 404
    status, first = put()
    assert status == 200
    assert show() == (200, first)
    assert first["phone"] is None
    status, second = put(locale="zh-CN", phone="+8613800138000")
    assert status == 200
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] >= first["updated_at"]
    assert show() == (200, second)
    assert put()[1]["phone"] is None, "what is left out is gone"


def test_everybody_has_his_own(deployed: Any) -> None:
    put("cus-1")
    put("cus-2", name="Grace")
    assert show("cus-1")[1]["name"] == "Ada Lovelace"
    assert show("cus-2")[1]["name"] == "Grace"
    assert call(api.handler, "GET /me")[0] == 401
    assert call(api.handler, "GET /me", sub="cus-1", groups="merchant")[0] == 403


def test_nothing_personal_is_readable_in_a_table(deployed: Any) -> None:
    put(phone="+442079460958")
    for table in ("customers", "vault"):
        stored = str(deployed.scan(TableName=table)["Items"])
        for personal in ("Ada", "Lovelace", "ada@example.com", "442079460958"):
            assert personal not in stored


def test_the_card_is_what_a_notification_needs(deployed: Any) -> None:
    put()
    card = api._vault().contact("cus-1")
    assert card == {**ADA}


def test_without_the_key_there_is_no_profile(deployed: Any) -> None:
    put()
    deployed.delete_item(TableName="vault", Key={"pk": {"S": "cus-1"}, "sk": {"S": "KEY"}})
    forget()
    assert show()[0] == 404


def test_a_half_done_put_is_completed_by_the_same_call(deployed: Any) -> None:
    put()
    deployed.delete_item(TableName="customers", Key={"pk": {"S": "CUSTOMER#cus-1"}, "sk": {"S": "PROFILE"}})
    assert show()[0] == 404
    assert put()[0] == 200
    assert show()[0] == 200


def test_a_refusal_names_the_field_and_stores_nothing(deployed: Any) -> None:
    status, problem = put(email="ada@example.com\nBcc: bob@example.com", time_zone="Mars/Olympus")
    assert status == 422
    assert {one["field"] for one in problem["errors"]} == {"email", "time_zone"}
    assert deployed.scan(TableName="vault")["Count"] == 0


def test_the_vault_gives_the_card_to_another_function(deployed: Any) -> None:
    put()
    kms = boto3.client("kms")
    key = kms.list_keys()["Keys"][0]["KeyArn"]
    card = KmsVault(boto3.client("dynamodb"), kms, "vault", key).contact("cus-1")
    assert card is not None
    assert card["email"] == "ada@example.com"
