"""HTTP routes of orders: parse, call one use case, translate."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from commerce import aws, settings
from commerce.access import ROUTES
from commerce.clock import SystemClock, rfc3339
from commerce.errors import FieldError, Invalid, Unauthenticated
from commerce.http import Answer, Api, Request, cursor, page_size, read_cursor, serve, with_etag
from commerce.ids import read_order_number, show_order_number
from commerce.limits import MOST_EXPORTED
from commerce.tokens import OrderClaims
from orders import wiring

if TYPE_CHECKING:
    from orders.model import Erasure, Order


def intake(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Function ``orders-intake``: the one route that must start quickly."""
    return serve(event, {"POST /orders": _place, "POST /guest/orders": _place})


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Function ``orders-api``: what buyers and support do with an order."""
    return _buyers().handle(event, context)


def erasure(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Function ``orders-erasure``: a person asks, or support asks for him."""
    return _erasures().handle(event, context)


def ops(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Function ``orders-ops``: open orders and dead-letter queues."""
    return _ops().handle(event, context)


@cache
def _buyers() -> Api:
    api = Api("orders-api")
    api.route("GET /orders", _list)
    for of in ("", "/guest"):
        api.route(f"GET {of}/orders/{{number}}", _get)
        api.route(f"GET {of}/orders/{{number}}/timeline", _timeline)
        api.route(f"POST {of}/orders/{{number}}/cancel", _cancel)
        api.route(f"POST {of}/orders/{{number}}/accept", _accept)
    api.route("POST /orders/{number}/claim", _claim)
    api.route("GET /me/export/orders", _export)
    api.route("GET /guest/orders/{number}/export", _export_one)
    return api


@cache
def _erasures() -> Api:
    api = Api("orders-erasure")
    api.route("POST /me/erasure", _erase_me)
    api.route("POST /guest/orders/{number}/erasure", _erase_buyer)
    api.route("POST /ops/orders/{number}/erasure", _erase_buyer)
    api.route("POST /ops/customers/{id}/erasure", _erase_customer)
    return api


@cache
def _ops() -> Api:
    api = Api("orders-ops")
    api.route("GET /ops/orders", _open)
    api.route("GET /ops/queues", _queues)
    api.route("POST /ops/queues/{name}/redrive", _redrive)
    return api


def _place(request: Request) -> Answer:
    from orders.contract import PlaceOrder
    from orders.service import placing

    window = timedelta(seconds=settings.env_seconds("OPEN_SECONDS"))
    desk = placing.Desk(wiring.orders(), wiring.orders(), wiring.vault(), SystemClock(), window, wiring.pace())
    key = request.idempotency_key
    order = placing.place(request.body(PlaceOrder), request.caller.subject, key, desk)
    return 202, _placed(order), {"Location": f"{_prefix(request)}/orders/{order.order_id}"}


def _list(request: Request) -> Answer:
    from orders.service import reading

    who = request.caller.subject
    position = read_cursor(request.query.get("cursor"), "customer_id", who)
    page = wiring.orders().of_customer(who, page_size(request.query), position)
    return 200, {"orders": [reading.summary(one) for one in page.orders], "next": cursor(page.next)}


def _get(request: Request) -> Answer:
    from orders.service import reading

    who = _asker(request)
    order = reading.header(_number(request), who, wiring.orders())
    answer = with_etag(request, order.version, None)
    if answer[0] == 304:
        return answer
    body = reading.whole(order, wiring.orders(), wiring.vault())
    # Staff look, they do not act for the buyer; and a token costs a call, so there is one while it is of use: to
    # pay, or to show whose it is to those who know the order by the guest it was.
    if who and (not order.payment_id or order.buyer != order.customer_id):
        body["order_token"] = wiring.signer().issue(_claims(order))
    return with_etag(request, order.version, body)


def _timeline(request: Request) -> Answer:
    from orders.service import reading

    order = reading.header(_number(request), _asker(request), wiring.orders())
    return with_etag(request, order.version, reading.timeline(order))


def _cancel(request: Request) -> Answer:
    from orders.service import lifecycle

    who = _asker(request)
    order = lifecycle.cancel(_number(request), who, "buyer" if who else "support", wiring.orders(), SystemClock())
    return 202, _status(order)


def _accept(request: Request) -> Answer:
    from orders.service import lifecycle

    orders, windows = wiring.orders(), wiring.windows()
    order = lifecycle.accept(_number(request), _asker(request), "buyer", orders, windows, SystemClock())
    return 200, _status(order)


def _claim(request: Request) -> Answer:
    from orders.service import lifecycle

    claims = wiring.signer().read(_token(request))
    order = lifecycle.claim(_number(request), claims, request.caller.subject, wiring.claims(), SystemClock())
    return 200, _status(order)


def _export(request: Request) -> Answer:
    who = request.caller.subject
    position = read_cursor(request.query.get("cursor"), "customer_id", who)
    page = wiring.orders().of_customer(who, page_size(request.query, most=MOST_EXPORTED, usual=MOST_EXPORTED), position)
    return 200, {"orders": [_exported(one) for one in page.orders], "next": cursor(page.next)}


def _export_one(request: Request) -> Answer:
    from orders.service import reading

    return 200, _exported(reading.header(_number(request), _asker(request), wiring.orders()))


def _exported(order: Order) -> dict[str, Any]:
    from orders.service import reading

    claimed = order.buyer != order.customer_id != ""
    token = wiring.signer().issue(_claims(order)) if claimed else None
    return reading.exported(order, token, wiring.orders(), wiring.vault())


def _erase_me(request: Request) -> Answer:
    from orders.service import erasing

    return 202, _erasure(erasing.ask(request.caller.subject, wiring.orders(), SystemClock()))


def _erase_buyer(request: Request) -> Answer:
    from orders.service import erasing, reading

    order = reading.header(_number(request), "" if request.by_staff else _asker(request), wiring.orders())
    return 202, _erasure(erasing.ask_for_buyer(order, wiring.orders(), SystemClock()))


def _erase_customer(request: Request) -> Answer:
    from orders.model import GUEST
    from orders.service import erasing

    subject = request.path["id"]
    # A guest is erased by his order, which would not be waited for otherwise.
    if not re.fullmatch(rf"(?!{GUEST})[0-9A-Za-z_|.:@-]{{1,128}}", subject):
        raise Invalid(fields=[FieldError("id", "malformed", "a customer's id, as its issuer gave it")])
    return 202, _erasure(erasing.ask(subject, wiring.orders(), SystemClock()))


def _open(request: Request) -> Answer:
    from orders.service import reading

    older_than = request.query.get("older_than", "0")
    if not re.fullmatch(r"[0-9]{1,9}", older_than):
        raise Invalid(fields=[FieldError("older_than", "out-of-range", "a number of seconds")])
    position = read_cursor(request.query.get("cursor"))
    found, following = reading.open_orders(
        request.query.get("status"), int(older_than), page_size(request.query), position, wiring.orders(), SystemClock()
    )
    return 200, {"orders": found, "next": cursor(following)}


def _queues(_: Request) -> Answer:
    from orders import dead_letters

    return 200, {"queues": dead_letters.counts(aws.sqs(), settings.env("QUEUE_PREFIX"))}


def _redrive(request: Request) -> Answer:
    from orders import dead_letters

    name = request.path["name"]
    return 202, {"name": name, "task": dead_letters.redrive(aws.sqs(), settings.env("QUEUE_PREFIX"), name)}


def _asker(request: Request) -> OrderClaims | str:
    """Return who asks: claims of a guest's token, a customer's id, or ``""`` for staff where the route is theirs.

    Somebody of the staff who shops is a customer to his own orders, and on the routes that only customers have.
    """
    if not ROUTES[request.route].signed_in:
        return wiring.signer().read(_token(request))
    if not request.by_staff:
        return request.caller.subject
    own = wiring.orders().get(_number(request)).customer_id == request.caller.subject
    return request.caller.subject if own else ""


def _token(request: Request) -> str:
    token = request.header("Order-Token")
    if not token:
        raise Unauthenticated("this needs the header Order-Token")
    return token


def _number(request: Request) -> str:
    return read_order_number(request.path["number"])


def _prefix(request: Request) -> str:
    return "" if request.caller.subject else "/guest"


def _placed(order: Order) -> dict[str, Any]:
    of = f"{'' if order.customer_id else '/guest'}/orders/{order.order_id}"
    return {
        "number": show_order_number(order.order_id),
        "status": order.status.value,
        "currency": order.currency,
        "total": order.total,
        "placed_at": rfc3339(order.placed_at),
        "order_token": wiring.signer().issue(_claims(order)),
        "links": {
            "self": of,
            "timeline": f"{of}/timeline",
            "payments": f"{of}/payments",
            "shipments": f"{of}/shipments",
        },
    }


def _status(order: Order) -> dict[str, Any]:
    return {"number": show_order_number(order.order_id), "status": order.status.value}


def _erasure(erasure: Erasure) -> dict[str, Any]:
    waits_for = show_order_number(erasure.waits_for) if erasure.waits_for else None
    return {
        "state": erasure.state.value,
        "asked_at": erasure.asked_at,
        "erased_at": erasure.erased_at or None,
        "waits_for": waits_for,
    }


def _claims(order: Order) -> OrderClaims:
    return OrderClaims(order.order_id, order.customer_id or order.buyer, order.total, order.currency, order.locale)
