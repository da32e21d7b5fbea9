"""The API reference: every route is in it, it is valid, and the files are current."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from commerce.access import ROUTES
from reference import api
from tools.openapi import FOLDER, build, files, operations, undescribed

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build(operations())


def described(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described_and_nothing_else() -> None:
    assert undescribed(operations()) == []


def test_the_files_are_current() -> None:
    found = {name: (FOLDER / name).read_text(encoding="utf-8") for name in files()}
    assert found == files(), "run: python -m tools.openapi"


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for pointer in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        at: Any = document
        for step in pointer.split("/"):
            at = at[step]


def test_a_route_asks_for_what_the_route_table_says(document: dict[str, Any]) -> None:
    for key, operation in described(document).items():
        route = ROUTES[key]
        kinds = [name for one in operation["security"] for name in one]
        expected = ["signed-in"] if route.signed_in else ["order-token"] if route.open_to == "order-token" else []
        assert kinds == expected, key
        assert ("403" in operation["responses"]) == route.signed_in
        for group in route.groups:
            assert group in operation["description"]


def test_path_parameters_are_those_of_the_path(document: dict[str, Any]) -> None:
    for key, operation in described(document).items():
        named = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert named == re.findall(r"{(\w+)}", key)


def test_writes_take_an_idempotency_key_and_orders_need_one(document: dict[str, Any]) -> None:
    for key, operation in described(document).items():
        headers = {one["name"]: one["required"] for one in operation["parameters"] if one["in"] == "header"}
        if key.startswith("POST ") and ROUTES[key].open_to != "signature":
            assert "Idempotency-Key" in headers, key
    for key in ("POST /orders", "POST /guest/orders"):
        headers = {one["name"]: one["required"] for one in described(document)[key]["parameters"]}
        assert headers["Idempotency-Key"], key


def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for response in document["components"]["responses"].values():
        assert next(iter(response["content"])) == "application/problem+json"
        # What the gateway says by itself, of statuses that it answers with by itself.
        by_itself = response["content"].get(
            "application/json", {"schema": {"$ref": "#/components/schemas/GatewayAnswer"}}
        )
        assert by_itself["schema"]["$ref"].endswith("/GatewayAnswer")
    for operation in described(document).values():
        refusals = [status for status in operation["responses"] if status >= "400"]
        assert all("$ref" in operation["responses"][status] for status in refusals)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in described(document).values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        self.links |= {given["href"]} if tag == "a" else set()
        if tag in ("link", "img", "iframe") or "src" in given:
            self.loads.append(tag)


def test_the_page_loads_nothing_and_its_links_lead_somewhere(document: dict[str, Any]) -> None:
    page = _Page()
    page.feed((FOLDER / "reference.html").read_text(encoding="utf-8"))
    assert page.loads == []
    assert {operation["operationId"] for operation in described(document).values()} <= page.ids
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


@pytest.mark.parametrize("route", [key for key, route in ROUTES.items() if route.function == "reference"])
def test_the_function_serves_them(route: str) -> None:
    answer = api.handler({"routeKey": route}, None)
    assert answer["statusCode"] == 200
    if route == "GET /reference":
        assert answer["headers"]["Content-Type"].startswith("text/html")
        assert answer["body"] == (FOLDER / "reference.html").read_text(encoding="utf-8")
    else:
        assert answer["headers"]["Content-Type"] == "application/json"
        assert json.loads(answer["body"])
