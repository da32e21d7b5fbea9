"""Write what the packs that only report find: ``python -m tools.nag [stage]``, one CSV a pack in ``build/nag``."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from aws_cdk import App

from infra import nag, platform
from infra.settings import STAGES
from tools.localcloud.server import ROOT

FOLDER = ROOT / "build" / "nag"


def app(stage: str) -> App:
    """Return the app of a stage over assets that hold nothing: what they hold is not in a template."""
    empty = Path(tempfile.mkdtemp())
    (empty / "code.py").write_text("")
    made = App(context=json.loads((ROOT / "cdk.json").read_text())["context"], outdir=tempfile.mkdtemp())
    names = ["dependencies", "commerce", *(stack.context for stack in platform.CONTEXT_STACKS)]
    platform.build(made, STAGES[stage], dict.fromkeys(names, empty))
    return made


def main() -> None:
    stage = sys.argv[1] if len(sys.argv) > 1 else "prod"
    FOLDER.mkdir(parents=True, exist_ok=True)
    by_pack: defaultdict[str, list[nag.Finding]] = defaultdict(list)
    for finding in nag.findings(app(stage)):
        by_pack[finding.pack].append(finding)
    for pack, found in by_pack.items():
        with (FOLDER / f"{pack}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["rule", "resource", "says"])
            rows.writerows([one.rule, one.resource, one.says] for one in found)
        rules = sorted({one.rule for one in found})
        print(f"{pack}: {len(found)} findings of {len(rules)} rules: {', '.join(rules)}")
    print(f"{FOLDER.relative_to(ROOT)}; the answers are in docs/operations/compliance.md")


if __name__ == "__main__":
    main()
