"""What a notice is: which changes are told, to whom, and the id that makes telling twice impossible.

Knows no AWS, no clock and no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from commerce import events
from commerce.errors import CommerceError, NotFound

PURCHASING = "PURCHASING"
"""The reader of replenishments: the people who buy in, who have one mailbox and no contact card."""


class NoSuchNotice(NotFound):
    """The reader has no such notice."""

    slug = "no-such-notice"
    title = "No such notice"


class MailFailed(CommerceError):
    """A mail was not taken. It is not tried again: the notice is in the inbox.

    Attributes
    ----------
    reason
        The mail service's error code, or the class of the connection's error.
    """

    slug = "mail-failed"
    title = "The mail was not taken"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Kind:
    """How one type of change is told.

    Attributes
    ----------
    name
        Of the kind in ids, templates and the API.
    about
        Field of the event that names what changed; part of the notice's id.
    facts
        Fields of the event that the notice carries.
    """

    name: str
    about: str = "order_id"
    facts: tuple[str, ...] = ()


KINDS: Mapping[type[events.Event], Kind] = MappingProxyType(
    {
        events.OrderPlaced: Kind("order-placed", facts=("total", "currency", "lines")),
        events.OrderPaid: Kind("order-paid", facts=("total", "currency")),
        events.OrderAwaitingStock: Kind("order-awaiting-stock", facts=("expected_at",)),
        events.OrderDelivered: Kind("order-delivered", facts=("accept_by",)),
        events.OrderAccepted: Kind("order-accepted"),
        events.OrderCancelled: Kind("order-cancelled"),
        events.OrderExpired: Kind("order-expired", facts=("waited_for",)),
        events.CancellationRefused: Kind("cancellation-refused"),
        events.PaymentDeclined: Kind("payment-declined", "payment_id", ("amount", "currency")),
        events.PaymentReturned: Kind("payment-returned", "payment_id", ("amount", "currency")),
        events.ShipmentDispatched: Kind("shipment-dispatched", "fulfilment_id", ("carrier", "waybill", "of")),
        events.ShipmentOutForDelivery: Kind("shipment-out-for-delivery", "fulfilment_id", ("carrier", "waybill")),
        events.ShipmentExceptional: Kind("shipment-exceptional", "fulfilment_id", ("carrier", "waybill", "status")),
        events.ReplenishmentRaised: Kind(
            "replenishment-raised", "replenishment_id", ("sku", "warehouse_id", "quantity", "expected_at")
        ),
    }
)
"""Every change that is told."""


@dataclass(frozen=True)
class Notice:
    """One change, told to one reader.

    Attributes
    ----------
    reader
        Customer's or guest's id, or `PURCHASING`.
    kind
        Name of a `Kind`.
    at
        When the change happened, RFC 3339.
    about
        Order, fulfilment, payment or replenishment id.
    order_id
        Compact order number; None for purchasing.
    locale
        What the reader reads.
    facts
        What happened, in the event's own fields.
    """

    reader: str
    kind: str
    at: str
    about: str
    order_id: str | None
    locale: str
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """When, what and about which: the same whenever the same change is told, and sortable by time."""
        stamp = self.at.translate({ord(character): None for character in "-:."})
        return f"{stamp}-{self.kind}-{self.about}"


def notice_of(event: events.Event) -> Notice | None:
    """Return what is told of ``event``, or None where the reader did it himself."""
    if isinstance(event, events.OrderAccepted) and event.by == "buyer":
        return None
    kind = KINDS[type(event)]
    fields = event.model_dump()
    return Notice(
        reader=fields.get("buyer", PURCHASING),
        kind=kind.name,
        at=event.at,
        about=fields[kind.about],
        order_id=fields.get("order_id"),
        locale=fields.get("locale", "en"),
        facts={name: fields[name] for name in kind.facts},
    )
