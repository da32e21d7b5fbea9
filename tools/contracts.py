"""Writes the event contracts: ``events/<context>/<Event>.v<n>.schema.json`` and ``.example.json``.

    python -m tools.contracts

Both are of the event's ``detail`` and come from the models in `commerce.events`, so they cannot say
something else. A schema that is there already is only ever added to: anything a consumer may rely on
that would be gone, renamed, of another type or newly required is refused, and needs a new version.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from commerce.events import EVENTS, Event, ScanReported

FOLDER = Path(__file__).resolve().parents[1] / "events"
CONTRACTS: dict[str, type[BaseModel]] = {**EVENTS, ScanReported.__name__: ScanReported}

# What a schema says of a value; a change of any of these can break who reads it or who is still sending it.
_SAYS = (
    *("type", "format", "pattern", "enum", "const"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
)

Schema = Mapping[str, Any]


class PlainSchema(GenerateJsonSchema):
    """Pydantic's generator without a title for each field, which only says its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class NoExample(Exception):
    """A text field has no example from which one of the event could be made."""


def folder_of(contract: type[BaseModel]) -> str:
    """Return the context that sends an event; scans come from carriers."""
    return contract.context if issubclass(contract, Event) else "carriers"


def stem_of(contract: type[BaseModel]) -> str:
    """Return the start of a contract's file names: ``orders/OrderPlaced.v1``."""
    version = contract.model_fields["v"].default if "v" in contract.model_fields else 1
    return f"{folder_of(contract)}/{contract.__name__}.v{version}"


def schema_of(contract: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event's detail."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:commerce:{stem_of(contract).replace('/', ':')}",
        **contract.model_json_schema(schema_generator=PlainSchema),
    }


def example_of(contract: type[BaseModel]) -> dict[str, Any]:
    """Return an example of an event's detail, made of its fields' examples and always the same.

    Raises
    ------
    NoExample
        A text field has none, neither here nor under the same name in another event.
    """
    schema = contract.model_json_schema(schema_generator=PlainSchema)
    example: dict[str, Any] = _example(schema, schema, contract.__name__, _examples_by_name())
    return example


def breaches(old: Schema, new: Schema) -> list[str]:
    """Return what of ``old`` is not kept in ``new``; empty if ``new`` only adds."""
    return list(_breaches(old, new, old, new, "detail"))


def files() -> dict[str, str]:
    """Return the path below ``events/`` -> text of every contract file."""
    texts = {}
    for contract in CONTRACTS.values():
        texts[f"{stem_of(contract)}.schema.json"] = _text(schema_of(contract))
        texts[f"{stem_of(contract)}.example.json"] = _text(example_of(contract))
    return texts


def write(folder: Path) -> list[str]:
    """Bring the files in ``folder`` up to date, unless a contract is broken.

    Returns
    -------
    list of str
        What is broken, one line each; then nothing was written.
    """
    texts = files()
    broken = [
        f"{name}: {breach}"
        for name, text in texts.items()
        if name.endswith(".schema.json") and (folder / name).exists()
        for breach in breaches(json.loads((folder / name).read_text(encoding="utf-8")), json.loads(text))
    ]
    if not broken:
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return broken


def main() -> int:
    """Write the files; say what stands in the way."""
    broken = write(FOLDER)
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    target: Schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _example(schema: Schema, root: Schema, name: str, known: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, root)
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], root, name, known)
    if schema["type"] == "object":
        return {field: _example(one, root, field, known) for field, one in schema["properties"].items()}
    if schema["type"] == "array":
        return [_example(schema["items"], root, name, known)]
    if name in known:
        return known[name]
    if schema["type"] == "integer":
        return schema.get("default", schema.get("minimum", 1))
    if schema["type"] == "boolean":
        return schema.get("default", True)
    if "default" in schema:
        return schema["default"]
    raise NoExample(name)


def _examples_by_name() -> dict[str, Any]:
    known: dict[str, Any] = {}
    for contract in CONTRACTS.values():
        schema = contract.model_json_schema(schema_generator=PlainSchema)
        for one in (schema, *schema.get("$defs", {}).values()):
            for name, field in one.get("properties", {}).items():
                if "examples" in field:
                    known.setdefault(name, field["examples"][0])
    return known


def _breaches(old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    for says in _SAYS:
        if old.get(says) != new.get(says):
            yield f"{at}: {says} was {old.get(says)!r} and would be {new.get(says)!r}"
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        if name in after:
            yield from _breaches(field, after[name], old_root, new_root, f"{at}.{name}")
        else:
            yield f"{at}.{name}: would be gone"
    was, would_be = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(would_be - was):
        yield f"{at}.{name}: would be required, and events under way do not have it"
    for name in sorted(was - would_be):
        if name in after:
            yield f"{at}.{name}: would not be required any more, and readers rely on it"
    if "items" in old and "items" in new:
        yield from _breaches(old["items"], new["items"], old_root, new_root, f"{at}[]")
    choices, would_be_choices = old.get("anyOf", []), new.get("anyOf", [])
    if len(choices) != len(would_be_choices):
        yield f"{at}: would be one of {len(would_be_choices)} types and was of {len(choices)}"
    for one, other in zip(choices, would_be_choices, strict=False):
        yield from _breaches(one, other, old_root, new_root, at)


if __name__ == "__main__":
    sys.exit(main())
