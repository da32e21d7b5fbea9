"""Where a person can say something of himself: every text that the platform is sent, as personal or not.

`unregistered` walks the models of all routes' bodies, the events and the callbacks; a new text field is in none of the
lists below and fails a test, until somebody has decided. A personal one is planted with a mark by the completeness
tests, which look for the mark everywhere.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import Binary, TypeDeserializer
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel

from commerce.address import Address
from payments.providers.sandbox import _Callback
from tools.contracts import CONTRACTS
from tools.openapi import operations

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

PERSONAL = frozenset(
    {
        "PlaceOrder.contact.name",
        "PlaceOrder.contact.email",
        "PlaceOrder.contact.phone",
        "PlaceOrder.address.*",
        "PlaceOrder.address.*[]",
        "PutProfile.name",
        "PutProfile.email",
        "PutProfile.phone",
    }
)
"""Fields of requests that are kept as ciphertext and nothing else."""

NOT_PERSONAL = frozenset(
    {
        # what the order is, in words of the platform
        "PlaceOrder.currency",
        "PlaceOrder.locale",
        "PlaceOrder.time_zone",
        "PlaceOrder.price_list",
        "PlaceOrder.lines[].sku",
        "PlaceOrder.shipping.method",
        "PutProfile.locale",
        "PutProfile.time_zone",
        "PaymentRequest.provider",
        "PaymentRequest.order_token",
        # goods and prices, by staff and merchants
        "Receipt.warehouse_id",
        "Receipt.lines[].sku",
        "Receipt.reference",
        "Adjustment.warehouse_id",
        "Adjustment.reason",
        "PutPriceList.currency",
        "PutPriceList.valid_from",
        "PutPriceList.valid_until",
        "PutPriceList.entries[].sku",
        "PutProducts.products[].sku",
        "PutProducts.products[].merchant_id",
        "PutProducts.products[].title.en",
        "PutProducts.products[].title.zh",
        # a provider's words, about a payment
        "_Callback.id",
        "_Callback.type",
        "_Callback.data.payment_id",
        "_Callback.data.currency",
        "_Callback.data.reason",
    }
)
"""Fields of requests that say nothing of a person."""

IDS_AND_WORDS = frozenset(
    {
        *("id", "at", "order_id", "buyer", "subject", "locale", "currency", "expected_at", "country", "accept_by"),
        *("reason", "waited_for", "fulfilment_id", "warehouse_id", "merchant_id", "sku", "payment_id", "provider"),
        *("replenishment_id", "carrier", "waybill", "released_at", "packed_at", "status", "price_list"),
        *("valid_from", "valid_until"),
        # A carrier's own words on a parcel: its contract forbids names there.
        *("place", "text"),
    }
)
"""What text fields of events are called: events carry ids, times and words of the platform."""

ADDRESS = frozenset({"country", "lines", "district", "city", "region", "postal_code"})
"""What the free form of an address may hold; the country is no secret."""


def unregistered() -> set[str]:
    """Return every text that the platform is sent or sends and nobody decided on."""
    requests = {operation.request for _, operation in operations().values() if operation.request} | {_Callback}
    found = {leaf for model in requests for leaf in leaves(model)} - PERSONAL - NOT_PERSONAL
    for contract in CONTRACTS.values():
        found |= {leaf for leaf in leaves(contract) if leaf.rpartition(".")[2] not in IDS_AND_WORDS}
    return found | {f"Address.{one.name}" for one in fields(Address) if one.name not in ADDRESS}


def leaves(model: type[BaseModel]) -> Iterator[str]:
    """Yield the dotted path of each free text of a model; ``*`` is any key, ``[]`` any element."""
    schema = model.model_json_schema()
    yield from _texts(schema, schema, model.__name__)


def _texts(schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _texts(part, root, at)
    for name, field in schema.get("properties", {}).items():
        yield from _texts(field, root, f"{at}.{name}")
    if schema.get("additionalProperties"):
        more = schema["additionalProperties"]
        yield from _texts(more if isinstance(more, dict) else {"type": "string"}, root, f"{at}.*")
    if schema.get("type") == "array":
        yield from _texts(schema.get("items", {"type": "string"}), root, f"{at}[]")
    bare = not schema.keys() & {"type", "anyOf", "allOf", "$ref", "enum", "const"}
    if (schema.get("type") == "string" or bare) and not schema.keys() & {"enum", "const"}:
        yield at


class Marks:
    """One person's own words, unlike anybody's: what the completeness tests plant and look for."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(4)
        self.planted: dict[str, str] = {}

    def contact(self) -> dict[str, str]:
        """Return the contact of an order."""
        return {
            "name": self._text("PlaceOrder.contact.name", f"Nym {self._mark}"),
            "email": self._text("PlaceOrder.contact.email", f"c{self._mark}@example.com"),
            "phone": self._text("PlaceOrder.contact.phone", self._digits("0")),
        }

    def address(self) -> dict[str, Any]:
        """Return an address in Britain, with every field there is."""
        return {
            "country": "GB",
            "lines": [self._text(f"PlaceOrder.address.*[{at}]", f"{self._mark} Street {at}") for at in range(2)],
            "district": self._text("PlaceOrder.address.district", f"{self._mark} Quarter"),
            "city": self._text("PlaceOrder.address.city", f"{self._mark}ton"),
            "region": self._text("PlaceOrder.address.region", f"{self._mark}shire"),
            "postal_code": self._text("PlaceOrder.address.postal_code", self._postal_code()),
        }

    def profile(self) -> dict[str, str]:
        """Return a profile."""
        return {
            "name": self._text("PutProfile.name", f"Prue {self._mark}"),
            "email": self._text("PutProfile.email", f"p{self._mark}@example.com"),
            "phone": self._text("PutProfile.phone", "+4" + self._digits("4")),
            "locale": "en-GB",
            "time_zone": "Europe/London",
        }

    def missing_from(self, text: str) -> list[str]:
        """Return the fields whose mark is not in ``text``."""
        return [field for field, mark in self.planted.items() if mark not in text]

    def found_in(self, text: str) -> list[str]:
        """Return the fields whose mark is in ``text``."""
        return [field for field, mark in self.planted.items() if mark in text]

    def cover(self) -> bool:
        """Whether every personal field was planted that one of the models planted has."""
        models = {path.partition(".")[0] for path in self.planted}
        wanted = {path for path in PERSONAL if path.partition(".")[0] in models} - {
            "PlaceOrder.address.*",
            "PlaceOrder.address.*[]",
        }
        lines = {f"PlaceOrder.address.*[{at}]" for at in range(2)}
        parts = lines | {f"PlaceOrder.address.{one}" for one in ADDRESS - {"country", "lines"}}
        return self.planted.keys() >= wanted | (parts if "PlaceOrder" in models else set())

    def _text(self, field: str, mark: str) -> str:
        return self.planted.setdefault(field, mark)

    def _postal_code(self) -> str:
        end = "".join(secrets.choice("ABDEFGHJLNPQRSTUWXYZ") for _ in range(2))
        return f"SW{secrets.randbelow(89) + 10} {secrets.randbelow(10)}{end}"

    def _digits(self, first: str) -> str:
        return first + str(secrets.randbelow(9 * 10**9) + 10**9)


