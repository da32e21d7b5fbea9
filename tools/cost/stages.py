"""Which stage of an order's way a line of the journal belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tools.run.journal import Line, Tally, read

STAGES = ("placing", "reserving", "payment", "dispatch", "delivery", "completion", "notifications")
"""In the order of the way; notifications are mail and inbox of all of them."""

_OF_FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "orders-intake": "placing",
        "orders-start": "reserving",
        "orders-screen": "reserving",
        "inventory-reserve": "reserving",
        "orders-await-payment": "payment",
        "payments-api": "payment",
        "payments-callback": "payment",
        "orders-await-dispatch": "dispatch",
        "shipping-inbox": "dispatch",
        "shipping-api": "dispatch",
        "inventory-inbox": "dispatch",
        "payments-inbox": "dispatch",
        "shipping-scans": "delivery",
        "payments-settle": "completion",
        "orders-complete": "completion",
        "notifications-inbox": "notifications",
        "notifications-api": "notifications",
    }
)
"""Functions with a stage of their own; all others (relays, `orders-inbox`, `orders-api`) serve several."""

_OF_QUEUES: Mapping[str, str] = MappingProxyType({**_OF_FUNCTIONS, "orders-intake": "reserving"})
"""A queue's requests are its worker's; ``orders-intake`` is the queue of `orders-start`."""

_OF_STATES: Mapping[str, str] = MappingProxyType(
    {
        "": "reserving",  # the start
        "Screen": "reserving",
        "Reserve": "reserving",
        "AwaitPayment": "payment",
        "AwaitDispatch": "dispatch",
    }
)
"""States of the lifecycle; a completion's are in the step that starts it."""


def stage_of(line: Line, step: str) -> str:
    """Return the stage of a line that was written while ``step`` was played.

    It is that of the function, queue or state that made the call, if that has one of its own, else the step's.
    """
    match line["kind"]:
        case "call":
            return _OF_FUNCTIONS.get(_short(line["by"]), step)
        case "invoke":
            return _OF_FUNCTIONS.get(_short(line["function"]), step)
        case "queue":
            return _OF_QUEUES.get(_short(line["queue"]), step)
        case "transition" if line["type"] == "STANDARD":
            return _OF_STATES.get(line["state"], step)
    return step


def by_stage(steps: Iterable[tuple[str, Iterable[Line]]], memory: Mapping[str, int]) -> dict[str, Tally]:
    """Return stage -> what AWS would bill for the lines of ``steps`` (name and lines), schedules left out."""
    sorted_out: dict[str, list[Line]] = {stage: [] for stage in STAGES}
    for step, lines in steps:
        for line in lines:
            sorted_out[stage_of(line, step)].append(line)
    return {stage: read(lines, memory).caused for stage, lines in sorted_out.items()}


def _short(name: str) -> str:
    """Return a resource's name without ``commerce-<stage>-``."""
    return name.split("-", 2)[2] if name.startswith("commerce-") else name
