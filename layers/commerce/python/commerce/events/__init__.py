"""Event contracts: what contexts tell one another on the bus ``commerce``.

Each class is one event type; its name is the EventBridge ``detail-type``, ``source`` is
``commerce.<context>``, and its fields are the ``detail``. Contracts change only by addition: a new
field has a default, a field is never renamed or taken away (`tools.contracts` writes the JSON Schemas
and examples in ``events/`` and the contract tests compare them). No event carries personal data.

A name is imported from its module when it is first asked for, so that a function pays for the
contracts it uses and not for all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commerce.events.base import Currency, Event, FulfilmentId, Line, Moment, OrderNumber, Quantity, Sku
    from commerce.events.carriers import Scan, ScanReported
    from commerce.events.catalog import Offer, OffersPublished, Price
    from commerce.events.inventory import ReplenishmentRaised, StockAvailable
    from commerce.events.orders import (
        CancellationRefused,
        CustomerErased,
        Fulfilment,
        FulfilmentRequested,
        OrderAccepted,
        OrderAwaitingStock,
        OrderCancellationRequested,
        OrderCancelled,
        OrderDelivered,
        OrderExpired,
        OrderPaid,
    )
    from commerce.events.payments import PaymentAuthorised, PaymentDeclined, PaymentEvent, PaymentReturned
    from commerce.events.placing import OrderEvent, OrderPlaced
    from commerce.events.shipping import (
        Milestone,
        ShipmentDelivered,
        ShipmentDispatched,
        ShipmentEvent,
        ShipmentExceptional,
        ShipmentMilestonesAdded,
        ShipmentOutForDelivery,
    )

__all__ = [
    "EVENTS",
    "CancellationRefused",
    "Currency",
    "CustomerErased",
    "Event",
    "Fulfilment",
    "FulfilmentId",
    "FulfilmentRequested",
    "Line",
    "Milestone",
    "Moment",
    "Offer",
    "OffersPublished",
    "OrderAccepted",
    "OrderAwaitingStock",
    "OrderCancellationRequested",
    "OrderCancelled",
    "OrderDelivered",
    "OrderEvent",
    "OrderExpired",
    "OrderNumber",
    "OrderPaid",
    "OrderPlaced",
    "PaymentAuthorised",
    "PaymentDeclined",
    "PaymentEvent",
    "PaymentReturned",
    "Price",
    "Quantity",
    "ReplenishmentRaised",
    "Scan",
    "ScanReported",
    "ShipmentDelivered",
    "ShipmentDispatched",
    "ShipmentEvent",
    "ShipmentExceptional",
    "ShipmentMilestonesAdded",
    "ShipmentOutForDelivery",
    "Sku",
    "StockAvailable",
]

_MODULES = {
    "placing": ("OrderEvent", "OrderPlaced"),
    "base": ("Currency", "Event", "FulfilmentId", "Line", "Moment", "OrderNumber", "Quantity", "Sku"),
    "orders": (
        "OrderAwaitingStock",
        "OrderPaid",
        "Fulfilment",
        "FulfilmentRequested",
        "OrderDelivered",
        "OrderAccepted",
        "OrderCancellationRequested",
        "OrderCancelled",
        "OrderExpired",
        "CancellationRefused",
        "CustomerErased",
    ),
    "payments": ("PaymentEvent", "PaymentAuthorised", "PaymentDeclined", "PaymentReturned"),
    "inventory": ("StockAvailable", "ReplenishmentRaised"),
    "shipping": (
        "ShipmentEvent",
        "ShipmentDispatched",
        "Milestone",
        "ShipmentOutForDelivery",
        "ShipmentDelivered",
        "ShipmentExceptional",
        "ShipmentMilestonesAdded",
    ),
    "catalog": ("Price", "Offer", "OffersPublished"),
    "carriers": ("Scan", "ScanReported"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

EVENTS: dict[str, type[Event]]
"""Every event type on the bus ``commerce`` by its ``detail-type``."""


def __getattr__(name: str) -> Any:
    if name == "EVENTS":
        found = {one: __getattr__(one) for one in _HOME}
        return {one: contract for one, contract in found.items() if _is_event_type(contract)}
    if name not in _HOME:
        raise AttributeError(f"no event contract is called {name}")
    return getattr(import_module(f"commerce.events.{_HOME[name]}"), name)


def _is_event_type(contract: Any) -> bool:
    """Whether it is an event itself, and no part of one and no root of several."""
    event = __getattr__("Event")
    return isinstance(contract, type) and issubclass(contract, event) and not contract.__name__.endswith("Event")
