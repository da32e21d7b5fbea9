"""Who may call what: the one table of routes.

The infrastructure makes exactly these routes and nothing else, each with the JWT authoriser unless it
is open; the HTTP entry (`commerce.http`) refuses a caller who is in none of the route's groups before
any use case runs. Whose an object is, is checked in the use case.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("customer", "merchant", "warehouse", "support", "finance", "ops")


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes
    ----------
    function
        Name of the function that serves it (`infra.contexts`).
    groups
        Groups that may call it; empty for an open route, which has no authoriser.
    open_to
        What an open route asks for instead of a sign-in: ``nobody`` in particular, an ``order-token``
        (guests) or a ``signature`` (callbacks of providers).
    """

    function: str
    groups: frozenset[str] = frozenset()
    open_to: str = ""

    @property
    def signed_in(self) -> bool:
        """Whether the JWT authoriser guards this route."""
        return not self.open_to


def _for(function: str, *groups: str) -> Route:
    return Route(function, frozenset(groups))


def _open(function: str, to: str) -> Route:
    return Route(function, open_to=to)


ROUTES: dict[str, Route] = {
    # buyers with an account
    "POST /orders": _for("orders-intake", "customer"),
    "GET /orders": _for("orders-api", "customer"),
    "GET /orders/{number}": _for("orders-api", "customer", "support", "ops"),
    "GET /orders/{number}/timeline": _for("orders-api", "customer", "support", "ops"),
    "POST /orders/{number}/cancel": _for("orders-api", "customer", "support"),
    "POST /orders/{number}/accept": _for("orders-api", "customer"),
    "POST /orders/{number}/claim": _for("orders-api", "customer"),
    "POST /orders/{number}/payments": _for("payments-api", "customer"),
    "GET /orders/{number}/payments": _for("payments-api", "customer", "support", "finance", "ops"),
    "GET /orders/{number}/shipments": _for("shipping-api", "customer", "support", "ops"),
    "GET /me": _for("customers-api", "customer"),
    "PUT /me": _for("customers-api", "customer"),
    "GET /me/export": _for("customers-api", "customer"),
    "GET /me/export/orders": _for("orders-api", "customer"),
    "POST /me/erasure": _for("orders-erasure", "customer"),
    "GET /me/notifications": _for("notifications-api", "customer"),
    "POST /me/notifications/{id}/read": _for("notifications-api", "customer"),
    # guests, with the order token of the order in the header Order-Token
    "POST /guest/orders": _open("orders-intake", "nobody"),
    "GET /guest/orders/{number}": _open("orders-api", "order-token"),
    "GET /guest/orders/{number}/timeline": _open("orders-api", "order-token"),
    "POST /guest/orders/{number}/cancel": _open("orders-api", "order-token"),
    "POST /guest/orders/{number}/accept": _open("orders-api", "order-token"),
    "GET /guest/orders/{number}/export": _open("orders-api", "order-token"),
    "POST /guest/orders/{number}/erasure": _open("orders-erasure", "order-token"),
    "POST /guest/orders/{number}/payments": _open("payments-api", "order-token"),
    "GET /guest/orders/{number}/payments": _open("payments-api", "order-token"),
    "GET /guest/orders/{number}/shipments": _open("shipping-api", "order-token"),
    # payment providers
    "POST /payments/callbacks/{provider}": _open("payments-callback", "signature"),
    # the catalogue
    "GET /catalog/products": _open("catalog-api", "nobody"),
    "GET /catalog/products/{sku}": _open("catalog-api", "nobody"),
    "PUT /catalog/products": _for("catalog-api", "merchant"),
    "PUT /catalog/price-lists/{id}": _for("catalog-api", "merchant"),
    # warehouses
    "GET /slips": _for("shipping-warehouse", "warehouse", "ops"),
    "GET /slips/{id}": _for("shipping-warehouse", "warehouse", "ops"),
    "POST /slips/{id}/pack": _for("shipping-warehouse", "warehouse"),
    "POST /slips/{id}/dispatch": _for("shipping-warehouse", "warehouse"),
    # stock and purchasing
    "GET /stock/{sku}": _for("inventory-api", "warehouse", "merchant", "support", "ops"),
    "POST /stock/{sku}/adjustments": _for("inventory-api", "warehouse", "ops"),
    "POST /stock/{sku}/shards": _for("inventory-api", "warehouse", "merchant", "ops"),
    "POST /stock/receipts": _for("inventory-api", "warehouse", "merchant"),
    "GET /replenishments": _for("inventory-api", "merchant", "warehouse", "ops"),
    "POST /replenishments/{id}/receipts": _for("inventory-api", "warehouse", "merchant"),
    # the people who run the platform
    "POST /ops/orders/{number}/erasure": _for("orders-erasure", "support"),
    "POST /ops/customers/{id}/erasure": _for("orders-erasure", "support"),
    "GET /ops/orders": _for("orders-ops", "support", "ops"),
    "GET /ops/queues": _for("orders-ops", "ops"),
    "POST /ops/queues/{name}/redrive": _for("orders-ops", "ops"),
    # what the platform says of itself
    "GET /openapi.json": _open("reference", "nobody"),
    "GET /reference": _open("reference", "nobody"),
    "GET /health": _open("reference", "nobody"),
}
"""Route key (method and path) -> who may call it and which function answers."""
