"""The audit of a deployed stage, while the last messages come to rest."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tools.audit.auditor import audit
from tools.audit.source import of_stage
from tools.client import Deployment, TooLate, until

ON_ITS_WAY = timedelta(seconds=20)
"""Longer than a message and a sweep take on a local cloud."""


def findings(deployment: Deployment, slack: timedelta = ON_ITS_WAY) -> list[str]:
    """Return what does not balance in the tables now."""
    tables = of_stage(deployment.client("dynamodb"), deployment.tables)
    return [str(one) for one in audit(tables, datetime.now(UTC), slack)]


def unbalanced(deployment: Deployment, within: float) -> list[str]:
    """Return what does not balance once what is on its way has had time to come, ``within`` seconds at the most."""
    with suppress(TooLate):
        return until(
            lambda: findings(deployment), lambda found: not found, "the tables to balance", within=within, every=2
        )
    return findings(deployment)
