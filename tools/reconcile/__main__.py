"""``python -m tools.reconcile``: see ``docs/operations/recovery.md``."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3

from infra.settings import STAGES
from tools.reconcile.archive import read
from tools.reconcile.desk import Desk, Watch
from tools.reconcile.reconcile import SKEW, Report, reconcile
from tools.tables import switched_at, tables_of

ROOT = Path(__file__).parents[2]

RULE_SETTLES = 60.0
"""Seconds until AWS surely uses a new rule (EventBridge user guide: "allow a short period of time")."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.reconcile", description="Reconciles a restored stage.")
    parser.add_argument("--stage", default="local", choices=sorted(STAGES), help="with the credentials of this shell")
    parser.add_argument(
        "--since", required=True, type=datetime.fromisoformat, help="the earliest moment that a table was restored to"
    )
    parser.add_argument("--skew", type=int, default=int(SKEW.total_seconds()), help="seconds that are read before it")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and do nothing")
    asked = parser.parse_args(arguments)
    if asked.since.tzinfo is None:
        parser.error("--since needs its offset from UTC: 2026-11-25T06:00:00Z")
    report = run(asked.stage, asked.since - timedelta(seconds=asked.skew), dry=asked.dry_run)
    show(report, dry=asked.dry_run)
    file = ROOT / "build" / "reconcile" / f"{asked.stage}-newer.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([one.as_dict() for one in report.newer], indent=2) + "\n")
    print(f"orders newer than the restored ones: {len(report.newer)}, in {file.relative_to(ROOT)}")
    return 1 if report.trouble else 0


def run(stage: str, since: datetime, *, dry: bool) -> Report:
    """Reconcile a stage with this shell's credentials."""
    settings = STAGES[stage]
    events, states, dynamodb = boto3.client("events"), boto3.client("stepfunctions"), boto3.client("dynamodb")
    prefix = f"commerce-{stage}-"
    machines = {
        one["name"]: one["stateMachineArn"]
        for page in states.get_paginator("list_state_machines").paginate()
        for one in page["stateMachines"]
    }
    now = datetime.now(UTC) + timedelta(minutes=1)
    settle = 0.0 if settings.emulated else RULE_SETTLES
    sqs, ssm = boto3.client("sqs"), boto3.client("ssm")
    with ThreadPoolExecutor() as both:
        commerce, carriers = both.map(
            lambda bus: read(events, sqs, f"{prefix}{bus}", since, now, settle), ("commerce", "carriers")
        )
    desk = Desk(
        stage=settings,
        tables=tables_of(ssm, stage),
        dynamodb=dynamodb,
        states=states,
        events=events,
        kms=boto3.client("kms"),
        data_key=ssm.get_parameter(Name=f"/commerce/{stage}/data-key-arn")["Parameter"]["Value"],
        lifecycle=machines[f"{prefix}order-lifecycle"],
        completion=machines[f"{prefix}order-completion-express"],
        watch=Watch(dynamodb, dry=dry),
        dry=dry,
    )
    return reconcile(desk, commerce, carriers, since, switched_at(ssm, stage), f"{prefix}commerce")


def show(report: Report, *, dry: bool) -> None:
    """Print what was done."""
    for step, lines in report.steps.items():
        print(f"{step}: {len(lines)}{' (dry run)' if dry else ''}")
        for line in lines:
            print(f"  {line}")
    for one in report.newer:
        print(f"newer: {one.order_id} placed {one.placed_at or '?'}, {one.total} {one.currency}: {one.outcome}")
    for line in report.trouble:
        print(f"look at: {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
