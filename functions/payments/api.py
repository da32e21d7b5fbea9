"""HTTP routes of the payments: the buyer's, and the providers' callbacks (a function and a role of their own)."""

from __future__ import annotations

from functools import cache
from typing import Any

from commerce import aws
from commerce.errors import FieldError, Invalid, NotFound
from commerce.http import Answer, Api, Operation, Request, with_etag
from commerce.ids import read_order_number
from commerce.settings import env
from commerce.tokens import BadToken, OrderClaims, TokenSigner
from payments import service, wiring
from payments.contract import PaymentRequest, PaymentShown, PaymentsShown, Received, show_payment, show_payments
from payments.service import Desk

_KEY = {"Idempotency-Key": ("The same key again is the same payment.", True)}
_TOKEN = ("As answered by the order's POST.", False)


def _pay(summary: str) -> Operation:
    return Operation(summary, PaymentRequest, PaymentShown, 201, headers=_KEY | {"Order-Token": _TOKEN})


def _list(summary: str, *, token_needed: bool) -> Operation:
    headers = {"Order-Token": (_TOKEN[0], token_needed), "If-None-Match": ("ETag of the answer before.", False)}
    return Operation(summary, response=PaymentsShown, headers=headers)


OPENAPI: dict[str, Operation] = {
    "POST /orders/{number}/payments": _pay("Start a payment of an order."),
    "GET /orders/{number}/payments": _list("What is due for an order, and its payments.", token_needed=False),
    "POST /guest/orders/{number}/payments": _pay("Start a payment of a guest's order."),
    "GET /guest/orders/{number}/payments": _list(
        "What is due for a guest's order, and its payments.", token_needed=True
    ),
    "POST /payments/callbacks/{provider}": Operation(
        "A provider says what became of a payment; the body and the signature's header are the provider's.",
        response=Received,
    ),
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a buyer."""
    return _buyers().handle(event, context)


def callback(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a provider."""
    return _providers().handle(event, context)


@cache
def _buyers() -> Api:
    return buyers_api(wiring.desk(), TokenSigner(aws.kms(), env("MAC_KEY_ARN")))


@cache
def _providers() -> Api:
    return providers_api(wiring.desk())


def buyers_api(desk: Desk, signer: TokenSigner) -> Api:
    """Return the routes of buyers and staff."""

    def start(request: Request) -> Answer:
        body = request.body(PaymentRequest)
        claims = _claims(request, signer, body.order_token or request.header("Order-Token"))
        payment, then = service.start_payment(desk, claims, body.provider, request.idempotency_key)
        return 201, show_payment(payment, then).model_dump(mode="json")

    def start_signed_in(request: Request) -> Answer:
        body = request.body(PaymentRequest)
        if not body.order_token and not request.header("Order-Token"):
            raise Invalid(fields=[FieldError("order_token", "required", "the token of the order")])
        return start(request)

    def read(request: Request) -> Answer:
        token = request.header("Order-Token")
        if token:
            return _shown(request, service.read_own_payments(desk, _claims(request, signer, token)))
        buyer = None if request.by_staff else request.caller.subject
        return _shown(request, service.read_payments(desk, read_order_number(request.path["number"]), buyer))

    def read_as_guest(request: Request) -> Answer:
        claims = _claims(request, signer, request.header("Order-Token"))
        return _shown(request, service.read_own_payments(desk, claims))

    api = Api("payments-api")
    api.route("POST /orders/{number}/payments", start_signed_in)
    api.route("GET /orders/{number}/payments", read)
    api.route("POST /guest/orders/{number}/payments", start)
    api.route("GET /guest/orders/{number}/payments", read_as_guest)
    return api


def providers_api(desk: Desk) -> Api:
    """Return the routes of the providers."""

    def hear(request: Request) -> Answer:
        service.hear_callback(desk, request.path["provider"], request.header, request.raw_body)
        return 200, Received().model_dump()

    api = Api("payments-callback")
    api.route("POST /payments/callbacks/{provider}", hear)
    return api


def _claims(request: Request, signer: TokenSigner, token: str | None) -> OrderClaims:
    """Return what the order's token says; it must be of the path's order, and of the caller if he is signed in."""
    number = read_order_number(request.path["number"])
    if not token:
        raise BadToken("this needs the token of the order")
    claims = signer.read(token)
    if claims.order_id != number or request.caller.subject not in ("", claims.buyer):
        raise NotFound
    return claims


def _shown(request: Request, kept: service.Kept) -> Answer:
    return with_etag(request, kept.version, show_payments(kept).model_dump(mode="json"))
