"""``StartMessageMoveTask``: what operators redrive a dead-letter queue with, which the emulator does not know.

AWS moves the messages in the background, each as a new one (its receive count begins again), to the destination
given or back to where they came from. Here they are moved at once.
"""

from __future__ import annotations

import importlib
import uuid
from typing import Any


class MessageMovesAreKnown(Exception):
    """The emulator has ``StartMessageMoveTask`` now: this module is no longer needed."""


def install() -> None:
    """Teach the running emulator the action.

    Raises
    ------
    MessageMovesAreKnown
        It knows it already.
    """
    queues: Any = importlib.import_module("ministack.services.sqs")
    if "StartMessageMoveTask" in queues._HANDLERS:
        raise MessageMovesAreKnown

    def start(data: dict[str, Any], _url: str) -> dict[str, Any]:
        source = queues._queue_by_arn(data["SourceArn"])
        if source is None:
            raise queues._Err("ResourceNotFoundException", "The resource that you specified does not exist.")
        for message in list(source["messages"]):
            origin = data.get("DestinationArn") or message.get("sys", {}).get("DeadLetterQueueSourceArn", "")
            destination = queues._queue_by_arn(origin)
            if destination is None:
                raise queues._Err("ResourceNotFoundException", "A message's source queue does not exist.")
            source["messages"].remove(message)
            queues._act_send_message({"MessageBody": message["body"]}, destination["url"])
        return {"TaskHandle": str(uuid.uuid4())}

    queues._HANDLERS["StartMessageMoveTask"] = start
