"""Step Functions tasks: what a state hands its function.

A task's input is read like a message: what does not fit its model raises pydantic's ``ValidationError``, by which name
the execution fails, and nothing has been done.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from commerce.clock import checked_moment
from commerce.events import OrderNumber

Instant = Annotated[str, Field(max_length=40), AfterValidator(checked_moment)]
"""RFC 3339 date-time, as Step Functions or another task wrote it."""

Token = Annotated[str, Field(min_length=1, max_length=2048)]
"""Of a task that waits."""


class TaskInput(BaseModel):
    """What every task is handed; fields it does not know are ignored, because older executions outlive releases."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    order_id: OrderNumber
