"""What an order takes on the deployed platform, played before anything else happens, against the budget."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.client import Deployment
from tools.cost.figures import exceeded, recorded
from tools.cost.play import Player
from tools.run.journal import Journal

pytestmark = pytest.mark.e2e


@pytest.mark.at_the_start
def test_an_order_takes_no_more_than_its_budget(deployment: Deployment) -> None:
    player = Player(deployment, Journal(Path(os.environ["LOCALCLOUD_HOME"]) / "calls.jsonl"), print)
    alone, figures = player.orders()
    assert alone.troubles == []
    assert exceeded(figures, recorded()) == []
