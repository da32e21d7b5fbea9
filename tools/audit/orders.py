"""Orders: their wholeness, their way through the states, their clocks, keys and tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tools.audit.books import Books, Finding, Order, moment

CLOCKS: Mapping[str, str] = {
    "received": "dispatch",
    "awaiting_stock": "dispatch",
    "awaiting_payment": "dispatch",
    "paid": "dispatch",
    "cancelling": "dispatch",
    "expiring": "dispatch",
    "dispatched": "delivery",
    "delivered": "acceptance",
    "accepted": "acceptance",
}
"""Open status -> what its clock runs for, as the index of open orders says it."""

TERMINAL = ("completed", "cancelled", "expired")

WAITS: Mapping[str, str] = {"awaiting_stock": "stock", "awaiting_payment": "payment", "paid": "dispatch"}
"""Status -> the wait whose token its execution has left."""

PASSING = ("received", "accepted", "cancelling", "expiring")
"""Statuses in which the platform itself is at work, so that no order stays there."""

STEPS: Mapping[str, Mapping[str, str]] = {
    "stock_short": {"received": "awaiting_stock"},
    "reserved": {"received": "awaiting_payment", "awaiting_stock": "awaiting_payment"},
    "cancellation_requested": dict.fromkeys(
        ("received", "awaiting_stock", "awaiting_payment", "paid", "cancelling"), "cancelling"
    ),
    "window_closed": dict.fromkeys(("awaiting_stock", "awaiting_payment", "paid", "expiring"), "expiring"),
    "cancellation_refused": {"cancelling": "paid"},
    "window_reopened": {"expiring": "paid"},
    "accepted": {"delivered": "accepted"},
    "completed": {"accepted": "completed"},
    "cancelled": {"cancelling": "cancelled"},
    "expired": {"expiring": "expired"},
}
"""Fact -> the steps that it stands for. All other facts are told in any status."""


def whole(books: Books) -> Iterator[Finding]:
    for name in books.torn:
        yield Finding("order-whole", name, "header and pages of lines do not belong together")
    for name, order in books.orders.items():
        if len(order.lines) != order.head["line_count"]:
            yield Finding("order-whole", name, f"{len(order.lines)} of {order.head['line_count']} lines are there")
        costs = sum(cost for _, _, cost in order.lines.values())
        if costs != order.total:
            yield Finding("order-whole", name, f"it says {order.total}, but its lines cost {costs}")


def transitions(books: Books) -> Iterator[Finding]:
    for name, order in books.orders.items():
        may = {"received"}
        told: set[str] = set()
        for fact in order.facts:
            told.add(fact.name)
            may = _widen(may, told, order)
            if fact.name in STEPS:
                before, may = may, {to for at, to in STEPS[fact.name].items() if at in may}
                if not may:
                    says = f"{fact.name} cannot happen to an order that is {' or '.join(sorted(before))}"
                    yield Finding("order-transitions", name, says)
                    break
                may = _widen(may, told, order)
        else:
            if order.status not in may:
                says = f"its timeline leads to {' or '.join(sorted(may))}, but it is {order.status}"
                yield Finding("order-transitions", name, says)


def clock(books: Books) -> Iterator[Finding]:
    for name, order in books.orders.items():
        head = order.head
        if order.status in TERMINAL:
            if "due" in head or "open_pk" in head:
                yield Finding("order-clock", name, f"{order.status}, and still in the index of open orders")
        elif order.status not in CLOCKS:
            yield Finding("order-clock", name, f"{order.status} is no status")
        elif "due" not in head or not str(head.get("open_pk", "")).startswith(CLOCKS[order.status] + "#"):
            yield Finding("order-clock", name, f"{order.status} without a clock for {CLOCKS[order.status]}")
        elif books.now - moment(head["due"]) > books.slack:
            yield Finding("order-clock", name, f"{order.status}, and its clock ran out at {head['due']}")


def stands(books: Books) -> Iterator[Finding]:
    for name, order in books.orders.items():
        if order.status in PASSING and books.rests(order):
            yield Finding("order-stands", name, f"{order.status} since {order.touched.isoformat()}")


def keys(books: Books) -> Iterator[Finding]:
    made: Counter[str] = Counter(str(key["order_id"]) for key in books.keys)
    for name in made.keys() - books.orders.keys():
        yield Finding("one-effect-per-key", name, "a key made it, and there is no such order")
    for name, order in books.orders.items():
        forgotten = books.erased(order.buyer)  # the keys go with the person
        if made[name] != 1 and not (forgotten and made[name] == 0):
            yield Finding("one-effect-per-key", name, f"{made[name]} keys made it")


def tokens(books: Books) -> Iterator[Finding]:
    for name in books.tokens.keys() - books.orders.keys():
        yield Finding("token", name, "waits, and there is no such order")
    for name, order in books.orders.items():
        wait = WAITS.get(order.status)
        if wait and books.rests(order) and wait not in books.tokens.get(name, {}):
            yield Finding("token", name, f"{order.status}, and no execution waits for {wait}")


def _widen(may: set[str], told: set[str], order: Order) -> set[str]:
    # Steps that are told by other facts than their own, or of which only the first is told.
    wider = set(may)
    while True:
        more = set()
        if "awaiting_payment" in wider and ("paid" in told or not order.total):
            more.add("paid")
        if "paid" in wider:
            more |= {"cancelling"} if "cancellation_requested" in told else set()
            more |= {"expiring"} if "window_closed" in told else set()
            more |= {"dispatched"} if order.least_rank >= 1 else set()
        if "cancelling" in wider and "cancellation_refused" in told:
            more.add("paid")
        if "expiring" in wider and "window_reopened" in told:
            more.add("paid")
        if "dispatched" in wider and order.least_rank >= 3:
            more.add("delivered")
        if more <= wider:
            return wider
        wider |= more
