"""Which changes are told, and that the same change has the same id."""

from __future__ import annotations

import json
import re

import pytest

from commerce import events
from notifications.model import KINDS, PURCHASING, Notice, notice_of
from tests.unit.notifications.examples import example

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("contract", KINDS, ids=lambda contract: contract.__name__)
def test_every_kind_makes_a_notice_for_its_reader(contract: type[events.Event]) -> None:
    event = example(contract)
    notice = notice_of(event)
    assert notice is not None
    assert notice.reader == getattr(event, "buyer", PURCHASING)
    assert notice.kind == KINDS[contract].name
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,200}", notice.id), "an id goes into a path as it is"
    assert json.loads(json.dumps(notice.facts)) == notice.facts


def test_the_same_change_delivered_twice_is_one_notice() -> None:
    first = example(events.OrderPaid)
    again = events.OrderPaid.model_validate_json(first.model_dump_json())
    assert _notice(first).id == _notice(again).id


def test_two_parcels_and_two_payments_of_one_moment_are_told_each() -> None:
    one, other = (
        example(events.ShipmentDispatched, fulfilment_id=f"{example(events.OrderPlaced).order_id}-{n}") for n in (1, 2)
    )
    assert _notice(one).id != _notice(other).id
    one_back, other_back = (example(events.PaymentReturned, payment_id=f"pay_{n}") for n in "ab")
    assert _notice(one_back).id != _notice(other_back).id


def test_a_second_decline_is_a_change_of_its_own() -> None:
    first = example(events.PaymentDeclined)
    second = example(events.PaymentDeclined, at="2026-11-23T06:09:00.000Z")
    assert _notice(first).id < _notice(second).id, "and ids sort by time"


def test_nobody_is_told_what_he_did_himself() -> None:
    assert notice_of(example(events.OrderAccepted, by="buyer")) is None
    assert notice_of(example(events.OrderAccepted, by="window")) is not None


def _notice(event: events.Event) -> Notice:
    notice = notice_of(event)
    assert notice is not None
    return notice
