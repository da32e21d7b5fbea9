"""``python -m tools.cost [--record | --tables]``: count on a cloud of its own what orders cost, against the budget."""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.client import Deployment, Refused, TooLate
from tools.cost import report
from tools.cost.deployed import deployed
from tools.cost.figures import FILE, Figures, exceeded, recorded, table
from tools.cost.play import Player
from tools.localcloud.deploy import deploy
from tools.localcloud.server import ROOT, LocalCloud, LocalCloudError
from tools.run.journal import Journal

HOME = Path(".localcloud/cost")
STAGE = "local"
WIDE = 132
"""Columns that the table needs where no terminal says how many there are."""


def main(arguments: list[str]) -> int:
    """Count, print, compare; returns 1 if the budget is exceeded or an order is not where it should be."""
    parser = argparse.ArgumentParser(prog="python -m tools.cost", description="What orders cost at AWS's list prices.")
    parser.add_argument("--record", action="store_true", help="make what is counted the budget, and write the tables")
    parser.add_argument("--tables", action="store_true", help="play nothing: count what stands, and write the tables")
    asked = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    if asked.tables:
        _record(replace(recorded(), deployed=deployed("prod")), console)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cloud = LocalCloud(ROOT / HOME)
    cloud.stop()
    try:
        cloud.start()
        deploy(cloud, STAGE)
        found, troubles = count(cloud, console)
    except (LocalCloudError, Refused, TooLate, TimeoutError) as error:
        print(f"cost: {error}", file=sys.stderr)
        return 1
    finally:
        cloud.stop()
    console.print(_shown(found))
    for month in report.months(found):
        console.print(f"{month.orders_a_day:>10,} orders a day: ${month.total:,.0f} a month")
    if asked.record and not troubles:
        _record(found, console)
    else:
        troubles += exceeded(found, recorded())
    for trouble in troubles:
        console.print(f"[red]not as it should be:[/] {trouble}")
    return 1 if troubles else 0


def count(cloud: LocalCloud, console: Console) -> tuple[Figures, list[str]]:
    """Return all that is counted on a fresh cloud, and what went wrong."""
    standing = deployed("prod")
    player = Player(Deployment.on(cloud), Journal(cloud.home / "calls.jsonl"), console.print)
    before = Counter(player.stored())
    alone, figures = player.orders()
    left = Counter(player.stored()) - before
    parcel, scan = player.scans()
    whole = replace(
        figures,
        parcel=parcel,
        scan=scan,
        sweep=player.sweep(),
        stored={name: size / len(alone.orders) for name, size in sorted(left.items())},
        deployed=standing,
    )
    return whole, alone.troubles


def _record(figures: Figures, console: Console) -> None:
    figures.save()
    report.write(figures)
    console.print(f"written to {FILE.relative_to(ROOT)} and the tables of {', '.join(report.DOCUMENTS)}")


def _shown(figures: Figures) -> Table:
    by_stage = table(figures)
    services = [name for name in next(iter(by_stage.values())) if any(one[name] for one in by_stage.values())]
    title = f"AWS list price of 1,000 orders of {figures.lines:.1f} lines, US dollars"
    shown = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("", *by_stage, "in all"):
        shown.add_column(heading, justify="right" if heading else "left")
    for service in services:
        costs = [one[service] for one in by_stage.values()]
        shown.add_row(service, *(f"{one:.4f}" for one in costs), f"{sum(costs):.4f}")
    totals = [sum(one.values()) for one in by_stage.values()]
    shown.add_row("in all", *(f"{one:.4f}" for one in totals), f"{sum(totals):.4f}", style="bold")
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
