"""What alarms are about. Each is a section of ``docs/operations/runbooks.md``, by its anchor."""

from __future__ import annotations

from enum import StrEnum

RUNBOOKS = "docs/operations/runbooks.md"


class Trouble(StrEnum):
    """A kind of trouble, whatever function, queue or table has it."""

    API_ERRORS = "api-errors"
    API_SLOW = "api-slow"
    API_REFUSALS = "api-refusals"
    FUNCTION_ERRORS = "function-errors"
    FUNCTION_SLOW = "function-slow"
    FUNCTION_THROTTLED = "function-throttled"
    CONCURRENCY_USED = "concurrency-used"
    QUEUE_LATE = "queue-late"
    DEAD_LETTERS = "dead-letters"
    RELAY_LATE = "relay-late"
    EVENT_LOST = "event-lost"
    SWEEP_SILENT = "sweep-silent"
    WORKFLOW_FAILED = "workflow-failed"
    WORKFLOW_THROTTLED = "workflow-throttled"
    TABLE_THROTTLED = "table-throttled"
    ORDERS_STUCK = "orders-stuck"
    ORDERS_SILENT = "orders-silent"
    ORDERS_UNSWEPT = "orders-unswept"
    ERASURES_LATE = "erasures-late"
    ERASURES_FAILED = "erasures-failed"
    RETURNS_LATE = "returns-late"
    PAYMENT_MISMATCHED = "payment-mismatched"
    UNKNOWN_SCANS = "unknown-scans"
    MAIL_FAILED = "mail-failed"
    MAIL_REPUTATION = "mail-reputation"

    @property
    def wakes(self) -> bool:
        """Whether somebody is woken: buyers are kept from ordering, paying or getting their goods, and it grows."""
        return self in _WAKES


_WAKES = frozenset(
    {
        Trouble.API_ERRORS,
        Trouble.API_SLOW,
        Trouble.API_REFUSALS,
        Trouble.CONCURRENCY_USED,
        Trouble.QUEUE_LATE,
        Trouble.RELAY_LATE,
        Trouble.EVENT_LOST,
        Trouble.SWEEP_SILENT,
        Trouble.WORKFLOW_FAILED,
    }
)
