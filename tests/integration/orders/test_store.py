"""The orders table on a simulated DynamoDB: conditions, pages, indexes, sizes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from commerce import outbox
from commerce.clock import rfc3339
from commerce.dynamo import Table, dump
from commerce.events import OrderDelivered, OrderPlaced
from orders import model
from orders.model import Line, NoSuchOrder, NumberTaken, Order, Revision, Shipment, Stage, Status, Wait, Windows, charge
from orders.service.ports import Changed, Clocks, Key, KeyUsed, Window, WindowFull
from orders.store import DynamoOrders
from tests.integration.conftest import make_table
from tests.unit.orders.fakes import NOW, offer

WINDOWS = Windows(timedelta(days=10), timedelta(days=7), timedelta(minutes=15))
NUMBER = "06064G0YZZ40"
CUSTOMER = "019360d5-a1b2-7c3e-8f01-23456789abcd"


@pytest.fixture
def table(aws: None) -> Table:
    client = make_table("orders", customer=("customer_id", "number"), open=("open_pk", "due"))
    return Table(client, "orders")


@pytest.fixture
def store(table: Table) -> DynamoOrders:
    return DynamoOrders(table)


def order(number: str = NUMBER, **changes: Any) -> Order:
    entry = model.Entry(model.Fact.PLACED, NOW, "buyer")
    made = Order(
        number,
        Status.RECEIVED,
        CUSTOMER,
        CUSTOMER,
        "GBP",
        1530,
        1,
        "en-GB",
        "GB",
        NOW,
        NOW + timedelta(days=1),
    )
    return replace(made, timeline=(entry,), **changes)


def revision(lines: int = 1) -> Revision:
    made = [
        Line(n, f"SKU{n}", 6, 255, "mer_hearts", charge(6, 255, 2000, tax_inclusive=True)) for n in range(1, lines + 1)
    ]
    return Revision(1, CUSTOMER, b"\x00sealed", "2011-03-07-trade", "Europe/London", made)


def placed(made: Order) -> OrderPlaced:
    return OrderPlaced(at=rfc3339(NOW), order_id=made.order_id, buyer=CUSTOMER, currency="GBP", total=1530, lines=1)


def key(name: str = "key-1", digest: str = "d1") -> Key:
    return Key(CUSTOMER, name, digest)


@pytest.mark.parametrize("lines", [1, 100, 101, 704, 1000])
def test_an_order_comes_back_as_it_was_stored(store: DynamoOrders, lines: int) -> None:
    store.add(order(), revision(lines), key(), [placed(order())])
    assert store.get(NUMBER) == order()
    assert store.revision(NUMBER, 1) == revision(lines)
    used = store.key_used(key())
    assert used is not None
    assert (used.order_id, used.digest) == (NUMBER, "d1")


def test_a_key_has_one_effect_and_a_number_one_order(store: DynamoOrders) -> None:
    store.add(order(), revision(), key(), [])
    with pytest.raises(KeyUsed) as used:
        store.add(order("0606TTTTTTT0"), revision(), key(), [])
    assert used.value.order_id == NUMBER
    with pytest.raises(NumberTaken):
        store.add(order(), revision(), key("key-2"), [])
    assert store.key_used(key("key-2")) is None
    with pytest.raises(NoSuchOrder):
        store.get("0606TTTTTTT0")


def test_a_save_on_what_has_changed_is_refused(store: DynamoOrders) -> None:
    store.add(order(), revision(), key(), [])
    before = store.get(NUMBER)
    after = model.start(before, "2026-11-23T12:00:00Z", NOW)
    store.save(before, after, [])
    assert store.get(NUMBER) == replace(after, version=2)
    with pytest.raises(Changed):
        store.save(before, after, [])


def test_an_event_leaves_the_item_with_the_next_change(store: DynamoOrders, table: Table) -> None:
    store.add(order(), revision(), key(), [placed(order())])
    assert "outbox" in (table.get((f"ORDER#{NUMBER}", "HEAD")) or {})
    before = store.get(NUMBER)
    store.save(before, model.start(before, "2026-11-23T12:00:00Z", NOW), [])
    assert "outbox" not in (table.get((f"ORDER#{NUMBER}", "HEAD")) or {})


LONGEST_OUTBOX = 260
"""Bytes of the longest outbox on a header: OrderDelivered with its attribute's name."""


def test_the_longest_outbox_of_a_header_is_as_long_as_is_reckoned() -> None:
    at = rfc3339(NOW)
    told = OrderDelivered(at=at, order_id=NUMBER, buyer=CUSTOMER, locale="zh-Hans-CN", accept_by=at)
    assert len("outbox" + (outbox.pack(told) or "")) <= LONGEST_OUTBOX


def lead_to_completion(store: DynamoOrders) -> None:
    """The whole way of an order, change by change."""

    def step(change: Any) -> None:
        before = store.get(NUMBER)
        store.save(before, change(before), [])

    shipment = Shipment(f"{NUMBER}-1", "GB-DAV", "mer_hearts")
    gone = replace(shipment, status="dispatched", carrier="generic", waybill="GX0000000123")
    scans = [
        model.Entry(f"scan:{one}", NOW, "carrier", f"{NUMBER}-1")
        for one in ("picked_up", "in_transit", "out_for_delivery")
    ]
    facts = [model.Entry(one, NOW, "shipping", f"{NUMBER}-1") for one in ("slip_released", "packed", "dispatched")]
    step(lambda it: model.start(it, "2026-11-23T12:00:00.123Z", NOW))
    step(lambda it: model.hold(it, [shipment], NOW))
    step(lambda it: model.pay(it, "pay_06064G0YZZ40_5f0c9a1122", NOW))
    step(lambda it: model.ship(it, gone, facts, WINDOWS, NOW))
    step(lambda it: model.ship(it, replace(gone, status="out_for_delivery"), scans, WINDOWS, NOW))
    done = [model.Entry("delivered", NOW, "carrier", f"{NUMBER}-1")]
    step(lambda it: model.ship(it, replace(gone, status="delivered"), done, WINDOWS, NOW))
    step(lambda it: model.accept(it, "buyer", WINDOWS, NOW))
    step(lambda it: model.complete(it, NOW))


