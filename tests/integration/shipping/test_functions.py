"""The shipping functions as Lambda calls them, on a simulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from commerce import aws as clients
from commerce.access import ROUTES
from commerce.clock import rfc3339
from commerce.ids import mint_order_number
from commerce.tokens import OrderClaims, TokenSigner
from shipping import api, tasks, workers
from shipping.model import ShipmentAlreadyDispatched
from shipping.store import ShippingStore
from tests.integration.conftest import make_table
from tests.unit.shipping.fakes import BUYER, NOW, ORDER, request

pytestmark = pytest.mark.integration

SLIP = f"{ORDER}-1"
OTHER = mint_order_number(NOW, 99)
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}
Reply = tuple[int, dict[str, Any], dict[str, str]]


@pytest.fixture(autouse=True)
def deployed(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_table("shipping", queue=("queue_pk", "queue_sk"))
    key = boto3.client("kms").create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
    monkeypatch.setenv("SHIPPING_TABLE", "shipping")
    monkeypatch.setenv("MAC_KEY_ARN", key)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "shipping")
    forget()
    yield
    forget()


def forget() -> None:
    """Drop what the functions keep warm, so that each test has its own AWS."""
    for kept in (clients._client, api._store, api._buyers, api._warehouses):
        kept.cache_clear()


def token(order_id: str = ORDER) -> str:
    key = boto3.client("kms").list_keys()["Keys"][-1]["KeyArn"]
    return TokenSigner(clients.kms(), key).issue(OrderClaims(order_id, "gst_1", 7200, "GBP", "en-GB"))


def batch(*envelopes: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"messageId": str(at), "body": json.dumps(one)} for at, one in enumerate(envelopes)]}


def requested(order_id: str = ORDER, fulfilments: int = 1) -> dict[str, Any]:
    detail = request(fulfilments, order_id=order_id).model_dump(mode="json")
    return {"source": "commerce.orders", "detail-type": "FulfilmentRequested", "detail": detail}


def reported(waybill: str, *statuses: str, source: str = "carrier.generic", ago: int = 60) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    scans = [{"status": one, "at": rfc3339(at + timedelta(seconds=n))} for n, one in enumerate(statuses)]
    return {"source": source, "detail-type": "ScanReported", "detail": {"waybill": waybill, "scans": scans}}


def call(
    route: str,
    *,
    groups: str = "warehouse",
    sub: str = "wh_1",
    body: str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    **path: str,
) -> Reply:
    method, template = route.split(" ")
    raw = template
    for name, value in path.items():
        raw = raw.replace(f"{{{name}}}", value)
    authorizer = {"jwt": {"claims": {"sub": sub, "cognito:groups": f"[{groups}]"}}} if sub else {}
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw,
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "queryStringParameters": query,
        "pathParameters": path,
        "requestContext": {
            "authorizer": authorizer,
            "http": {"method": method, "path": raw},
            "routeKey": route,
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": False,
    }
    entry = api.handler if ROUTES[route].function == "shipping-api" else api.warehouse
    answer = entry(event, None)
    return answer["statusCode"], json.loads(answer["body"]) if answer.get("body") else {}, answer.get("headers") or {}


def packed() -> dict[str, Any]:
    assert workers.inbox(batch(requested()), None) == NOTHING_FAILED
    status, slip, _ = call("POST /slips/{id}/pack", id=SLIP)
    assert status == 200
    return slip


def dispatched() -> str:
    packed()
    status, slip, _ = call("POST /slips/{id}/dispatch", id=SLIP)
    assert (status, slip["state"]) == (200, "dispatched")
    return str(slip["waybill"])


def shipments(**more: Any) -> Reply:
    return call("GET /orders/{number}/shipments", **{"groups": "customer", "sub": BUYER, "number": ORDER, **more})


def test_every_route_of_these_functions_is_served_and_described() -> None:
    mine = {key for key, route in ROUTES.items() if route.function in ("shipping-api", "shipping-warehouse")}
    assert set(api.OPENAPI) == mine
    assert all(call(key, sub="", number=ORDER, id=SLIP)[0] == 401 for key in mine)


def test_a_slip_from_the_queue_to_the_carrier() -> None:
    assert workers.inbox(batch(requested(), requested()), None) == NOTHING_FAILED
    status, page, _ = call("GET /slips", query={"warehouse": "GB-DAV", "state": "released"})
    assert (status, [slip["id"] for slip in page["slips"]], page["cursor"]) == (200, [SLIP], None)
    assert "buyer" not in page["slips"][0]
    status, slip, _ = call("POST /slips/{id}/pack", id=SLIP, body='{"lines": [{"line": 1, "quantity": 6}]}')
    assert (status, slip["state"], slip["carrier"]) == (200, "packed", "generic")
    assert call("POST /slips/{id}/pack", id=SLIP)[1] == slip
    assert call("GET /slips", query={"warehouse": "GB-DAV", "state": "released"})[1]["slips"] == []
    assert len(call("GET /slips", query={"warehouse": "GB-DAV"})[1]["slips"]) == 1
    status, gone, _ = call("POST /slips/{id}/dispatch", id=SLIP)
    assert (status, gone["state"], gone["waybill"]) == (200, "dispatched", slip["waybill"])
    assert call("POST /slips/{id}/dispatch", id=SLIP)[1] == gone
    assert call("GET /slips/{id}", id=SLIP)[1] == gone
    assert call("GET /slips", query={"warehouse": "GB-DAV"})[1]["slips"] == []


def test_the_queue_goes_on_by_cursor() -> None:
    orders = {mint_order_number(NOW, bits) for bits in range(5)}
    workers.inbox(batch(*(requested(order) for order in orders)), None)
    found: list[str] = []
    query = {"warehouse": "GB-DAV", "limit": "2"}
    while True:
        page = call("GET /slips", query=query)[1]
        found += [slip["order"] for slip in page["slips"]]
        if page["cursor"] is None:
            break
        query = {**query, "cursor": page["cursor"]}
    assert sorted(found) == sorted(orders)
    status, problem, _ = call("GET /slips", query={"warehouse": "DE-BER", "cursor": query["cursor"]})
    assert (status, problem["type"]) == (400, "/problems/malformed")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "warehouse"),
        ({"warehouse": "GB-DAV", "state": "dispatched"}, "state"),
        ({"warehouse": "GB-DAV", "limit": "0"}, "limit"),
    ],
)
def test_a_wrong_query_names_its_field(query: dict[str, str], field: str) -> None:
    status, problem, _ = call("GET /slips", query=query)
    assert (status, problem["errors"][0]["field"]) == (422, field)


def test_refusals_of_the_warehouse_routes() -> None:
    workers.inbox(batch(requested()), None)
    assert call("GET /slips/{id}", id=f"{ORDER}-2")[0] == 404
    assert call("GET /slips/{id}", id="nonsense-1")[0] == 400
    status, problem, _ = call("POST /slips/{id}/dispatch", id=SLIP)
    assert (status, problem["type"]) == (409, "/problems/not-packed")
    status, problem, _ = call("POST /slips/{id}/pack", id=SLIP, body='{"lines": [{"line": 2, "quantity": 1}]}')
    assert (status, problem["type"]) == (409, "/problems/short-pick")
    assert problem["errors"][0]["field"] == "lines.0.quantity"
    for body, field in [
        ('{"lines": [{"line": 9, "quantity": 1}]}', "lines.0.line"),
        ('{"lines": [{"line": 1, "quantity": -1}]}', "lines.0.quantity"),
        ('{"line": 1}', "line"),
    ]:
        status, problem, _ = call("POST /slips/{id}/pack", id=SLIP, body=body)
        assert (status, problem["errors"][0]["field"]) == (422, field)
    assert call("POST /slips/{id}/pack", id=SLIP, groups="customer")[0] == 403
    tasks.stop_slips({"order_id": ORDER}, None)
    assert call("POST /slips/{id}/pack", id=SLIP)[1]["type"] == "/problems/slip-stopped"
    assert call("POST /slips/{id}/dispatch", id=SLIP)[1]["type"] == "/problems/slip-stopped"


def test_stop_slips_stops_all_also_those_to_come() -> None:
    packed()
    assert tasks.stop_slips({"order_id": ORDER}, None) == {"order_id": ORDER, "stopped": 1}
    assert tasks.stop_slips({"order_id": ORDER, "more": 1}, None) == {"order_id": ORDER, "stopped": 1}
    assert tasks.stop_slips({"order_id": OTHER}, None) == {"order_id": OTHER, "stopped": 0}
    assert workers.inbox(batch(requested(OTHER)), None) == NOTHING_FAILED
    assert call("GET /slips/{id}", id=f"{OTHER}-1")[1]["state"] == "stopped"
    assert call("GET /slips", query={"warehouse": "GB-DAV"})[1]["slips"] == []
    assert shipments()[1]["shipments"][0]["status"] == "stopped"


def test_stop_slips_of_an_order_that_has_left_fails_by_name() -> None:
    dispatched()
    with pytest.raises(ShipmentAlreadyDispatched):
        tasks.stop_slips({"order_id": ORDER}, None)
    assert "Item" not in boto3.client("dynamodb").get_item(
        TableName="shipping", Key={"pk": {"S": f"ORDER#{ORDER}"}, "sk": {"S": "STOPPED"}}
    )


def test_a_request_met_by_a_stop_under_way_comes_again() -> None:
    store = api._store()
    store.ask_stop(ORDER)
    assert workers.inbox(batch(requested(), requested(OTHER)), None) == {"batchItemFailures": [{"itemIdentifier": "0"}]}


def test_scans_reach_the_buyer() -> None:
    waybill = dispatched()
    status, body, _ = shipments()
    assert (status, body["shipments"][0]["status"], body["shipments"][0]["progress"]) == (200, "dispatched", 20)
    assert workers.scans(batch(reported(waybill, "picked_up", "in_transit", ago=120)), None) == NOTHING_FAILED
    assert workers.scans(batch(reported(waybill, "out_for_delivery")), None) == NOTHING_FAILED
    status, body, headers = shipments()
    (one,) = body["shipments"]
    assert (one["status"], one["progress"], one["waybill"]) == ("out_for_delivery", 80, waybill)
    assert [made["status"] for made in one["milestones"]] == ["picked_up", "in_transit", "out_for_delivery"]
    assert [scan["status"] for scan in one["scans"]] == ["picked_up", "in_transit", "out_for_delivery"]
    again, nothing, _ = shipments(headers={"If-None-Match": headers["ETag"]})
    assert (again, nothing) == (304, {})
    workers.scans(batch(reported(waybill, "delivered", ago=30)), None)
    status, body, _ = shipments(headers={"If-None-Match": headers["ETag"]})
    assert (status, body["shipments"][0]["progress"]) == (200, 100)


def test_a_buyer_sees_his_own_shipments_and_no_others() -> None:
    dispatched()
    assert shipments(sub="somebody-else")[0] == 404
    assert shipments(number=OTHER)[0] == 404
    assert shipments(number=ORDER[:-1] + ("0" if ORDER[-1] != "0" else "1"))[0] == 400
    assert shipments(sub="sup_1", groups="support")[0] == 200
    assert shipments(sub="wh_1", groups="warehouse")[0] == 403


def test_a_guest_sees_the_shipments_of_his_token() -> None:
    dispatched()
    route = "GET /guest/orders/{number}/shipments"
    assert call(route, sub="", number=ORDER, headers={"Order-Token": token()})[0] == 200
    grouped = f"{ORDER[:4]}-{ORDER[4:8]}-{ORDER[8:]}".lower()
    assert call(route, sub="", number=grouped, headers={"Order-Token": token()})[0] == 200
    assert call(route, sub="", number=ORDER, headers={"Order-Token": token(OTHER)})[0] == 404
    assert call(route, sub="", number=ORDER, headers={"Order-Token": token()[:-4] + "AAAA"})[0] == 401
    assert call(route, sub="", number=ORDER)[0] == 401


def test_bad_scans_fail_alone() -> None:
    waybill = dispatched()
    good = reported(waybill, "in_transit")
    timeless = reported(waybill, "lost")
    timeless["detail"]["scans"][0]["at"] = "2026-11-23T10:00:00"
    bad = [
        reported("G00000000", "in_transit"),
        reported(waybill, "in_transit", source="carrier.other"),
        reported(waybill, "in_transit", source="commerce.shipping"),
        {**good, "detail-type": "SomethingElse"},
        {**good, "detail": {"waybill": waybill, "scans": []}},
        {**good, "detail": {"waybill": "G#1#2", "scans": good["detail"]["scans"]}},
        timeless,
    ]
    answer = workers.scans(batch(*bad, good), None)
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == [str(at) for at in range(len(bad))]
    assert [scan["status"] for scan in shipments()[1]["shipments"][0]["scans"]] == ["in_transit"]


def test_an_unknown_status_is_shown_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    waybill = dispatched()
    capsys.readouterr()
    assert workers.scans(batch(reported(waybill, "beamed_up"), reported(waybill, "in_transit")), None) == NOTHING_FAILED
    assert '"UnknownScanStatus":[1.0]' in capsys.readouterr().out.replace(" ", "")
    (one,) = shipments()[1]["shipments"]
    assert one["status"] == "in_transit"
    assert {scan["status"]: scan["doubt"] for scan in one["scans"]} == {
        "beamed_up": "unknown_status",
        "in_transit": None,
    }


@pytest.mark.parametrize(("losses", "failed"), [(4, False), (5, True)])
def test_a_record_that_changes_meanwhile_is_tried_again_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, losses: int, *, failed: bool
) -> None:
    waybill = dispatched()
    save, left = ShippingStore.save, [losses]

    def contended(self: ShippingStore, *given: Any) -> bool:
        left[0] -= 1
        return left[0] < 0 and save(self, *given)

    monkeypatch.setattr(ShippingStore, "save", contended)
    answer = workers.scans(batch(reported(waybill, "in_transit")), None)
    assert bool(answer["batchItemFailures"]) == failed
    assert len(shipments()[1]["shipments"][0]["scans"]) == (0 if failed else 1)
