"""Queues and schedules of the payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commerce.events import ShipmentDispatched
from commerce.worker import handle_batch
from payments import service, wiring


def inbox(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Capture the share of each shipment that left."""
    return handle_batch(event, {ShipmentDispatched: lambda shipment: service.capture_shipment(wiring.desk(), shipment)})


def sweep(event: Mapping[str, Any], context: object) -> dict[str, int]:
    """Return the money that somebody recorded as to be returned and did not get to."""
    return {"orders": service.sweep(wiring.desk())}
