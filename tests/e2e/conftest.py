"""The deployed platform, once a session, and what the tests begin in the background."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.support import Platform, Shop
from tools.client import Deployment, Refused

PROLOGUES_AT_ONCE = 4
LONGEST_PROLOGUE = 240


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "begun(prologue): is begun in the background when the session starts")
    config.addinivalue_line("markers", "at_the_start: needs a platform on which nothing else happens")
    config.addinivalue_line("markers", "at_the_end: looks at what all other tests have left")
    config.addinivalue_line("markers", "after_all: breaks something, or looks at what was done in all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marks = {"at_the_start": -1, "at_the_end": 1, "after_all": 2}

    def when(item: pytest.Item) -> int:
        return sum(place for name, place in marks.items() if item.get_closest_marker(name))

    items.sort(key=when)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    shop = getattr(item, "funcargs", {}).get("shop")
    if report.failed and isinstance(shop, Shop):
        try:
            report.sections.append(("orders of this test", shop.report()))
        except (httpx.HTTPError, OSError, Refused) as error:
            report.sections.append(("orders of this test", f"cannot be shown: {error}"))
    return report


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    home = os.environ.get("LOCALCLOUD_HOME")
    if not home:
        pytest.skip("LOCALCLOUD_HOME names no local cloud to test: make e2e")
    return Deployment.at(Path(home))


@pytest.fixture(scope="session")
def platform(deployment: Deployment) -> Platform:
    return Platform(deployment)


@pytest.fixture(scope="session")
def beginnings(request: pytest.FixtureRequest, platform: Platform) -> Iterator[dict[str, tuple[Shop, Future[Any]]]]:
    pool = ThreadPoolExecutor(PROLOGUES_AT_ONCE)
    started = {}
    for item in request.session.items:
        mark = item.get_closest_marker("begun")
        if mark:
            shop = Shop(platform)
            started[item.nodeid] = shop, pool.submit(mark.args[0], shop)
    yield started
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def shop(request: pytest.FixtureRequest, platform: Platform, beginnings: dict[str, tuple[Shop, Future[Any]]]) -> Shop:
    """This test's view of the platform, the same that its prologue had."""
    found = beginnings.get(request.node.nodeid)
    return found[0] if found else Shop(platform)


@pytest.fixture
def prelude(request: pytest.FixtureRequest, beginnings: dict[str, tuple[Shop, Future[Any]]], shop: Shop) -> Any:
    """What the prologue of this test returned."""
    return beginnings[request.node.nodeid][1].result(timeout=LONGEST_PROLOGUE)
