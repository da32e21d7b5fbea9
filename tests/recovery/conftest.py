"""The drill has a cloud of its own (``make drill``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.localcloud.server import LocalCloud


@pytest.fixture(scope="session")
def cloud() -> LocalCloud:
    home = os.environ.get("LOCALCLOUD_HOME")
    if not home or os.environ.get("LOCALCLOUD_STAGE") != "drill":
        pytest.skip("this is no cloud of the stage drill: make drill")
    return LocalCloud(Path(home))
