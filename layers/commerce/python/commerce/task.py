"""Step Functions tasks: what a state hands its function.

A task's input is read like a message: what does not fit its model raises pydantic's ``ValidationError``, by which name
the execution fails, and nothing has been done.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from commerce.clock import parse
from commerce.events import OrderNumber


def _that_there_is(text: str) -> str:
    parse(text)
    return text


Instant = Annotated[str, AfterValidator(_that_there_is), Field(max_length=40)]
"""RFC 3339 date-time, as Step Functions or another task wrote it."""

Token = Annotated[str, Field(min_length=1, max_length=2048)]
"""Of a task that waits."""


class TaskInput(BaseModel):
    """What every task is handed; fields it does not know are ignored, because older executions outlive releases."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    order_id: OrderNumber
