"""Every route, called as the gateway calls it with what nobody should send: an answer of its page in the reference."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from commerce.access import GROUPS, ROUTES
from commerce.clock import rfc3339
from inventory import service
from inventory.model import StockUnknown, SweepIncomplete
from tests.fuzz.hostile import ENCODED, bounded, each_mutation, hostile_texts, mutated, texts_of
from tests.fuzz.stage import Outcome, Stage, request
from tools.sim.actors import Placed

pytestmark = pytest.mark.fuzz

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "functions" / "reference" / "openapi.json").read_text(encoding="utf-8")
)
KEYS = ("key-1", "key-2", "fuzz", "", " ", "two words", "k" * 255, "k" * 256, "ключ", "\x00")
TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16")
ONLY_REFUSED = {
    "POST /payments/callbacks/{provider}": "nobody can sign: see test_callbacks",
    "POST /orders/{number}/accept": "no parcel has arrived at this moment",
    "POST /guest/orders/{number}/accept": "no parcel has arrived at this moment",
}
SUBJECTS = ("customer-1", "customer-2", "merchant-1", "staff", "stranger")


def bodies(stage: Stage, token: str = "") -> dict[str, Any]:
    """Return route -> a body that it takes, for the order that ``token`` is of."""
    now = stage.now
    product = {
        "sku": "PLENTY", "merchant_id": "mer_1", "title": {"en": "Goods", "zh": "商品"}, "tax_rate_bp": 2000,
        "tax_inclusive": True, "listed": True,
    }  # fmt: skip
    place = {
        "currency": "GBP", "locale": "en-GB", "time_zone": "Europe/London", "price_list": "list",
        "contact": {"name": "Ada", "email": "ada@example.com", "phone": "+44 20 7946 0958"},
        "address": {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"},
        "lines": [
            {"sku": "PLENTY", "quantity": 2, "unit_price": 250},
            {"sku": "SPLIT", "quantity": 1, "unit_price": 99},
        ],
        "shipping": {"method": "standard"},
    }  # fmt: skip
    return {
        "POST /orders": place,
        "POST /guest/orders": place,
        "POST /orders/{number}/payments": {"provider": "sandbox", "order_token": token},
        "POST /guest/orders/{number}/payments": {"provider": "sandbox"},
        "PUT /me": {
            "name": "Ada", "email": "ada@example.com", "locale": "en-GB", "time_zone": "Europe/London",
            "phone": "+442079460958",
        },
        "PUT /catalog/products": {"products": [product, {**product, "sku": "NEW"}]},
        "PUT /catalog/price-lists/{id}": {
            "currency": "GBP", "valid_from": rfc3339(now), "valid_until": "2030-01-01T00:00:00Z",
            "entries": [{"sku": "PLENTY", "min_quantity": 1, "unit_price": 250}],
        },
        "POST /slips/{id}/pack": {"lines": [{"line": 1, "quantity": 1}]},
        "POST /stock/{sku}/adjustments": {"warehouse_id": "GB-DAV", "delta": 3, "reason": "counted"},
        "POST /stock/{sku}/shards": {"warehouse_id": "GB-DAV", "shards": 4},
        "POST /stock/receipts": {
            "warehouse_id": "GB-DAV", "lines": [{"sku": "PLENTY", "quantity": 5}], "reference": "PO-1",
        },
        "POST /replenishments/{id}/receipts": {"quantity": 1},
    }  # fmt: skip


def names(stage: Stage, route: str) -> dict[str, list[str]]:
    """Return path parameter -> values that there are."""
    shipping = stage.items("shipping")
    asked = [one for one in stage.items("inventory") if one["pk"].startswith("REPLENISHMENT#")]
    ids = {
        "/slips": [f"{one['pk'][6:]}-{int(one['sk'][5:])}" for one in shipping if one["sk"].startswith("SLIP#")],
        "/me/notifications": [one["sk"] for one in stage.items("notifications")],
        "/catalog": ["list"],
        "/replenishments": [f"{one['sku']}_{one['warehouse_id']}_{one['number']}" for one in asked],
    }  # fmt: skip
    return {
        "number": [one.number for one in stage.placed],
        "sku": ["PLENTY", "SCARCE", "SPLIT", "NONE"],
        "provider": ["sandbox"],
        "name": sorted(name for name in stage.world.wiring.queues if name.endswith("-dlq")),
        "id": next((found for start, found in ids.items() if route.split(" ")[1].startswith(start)), []),
    }


PARTS = ("path", "query", "claims", "headers", "body")
SPOILT = ((), *((one,) for one in PARTS), *((one,) for one in PARTS), ("headers", "body"), ("path", "query"), PARTS)


@st.composite
def calls(draw: st.DrawFn, stage: Stage, route: str) -> dict[str, Any]:
    """Return what `request` takes: a call of the route that is hostile in some of its parts and right in the others."""
    known = names(stage, route)
    spoilt = draw(st.sampled_from(SPOILT))
    order = draw(st.sampled_from([one for one in stage.placed if one.guest == ("/guest" in route)]))

    body = bodies(stage, order.token).get(route)

    call = right(stage, route, order, None if body is None else json.dumps(body))
    for name in call["path"]:
        if name != "number":
            call["path"][name] = draw(st.sampled_from(known[name] or ["none"]))
        if "path" in spoilt:
            # The gateway hands over decoded text without slashes; an empty one would be another route.
            call["path"][name] = draw(hostile_texts.map(lambda text: text.replace("/", "") or "-"))
    if "query" in spoilt:
        usual = st.sampled_from(("1", "open", "paid", "released", "GBP", "e30", "eyJwayI6ICJ4In0"))
        call["query"] = {
            one["name"]: draw(usual | hostile_texts) for one in described(route)["parameters"] if one["in"] == "query"
        }
    if "claims" in spoilt and call["claims"]:
        group = draw(st.sampled_from((*GROUPS, "", "]", "root customer")))
        call["claims"] = {"sub": draw(st.sampled_from(SUBJECTS)), "cognito:groups": f"[{group}]"}
    if "headers" in spoilt:
        another = stage.placed[0].token
        tokens = (order.token, another, order.token[:-2], "v1.e30.e30", "v1", "\ud800", "v1." + "A" * 2000)
        strange = {
            "content-type": TYPES,
            "idempotency-key": KEYS,
            "order-token": tokens,
            "if-none-match": ('"1"', "*", "\x00", ",,,"),
            "sandbox-signature": ("", "t=,v1=", f"t=1,v1={'0' * 64}", f"t={'9' * 12},v1={'a' * 64}", "t=๑,v1=x"),
        }
        headers = {name: draw(st.sampled_from(values)) for name, values in strange.items() if draw(st.booleans())}
        call["headers"] = {name: value for name, value in (call["headers"] | headers).items() if draw(st.booleans())}
    if "body" in spoilt:
        raw = st.tuples(texts_of({} if body is None else body), st.just(False))
        call["body"], call["encoded"] = draw(
            st.one_of(raw, raw, raw, st.tuples(st.sampled_from(ENCODED), st.just(True)))
        )
    return call


def right(stage: Stage, route: str, order: Placed, body: str | None) -> dict[str, Any]:
    """Return what `request` takes: a call of the route that is in order, by somebody who may make it."""
    parameters = [one["name"] for one in described(route)["parameters"] if one["in"] == "path"]
    path = {
        name: order.number if name == "number" else (names(stage, route)[name] or ["none"])[0] for name in parameters
    }
    headers = {"content-type": "application/json", "idempotency-key": "fuzz"}
    claims = None
    if ROUTES[route].signed_in:
        who = order.customer if "/orders" in route else "merchant-1" if "catalog" in route else "customer-1"
        claims = {"sub": who, "cognito:groups": f"[{' '.join(sorted(ROUTES[route].groups))}]"}
    if not claims or route.endswith("/claim"):
        headers["order-token"] = order.token
    query = {"warehouse": "GB-DAV"} if route == "GET /slips" else {}
    return {"path": path, "query": query, "headers": headers, "claims": claims, "body": body, "encoded": False}


def described(route: str) -> dict[str, Any]:
    method, path = route.split(" ")
    found: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return found


@cache
def validator(route: str, status: str) -> tuple[str, Draft202012Validator]:
    """Return media type and schema of a documented answer."""
    answer = described(route)["responses"][status]
    if "$ref" in answer:
        answer = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    # Where the gateway may answer by itself, the platform's own form comes first.
    media, content = next(iter(answer.get("content", {"": {"schema": {}}}).items()))
    return media, Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})


def wrong(route: str, outcome: Outcome) -> list[str]:
    """Return what is wrong with an answer: not documented, not in its schema, a server error, or half an effect."""
    if outcome.error is not None or outcome.logged:
        return [f"{outcome.error!r} {outcome.logged!r}"]
    answer = outcome.result
    status, headers, text = answer["statusCode"], answer.get("headers", {}), answer.get("body") or ""
    text.encode()
    if str(status) not in described(route)["responses"]:
        return [f"{status} is not documented: {text[:300]}"]
    media, schema = validator(route, str(status))
    found = []
    if text and (headers.get("Content-Type") or headers.get("content-type", "")).split(";")[0] != media:
        found.append(f"{status} as {headers}")
    if "json" in media:
        found += [f"{status}: {one.message[:300]}" for one in schema.iter_errors(json.loads(text))]
    if status >= 400 and outcome.effect:
        found.append(f"{status} after {outcome.changed} {outcome.sent}")
    return found


@pytest.mark.parametrize("route", [route for route in ROUTES if "requestBody" in described(route)])
def test_each_place_of_a_body_takes_what_it_should_and_nothing_else(stage: Stage, route: str) -> None:
    order = next(one for one in stage.placed if one.guest == ("/guest" in route))
    body = bodies(stage, order.token)[route]
    for change in each_mutation(body):
        call = right(stage, route, order, json.dumps(mutated(body, [change])))
        function, event = request(route, **call)
        assert wrong(route, stage.invoke(function, event)) == [], change


@pytest.mark.parametrize("route", ROUTES)
def test_whatever_is_sent_gets_a_documented_answer(stage: Stage, route: str) -> None:
    seen: set[int] = set()

    @bounded(60 if route in bodies(stage) else 30)
    @given(calls(stage, route))
    def sent(call: dict[str, Any]) -> None:
        function, event = request(route, **call)
        outcome = stage.invoke(function, event)
        assert wrong(route, outcome) == []
        seen.add(outcome.result["statusCode"])

    sent()
    assert min(seen) < 300 or route in ONLY_REFUSED, f"only refused: {seen}"


@pytest.mark.parametrize(
    ("raised", "told"),
    [(KeyError("x"), "unknown error"), (StockUnknown("x"), "404 after"), (SweepIncomplete("x"), "request failed")],
)
def test_what_is_planted_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: str) -> None:
    """A use case that books and then fails, by an error that is known or not."""
    route, adjust = "POST /stock/{sku}/adjustments", service.adjust

    def broken(*arguments: Any) -> None:
        adjust(*arguments)
        raise raised

    call = right(stage, route, stage.placed[0], json.dumps(bodies(stage)[route]))
    assert wrong(route, stage.invoke(*request(route, **call))) == []
    monkeypatch.setattr(service, "adjust", broken)
    assert told in str(wrong(route, stage.invoke(*request(route, **call))))
