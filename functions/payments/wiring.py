"""What the handlers hand to the use cases, built when the first call needs it."""

from __future__ import annotations

from functools import cache

from commerce import aws
from commerce.clock import SystemClock
from commerce.dynamo import Table
from commerce.settings import env
from payments import providers
from payments.service import Desk
from payments.store import Store


@cache
def desk() -> Desk:
    """Return the function's desk; the environment says which table."""
    clock = SystemClock()
    return Desk(Store(Table(aws.dynamodb(), env("PAYMENTS_TABLE"))), providers.registry(clock), clock)
