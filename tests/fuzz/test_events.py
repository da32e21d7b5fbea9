"""Every event through every worker that takes it, every scan, task and stream record: heard, or refused by its name.

Which worker takes which event is read from the synthesised rules, and what an event looks like from ``events/``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from commerce import outbox
from commerce.errors import CommerceError
from commerce.events import EVENTS
from commerce.worker import UnexpectedEventError, UnreadableMessageError
from shipping.tracking import TooManyScans, UnknownWaybill, UnreadableScan
from tests.fuzz.hostile import RAW, bounded, each_mutation, mutated, texts_of
from tests.fuzz.stage import Outcome, Stage, batch
from tools.sim import wiring

pytestmark = pytest.mark.fuzz

EXAMPLES = Path(__file__).parents[2] / "events"
WIRING = wiring.load()
WORKERS = {one.source: one.function for one in WIRING.consumers if not one.filters}
"""Queue -> the function that works it off."""

TAKEN = sorted(
    {
        (WORKERS[rule.queue], source, name)
        for rule in WIRING.rules
        if rule.queue and rule.bus == "commerce"
        for source in rule.pattern["source"]
        for name in rule.pattern["detail-type"]
    }
)
"""Worker, source and type of every event that is taken from the bus ``commerce``."""

NAMED = (ValidationError, UnexpectedEventError, UnreadableMessageError, CommerceError, TooManyScans, UnknownWaybill,
         UnreadableScan)  # fmt: skip
"""What a message may be refused with."""


def envelope(source: str, name: str, detail: Any) -> dict[str, Any]:
    """Return an event as EventBridge puts it on a queue."""
    return {
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": name, "source": source,
        "account": "000000000000", "time": "2026-11-24T08:00:27Z", "region": "eu-west-1", "resources": [],
        "detail": detail,
    }  # fmt: skip


def example(stage: Stage, source: str, name: str) -> dict[str, Any]:
    """Return the example of an event type, about an order of this moment."""
    context = source.partition(".")[2]
    text = (EXAMPLES / context / f"{name}.v1.example.json").read_text(encoding="utf-8")
    order = next(one for one in stage.items("orders") if one["sk"] == "HEAD" and one["status"] == "paid")
    found: dict[str, Any] = json.loads(text.replace("06PM4NXBDTKB", order["pk"].removeprefix("ORDER#")))
    if name == "PaymentAuthorised":
        found |= {"amount": order["total"], "currency": order["currency"]}
    return found


def refused_by_name(outcome: Outcome, text: str) -> None:
    """Assert that whatever was refused was so by a name, that each refusal was logged, and nothing crashed."""
    assert outcome.error is None, f"the batch crashed with {outcome.error!r} on {text[:300]}"
    unnamed = [one for _, one in outcome.logged if not isinstance(one, NAMED) or type(one) is CommerceError]
    assert unnamed == [], text[:300]
    assert len(outcome.failures) == len(outcome.logged)


def each_message(stage: Stage, worker: str, right: Mapping[str, Any], examples: int) -> None:
    """Send a worker every change of a message: alone, and before one that is in order."""
    good = json.dumps(right)
    alone = stage.invoke(worker, batch(good))
    assert alone.failures == [], "the example itself is refused"
    shown: set[type] = set()

    def send(text: str) -> None:
        outcome = stage.invoke(worker, batch(text))
        refused_by_name(outcome, text)
        if outcome.failures:
            assert not outcome.effect, f"{text[:300]} was refused after {outcome.changed} {outcome.sent}"
            if type(outcome.logged[0][1]) in shown:
                return
            shown.add(type(outcome.logged[0][1]))
            both = stage.invoke(worker, batch(text, good, text))
            refused_by_name(both, text)
            assert both.failures == ["0", "2"]
            assert both.changed == alone.changed, "the good one of the same batch has another effect"
            assert [action for action, _ in both.sent] == [action for action, _ in alone.sent]

    for change in each_mutation({"detail": right["detail"]}):
        send(json.dumps(mutated(dict(right), [change])))
    bounded(examples)(given(texts_of(dict(right)))(send))()


@pytest.mark.parametrize(("worker", "source", "name"), TAKEN)
def test_an_event_is_taken_or_refused_by_name(stage: Stage, worker: str, source: str, name: str) -> None:
    each_message(stage, worker, envelope(source, name, example(stage, source, name)), 30)


def test_every_event_type_that_somebody_takes_is_tried() -> None:
    assert {name for _, _, name in TAKEN} == set(EVENTS)


def scans(stage: Stage, source: str = "carrier.generic", **changes: Any) -> dict[str, Any]:
    """Return a carrier's event about a parcel that is on its way."""
    waybill = next(one["pk"].rpartition("#")[2] for one in stage.items("shipping") if one["sk"] == "PARCEL")
    heard = [
        {"status": status, "at": "2026-11-24T16:00:26.500+08:00", "place": "London", "text": "Left the depot"}
        for status in ("in_transit", "out_for_delivery")
    ]
    return envelope(source, "ScanReported", {"waybill": waybill, "scans": heard, **changes})


