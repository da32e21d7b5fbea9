"""A flash sale on the deployed platform, in small: `make flash` plays a large one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.support import Platform
from tools.flash.deployed import sell
from tools.run.journal import Journal

pytestmark = pytest.mark.e2e

BUYERS, UNITS, SHARDS = 60, 10, 20
LONGEST = 240
"""Seconds: what is not paid for comes back after 20, and on a busy machine everything takes its time."""


def test_sixty_buyers_at_once_for_ten_units(platform: Platform) -> None:
    journal = Journal(Path(os.environ["LOCALCLOUD_HOME"]) / "calls.jsonl")
    sale = sell(platform.deployment, journal, BUYERS, UNITS, SHARDS, within=LONGEST)
    assert list(sale.troubles()) == [], sale.figures()
