"""Events as Lambda hands them over: a call of the HTTP API (payload format 2.0) and a batch from SQS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from commerce.events import Event

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def call(
    handler: Handler,
    route: str,
    body: Any = None,
    *,
    sub: str = "",
    groups: str = "customer",
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON body of the answer to one call by ``sub``."""
    answer = handler(request(route, body, sub=sub, groups=groups, path=path, query=query), None)
    return answer["statusCode"], json.loads(answer.get("body") or "{}")


def request(
    route: str,
    body: Any = None,
    *,
    sub: str = "",
    groups: str = "customer",
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return one call by ``sub`` as the gateway hands it over; a ``body`` that is a text is sent as it is."""
    method, raw = route.split(" ")
    for name, value in (path or {}).items():
        raw = raw.replace(f"{{{name}}}", value)
    context: dict[str, Any] = {"http": {"method": method, "path": raw}, "routeKey": route, "stage": "$default"}
    if sub:
        context["authorizer"] = {"jwt": {"claims": {"sub": sub, "cognito:groups": f"[{groups}]"}}}
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw,
        "rawQueryString": "",
        "headers": dict(headers or {}),
        "pathParameters": dict(path or {}),
        "queryStringParameters": dict(query or {}),
        "requestContext": context,
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


def batch(*events: Event) -> dict[str, Any]:
    """Return the SQS event that carries ``events`` as EventBridge sends them; message ids count from 0."""
    bodies = [
        {"detail-type": event.name(), "source": event.source(), "detail": event.model_dump(mode="json")}
        for event in events
    ]
    return {"Records": [{"messageId": str(at), "body": json.dumps(body)} for at, body in enumerate(bodies)]}
