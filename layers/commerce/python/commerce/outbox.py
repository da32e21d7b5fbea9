"""The outbox: a state change and its events in one write.

A store writes the events of a change into the attribute ``outbox`` of the very item that changes.
The table's stream hands that image to the context's relay (`commerce.relay`), which publishes them.
Nothing ever writes a table and then calls ``PutEvents`` beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commerce.events import Event


def pack(*events: Event) -> str | None:
    """Return the value of an item's ``outbox`` attribute, or None when there is no event."""
    if not events:
        return None
    return json.dumps(
        [{"source": event.source(), "type": event.name(), "detail": event.model_dump(mode="json")} for event in events],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def unpack(outbox: str) -> list[dict[str, Any]]:
    """Return what `pack` packed: dicts of ``source``, ``type`` and ``detail``."""
    events: list[dict[str, Any]] = json.loads(outbox)
    return events
