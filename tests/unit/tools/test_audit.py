"""The auditor finds nothing in what a run has left, and each corruption that is planted in it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commerce.events import EVENTS
from tools.audit import INVARIANTS, audit
from tools.audit.effects import PROOFS
from tools.audit.source import dump, of_dump

DUMP = Path(__file__).parents[2] / "recorded" / "audit"

Items = list[dict[str, Any]]
Tables = dict[str, Items]
Plant = Callable[[Tables], None]


@pytest.fixture(scope="module")
def recorded() -> tuple[Tables, datetime]:
    tables, taken = of_dump(DUMP)
    return {name: [dict(item) for item in items] for name, items in tables.items()}, taken


def test_what_a_run_has_left_balances(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = recorded
    assert audit(tables, taken) == []
    statuses = {head["status"] for head in _heads(tables)}
    assert statuses == {"completed", "cancelled", "expired", "dispatched", "paid"}


def test_a_dump_reads_back_as_it_was_written(recorded: tuple[Tables, datetime], tmp_path: Path) -> None:
    tables, taken = recorded
    dump(tables, taken, tmp_path)
    again, at = of_dump(tmp_path)
    assert (again, at) == (tables, taken)


def test_every_event_type_has_its_proof() -> None:
    assert PROOFS.keys() == EVENTS.keys()


def one(items: Items, **having: Any) -> dict[str, Any]:
    """Return the first item that has these values; ``pk`` and ``sk`` are compared by how they begin."""
    for item in items:
        if all(
            str(item.get(name, "")).startswith(value) if name in ("pk", "sk") else item.get(name) == value
            for name, value in having.items()
        ):
            return item
    raise LookupError(having)


def _heads(tables: Tables) -> Items:
    return [item for item in tables["orders"] if item["sk"] == "HEAD"]


def _of(tables: Tables, context: str, status: str, sk: str = "") -> dict[str, Any]:
    """Return the first item of ``context`` that belongs to an order in ``status``."""
    for head in _heads(tables):
        if head["status"] != status:
            continue
        name = head["pk"].removeprefix("ORDER#")
        for item in tables[context]:
            if item["pk"].partition("#")[2] == name and item["sk"].startswith(sk):
                return item
    raise LookupError(context, status)


def _payment(tables: Tables, state: str) -> dict[str, Any]:
    payments = (payment for item in tables["payments"] for payment in item["payments"].values())
    return next(payment for payment in payments if payment["state"] == state)


def _last(head: dict[str, Any], fact: str) -> int:
    return next(at for at, text in enumerate(head["timeline"]) if text.startswith(fact + "|"))


def sold_twice(tables: Tables) -> None:
    row = one(tables["inventory"], pk="STOCK#")
    row["on_hand"] += 1


def oversold(tables: Tables) -> None:
    row = next(item for item in tables["inventory"] if item["pk"].startswith("STOCK#") and item["reserved"])
    row["reserved"] += row["on_hand"] + 1
    row["on_hand"] = -1


def receipt_counted_twice(tables: Tables) -> None:
    row = one(tables["inventory"], pk="STOCK#")
    row["on_hand"] += 5
    row["received"] += 5


def moved_to_a_shard_that_nobody_looks_at(tables: Tables) -> None:
    row = next(item for item in tables["inventory"] if item["pk"].startswith("STOCK#") and item["on_hand"] > 1)
    row["on_hand"] -= 1
    row["received"] -= 1
    shard = {**row, "pk": f"{row['pk']}#1", "on_hand": 1, "reserved": 0, "shipped": 0, "received": 1}
    tables["inventory"].append(shard)


def stock_leaked(tables: Tables) -> None:
    row = next(item for item in tables["inventory"] if item["pk"].startswith("STOCK#") and item["on_hand"] > 1)
    row["on_hand"] -= 1
    row["reserved"] += 1


def shipped_without_a_reservation(tables: Tables) -> None:
    row = next(item for item in tables["inventory"] if item["pk"].startswith("STOCK#") and item["on_hand"] > 1)
    row["on_hand"] -= 1
    row["shipped"] += 1


def reservation_left_over(tables: Tables) -> None:
    reservation = copy.deepcopy(_of(tables, "inventory", "paid", "RESERVATION"))
    reservation["pk"] = "RESERVATION#06PM4NXBDTKB"
    tables["inventory"].append(reservation)


def reservation_half_made(tables: Tables) -> None:
    _of(tables, "inventory", "paid", "RESERVATION")["state"] = "releasing"


def place_left_over(tables: Tables) -> None:
    name = _of(tables, "orders", "completed", "HEAD")["pk"].removeprefix("ORDER#")
    sk = f"2026-11-24T14:50:57.668Z#{name}"
    tables["inventory"].append({"pk": "WAITING#SKU", "sk": sk, "v": 1, "order_id": name, "quantity": 1})


def replenishment_never_closed(tables: Tables) -> None:
    one(tables["inventory"], pk="REPLENISHMENT#")["received"] += 1


def line_lost(tables: Tables) -> None:
    _of(tables, "orders", "completed", "REV#")["lines"].pop()


def status_jumped(tables: Tables) -> None:
    head = _of(tables, "orders", "paid", "HEAD")
    head["status"] = "accepted"
    head["open_pk"] = "acceptance#1"


def fact_out_of_turn(tables: Tables) -> None:
    head = _of(tables, "orders", "completed", "HEAD")
    head["timeline"].insert(0, head["timeline"].pop(_last(head, "accepted")))


def clock_stopped(tables: Tables) -> None:
    head = _of(tables, "orders", "dispatched", "HEAD")
    del head["due"], head["open_pk"]


def order_stranded(tables: Tables) -> None:
    head = _of(tables, "orders", "completed", "HEAD")
    head["status"] = "accepted"
    head["timeline"] = [text for text in head["timeline"] if not text.startswith(("completed", "settled"))]
    head |= {"open_pk": "acceptance#1", "due": "2036-01-01T00:00:00.000Z"}


def placed_twice_by_one_key(tables: Tables) -> None:
    keys = [item for item in tables["orders"] if item["pk"].startswith("KEY#")]
    keys[0]["order_id"] = keys[1]["order_id"]


def token_lost(tables: Tables) -> None:
    tables["orders"].remove(_of(tables, "orders", "paid", "WAIT#dispatch"))


def token_of_nothing(tables: Tables) -> None:
    tables["orders"].append({"pk": "ORDER#06PM4NXBDTKB", "sk": "WAIT#stock", "v": 1, "token": "t"})


def captured_too_much(tables: Tables) -> None:
    _payment(tables, "captured")["captured"] += 1


def refunded_unnoticed(tables: Tables) -> None:
    _payment(tables, "captured")["refunded"] = 1


def amount_changed(tables: Tables) -> None:
    item = _of(tables, "payments", "completed")
    item["amount"] += 1


def money_kept_of_a_cancelled_order(tables: Tables) -> None:
    item = next(one for one in tables["payments"] if any(p["state"] == "voided" for p in one["payments"].values()))
    payment = next(p for p in item["payments"].values() if p["state"] == "voided")
    payment |= {"state": "to_return"}
    item |= {"open_pk": "TO_RETURN", "open_since": "2026-11-24T14:00:00.000Z"}


def completed_with_too_little(tables: Tables) -> None:
    payment = _payment(tables, "captured")
    fulfilment = next(iter(payment["captures"]))
    payment["captures"][fulfilment] -= 1
    payment["captured"] -= 1


def ledger_off(tables: Tables) -> None:
    payment = _payment(tables, "captured")
    payment |= {"state": "refunded", "refunded": payment["captured"] - 1}


def slip_with_another_line(tables: Tables) -> None:
    slip = _of(tables, "shipping", "dispatched", "SLIP#")
    line, sku, quantity = slip["lines"].split(",")[0].split(":")
    slip["lines"] = f"{line}:{sku}:{int(quantity) + 1}"


def slip_never_stopped(tables: Tables) -> None:
    slip = one(tables["shipping"], state="stopped", sk="SLIP#")
    slip["state"] = "released"
    del slip["stopped_at"]


def parcel_of_nobody(tables: Tables) -> None:
    parcel = copy.deepcopy(one(tables["shipping"], sk="PARCEL"))
    parcel["pk"] += "9"
    tables["shipping"].append(parcel)


def parcel_lost(tables: Tables) -> None:
    tables["shipping"].remove(one(tables["shipping"], sk="PARCEL"))


def dispatch_not_told_to_the_stock(tables: Tables) -> None:
    _of(tables, "inventory", "dispatched", "RESERVATION")["progress"] = []


def buyer_not_told(tables: Tables) -> None:
    tables["notifications"].remove(one(tables["notifications"], kind="order-delivered"))


def slip_not_asked_for(tables: Tables) -> None:
    tables["shipping"].remove(_of(tables, "shipping", "paid", "SLIP#"))


def payment_not_told_to_the_order(tables: Tables) -> None:
    head = _of(tables, "orders", "paid", "HEAD")
    head["status"] = "awaiting_payment"
    head["timeline"] = [text for text in head["timeline"] if not text.startswith("paid")]
    del head["payment_id"]


def offer_not_copied(tables: Tables) -> None:
    one(tables["orders"], pk="OFFER#")["version"] -= 1


def purchasing_not_told(tables: Tables) -> None:
    tables["notifications"].remove(one(tables["notifications"], pk="PURCHASING"))


def _tombstone(tables: Tables, subject: str) -> None:
    at = "2026-11-24T12:00:00.000Z"
    tables["orders"].append(
        {"pk": "ERASED", "sk": subject, "v": 1, "state": "erased", "version": 3, "asked_at": at, "erased_at": at}
    )
    own = (f"KEY#{subject}", f"BUYER#{subject}", f"CUSTOMER#{subject}", subject)
    for context in ("orders", "notifications", "customers", "vault"):
        tables[context] = [item for item in tables.get(context, []) if item["pk"] not in own]
    tables["vault"].append({"pk": subject, "sk": "KEY", "v": 1, "erasure": at, "erased": at})
    if not subject.startswith("guest_"):
        tables["customers"].append({"pk": f"CUSTOMER#{subject}", "sk": "PROFILE", "v": 1, "erased_at": at})


def _guests_order(tables: Tables) -> dict[str, Any]:
    return next(head for head in _heads(tables) if str(head.get("buyer", "")).startswith("guest_"))


def erase_guest(tables: Tables) -> str:
    """Leave what the erasure of a guest leaves, and return him."""
    head = _guests_order(tables)
    name, subject = head["pk"].removeprefix("ORDER#"), str(head["buyer"])
    _tombstone(tables, subject)
    tables["orders"] = [one for one in tables["orders"] if not (one["pk"] == "KEY#guest" and one["order_id"] == name)]
    return subject


def key_came_back(tables: Tables) -> None:
    subject = erase_guest(tables)
    one(tables["vault"], pk=subject)["wrapped"] = b"w"


def card_came_back(tables: Tables) -> None:
    subject = erase_guest(tables)
    one(tables["vault"], pk=subject)["contact"] = b"c"


def tombstone_lost(tables: Tables) -> None:
    erase_guest(tables)
    tables["orders"] = [item for item in tables["orders"] if item["pk"] != "ERASED"]


def erased_too_early(tables: Tables) -> None:
    head = _of(tables, "orders", "paid", "HEAD")
    _tombstone(tables, head["customer_id"])


def erasure_left_undone(tables: Tables) -> None:
    erase_guest(tables)
    item = one(tables["orders"], pk="ERASED")
    item["state"] = "due"
    del item["erased_at"]


def claimed_guest_left(tables: Tables) -> None:
    head = _guests_order(tables)
    head["customer_id"] = "customer-1"
    tables["orders"].append({"pk": "CLAIM#customer-1", "sk": head["pk"].removeprefix("ORDER#"), "v": 1})
    _tombstone(tables, "customer-1")


def erasure_not_told(tables: Tables) -> None:
    _tombstone(tables, "customer-1")
    tables["customers"] = []


def item_of_no_kind(tables: Tables) -> None:
    tables["orders"].append({"pk": "SURPRISE#1", "sk": "X"})


PLANTS: dict[Plant, str] = {
    sold_twice: "stock-balances",
    oversold: "stock-not-negative",
    receipt_counted_twice: "stock-received",
    moved_to_a_shard_that_nobody_looks_at: "stock-shards",
    stock_leaked: "stock-reserved",
    shipped_without_a_reservation: "stock-shipped",
    reservation_half_made: "reservation-legal",
    reservation_left_over: "reservation-of-an-order",
    place_left_over: "queue-place",
    replenishment_never_closed: "replenishment",
    line_lost: "order-whole",
    status_jumped: "order-transitions",
    fact_out_of_turn: "order-transitions",
    clock_stopped: "order-clock",
    order_stranded: "order-stands",
    placed_twice_by_one_key: "one-effect-per-key",
    token_lost: "token",
    token_of_nothing: "token",
    captured_too_much: "payment-bounds",
    refunded_unnoticed: "payment-legal",
    amount_changed: "payment-of-an-order",
    money_kept_of_a_cancelled_order: "money-kept",
    completed_with_too_little: "money-kept",
    ledger_off: "ledger-zero",
    slip_with_another_line: "slip-of-a-fulfilment",
    slip_never_stopped: "slip-state",
    parcel_of_nobody: "parcel-of-a-slip",
    parcel_lost: "parcel-of-a-slip",
    dispatch_not_told_to_the_stock: "event-published",
    buyer_not_told: "event-published",
    slip_not_asked_for: "event-published",
    payment_not_told_to_the_order: "event-published",
    offer_not_copied: "event-published",
    purchasing_not_told: "event-published",
    key_came_back: "erased",
    card_came_back: "erased",
    tombstone_lost: "erased",
    erased_too_early: "erased",
    erasure_left_undone: "erased",
    claimed_guest_left: "erased",
    erasure_not_told: "event-published",
    item_of_no_kind: "item-known",
}
"""Corruption -> the invariant that it breaks; every invariant is broken by one at least."""


def test_every_invariant_has_a_corruption_that_breaks_it() -> None:
    assert set(PLANTS.values()) == INVARIANTS.keys()


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_corruption_is_found(plant: Plant, recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded[0]), recorded[1]
    plant(tables)
    assert PLANTS[plant] in {finding.invariant for finding in audit(tables, taken)}


def test_stock_on_several_shards_balances_by_their_sum(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded[0]), recorded[1]
    moved_to_a_shard_that_nobody_looks_at(tables)
    assert {finding.invariant for finding in audit(tables, taken)} == {"stock-shards"}
    first = next(item for item in tables["inventory"] if f"{item['pk']}#1" == tables["inventory"][-1]["pk"])
    first["shards"] = 2
    assert audit(tables, taken) == []


def test_what_an_erasure_has_left_balances(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded[0]), recorded[1]
    erase_guest(tables)
    assert audit(tables, taken) == []


def test_what_is_on_its_way_is_excused_for_as_long_as_asked(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded[0]), recorded[1]
    slip_not_asked_for(tables)
    assert audit(tables, taken, timedelta(hours=1)) == []


def test_what_one_transaction_writes_is_never_excused(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded[0]), recorded[1]
    stock_leaked(tables)
    assert {finding.invariant for finding in audit(tables, taken, timedelta(hours=1))} == {"stock-reserved"}


def test_the_proof_that_a_lost_order_s_money_went_back_is_no_finding(recorded: tuple[Tables, datetime]) -> None:
    tables, taken = copy.deepcopy(recorded)
    withdrawn = (item for item in tables["payments"] if item["demand"] == "withdrawn")
    lost = copy.deepcopy(next(item for item in withdrawn if item["payments"]))
    name = "06PM4NXBDTKB"
    lost |= {
        "pk": f"ORDER#{name}",
        "reason": "order-lost",
        "payments": {f"pay_{name}_{at}": one for at, one in enumerate(lost["payments"].values())},
    }
    tables["payments"].append(lost)
    assert audit(tables, taken) == []
    next(iter(lost["payments"].values())).update({"state": "captured", "captured": 1, "authorised": 1})
    assert "payment-of-an-order" in {finding.invariant for finding in audit(tables, taken)}
