"""SQS workers: a batch of EventBridge events, each handled by its type, failures reported one by one.

A message that breaks its contract or whose handler raises stays on the queue; after the queue's
``maxReceiveCount`` it is in the dead-letter queue, where an alarm sees it. Nothing is swallowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commerce import telemetry
from commerce.strict import read_json

Handlers = Mapping[type[Any], Callable[[Any], object]]


class UnreadableMessageError(Exception):
    """A message is no event: no JSON, or without what EventBridge puts around every ``detail``."""


class UnexpectedEventError(Exception):
    """A queue delivered an event type that its worker does not handle: its rule is wrong."""


def handle_batch(batch: Mapping[str, Any], handlers: Handlers) -> dict[str, Any]:
    """Handle a batch of SQS messages whose bodies are EventBridge events.

    Parameters
    ----------
    batch
        Lambda's SQS event.
    handlers
        Contract class -> use case; called with the validated event.

    Returns
    -------
    dict
        ``batchItemFailures``, for a mapping with ReportBatchItemFailures.
    """
    by_name = {contract.__name__: (contract, use_case) for contract, use_case in handlers.items()}

    def one(body: Mapping[str, Any]) -> None:
        name = body["detail-type"]
        if name not in by_name:
            raise UnexpectedEventError(name)
        contract, use_case = by_name[name]
        use_case(contract.model_validate(body["detail"]))

    return each_message(batch, one)


def each_message(batch: Mapping[str, Any], one: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
    """Call ``one`` with the event in each SQS message, as EventBridge sends it; report those that raised."""
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    def record_handler(record: Any) -> None:
        try:
            one(_event(record.body))
        except Exception:
            telemetry.logger().exception("message failed", extra={"message_id": record.message_id})
            raise

    # A batch that fails as a whole is reported message by message like any other.
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event=dict(batch), record_handler=record_handler, processor=processor)
    return dict(answer)


def _event(text: str) -> Mapping[str, Any]:
    try:
        event = read_json(text)
    except ValueError as error:
        raise UnreadableMessageError("the message is not JSON") from error
    named = isinstance(event, dict) and all(isinstance(event.get(one), str) for one in ("source", "detail-type"))
    if not named or "detail" not in event:
        raise UnreadableMessageError("the message is no event")
    return dict(event)
