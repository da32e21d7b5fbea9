"""Guests: they act on their order with its token, and may claim it into an account."""

from __future__ import annotations

import base64
import json

import pytest

from tests.e2e.support import GB, Shop, says, until
from tools.client import new_key

pytestmark = pytest.mark.e2e


def test_a_guest_orders_pays_follows_and_accepts_with_the_orders_token(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    email = shop.platform.address("guest-who-stays")
    order = shop.guest((goods, 1), email=email)
    assert order.path.startswith("/guest/orders/")
    assert order.payments()["state"] == "open"
    shop.complete(order)
    assert order.shipments()[0]["status"] == "delivered"
    assert order.payments()["payments"][0]["captured"] == order.total
    assert len(order.timeline()) >= 12
    mails = until(lambda: shop.mails(email, order.number), lambda seen: len(seen) == 5, "a guest's five mails")
    assert f"We have your order {order.number}" in [mail["Subject"] for mail in mails]


def test_a_guest_cancels(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.guest((goods, 1))
    shop.pay(order)
    order.cancel()
    shop.wait(order, "cancelled")
    shop.await_level(goods, GB, on_hand=1, reserved=0)


def test_a_guest_who_makes_an_account_claims_his_order(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.guest((goods, 1))
    shop.pay(order)
    shop.wait(order, "paid")
    account, other = shop.platform.customer(), shop.platform.customer()
    path, token = f"/orders/{order.number}", {"Order-Token": order.token}

    assert account.api.send("GET", path).status == 404
    assert account.api.send("POST", f"{path}/claim", key=new_key()).status == 401, "claimed without the token"
    for _ in range(2):
        assert account.api.send("POST", f"{path}/claim", headers=token, key=new_key()).status == 200
    shown = account.api.ask("GET", path)
    assert shown["number"] == order.number
    assert [one["number"] for one in account.api.ask("GET", "/orders")["orders"]] == [order.number]
    assert "claimed" in [entry["fact"] for entry in account.api.ask("GET", f"{path}/timeline")["timeline"]]

    assert other.api.send("POST", f"{path}/claim", headers=token, key=new_key()).status == 404
    assert account.api.send("GET", f"/guest{path}", headers=token).status == 404, "the guest's token outlived the claim"
    assert other.api.send("GET", path).status == 404

    own = {"Order-Token": shown["order_token"]}
    paid = account.api.send("GET", f"{path}/payments", headers=own)
    assert [one["state"] for one in paid.body["payments"]] == ["authorised"], paid
    assert len(account.api.send("GET", f"{path}/shipments", headers=own).body["shipments"]) == 1
    shop.deliver(*shop.send(order))
    until(lambda: account.api.ask("GET", path)["status"], lambda now: now == "delivered", "the delivery")
    assert account.api.ask("POST", f"{path}/accept", key=new_key())["status"] == "accepted"
    until(lambda: account.api.ask("GET", path)["status"], lambda now: now == "completed", "its end")


def test_a_claim_with_another_orders_token_is_none(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    mine, his = shop.guest((goods, 1)), shop.guest((goods, 1))
    path = f"/orders/{his.number}/claim"
    answer = shop.platform.english.api.send("POST", path, headers={"Order-Token": mine.token}, key=new_key())
    assert answer.status == 404
    changed = mine.token[:-2] + ("A" if mine.token[-2] != "A" else "B") + mine.token[-1]
    answer = shop.platform.english.api.send("POST", path, headers={"Order-Token": changed}, key=new_key())
    assert says(answer) == (401, "bad-order-token")


def test_the_price_in_a_token_cannot_be_changed(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.guest((goods, 1))
    head, claims, mac = order.token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert said["amount"] == order.total
    cheap = base64.urlsafe_b64encode(json.dumps({**said, "amount": 1}, separators=(",", ":")).encode())
    body = {"provider": "sandbox", "order_token": f"{head}.{cheap.rstrip(b'=').decode()}.{mac}"}
    answer = shop.platform.api.send("POST", f"{order.path}/payments", body, key=new_key())
    assert says(answer) == (401, "bad-order-token")
