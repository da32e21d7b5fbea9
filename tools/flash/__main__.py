"""``python -m tools.flash simulated|deployed``: see ``docs/operations/flash.md``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tools.flash.verdict import SHARDS, Sale
from tools.sim.again import repeatably

FIGURES = Path("build/flash.json")

AFTERWARDS = 20
"""Seconds in which the last messages of a deployed sale come to rest."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.flash", description="Sells one SKU to many buyers at once.")
    parser.add_argument("where", choices=("simulated", "deployed"))
    parser.add_argument("--buyers", type=int, required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--seed", type=int, default=1, help="of a simulated sale")
    parser.add_argument("--within", type=float, default=2400, help="seconds that a deployed sale may take")
    asked = parser.parse_args(arguments)
    if asked.where == "simulated":
        repeatably("tools.flash", arguments)
        from tools.flash.simulated import sell

        sale = sell(asked.buyers, asked.units, asked.seed, asked.shards)
    else:
        sale = _deployed(asked)
    return judge(asked.where, sale)


def _deployed(asked: argparse.Namespace) -> Sale:
    from tools.audit.deployed import findings
    from tools.client import Deployment
    from tools.flash.deployed import sell
    from tools.run.journal import Journal

    home = Path(os.environ["LOCALCLOUD_HOME"])
    deployment = Deployment.at(home)
    sale = sell(deployment, Journal(home / "calls.jsonl"), asked.buyers, asked.units, asked.shards, asked.within)
    time.sleep(AFTERWARDS)
    return replace(sale, findings=[*sale.findings, *findings(deployment, timedelta(seconds=AFTERWARDS))])


def judge(where: str, sale: Sale) -> int:
    """Print and keep the figures and what does not hold; return the exit status."""
    figures, troubles = sale.figures(), list(sale.troubles())
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps({**known, where: {**figures, "troubles": troubles}}, indent=2) + "\n")
    print(f"flash sale, {where}:")
    for name, value in figures.items():
        print(f"  {name.replace('_', ' ')}: {value}")
    for trouble in troubles:
        print(f"  DOES NOT HOLD: {trouble}")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
