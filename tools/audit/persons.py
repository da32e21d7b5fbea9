"""Persons: whoever was erased has no key, no card and no open order, and an erasure is not left undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tools.audit.books import Books, Finding, Item, Order, moment
from tools.audit.orders import CLOCKS

SWEEPS = timedelta(minutes=3)
"""An erasure is done by a sweep, and those of the guests whom a customer was by the next."""


def erased(books: Books) -> Iterator[Finding]:
    for subject, item in books.vault.items():
        erasure = books.erasures.get(subject)
        if "erasure" in item and erasure is None:
            yield Finding("erased", subject, "closed, and nobody asked for it")
        if "wrapped" not in item and "erasure" not in item:
            yield Finding("erased", subject, "has neither a key nor a tombstone")
    for subject, erasure in books.erasures.items():
        kept = books.vault.get(subject, {})
        if erasure["state"] == "erased":
            if "erased" not in kept:
                yield Finding("erased", subject, "erased, and the vault has no tombstone")
            yield from (Finding("erased", subject, f"erased, and its {one} is there") for one in _left(kept))
            yield from (Finding("erased", subject, f"erased, and {one} is his too") for one in _guests(books, subject))
        elif books.now - moment(erasure["asked_at"]) > books.slack + SWEEPS and not _waits_for(books, erasure):
            yield Finding("erased", subject, f"{erasure['state']} since {erasure['asked_at']}, and nothing waits")
    for name, order in books.orders.items():
        if books.erased(order.buyer) and books.rests(order) and _unsent(order):
            yield Finding("erased", name, f"{order.status}, and its buyer was erased")


def _left(kept: Item) -> Iterator[str]:
    yield from {"wrapped": "key", "contact": "card"}.keys() & kept.keys()


def _guests(books: Books, customer: str) -> Iterator[str]:
    for claimer, name in books.claims:
        order = books.orders.get(name)
        if claimer == customer and order is not None and order.buyer not in books.erasures:
            yield order.buyer


def _waits_for(books: Books, erasure: Item) -> bool:
    if erasure["state"] != "asked":
        return False
    if "order_id" in erasure:
        order = books.orders.get(erasure["order_id"])
        return order is not None and _unsent(order)
    owned = (order for order in books.orders.values() if order.head.get("customer_id") == erasure["sk"])
    return any(_unsent(order) for order in owned)


def _unsent(order: Order) -> bool:
    return CLOCKS.get(order.status) == "dispatch"
