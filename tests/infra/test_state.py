"""What holds state is kept, guarded and found again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.settings import FIREWALL_ARN, ORIGIN_DIGESTS, ORIGIN_VERSION, STAGES, Issuer, Restored, Stage
from infra.tables import TABLES
from tests.infra.templates import Synthesised, flat

pytestmark = pytest.mark.infra

STATEFUL = {
    "AWS::Cognito::UserPool",
    "AWS::DynamoDB::GlobalTable",
    "AWS::Events::EventBus",
    "AWS::KMS::Key",
    "AWS::SecretsManager::Secret",
}


def test_every_table_is_there_with_its_indexes_and_can_be_restored(synthesised: Synthesised) -> None:
    tables = synthesised.named("AWS::DynamoDB::GlobalTable", "TableName")
    assert set(tables) == set(TABLES)
    for name, properties in tables.items():
        [replica] = properties["Replicas"]
        assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert replica.get("DeletionProtectionEnabled", False) is synthesised.stage.stateful_retained
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
        stream = properties.get("StreamSpecification")
        assert stream == ({"StreamViewType": "NEW_IMAGE"} if TABLES[name].publishes else None)
        keys = {
            index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
            for index in properties.get("GlobalSecondaryIndexes", [])
        }
        assert keys == {name: [index.partition, index.sort] for name, index in TABLES[name].indexes.items()}


def test_what_holds_state_outlives_its_stack_in_production_only(synthesised: Synthesised) -> None:
    policy = "Retain" if synthesised.stage.stateful_retained else "Delete"
    seen = set()
    for name, resource in synthesised.templates["data"]["Resources"].items():
        if resource["Type"] in STATEFUL:
            assert resource["DeletionPolicy"] == policy, name
            assert resource["UpdateReplacePolicy"] == policy, name
            seen.add(resource["Type"])
    assert seen == STATEFUL


def test_only_the_data_stack_holds_state(synthesised: Synthesised) -> None:
    for stack, template in synthesised.templates.items():
        if stack != "data":
            kinds = {resource["Type"] for resource in template["Resources"].values()}
            # The alarm topic's key protects nothing that is kept.
            assert kinds & (STATEFUL - {"AWS::KMS::Key"}) == set(), stack
            assert stack == "observe" or "AWS::KMS::Key" not in kinds


def test_old_versions_of_functions_stay_where_executions_outlive_releases(synthesised: Synthesised) -> None:
    policy = "Retain" if synthesised.stage.stateful_retained else "Delete"
    for _, name, version in synthesised.resources("AWS::Lambda::Version"):
        assert version.get("DeletionPolicy", "Delete") == policy, name


def test_data_keys_are_wrapped_by_a_rotating_key_and_tokens_vouched_for_by_another(synthesised: Synthesised) -> None:
    keys = {
        key["Properties"]["Description"]: key["Properties"]
        for stack, _, key in synthesised.resources("AWS::KMS::Key")
        if stack == "data"
    }
    assert all(key["EnableKeyRotation"] is True for key in keys.values() if key.get("KeySpec") is None)
    assert keys["Wraps the data key of every person"].get("KeySpec") is None
    mac = keys["Vouches for order tokens"]
    assert (mac["KeySpec"], mac["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")


def test_every_log_group_is_kept_for_a_time_under_the_key_for_logs(synthesised: Synthesised) -> None:
    for stack, logical, group in synthesised.resources("AWS::Logs::LogGroup"):
        parameter = group["Properties"]["KmsKeyId"]["Ref"]
        named = synthesised.templates[stack]["Parameters"][parameter]["Default"]
        assert named == f"/commerce/{synthesised.stage.name}/log-key-arn", logical
        assert group["Properties"]["RetentionInDays"] == synthesised.stage.log_retention_days, logical
        # The key's policy lets CloudWatch Logs use it for these names alone.
        assert re.fullmatch(rf"/aws/.*/commerce-{synthesised.stage.name}-.*", group["Properties"]["LogGroupName"])


def test_what_a_stack_reads_was_published_by_one_before_it(synthesised: Synthesised) -> None:
    outside = (ORIGIN_DIGESTS, ORIGIN_VERSION, FIREWALL_ARN) if synthesised.stage.entry else ()
    published = {f"/commerce/{synthesised.stage.name}/{name}" for name in outside}
    for template in synthesised.templates.values():
        wanted = {
            parameter["Default"]
            for parameter in template.get("Parameters", {}).values()
            if parameter["Type"].startswith("AWS::SSM::Parameter::Value")
            and not parameter["Default"].startswith("/cdk-bootstrap/")
        }
        assert wanted <= published
        published |= {
            resource["Properties"]["Name"]
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::SSM::Parameter"
        }


def test_no_stack_exports_to_another(synthesised: Synthesised) -> None:
    names: list[str] = []
    for template in synthesised.templates.values():
        for name, output in template.get("Outputs", {}).items():
            assert "Export" not in output
            names.append(name)
    assert len(names) == len(set(names)), "tools read outputs by name"
    assert {
        "ApiId",
        "ApiUrl",
        "UserPoolId",
        "UserPoolClientId",
        "CommerceBusName",
        "CarriersBusName",
        "SandboxSecretArn",
        "OrderLifecycleArn",
        "OrderCompletionArn",
        *(f"{table.capitalize()}TableName" for table in TABLES),
    } <= set(names)


def test_a_partner_may_put_only_events_of_its_own_carrier(synthesise: Callable[[Stage], Synthesised]) -> None:
    stage = replace(STAGES["dev"], name="partners", partners={"generic": "111122223333", "sf": "444455556666"})
    buses = synthesise(stage).named("AWS::Events::EventBus", "Name")
    assert "Policy" not in buses["commerce"]
    allowed = {
        (
            flat(one["Principal"]["AWS"]).split("::")[-1],
            one["Action"],
            one["Condition"]["StringEquals"]["events:source"],
        )
        for one in buses["carriers"]["Policy"]["Statement"]
    }
    assert allowed == {
        ("111122223333:root", "events:PutEvents", "carrier.generic"),
        ("444455556666:root", "events:PutEvents", "carrier.sf"),
    }
    for one in buses["carriers"]["Policy"]["Statement"]:
        assert one["Effect"] == "Allow"
        assert flat(one["Resource"]).endswith(":event-bus/commerce-partners-carriers")


def test_another_issuer_takes_the_user_pool_s_place(synthesise: Callable[[Stage], Synthesised]) -> None:
    issuer = Issuer("https://login.example/realms/shop", ("shop", "desk"))
    other = synthesise(replace(STAGES["dev"], name="issuer", issuer=issuer))
    assert list(other.resources("AWS::Cognito::UserPool")) == []
    published = {
        resource["Properties"]["Name"]: resource["Properties"]["Value"]
        for _, _, resource in other.resources("AWS::SSM::Parameter")
    }
    assert published["/commerce/issuer/issuer"] == "https://login.example/realms/shop"
    assert published["/commerce/issuer/audience"] == "shop,desk"
    assert "AdminDeleteUser" not in str(list(other.resources("AWS::IAM::Role"))), "a right over somebody else's users"


def test_every_table_is_backed_up_each_night_where_there_is_a_vault(prod: Synthesised) -> None:
    [plan] = [one["Properties"]["BackupPlan"] for _, _, one in prod.resources("AWS::Backup::BackupPlan")]
    [rule] = plan["BackupPlanRule"]
    assert rule["Lifecycle"] == {"DeleteAfterDays": prod.stage.backup_days}
    [(_, _, vault)] = prod.resources("AWS::Backup::BackupVault")
    assert vault["DeletionPolicy"] == vault["UpdateReplacePolicy"] == "Retain"
    [selection] = [one["Properties"]["BackupSelection"] for _, _, one in prod.resources("AWS::Backup::BackupSelection")]
    assert {flat(one).rpartition("/commerce-prod-")[2] for one in selection["Resources"]} == set(TABLES)


def test_the_buses_are_archived_as_long_as_tables_can_be_restored(prod: Synthesised) -> None:
    archives = prod.named("AWS::Events::Archive", "ArchiveName")
    assert set(archives) == {"commerce", "carriers"}
    for bus, archive in archives.items():
        assert flat(archive["SourceArn"]).endswith(f":event-bus/commerce-prod-{bus}")
        assert archive["RetentionDays"] == prod.stage.archive_days == 35
        assert archive["EventPattern"] == {"replay-name": [{"exists": False}]}


@pytest.fixture(scope="module")
def switched(synthesise: Callable[[Stage], Synthesised]) -> Synthesised:
    """A stage after recoveries: tables that are referred to, one that is taken in, one that is used again."""
    tables = {
        "orders": Restored("r2"),
        "vault": Restored("r2"),
        "inventory": Restored("r1", imported=True),
        "payments": Restored(""),
    }
    return synthesise(replace(STAGES["prod"], name="switched", tables=tables))


def test_restored_tables_are_not_made_by_the_stack_until_they_are_taken_in(switched: Synthesised) -> None:
    made = switched.named("AWS::DynamoDB::GlobalTable", "TableName")
    assert set(made) == set(TABLES) - {"orders", "vault", "payments", "inventory"} | {"inventory-r1"}


def test_everybody_uses_the_restored_tables(switched: Synthesised) -> None:
    used = "commerce-switched-"
    expected = {
        **{name: name for name in TABLES},
        "orders": "orders-r2",
        "vault": "vault-r2",
        "inventory": "inventory-r1",
    }
    for context, table in expected.items():
        [told] = [
            one["Properties"]["Value"]
            for _, _, one in switched.resources("AWS::SSM::Parameter")
            if one["Properties"]["Name"] == f"/commerce/switched/tables/{context}"
        ]
        assert told == used + table
        for _, _, function in switched.resources("AWS::Lambda::Function"):
            variables = function["Properties"]["Environment"]["Variables"]
            assert variables.get(f"{context.upper()}_TABLE", used + table) == used + table
    named = {
        flat(resource).partition(":table/")[2].partition("/")[0]
        for _, _, role in switched.resources("AWS::IAM::Role")
        for policy in role["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        for resource in _listed(statement["Resource"])
        if ":table/" in flat(resource)
    }
    assert named == {used + table for table in expected.values()}


def test_relays_follow_the_streams_of_the_tables_in_use(switched: Synthesised) -> None:
    data = switched.templates["data"]
    streams = {
        resource["Properties"]["Name"].rpartition("/")[2]: resource["Properties"]["Value"]
        for resource in data["Resources"].values()
        if resource["Type"] == "AWS::SSM::Parameter" and "/streams/" in resource["Properties"]["Name"]
    }
    assert set(streams) == {name for name, table in TABLES.items() if table.publishes}
    referred = {name: data["Parameters"][value["Ref"]]["Default"] for name, value in streams.items() if "Ref" in value}
    assert referred == {
        "orders": "/commerce/switched/restored/orders-r2/stream",
        "payments": "/commerce/switched/restored/payments/stream",
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