def test_scans_are_taken_or_refused_by_name(stage: Stage) -> None:
    each_message(stage, "shipping-scans", scans(stage), 150)


@pytest.mark.parametrize(
    ("name", "changes"),
    {
        "a carrier's parcel that another carrier reports": {"source": "carrier.other"},
        "no carrier": {"source": "carrier."},
        "a carrier of a strange name": {"source": "carrier.GENERIC"},
        "somebody who is no carrier": {"source": "commerce.shipping"},
        "a waybill that there is not": {"waybill": "GX9999999999"},
        "no scans": {"scans": []},
        "too many scans at once": {"scans": [{"status": "in_transit", "at": "2026-11-24T08:00:00Z"}] * 201},
        "a time without an offset": {"scans": [{"status": "in_transit", "at": "2026-11-24T08:00:00"}]},
        "a time before the calendar": {"scans": [{"status": "in_transit", "at": "0001-01-01T00:00:00+14:00"}]},
        "a time after the calendar": {"scans": [{"status": "in_transit", "at": "9999-12-31T23:59:59-14:00"}]},
        "a day that there is not": {"scans": [{"status": "in_transit", "at": "2026-02-30T00:00:00Z"}]},
    }.items(),
)
def test_a_scan_that_cannot_be_is_refused(stage: Stage, name: str, changes: dict[str, Any]) -> None:
    good = json.dumps(scans(stage))
    outcome = stage.invoke("shipping-scans", batch(json.dumps(scans(stage, **changes)), good))
    refused_by_name(outcome, name)
    assert outcome.failures == ["0"]
    assert outcome.changed == stage.invoke("shipping-scans", batch(good)).changed


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("9999-12-31T23:59:59.999999Z", "in_transit"),
        ("1000-01-01T00:00:00Z", "delivered"),
        ("2026-11-24T08:00:26Z", "eaten"),
    ],
)
def test_a_scan_that_lies_is_kept_and_moves_nothing(stage: Stage, at: str, status: str) -> None:
    """It is set aside on the parcel's record with the reason why (`shipping.tracking.Doubt`), and nobody is told."""
    lie = json.dumps(scans(stage, scans=[{"status": status, "at": at}]))
    outcome = stage.invoke("shipping-scans", batch(lie))
    assert (outcome.error, outcome.failures) == (None, [])
    [(table, key)] = outcome.changed
    assert table == "shipping"
    assert "outbox" not in (stage.item(table, key) or {})


def test_what_is_refused_is_not_tried_for_ever(stage: Stage) -> None:
    """The queue gives each bad message so many tries and sets it aside; the good ones between them are heard."""
    queue, world = WIRING.queues["shipping-scans"], stage.world
    bad = [
        "",
        "null",
        "[]",
        "[" * 100_000,
        '{"detail-type":1}',
        '"\\ud800"',
        json.dumps(scans(stage, source="carrier.x")),
    ]
    stage.restore()
    for text in (*bad, json.dumps(scans(stage)), *bad):
        world.send(queue.name, text)
    world.run(queue.visibility * (queue.receives + 2))
    assert sorted(one.body for one in world.dead[queue.dead]) == sorted(bad * 2)
    assert {one.receives for one in world.dead[queue.dead]} == {queue.receives + 1}
    assert all(one.gone for one in world._lines[queue.name].messages)
    assert all(1 <= one.receives <= 10 for one in WIRING.queues.values() if one.name in WORKERS)
    world.dead[queue.dead].clear()


