"""Which tables a stage uses: what its data stack has published, so that it is right after a recovery too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterTypeDef


class NothingDeployed(Exception):
    """The stage has published no tables."""


def tables_of(client: SSMClient, stage: str) -> Mapping[str, str]:
    """Return context -> name of the table it uses.

    Raises
    ------
    NothingDeployed
        There is no such stage here.
    """
    return {one["Name"].rpartition("/")[2]: one["Value"] for one in _published(client, stage)}


def switched_at(client: SSMClient, stage: str) -> datetime:
    """Return when the last of them was taken into use.

    Raises
    ------
    NothingDeployed
        There is no such stage here.
    """
    return max(one["LastModifiedDate"] for one in _published(client, stage)).astimezone(UTC)


def _published(client: SSMClient, stage: str) -> list[ParameterTypeDef]:
    pages = client.get_paginator("get_parameters_by_path").paginate(Path=f"/commerce/{stage}/tables/")
    found = [one for page in pages for one in page["Parameters"]]
    if not found:
        raise NothingDeployed(stage)
    return found
