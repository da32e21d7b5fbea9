"""What must balance, and the checks that say where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from tools.audit import effects, money, orders, parcels, persons, stock
from tools.audit.books import Books, Finding, Tables, read

Check = Callable[[Books], Iterator[Finding]]

INVARIANTS: Mapping[str, tuple[str, Check]] = MappingProxyType(
    {
        "stock-balances": ("on hand + reserved + shipped = received, per SKU and warehouse", stock.balances),
        "stock-not-negative": ("no level is below zero", stock.not_negative),
        "stock-shards": ("every shard with stock is one that an order would look at", stock.shards),
        "stock-received": ("what was received is the sum of the movements", stock.received),
        "stock-reserved": ("what is reserved is what reservations hold", stock.reserved),
        "stock-shipped": ("what has left is what reservations have shipped", stock.shipped),
        "reservation-legal": ("a reservation's state, labels and index entry belong together", stock.legal),
        "reservation-of-an-order": (
            "a reservation holds its order's lines, and nothing once the order is closed",
            stock.of_an_order,
        ),
        "queue-place": ("a place in a queue is one of an order that waits for that SKU", stock.queue_places),
        "replenishment": (
            "a replenishment has received what its movements brought, and is open until that is all",
            stock.replenishments,
        ),
        "order-whole": ("an order has all its lines, and costs what they cost", orders.whole),
        "order-transitions": (
            "the timeline is a way through the transition table that ends at the status",
            orders.transitions,
        ),
        "order-clock": ("an order is terminal, or in a named waiting state with a live clock", orders.clock),
        "order-stands": ("no order stays where nothing waits", orders.stands),
        "one-effect-per-key": ("an Idempotency-Key made one thing, and each thing has its key", orders.keys),
        "token": ("who waits has a token, and every token is an order's", orders.tokens),
        "payment-bounds": ("refunded <= captured <= authorised, and captures sum to what was captured", money.bounds),
        "payment-legal": ("a payment's state, amounts and the demand belong together", money.legal),
        "payment-of-an-order": (
            "what is asked for is what the order costs, and is asked of its buyer",
            money.of_an_order,
        ),
        "money-kept": ("a terminal order's money equals what was shipped and kept", money.kept),
        "ledger-zero": ("what was authorised is held, kept or gone back, and nothing else", money.ledger),
        "slip-of-a-fulfilment": ("a slip is one of its order's fulfilments, line by line", parcels.of_a_fulfilment),
        "slip-state": ("a slip's state, times, queue entry and order belong together", parcels.slip_state),
        "parcel-of-a-slip": ("a parcel is its slip's, and a slip's parcel is there", parcels.of_a_slip),
        "erased": (
            "who was erased has no key, no card and no order that needs him, and no erasure is left undone",
            persons.erased,
        ),
        "event-published": ("every event has had its effect on those it is for", effects.published),
        "item-known": ("every item is of a kind that its context documents", effects.known),
    }
)
"""Name -> what must be true, and the check."""


def audit(tables: Tables, now: datetime, slack: timedelta = timedelta(0)) -> list[Finding]:
    """Say what does not balance.

    Parameters
    ----------
    tables
        Context -> its items.
    now
        When they were read, in UTC.
    slack
        How long something may be on its way from one table to another. Zero for a platform at rest; while it is at
        work, as long as a message may take with its retries. What one transaction writes is never excused.

    Returns
    -------
    list of Finding
        Empty if everything balances.
    """
    books = read(tables, now, slack)
    return [finding for _, check in INVARIANTS.values() for finding in check(books)]