def test_the_header_of_a_completed_order_still_fits_one_write_unit(store: DynamoOrders, table: Table) -> None:
    store.add(order(), revision(), key(), [])
    lead_to_completion(store)
    item = table.get((f"ORDER#{NUMBER}", "HEAD"))
    assert item is not None
    assert store.get(NUMBER).status is Status.COMPLETED
    assert size(dump(item)) <= 1024 - LONGEST_OUTBOX
    assert "open_pk" not in item


def size(value: Any) -> int:
    """Bytes of an item in DynamoDB's typed JSON, as DynamoDB counts them (developer guide, item sizes)."""
    if isinstance(value, dict):
        if set(value) == {"M"}:
            return 3 + sum(len(name) + size(inner) + 1 for name, inner in value["M"].items())
        if set(value) == {"L"}:
            return 3 + sum(size(inner) + 1 for inner in value["L"])
        if set(value) <= {"S", "N", "B", "BOOL"} and len(value) == 1:
            [(kind, inner)] = value.items()
            if kind == "N":
                return (len(inner) + 1) // 2 + 1
            return 1 if kind == "BOOL" else len(inner.encode() if kind == "S" else inner)
        return sum(len(name) + size(inner) for name, inner in value.items())
    raise TypeError(value)


def test_open_orders_are_listed_by_stage_and_due_time(store: DynamoOrders, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [f"0606{n:08d}" for n in range(20)]
    for n, number in enumerate(numbers):
        store.add(order(number, due=NOW + timedelta(minutes=n)), revision(), key(number), [])
    found, position = [], None
    while True:
        page = store.open(Stage.DISPATCH, 3, position)
        found += [one.order_id for one in page.orders]
        position = page.next
        if position is None:
            break
    assert sorted(found) == numbers
    first = min(store.get(one).due or NOW for one in numbers)
    for glance in (1, 2, 25):
        monkeypatch.setattr("orders.store.GLANCE", glance)
        clocks = store.clocks(Stage.DISPATCH, NOW + timedelta(minutes=5))
        assert (sorted(clocks.overdue), clocks.first) == (numbers[:5], first)
    assert store.clocks(Stage.DISPATCH, NOW - timedelta(days=9)) == Clocks([], first)
    assert store.clocks(Stage.DELIVERY, NOW + timedelta(days=9)) == Clocks([], None)


def test_a_customer_sees_his_orders_newest_first_page_by_page(store: DynamoOrders) -> None:
    numbers = [f"0606{n:08d}" for n in range(5)]
    for number in numbers:
        store.add(order(number), revision(), key(number), [])
    store.add(order("060700000000", customer_id="other", buyer="other"), revision(), key("other"), [])
    page = store.of_customer(CUSTOMER, 3, None)
    rest = store.of_customer(CUSTOMER, 3, page.next)
    assert [one.order_id for one in [*page.orders, *rest.orders]] == numbers[::-1]
    assert rest.next is None


def test_waits_and_offers(store: DynamoOrders) -> None:
    assert store.token(NUMBER, Wait.PAYMENT) is None
    store.put_wait(NUMBER, Wait.PAYMENT, "one", [])
    store.put_wait(NUMBER, Wait.PAYMENT, "two", [placed(order())])
    assert store.token(NUMBER, Wait.PAYMENT) == "two"
    new, old = offer(version=5), offer(version=4, unit_price=1)
    store.put(new)
    store.put(old)
    assert store.find(["85123A", "nothing"], "GBP") == {"85123A": new}
    assert store.find(["85123A"], "CNY") == {}


def test_a_window_takes_so_many_orders_in_the_transaction_that_stores_them(store: DynamoOrders, table: Table) -> None:
    window = Window(CUSTOMER, NOW, NOW + timedelta(minutes=10), 2)
    for n in range(2):
        store.add(order(f"06064G0YZZ4{n}"), revision(), key(f"key-{n}"), [], window)
    with pytest.raises(WindowFull):
        store.add(order("06064G0YZZ43"), revision(), key("key-3"), [], window)
    assert store.key_used(key("key-3")) is None, "nothing of it is stored"
    with pytest.raises(KeyUsed):
        store.add(order("06064G0YZZ44"), revision(), key("key-1"), [], window)
    with pytest.raises(NumberTaken):
        store.add(order("06064G0YZZ41"), revision(), key("key-4"), [], window)
    assert table.get((f"PACE#{CUSTOMER}", rfc3339(NOW))) == {
        "pk": f"PACE#{CUSTOMER}",
        "sk": rfc3339(NOW),
        "orders": 2,
        "ttl": round((NOW + timedelta(minutes=10)).timestamp()),
    }
    store.add(order("06064G0YZZ45"), revision(), key("key-5"), [], replace(window, since=window.until))
    store.add(order("06064G0YZZ46"), revision(), key("key-6"), [], replace(window, buyer="another"))
