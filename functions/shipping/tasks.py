"""Step Functions tasks of shipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commerce import aws
from commerce.clock import SystemClock
from commerce.dynamo import Table
from commerce.settings import env
from commerce.task import TaskInput
from shipping import service
from shipping.carriers import carrier_table
from shipping.store import ShippingStore


def stop_slips(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Stop all slips of an order, or none.

    Parameters
    ----------
    event
        ``order_id``.
    context
        Lambda's.

    Raises
    ------
    shipping.model.ShipmentAlreadyDispatched
        A parcel has left.
    """
    order_id = TaskInput.model_validate(event).order_id
    store = ShippingStore(Table(aws.dynamodb(), env("SHIPPING_TABLE")))
    return {"order_id": order_id, "stopped": service.stop(order_id, store, carrier_table(), SystemClock())}
