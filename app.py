"""Entry of the CDK. The stage is a context value: ``cdk deploy --all -c stage=prod``."""

from __future__ import annotations

from aws_cdk import App

from infra import local, platform
from infra.settings import STAGES
from tools.build import stage_all


def main() -> None:
    """Synthesise every stack of the chosen stage from freshly staged code."""
    # Which app it is depends on the stage, which only an app can tell.
    stage = STAGES[App(auto_synth=False).node.get_context("stage")]
    app = local.app() if stage.emulated else App()
    platform.build(app, stage, stage_all("local" if stage.emulated else "lambda"))
    app.synth()


if __name__ == "__main__":
    main()
