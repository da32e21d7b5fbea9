"""What every function's environment has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from commerce import telemetry


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "payments")
    telemetry.metrics.cache_clear()
    yield
    telemetry.metrics.cache_clear()
