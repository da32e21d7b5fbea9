"""The client: what it sends, what it makes of answers, and how it waits."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tools.client import Api, PlacedOrder, Provider, Refused, TooLate, place, until

pytestmark = pytest.mark.unit

Handler = Callable[[httpx.Request], httpx.Response]


def api(handler: Handler, token: str = "") -> Api:
    return Api(httpx.Client(transport=httpx.MockTransport(handler), base_url="http://api.test"), token)


def placed(handler: Handler) -> PlacedOrder:
    return PlacedOrder("06PM-4NXB-DTKC", "v1.a.b", api(handler, "jwt"), "/orders/06PM-4NXB-DTKC", 100, "GBP")


def test_a_refusal_names_its_fields() -> None:
    problem = {
        "type": "/problems/order-refused",
        "errors": [{"field": "lines.0.sku", "code": "unknown", "message": "x"}],
    }
    with pytest.raises(Refused) as caught:
        api(lambda _: httpx.Response(422, json=problem)).ask("POST", "/orders", {})
    assert (caught.value.status, caught.value.slug, caught.value.fields) == (422, "order-refused", ("lines.0.sku",))


def test_an_answer_of_the_gateway_itself_is_a_refusal_without_a_problem() -> None:
    with pytest.raises(Refused) as caught:
        api(lambda _: httpx.Response(502, text="bad gateway")).ask("GET", "/health")
    assert caught.value.fields == ()


@pytest.mark.parametrize("status", [503, 429])
def test_a_busy_platform_is_asked_again_with_the_same_key(status: int) -> None:
    keys = []

    def busy_once(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        return httpx.Response(status if len(keys) == 1 else 200, json={}, headers={"Retry-After": "0"})

    assert api(busy_once).ask("POST", "/orders", {}, key="k") == {}
    assert keys == ["k", "k"]


def test_a_platform_that_stays_busy_is_a_refusal() -> None:
    with pytest.raises(Refused, match="503"):
        api(lambda _: httpx.Response(503, headers={"Retry-After": "0"})).ask("GET", "/orders")


def test_a_guest_acts_with_his_orders_token() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        body = {"number": "06PM-4NXB-DTKC", "order_token": "v1.a.b", "total": 100, "currency": "GBP"}
        return httpx.Response(202, json=body)

    place(api(answer), {"currency": "GBP"}).pay(key="p")
    placing, paying = sent
    assert (placing.url.path, "order-token" in placing.headers) == ("/guest/orders", False)
    assert placing.headers["idempotency-key"]
    assert paying.url.path == "/guest/orders/06PM-4NXB-DTKC/payments"
    assert paying.headers["order-token"] == "v1.a.b"
    assert json.loads(paying.content) == {"provider": "sandbox", "order_token": "v1.a.b"}


def test_a_customer_acts_signed_in() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer jwt"
        body = {"number": "06PM-4NXB-DTKC", "order_token": "v1.a.b", "total": 100, "currency": "GBP"}
        return httpx.Response(202, json=body)

    assert place(api(answer, "jwt"), {}).path == "/orders/06PM-4NXB-DTKC"


def test_an_order_is_polled_by_its_etag() -> None:
    answers = [
        httpx.Response(200, json={"status": "paid"}, headers={"ETag": '"1"'}),
        httpx.Response(304, headers={"ETag": '"1"'}),
        httpx.Response(200, json={"status": "dispatched"}, headers={"ETag": '"2"'}),
    ]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("if-none-match"))
        return answers[len(asked) - 1]

    order = placed(answer)
    assert [order.status, order.status, order.status] == ["paid", "paid", "dispatched"]
    assert asked == [None, '"1"', '"1"']


def test_waiting_ends_with_what_was_seen_last() -> None:
    seen = iter(["received", "received", "paid"])
    assert until(lambda: next(seen), lambda status: status == "paid", "it", every=0) == "paid"
    with pytest.raises(TooLate, match="waited 0 s for it; last was received"):
        until(lambda: "received", lambda status: status == "paid", "it", within=0)


def test_a_callback_is_signed_over_the_bytes_that_are_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["sandbox-signature"].startswith("t=")
        assert json.loads(request.content)["data"] == {"payment_id": "pay_1", "amount": 100, "currency": "GBP"}
        return httpx.Response(200, json={"received": True})

    Provider(api(answer), "secret").authorise({"payment_id": "pay_1", "amount": 100, "currency": "GBP"})


def test_what_a_client_holds_is_not_in_its_text() -> None:
    assert "v1.a.b" not in repr(placed(lambda _: httpx.Response(200)))
    assert "jwt" not in repr(placed(lambda _: httpx.Response(200)))
