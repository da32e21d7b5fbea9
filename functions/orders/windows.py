"""The stage's windows, as a function is told them."""

from __future__ import annotations

from datetime import timedelta

from commerce import settings
from orders.model import Windows


def windows() -> Windows:
    """Return the windows of this deployment's stage."""
    return Windows(
        silence=timedelta(seconds=settings.env_seconds("SILENCE_SECONDS")),
        acceptance=timedelta(seconds=settings.env_seconds("ACCEPTANCE_SECONDS")),
    )