FULFILMENT = {
    "fulfilment_id": "06PM4NXBDTKB-1", "warehouse_id": "GB-DAV", "merchant_id": "mer_1", "value": 250,
    "lines": [{"line": 1, "sku": "PLENTY", "quantity": 1}],
}  # fmt: skip
TASKS: dict[str, dict[str, Any]] = {
    "orders-screen": {"started_at": "2026-11-24T08:00:20Z"},
    "orders-await-stock": {"token": "token", "expected_at": "2026-11-25T08:00:20.000Z"},
    "orders-await-payment": {"token": "token", "fulfilments": [FULFILMENT]},
    "orders-await-dispatch": {"token": "token", "fulfilments": [FULFILMENT]},
    "orders-begin-close": {"waited_for": "payment"},
    "orders-resume": {},
    "orders-close": {},
    "orders-complete": {},
    "inventory-reserve": {
        "country": "GB", "lines": [{"line": 1, "sku": "PLENTY", "quantity": 1, "merchant_id": "mer_1"}],
    },
    "inventory-release": {},
    "payments-settle": {"amount": 100},
    "payments-return-money": {"reason": "cancelled"},
    "shipping-stop-slips": {},
}  # fmt: skip
"""Task -> what its state hands it besides the order's id."""


def test_every_task_of_a_state_machine_is_tried() -> None:
    written = json.dumps(list(WIRING.machines.values()))
    assert {name for name in WIRING.functions if re.search(rf"[-:\"]{name}[:\"]", written)} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_takes_its_input_or_refuses_it_by_name(stage: Stage, task: str) -> None:
    """What a task raises is the name that its state machine catches or fails with."""
    order = next(one for one in stage.placed if not one.guest)
    right = json.loads(json.dumps({"order_id": order.id, **TASKS[task]}).replace("06PM4NXBDTKB", order.id))
    for change in each_mutation(right):
        given = mutated(right, [change])
        if "\\ud" in json.dumps(given):
            continue  # an execution's input is UTF-8, which has no half of a surrogate pair
        outcome = stage.invoke(task, given)
        if outcome.error is not None:
            assert isinstance(outcome.error, NAMED), (change, outcome.error)
            assert not outcome.effect, change


def record(number: int, image: Any) -> dict[str, Any]:
    return {
        "eventID": f"record-{number}", "eventName": "MODIFY",
        "dynamodb": {"SequenceNumber": str(number), "Keys": {}, "NewImage": image},
    }  # fmt: skip


def packed(stage: Stage) -> str:
    """Return an outbox as a store writes it."""
    event = EVENTS["OrderPlaced"].model_validate(example(stage, "commerce.orders", "OrderPlaced"))
    text = outbox.pack(event)
    assert text is not None
    return text


def test_a_record_that_cannot_be_published_holds_up_nothing_before_it(stage: Stage) -> None:
    """It is named, so that the stream comes again with it first, halves its batch and sets it alone aside."""
    good = {"outbox": {"S": packed(stage)}}
    assert all(one.filters and one.retries and one.dead for one in WIRING.consumers if one.function.endswith("-relay"))
    parsed = json.loads(good["outbox"]["S"])
    changed = [json.dumps(mutated(parsed, [one])) for one in each_mutation(parsed)]
    huge = json.dumps([["orders", "OrderPlaced", {"buyer": "x" * 300_000}]])
    refused = 0
    for image in ({"outbox": {"S": text}} for text in (*RAW, *changed, huge)):
        outcome = stage.invoke("orders-relay", {"Records": [record(1, good), record(2, image), record(3, good)]})
        assert outcome.error is None, (image, outcome.error)
        published = [entry for _, text in outcome.sent for entry in json.loads(text)["Entries"]]
        if outcome.failures:
            assert outcome.failures == ["2"]
            assert [json.loads(one["Detail"])["id"] for one in published] == ["evt_record-1_0"]
            refused += 1
        else:
            assert {"evt_record-1_0", "evt_record-3_0"} <= {json.loads(one["Detail"])["id"] for one in published}
    assert refused > 20
