"""What holds state is kept, guarded and found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.settings import FIREWALL_ARN, ORIGIN_DIGESTS, ORIGIN_VERSION, STAGES, Issuer, Stage
from infra.stacks.data import TABLES
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
    keys = [key["Properties"] for stack, _, key in synthesised.resources("AWS::KMS::Key") if stack == "data"]
    [data] = [key for key in keys if key.get("KeySpec") is None]
    [mac] = [key for key in keys if key.get("KeySpec") == "HMAC_256"]
    assert data["EnableKeyRotation"] is True
    assert mac["KeyUsage"] == "GENERATE_VERIFY_MAC"


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
