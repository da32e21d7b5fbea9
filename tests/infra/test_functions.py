"""Every function: what it runs, what it may, what it is told."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.names import CONTEXTS
from infra.settings import RECOVERING, STAGES, Stage
from infra.tables import TABLES
from tests.infra.templates import ROOT, Synthesised, flat

pytestmark = pytest.mark.infra

ANY_RESOURCE = {
    "xray:PutTraceSegments": "X-Ray knows no resources",
    "xray:PutTelemetryRecords": "X-Ray knows no resources",
    "xray:GetSamplingRules": "X-Ray knows no resources",
    "xray:GetSamplingTargets": "X-Ray knows no resources",
    "sqs:ListQueues": "a list has no resource",
    "logs:CreateLogDelivery": "log delivery knows no resources",
    "logs:GetLogDelivery": "log delivery knows no resources",
    "logs:UpdateLogDelivery": "log delivery knows no resources",
    "logs:DeleteLogDelivery": "log delivery knows no resources",
    "logs:ListLogDeliveries": "log delivery knows no resources",
    "logs:PutResourcePolicy": "log delivery knows no resources",
    "logs:DescribeResourcePolicies": "log delivery knows no resources",
    "logs:DescribeLogGroups": "log delivery knows no resources",
}
"""Actions that are allowed on ``*``, and why."""

QUEUES_OF_ALL = {"orders-ops"}
"""Functions whose statements may name queues by a pattern: operators see every context's."""


