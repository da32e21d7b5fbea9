"""Money: payments, demands, and what a terminal order has kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tools.audit.books import Books, Finding, Item, Shelf

HELD = ("authorised", "captured")
BACK = ("voided", "refunded", "declined")

LOST = "order-lost"
"""Why money goes back for an order that is newer than the moment that the orders were restored to."""

DEMANDS: Mapping[str, frozenset[str]] = {
    "open": frozenset({"created", "declined", "to_return", "voided", "refunded"}),
    "satisfied": frozenset({"created", "declined", "to_return", "voided", "refunded", "authorised", "captured"}),
    "withdrawn": frozenset({"declined", "to_return", "voided", "refunded"}),
}
"""State of an order's demand -> states that its payments may be in."""


def bounds(books: Books) -> Iterator[Finding]:
    for name, payment in _payments(books):
        authorised, captured, refunded = (int(payment.get(what, 0)) for what in ("authorised", "captured", "refunded"))
        if not 0 <= refunded <= captured <= authorised:
            says = f"{refunded} refunded, {captured} captured, {authorised} authorised"
            yield Finding("payment-bounds", name, says)
        parts = sum(payment.get("captures", {}).values())
        if payment["state"] == "captured" and parts != captured:
            yield Finding("payment-bounds", name, f"captures sum to {parts}, but {captured} were captured")


def legal(books: Books) -> Iterator[Finding]:
    for name, item in books.payments.items():
        demand = item["demand"]
        payments: Mapping[str, Item] = item["payments"]
        if demand not in DEMANDS:
            yield Finding("payment-legal", name, f"{demand} is no state of a demand")
            continue
        for one, payment in payments.items():
            if not one.startswith(f"pay_{name}_"):
                yield Finding("payment-legal", name, f"{one} is a payment of another order")
            if payment["state"] not in DEMANDS[demand]:
                yield Finding("payment-legal", one, f"{payment['state']} while the demand is {demand}")
            yield from _amounts(one, payment)
        held = [one for one, payment in payments.items() if payment["state"] in HELD]
        if held and held != [item.get("paid_by")]:
            yield Finding("payment-legal", name, f"money is held by {', '.join(held)}, not by what paid it alone")
        if demand == "satisfied" and not held:
            yield Finding("payment-legal", name, "the demand is satisfied and no money is held")
        owed = any(payment["state"] == "to_return" for payment in payments.values())
        if owed != ("open_pk" in item):
            yield Finding("payment-legal", name, "money is to be returned and nobody would" if owed else "in the index")


def of_an_order(books: Books) -> Iterator[Finding]:
    for name, item in books.payments.items():
        order = books.orders.get(name)
        if order is None:
            # What a recovery lost keeps the proof that its money went back, and nothing else.
            if item.get("reason") != LOST or any(one["state"] not in BACK for one in item["payments"].values()):
                yield Finding("payment-of-an-order", name, "there is no such order")
            continue
        if item.get("amount", 0):
            asked = (item["amount"], item["currency"], item["buyer"])
            costs = (order.total, order.head["currency"], order.buyer)
            if asked != costs:
                yield Finding("payment-of-an-order", name, f"{asked} is asked for, but it is {costs}")
        if books.rests(order):
            claimed = order.head.get("payment_id", "")
            if claimed and item.get("paid_by") != claimed:
                yield Finding("payment-of-an-order", name, f"the order is paid by {claimed}, the demand is not")


def kept(books: Books) -> Iterator[Finding]:
    for name, order in books.orders.items():
        item = books.payments.get(name)
        payments = item["payments"].values() if item else ()
        holds = sum(one.get("authorised", 0) for one in payments if one["state"] not in BACK)
        keeps = sum(one.get("captured", 0) - one.get("refunded", 0) for one in payments)
        if not books.rests(order):
            continue
        if order.status == "completed":
            reservation = books.reservations.get(name)
            left = reservation.shipped() if reservation else Counter[Shelf]()
            wanted: Counter[str] = Counter()
            for sku, quantity, _ in order.lines.values():
                wanted[sku] += quantity
            gone: Counter[str] = Counter()
            for (sku, *_), quantity in left.items():
                gone[sku] += quantity
            if gone != wanted:
                yield Finding("money-kept", name, f"completed, but {sum(gone.values())} of {sum(wanted.values())} left")
            if keeps != order.total:
                yield Finding("money-kept", name, f"completed, and {keeps} of {order.total} were kept")
        if order.status in ("cancelled", "expired"):
            if keeps or holds:
                yield Finding("money-kept", name, f"{order.status}, but {keeps} are kept and {holds} held")
            if item is None or item["demand"] != "withdrawn":
                yield Finding("money-kept", name, f"{order.status}, and it could still be paid")
        if order.status in ("dispatched", "delivered", "accepted", "completed") and order.total and not holds:
            yield Finding("money-kept", name, f"{order.status}, and no money is held or kept for it")


def ledger(books: Books) -> Iterator[Finding]:
    """Each currency's authorised money, less what is held, kept and gone back, is zero."""
    rest: Counter[str] = Counter()
    for _, payment in _payments(books):
        currency = payment.get("authorised_currency") or payment["currency"]
        authorised, captured, refunded = (int(payment.get(what, 0)) for what in ("authorised", "captured", "refunded"))
        rest[currency] += authorised
        if payment["state"] in (*HELD, "to_return"):
            rest[currency] -= authorised - captured  # held
            rest[currency] -= captured - refunded  # kept
            rest[currency] -= refunded
        elif payment["state"] == "voided":
            rest[currency] -= authorised
        elif payment["state"] == "refunded":
            rest[currency] -= (authorised - captured) + refunded
    for currency, amount in rest.items():
        if amount:
            yield Finding("ledger-zero", currency, f"{amount} minor units are neither held, kept nor gone back")


def _amounts(name: str, payment: Item) -> Iterator[Finding]:
    state = payment["state"]
    authorised, captured, refunded = (int(payment.get(what, 0)) for what in ("authorised", "captured", "refunded"))
    wrong = {
        "created": authorised or captured or refunded,
        "declined": authorised or captured or refunded,
        "authorised": captured or refunded or authorised != payment["amount"],
        "captured": refunded or authorised != payment["amount"],
        "voided": captured or refunded,
        "refunded": not captured or captured != refunded,
    }
    if state not in {*wrong, "to_return"}:
        yield Finding("payment-legal", name, f"{state} is no state")
    elif wrong.get(state):
        says = f"{state} with {authorised} authorised, {captured} captured, {refunded} refunded of {payment['amount']}"
        yield Finding("payment-legal", name, says)


def _payments(books: Books) -> Iterator[tuple[str, Item]]:
    for item in books.payments.values():
        yield from item["payments"].items()
