"""Step Functions tasks of the order: one handler for each state that needs code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from commerce.clock import SystemClock, parse
from commerce.events import Fulfilment
from commerce.task import Instant, TaskInput, Token
from orders import wiring
from orders.model import Wait
from orders.service import erasing, lifecycle


class _Started(TaskInput):
    started_at: Instant


class _Short(TaskInput):
    token: Token
    expected_at: Instant


class _Allocated(TaskInput):
    token: Token
    fulfilments: Annotated[list[Fulfilment], Field(min_length=1)]


class _Late(TaskInput):
    waited_for: Wait


def screen(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Give the order to this execution and hand on what to reserve."""
    it = _Started.model_validate(event)
    welcome = partial(erasing.still_welcome, erasures=wiring.orders(), tombstones=wiring.tombstones())
    return lifecycle.screen(it.order_id, it.started_at, wiring.orders(), welcome, SystemClock())


def await_stock(event: Mapping[str, Any], context: object) -> None:
    """Wait for a receipt."""
    it = _Short.model_validate(event)
    expected = parse(it.expected_at)
    lifecycle.await_stock(it.order_id, it.token, expected, wiring.orders(), wiring.runs(), SystemClock())


def await_payment(event: Mapping[str, Any], context: object) -> None:
    """Wait for the payment."""
    it = _Allocated.model_validate(event)
    lifecycle.await_payment(it.order_id, it.token, it.fulfilments, wiring.orders(), wiring.runs(), SystemClock())


def await_dispatch(event: Mapping[str, Any], context: object) -> None:
    """Ask for the goods and wait until they have left."""
    it = _Allocated.model_validate(event)
    lifecycle.await_dispatch(it.order_id, it.token, it.fulfilments, wiring.orders(), wiring.runs(), SystemClock())


def begin_close(event: Mapping[str, Any], context: object) -> None:
    """Close the window that ran out."""
    it = _Late.model_validate(event)
    lifecycle.begin_close(it.order_id, it.waited_for, wiring.orders(), SystemClock())


def resume(event: Mapping[str, Any], context: object) -> None:
    """Go on: the goods had left."""
    lifecycle.resume(TaskInput.model_validate(event).order_id, wiring.orders(), wiring.windows(), SystemClock())


def close(event: Mapping[str, Any], context: object) -> None:
    """End the order."""
    lifecycle.close(TaskInput.model_validate(event).order_id, wiring.orders(), SystemClock())


def complete(event: Mapping[str, Any], context: object) -> None:
    """Close the settled order."""
    lifecycle.complete(TaskInput.model_validate(event).order_id, wiring.orders(), SystemClock())
