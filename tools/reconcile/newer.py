"""Orders that were placed after the moment that the tables are restored to: what is known of them, and their money.

Their lines and addresses are in no event, so they cannot be entered again by themselves. What the provider holds for
them goes back, unless goods have left; then it is for a person to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from commerce.clock import parse
from commerce.events import (
    Event,
    FulfilmentRequested,
    OrderPlaced,
    PaymentAuthorised,
    PaymentReturned,
    ShipmentDispatched,
)
from commerce.tokens import OrderClaims
from payments import service as payments
from tools.reconcile.desk import Desk, WouldChange

LOST = "order-lost"
"""Why the money of such an order goes back."""


@dataclass
class NewerOrder:
    """What the archive tells of an order that the restored table does not know; no personal data.

    Attributes
    ----------
    total, currency, buyer, locale, lines
        As placed; 0 and empty if not even that was archived.
    paid
        Payments that were authorised: id, provider, amount.
    returned
        Ids of payments whose money has gone back.
    fulfilments
        What was to be sent: fulfilment, warehouse, (SKU, quantity) each.
    left
        Parcels that have left: fulfilment, carrier, waybill.
    outcome
        What was done, or what a person has to do.
    """

    order_id: str
    placed_at: str = ""
    buyer: str = ""
    locale: str = "en"
    total: int = 0
    currency: str = ""
    lines: int = 0
    paid: list[tuple[str, str, int]] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    fulfilments: list[tuple[str, str, list[tuple[str, int]]]] = field(default_factory=list)
    left: list[tuple[str, str, str]] = field(default_factory=list)
    outcome: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def listed(newer: Mapping[str, Sequence[Event]]) -> list[NewerOrder]:
    """Return what is known of each, the oldest first."""
    found = []
    for order_id, events in newer.items():
        one = NewerOrder(order_id)
        for event in events:
            _note(one, event)
        found.append(one)
    return sorted(found, key=lambda one: (one.placed_at, one.order_id))


def give_back(one: NewerOrder, events: Sequence[Event], desk: Desk) -> bool:
    """Return the money that is held for a newer order, and say in `NewerOrder.outcome` what came of it.

    Returns
    -------
    bool
        Whether anything was done, or would be.
    """
    kept = desk.books.load(one.order_id)
    if one.left:
        one.outcome = "has left: keep or return its money by hand, correct the stock"
        return False
    if not one.paid:
        one.outcome = "nothing is held for it"
        return False
    one.outcome = "its money went back"
    if kept is None and all(name in one.returned for name, _, _ in one.paid):
        return False
    before = desk.watch.writes
    try:
        claims = OrderClaims(one.order_id, one.buyer, one.total, one.currency, one.locale)
        for event in events:
            if isinstance(event, PaymentAuthorised) and event.payment_id not in one.returned:
                payments.remember(desk.payments(parse(event.at)), claims, event)
        lose(one.order_id, desk)
    except WouldChange:
        one.outcome = "its money would go back"
        return True
    return desk.watch.writes > before


def lose(order_id: str, desk: Desk) -> None:
    """Return whatever the books hold for an order that is not there, and keep the proof of it."""
    order = payments.return_money(desk.payments(), order_id, LOST)
    if order.reason != LOST:  # it had been closed before it was lost
        now = desk.payments().now()
        desk.books.save(replace(order, reason=LOST), over=desk.books.load(order_id), now=now, outbox=None)


def _note(one: NewerOrder, event: Event) -> None:
    if isinstance(event, OrderPlaced):
        one.placed_at, one.buyer, one.locale = event.at, event.buyer, event.locale
        one.total, one.currency, one.lines = event.total, event.currency, event.lines
    elif isinstance(event, PaymentAuthorised):
        one.paid.append((event.payment_id, event.provider, event.amount))
    elif isinstance(event, PaymentReturned):
        one.returned.append(event.payment_id)
    elif isinstance(event, FulfilmentRequested):
        one.fulfilments = [
            (each.fulfilment_id, each.warehouse_id, [(line.sku, line.quantity) for line in each.lines])
            for each in event.fulfilments
        ]
    elif isinstance(event, ShipmentDispatched):
        one.left.append((event.fulfilment_id, event.carrier, event.waybill))
