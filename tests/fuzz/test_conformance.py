"""The harness that holds the deployed API against its document finds what is planted in a small one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conformance import Conformance, Known

pytestmark = pytest.mark.fuzz

NUMBER = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
PROBLEM = {"type": "object", "required": ["type", "status"], "properties": {"status": {"type": "integer"}}}


App = Callable[[httpx.Request], httpx.Response]


def answers(schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    return {"description": "", "content": {media: {"schema": schema}}}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Fake", "version": "1"},
    "paths": {
        "/things/{id}": {
            "put": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": NUMBER
                        }
                    },
                },
                "responses": {
                    "200": answers(NUMBER),
                    "401": answers(PROBLEM, "application/problem+json"),
                    "404": answers(PROBLEM, "application/problem+json"),
                    "422": answers(PROBLEM, "application/problem+json"),
                },
            }
        }
    },
}  # fmt: skip


def refusal(status: int, media: str = "application/problem+json") -> httpx.Response:
    body = {"type": "/problems/x", "status": status}
    return httpx.Response(status, content=json.dumps(body), headers={"Content-Type": media})


def app(request: httpx.Request) -> httpx.Response:
    """Put a number; everything as the document says."""
    if request.headers.get("authorization") != "Bearer good":
        return refusal(401)
    try:
        body = json.loads(request.content)
    except ValueError:
        return refusal(422)
    if not isinstance(body, dict) or not isinstance(body.get("number"), int) or isinstance(body["number"], bool):
        return refusal(422)
    return httpx.Response(200, json={"number": body["number"]}) if request.url.path == "/things/known" else refusal(404)


def held(to: App, examples: int = 40) -> Conformance:
    conformance = Conformance(DOCUMENT, httpx.Client(base_url="http://fake.invalid", transport=httpx.MockTransport(to)))
    callers = [{"Authorization": "Bearer good"}, {"Authorization": "Bearer bad"}, {}]
    conformance.check(
        "PUT /things/{id}", callers, Known({"id": ["known"], "number": [7]}, body={"number": 1}), examples, random=False
    )
    return conformance


def planted(where: int, instead: App) -> App:
    """Return the app with another answer in place of those with status ``where``."""

    def broken(request: httpx.Request) -> httpx.Response:
        answer = app(request)
        return instead(request) if answer.status_code == where else answer

    return broken


def test_an_api_that_keeps_to_its_document_is_seen_from_all_sides() -> None:
    seen = held(app).seen
    assert {status for _, status in seen} == {200, 401, 404, 422}


@pytest.mark.parametrize(
    ("where", "instead", "told"),
    [
        (200, lambda _: httpx.Response(500, json={"message": "oops"}), "Server error"),
        (404, lambda _: refusal(410), "Undocumented status code"),
        (200, lambda _: httpx.Response(200, json={"number": "7"}), "Response violates schema"),
        (200, lambda _: httpx.Response(200, json={}), "Response violates schema"),
        (422, lambda _: refusal(422, "application/json"), "Undocumented Content-Type"),
        (401, lambda _: httpx.Response(401, json={"message": "Unauthorized"}), "Undocumented Content-Type"),
    ],
)
def test_what_is_planted_is_found(where: int, instead: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        held(planted(where, instead))
