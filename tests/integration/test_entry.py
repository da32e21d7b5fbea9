"""The secret header's value from its making to its rotation, on Secrets Manager and SSM as moto plays them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from commerce import origin
from tools import entry

pytestmark = pytest.mark.integration

STAGE = "prod"


class Account:
    """The account that a stage is deployed to."""

    def __init__(self) -> None:
        self.secrets: Any = boto3.client("secretsmanager", region_name="eu-west-1")
        self.parameters: Any = boto3.client("ssm", region_name="eu-west-1")

    def publish(self) -> None:
        entry.publish(self.secrets, self.parameters, STAGE)

    def read(self, name: str) -> str:
        found: str = self.parameters.get_parameter(Name=f"/commerce/{STAGE}/{name}")["Parameter"]["Value"]
        return found

    def lets_in(self, value: str) -> bool:
        variables = {origin.VARIABLE: self.read("origin-digests")}
        try:
            origin.check({"headers": {origin.HEADER: value}, "stageVariables": variables})
        except origin.NotThroughTheEntry:
            return False
        return True

    def sent(self) -> str:
        """What CloudFront sends once the stacks are deployed."""
        version = self.read("origin-version")
        found: str = self.secrets.get_secret_value(SecretId="commerce-prod-origin", VersionId=version)["SecretString"]
        return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield Account()


def test_what_is_sent_is_let_in_from_the_first_deployment_on(account: Account) -> None:
    account.publish()
    first = account.sent()
    assert len(first) >= 43, "256 bits"
    assert account.lets_in(first)
    assert entry.value(account.secrets, STAGE) == first
    account.publish()
    assert account.sent() == first, "another deployment makes no other value"


def test_a_rotation_lets_both_values_in_and_the_next_one_forgets_the_first(account: Account) -> None:
    account.publish()
    values = [account.sent()]
    for _ in range(2):
        assert entry.rotate(account.secrets, STAGE, account.read("origin-version"))
        account.publish()
        values.append(account.sent())
        assert account.lets_in(values[-1])
        assert account.lets_in(values[-2])
    assert len(set(values)) == 3
    assert not account.lets_in(values[0])


def test_a_rotation_that_was_broken_off_makes_no_third_value(account: Account) -> None:
    account.publish()
    sent, version = account.sent(), account.read("origin-version")
    assert entry.rotate(account.secrets, STAGE, version)
    # Here the deployment breaks off: CloudFront still sends the first value.
    assert not entry.rotate(account.secrets, STAGE, version)
    account.publish()
    assert account.lets_in(sent)
    assert account.lets_in(account.sent())


def test_the_firewall_s_arn_is_carried_to_the_stage_s_region_and_all_of_it_goes_with_the_stage(
    account: Account,
) -> None:
    account.publish()
    entry.carry(account.parameters, STAGE, "arn:aws:wafv2:us-east-1:1:global/webacl/a/b")
    assert account.read("firewall-arn").endswith("webacl/a/b")
    entry.forget(account.secrets, account.parameters, STAGE)
    assert account.parameters.describe_parameters()["Parameters"] == []
    assert account.secrets.list_secrets()["SecretList"] == []
