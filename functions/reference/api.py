"""Open routes that answer from files beside this one, which `tools.openapi` makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from commerce.errors import CommerceError
from commerce.http import Operation, refusal
from commerce.origin import check

_FILES = {
    "GET /openapi.json": ("openapi.json", "application/json"),
    "GET /reference": ("reference.html", "text/html; charset=utf-8"),
}


OPENAPI: dict[str, Operation] = {
    "GET /openapi.json": Operation("Show this API as an OpenAPI 3.1 document."),
    "GET /reference": Operation("Show this API as a page to read."),
    "GET /health": Operation("Say that the platform answers."),
}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a call of the HTTP API (payload format 2.0)."""
    try:
        check(event)
    except CommerceError as error:
        return refusal(error)
    route = event["routeKey"]
    if route == "GET /health":
        return _answer('{"status":"ok"}', "application/json", "no-store")
    name, kind = _FILES[route]
    return _answer(_text(name), kind, "public, max-age=300")


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _answer(body: str, kind: str, caching: str) -> dict[str, Any]:
    headers = {"Content-Type": kind, "Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return {"statusCode": 200, "headers": headers, "body": body}
