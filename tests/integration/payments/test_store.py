"""The payments table: one conditional write a change, and a sparse index of what is to be returned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments import model
from payments.model import OrderPayments, Payment, State
from payments.service import WrittenMeanwhile
from tests.integration.payments.conftest import Cloud

pytestmark = pytest.mark.integration

ORDER = "06PM4NXBDTKB"
PAYMENT = model.payment_id(ORDER, "key")
NOW = "2026-11-23T06:07:08.123Z"


def captured() -> OrderPayments:
    held = Payment(
        PAYMENT, "sandbox", 100, "GBP", NOW, State.CAPTURED, 100, "GBP", 60, {f"{ORDER}-1": 60}, 0, "sbx_1", "because"
    )
    order = OrderPayments(ORDER, 100, "GBP", "buyer-1", "en", model.Demand.SATISFIED, PAYMENT, "why", {PAYMENT: held})
    declined = Payment(model.payment_id(ORDER, "k2"), "sandbox", 100, "GBP", NOW, State.DECLINED, reason="no")
    return order.with_payment(declined)


@pytest.mark.parametrize("order", [captured(), OrderPayments(ORDER), model.withdraw(OrderPayments(ORDER), "expired")])
def test_what_is_written_is_read(cloud: Cloud, order: OrderPayments) -> None:
    cloud.store.save(order, over=None, now=NOW, outbox=None)
    kept = cloud.store.load(ORDER)
    assert kept is not None
    assert (kept.order, kept.version, kept.open_since) == (order, 1, "")


def test_nothing_is_read_where_nothing_is(cloud: Cloud) -> None:
    assert cloud.store.load(ORDER) is None


def test_whoever_comes_second_is_told(cloud: Cloud) -> None:
    cloud.store.save(captured(), over=None, now=NOW, outbox="[1]")
    with pytest.raises(WrittenMeanwhile):
        cloud.store.save(captured(), over=None, now=NOW, outbox=None)
    first = cloud.store.load(ORDER)
    cloud.store.save(captured(), over=first, now=NOW, outbox=None)
    assert "outbox" not in cloud.item()
    with pytest.raises(WrittenMeanwhile):
        cloud.store.save(captured(), over=first, now=NOW, outbox=None)
    assert cloud.item()["version"] == 2


def test_the_index_has_what_is_to_be_returned_and_since_when(cloud: Cloud) -> None:
    cloud.store.save(captured(), over=None, now=NOW, outbox=None)
    assert list(cloud.store.open_orders()) == []
    closing = model.withdraw(captured(), "cancelled")
    cloud.store.save(closing, over=cloud.store.load(ORDER), now=NOW, outbox=None)
    cloud.store.save(replace(closing, reason="expired"), over=cloud.store.load(ORDER), now="later", outbox=None)
    assert cloud.item()["open_since"] == NOW
    assert list(cloud.store.open_orders()) == [ORDER]
    closed = model.returned(closing, PAYMENT, model.Standing(100, 60, 60))
    cloud.store.save(closed, over=cloud.store.load(ORDER), now=NOW, outbox=None)
    assert list(cloud.store.open_orders()) == []
