"""The functions as AWS calls them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from commerce import outbox
from commerce.clock import FixedClock
from commerce.http import Operation
from payments import api, model, providers, service, tasks, workers
from payments.service import Desk
from tests.integration.payments.conftest import SECRET, Cloud
from tools.sandbox_provider import SignedCallback, callback

pytestmark = pytest.mark.integration

ORDER = "06PM4NXBDTKB"
SHOWN = "06PM-4NXB-DTKB"


def call(
    route: str,
    path: dict[str, str],
    *,
    sub: str = "",
    groups: str = "customer",
    headers: dict[str, str] | None = None,
    body: object = None,
    raw: bytes | None = None,
) -> tuple[int, Any, dict[str, Any]]:
    """Call a route as the HTTP API does (payload format 2.0); a raw body goes as base64."""
    method, template = route.split(" ")
    url = template.format(**path)
    context: dict[str, Any] = {"routeKey": route, "http": {"method": method, "path": url}, "stage": "$default"}
    if sub:
        context["authorizer"] = {"jwt": {"claims": {"sub": sub, "cognito:groups": f"[{groups}]"}}}
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": url,
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "pathParameters": path,
        "requestContext": context,
        "body": base64.b64encode(raw).decode() if raw is not None else json.dumps(body),
        "isBase64Encoded": raw is not None,
    }
    handler = api.callback if "callbacks" in route else api.handler
    answer = handler(event, None)
    return answer["statusCode"], json.loads(answer["body"]) if answer.get("body") else None, answer["headers"]


def start(cloud: Cloud, key: str = "key", **other: Any) -> tuple[int, Any]:
    body = {"provider": "sandbox", "order_token": cloud.token()} | other
    headers = {"Idempotency-Key": key}
    status, answer, _ = call(
        "POST /orders/{number}/payments", {"number": SHOWN}, sub="buyer-1", headers=headers, body=body
    )
    return status, answer


def hear(sent: SignedCallback, provider: str = "sandbox") -> tuple[int, Any]:
    route = "POST /payments/callbacks/{provider}"
    status, answer, _ = call(route, {"provider": provider}, headers=sent.headers, raw=sent.body)
    return status, answer


def says(verdict: Any, payment_id: str, secret: str = SECRET, late: int = 0) -> SignedCallback:
    return callback(secret, verdict, payment_id, 13912, "GBP", datetime.now(UTC) - timedelta(seconds=late))


def message(number: int = 1, of: int = 1, kind: str = "ShipmentDispatched") -> dict[str, Any]:
    at = "2026-11-23T06:07:08.123Z"
    detail = {
        "at": at,
        "order_id": ORDER,
        "buyer": "buyer-1",
        "fulfilment_id": f"{ORDER}-{number}",
        "carrier": "generic",
        "waybill": "GX0000000123",
        "warehouse_id": "GB-DAV",
        "released_at": at,
        "packed_at": at,
        "of": of,
    }
    body = {"source": "commerce.shipping", "detail-type": kind, "detail": detail}
    return {"messageId": f"message-{number}", "body": json.dumps(body)}


def write_units(items: list[dict[str, Any]]) -> int:
    return sum(-(-_size(item) // 1024) for item in items)


def _size(item: dict[str, Any]) -> int:
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(typed: dict[str, Any]) -> int:
    """Bytes of a value, by the DynamoDB developer guide, "DynamoDB item sizes and formats"."""
    ((kind, value),) = typed.items()
    if kind == "N":
        return len(value) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value(inner) for name, inner in value.items())
    assert kind == "S"
    return len(value.encode())


def test_the_way_of_an_order_costs_three_write_units(cloud: Cloud) -> None:
    status, answer = start(cloud)
    assert (status, answer["state"], answer["next"]["kind"]) == (201, "created", "redirect")
    assert hear(says("authorised", answer["payment_id"])) == (200, {"received": True})
    told = outbox.unpack(cloud.item()["outbox"], "record")
    assert [(one["source"], one["type"]) for one in told] == [("commerce.payments", "PaymentAuthorised")]
    assert told[0]["detail"]["order_id"] == ORDER
    assert workers.inbox({"Records": [message()]}, None) == {"batchItemFailures": []}
    assert "outbox" not in cloud.item()
    assert tasks.settle({"order_id": ORDER}, None) == {"captured": 13912, "currency": "GBP"}
    assert len(cloud.writes) == 3
    assert write_units(cloud.writes) == 3
    # Room for an issuer's longest usual subject, a longer provider's name and reference.
    assert max(_size(item) for item in cloud.writes) < 1024 - 128


def test_the_same_key_is_the_same_payment(cloud: Cloud) -> None:
    first, again = start(cloud), start(cloud)
    assert first == again
    assert len(cloud.writes) == 1
    assert start(cloud, "another")[1]["payment_id"] != first[1]["payment_id"]


def test_twenty_payments_fit_an_item_of_a_few_kilobytes(cloud: Cloud) -> None:
    for at in range(20):
        status, answer = start(cloud, str(at))
        assert status == 201
        assert hear(says("declined", answer["payment_id"]))[0] == 200
    status, answer = start(cloud, "one-more")
    assert (status, answer["type"]) == (409, "/problems/too-many-payments")
    assert _size(cloud.writes[-1]) < 8 * 1024


def test_who_may_pay(cloud: Cloud) -> None:
    route, path = "POST /orders/{number}/payments", {"number": SHOWN}
    key = {"Idempotency-Key": "key"}
    body = {"provider": "sandbox", "order_token": cloud.token()}

    def refused(status: int, slug: str, **how: Any) -> None:
        arguments = {"sub": "buyer-1", "headers": key, "body": body, "path": path} | how
        got, answer, _ = call(route, **arguments)
        assert (got, answer["type"]) == (status, f"/problems/{slug}")

    refused(401, "unauthenticated", sub="")
    refused(403, "forbidden", groups="warehouse")
    refused(404, "not-found", sub="buyer-2")
    refused(404, "not-found", path={"number": "06PM4NXBDTHG"}, body=body | {"order_token": cloud.token()})
    refused(400, "mistyped-order-number", path={"number": "06PM-4NXB-DTKD"})
    refused(401, "bad-order-token", body=body | {"order_token": cloud.token()[:-4] + "AAAA"})
    refused(400, "idempotency-key-missing", headers={})
    refused(422, "invalid", body={"provider": "sandbox"})
    refused(422, "invalid", body=body | {"provider": "nobody"})
    refused(422, "invalid", body=body | {"amount": 1})
    refused(409, "nothing-due", body=body | {"order_token": cloud.token(amount=0)})
    assert cloud.writes == []


def test_a_guest_pays_and_looks_with_the_order_s_token(cloud: Cloud) -> None:
    token = {"Order-Token": cloud.token(buyer="gst_1")}
    path = {"number": SHOWN}
    status, answer, _ = call("GET /guest/orders/{number}/payments", path, headers=token)
    assert (status, answer["state"], answer["amount"], answer["payments"]) == (200, "open", 13912, [])
    status, payment, _ = call(
        "POST /guest/orders/{number}/payments",
        path,
        headers=token | {"Idempotency-Key": "key"},
        body={"provider": "sandbox"},
    )
    assert status == 201
    status, answer, headers = call("GET /guest/orders/{number}/payments", path, headers=token)
    assert [one["payment_id"] for one in answer["payments"]] == [payment["payment_id"]]
    status, answer, _ = call(
        "GET /guest/orders/{number}/payments", path, headers=token | {"If-None-Match": headers["ETag"]}
    )
    assert (status, answer) == (304, None)
    for route, body in (
        ("GET /guest/orders/{number}/payments", None),
        ("POST /guest/orders/{number}/payments", {"provider": "sandbox"}),
    ):
        status, answer, _ = call(route, path, headers={"Idempotency-Key": "key"}, body=body)
        assert (status, answer["type"]) == (401, "/problems/bad-order-token")


@pytest.mark.parametrize(
    ("sub", "groups", "status"),
    [
        ("buyer-1", "customer", 200),
        ("buyer-2", "customer", 404),
        ("staff", "support", 200),
        ("staff", "finance", 200),
        ("staff", "ops", 200),
        ("staff", "warehouse", 403),
    ],
)
def test_who_may_look(cloud: Cloud, sub: str, groups: str, status: int) -> None:
    start(cloud)
    got, _, _ = call("GET /orders/{number}/payments", {"number": SHOWN}, sub=sub, groups=groups)
    assert got == status


def test_nobody_paid_yet(cloud: Cloud) -> None:
    route, path = "GET /orders/{number}/payments", {"number": SHOWN}
    assert call(route, path, sub="buyer-1")[0] == 404
    assert call(route, path, sub="buyer-1", headers={"Order-Token": cloud.token()})[0] == 200
    assert call(route, path, sub="buyer-2", headers={"Order-Token": cloud.token()})[0] == 404


def test_callbacks_that_are_refused(cloud: Cloud) -> None:
    payment_id = start(cloud)[1]["payment_id"]
    unsigned = SignedCallback({}, says("authorised", payment_id).body)
    for sent, status, slug in (
        (unsigned, 401, "bad-signature"),
        (says("authorised", payment_id, secret="forged"), 401, "bad-signature"),
        (says("authorised", payment_id, late=400), 401, "stale-callback"),
        (says("authorised", model.payment_id(ORDER, "unknown")), 503, "unknown-payment"),
        (says("authorised", "pi_3MtwBwLkdIwHu7ix"), 400, "malformed"),
    ):
        got, answer = hear(sent)
        assert (got, answer["type"]) == (status, f"/problems/{slug}")
    assert hear(says("authorised", payment_id), provider="nobody")[0] == 404
    assert len(cloud.writes) == 1


def test_paid_orders_are_not_paid_again_and_closed_ones_not_at_all(cloud: Cloud) -> None:
    payment_id = start(cloud)[1]["payment_id"]
    hear(says("authorised", payment_id))
    status, answer = start(cloud, "another")
    assert (status, answer["type"]) == (409, "/problems/already-paid")
    assert start(cloud)[1]["next"] is None
    assert tasks.return_money({"order_id": ORDER, "reason": "cancelled"}, None) == {
        "returned": [{"payment_id": payment_id, "amount": 13912, "currency": "GBP"}]
    }
    (told,) = outbox.unpack(cloud.item()["outbox"], "record")
    assert (told["type"], told["detail"]["reason"]) == ("PaymentReturned", "cancelled")
    status, answer = start(cloud, "another")
    assert (status, answer["type"]) == (409, "/problems/payment-closed")


def test_returning_again_says_the_same_and_writes_nothing(cloud: Cloud) -> None:
    hear(says("authorised", start(cloud)[1]["payment_id"]))
    workers.inbox({"Records": [message(1, 2)]}, None)
    first = tasks.return_money({"order_id": ORDER, "reason": "cancelled"}, None)
    written = len(cloud.writes)
    assert tasks.return_money({"order_id": ORDER, "reason": "cancelled"}, None) == first
    assert len(cloud.writes) == written


def test_a_callback_after_the_order_s_end_goes_back_by_itself(cloud: Cloud) -> None:
    payment_id = start(cloud)[1]["payment_id"]
    tasks.return_money({"order_id": ORDER, "reason": "expired"}, None)
    for _ in range(2):
        assert hear(says("authorised", payment_id)) == (200, {"received": True})
    assert cloud.item()["payments"][payment_id]["state"] == "voided"
    (told,) = outbox.unpack(cloud.item()["outbox"], "record")
    assert told["type"] == "PaymentReturned"


def test_the_sweep_finds_what_is_to_be_returned(cloud: Cloud) -> None:
    payment_id = start(cloud)[1]["payment_id"]
    hear(says("authorised", payment_id))
    kept = cloud.store.load(ORDER)
    assert kept is not None
    cloud.store.save(model.withdraw(kept.order, "cancelled"), over=kept, now="now", outbox=None)
    assert workers.sweep({}, None) == {"orders": 1}
    assert workers.sweep({}, None) == {"orders": 0}
    assert cloud.item()["payments"][payment_id]["state"] == "voided"


def test_shipments_capture_their_shares_once(cloud: Cloud) -> None:
    payment_id = start(cloud)[1]["payment_id"]
    hear(says("authorised", payment_id))
    records = [message(2, 3), message(1, 3), message(2, 3), message(3, 3)]
    assert workers.inbox({"Records": records}, None) == {"batchItemFailures": []}
    payment = cloud.item()["payments"][payment_id]
    assert payment["captures"] == {f"{ORDER}-2": 4638, f"{ORDER}-1": 4637, f"{ORDER}-3": 4637}
    assert payment["captured"] == 13912


def test_messages_that_fail_are_reported_alone(cloud: Cloud) -> None:
    start(cloud)
    unpaid, unexpected = message(1), message(2, kind="OrderPlaced")
    answer = workers.inbox({"Records": [unpaid, unexpected]}, None)
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["message-1", "message-2"]


def test_settlement_of_what_was_never_paid(cloud: Cloud) -> None:
    assert tasks.settle({"order_id": ORDER}, None) == {"captured": 0, "currency": None}
    with pytest.raises(model.SettlementImpossible):
        tasks.settle({"order_id": ORDER, "amount": 13912}, None)


def test_a_changed_key_is_read_again(cloud: Cloud) -> None:
    clock = FixedClock(datetime.now(UTC))
    desk = Desk(cloud.store, providers.registry(clock), clock)
    payment_id = start(cloud)[1]["payment_id"]

    def taken(secret: str) -> None:
        sent = callback(secret, "declined", payment_id, 13912, "GBP", clock.now())
        service.hear_callback(desk, "sandbox", sent.headers.get, sent.body)

    taken(SECRET)
    boto3.client("secretsmanager").put_secret_value(SecretId=cloud.secret_arn, SecretString="the next key")
    clock.move(timedelta(seconds=6))
    taken("the next key")
    with pytest.raises(model.BadSignature):
        taken(SECRET)


def test_every_route_is_described(cloud: Cloud) -> None:
    from commerce.access import ROUTES

    served = {key for key, route in ROUTES.items() if route.function.startswith("payments-")}
    assert set(api.OPENAPI) == served
    assert all(isinstance(operation, Operation) for operation in api.OPENAPI.values())
