"""Queue worker of customers: erased customers have no settings and no sign-in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from commerce import aws, settings, worker
from commerce.dynamo import Table
from commerce.events import CustomerErased
from customers import service
from customers.sign_ins import sign_ins
from customers.store import CustomerStore


@cache
def _customers() -> CustomerStore:
    return CustomerStore(Table(aws.dynamodb(), settings.env("CUSTOMERS_TABLE")))


def inbox(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Take away what is known of erased customers."""
    pool = sign_ins(os.environ.get("USER_POOL_ID", ""))
    return worker.handle_batch(event, {CustomerErased: lambda it: service.erase(it, _customers(), pool)})
