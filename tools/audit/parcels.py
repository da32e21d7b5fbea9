"""Outbound slips and parcels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tools.audit.books import Books, Finding, Item

TIMES: Mapping[str, tuple[str, ...]] = {
    "released": ("released_at",),
    "packed": ("released_at", "packed_at"),
    "dispatched": ("released_at", "packed_at", "dispatched_at"),
    "stopped": ("released_at", "stopped_at"),
}
"""State of a slip -> the times that it has; a stopped one may have been packed."""

OPEN = ("released", "packed")


def of_a_fulfilment(books: Books) -> Iterator[Finding]:
    for name, slips in books.slips.items():
        reservation, order = books.reservations.get(name), books.orders.get(name)
        if order is None or reservation is None:
            yield Finding("slip-of-a-fulfilment", name, "slips of an order that is not there")
            continue
        for number, slip in slips.items():
            part = reservation.parts.get(number)
            if part is None:
                yield Finding("slip-of-a-fulfilment", f"{name}-{number}", "no such fulfilment is reserved")
                continue
            held = Counter[tuple[str, str]]()
            for line, sku, quantity, *_ in part:
                held[str(line), sku] += quantity
            asked = Counter[tuple[str, str]]()
            for line in slip["lines"].split(","):
                number_in_order, sku, quantity = line.split(":")
                asked[number_in_order, sku] += int(quantity)
            if asked != held:
                yield Finding("slip-of-a-fulfilment", f"{name}-{number}", "it asks for other goods than are reserved")
            if slip["of"] != len(reservation.parts):
                says = f"one of {slip['of']}, but there are {len(reservation.parts)} fulfilments"
                yield Finding("slip-of-a-fulfilment", f"{name}-{number}", says)


def slip_state(books: Books) -> Iterator[Finding]:
    for name, slips in books.slips.items():
        for number, slip in slips.items():
            yield from _legal(f"{name}-{number}", slip)
        order = books.orders.get(name)
        if order is None or not books.rests(order):
            continue
        states = {slip["state"] for slip in slips.values()}
        if order.status in ("cancelled", "expired") and states != {"stopped"}:
            yield Finding("slip-state", name, f"{order.status}, with slips {', '.join(sorted(states))}")
        if order.least_rank >= 1 and states != {"dispatched"}:
            yield Finding("slip-state", name, f"{order.status}, with slips {', '.join(sorted(states))}")
    for name, mark in books.stops.items():
        order = books.orders.get(name)
        if order is None:
            yield Finding("slip-state", name, "its slips are to be stopped, and there is no such order")
        elif books.rests(order) and mark["state"] == "asked":
            yield Finding("slip-state", name, "whether its slips are stopped was never decided")
        elif books.rests(order) and order.status not in ("cancelled", "expired"):
            yield Finding("slip-state", name, f"its slips are stopped, and it is {order.status}")


def of_a_slip(books: Books) -> Iterator[Finding]:
    owner: dict[str, tuple[str, str]] = {}
    for name, slips in books.slips.items():
        for number, slip in slips.items():
            if "waybill" in slip:
                owner[f"{slip['carrier']}#{slip['waybill']}"] = f"{name}-{number}", slip["state"]
    for waybill, parcel in books.parcels.items():
        slip_id, state = owner.get(waybill, ("", ""))
        order = books.orders.get(str(parcel["slip"]).rpartition("-")[0])
        if slip_id != parcel["slip"] or order is None:
            yield Finding("parcel-of-a-slip", waybill, f"of slip {parcel['slip']}, which has another waybill or none")
        elif state not in ("dispatched", "packed") and books.rests(order):
            yield Finding("parcel-of-a-slip", waybill, f"of slip {slip_id}, which is {state}")
    for waybill, (slip_id, state) in owner.items():
        if state == "dispatched" and waybill not in books.parcels:
            yield Finding("parcel-of-a-slip", waybill, f"slip {slip_id} left with it, and there is no such parcel")


def _legal(name: str, slip: Item) -> Iterator[Finding]:
    state = slip["state"]
    if state not in TIMES:
        yield Finding("slip-state", name, f"{state} is no state")
        return
    missing = [time for time in TIMES[state] if time not in slip]
    if missing or ("dispatched_at" in slip) != (state == "dispatched"):
        yield Finding("slip-state", name, f"{state}, but its times are of another state")
    if (state in OPEN) != ("queue_pk" in slip):
        yield Finding("slip-state", name, f"{state}, and {'not ' if state in OPEN else ''}on its warehouse's queue")
    if state in ("packed", "dispatched") and "waybill" not in slip:
        yield Finding("slip-state", name, f"{state} without a waybill")
