"""What all tests have left in the tables balances."""

from __future__ import annotations

import pytest

from tests.e2e.support import Platform
from tools.audit.deployed import unbalanced


@pytest.mark.at_the_end
def test_the_auditor_finds_nothing(platform: Platform) -> None:
    assert unbalanced(platform.deployment, within=60) == []
