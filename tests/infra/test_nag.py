"""cdk-nag stops the synthesis; what it lets pass is listed with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from infra import local, nag
from tests.infra.templates import ROOT, Synthesised

pytestmark = pytest.mark.infra


def test_a_queue_without_tls_stops_the_synthesis(context: dict[str, Any], tmp_path: Path) -> None:
    app = App(context=context, outdir=str(tmp_path))
    sqs.Queue(Stack(app, "Careless"), "Queue")
    nag.check(app, "prod")
    with pytest.raises(RuntimeError, match="AwsSolutions-SQS4"):
        app.synth()


def test_few_rules_are_acknowledged_each_with_a_reason() -> None:
    assert len({finding.partition("[")[0] for finding in nag.ACKNOWLEDGED}) <= 15
    assert all(len(reason) > 10 for reason in nag.ACKNOWLEDGED.values())


def answered() -> dict[tuple[str, str], str]:
    """Return the answers of ``docs/operations/compliance.md`` by pack and rule."""
    rows = [line.split("|")[1:-1] for line in (ROOT / "docs/operations/compliance.md").read_text().splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 4]
    return {(pack, rule): answer for rule, packs, answer, _ in cells[2:] for pack in packs.split(", ")}


def test_every_rule_of_the_standards_that_finds_something_has_an_answer_and_no_other(prod: Synthesised) -> None:
    found = {(one.pack, one.rule) for one in nag.findings(prod.app)}
    answers = answered()
    assert found - answers.keys() == set(), "rules without an answer in docs/operations/compliance.md (make nag)"
    assert answers.keys() - found == set(), "answers to rules that find nothing any more"
    assert set(answers.values()) <= {"followed otherwise", "not followed", "planned"}
    assert {pack for pack, _ in found} == {"NIST.800.53.R5", "PCI.DSS.321"}


def test_a_careless_resource_is_found_by_the_standards(context: dict[str, Any], tmp_path: Path) -> None:
    app = App(context=context, outdir=str(tmp_path))
    s3.Bucket(Stack(app, "Careless"), "Bucket")
    found = {(one.pack, one.rule, one.resource) for one in nag.findings(app)}
    assert ("PCI.DSS.321", "S3BucketLoggingEnabled", "Careless/Bucket/Resource") in found


def test_the_local_cloud_is_not_given_what_it_does_not_know(
    context: dict[str, Any], tmp_path: Path, synthesised: Synthesised
) -> None:
    app = App(context=context, outdir=str(tmp_path))
    stack = Stack(app, "Some")
    events.CfnArchive(stack, "Archive", source_arn="some")
    events.CfnEventBus(stack, "Bus", name="kept")
    local.adapt(app)
    template = app.synth().get_stack_by_name("Some").template
    assert [resource["Type"] for resource in template["Resources"].values()] == ["AWS::Events::EventBus"]
    if synthesised.stage.emulated:
        for unknown in local.UNKNOWN_TYPES:
            assert list(synthesised.resources(unknown)) == []
