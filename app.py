"""Entry of the CDK. The stage is a context value: ``cdk deploy --all -c stage=prod``.

Which tables are restored ones is a setting of the stage, so that the next deployment keeps to it; a stage of the local
cloud, which is gone tomorrow, may also be told with ``-c tables='{"orders": "r1"}'``.
"""

from __future__ import annotations

import json
from dataclasses import replace

from aws_cdk import App

from infra import local, platform
from infra.settings import STAGES, Restored
from tools.build import stage_all


def main() -> None:
    """Synthesise every stack of the chosen stage from freshly staged code."""
    # Which app it is depends on the stage, which only an app can tell.
    told = App(auto_synth=False).node
    stage = STAGES[told.get_context("stage")]
    if stage.emulated and (tables := told.try_get_context("tables")):
        stage = replace(stage, tables={context: Restored(one) for context, one in json.loads(tables).items()})
    app = local.app() if stage.emulated else App()
    platform.build(app, stage, stage_all("local" if stage.emulated else "lambda"))
    app.synth()


if __name__ == "__main__":
    main()
