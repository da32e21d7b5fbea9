"""The catalogue's function and its table, on a simulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from catalog import api
from catalog.service import Written
from catalog.store import ProductStore
from commerce import aws as clients
from commerce import outbox
from commerce.dynamo import Table, load
from commerce.events import OffersPublished
from tests.integration.calls import call
from tests.unit.catalog.fakes import described

pytestmark = pytest.mark.integration


@pytest.fixture
def table(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="catalog",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "listed_pk", "sku")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "listed",
                "KeySchema": [
                    {"AttributeName": "listed_pk", "KeyType": "HASH"},
                    {"AttributeName": "sku", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title"]},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    monkeypatch.setenv("CATALOG_TABLE", "catalog")
    forget()
    yield client
    forget()


def forget() -> None:
    for kept in (clients._client, api._products):
        kept.cache_clear()


def wanted(*skus: str, **changes: Any) -> dict[str, Any]:
    told = {"merchant_id": "mer_a", "title": {"en": "Thing", "zh": "东西"}, "tax_rate_bp": 2000, "tax_inclusive": True}
    return {"products": [{"sku": sku, **told, **changes} for sku in skus]}


def priced(*given: tuple[str, int], **changes: Any) -> dict[str, Any]:
    entries = [{"sku": sku, "unit_price": amount} for sku, amount in given]
    terms = {"currency": "GBP", "valid_from": "2020-01-01T00:00:00Z", "valid_until": "2120-01-01T00:00:00+08:00"}
    return {**terms, "entries": entries, **changes}


def put(body: dict[str, Any], sub: str = "ann", groups: str = "merchant") -> tuple[int, dict[str, Any]]:
    return call(api.handler, "PUT /catalog/products", body, sub=sub, groups=groups)


def put_prices(body: dict[str, Any], name: str = "2026-trade", sub: str = "ann") -> tuple[int, dict[str, Any]]:
    route = "PUT /catalog/price-lists/{id}"
    return call(api.handler, route, body, sub=sub, groups="merchant", path={"id": name})


def show(sku: str, **query: str) -> tuple[int, dict[str, Any]]:
    return call(api.handler, "GET /catalog/products/{sku}", path={"sku": sku}, query=query)


def published(client: Any) -> list[list[dict[str, Any]]]:
    items = [load(item) for item in client.scan(TableName="catalog")["Items"]]
    return [outbox.unpack(item["outbox"], "record") for item in items if "outbox" in item]


def test_a_product_is_put_priced_and_shown_to_everybody(table: Any) -> None:
    status, answer = put(wanted("85123A"))
    assert status == 200
    assert put_prices(priced(("85123A", 295)))[0] == 200
    assert put_prices(priced(("85123A", 275), valid_until="2021-01-01T00:00:00Z"), "2020-trade")[0] == 200
    assert put_prices(priced(("85123A", 2600), currency="CNY"), "cn")[0] == 200
    status, shown = show("85123A", currency="GBP")
    assert status == 200
    assert shown["title"] == {"en": "Thing", "zh": "东西"}
    assert shown["offers"] == [
        {
            "currency": "GBP",
            "prices": [
                {
                    "price_list": "2026-trade",
                    "min_quantity": 1,
                    "unit_price": 295,
                    "valid_until": "2119-12-31T16:00:00.000Z",
                }
            ],
        }
    ]
    assert {one["currency"] for one in show("85123A")[1]["offers"]} == {"GBP", "CNY"}
    assert answer["products"][0]["version"] < published(table)[-1][0]["detail"]["offers"][0]["version"]


def test_a_batch_is_one_outbox_for_fifty_products(table: Any) -> None:
    skus = [f"S{n:03}" for n in range(100)]
    assert put(wanted(*skus))[0] == 200
    assert published(table) == []
    assert put_prices(priced(*((sku, 100) for sku in skus)))[0] == 200
    boxes = published(table)
    assert [len(events) for events in boxes] == [1, 1]
    offers = [offer for (event,) in boxes for offer in OffersPublished.model_validate(event["detail"]).offers]
    assert sorted(offer.sku for offer in offers) == skus
    assert {event["source"] for (event,) in boxes} == {"commerce.catalog"}


def test_what_is_published_carries_everything_known_of_the_offer(table: Any) -> None:
    put(wanted("A"))
    put_prices(priced(("A", 295)), "one")
    put_prices(priced(("A", 285)), "two")
    newest = max((event["detail"] for (event,) in published(table)), key=lambda detail: detail["offers"][0]["version"])
    assert [(one["price_list"], one["unit_price"]) for one in newest["offers"][0]["prices"]] == [
        ("one", 295),
        ("two", 285),
    ]


def test_listed_products_are_paged_over_all_shards(table: Any) -> None:
    skus = [f"S{n}" for n in range(23)]
    put(wanted(*skus))
    put(wanted("HIDDEN", listed=False))
    seen: list[str] = []
    query: dict[str, str] = {"limit": "5"}
    while True:
        status, page = call(api.handler, "GET /catalog/products", query=query)
        assert status == 200
        assert len(page["products"]) <= 5
        seen += [one["sku"] for one in page["products"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert sorted(seen) == sorted(skus)
    assert len(seen) == len(set(seen))
    assert show("HIDDEN")[0] == 404
    put(wanted("S0", listed=False))
    assert "S0" not in {one["sku"] for one in call(api.handler, "GET /catalog/products")[1]["products"]}


@pytest.mark.parametrize("cursor", ["%", "bm8", "eyJzayI6IngifQ", "eyJza3UiOiIifQ", "eyJza3UiOjF9"])
def test_a_made_up_cursor_is_refused(table: Any, cursor: str) -> None:
    assert call(api.handler, "GET /catalog/products", query={"cursor": cursor})[0] == 400


def test_only_merchants_and_only_their_own(table: Any) -> None:
    assert put(wanted("A"))[0] == 200
    assert put(wanted("B"), groups="customer")[0] == 403
    assert call(api.handler, "PUT /catalog/products", wanted("B"))[0] == 401
    status, problem = put(wanted("A", merchant_id="mer_b"), sub="bob")
    assert (status, problem["type"]) == (403, "/problems/not-your-merchant")
    assert put(wanted("B"), sub="bob")[0] == 403
    assert put_prices(priced(("A", 1)), sub="bob")[0] == 403
    assert show("B")[0] == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"currency": "ABC"}, "currency"),
        ({"currency": "gbp"}, "currency"),
        ({"valid_from": "2026-01-01"}, "valid_from"),
        ({"valid_from": "0001-01-01T00:00:00+23:00"}, "valid_from"),
        ({"valid_until": "2019-01-01T00:00:00Z"}, "body"),
        ({"entries": []}, "entries"),
        ({"entries": [{"sku": "A", "unit_price": -1}]}, "entries.0.unit_price"),
        ({"entries": [{"sku": "A", "unit_price": 1.5}]}, "entries.0.unit_price"),
        ({"entries": [{"sku": "A", "unit_price": 1, "min_quantity": 0}]}, "entries.0.min_quantity"),
        ({"entries": [{"sku": "A/B", "unit_price": 1}]}, "entries.0.sku"),
        ({"entries": [{"sku": "X", "unit_price": 1}]}, "entries.0.sku"),
        ({"entries": [{"sku": "A", "unit_price": 1}] * 2}, "entries.1"),
        ({"entries": [{"sku": "A", "unit_price": 1}] * 1001}, "entries"),
        ({"more": 1}, "more"),
    ],
)
def test_a_refused_price_list_names_the_field_and_stores_nothing(
    table: Any, changes: dict[str, Any], field: str
) -> None:
    put(wanted("A"))
    status, problem = put_prices(priced(("A", 1), **changes))
    assert status == 422
    assert [one["field"] for one in problem["errors"]] == [field]
    assert show("A")[1]["offers"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tax_rate_bp": 10_001}, "products.0.tax_rate_bp"),
        ({"tax_rate_bp": "2000"}, "products.0.tax_rate_bp"),
        ({"title": {}}, "products.0.title.en"),
        ({"title": {"en": "a\nb"}}, "products.0.title.en"),
        ({"title": {"en": "x" * 201}}, "products.0.title.en"),
        ({"listed": "yes"}, "products.0.listed"),
        ({"merchant_id": "a b"}, "products.0.merchant_id"),
        ({"colour": "red"}, "products.0.colour"),
    ],
)
def test_a_refused_product_names_the_field(table: Any, changes: dict[str, Any], field: str) -> None:
    status, problem = put(wanted("A", **changes))
    assert status == 422
    assert [one["field"] for one in problem["errors"]] == [field]
    assert table.scan(TableName="catalog")["Count"] == 0


def test_bounds_of_a_call(table: Any) -> None:
    assert put(wanted(*(f"S{n}" for n in range(101))))[0] == 422
    assert put_prices(priced(("A", 1)), "a b")[0] == 422
    assert show("A", currency="ABC")[0] == 422
    assert show("a" * 41)[0] == 404
    thousand = json.dumps(priced(*((f"SKU-{n:036}", 10**9) for n in range(1000))))
    assert len(thousand) < 256 * 1024, "a full call fits a body"


def test_a_version_guards_the_write(table: Any) -> None:
    store = ProductStore(Table(table, "catalog"))
    put(wanted("A"))
    found = store.read(["A"])["A"]
    newer = found.described(described("A"), found.version + 1)
    assert store.write([Written(newer, found.version, ())], None)
    assert not store.write([Written(newer, found.version, ())], None)
    assert not store.write([Written(newer, 0, ())], None)
    assert store.own("mer_a", "bob") == "ann"