def exported(ask: Callable[[str, Mapping[str, str]], tuple[int, Any]], start: str) -> str:
    """Return all that an export says, as text: the document at ``start``, and every part and page it leads to.

    Parameters
    ----------
    ask
        Path with its query, and headers -> status and parsed body.
    """
    said: list[str] = []
    ahead: list[tuple[str, Mapping[str, str]]] = [(start, {})]
    seen: set[str] = set()
    while ahead:
        path, headers = ahead.pop()
        status, body = ask(path, headers)
        seen.add(path)
        if status == 404:  # a part that there is not
            continue
        assert status == 200, (path, status, body)
        said.append(json.dumps(body, ensure_ascii=False))
        for document in (body, *body.get("orders", ())):
            token = document.get("order_token")
            more = {"Order-Token": token} if token else headers
            ahead += [(part, more) for part in document.get("parts", ()) if part not in seen]
        if body.get("next"):
            ahead.append((f"{path.partition('?')[0]}?cursor={body['next']}", headers))
    return "\n".join(said)


def stored(dynamodb: DynamoDBClient, kms: KMSClient, tables: Iterable[str], vault: str) -> tuple[str, str]:
    """Return what the tables say to whoever reads them, and what they say with every key that is left.

    Every binary is tried with every data key that the vault still has, whoever's it is.
    """
    items = [
        {name: TypeDeserializer().deserialize(value) for name, value in raw.items()}
        for table in tables
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for raw in page["Items"]
    ]
    keys = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=vault, ConsistentRead=True):
        for raw in page["Items"]:
            if "wrapped" in raw:
                subject = raw["pk"]["S"]
                opened = kms.decrypt(CiphertextBlob=raw["wrapped"]["B"], EncryptionContext={"subject": subject})
                keys[subject] = opened["Plaintext"]
    plain, sealed = [], []
    for item in items:
        for value in _values(item):
            if isinstance(value, bytes):
                plain.append(value.decode("utf-8", "replace"))
                with suppress(zlib.error):
                    plain.append(zlib.decompress(value).decode("utf-8", "replace"))
                sealed += [text for subject, key in keys.items() if (text := _opened(key, subject, value))]
            else:
                plain.append(str(value))
    return "\n".join(plain), "\n".join(plain + sealed)


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, Binary):
        yield bytes(value)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from _values(one)
    elif isinstance(value, list | set):
        for one in value:
            yield from _values(one)
    else:
        yield value


def _opened(key: bytes, subject: str, sealed: bytes) -> str:
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], subject.encode()).decode()
    except (InvalidTag, ValueError):
        return ""
