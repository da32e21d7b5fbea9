"""The table wrapper, the vault and the order tokens on a simulated AWS."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from cryptography.exceptions import InvalidTag

from commerce.dynamo import BadPosition, Change, Check, ConditionFailed, Put, Table, TransactionFailed, Update
from commerce.tokens import BadToken, OrderClaims, TokenSigner
from commerce.vault import Forgotten, KmsVault
from tests.integration.conftest import make_table

ONE = ("A", "1")


@pytest.fixture
def table(aws: None) -> Table:
    return Table(make_table("things", by_group=("group", "sk")), "things")


def test_items_come_back_plain(table: Table) -> None:
    item = {"pk": "A", "sk": "1", "n": 7, "b": b"\x00\xff", "m": {"l": [1, "x", None, True]}, "none": None}
    table.put(item)
    assert table.get(ONE) == {"pk": "A", "sk": "1", "n": 7, "b": b"\x00\xff", "m": {"l": [1, "x", None, True]}}
    assert table.get(("A", "2")) is None


def test_a_change_sets_adds_appends_and_removes(table: Table) -> None:
    table.put({"pk": "A", "sk": "1", "m": {"in": {"x": 1}}, "gone": 1, "outbox": "[]"})
    change = Change(set={"m.in.x": 2, "name": "n"}, first={"new": 3}, add={"n": 5}, append={"l": [1]}, remove=["gone"])
    assert table.update(ONE, change) == {
        "pk": "A",
        "sk": "1",
        "m": {"in": {"x": 2}},
        "name": "n",
        "new": 3,
        "n": 5,
        "l": [1],
    }
    after = table.update(ONE, Change(first={"new": 4}, add={"n": -1}, append={"l": [2]}, outbox="[1]"))
    assert (after["new"], after["n"], after["l"], after["outbox"]) == (3, 4, [1, 2], "[1]")
    assert "outbox" not in table.update(ONE, Change(set={"z": 1}))


def test_a_failed_condition_shows_the_item(table: Table) -> None:
    with pytest.raises(ConditionFailed) as none:
        table.update(ONE, Change(set={"x": 1}, when=Attr("pk").exists()))
    assert none.value.item is None
    table.put({"pk": "A", "sk": "1", "x": 1})
    with pytest.raises(ConditionFailed) as some:
        table.put({"pk": "A", "sk": "1", "x": 2}, when=Attr("pk").not_exists())
    assert some.value.item == {"pk": "A", "sk": "1", "x": 1}
    with pytest.raises(ConditionFailed):
        table.delete(ONE, when=Attr("x").eq(2))
    table.delete(ONE, when=Attr("x").eq(1) & Attr("y").not_exists())
    assert table.get(ONE) is None


def test_a_transaction_is_whole_or_nothing_and_says_what_failed(table: Table) -> None:
    table.put({"pk": "A", "sk": "1", "n": 1})
    actions: list[Any] = [
        Put({"pk": "B", "sk": "1"}, Attr("pk").not_exists()),
        Update(ONE, Change(add={"n": -2}, when=Attr("n").gte(2))),
        Check(("C", "1"), Attr("pk").not_exists()),
    ]
    with pytest.raises(TransactionFailed) as failed:
        table.transact(actions)
    assert failed.value.failed == {1: {"pk": "A", "sk": "1", "n": 1}}
    assert table.get(("B", "1")) is None
    table.update(ONE, Change(add={"n": 4}))
    table.transact(actions)
    assert (table.get(ONE) or {})["n"] == 3


def test_queries_page_filter_and_go_on(table: Table) -> None:
    table.put_many([{"pk": "Q", "sk": f"{n:03d}", "group": "g", "n": n % 2} for n in range(60)])
    page = table.query(Key("pk").eq("Q"), limit=7)
    assert len(page.items) == 7
    assert page.next == {"pk": "Q", "sk": "006"}
    assert len(list(table.query_all(Key("pk").eq("Q"), limit=7))) == 60
    odd = list(table.query_all(Key("group").eq("g") & Key("sk").lt("030"), index="by_group"))
    assert len(odd) == 30
    assert len(table.query(Key("pk").eq("Q"), only=Attr("n").eq(1)).items) == 30
    assert table.query(Key("pk").eq("Q"), newest_first=True, limit=1).items[0]["sk"] == "059"
    keys = [("Q", f"{n:03d}") for n in range(130)]
    assert len(table.get_many(keys)) == 60


def test_a_made_up_position_is_the_callers_fault() -> None:
    client = boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:  # the simulated DynamoDB does not check start keys
        for _ in range(2):
            stub.add_client_error("query", "ValidationException", http_status_code=400)
        table = Table(client, "things")
        with pytest.raises(BadPosition):
            table.query(Key("pk").eq("Q"), start={"made": "up"})
        with pytest.raises(ClientError):
            table.query(Key("pk").eq("Q"))


@pytest.fixture
def vault(aws: None) -> KmsVault:
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    return KmsVault(make_table("vault"), boto3.client("kms"), "vault", key)


def test_what_is_sealed_opens_for_its_subject_alone(vault: KmsVault) -> None:
    sealed = vault.seal("cus-1", {"name": "Ada", "城": "北京"})
    assert b"Ada" not in sealed
    fresh = KmsVault(boto3.client("dynamodb"), boto3.client("kms"), "vault", vault._key)
    assert fresh.open("cus-1", sealed) == {"name": "Ada", "城": "北京"}
    vault.seal("cus-2", {})
    with pytest.raises(InvalidTag):
        fresh.open("cus-2", sealed)
    with pytest.raises(Forgotten):
        fresh.open("nobody", sealed)
    with pytest.raises(Forgotten):
        vault.seal("nobody", {}, create=False)


def test_an_erased_subject_cannot_be_opened(vault: KmsVault) -> None:
    sealed = vault.seal("cus-1", {"name": "Ada"})
    boto3.client("dynamodb").delete_item(TableName="vault", Key={"pk": {"S": "cus-1"}, "sk": {"S": "KEY"}})
    fresh = KmsVault(boto3.client("dynamodb"), boto3.client("kms"), "vault", vault._key)
    with pytest.raises(Forgotten):
        fresh.open("cus-1", sealed)


def test_a_contact_card_is_kept_or_replaced_as_asked(vault: KmsVault) -> None:
    assert vault.contact("cus-1") is None
    vault.put_contact("cus-1", {"email": "a@example.com"}, replace=False)
    vault.put_contact("cus-1", {"email": "b@example.com"}, replace=False)
    assert vault.contact("cus-1") == {"email": "a@example.com"}
    vault.put_contact("cus-1", {"email": "c@example.com"}, replace=True)
    assert vault.contact("cus-1") == {"email": "c@example.com"}


def test_two_at_once_share_the_first_key(vault: KmsVault) -> None:
    other = KmsVault(boto3.client("dynamodb"), boto3.client("kms"), "vault", vault._key)
    other._new_key("cus-1")
    key = vault._new_key("cus-1")  # as if both had found none
    assert key == other._opened["cus-1"]


def test_every_change_of_a_token_is_refused(aws: None) -> None:
    kms = boto3.client("kms")
    key = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
    signer = TokenSigner(kms, key)
    claims = OrderClaims("06064G0YZZ40", "guest_1", 1530, "GBP", "en")
    token = signer.issue(claims)
    assert signer.read(token) == claims
    for at in range(len(token)):
        for other in ("A" if token[at] != "A" else "B", chr(ord(token[at]) ^ 1), ""):
            with pytest.raises(BadToken):
                signer.read(token[:at] + other + token[at + 1 :])
    for hostile in ("", ".", "v1..", "v1.e30.e30", "x" * 5000, "v1.\x00.\x00", token + "="):
        with pytest.raises(BadToken):
            signer.read(hostile)
