"""Tables restored under new names, with everything that the platform needs of a table."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest

from infra.settings import STAGES
from tests.integration.conftest import make_table
from tools.restore.tables import Account, back_up, backups_named, restore
from tools.tables import NothingDeployed, switched_at, tables_of

pytestmark = pytest.mark.integration

STAGE = STAGES["drill"]
USED = {"orders": "commerce-drill-orders", "vault": "commerce-drill-vault"}


@pytest.fixture
def account(aws: None) -> Account:
    for name in USED.values():
        client = make_table(name)
        client.put_item(TableName=name, Item={"pk": {"S": "kept"}, "sk": {"S": "as it was"}})
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    return Account(boto3.client("dynamodb"), boto3.client("ssm"))


@pytest.mark.parametrize("from_backup", [True, False])
def test_a_restored_table_is_what_the_platform_needs(account: Account, *, from_backup: bool) -> None:
    client = account.dynamodb
    made = back_up(account, USED, "drill")
    assert backups_named(account, USED, "drill") == made
    assert backups_named(account, USED, "another") == {}
    for _ in range(2):  # whoever lost his connection calls again
        restored = restore(account, STAGE, USED, "r1", made if from_backup else datetime.now(UTC))
    assert restored == {"orders": "commerce-drill-orders-r1", "vault": "commerce-drill-vault-r1"}
    for context, name in restored.items():
        table = client.describe_table(TableName=name)["Table"]
        assert client.scan(TableName=name)["Count"] == 1
        assert table["DeletionProtectionEnabled"] is True
        assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "ttl"
        recovery = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        tags = {one["Key"]: one["Value"] for one in client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]}
        assert tags == {"platform": "commerce", "stage": "drill"}
        assert ("LatestStreamArn" in table) is (context == "orders")
    stream = account.ssm.get_parameter(Name="/commerce/drill/restored/orders-r1/stream")["Parameter"]["Value"]
    assert stream == client.describe_table(TableName=restored["orders"])["Table"]["LatestStreamArn"]


def test_which_tables_are_used_is_what_the_stage_has_published(account: Account) -> None:
    with pytest.raises(NothingDeployed):
        tables_of(account.ssm, "drill")
    before = datetime.now(UTC)
    for context, table in USED.items():
        account.ssm.put_parameter(Name=f"/commerce/drill/tables/{context}", Value=table, Type="String")
    assert tables_of(account.ssm, "drill") == USED
    assert switched_at(account.ssm, "drill") >= before.replace(microsecond=0)
