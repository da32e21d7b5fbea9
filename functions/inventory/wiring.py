"""What the handlers hand to the use cases, built when the first call needs it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from commerce import aws
from commerce.clock import SystemClock
from commerce.dynamo import Table
from commerce.settings import env, env_seconds
from inventory import warehouses
from inventory.service import Desk
from inventory.store import Store


@cache
def desk() -> Desk:
    """Return the function's desk; the environment says which table and how long a replenishment takes."""
    known = warehouses.load()
    store = Store(Table(aws.dynamodb(), env("INVENTORY_TABLE")), known.ids)
    return Desk(store, known, SystemClock(), timedelta(seconds=env_seconds("REPLENISHMENT_LEAD_SECONDS")))
