"""``python -m tools.audit``: see ``docs/operations/audit.md``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3

from tools.audit.auditor import INVARIANTS, audit
from tools.audit.source import dump, of_dump, of_stage
from tools.tables import tables_of


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description="Says what does not balance.")
    parser.add_argument("--stage", default="local", help="whose tables are read, with the credentials of this shell")
    parser.add_argument("--dump", type=Path, help="read this dump instead")
    parser.add_argument("--write", type=Path, help="also write the tables to this folder, as a dump")
    parser.add_argument("--slack", type=int, default=0, help="seconds that something may be on its way (0: at rest)")
    asked = parser.parse_args(arguments)
    if asked.dump:
        tables, now = of_dump(asked.dump)
    else:
        names = tables_of(boto3.client("ssm"), asked.stage)
        tables, now = of_stage(boto3.client("dynamodb"), names), datetime.now(UTC)
    if asked.write:
        dump(tables, now, asked.write)
    findings = audit(tables, now, timedelta(seconds=asked.slack))
    for finding in findings:
        print(finding)
    items = sum(len(one) for one in tables.values())
    broken = Counter(finding.invariant for finding in findings)
    print(f"audit: {items} items, {len(INVARIANTS)} invariants, {len(findings)} findings", dict(broken) or "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
