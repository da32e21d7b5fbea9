"""Every list of the served API reference takes its largest page, and no larger one."""

from __future__ import annotations

from typing import Any

import pytest

from commerce.access import ROUTES
from tests.e2e.support import GB, Platform

pytestmark = pytest.mark.e2e

NEEDED = {"GET /slips": {"warehouse": GB}}


def lists(document: dict[str, Any]) -> dict[str, int]:
    """Return route key -> largest page of each list that the document describes."""
    return {
        f"GET {path}": one["schema"]["maximum"]
        for path, methods in document["paths"].items()
        for one in methods.get("get", {}).get("parameters", ())
        if one["name"] == "limit"
    }


def test_every_list_takes_its_largest_page_and_no_larger_one(platform: Platform) -> None:
    found = lists(platform.api.ask("GET", "/openapi.json"))
    assert len(found) == 7
    for key, most in found.items():
        api = platform.staff[min(ROUTES[key].groups)] if ROUTES[key].signed_in else platform.api
        path, needed = key.removeprefix("GET "), NEEDED.get(key, {})
        assert api.send("GET", path, query={**needed, "limit": str(most)}).status == 200, key
        answer = api.send("GET", path, query={**needed, "limit": str(most + 1)})
        assert answer.status == 422, key
        assert [one["field"] for one in answer.body["errors"]] == ["limit"], key
