"""HTTP routes of shipping: one function for buyers, one for warehouses."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from typing import Any

from commerce import aws
from commerce.clock import Clock, SystemClock
from commerce.dynamo import Table
from commerce.errors import FieldError, Invalid, Unauthenticated
from commerce.http import Answer, Api, Operation, Request, cursor, page_size, read_cursor, with_etag
from commerce.ids import read_order_number
from commerce.settings import env
from commerce.tokens import TokenSigner
from shipping import service
from shipping.carriers import carrier_table
from shipping.carriers.port import Carriers
from shipping.contract import PackBody, ShipmentList, ShipmentView, SlipPage, SlipView
from shipping.model import OPEN, NoShipments, Slip, SlipState, read_slip_id
from shipping.service import Shipment, Store
from shipping.store import ShippingStore

_WAREHOUSE = re.compile(r"[0-9A-Z-]{1,20}")

OPENAPI: dict[str, Operation] = {
    "GET /orders/{number}/shipments": Operation(
        "The parcels of an order and how far each is; 404 until the order is paid.",
        response=ShipmentList,
        headers={"If-None-Match": ("ETag of the answer before.", False)},
    ),
    "GET /guest/orders/{number}/shipments": Operation(
        "The parcels of a guest's order and how far each is; 404 until the order is paid.",
        response=ShipmentList,
        headers={
            "Order-Token": ("Token of this order.", True),
            "If-None-Match": ("ETag of the answer before.", False),
        },
    ),
    "GET /slips": Operation(
        "A warehouse's open slips, oldest first. A page may be short; there is more while there is a cursor.",
        response=SlipPage,
        query={
            "warehouse": "Whose queue; required.",
            "state": "released or packed; without it, both.",
            "limit": "Slips read for a page, 1 to 100 (25).",
            "cursor": "Of the page before.",
        },
    ),
    "GET /slips/{id}": Operation("One slip.", response=SlipView),
    "POST /slips/{id}/pack": Operation(
        "Close the slip's parcel and take its waybill. Packing it again changes nothing.",
        request=PackBody,
        response=SlipView,
    ),
    "POST /slips/{id}/dispatch": Operation(
        "Hand the slip's parcel to the carrier. Dispatching it again changes nothing.", response=SlipView
    ),
}
"""What the API reference says of each route."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Serve buyers (function ``shipping-api``)."""
    return _buyers().handle(event, context)


def warehouse(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Serve warehouses (function ``shipping-warehouse``)."""
    return _warehouses().handle(event, context)


def buyer_routes(store: Store, signer: TokenSigner) -> Api:
    """Return the routes of buyers."""

    def own(request: Request) -> Answer:
        if request.header("Order-Token"):  # of a guest's order that the caller has claimed since
            return guest(request)
        order_id = read_order_number(request.path["number"])
        buyer = None if request.by_staff else request.caller.subject
        return _shipments(request, order_id, service.shipments(order_id, buyer, store))

    def guest(request: Request) -> Answer:
        token = request.header("Order-Token")
        if not token:
            raise Unauthenticated("this needs the header Order-Token")
        order_id = read_order_number(request.path["number"])
        claims = signer.read(token)
        if claims.order_id != order_id or request.caller.subject not in ("", claims.buyer):
            raise NoShipments()
        return _shipments(request, order_id, service.shipments(order_id, None, store))

    api = Api("shipping-api")
    api.route("GET /orders/{number}/shipments", own)
    api.route("GET /guest/orders/{number}/shipments", guest)
    return api


def warehouse_routes(store: Store, carriers: Carriers, clock: Clock) -> Api:
    """Return the routes of warehouses."""

    def slips(request: Request) -> Answer:
        warehouse_id, state = _queue(request)
        at = read_cursor(request.query.get("cursor"), "warehouse", warehouse_id) or {}
        found, more = service.queue(warehouse_id, state, at.get("after", ""), page_size(request.query), store)
        place = cursor({"warehouse": warehouse_id, "after": more} if more else None)
        return 200, SlipPage(slips=[SlipView.of_slip(slip) for slip in found], cursor=place).model_dump(mode="json")

    def slip(request: Request) -> Answer:
        return _slip(service.find(read_slip_id(request.path["id"]), store))

    def pack(request: Request) -> Answer:
        body = request.body(PackBody) if request.raw_body else PackBody()
        picks = [(line.line, line.quantity) for line in body.lines]
        return _slip(service.pack(read_slip_id(request.path["id"]), picks, store, carriers, clock))

    def dispatch(request: Request) -> Answer:
        return _slip(service.dispatch(read_slip_id(request.path["id"]), store, clock))

    api = Api("shipping-warehouse")
    api.route("GET /slips", slips)
    api.route("GET /slips/{id}", slip)
    api.route("POST /slips/{id}/pack", pack)
    api.route("POST /slips/{id}/dispatch", dispatch)
    return api


def _queue(request: Request) -> tuple[str, SlipState | None]:
    warehouse_id, state = request.query.get("warehouse"), request.query.get("state")
    if not warehouse_id:
        raise Invalid(fields=[FieldError("warehouse", "required", "name the warehouse")])
    if not _WAREHOUSE.fullmatch(warehouse_id):
        raise Invalid(fields=[FieldError("warehouse", "malformed", "1 to 20 capital letters, digits and -")])
    if state is not None and state not in OPEN:
        raise Invalid(fields=[FieldError("state", "unknown", f"one of {', '.join(OPEN)}")])
    return warehouse_id, SlipState(state) if state else None


def _slip(slip: Slip) -> Answer:
    return 200, SlipView.of_slip(slip).model_dump(mode="json")


def _shipments(request: Request, order_id: str, shipments: list[Shipment]) -> Answer:
    body = ShipmentList(order=order_id, shipments=[ShipmentView.of_shipment(one) for one in shipments]).model_dump(
        mode="json"
    )
    version = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    return with_etag(request, version, body)


@cache
def _store() -> ShippingStore:
    return ShippingStore(Table(aws.dynamodb(), env("SHIPPING_TABLE")))


@cache
def _buyers() -> Api:
    return buyer_routes(_store(), TokenSigner(aws.kms(), env("MAC_KEY_ARN")))


@cache
def _warehouses() -> Api:
    return warehouse_routes(_store(), carrier_table(), SystemClock())
