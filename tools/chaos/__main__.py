"""``python -m tools.chaos [--orders 200] [--seed 1] [--down mail]``: see ``docs/operations/chaos.md``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tools.chaos.outage import outage
from tools.chaos.proxy import Proxy
from tools.chaos.run import TWICE, chaos
from tools.localcloud.server import ROOT, LocalCloud

MAIL = frozenset({"sesv2"})
SILENT = ("carrier", "payments")
WRITTEN = ROOT / "build" / "chaos.json"


def main(arguments: list[str]) -> int:
    """Run; the exit status is 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.chaos", description="Orders under faults on the local cloud."
    )
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--down", choices=["mail", *SILENT], help="a dependency that does not answer at all")
    parser.add_argument("--home", type=Path, default=Path(".localcloud/chaos"))
    asked = parser.parse_args(arguments)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    with Proxy().running() as proxy:
        cloud = LocalCloud(ROOT / asked.home, twice=TWICE, functions_endpoint=proxy.url)
        cloud.stop()
        try:
            if asked.down in SILENT:
                report = outage(LocalCloud(cloud.home), asked.orders, asked.down, say)
            else:
                down = MAIL if asked.down == "mail" else frozenset[str]()
                report = chaos(cloud, proxy, asked.orders, asked.seed, down, say)
        finally:
            cloud.stop()
    figures = {
        "orders": {"accepted": report.accepted, "by_status": dict(report.ended), "lost": len(report.lost)},
        "faults": dict(report.faults),
        **(
            {
                "calls_an_order": {"in_peace": round(report.calm_calls, 1), "under_faults": round(report.calls, 1)},
                "amplification": round(report.amplification, 3),
            }
            if report.calm_calls
            else {}
        ),
        "dead_letters": report.letters,
        "troubles": report.troubles,
    }
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return 1 if report.troubles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
