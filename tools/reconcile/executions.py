"""The executions that lead orders: which of them wait for what the tables know, and which are to be started again.

A restore does not reach Step Functions. An execution may be ahead of its order, wait with a token that the restored
table has not, or be over; or the stock that it has reserved is not held any more. Its order is then led by a new one
from its first state: every task does only what is missing (`orders.model.start`), registers its token where it waits,
and gives the order its windows anew.
"""

from __future__ import annotations

import json
from typing import Any

from inventory.allocation import missing
from inventory.model import OrderLine, State, StockTaken
from orders.executions import name_of
from orders.model import CLOSING, Order, Status, Wait
from orders.service import lifecycle
from tools.reconcile.desk import Desk

WAITS = {Status.AWAITING_STOCK: Wait.STOCK, Status.AWAITING_PAYMENT: Wait.PAYMENT, Status.PAID: Wait.DISPATCH}
"""What the execution of an order in this status waits for."""

HELD = (Status.AWAITING_PAYMENT, Status.PAID)
"""Statuses in which stock is held for an order."""

_LOOK_BACK = 10
"""Events of a history, the last ones first, in which the task is found that it is at."""


def lead_on(order: Order, desk: Desk) -> str | None:
    """See that an execution leads an order that has not left; return what was (or would be) done, if anything.

    Raises
    ------
    inventory.model.StockTaken
        Nothing is held for it any more, and by these books there is too little: receipts were lost as well.
    """
    running, free = _executions(order.order_id, desk)
    held = order.status not in HELD or _is_held(order, desk)
    if held and running is not None and _is_right(order, running, desk):
        return None
    why = "its execution is over" if running is None else "its execution waits in vain" if held else "nothing is held"
    done = f"{order.order_id}: {order.status}: {why}, started again"
    if not desk.dry:
        if running is not None:
            desk.states.stop_execution(executionArn=running, cause="its order was restored")
        lifecycle.hand_over(order.order_id, desk.orders)
        desk.runs.start(order.order_id, free)
    return done


def end(order_id: str, desk: Desk) -> bool:
    """Stop the execution that leads an order which is not there any more; return whether there was one."""
    running, _ = _executions(order_id, desk)
    if running is None:
        return False
    if not desk.dry:
        desk.states.stop_execution(executionArn=running, cause="its order was lost in a recovery")
    return True


def _executions(order_id: str, desk: Desk) -> tuple[str | None, int]:
    """Return the ARN of the one that runs, if any, and the number of the next to be started."""
    running, number = None, 0
    while True:
        arn = f"{desk.lifecycle.replace(':stateMachine:', ':execution:')}:{name_of(order_id, number)}"
        try:
            described = desk.states.describe_execution(executionArn=arn)
        except desk.states.exceptions.ExecutionDoesNotExist:
            return running, number
        if described["status"] == "RUNNING":
            running = arn
        number += 1


def _is_held(order: Order, desk: Desk) -> bool:
    reservation = desk.stock.reservation(order.order_id)
    if reservation is not None:
        return reservation.state is State.HELD
    lines = [
        OrderLine(one.line, one.sku, one.quantity, one.merchant_id)
        for one in desk.orders.revision(order.order_id, order.revision).lines
    ]
    if missing(lines, desk.stock.look(order.order_id, {line.sku for line in lines}).free):
        raise StockTaken("nothing is held for it, and there is too little: book the missing receipts first")
    return False


def _is_right(order: Order, execution: str, desk: Desk) -> bool:
    token = _token(execution, desk)
    if token is None:
        return True  # at work in a task: it comes to its wait and registers there
    wait = WAITS.get(order.status)
    return wait is not None and order.status not in CLOSING and desk.orders.token(order.order_id, wait) == token


def _token(execution: str, desk: Desk) -> str | None:
    """Return the token that an execution waits with; None if it is not at a wait."""
    history: Any = desk.states.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=_LOOK_BACK, includeExecutionData=True
    )
    for event in history["events"]:
        if event["type"] == "TaskScheduled":
            payload = json.loads(event["taskScheduledEventDetails"]["parameters"]).get("Payload", {})
            token: str | None = payload.get("token")
            return token
    return None
