"""Synthesised templates of a stage on AWS and of the local cloud, made once for all tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App

from infra import platform
from infra.settings import STAGES, Stage
from tests.infra.templates import ROOT, Synthesised


@pytest.fixture(scope="session")
def context() -> dict[str, Any]:
    """What ``cdk.json`` tells the app."""
    found: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return found


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory, context: dict[str, Any]) -> Callable[[Stage], Synthesised]:
    """Synthesise a stage, cdk-nag included, over assets that hold nothing: what they hold is not in a template."""
    empty = tmp_path_factory.mktemp("asset")
    (empty / "code.py").write_text("")
    made: dict[str, Synthesised] = {}

    def run(stage: Stage) -> Synthesised:
        if stage.name not in made:
            # The CDK's own rules double the time of a synthesis, so they are checked here and not in every deployment.
            rules = {"@aws-cdk/core:validateAgainstDefaultRules": stage.name == "prod"}
            app = App(context={**context, **rules}, outdir=str(tmp_path_factory.mktemp(stage.name)))
            names = ["dependencies", "commerce", *(stack.context for stack in platform.CONTEXT_STACKS)]
            platform.build(app, stage, dict.fromkeys(names, empty))
            made[stage.name] = Synthesised(
                stage,
                {
                    stack.stack_name.removeprefix(f"commerce-{stage.name}-"): stack.template
                    for stack in app.synth().stacks
                },
                app,
            )
        return made[stage.name]

    return run


@pytest.fixture(scope="session", params=["local", "prod"])
def synthesised(request: pytest.FixtureRequest, synthesise: Callable[[Stage], Synthesised]) -> Synthesised:
    """Each stage in turn."""
    return synthesise(STAGES[request.param])


@pytest.fixture(scope="session")
def prod(synthesise: Callable[[Stage], Synthesised]) -> Synthesised:
    """The stage that matters."""
    return synthesise(STAGES["prod"])
