"""Tables of a stage: backed up on demand, restored under new names, and made ready to take the old ones' place.

A restored table has its items and indexes and nothing else: no stream, no time to live, no point-in-time recovery, no
tags and no protection (DynamoDB developer guide, "Backup and restore: how it works"). The platform needs all of them,
so they are set before anything is switched over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from infra.settings import Stage
from infra.tables import TABLES, restored_stream

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

PATIENCE = 12 * 3600.0
"""Seconds to wait for a restore: AWS says minutes to hours, by the size of the table."""


@dataclass(frozen=True)
class Account:
    """The clients of the account that a stage is in."""

    dynamodb: DynamoDBClient
    ssm: SSMClient


def back_up(account: Account, tables: Mapping[str, str], name: str) -> dict[str, str]:
    """Make an on-demand backup ``name`` of each table; return context -> ARN.

    The tables are backed up one after another: the backups are not of the same moment.
    """
    made = {
        context: account.dynamodb.create_backup(TableName=table, BackupName=name)["BackupDetails"]["BackupArn"]
        for context, table in tables.items()
    }
    for arn in made.values():
        _until(lambda arn=arn: _backed_up(account, arn), f"backup {arn}")  # type: ignore[misc] # bound at once
    return made


def backups_named(account: Account, tables: Mapping[str, str], name: str) -> dict[str, str]:
    """Return context -> ARN of the backup ``name``, of those tables that have one."""
    found = {}
    for context, table in tables.items():
        for page in account.dynamodb.get_paginator("list_backups").paginate(TableName=table, BackupType="ALL"):
            for one in page["BackupSummaries"]:
                if one["BackupName"] == name:
                    found[context] = one["BackupArn"]
    return found


def restore(
    account: Account, stage: Stage, tables: Mapping[str, str], generation: str, source: Mapping[str, str] | datetime
) -> dict[str, str]:
    """Restore each table as ``commerce-<stage>-<context>-<generation>`` and make it ready; repeated, it goes on.

    Parameters
    ----------
    tables
        Context -> the table that is replaced.
    source
        The moment, for point-in-time recovery, or context -> ARN of a backup.

    Returns
    -------
    dict
        Context -> name of the restored table.
    """
    made = {context: f"commerce-{stage.name}-{context}-{generation}" for context in tables}
    for context, old in tables.items():
        try:
            if isinstance(source, datetime):
                account.dynamodb.restore_table_to_point_in_time(
                    SourceTableName=old, TargetTableName=made[context], RestoreDateTime=source
                )
            else:
                account.dynamodb.restore_table_from_backup(TargetTableName=made[context], BackupArn=source[context])
        except account.dynamodb.exceptions.TableAlreadyExistsException:
            continue  # begun by a call before this one
    with ThreadPoolExecutor(len(made)) as each:
        list(each.map(lambda context: make_ready(account, stage, context, made[context]), made))
    return made


def make_ready(account: Account, stage: Stage, context: str, table: str) -> None:
    """Give a table what the data stack gives the one it makes, and publish its stream; repeated, it changes nothing."""
    client = account.dynamodb
    _until(lambda: _active(account, table), f"table {table}")
    description = client.describe_table(TableName=table)["Table"]
    if TABLES[context].publishes and not description.get("StreamSpecification", {}).get("StreamEnabled"):
        client.update_table(TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
        _until(lambda: _active(account, table), f"stream of {table}")
    lives = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if lives.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        client.update_time_to_live(TableName=table, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
    _until(lambda: _recoverable(account, table), f"point-in-time recovery of {table}")
    if stage.stateful_retained and not description.get("DeletionProtectionEnabled"):
        client.update_table(TableName=table, DeletionProtectionEnabled=True)
        _until(lambda: _active(account, table), f"protection of {table}")
    client.tag_resource(
        ResourceArn=description["TableArn"],
        Tags=[{"Key": "platform", "Value": "commerce"}, {"Key": "stage", "Value": stage.name}],
    )
    publish_stream(account, stage, context, table)


def publish_stream(account: Account, stage: Stage, context: str, table: str) -> None:
    """Publish the stream of a table that the data stack refers to (`infra.tables.restored_stream`)."""
    if not TABLES[context].publishes:
        return
    stream = account.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    name = f"/commerce/{stage.name}/{restored_stream(stage.name, table)}"
    account.ssm.put_parameter(Name=name, Value=stream, Type="String", Overwrite=True)


def _backed_up(account: Account, arn: str) -> bool:
    described = account.dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
    return described["BackupDetails"]["BackupStatus"] == "AVAILABLE"


def _active(account: Account, table: str) -> bool:
    return account.dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"


def _recoverable(account: Account, table: str) -> bool:
    try:
        account.dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    except account.dynamodb.exceptions.ContinuousBackupsUnavailableException:
        return False  # backups of a new table are still being set up
    return True


def _until(holds: Callable[[], bool], what: str, every: float = 0.2) -> None:
    end, pause = time.monotonic() + PATIENCE, every
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(pause)
        pause = min(pause * 2, 20)
