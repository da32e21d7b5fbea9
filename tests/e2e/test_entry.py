"""On the stage `test` the clients stand for CloudFront: without the header that it adds, nothing is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from commerce.access import ROUTES
from commerce.origin import HEADER
from infra.settings import STAGES
from tests.e2e.support import Platform
from tools.client import Deployment

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def past(deployment: Deployment) -> Iterator[httpx.Client]:
    """Somebody who has found out the API's own address."""
    entry = STAGES[deployment.stage].entry
    if entry is None:
        pytest.skip(f"the stage {deployment.stage} has no entry")
    with httpx.Client(base_url=deployment.api, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("key", ROUTES)
def test_no_route_answers_who_comes_past_the_entry(key: str, past: httpx.Client, platform: Platform) -> None:
    method, path = key.split(" ")
    path = re.sub(r"{\w+}", "06PM4NXBDTKB", path)
    groups = sorted(ROUTES[key].groups)
    headers = {"Authorization": f"Bearer {platform.staff[groups[0]].token}"} if groups else {}
    for value in (None, "", "a guess"):
        given = headers if value is None else {**headers, HEADER: value}
        answer = past.request(method, path, headers=given, content=b"{}" if method != "GET" else None)
        assert answer.status_code == 403, value
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/not-through-the-entry"


def test_the_same_call_with_the_header_is_answered(past: httpx.Client, deployment: Deployment) -> None:
    assert past.get("/health", headers=deployment.of_the_entry()).json() == {"status": "ok"}