def functions(synthesised: Synthesised) -> dict[str, dict[str, Any]]:
    return synthesised.named("AWS::Lambda::Function", "FunctionName")


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role["Properties"].get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_handler_can_be_imported_and_called(prod: Synthesised) -> None:
    for name, properties in functions(prod).items():
        module, _, function = properties["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), function)), name


def test_every_function_runs_python_313_on_arm64_traced_with_its_log(synthesised: Synthesised) -> None:
    for stack, _, function in synthesised.resources("AWS::Lambda::Function"):
        properties = function["Properties"]
        assert properties["Runtime"] == "python3.13"
        assert properties["Architectures"] == ["arm64"]
        assert properties["TracingConfig"] == {"Mode": "PassThrough"}
        logging = properties["LoggingConfig"]
        assert (logging["LogFormat"], logging["SystemLogLevel"]) == ("JSON", "WARN")
        # Lambda must drop none of the function's own lines: metrics are such lines.
        assert logging["ApplicationLogLevel"] == "TRACE"
        assert len(properties["Layers"]) == 2
        assert properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == stack
        log = synthesised.refer(stack, properties["LoggingConfig"]["LogGroup"])["Properties"]
        assert log["LogGroupName"] == f"/aws/lambda/{properties['FunctionName']}"
        assert log["RetentionInDays"] == synthesised.stage.log_retention_days


def test_every_function_has_a_published_version_behind_the_alias_live(synthesised: Synthesised) -> None:
    made = {logical for _, logical, _ in synthesised.resources("AWS::Lambda::Function")}
    behind = []
    for stack, _, alias in synthesised.resources("AWS::Lambda::Alias"):
        assert alias["Properties"]["Name"] == "live"
        version = synthesised.refer(stack, alias["Properties"]["FunctionVersion"])
        assert version["Type"] == "AWS::Lambda::Version"
        behind.append(version["Properties"]["FunctionName"]["Ref"])
    assert sorted(behind) == sorted(made)


def test_no_role_is_shared_and_none_is_added_to(synthesised: Synthesised) -> None:
    roles = Counter(
        (stack, flat(function["Properties"]["Role"]))
        for stack, _, function in synthesised.resources("AWS::Lambda::Function")
    )
    roles += Counter(
        (stack, flat(machine["Properties"]["RoleArn"]))
        for stack, _, machine in synthesised.resources("AWS::StepFunctions::StateMachine")
    )
    assert set(roles.values()) == {1}
    assert list(synthesised.resources("AWS::IAM::Policy")) == []
    for _, _, role in synthesised.resources("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role["Properties"]


def test_users_are_deleted_by_one_function_and_in_the_own_pool_alone(synthesised: Synthesised) -> None:
    allowed = [
        flat(statement["Resource"])
        for _, _, role in synthesised.resources("AWS::IAM::Role")
        for statement in statements(role)
        if "cognito-idp:AdminDeleteUser" in listed(statement["Action"])
    ]
    assert len(allowed) == 1, allowed
    assert ":userpool/" in allowed[0]
    assert not allowed[0].endswith("*")


def test_no_statement_allows_more_than_it_must(synthesised: Synthesised) -> None:
    owners = {
        (stack, function["Properties"]["Role"]["Fn::GetAtt"][0]): function["Properties"]["FunctionName"]
        for stack, _, function in synthesised.resources("AWS::Lambda::Function")
    }
    prefix = f"commerce-{synthesised.stage.name}-"
    for stack, logical, role in synthesised.resources("AWS::IAM::Role"):
        owner = owners.get((stack, logical), "").removeprefix(prefix)
        for statement in statements(role):
            actions = listed(statement["Action"])
            assert not any("*" in action for action in actions), (owner, actions)
            for resource in map(flat, listed(statement["Resource"])):
                if resource == "*":
                    assert set(actions) <= set(ANY_RESOURCE), (owner, actions)
                elif "*" in resource:
                    assert owner in QUEUES_OF_ALL, (owner, resource)
                    assert re.fullmatch(rf"arn:.*:sqs:.*:{prefix}\*(-dlq)?", resource), resource


def test_every_table_and_index_that_a_role_names_is_there(synthesised: Synthesised) -> None:
    named = re.compile(rf":table/commerce-{synthesised.stage.name}-(\w+)(?:/index/(\w+))?$")
    found = set()
    for _, _, role in synthesised.resources("AWS::IAM::Role"):
        for statement in statements(role):
            for resource in map(flat, listed(statement["Resource"])):
                if ":table/" in resource:
                    matched = named.search(resource)
                    assert matched, resource
                    table, index = matched.groups()
                    assert index is None or index in TABLES[table].indexes
                    found.add((table, index))
    indexes = {(name, index) for name, table in TABLES.items() for index in table.indexes}
    assert found == {(name, None) for name in TABLES} | indexes


def test_a_function_reaches_its_own_table_and_the_vault_and_no_other(synthesised: Synthesised) -> None:
    for stack, logical, role in synthesised.resources("AWS::IAM::Role"):
        if (stack, logical) == ("data", backup_role(synthesised)):
            continue
        for statement in statements(role):
            for resource in map(flat, listed(statement["Resource"])):
                if ":table/commerce-" in resource:
                    table = resource.split("/")[1].removeprefix(f"commerce-{synthesised.stage.name}-")
                    assert table in {stack, "vault"}, (stack, resource)


def backup_role(synthesised: Synthesised) -> str:
    """Return the logical id of the role that backs up every table; empty where nothing does."""
    roles = [
        logical
        for stack, logical, role in synthesised.resources("AWS::IAM::Role")
        if role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        == {"Service": "backup.amazonaws.com"}
    ]
    assert len(roles) == bool(synthesised.stage.backup_days)
    return roles[0] if roles else ""


def read_variables(folder: str) -> set[str]:
    """Return the names of environment variables that the modules below ``folder`` ask for."""
    found = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name, asks = node.args[0], ast.unparse(node.func).split(".")[-1] in {"env", "env_seconds"}
                asks = asks or ast.unparse(node.func) == "os.environ.get"
                if asks and isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found.add(name.value)
    return found


@pytest.mark.parametrize("name", [*CONTEXTS, "reference"])
def test_a_context_is_told_what_it_asks_for_and_nothing_else(prod: Synthesised, name: str) -> None:
    told = set()
    for stack, _, function in prod.resources("AWS::Lambda::Function"):
        if stack == name and function["Properties"]["Handler"].startswith(f"{name}."):
            told |= set(function["Properties"]["Environment"]["Variables"])
    own = {variable for variable in told if not variable.startswith(("POWERTOOLS_", "PYDANTIC_"))}
    assert own == read_variables(f"functions/{name}")


def test_windows_are_told_in_seconds_as_the_stage_has_them(synthesised: Synthesised) -> None:
    windows = synthesised.stage.windows
    told = {
        "OPEN_SECONDS": windows.stock + windows.payment + windows.dispatch,
        "SILENCE_SECONDS": windows.silence,
        "ACCEPTANCE_SECONDS": windows.acceptance,
        "SETTLEMENT_SECONDS": windows.settlement,
        "REPLENISHMENT_LEAD_SECONDS": windows.replenishment,
        "PENDING_SECONDS": windows.pending,
        "PACE_SECONDS": synthesised.stage.pace.seconds,
    }
    seen = set()
    for properties in functions(synthesised).values():
        for name, value in properties["Environment"]["Variables"].items():
            if name.endswith("_SECONDS"):
                assert value == str(told[name])
                seen.add(name)
    assert seen == set(told)


def test_who_is_invoked_without_a_caller_keeps_what_it_failed(synthesised: Synthesised) -> None:
    swept = set()
    for stack, _, rule in synthesised.resources("AWS::Events::Rule"):
        if "ScheduleExpression" in rule["Properties"]:
            [target] = rule["Properties"]["Targets"]
            alias = synthesised.refer(stack, target["Arn"])
            assert alias["Type"] == "AWS::Lambda::Alias"
            assert target["DeadLetterConfig"]["Arn"]
            swept.add((stack, flat(alias["Properties"]["FunctionName"])))
    kept = {
        (stack, flat(kept["Properties"]["FunctionName"]))
        for stack, _, kept in synthesised.resources("AWS::Lambda::EventInvokeConfig")
        if kept["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
        and kept["Properties"]["Qualifier"] == "live"
    }
    assert swept == kept
    assert len(swept) == 3


def test_a_partition_is_never_written_out(synthesised: Synthesised) -> None:
    for stack, template in synthesised.templates.items():
        assert re.findall(r"arn:aws[^\"]{0,60}", json.dumps(template)) == [], stack
        assert "amazonaws.com.cn" not in json.dumps(template)


def test_during_a_recovery_only_functions_that_there_are_stand_still(
    synthesise: Callable[[Stage], Synthesised],
) -> None:
    still = synthesise(replace(STAGES["dev"], name="recovering", reserved_concurrency=RECOVERING))
    functions = still.named("AWS::Lambda::Function", "FunctionName")
    stopped = {name for name, of in functions.items() if of.get("ReservedConcurrentExecutions") == 0}
    assert stopped == RECOVERING.keys()
    sweeps = {name for name in functions if name.endswith("-sweep")}
    assert sweeps <= stopped, "a clock would act on what the restored tables do not know yet"


def test_stages_differ_in_name_only_where_they_should() -> None:
    assert set(STAGES) == {"local", "test", "drill", "dev", "prod"}
    assert all(name == stage.name for name, stage in STAGES.items())
    assert [name for name, stage in STAGES.items() if stage.emulated] == ["local", "test", "drill"]
    assert [name for name, stage in STAGES.items() if stage.stateful_retained] == ["drill", "prod"]
