"""The secret header's value from its making to its rotation, on Secrets Manager and SSM as moto plays them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from commerce import origin
from tools import entry, release

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


# ---- the commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """What the CDK is asked to do, in order, with what the stacks would read at that moment."""
    asked: list[tuple[str, ...]] = []

    def cdk(command: str, stage: str, *arguments: str) -> int:
        known = [one["Name"].rpartition("/")[2] for one in account.parameters.describe_parameters()["Parameters"]]
        asked.append((command, arguments[0].removeprefix(f"commerce-{stage}-"), *sorted(known)))
        if "--outputs-file" in arguments:
            Path(arguments[-1]).write_text(json.dumps({"commerce-prod-firewall": {"FirewallArn": "arn:of:it"}}))
        return 0

    monkeypatch.setattr(release, "_cdk", cdk)
    monkeypatch.setattr(release, "_client", lambda service: boto3.client(service, region_name="eu-west-1"))
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return asked


def test_a_deployment_makes_the_firewall_first_and_tells_the_others_all_that_they_read(
    deployed: list[tuple[str, ...]], account: Account
) -> None:
    assert release.deploy(STAGE, behind_entry=True) == 0
    assert deployed == [
        ("deploy", "firewall"),
        ("deploy", "--all", "firewall-arn", "origin-digests", "origin-version"),
    ]
    assert account.read("firewall-arn") == "arn:of:it"
    assert release.destroy(STAGE, behind_entry=True) == 0
    assert account.parameters.describe_parameters()["Parameters"] == []


def test_a_stage_without_an_entry_is_deployed_as_ever(deployed: list[tuple[str, ...]], account: Account) -> None:
    assert release.deploy("dev", behind_entry=False) == 0
    assert deployed == [("deploy", "--all")]
    assert account.secrets.list_secrets()["SecretList"] == []


def test_a_rotation_has_the_value_let_in_before_it_is_sent_and_goes_on_where_one_broke_off(
    deployed: list[tuple[str, ...]], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.publish()
    before = account.sent()
    template = {
        "Parameters": {"Sent": {"Type": "String"}},
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
        "Resources": {"Nothing": {"Type": "AWS::SNS::Topic", "Condition": "Never"}},
        "Outputs": {"OriginVersion": {"Value": {"Ref": "Sent"}}},
    }
    cloudformation: Any = boto3.client("cloudformation", region_name="eu-west-1")
    cloudformation.create_stack(
        StackName="commerce-prod-entry",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "Sent", "ParameterValue": account.read("origin-version")}],
    )
    assert release.rotate(STAGE) == 0
    assert [one[1] for one in deployed] == ["edge", "entry"]
    made = account.sent()
    assert made != before
    assert account.lets_in(before)
    # The stack was never deployed here: CloudFront still sends the first value.
    assert release.rotate(STAGE) == 0
    assert account.sent() == made
    assert account.lets_in(before)
