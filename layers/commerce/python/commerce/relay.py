"""The outbox relay: the handler between a context's table stream and the bus ``commerce``.

The event source mapping's filter lets only images with an ``outbox`` through. Stream batches are
ordered, so the first record that cannot be published is reported and everything from it on comes
again; consumers take duplicates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from commerce import aws, outbox, settings, telemetry

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_PUT_EVENTS_ENTRIES = 10
"""Entries in one PutEvents call (EventBridge service quota)."""
_PUT_EVENTS_BYTES = 256_000
"""Of all entries of one PutEvents call together (the quota is 256 KB, 262,144 bytes)."""


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Publish the events of a batch of stream records."""
    failed = publish(event["Records"], aws.events(), settings.env("BUS_NAME"))
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}


def publish(records: list[Mapping[str, Any]], client: EventBridgeClient, bus: str) -> str | None:
    """Put every event of ``records`` on ``bus`` and count what was taken by its type: what happens, a minute.

    Returns
    -------
    str or None
        The sequence number of the first record with an event that was not taken, or that none is: the stream
        delivers it and all after it again, halves the batch, and sets the one aside at last.
    """
    entries, unreadable = _entries(records, bus)
    taken: Counter[str] = Counter()
    try:
        for batch in _batches(entries):
            answer = client.put_events(Entries=[entry for _, entry in batch])
            for (sequence, entry), result in zip(batch, answer["Entries"], strict=True):
                if "ErrorCode" in result:
                    telemetry.logger().error(
                        "event not taken", extra={"code": result["ErrorCode"], "sequence": sequence}
                    )
                    return sequence
                taken[entry["DetailType"]] += 1
    finally:
        telemetry.record(taken)
    return unreadable


def _batches(entries: Iterable[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    batch: list[tuple[str, Any]] = []
    size = 0
    for sequence, entry in entries:
        more = _bytes(entry)
        if batch and (len(batch) == _PUT_EVENTS_ENTRIES or size + more > _PUT_EVENTS_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((sequence, entry))
        size += more
    if batch:
        yield batch


def _entries(records: Iterable[Mapping[str, Any]], bus: str) -> tuple[list[tuple[str, Any]], str | None]:
    """Return the entries of the records before the first that cannot be published, and that one's sequence number."""
    found: list[tuple[str, Any]] = []
    for record in records:
        sequence = record["dynamodb"]["SequenceNumber"]
        packed = record["dynamodb"].get("NewImage", {}).get("outbox", {}).get("S")
        if not packed:
            continue
        try:
            events = outbox.unpack(packed, record["eventID"])
        except outbox.UnreadableOutboxError:
            telemetry.logger().exception("outbox unreadable", extra={"sequence": sequence})
            return found, sequence
        entries = [
            {
                "EventBusName": bus,
                "Source": event["source"],
                "DetailType": event["type"],
                "Detail": json.dumps(event["detail"], ensure_ascii=False),
            }
            for event in events
        ]
        if any(_bytes(entry) > _PUT_EVENTS_BYTES for entry in entries):
            telemetry.logger().error("event too large", extra={"sequence": sequence})
            return found, sequence
        found += [(sequence, entry) for entry in entries]
    return found, None


def _bytes(entry: Mapping[str, str]) -> int:
    return sum(len(entry[counted].encode()) for counted in ("Source", "DetailType", "Detail"))
