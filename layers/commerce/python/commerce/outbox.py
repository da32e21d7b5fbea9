"""The outbox: a state change and its events in one write.

A store writes the events of a change into the attribute ``outbox`` of the very item that changes.
The table's stream hands that image to the context's relay (`commerce.relay`), which publishes them.
Nothing ever writes a table and then calls ``PutEvents`` beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from commerce.strict import read_json

if TYPE_CHECKING:
    from commerce.events import Event


class UnreadableOutboxError(ValueError):
    """An item's ``outbox`` holds no events."""


def pack(*events: Event) -> str | None:
    """Return the value of an item's ``outbox`` attribute, or None when there is no event.

    It is short, because it counts into the write units of every item that carries one: no names but
    the detail's, and no ids, which the relay makes of the stream record's.
    """
    if not events:
        return None
    packed = [[event.context, event.name(), event.model_dump(mode="json", exclude={"id"})] for event in events]
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":"))


def unpack(outbox: str, record_id: str) -> list[dict[str, Any]]:
    """Return what `pack` packed: dicts of ``source``, ``type`` and ``detail``.

    Parameters
    ----------
    record_id
        Identifies the write that carries the outbox, the same however often it is read: the stream
        record's ``eventID``. Each event's ``id`` is made of it.

    Raises
    ------
    UnreadableOutboxError
        No `pack` made it.
    """
    try:
        packed = read_json(outbox)
    except ValueError as error:
        raise UnreadableOutboxError("no JSON") from error
    if not isinstance(packed, list) or not all(_is_packed(one) for one in packed):
        raise UnreadableOutboxError("no list of context, type and detail")
    return [
        {"source": f"commerce.{context}", "type": kind, "detail": {"id": f"evt_{record_id}_{at}", **detail}}
        for at, (context, kind, detail) in enumerate(packed)
    ]


def _is_packed(one: Any) -> bool:
    match one:
        case [str() as context, str() as kind, dict()]:
            return 1 <= len(context) <= 64 and 1 <= len(kind) <= 128
    return False
