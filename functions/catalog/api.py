"""Routes of the catalogue."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from catalog import service
from catalog.contract import (
    PRICE_LIST_ID,
    CurrentOffer,
    CurrentPrice,
    ListedProduct,
    ProductBody,
    ProductPage,
    ProductPut,
    ProductsPut,
    PutPriceList,
    PutProducts,
    Title,
)
from catalog.model import CURRENCIES, Description, NoSuchProduct
from catalog.store import ProductStore
from commerce import aws, settings
from commerce.clock import SystemClock
from commerce.dynamo import Table
from commerce.errors import FieldError, Invalid, Malformed
from commerce.events import Price
from commerce.http import Answer, Api, Operation, Request, cursor, page_size, read_cursor

_SKU = re.compile(r"[0-9A-Za-z_.-]{1,40}")

OPENAPI: dict[str, Operation] = {
    "GET /catalog/products": Operation(
        "List the products that are listed.",
        response=ProductPage,
        query={"limit": "Products a page, 1 to 100, usually 25.", "cursor": "`next` of the page before."},
    ),
    "GET /catalog/products/{sku}": Operation(
        "Show a listed product and the prices that hold now.",
        response=ProductBody,
        query={"currency": "ISO 4217 code; without it the prices of all currencies."},
    ),
    "PUT /catalog/products": Operation("Put up to 100 products.", request=PutProducts, response=ProductsPut),
    "PUT /catalog/price-lists/{id}": Operation(
        "Put up to 1000 prices into a price list.", request=PutPriceList, response=ProductsPut
    ),
}


@cache
def _api() -> Api:
    api = Api("catalog-api")
    api.route("GET /catalog/products", _list)
    api.route("GET /catalog/products/{sku}", _show)
    api.route("PUT /catalog/products", _put_products)
    api.route("PUT /catalog/price-lists/{id}", _put_prices)
    return api


@cache
def _products() -> ProductStore:
    return ProductStore(Table(aws.dynamodb(), settings.env("CATALOG_TABLE")))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a call of the HTTP API."""
    return _api().handle(event, context)


def _list(request: Request) -> Answer:
    found, following = _products().listed(_after(request.query.get("cursor")), page_size(request.query))
    listed = [ListedProduct(sku=item["sku"], title=Title(**item["title"])) for item in found]
    page = ProductPage(products=listed, next=cursor({"sku": following}) if following else None)
    return 200, page.model_dump()


def _after(text: str | None) -> str | None:
    position = read_cursor(text)
    if position is None:
        return None
    if set(position) != {"sku"} or not _SKU.fullmatch(position["sku"]):
        raise Malformed("the cursor is not one of ours")
    return str(position["sku"])


def _show(request: Request) -> Answer:
    sku, currency = request.path["sku"], request.query.get("currency")
    if currency is not None and currency not in CURRENCIES:
        raise Invalid(fields=[FieldError("currency", "unknown", "not an ISO 4217 currency code")])
    if not _SKU.fullmatch(sku):
        raise NoSuchProduct()
    found = service.product(_products(), sku)
    told, current = found.description, found.current(SystemClock().now())
    offers = [
        CurrentOffer(currency=one, prices=_current(prices))
        for one, prices in current.items()
        if currency in (None, one)
    ]
    body = ProductBody(
        sku=told.sku,
        merchant_id=told.merchant_id,
        title=Title(**told.title),
        tax_rate_bp=told.tax_rate_bp,
        tax_inclusive=told.tax_inclusive,
        offers=offers,
    )
    return 200, body.model_dump()


def _current(prices: list[Price]) -> list[CurrentPrice]:
    return [CurrentPrice(**price.model_dump(include=set(CurrentPrice.model_fields))) for price in prices]


def _put_products(request: Request) -> Answer:
    wanted = [
        Description(
            sku=one.sku,
            merchant_id=one.merchant_id,
            title=one.title.model_dump(exclude_none=True),
            tax_rate_bp=one.tax_rate_bp,
            tax_inclusive=one.tax_inclusive,
            listed=one.listed,
        )
        for one in request.body(PutProducts).products
    ]
    return _put(service.put_products(_products(), SystemClock(), request.caller.subject, wanted))


def _put_prices(request: Request) -> Answer:
    price_list, body = request.path["id"], request.body(PutPriceList)
    if not re.fullmatch(PRICE_LIST_ID, price_list):
        raise Invalid(fields=[FieldError("id", "malformed", "1 to 60 letters, digits, _ . and -")])
    entries = [
        service.Entry(
            f"entries.{at}",
            one.sku,
            Price(
                price_list=price_list,
                valid_from=body.valid_from,
                valid_until=body.valid_until,
                min_quantity=one.min_quantity,
                unit_price=one.unit_price,
            ),
        )
        for at, one in enumerate(body.entries)
    ]
    return _put(service.put_prices(_products(), SystemClock(), request.caller.subject, body.currency, entries))


def _put(written: list[Any]) -> Answer:
    products = [ProductPut(sku=one.sku, version=one.version) for one in written]
    return 200, ProductsPut(products=products).model_dump()
