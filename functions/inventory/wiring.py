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
def store() -> Store:
    """Return the function's store; the environment says which table."""
    return Store(Table(aws.dynamodb(), env("INVENTORY_TABLE")), warehouses.load().ids)


@cache
def desk() -> Desk:
    """Return the function's desk; the environment says how long a replenishment takes."""
    lead = timedelta(seconds=env_seconds("REPLENISHMENT_LEAD_SECONDS"))
    return Desk(store(), warehouses.load(), SystemClock(), lead)
