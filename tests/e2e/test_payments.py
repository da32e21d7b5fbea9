"""Payments and their callbacks: twice, late, early, forged, stale, by two payments at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.support import GB, Shop, fault, says
from tools import sandbox_provider
from tools.client import Answer, PlacedOrder, new_key

pytestmark = pytest.mark.e2e


def signed(shop: Shop, payment: dict[str, Any], **changes: Any) -> sandbox_provider.SignedCallback:
    said: dict[str, Any] = {
        "secret": shop.platform.secret,
        "verdict": "authorised",
        "payment_id": payment["payment_id"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "at": datetime.now(UTC),
        **changes,
    }
    return sandbox_provider.callback(**said)


def send(shop: Shop, callback: sandbox_provider.SignedCallback, provider: str = "sandbox") -> Answer:
    path = f"/payments/callbacks/{provider}"
    return shop.platform.api.send("POST", path, callback.body, headers=callback.headers)


def waiting(shop: Shop) -> tuple[PlacedOrder, dict[str, Any]]:
    """Return an order that waits for the payment that was begun."""
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    payment = order.pay()
    shop.wait(order, "awaiting_payment")
    return order, payment


def test_a_callback_that_comes_twice_pays_once(shop: Shop) -> None:
    order, payment = waiting(shop)
    callback = signed(shop, payment)
    assert [send(shop, callback).status for _ in range(3)] == [200] * 3
    shop.wait(order, "paid")
    shop.slips(order)
    assert send(shop, callback).status == 200
    paid = shop.await_money(order, "authorised")
    assert (paid["authorised"], paid["captured"]) == (order.total, 0)
    assert shop.facts(order).count("paid") == 1
    shop.await_notices(shop.platform.english, order, "order-placed", "order-paid")


def test_a_callback_may_come_before_the_order_waits_for_it(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    shop.wait(order, "paid")
    (slip,) = shop.slips(order)
    assert slip["state"] == "released"
    assert {"paid", "reserved"} <= set(shop.facts(order))


def test_the_same_key_is_the_same_payment(shop: Shop) -> None:
    order, first = waiting(shop)
    key = new_key()
    one, again = order.pay(key), order.pay(key)
    assert one == again
    assert one["payment_id"] != first["payment_id"]
    assert len(order.payments()["payments"]) == 2
    without = order.api.send("POST", f"{order.path}/payments", {"provider": "sandbox", "order_token": order.token})
    assert says(without) == (400, "idempotency-key-missing")


def test_what_the_provider_did_not_sign_pays_nothing(shop: Shop) -> None:
    order, payment = waiting(shop)
    good = signed(shop, payment)
    forged = signed(shop, payment, secret="guessed")
    tampered = sandbox_provider.SignedCallback(good.headers, good.body.replace(b"payment.", b"payment. "))
    unsigned = sandbox_provider.SignedCallback({"Content-Type": "application/json"}, good.body)
    for bad in (forged, tampered, unsigned):
        answer = send(shop, bad)
        assert says(answer) == (401, "bad-signature"), bad
    for minutes in (-6, 6):
        stale = send(shop, signed(shop, payment, at=datetime.now(UTC) + timedelta(minutes=minutes)))
        assert says(stale) == (401, "stale-callback")
    unknown = send(shop, good, provider="nobody")
    assert says(unknown) == (404, "unknown-provider")
    assert [one["state"] for one in shop.money(order)["payments"]] == ["created"]
    assert "paid" not in shop.facts(order)


def test_a_callback_about_nothing_of_ours_is_refused(shop: Shop) -> None:
    order, payment = waiting(shop)
    not_ours = send(shop, signed(shop, payment, payment_id="pi_3MtwBwLkdIwHu7ix28a3tqPa"))
    assert not_ours.status == 400
    unknown = send(shop, signed(shop, payment, payment_id=payment["payment_id"][:-16] + "0" * 16))
    assert says(unknown) == (503, "unknown-payment"), "to be sent again"
    body = json.dumps({"hello": "world"}).encode()
    now = datetime.now(UTC)
    unread = {"Sandbox-Signature": sandbox_provider.sign(shop.platform.secret, body, now)}
    assert send(shop, sandbox_provider.SignedCallback(unread, body)).status == 400
    assert [one["state"] for one in shop.money(order)["payments"]] == ["created"]


@pytest.mark.parametrize("wrong", [{"amount": 1}, {"currency": "CNY"}])
def test_money_that_is_not_what_was_asked_for_goes_back(shop: Shop, wrong: dict[str, Any]) -> None:
    order, payment = waiting(shop)
    assert send(shop, signed(shop, payment, **wrong)).status == 200
    returned = shop.await_money(order, "voided")
    assert returned["captured"] == 0
    assert shop.money(order)["state"] == "open"
    assert order.status == "awaiting_payment"
    shop.pay(order)
    shop.wait(order, "paid")


def test_a_declined_payment_is_told_and_another_one_pays(shop: Shop) -> None:
    order, payment = waiting(shop)
    assert shop.platform.provider.call_back(payment, "declined").status == 200
    shop.await_money(order, "declined")
    shop.await_notices(shop.platform.english, order, "order-placed", "payment-declined")
    shop.pay(order)
    shop.wait(order, "paid")
    shop.await_notices(shop.platform.english, order, "order-placed", "payment-declined", "order-paid")


def test_of_two_payments_the_second_goes_back(shop: Shop) -> None:
    order, first = waiting(shop)
    second = order.pay()
    for payment in (first, second):
        shop.platform.provider.authorise(payment)
    shop.wait(order, "paid")
    money = shop.money(order)
    assert money["paid_by"] == first["payment_id"]
    states = {one["payment_id"]: (one["state"], one["captured"]) for one in money["payments"]}
    assert states == {first["payment_id"]: ("authorised", 0), second["payment_id"]: ("voided", 0)}
    third = order.api.send(
        "POST", f"{order.path}/payments", {"provider": "sandbox", "order_token": order.token}, key=new_key()
    )
    assert says(third) == (409, "already-paid")
    shop.await_notices(shop.platform.english, order, "order-placed", "order-paid", "payment-returned")
    shop.deliver(*shop.send(order))
    shop.wait(order, "delivered")
    captured = {one["payment_id"]: one["captured"] for one in shop.money(order)["payments"]}
    assert captured == {first["payment_id"]: order.total, second["payment_id"]: 0}


def test_a_provider_that_there_is_not_is_refused(shop: Shop) -> None:
    order, _ = waiting(shop)
    body = {"provider": "barter", "order_token": order.token}
    answer = order.api.send("POST", f"{order.path}/payments", body, key=new_key())
    assert fault(answer) == (422, "provider")
