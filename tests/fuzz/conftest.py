"""One stage a process; each test enters it anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.stage import Stage


@pytest.fixture(scope="session")
def built() -> Stage:
    return Stage()


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    with built.entered():
        yield built
