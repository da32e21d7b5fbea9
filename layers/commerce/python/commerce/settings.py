"""What a function is told by its environment, read when it is asked for and never at import."""

from __future__ import annotations

import os


def env(name: str) -> str:
    """Return the environment variable ``name``.

    Raises
    ------
    KeyError
        The function was deployed without it.
    """
    return os.environ[name]


def env_seconds(name: str) -> int:
    """Return the environment variable ``name`` as whole seconds."""
    return int(os.environ[name])
