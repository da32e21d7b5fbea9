"""Events to tell, made from the examples of their contracts."""

from __future__ import annotations

from typing import Any, TypeVar

from commerce.events import Event
from tools.contracts import example_of

E = TypeVar("E", bound=Event)


def example(contract: type[E], **changes: Any) -> E:
    """Return the contract's example with some fields changed; the window is what accepts."""
    fields = {**example_of(contract), **({"by": "window"} if contract.__name__ == "OrderAccepted" else {}), **changes}
    return contract.model_validate(fields)
