"""Writes the API reference: an OpenAPI 3.1 document and a page to read, from the route table and the models.

    python -m tools.openapi

Routes and who may call them come from `commerce.access`; what a route takes and gives from the
``OPENAPI`` table of each context (in its ``api`` or, where that would cost cold starts, ``reference``
module). Both files lie beside the function that serves them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from commerce.access import ROUTES, Route
from commerce.http import Operation
from commerce.limits import LARGEST_BODY, LONGEST_CURSOR, LONGEST_PARAMETER, USUAL_PAGE
from tools.contracts import PlainSchema

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "functions" / "reference"
CONTEXTS = ("orders", "payments", "shipping", "customers", "notifications", "catalog", "inventory", "reference")
"""In the order in which the page tells of them."""

TITLES = {
    "orders": "Orders",
    "payments": "Payments",
    "shipping": "Shipments and slips",
    "customers": "Profile",
    "notifications": "Notifications",
    "catalog": "Catalogue",
    "inventory": "Stock and purchasing",
    "reference": "This API",
}
PROBLEMS = {
    400: "Malformed: the request cannot be read, or a header it needs is missing.",
    401: "Unauthenticated: no sign-in, or a token that does not hold.",
    403: "Forbidden: none of the groups of this route, or not yours.",
    404: "Not found, or not yours: the two are not told apart.",
    409: "Conflict: not possible in this state.",
    413: f"Too large: the body is longer than {LARGEST_BODY // 1024} KB.",
    422: "Invalid: a rule is broken; `errors` names each field.",
    429: "Too many requests, or orders, in a short time; `Retry-After` says in how many seconds there is room again.",
    500: "Something went wrong on our side.",
    503: "Try again in a moment; `Retry-After` says in how many seconds.",
}
_SECURED = {
    "signed-in": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token of the OpenID Connect issuer; its groups decide what it opens.",
    },
    "order-token": {
        "type": "apiKey",
        "in": "header",
        "name": "Order-Token",
        "description": "What the answer to POST /guest/orders carries; it opens that one order.",
    },
}
_HTML = {"GET /reference"}

Document = dict[str, Any]


def operations() -> dict[str, tuple[str, Operation]]:
    """Return route key -> context and operation, of every context that there is."""
    found: dict[str, tuple[str, Operation]] = {}
    for context in CONTEXTS:
        for name in (f"{context}.reference", f"{context}.api"):
            if importlib.util.find_spec(context) is None or importlib.util.find_spec(name) is None:
                continue
            table: Mapping[str, Operation] = getattr(importlib.import_module(name), "OPENAPI", {})
            found |= {key: (context, operation) for key, operation in table.items()}
    return found


def undescribed(found: Mapping[str, tuple[str, Operation]]) -> list[str]:
    """Return routes that no context describes, and described ones that are no routes."""
    return sorted(ROUTES.keys() ^ found.keys())


def build(found: Mapping[str, tuple[str, Operation]]) -> Document:
    """Return the OpenAPI 3.1 document of the routes in ``found``."""
    models = [one for _, each in found.values() for one in _models(each)]
    references, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}", schema_generator=PlainSchema
    )
    paths: dict[str, Document] = {}
    for context in CONTEXTS:
        for key, (owner, operation) in found.items():
            if owner == context:
                method, path = key.split(" ", 1)
                described = _operation(key, ROUTES[key], context, operation, references)
                paths.setdefault(path, {})[method.lower()] = described
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Commerce platform",
            "version": "1",
            "summary": "From placing an order to its delivery.",
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": TITLES[context]} for context in CONTEXTS],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURED,
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM, "GatewayAnswer": _GATEWAY},
            "responses": {str(status): _problem(status, text) for status, text in PROBLEMS.items()},
        },
    }
    # Docstrings mark code as reStructuredText does, OpenAPI's descriptions as Markdown does.
    marked: Document = json.loads(json.dumps(document).replace("``", "`"))
    return marked


def page(document: Document) -> str:
    """Return the document as one HTML page that loads nothing."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("reference")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["marked"] = _marked
    style, script = (_beside(name) for name in ("style.css", "search.js"))
    groups = [
        (tag["name"], [one for one in _listed(document) if tag["name"] in one["tags"]]) for tag in document["tags"]
    ]
    return templates.get_template("page.html.j2").render(
        document=document,
        groups=groups,
        schemas={name: _fields(schema) for name, schema in sorted(document["components"]["schemas"].items())},
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
    )


