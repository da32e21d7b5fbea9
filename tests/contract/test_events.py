"""Event contracts: the files say what the models say, and what they said once stays true."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from tools import contracts
from tools.contracts import CONTRACTS, FOLDER, breaches, example_of, files, schema_of, stem_of, write

pytestmark = pytest.mark.contract


def committed(contract: type[BaseModel], kind: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{stem_of(contract)}.{kind}.json").read_text(encoding="utf-8"))
    return document


def test_the_files_are_current() -> None:
    found = {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.json")}
    assert found == files(), "run: python -m tools.contracts"


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_a_contract_is_only_added_to(contract: type[BaseModel]) -> None:
    assert breaches(committed(contract, "schema"), schema_of(contract)) == []


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_the_example_is_one(contract: type[BaseModel]) -> None:
    schema, example = committed(contract, "schema"), committed(contract, "example")
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(example)
    assert contract.model_validate(example).model_dump(mode="json") == example


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_a_reader_takes_a_field_he_does_not_know(contract: type[BaseModel]) -> None:
    example = {**example_of(contract), "later": {"than": "this"}}
    Draft202012Validator(committed(contract, "schema")).validate(example)
    contract.model_validate(example)


def test_examples_have_no_personal_data() -> None:
    text = json.dumps([example_of(contract) for contract in CONTRACTS.values()])
    for personal in ("name", "email", "phone", "address", "@"):
        assert personal not in text


OLD: dict[str, Any] = {
    "type": "object",
    "required": ["at", "lines"],
    "properties": {
        "at": {"type": "string", "pattern": "^x$"},
        "by": {"enum": ["buyer", "window"], "type": "string"},
        "value": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Line"}},
    },
    "$defs": {"Line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}}},
}


def _without(path: str) -> Callable[[dict[str, Any]], None]:
    *way, last = path.split(".")

    def change(schema: dict[str, Any]) -> None:
        for step in way:
            schema = schema[step]
        del schema[last]

    return change


def _with(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *way, last = path.split(".")

    def change(schema: dict[str, Any]) -> None:
        for step in way:
            schema = schema[step]
        schema[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("properties.by"), "detail.by: would be gone"),
        (_with("properties.at.type", "integer"), "detail.at: type was 'string' and would be 'integer'"),
        (_with("properties.at.pattern", "^y$"), "detail.at: pattern was '^x$' and would be '^y$'"),
        (_without("properties.at.pattern"), "detail.at: pattern was '^x$' and would be None"),
        (
            _with("properties.by.enum", ["buyer"]),
            "detail.by: enum was ['buyer', 'window'] and would be ['buyer']",
        ),
        (
            _with("required", ["at", "lines", "by"]),
            "detail.by: would be required, and events under way do not have it",
        ),
        (_with("required", ["at"]), "detail.lines: would not be required any more, and readers rely on it"),
        (_with("properties.lines.minItems", 2), "detail.lines: minItems was 1 and would be 2"),
        (_with("properties.value.anyOf", [{"type": "integer"}]), "detail.value: would be one of 1 types and was of 2"),
        (
            _with("properties.value.anyOf", [{"type": "string"}, {"type": "null"}]),
            "detail.value: type was 'integer' and would be 'string'",
        ),
        (
            _with("$defs.Line.properties.sku.type", "integer"),
            "detail.lines[].sku: type was 'string' and would be 'integer'",
        ),
        (_without("$defs.Line.properties.sku"), "detail.lines[].sku: would be gone"),
    ],
)
def test_what_breaks_a_contract_is_found(change: Callable[[dict[str, Any]], None], said: str) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert breaches(OLD, new) == [said]


@pytest.mark.parametrize(
    "change",
    [
        _with("properties.reason", {"type": "string", "default": ""}),
        _with("$defs.Line.properties.merchant_id", {"type": "string"}),
        _with("description", "other words"),
        _with("properties.at.examples", ["x"]),
    ],
)
def test_what_only_adds_is_none(change: Callable[[dict[str, Any]], None]) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert breaches(OLD, new) == []


def test_a_renamed_field_is_gone_and_one_that_is_new() -> None:
    new = copy.deepcopy(OLD)
    new["properties"]["whom"] = new["properties"].pop("by")
    assert breaches(OLD, new) == ["detail.by: would be gone"]


def test_the_writer_refuses_to_break_a_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write(tmp_path) == []
    placed = tmp_path / "orders" / "OrderPlaced.v1.schema.json"
    with_more = json.loads(placed.read_text(encoding="utf-8"))
    with_more["properties"]["weight"] = {"type": "integer"}
    placed.write_text(json.dumps(with_more), encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert write(tmp_path) == ["orders/OrderPlaced.v1.schema.json: detail.weight: would be gone"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    assert contracts.main() == 1
