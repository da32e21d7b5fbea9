"""The archives of the buses, which the emulator knows by API and refuses in a template (``infra/local.py``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


def make_archives(events: EventBridgeClient, stage: str, days: int) -> None:
    """Make the archive that the data stack gives each bus on AWS."""
    for bus in (f"commerce-{stage}-commerce", f"commerce-{stage}-carriers"):
        events.create_archive(
            ArchiveName=bus,
            EventSourceArn=events.describe_event_bus(Name=bus)["Arn"],
            EventPattern=json.dumps({"replay-name": [{"exists": False}]}),
            RetentionDays=days,
        )
