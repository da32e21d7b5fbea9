"""Step Functions tasks of the order: one handler for each state that needs code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from commerce.clock import SystemClock, parse
from commerce.events import Fulfilment
from orders import wiring
from orders.model import Wait
from orders.service import erasing, lifecycle


def screen(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Give the order to this execution and hand on what to reserve."""
    welcome = partial(erasing.still_welcome, erasures=wiring.orders(), tombstones=wiring.tombstones())
    return lifecycle.screen(event["order_id"], event["started_at"], wiring.orders(), welcome, SystemClock())


def await_stock(event: Mapping[str, Any], context: object) -> None:
    """Wait for a receipt."""
    expected = parse(event["expected_at"])
    lifecycle.await_stock(event["order_id"], event["token"], expected, wiring.orders(), wiring.runs(), SystemClock())


def await_payment(event: Mapping[str, Any], context: object) -> None:
    """Wait for the payment."""
    wanted = _fulfilments(event)
    lifecycle.await_payment(event["order_id"], event["token"], wanted, wiring.orders(), wiring.runs(), SystemClock())


def await_dispatch(event: Mapping[str, Any], context: object) -> None:
    """Ask for the goods and wait until they have left."""
    wanted = _fulfilments(event)
    lifecycle.await_dispatch(event["order_id"], event["token"], wanted, wiring.orders(), wiring.runs(), SystemClock())


def begin_close(event: Mapping[str, Any], context: object) -> None:
    """Close the window that ran out."""
    lifecycle.begin_close(event["order_id"], Wait(event["waited_for"]), wiring.orders(), SystemClock())


def resume(event: Mapping[str, Any], context: object) -> None:
    """Go on: the goods had left."""
    lifecycle.resume(event["order_id"], wiring.orders(), wiring.windows(), SystemClock())


def close(event: Mapping[str, Any], context: object) -> None:
    """End the order."""
    lifecycle.close(event["order_id"], wiring.orders(), SystemClock())


def complete(event: Mapping[str, Any], context: object) -> None:
    """Close the settled order."""
    lifecycle.complete(event["order_id"], wiring.orders(), SystemClock())


def _fulfilments(event: Mapping[str, Any]) -> list[Fulfilment]:
    return [Fulfilment.model_validate(one) for one in event["fulfilments"]]
