"""Where the auditor's tables come from: a stage's tables, or a dump of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import Binary, TypeDeserializer

from tools.audit.books import Item, Tables, moment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONTEXTS = ("orders", "inventory", "payments", "shipping", "notifications", "catalog", "customers", "vault")
_TAKEN = "taken_at"


def of_stage(client: DynamoDBClient, names: Mapping[str, str]) -> Tables:
    """Read the tables that a stage uses (context -> name), consistently item by item.

    A scan is no moment's picture: while the platform is at work, audit with slack.
    """
    return {context: list(_scan(client, names[context])) for context in CONTEXTS}


def of_dump(folder: Path) -> tuple[Tables, datetime]:
    """Read a dump, and when it was taken: one file ``<context>.jsonl`` a table, an item a line; binaries as
    ``{"b64": ...}``.
    """
    tables = {
        file.stem: [json.loads(line, object_hook=_from_json) for line in file.read_text().splitlines()]
        for file in sorted(folder.glob("*.jsonl"))
    }
    return tables, moment((folder / _TAKEN).read_text().strip())


def dump(tables: Tables, at: datetime, folder: Path) -> None:
    """Write what `of_dump` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TAKEN).write_text(f"{at.isoformat()}\n")
    for context, items in tables.items():
        lines = (json.dumps(dict(item), default=_to_json, ensure_ascii=False, sort_keys=True) for item in items)
        (folder / f"{context}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def plain(raw: dict[str, Any]) -> Item:
    """Return an item in DynamoDB's JSON as plain values."""
    read = TypeDeserializer()
    return {name: _plain(read.deserialize(value)) for name, value in raw.items()}


def _scan(client: DynamoDBClient, table: str) -> Iterator[Item]:
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for raw in page["Items"]:
            yield plain(raw)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, Binary):
        return value.value  # type: ignore[attr-defined]
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(type(value).__name__)


def _from_json(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["b64"]) if found.keys() == {"b64"} else found
