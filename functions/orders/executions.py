"""The executions that lead orders, over Step Functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def name_of(order_id: str, again: int = 0) -> str:
    """Return what the execution that leads an order is called, or the one that was started ``again``."""
    return f"{order_id}-{again}" if again else order_id


class StepFunctions:
    """`orders.service.ports.Executions`.

    Parameters
    ----------
    client
        Step Functions client.
    lifecycle, completion
        ARNs of the state machines ``order_lifecycle`` and ``order_completion``; not needed to answer tokens.
    """

    def __init__(self, client: SFNClient, lifecycle: str = "", completion: str = "") -> None:
        self._client = client
        self._lifecycle = lifecycle
        self._completion = completion

    def start(self, order_id: str, again: int = 0) -> None:
        """Start the lifecycle of an order, or start it ``again`` for the first, second, ... time.

        A name can be used a second time only 90 days after its execution has ended (Step Functions StartExecution).
        """
        self._start(self._lifecycle, name_of(order_id, again), {"order_id": order_id})

    def complete(self, order_id: str, total: int, at: datetime) -> None:
        self._start(self._completion, f"{order_id}-{at:%Y%m%dT%H%M%S}", {"order_id": order_id, "total": total})

    def succeed(self, token: str) -> None:
        with self._unless_answered():
            self._client.send_task_success(taskToken=token, output="{}")

    def fail(self, token: str, error: str) -> None:
        with self._unless_answered():
            self._client.send_task_failure(taskToken=token, error=error)

    def _start(self, machine: str, name: str, given: Mapping[str, object]) -> None:
        # Started before under this name: the message came twice.
        with suppress(self._client.exceptions.ExecutionAlreadyExists):
            self._client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))

    def _unless_answered(self) -> suppress:
        gone = self._client.exceptions
        return suppress(gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken)
