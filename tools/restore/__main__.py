"""``python -m tools.restore backup|restore|return``: see ``docs/operations/recovery.md``."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime

import boto3

from infra.settings import STAGES
from infra.tables import TABLES
from tools.restore.tables import Account, back_up, backups_named, publish_stream, restore
from tools.tables import tables_of

ORDERLY = ("orders", "inventory", "payments", "shipping", "notifications")
"""Contexts whose tables tell of the same orders: they are restored together unless it is asked otherwise."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.restore", description="Backs tables up and restores them.")
    parser.add_argument("command", choices=["backup", "restore", "return"])
    parser.add_argument("--stage", required=True, choices=sorted(STAGES))
    parser.add_argument(
        "--tables", nargs="+", choices=sorted(TABLES), help="contexts; those of orders if none is named"
    )
    parser.add_argument("--backup", help="name of an on-demand backup")
    parser.add_argument("--to", type=datetime.fromisoformat, help="moment to restore to, with its offset from UTC")
    parser.add_argument("--generation", help="end of the restored tables' names: r1")
    asked = parser.parse_args(arguments)
    stage = STAGES[asked.stage]
    account = Account(boto3.client("dynamodb"), boto3.client("ssm"))
    used = tables_of(account.ssm, stage.name)
    if asked.command == "backup":
        chosen = {context: used[context] for context in asked.tables or TABLES}
        made = back_up(account, chosen, asked.backup or parser.error("name the backup: --backup"))
        print(json.dumps(made, indent=2))
        return 0
    chosen = {context: used[context] for context in asked.tables or ORDERLY}
    if asked.command == "return":
        # The way back: the tables that the stack had made are there still, and only have to be told of.
        old = {context: f"commerce-{stage.name}-{context}" for context in chosen}
        for context, table in old.items():
            publish_stream(account, stage, context, table)
        _say_what_to_set(dict.fromkeys(old, ""))
        return 0
    if not asked.generation or bool(asked.backup) == bool(asked.to):
        parser.error("restore needs --generation, and --to or --backup")
    if asked.to and asked.to.tzinfo is None:
        parser.error("--to needs its offset from UTC: 2026-11-25T03:00:00Z")
    source = asked.to or backups_named(account, chosen, asked.backup)
    if not asked.to and source.keys() != chosen.keys():
        parser.error(f"there is no backup {asked.backup} of {', '.join(sorted(chosen.keys() - source.keys()))}")
    restore(account, stage, chosen, asked.generation, source)
    _say_what_to_set(dict.fromkeys(chosen, asked.generation))
    return 0


def _say_what_to_set(tables: dict[str, str]) -> None:
    told = ", ".join(f'"{context}": Restored("{generation}")' for context, generation in tables.items())
    print(f"set in infra/settings.py and deploy:\n    tables={{{told}}},")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
