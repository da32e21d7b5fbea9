"""What the platform counts of itself: the names of its own metrics, for who counts and for who looks.

Beside these, each context's relay counts every event that it publishes, under the event's name. All are in one
namespace and have one dimension, ``service``, the context: each further value of a dimension costs as much as a metric.
"""

from __future__ import annotations

from enum import StrEnum

NAMESPACE = "commerce"


class Figure(StrEnum):
    """A metric that is no event: its name, and the context that publishes it.

    Counts, unless said otherwise. A sweep publishes its own every time, zeros too: a figure that is missing means a
    sweep that does not run.
    """

    context: str

    def __new__(cls, name: str, context: str) -> Figure:
        made = str.__new__(cls, name)
        made._value_ = name
        made.context = context
        return made

    # by the sweep of orders
    ORDERS_ACCEPTED = "OrdersAccepted", "orders"
    """Accepted by the window, not by the buyer."""
    ORDERS_SILENT = "OrdersSilent", "orders"
    """Dispatched, and not delivered within the window."""
    ORDERS_STARTED = "OrdersStarted", "orders"
    """Started by the sweep, because nobody else had."""
    ORDERS_STUCK = "OrdersStuck", "orders"
    """Past every window and still open: how many there are at the moment."""
    ORDERS_FAILED = "OrdersFailed", "orders"
    """Those that the sweep could not act on."""
    LONGEST_DISPATCH_WAIT = "LongestDispatchWait", "orders"
    """Age in seconds of the oldest order that has not left: from placing on."""
    LONGEST_DELIVERY_WAIT = "LongestDeliveryWait", "orders"
    """Seconds since the oldest order on its way left, or was last noted as silent."""
    ERASURES_ERASED = "ErasuresErased", "orders"
    """People who are erased now."""
    ERASURES_WAITING = "ErasuresWaiting", "orders"
    """People who are to be erased when their last order has left."""
    ERASURES_LATE = "ErasuresLate", "orders"
    """Those of them who have waited for three weeks."""
    ERASURES_FAILED = "ErasuresFailed", "orders"
    """Erasures that the sweep could not go on with."""

    # by the sweep of inventory
    HALF_DONE = "HalfDone", "inventory"
    """Reservations, releases and receipts that somebody began and the sweep had to finish."""
    LONGEST_REPLENISHMENT = "LongestReplenishment", "inventory"
    """Age in seconds of the oldest replenishment that has not come in whole."""

    # by the sweep of payments
    RETURNS_DUE = "ReturnsDue", "payments"
    """Orders whose money was still to be returned when the sweep came."""

    PAYMENT_MISMATCHED = "PaymentMismatched", "payments"
    """Callbacks of other money than was asked for."""
    UNKNOWN_SCAN_STATUS = "UnknownScanStatus", "shipping"
    """Scans whose status means nothing here."""
    MAIL_FAILED = "MailFailed", "notifications"
    """Mails that were not taken, or of which nobody knows whether they were."""
