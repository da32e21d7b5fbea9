"""What all tests have left in the tables balances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.support import Platform, until
from tools.audit import audit
from tools.audit.source import of_stage

ON_ITS_WAY = timedelta(seconds=20)
"""Longer than a message and a sweep take here."""


@pytest.mark.at_the_end
def test_the_auditor_finds_nothing(platform: Platform) -> None:
    client = platform.deployment.client("dynamodb")

    def findings() -> list[str]:
        return [str(one) for one in audit(of_stage(client, platform.deployment.tables), datetime.now(UTC), ON_ITS_WAY)]

    assert until(findings, lambda found: not found, "the tables to balance", within=60) == []
