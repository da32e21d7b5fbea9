"""Every limit of a request, at it and one above: taken, and refused by the field's name.

What is limited is read from the API reference's document, so that no body, list or parameter of it is forgotten.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from commerce import limits
from commerce.access import ROUTES
from commerce.address import LONGEST, MOST_LINES, check_address
from commerce.errors import CommerceError, Invalid, Malformed, TooLarge
from commerce.http import Operation, Request, page_size
from commerce.tokens import BadToken, TokenSigner
from orders.contract import PlaceOrder
from tools.openapi import build, operations

pytestmark = pytest.mark.contract

Path = tuple[str | int, ...]

ADDRESS = {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"}
PRODUCT = {
    "sku": "85123A",
    "merchant_id": "mer_hearts",
    "title": {"en": "Holder", "zh": "烛台"},
    "tax_rate_bp": 2000,
    "tax_inclusive": True,
}
BODIES: dict[str, dict[str, Any]] = {
    "PlaceOrder": {
        "currency": "GBP",
        "contact": {"name": "Ada", "email": "ada@example.com", "phone": "1"},
        "address": ADDRESS,
        "time_zone": "UTC",
        "lines": [{"sku": "85123A", "quantity": 6, "unit_price": 255}],
    },
    "PaymentRequest": {"provider": "sandbox", "order_token": "v1.a.b"},
    "PackBody": {"lines": [{"line": 1, "quantity": 6}]},
    "PutProfile": {"name": "Ada", "email": "ada@example.com", "locale": "en-GB", "time_zone": "Europe/London"},
    "PutProducts": {"products": [PRODUCT]},
    "PutPriceList": {
        "currency": "GBP",
        "valid_from": "2026-12-01T00:00:00Z",
        "valid_until": "2027-12-01T00:00:00Z",
        "entries": [{"sku": "85123A", "min_quantity": 1, "unit_price": 295}],
    },
    "Receipt": {"warehouse_id": "GB-DAV", "lines": [{"sku": "85123A", "quantity": 144}], "reference": "PO"},
    "Adjustment": {"warehouse_id": "GB-DAV", "delta": -3, "reason": "broken"},
    "ReplenishmentReceipt": {"quantity": 144},
    "Sharding": {"warehouse_id": "GB-DAV", "shards": 16},
}
"""A body of every model that a route takes, with every limited field."""

BY_PATTERN = {
    *("currency", "locale", "price_list", "sku", "method", "phone", "merchant_id", "warehouse_id"),
}
"""Texts whose pattern (or list of known values) says how long they may be."""


class Bound(NamedTuple):
    """One bound of a model's field."""

    model: str
    path: Path
    kind: str
    value: int

    def __str__(self) -> str:
        return f"{self.model}.{'.'.join(map(str, self.path))}-{self.kind}"


DOCUMENT = build(operations())
MODELS = {operation.request.__name__: operation.request for _, operation in operations().values() if operation.request}


