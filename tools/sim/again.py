"""A process in which a simulation plays the same way each time."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def repeatably(module: str, arguments: Sequence[str]) -> None:
    """Start ``python -m module`` over without random hashes, unless it is so: sets' order is part of what happens."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", module, *arguments]
        os.execve(sys.executable, command, environment)  # noqa: S606 - this very program
