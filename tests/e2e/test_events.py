"""Events of the platform's own bus that come again, however late, change nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.e2e.support import GB, Shop

pytestmark = pytest.mark.e2e


def again(shop: Shop, name: str, context: str, **detail: Any) -> dict[str, Any]:
    return {
        "EventBusName": shop.platform.deployment.outputs["CommerceBusName"],
        "Source": f"commerce.{context}",
        "DetailType": name,
        "Detail": json.dumps({"id": f"evt_again_{name}", "v": 1, **detail}),
    }


def test_events_that_come_again_change_nothing(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 5})
    order = shop.place((goods, 2))
    payment = shop.pay(order)
    (slip,) = shop.send(order)
    sent = shop.slip(slip)
    shop.deliver(slip)
    shop.wait(order, "delivered")
    order.accept()
    shop.wait(order, "completed")
    kinds = ("order-placed", "order-paid", "shipment-dispatched", "shipment-out-for-delivery", "order-delivered")
    shop.await_notices(shop.platform.english, order, *kinds)
    before, facts = order.show(), order.timeline()
    at = {entry["fact"]: entry["at"] for entry in facts}
    claims = shop.platform.english.api.token.split(".")[1]
    buyer = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]

    of = {"order_id": order.id, "buyer": buyer, "locale": "en-GB"}
    money = {"currency": "GBP", "total": order.total}
    parcel = {
        **of,
        "fulfilment_id": slip["id"],
        "carrier": "generic",
        "waybill": slip["waybill"],
        "milestones": [{"status": "delivered", "at": at["delivered"]}],
    }
    lines = [{"line": 1, "sku": goods.sku, "quantity": 2}]
    wanted = {"fulfilment_id": slip["id"], "warehouse_id": GB, "merchant_id": slip["merchant"], "lines": lines}
    left = {"warehouse_id": GB, "released_at": sent["released_at"], "packed_at": sent["packed_at"], "of": 1}
    paid = {"payment_id": payment["payment_id"], "provider": "sandbox", "amount": order.total, "currency": "GBP"}
    entries = [
        again(shop, "OrderPlaced", "orders", at=at["placed"], lines=1, **of, **money),
        again(shop, "PaymentAuthorised", "payments", at=at["paid"], order_id=of["order_id"], **paid),
        again(shop, "OrderPaid", "orders", at=at["paid"], **of, **money),
        again(shop, "FulfilmentRequested", "orders", at=at["paid"], country="GB", fulfilments=[wanted], **of),
        again(shop, "ShipmentDispatched", "shipping", at=sent["dispatched_at"], **parcel, **left),
        again(shop, "ShipmentDelivered", "shipping", at=at["delivered"], **parcel),
        again(shop, "OrderAccepted", "orders", at=at["accepted"], by="buyer", total=order.total, **of),
        again(shop, "StockAvailable", "inventory", at=at["completed"], order_id=of["order_id"]),
        again(shop, "OrderCancellationRequested", "orders", at=at["completed"], **of),
    ]
    put = shop.platform.deployment.client("events").put_events(Entries=entries)
    assert put["FailedEntryCount"] == 0

    # Another order goes through the same queues behind them, and so has seen them worked off.
    shop.complete(shop.place((goods, 1)))
    assert order.show() == before
    assert order.timeline() == facts
    shop.await_level(goods, GB, on_hand=2, reserved=0, shipped=3)
    captured = shop.await_money(order, "captured")
    assert (captured["captured"], captured["refunded"]) == (order.total, 0)
    assert shop.slip(slip) == sent
    shop.await_notices(shop.platform.english, order, *kinds)
