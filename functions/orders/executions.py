"""The executions that lead orders, over Step Functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class StepFunctions:
    """`orders.service.ports.Executions`.

    Parameters
    ----------
    client
        Step Functions client.
    lifecycle
        ARN of the state machine ``order_lifecycle``; not needed to answer tokens.
    """

    def __init__(self, client: SFNClient, lifecycle: str = "") -> None:
        self._client = client
        self._lifecycle = lifecycle

    def start(self, order_id: str) -> None:
        try:
            self._client.start_execution(
                stateMachineArn=self._lifecycle, name=order_id, input=json.dumps({"order_id": order_id})
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return  # the message came twice

    def succeed(self, token: str) -> None:
        try:
            self._client.send_task_success(taskToken=token, output="{}")
        except (
            self._client.exceptions.TaskTimedOut,
            self._client.exceptions.TaskDoesNotExist,
            self._client.exceptions.InvalidToken,
        ):
            return  # answered before, or its window has closed

    def fail(self, token: str, error: str) -> None:
        try:
            self._client.send_task_failure(taskToken=token, error=error)
        except (
            self._client.exceptions.TaskTimedOut,
            self._client.exceptions.TaskDoesNotExist,
            self._client.exceptions.InvalidToken,
        ):
            return
