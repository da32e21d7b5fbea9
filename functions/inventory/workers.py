"""Queue and schedule of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from commerce.events import ShipmentDispatched
from commerce.settings import env_seconds
from commerce.worker import handle_batch
from inventory import service
from inventory.wiring import desk, store


def inbox(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Note that the goods of each dispatched shipment have left."""
    return handle_batch(event, {ShipmentDispatched: lambda shipment: service.ship(store(), shipment.fulfilment_id)})


def sweep(_event: Mapping[str, Any], _context: object) -> dict[str, int]:
    """Finish what was begun and has nobody at it any more."""
    return {"found": service.sweep(desk(), timedelta(seconds=env_seconds("PENDING_SECONDS")))}
