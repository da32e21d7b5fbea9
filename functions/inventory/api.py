"""HTTP routes of the inventory: stock levels, receipts, adjustments and replenishments."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from commerce.errors import FieldError, Invalid
from commerce.http import Answer, Api, Operation, Request, cursor, page_size, read_cursor
from inventory import service
from inventory.contract import (
    Adjustment,
    MovementShown,
    Receipt,
    ReplenishmentReceipt,
    ReplenishmentsShown,
    Sharding,
    StockShown,
    show_movement,
    show_replenishments,
    show_stock,
)
from inventory.model import Open, StockUnknown
from inventory.service import Desk
from inventory.wiring import desk

_SKU = re.compile(r"[0-9A-Za-z_.-]{1,40}")
_KEY = {"Idempotency-Key": ("The same key again books nothing more.", True)}

OPENAPI: dict[str, Operation] = {
    "GET /stock/{sku}": Operation("What every warehouse has of a SKU.", response=StockShown),
    "POST /stock/{sku}/adjustments": Operation(
        "Correct what is on hand of a SKU.", Adjustment, MovementShown, 201, headers=_KEY
    ),
    "POST /stock/{sku}/shards": Operation(
        "Spread a SKU that many will want at once over several shards.", Sharding, MovementShown, 201, headers=_KEY
    ),
    "POST /stock/receipts": Operation(
        "Book goods that came into a warehouse.", Receipt, MovementShown, 201, headers=_KEY
    ),
    "GET /replenishments": Operation(
        "What purchasing is asked to bring, the oldest first.",
        response=ReplenishmentsShown,
        query={
            "state": "`open`, the only ones that are listed.",
            "limit": "1 to 100; 25 if left out.",
            "cursor": "`next` of the page before.",
        },
    ),
    "POST /replenishments/{id}/receipts": Operation(
        "Book goods that came in for a replenishment.", ReplenishmentReceipt, MovementShown, 201, headers=_KEY
    ),
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer staff and merchants."""
    return _api().handle(event, context)


@cache
def _api() -> Api:
    return inventory_api(desk())


def inventory_api(desk: Desk) -> Api:
    """Return the routes."""

    def stock(request: Request) -> Answer:
        sku = _sku(request)
        return 200, show_stock(sku, service.stock(desk, sku))

    def adjust(request: Request) -> Answer:
        body = request.body(Adjustment)
        key, by, sku = request.idempotency_key, request.caller.subject, _sku(request)
        return 201, show_movement(service.adjust(desk, key, by, sku, body.warehouse_id, body.delta, body.reason))

    def shard(request: Request) -> Answer:
        body = request.body(Sharding)
        key, by, sku = request.idempotency_key, request.caller.subject, _sku(request)
        return 201, show_movement(service.shard(desk, key, by, sku, body.warehouse_id, body.shards))

    def receive(request: Request) -> Answer:
        body = request.body(Receipt)
        quantities = {line.sku: line.quantity for line in body.lines}
        key, by = request.idempotency_key, request.caller.subject
        return 201, show_movement(service.receive(desk, key, by, body.warehouse_id, quantities, body.reference))

    def replenishments(request: Request) -> Answer:
        if request.query.get("state", "open") != "open":
            raise Invalid(fields=[FieldError("state", "unknown", "only open")])
        start = read_cursor(request.query.get("cursor"), "open_pk", Open.REPLENISHMENT.value)
        page, following = service.open_replenishments(desk, page_size(request.query), start)
        return 200, show_replenishments(page, cursor(following))

    def receive_replenishment(request: Request) -> Answer:
        body = request.body(ReplenishmentReceipt)
        key, by = request.idempotency_key, request.caller.subject
        return 201, show_movement(service.receive_replenishment(desk, key, by, request.path["id"], body.quantity))

    api = Api("inventory-api")
    api.route("GET /stock/{sku}", stock)
    api.route("POST /stock/{sku}/adjustments", adjust)
    api.route("POST /stock/{sku}/shards", shard)
    api.route("POST /stock/receipts", receive)
    api.route("GET /replenishments", replenishments)
    api.route("POST /replenishments/{id}/receipts", receive_replenishment)
    return api


def _sku(request: Request) -> str:
    sku = request.path["sku"]
    if not _SKU.fullmatch(sku):
        raise StockUnknown(sku)
    return sku
