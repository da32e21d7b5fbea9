"""What is on sale and what a buyer sends: the same requests in the simulated sale and the deployed one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from commerce.clock import rfc3339

PRICE = 999
"""Pence."""


def product(sku: str, merchant: str) -> dict[str, Any]:
    """Return the body that puts the SKU into the catalogue."""
    one = {
        "sku": sku,
        "merchant_id": merchant,
        "title": {"en": "Flash"},
        "tax_rate_bp": 2000,
        "tax_inclusive": True,
        "listed": True,
    }
    return {"products": [one]}


def price_list(sku: str, now: datetime) -> dict[str, Any]:
    """Return the body of a price list that is in force ``now`` and for a month."""
    return {
        "currency": "GBP",
        "valid_from": rfc3339(now - timedelta(days=1)),
        "valid_until": rfc3339(now + timedelta(days=30)),
        "entries": [{"sku": sku, "unit_price": PRICE}],
    }


def order(sku: str, email: str, unit_price: int = PRICE) -> dict[str, Any]:
    """Return the body of an order for one unit."""
    return {
        "currency": "GBP",
        "locale": "en-GB",
        "time_zone": "Europe/London",
        "contact": {"name": "Ada", "email": email},
        "address": {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"},
        "lines": [{"sku": sku, "quantity": 1, "unit_price": unit_price}],
    }