def files() -> dict[str, str]:
    """Return file name -> text of both files."""
    document = build(operations())
    return {
        "openapi.json": json.dumps(document, ensure_ascii=False, indent=1) + "\n",
        "reference.html": page(document),
    }


def main() -> int:
    """Write both files; say which routes they lack."""
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    missing = undescribed(operations())
    for key in missing:
        print(f"not described: {key}", file=sys.stderr)
    return 1 if missing else 0


_ABOUT = """Amounts are integers in minor units of their currency; times are UTC, RFC 3339. Lists are paged: give
`next` of a page as `cursor` of the next call. Refusals are problem details (RFC 9457) with a stable `type`.
A call that may have been lost can be made again: `PUT` has the same effect however often, and `POST` has one
effect per `Idempotency-Key` where it takes one."""

_PROBLEM: Document = {
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Stable name of the problem.", "examples": ["/problems/invalid"]},
        "title": {"type": "string", "examples": ["The request breaks a rule"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "description": "What happened this time."},
        "errors": {
            "type": "array",
            "description": "The fields at fault.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["lines.3.quantity"]},
                    "code": {"type": "string", "examples": ["out-of-range"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


_GATEWAYS = frozenset({401, 413, 500, 503})
"""Statuses that the gateway also answers with by itself: a sign-in that does not hold, too long a body, a function that
failed or did not answer. An HTTP API's own answers cannot be given another form (API Gateway developer guide)."""

_GATEWAY: Document = {
    "description": "What the gateway says by itself, before or instead of the platform.",
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string", "examples": ["Unauthorized"]}},
}


def _models(operation: Operation) -> list[tuple[type[BaseModel], Any]]:
    # A body that is sent may leave defaults out; one that is answered has all its fields.
    requests = [(operation.request, "validation")] if operation.request else []
    return requests + ([(operation.response, "serialization")] if operation.response else [])


def _operation(
    key: str, route: Route, context: str, operation: Operation, references: Mapping[Any, Document]
) -> Document:
    method, path = key.split(" ", 1)
    described: Document = {
        "operationId": _name(method, path),
        "tags": [TITLES[context]],
        "summary": operation.summary,
        "description": _callers(route),
        "parameters": _parameters(method, path, route, operation),
    }
    if route.signed_in:
        described["security"] = [{"signed-in": []}]
    elif route.open_to == "order-token":
        described["security"] = [{"order-token": []}]
    else:
        described["security"] = []
    if operation.request:
        schema = references[operation.request, "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    described["responses"] = _responses(key, route, operation, references)
    return described


def _responses(key: str, route: Route, operation: Operation, references: Mapping[Any, Document]) -> Document:
    answer: Document = {"description": "Done."}
    if operation.response:
        schema = references[operation.response, "serialization"]
        answer["content"] = {"application/json": {"schema": schema}}
    elif key in _HTML:
        answer["content"] = {"text/html": {"schema": {"type": "string"}}}
    elif operation.status != 204:
        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
    answers = {str(operation.status): answer}
    if "If-None-Match" in (operation.headers or {}):
        answers["304"] = {"description": "It is as it was: nothing has changed since that ETag."}
    refused = {429, 500, *operation.refused}
    if route.function != "reference":
        refused |= {400, 503}
    if not key.startswith("GET "):
        refused |= {409, 413, 422}
    if operation.query:
        refused |= {422}
    if "{" in key:
        refused |= {404}
    if route.signed_in:
        refused |= {401, 403}
    elif route.open_to in ("order-token", "signature"):
        refused |= {401}
    problems = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(refused)}
    return answers | problems


def _parameters(method: str, path: str, route: Route, operation: Operation) -> list[Document]:
    found: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": LONGEST_PARAMETER}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    for name, text in (operation.query or {}).items():
        longest = LONGEST_CURSOR if name == "cursor" else LONGEST_PARAMETER
        schema: Document = {"type": "string", "maxLength": longest}
        if name == "limit":
            most = operation.most
            schema = {"type": "integer", "minimum": 1, "maximum": most, "default": min(most, USUAL_PAGE)}
        found.append({"name": name, "in": "query", "required": False, "description": text, "schema": schema})
    headers = dict(operation.headers or {})
    if method == "POST" and route.open_to != "signature":
        headers.setdefault("Idempotency-Key", ("1 to 255 visible characters, new for each thing you want done.", False))
    for name, (text, required) in headers.items():
        if name == "Order-Token" and route.open_to == "order-token":
            continue  # that is what the security scheme says
        found.append(
            {"name": name, "in": "header", "required": required, "description": text, "schema": {"type": "string"}}
        )
    return found


def _callers(route: Route) -> str:
    if route.signed_in:
        return f"For {', '.join(sorted(route.groups))}."
    return {
        "order-token": "For whoever holds the order token.",
        "signature": "For payment providers, who sign what they send.",
    }.get(route.open_to, "For everybody.")


def _name(method: str, path: str) -> str:
    words = re.findall(r"[a-z0-9]+", path.replace(".json", "").lower())
    return method.lower() + "".join(word.capitalize() for word in words)


def _problem(status: int, text: str) -> Document:
    content: Document = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if status in _GATEWAYS:
        content["application/json"] = {"schema": {"$ref": "#/components/schemas/GatewayAnswer"}}
    return {"description": text, "content": content}


def _listed(document: Document) -> list[Document]:
    return [
        {
            **operation,
            "method": method.upper(),
            "path": path,
            "request": _body(operation.get("requestBody", {})),
            "answers": [
                (status, *_answer(answer, document["components"]["responses"]))
                for status, answer in operation["responses"].items()
            ],
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _answer(answer: Document, shared: Mapping[str, Document]) -> tuple[str, str]:
    if "$ref" in answer:
        answer = shared[answer["$ref"].rsplit("/", 1)[1]]
    return answer["description"], _body(answer)


def _body(described: Document) -> str:
    for content in described.get("content", {}).values():
        reference: str = content["schema"].get("$ref", "")
        return reference.rsplit("/", 1)[-1]
    return ""


def _fields(schema: Document) -> Document:
    required = set(schema.get("required", ()))
    return {
        "description": schema.get("description", ""),
        "values": schema.get("enum", []),
        "fields": [
            {
                "name": name,
                "required": name in required,
                "type": kind,
                "link": link,
                "text": _says(field),
                "example": json.dumps(field["examples"][0], ensure_ascii=False) if "examples" in field else "",
            }
            for name, field in schema.get("properties", {}).items()
            for kind, link in [_type(field)]
        ],
    }


def _type(field: Document) -> tuple[str, str]:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return name, name
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"]]
        return " or ".join(kind for kind, _ in kinds), next((link for _, link in kinds if link), "")
    if field.get("type") == "array":
        kind, link = _type(field.get("items", {}))
        return f"list of {kind}", link
    if "enum" in field or "const" in field:
        return " | ".join(json.dumps(one) for one in field.get("enum", [field.get("const")])), ""
    return field.get("type", "any"), ""


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "characters, at least",
    "maxLength": "characters, at most",
    "minItems": "entries, at least",
    "maxItems": "entries, at most",
    "pattern": "pattern",
}


def _says(field: Document) -> str:
    one = next((choice for choice in field.get("anyOf", []) if choice.get("type") != "null"), field)
    bounds = [f"{words} {one[bound]}" for bound, words in _BOUNDS.items() if bound in one]
    default = [f"default {json.dumps(field['default'])}"] if field.get("default") not in (None, [], {}) else []
    return "; ".join([*filter(None, [field.get("description", "")]), *bounds, *default])


def _marked(text: str) -> Markup:
    parts = [
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _beside(name: str) -> str:
    return Path(__file__).with_name("reference").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


if __name__ == "__main__":
    sys.exit(main())
