"""Carriers' scans: twice, in any order, early, of unknown parcels, and such that break their contract."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.support import GB, WAY, Shop, begun, until
from tools.client import Carrier, CarrierScan, PlacedOrder, new_key

pytestmark = pytest.mark.e2e

QUEUE = "shipping-scans-dlq"


def on_its_way(shop: Shop) -> tuple[PlacedOrder, dict[str, Any]]:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    (slip,) = shop.send(order)
    return order, slip


def scans_of(order: PlacedOrder) -> list[str]:
    return [scan["status"] for scan in order.shipments()[0]["scans"]]


def test_scans_come_in_any_order_and_again_and_count_once(shop: Shop) -> None:
    order, slip = on_its_way(shop)
    scans = shop.scan(slip, *WAY)
    shop.platform.carrier.report([scans[4]], [scans[1]])
    shop.await_fact(order, "scan:out_for_delivery")
    shop.platform.carrier.report([scans[5]], [scans[0]], [scans[5]], [scans[3]], [scans[2]])
    shop.wait(order, "delivered")
    order.accept()
    shop.platform.carrier.report(scans, list(reversed(scans)), scans[:3])
    shop.await_notices(
        shop.platform.english,
        order,
        *("order-placed", "order-paid", "shipment-dispatched", "shipment-out-for-delivery", "order-delivered"),
    )
    until(lambda: scans_of(order), lambda seen: seen == list(WAY), "each scan once, in the order of their times")
    (parcel,) = order.shipments()
    times = [one["at"] for one in parcel["milestones"]]
    assert times == sorted(times)
    facts = shop.facts(order)
    assert len(facts) == len(set(facts))
    shop.wait(order, "completed")


def test_the_whole_history_in_one_event_is_enough(shop: Shop) -> None:
    order, slip = on_its_way(shop)
    shop.platform.carrier.report(shop.scan(slip, *WAY))
    shop.wait(order, "delivered")
    facts = shop.facts(order)
    assert {"scan:picked_up", "scan:in_transit", "scan:out_for_delivery", "delivered"} <= set(facts)


def test_scans_that_overtake_the_dispatch_count_when_it_comes(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    packed = shop.pack(shop.slips(order)[0])
    shop.platform.carrier.report(shop.scan(packed, "picked_up", "in_transit", "delivered"))
    assert "dispatched" not in shop.facts(order)
    assert shop.dispatch(packed).status == 200
    shop.wait(order, "delivered", within=60)


def test_trouble_is_told_once_and_a_later_delivery_counts(shop: Shop) -> None:
    order, slip = on_its_way(shop)
    scans = shop.scan(slip, "picked_up", "attempted", "out_for_delivery", "delivered")
    shop.platform.carrier.report(scans[:2], scans[:2])
    shop.await_fact(order, "exceptional:attempted")
    shop.platform.carrier.report(scans)
    shop.wait(order, "delivered")
    order.accept()
    # One event told of the van and of the delivery: that it arrives today is no news then.
    shop.await_notices(
        shop.platform.english,
        order,
        *("order-placed", "order-paid", "shipment-dispatched", "shipment-exceptional", "order-delivered"),
    )
    assert {"scan:attempted", "scan:out_for_delivery", "delivered"} <= set(shop.facts(order))


def test_an_event_of_another_source_is_not_heard(shop: Shop) -> None:
    order, slip = on_its_way(shop)
    events = shop.platform.deployment.client("events")
    detail = json.dumps({"waybill": slip["waybill"], "scans": [shop.scan(slip, "delivered")[0].to_dict()]})
    for source in ("commerce.shipping", "somebody", "carriergeneric"):
        entry = {
            "EventBusName": shop.platform.deployment.outputs["CarriersBusName"],
            "Source": source,
            "DetailType": "ScanReported",
            "Detail": detail,
        }
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    shop.platform.carrier.report(shop.scan(slip, "picked_up"))
    until(lambda: scans_of(order), lambda seen: seen == ["picked_up"], "the carrier's own scan alone")
    assert order.status == "dispatched"


def set_aside(shop: Shop) -> tuple[PlacedOrder, int]:
    """Send what cannot be worked off: an unknown waybill, another carrier's, a broken event, one far too early."""
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    packed = shop.pack(shop.slips(order)[0])
    before = held(shop)
    scans = shop.scan(packed, *WAY)
    unknown = CarrierScan("GX0000000000", "delivered", scans[0].at)
    shop.platform.carrier.report(scans, [unknown])
    Carrier(shop.platform.deployment, "other").report(scans)
    broken = {
        "EventBusName": shop.platform.deployment.outputs["CarriersBusName"],
        "Source": "carrier.generic",
        "DetailType": "ScanReported",
        "Detail": json.dumps({"waybill": packed["waybill"], "scans": []}),
    }
    shop.platform.deployment.client("events").put_events(Entries=[broken])
    until(lambda: held(shop), lambda now: now >= before + 4, "four messages to be set aside", within=100)
    # The payment may come before the stock is held or after it; nothing else may have come.
    told = {"placed", "screened", "reserved", "paid"}
    assert set(shop.facts(order)) == told, "another carrier, or a broken event, was believed"
    assert shop.dispatch(packed).status == 200
    shop.wait(order, "dispatched")
    return order, before


def held(shop: Shop) -> int:
    """Return how many messages of carriers are set aside, as operations see it."""
    queues = {one["name"]: one["messages"] for one in shop.ops.ask("GET", "/ops/queues")["queues"]}
    count: int = queues[QUEUE]
    return count


@begun(set_aside)
def test_what_cannot_be_worked_off_is_set_aside_and_can_be_redriven(shop: Shop, prelude: Any) -> None:
    order, before = prelude
    assert scans_of(order) == []

    assert shop.ops.send("POST", "/ops/queues/nothing-dlq/redrive", key=new_key()).status == 404
    assert shop.ops.send("POST", "/ops/queues/shipping-scans/redrive", key=new_key()).status == 404
    answer = shop.ops.send("POST", f"/ops/queues/{QUEUE}/redrive", key=new_key())
    assert answer.status == 202, answer
    assert answer.body["name"] == QUEUE
    shop.wait(order, "delivered", within=60)
    assert scans_of(order) == list(WAY)
    until(lambda: held(shop), lambda now: now == before + 3, "the other three to come back", within=100)