def schemas(schema: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every schema below one, with the path to the first of its values in a body."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        yield from schemas(choice, path)
    yield path, schema
    if "items" in schema:
        yield from schemas(schema["items"], (*path, 0))
    for name, field in schema.get("properties", {}).items():
        yield from schemas(field, (*path, name))


def bounds() -> Iterator[Bound]:
    for model in MODELS:
        for path, schema in schemas(DOCUMENT["components"]["schemas"][model]):
            for kind in ("maxLength", "maxItems", "maximum"):
                if kind in schema and not (kind == "maxLength" and path[-1] in BY_PATTERN):
                    yield Bound(model, path, kind, schema[kind])


def changed(bound: Bound, size: int) -> dict[str, Any]:
    """Return the model's body with one field of a size."""
    body = copy.deepcopy(BODIES[bound.model])
    at: Any = body
    for step in bound.path[:-1]:
        at = at[step]
    last = bound.path[-1]
    if bound.kind == "maximum":
        at[last] = size
    elif bound.kind == "maxItems":
        like = at[last][0]
        at[last] = [{**like, "sku": f"S{n}"} if "sku" in like else like for n in range(size)]
    else:
        at[last] = text(str(last), size)
    return body


def text(field: str, size: int) -> str:
    if field == "email":
        return "a" * 60 + "@" + ("b" * 50 + ".") * 3 + "c" * (size - 60 - 1 - 153)
    if field in ("valid_from", "valid_until"):
        year = "2026" if field == "valid_from" else "2027"
        return f"{year}-12-01T00:00:00.{'0' * (size - 21)}Z"
    return "1" * size if field == "phone" else "a" * size


def refused(bound: Bound, size: int) -> set[str]:
    """Return the fields at fault in the model's body with one field of a size."""
    event = {"requestContext": {}, "body": json.dumps(changed(bound, size))}
    try:
        Request(event).body(MODELS[bound.model])
    except Invalid as error:
        return {one.field for one in error.fields}
    return set()


KNOWN_ZONES_ONLY = {"time_zone"}
"""A name of the time zone database: none is as long as the limit."""


@pytest.mark.parametrize("bound", list(bounds()), ids=str)
def test_a_field_is_taken_at_its_limit_and_refused_by_name_above(bound: Bound) -> None:
    name = ".".join(map(str, bound.path))
    if not KNOWN_ZONES_ONLY & set(map(str, bound.path)) or bound.model == "PlaceOrder":
        assert name not in refused(bound, bound.value)
    assert name in refused(bound, bound.value + 1)


def test_every_body_has_an_example_here_and_every_field_of_it_a_limit() -> None:
    assert MODELS.keys() == BODIES.keys()
    for model in MODELS:
        for path, schema in schemas(DOCUMENT["components"]["schemas"][model]):
            where = f"{model}.{'.'.join(map(str, path))}"
            match schema.get("type"):
                case "string":
                    assert "maxLength" in schema or path[-1] in BY_PATTERN, where
                case "integer":
                    assert "minimum" in schema and "maximum" in schema, where  # noqa: PT018 - one thing
                case "array":
                    assert "maxItems" in schema, where
                case "object":
                    assert path or schema["additionalProperties"] is False, where


@pytest.mark.parametrize(("field", "most"), LONGEST.items())
def test_a_line_of_an_address_is_taken_at_its_limit_and_refused_by_name_above(field: str, most: int) -> None:
    name = "address.lines.0" if field == "lines" else f"address.{field}"
    for size, refusal in ((most, False), (most + 1, True)):
        given = {**ADDRESS, field: ["a" * size] if field == "lines" else "a" * size}
        codes = {(error.field, error.code) for error in check_address(given)[1]}
        assert ((name, "too-long") in codes) is refusal


def test_an_address_has_so_many_lines_and_no_more() -> None:
    for lines, refusal in ((MOST_LINES, False), (MOST_LINES + 1, True)):
        fields = {error.field for error in check_address({**ADDRESS, "lines": ["a street"] * lines})[1]}
        assert ("address.lines" in fields) is refusal


# ---- what holds for every route ------------------------------------------------------------------------------------


def body_of(size: int) -> str:
    """Return a JSON object of so many bytes."""
    return json.dumps({"reason": "x" * (size - len('{"reason": ""}'))})


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
def test_a_body_is_taken_at_its_limit_and_refused_above(encoded: bool) -> None:
    def sent(size: int) -> bytes:
        text = body_of(size)
        body = base64.b64encode(text.encode()).decode() if encoded else text
        return Request({"requestContext": {}, "body": body, "isBase64Encoded": encoded}).raw_body

    assert len(sent(limits.LARGEST_BODY)) == limits.LARGEST_BODY
    for more in (1, 2, 3, limits.LARGEST_BODY):
        with pytest.raises(TooLarge) as error:
            sent(limits.LARGEST_BODY + more)
        assert [one.field for one in error.value.fields] == ["body"]


def test_bytes_are_counted_and_not_characters() -> None:
    with pytest.raises(TooLarge):
        _ = Request({"requestContext": {}, "body": "烛" * (limits.LARGEST_BODY // 2)}).raw_body


@pytest.mark.parametrize("body", ["a", "aaa", "\ud800"])
def test_what_cannot_be_decoded_is_malformed(body: str) -> None:
    with pytest.raises(Malformed):
        _ = Request({"requestContext": {}, "body": body, "isBase64Encoded": body != "\ud800"}).raw_body


def nested(depth: int, kind: str) -> str:
    """Return an object in which objects or lists stand inside one another, so many levels with itself."""
    opening, closing = ('{"a":', "}") if kind == "objects" else ("[", "]")
    return '{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}"


@pytest.mark.parametrize("kind", ["objects", "lists"])
def test_json_is_taken_at_its_depth_and_refused_below_it(kind: str) -> None:
    def read(depth: int) -> None:
        Request({"requestContext": {}, "body": nested(depth, kind)}).body(PlaceOrder)

    with pytest.raises(Invalid):  # as deep as may be, but no order
        read(limits.DEEPEST_JSON)
    with pytest.raises(Malformed) as error:
        read(limits.DEEPEST_JSON + 1)
    assert [one.field for one in error.value.fields] == ["body"]


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, '{"a":' * 40_000, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a":' + "9" * 250_000 + "}"],
    ids=["lists", "objects", "closed", "a number"],
)
def test_a_bomb_is_refused(body: str) -> None:
    with pytest.raises(Malformed):
        Request({"requestContext": {}, "body": body}).body(PlaceOrder)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(number: str) -> None:
    with pytest.raises(Malformed):
        Request({"requestContext": {}, "body": f'{{"a": {number}}}'}).body(PlaceOrder)


def test_an_idempotency_key_is_taken_at_its_limit_and_refused_above() -> None:
    def read(size: int) -> str:
        return Request({"requestContext": {}, "headers": {"idempotency-key": "k" * size}}).idempotency_key

    assert len(read(limits.LONGEST_KEY)) == limits.LONGEST_KEY
    for size in (0, limits.LONGEST_KEY + 1):
        with pytest.raises(Malformed) as error:
            read(size)
        assert [one.field for one in error.value.fields] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("where", "name", "most"),
    [
        ("pathParameters", "sku", limits.LONGEST_PARAMETER),
        ("queryStringParameters", "warehouse", limits.LONGEST_PARAMETER),
        ("queryStringParameters", "cursor", limits.LONGEST_CURSOR),
    ],
)
def test_a_parameter_is_taken_at_its_limit_and_refused_by_name_above(where: str, name: str, most: int) -> None:
    def read(size: int) -> str:
        request = Request({"requestContext": {}, where: {name: "x" * size}})
        return (request.path if where == "pathParameters" else request.query)[name]

    assert len(read(most)) == most
    with pytest.raises(Malformed) as error:
        read(most + 1)
    assert [one.field for one in error.value.fields] == [name]


class Kms:
    """A key that vouches for nothing, and counts how often it is asked."""

    class exceptions:  # noqa: N801 - as of a client
        class KMSInvalidMacException(Exception):
            pass

    def __init__(self) -> None:
        self.asked = 0

    def verify_mac(self, **_: object) -> None:
        self.asked += 1
        raise self.exceptions.KMSInvalidMacException


def test_a_token_above_its_limit_costs_no_call_of_the_key() -> None:
    kms: Any = Kms()
    mac = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
    # No base64 is of the length between.
    for size in (limits.LONGEST_TOKEN - 1, limits.LONGEST_TOKEN + 1):
        with pytest.raises(BadToken):
            TokenSigner(kms, "mac").read(f"v1.{'A' * (size - len(f'v1..{mac}'))}.{mac}")
        assert kms.asked == 1


# ---- pages ---------------------------------------------------------------------------------------------------------


def lists() -> dict[str, Operation]:
    """Return the routes whose answer may go on on another page."""
    found = {}
    for key, (_, operation) in operations().items():
        if operation.response and {"next", "cursor"} & operation.response.model_fields.keys():
            kinds = {name: str(field.annotation) for name, field in operation.response.model_fields.items()}
            if any(kind.startswith("list[") for kind in kinds.values()):
                found[key] = operation
    return found


def test_every_list_is_paged_and_the_reference_says_its_bounds() -> None:
    assert len(lists()) == 7
    for key in ROUTES:
        method, path = key.split(" ")
        parameters = {one["name"]: one for one in DOCUMENT["paths"][path][method.lower()]["parameters"]}
        assert ("limit" in parameters) == ("cursor" in parameters) == (key in lists()), key
        if "limit" in parameters:
            schema = parameters["limit"]["schema"]
            most = limits.MOST_EXPORTED if key == "GET /me/export/orders" else limits.MOST_A_PAGE
            assert (schema["minimum"], schema["maximum"]) == (1, most), key


def test_a_page_is_taken_at_its_limit_and_refused_by_name_above() -> None:
    assert page_size({}) == limits.USUAL_PAGE
    assert [page_size({"limit": str(size)}) for size in (1, limits.MOST_A_PAGE)] == [1, limits.MOST_A_PAGE]
    for wrong in ("0", "-1", str(limits.MOST_A_PAGE + 1), "1e2", "", "٣", "9" * 500):
        with pytest.raises(CommerceError) as error:
            page_size({"limit": wrong})
        assert [one.field for one in error.value.fields] == ["limit"], wrong
