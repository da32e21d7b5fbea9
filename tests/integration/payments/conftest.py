"""A simulated AWS with the payments' table, keys and secret, and the functions' environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from commerce import aws, telemetry
from commerce.dynamo import Table
from commerce.tokens import OrderClaims, TokenSigner
from payments import api, wiring
from payments.store import Store

SECRET = "a key of the tests"


@dataclass
class Cloud:
    """The simulated account: ``writes`` are the items put so far."""

    table: Table
    signer: TokenSigner
    secret_arn: str
    writes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.table)

    def token(self, *, buyer: str = "buyer-1", amount: int = 13912) -> str:
        return self.signer.issue(OrderClaims("06PM4NXBDTKB", buyer, amount, "GBP", "en-GB"))

    def item(self) -> dict[str, Any]:
        found = self.table.get(("ORDER#06PM4NXBDTKB", "PAYMENTS"))
        assert found is not None
        return found


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    caches = (aws._client, telemetry.metrics, wiring.desk, api._buyers, api._providers)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_SERVICE_NAME": "payments",
        "PAYMENTS_TABLE": "payments",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        for cache in caches:
            cache.cache_clear()
        client = aws.dynamodb()
        client.create_table(
            TableName="payments",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "open_pk", "open_since")
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "open",
                    "KeySchema": [
                        {"AttributeName": "open_pk", "KeyType": "HASH"},
                        {"AttributeName": "open_since", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        mac = boto3.client("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
        secret = boto3.client("secretsmanager").create_secret(Name="sandbox-callback-key", SecretString=SECRET)["ARN"]
        monkeypatch.setenv("MAC_KEY_ARN", mac)
        monkeypatch.setenv("SANDBOX_SECRET_ARN", secret)
        made = Cloud(Table(client, "payments"), TokenSigner(aws.kms(), mac), secret)
        client.meta.events.register(
            "provide-client-params.dynamodb.PutItem", lambda params, **_: made.writes.append(params["Item"])
        )
        yield made
        for cache in caches:
            cache.cache_clear()
