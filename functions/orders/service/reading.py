"""Showing orders: to their buyers, to support, and to those who run the platform."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from commerce.clock import Clock, rfc3339
from commerce.errors import FieldError, Invalid
from commerce.ids import show_order_number
from commerce.tokens import OrderClaims
from commerce.vault import Forgotten, Vault, kept_card
from orders.model import STAGES, Order, Stage, Status
from orders.service.lifecycle import owned
from orders.service.ports import Orders


def header(order_id: str, who: OrderClaims | str, orders: Orders) -> Order:
    """Return an order's header if it is the asker's (see `lifecycle.cancel`).

    Raises
    ------
    orders.model.NoSuchOrder
        It is not.
    """
    return owned(orders.get(order_id), who)


def whole(order: Order, orders: Orders, vault: Vault) -> dict[str, Any]:
    """Return all of an order: its header, lines, and the address unless its buyer was erased."""
    revision = orders.revision(order.order_id, order.revision)
    try:
        personal = vault.open(revision.subject, revision.sealed)
    except Forgotten:
        personal = {"contact": {}, "address": {}}
    return {
        **summary(order),
        "revision": order.revision,
        "locale": order.locale,
        "time_zone": revision.time_zone,
        "due": _text(order.due),
        "shipments": [
            {
                "fulfilment_id": one.fulfilment_id,
                "warehouse_id": one.warehouse_id,
                "status": one.status,
                "carrier": one.carrier or None,
                "waybill": one.waybill or None,
            }
            for one in order.shipments.values()
        ],
        "lines": [asdict(line) for line in revision.lines],
        "contact": personal["contact"],
        "address": personal["address"],
    }


def exported(order: Order, order_token: str | None, orders: Orders, vault: Vault) -> dict[str, Any]:
    """Return all that is held about an order and its buyer, and where the other contexts' share of it is.

    Parameters
    ----------
    order_token
        For the other contexts, where the order is known by the guest that its customer was; else None.
    """
    of = f"{'' if order.customer_id else '/guest'}/orders/{order.order_id}"
    guest = order.buyer != order.customer_id
    return {
        **whole(order, orders, vault),
        "placed_as": "guest" if guest else "customer",
        "card": kept_card(vault, order.buyer) if guest else None,
        "timeline": timeline(order)["timeline"],
        "order_token": order_token,
        "parts": [f"{of}/payments", f"{of}/shipments"],
    }


def summary(order: Order) -> dict[str, Any]:
    """Return what a list shows of an order."""
    return {
        "number": show_order_number(order.order_id),
        "status": order.status.value,
        "currency": order.currency,
        "total": order.total,
        "line_count": order.line_count,
        "placed_at": rfc3339(order.placed_at),
    }


def timeline(order: Order) -> dict[str, Any]:
    """Return every fact of an order, oldest first."""
    entries = sorted(order.timeline, key=lambda entry: entry.at)
    return {
        "number": show_order_number(order.order_id),
        "status": order.status.value,
        "timeline": [
            {"fact": one.fact, "at": rfc3339(one.at), "source": one.source, "about": one.about or None}
            for one in entries
        ],
    }


def open_orders(
    status: str | None, older_than: int, limit: int, position: dict[str, str] | None, orders: Orders, clock: Clock
) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
    """Return a page of open orders of a status (of any without one), placed ``older_than`` seconds ago or before.

    A page may hold fewer than ``limit`` orders, or none, and still have a next one: the index knows
    stages, and statuses and ages are told apart after reading.

    Raises
    ------
    commerce.errors.Invalid
        ``status`` is no open status.
    """
    stages = list(Stage) if status is None else [_stage(status)]
    at = position or {}
    stage = Stage(at["stage"]) if at.get("stage") in {one.value for one in stages} else stages[0]
    inner = {name: value for name, value in at.items() if name != "stage"} or None
    page = orders.open(stage, limit, inner)
    before = clock.now() - timedelta(seconds=older_than)
    found = [one for one in page.orders if one.placed_at <= before and status in (None, one.status.value)]
    following: dict[str, str] | None = None
    if page.next is not None:
        following = {**page.next, "stage": stage.value}
    elif stage is not stages[-1]:
        following = {"stage": stages[stages.index(stage) + 1].value, "shard": "0"}
    return [{**_open(one)} for one in found], following


def _open(order: Order) -> dict[str, Any]:
    return {
        "number": show_order_number(order.order_id),
        "status": order.status.value,
        "placed_at": rfc3339(order.placed_at),
        "due": _text(order.due),
    }


def _stage(status: str) -> Stage:
    try:
        return STAGES[Status(status)]
    except (ValueError, KeyError) as error:
        known = ", ".join(one.value for one in STAGES)
        raise Invalid(fields=[FieldError("status", "unknown", f"an open status: {known}")]) from error


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
