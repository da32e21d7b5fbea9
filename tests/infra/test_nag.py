"""cdk-nag stops the synthesis; what it lets pass is listed with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs

from infra import local, nag
from tests.infra.templates import Synthesised

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
