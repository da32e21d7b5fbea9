"""The way of an order from its placing to its end, as its buyer, the warehouse and the carrier see it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.e2e.support import GB, Person, Shop, begun, order_body, says, until
from tools.client import PlacedOrder, new_key

pytestmark = pytest.mark.e2e

KINDS = ("order-placed", "order-paid", "shipment-dispatched", "shipment-out-for-delivery", "order-delivered")
SUBJECTS = {
    "english": (
        "We have your order {n}",
        "Payment received for order {n}",
        "Your parcel for order {n} is on its way",
        "Your parcel for order {n} arrives today",
        "Your order {n} has arrived",
    ),
    "chinese": (
        "我们已收到您的订单 {n}",
        "订单 {n} 已收到付款",
        "订单 {n} 的包裹已发出",
        "订单 {n} 的包裹今天派送",
        "您的订单 {n} 已送达",
    ),
}


def buyer_of(shop: Shop, who: str) -> Person:
    return shop.platform.english if who == "english" else shop.platform.chinese


def repeated(who: str, shop: Shop) -> PlacedOrder:
    """Play an order to its end, and say everything twice."""
    (goods,) = shop.goods({GB: 5})
    order = shop.place((goods, 2), buyer=buyer_of(shop, who))
    payment = shop.pay(order)
    shop.platform.provider.authorise(payment)
    (slip,) = shop.send(order)
    shop.warehouse.ask("POST", f"/slips/{slip['id']}/dispatch", key=new_key())
    shop.deliver(slip)
    shop.wait(order, "delivered")
    order.accept()
    shop.deliver(slip)
    order.accept()
    shop.wait(order, "completed")
    return order


@pytest.mark.parametrize(
    "who", [pytest.param(who, marks=begun(partial(repeated, who))) for who in ("english", "chinese")]
)
def test_the_buyer_is_told_each_change_once_in_his_language(who: str, shop: Shop, prelude: PlacedOrder) -> None:
    buyer = buyer_of(shop, who)
    notices = shop.await_notices(buyer, prelude, *KINDS)
    subjects = [text.format(n=prelude.number) for text in SUBJECTS[who]]
    assert sorted(one["title"] for one in notices) == sorted(subjects)

    mails = until(lambda: shop.mails(buyer.email, prelude.number), lambda seen: len(seen) >= 5, "five mails")
    assert sorted(mail["Subject"] for mail in mails) == sorted(subjects)
    greeting = "Hello" if who == "english" else "您好"
    assert all(greeting in mail["BodyText"] and greeting in mail["BodyHtml"] for mail in mails)


def test_a_notice_is_read_by_its_reader_alone(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    buyer = shop.platform.english
    order = shop.place((goods, 1), buyer=buyer)
    notice = next(one for one in shop.await_notices(buyer, order, "order-placed") if one["read_at"] is None)
    assert shop.platform.chinese.api.send("POST", f"/me/notifications/{notice['id']}/read").status == 404
    assert buyer.api.ask("POST", f"/me/notifications/{notice['id']}/read")["read_at"]
    assert next(one for one in shop.inbox(buyer, order) if one["id"] == notice["id"])["read_at"]


def test_an_order_goes_from_placed_to_completed(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 10})
    key = new_key()
    order = shop.place((goods, 3), key=key)
    assert order.total == 3 * goods.price

    payment = shop.pay(order)
    assert (payment["amount"], payment["currency"], payment["next"]["kind"]) == (order.total, "GBP", "redirect")
    shop.wait(order, "paid")
    shop.await_level(goods, GB, on_hand=7, reserved=3, shipped=0)

    (slip,) = shop.slips(order)
    assert (slip["state"], slip["warehouse"], slip["of"]) == ("released", GB, 1)
    assert [(line["sku"], line["quantity"]) for line in slip["lines"]] == [(goods.sku, 3)]
    packed = shop.pack(slip)
    assert packed["state"] == "packed"
    assert shop.dispatch(packed).status == 200
    shop.wait(order, "dispatched")
    shop.await_level(goods, GB, on_hand=7, reserved=0, shipped=3)

    shop.deliver(packed)
    shop.wait(order, "delivered")
    (parcel,) = order.shipments()
    assert (parcel["status"], parcel["progress"], parcel["waybill"]) == ("delivered", 100, packed["waybill"])
    assert len(parcel["scans"]) == 6

    assert order.accept()["status"] == "accepted"
    shop.wait(order, "completed")
    facts = shop.facts(order)
    assert set(facts) == {
        *("placed", "paid", "screened", "reserved"),
        *("slip_released", "packed", "dispatched"),
        *("scan:information_received", "scan:picked_up", "scan:in_transit", "scan:out_for_delivery", "delivered"),
        *("accepted", "settled", "completed"),
    }
    assert len(facts) == len(set(facts)), "a fact is told twice"
    assert len(facts) >= 12
    sources = {entry["fact"]: entry["source"] for entry in order.timeline()}
    assert (sources["placed"], sources["paid"], sources["packed"]) == ("buyer", "payments", "shipping")
    assert (sources["scan:in_transit"], sources["delivered"]) == ("carrier", "carrier")
    times = [entry["at"] for entry in order.timeline()]
    assert times == sorted(times)
    taken = shop.await_money(order, "captured")
    assert (taken["captured"], taken["refunded"]) == (order.total, 0)

    same = shop.platform.english.api
    body = order_body([(goods, 3)])
    assert same.ask("POST", "/orders", body, key=key)["number"] == order.number
    changed = same.send("POST", "/orders", order_body([(goods, 4)]), key=key)
    assert says(changed) == (422, "idempotency-conflict")


def test_polling_an_order_that_has_not_changed_is_answered_without_a_body(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    order = shop.place((goods, 1))
    shop.pay(order)
    shop.slips(order)
    shop.wait(order, "paid")
    for path in (order.path, f"{order.path}/timeline", f"{order.path}/payments", f"{order.path}/shipments"):
        first = order.api.send("GET", path)
        assert first.status == 200, first
        assert first.etag
        again = order.api.send("GET", path, headers={"If-None-Match": first.etag})
        assert (again.status, again.body, again.etag) == (304, None, first.etag), path
        assert order.api.send("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    before = order.api.send("GET", order.path)
    order.cancel()
    after = order.api.send("GET", order.path, headers={"If-None-Match": before.etag})
    assert (after.status, after.body["status"]) == (200, "cancelling")


def test_an_order_shows_what_was_agreed(shop: Shop) -> None:
    one, other = shop.goods({GB: 2}, {GB: 2})
    order = shop.place((one, 1), (other, 2), buyer=shop.platform.chinese, currency="CNY", time_zone="Asia/Shanghai")
    shown: dict[str, Any] = order.show()
    assert (shown["currency"], shown["total"], shown["line_count"]) == ("CNY", 9 * (one.price + 2 * other.price), 2)
    assert (shown["locale"], shown["time_zone"], shown["revision"]) == ("zh-CN", "Asia/Shanghai", 1)
    assert shown["address"]["postal_code"] == "SW1Y 4JH"
    assert [line["merchant_id"] for line in shown["lines"]] == [shop.platform.merchant] * 2
    for line in shown["lines"]:
        charges = line["charges"]
        assert charges["tax_inclusive"] is True
        assert charges["tax_rate_bp"] == 2000
        assert charges["item"] == line["quantity"] * line["unit_price"]
        assert (charges["discount"], charges["shipping"]) == (0, 0)
    assert sum(line["charges"]["item"] for line in shown["lines"]) == shown["total"]


def test_a_customer_lists_his_own_orders_newest_first(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 5})
    buyer = shop.platform.customer()
    numbers = [shop.place((goods, 1), buyer=buyer).number for _ in range(3)]
    pages, query = [], {"limit": "2"}
    while True:
        page = buyer.api.ask("GET", "/orders", query=query)
        pages.append([one["number"] for one in page["orders"]])
        if not page["next"]:
            break
        query["cursor"] = page["next"]
    assert sorted(number for page in pages for number in page) == sorted(numbers)
    assert len(pages[0]) == 2
    stolen = shop.platform.english.api.send("GET", "/orders", query=query)
    assert stolen.status == 400, "another customer's cursor opens his list"


def test_a_mistyped_order_number_is_known_as_such(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    number = order.id
    swapped = number[:2] + number[3] + number[2] + number[4:] if number[2] != number[3] else "1" + number[:-1]
    wrong = number[:5] + ("2" if number[5] != "2" else "3") + number[6:]
    for mistyped in (wrong, swapped, number[:-1], number + "0", "AEIOUAEIOUAE"):
        for path in (f"/orders/{mistyped}", f"/orders/{mistyped}/shipments", f"/orders/{mistyped}/payments"):
            answer = order.api.send("GET", path)
            assert says(answer) == (400, "mistyped-order-number"), path
    for spelling in (number.lower(), order.number, order.number.replace("-", "%20")):
        assert order.api.send("GET", f"/orders/{spelling}").status == 200, spelling
