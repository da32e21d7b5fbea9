"""Whose the things are that routes are about; every route has an entry, or `tests/unit/commerce/test_access.py` fails.

What a route is about is its path up to the last parameter. Who may call it at all is `commerce.access.ROUTES`.
"""

from __future__ import annotations

from typing import Literal

Owner = Literal["buyer", "reader", "caller", "merchant", "order-token", "signature", "groups", "nobody"]
"""Whose a thing is.

``buyer``
    The customer's whose order it is, and the staff's among the route's groups; for anybody else it is not there.
``reader``
    The customer's who was told; for anybody else it is not there.
``caller``
    The path names nobody: a caller meets what is his own and makes what will be.
``merchant``
    Theirs who act for the merchants of the products in the body.
``order-token``
    Theirs who hold the token of the very order.
``signature``
    Theirs who sign with the provider's key.
``groups``
    The platform's own (slips, stock, replenishments, queues): whoever is let in by group. No staff belong to one
    warehouse only.
``nobody``
    Public.
"""

OWNERS: dict[str, Owner] = {
    "/orders": "caller",
    "/orders/{number}": "buyer",
    "POST /orders/{number}/claim": "order-token",
    "/me": "caller",
    "/me/export": "caller",
    "/me/export/orders": "caller",
    "/me/erasure": "caller",
    "/me/notifications": "caller",
    "/me/notifications/{id}": "reader",
    "/guest/orders": "nobody",
    "/guest/orders/{number}": "order-token",
    "/payments/callbacks/{provider}": "signature",
    "PUT /catalog/products": "merchant",
    "/catalog/products": "nobody",
    "/catalog/products/{sku}": "nobody",
    "/catalog/price-lists/{id}": "merchant",
    "/slips": "groups",
    "/slips/{id}": "groups",
    "/stock/{sku}": "groups",
    "/stock/receipts": "groups",
    "/replenishments": "groups",
    "/replenishments/{id}": "groups",
    "/ops/orders": "groups",
    "/ops/orders/{number}": "groups",
    "/ops/customers/{id}": "groups",
    "/ops/queues": "groups",
    "/ops/queues/{name}": "groups",
    "/openapi.json": "nobody",
    "/reference": "nobody",
    "/health": "nobody",
}
"""What a route is about -> whose it is; one with its method goes before one without."""


def about(key: str) -> str:
    """Return what the route ``key`` is about, as `OWNERS` names it."""
    path = key.split(" ", 1)[1]
    thing = path[: path.rindex("}") + 1] if "}" in path else path
    return key if key in OWNERS else thing


def owner(key: str) -> Owner:
    """Return whose it is what the route ``key`` is about.

    Raises
    ------
    KeyError
        Nobody said so yet.
    """
    return OWNERS[about(key)]
