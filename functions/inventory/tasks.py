"""Step Functions tasks of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commerce.task import TaskInput
from inventory import service
from inventory.contract import ReserveRequest, show_allocation
from inventory.wiring import desk


def reserve(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Hold everything an order wants, or nothing.

    Parameters
    ----------
    event
        ``order_id``, ``country`` (ISO 3166) and ``lines``: ``line``, ``sku``, ``quantity``, ``merchant_id``.

    Returns
    -------
    dict
        ``fulfilments``: ``fulfilment_id``, ``warehouse_id``, ``merchant_id`` and ``lines`` (``line``, ``sku``,
        ``quantity``).

    Raises
    ------
    StockShort
        There is too little; its text is JSON: ``expected_at``, ``short``.
    ReservationReleased
        The order was closed before.
    """
    return show_allocation(service.reserve(desk(), ReserveRequest.model_validate(event).order()))


def release(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Give back what is held for ``order_id`` and has not left."""
    order_id = TaskInput.model_validate(event).order_id
    service.release(desk(), order_id)
    return {"order_id": order_id}
