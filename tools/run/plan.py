"""What happens to each order beside what the sample says: seeded, so that every run plays the same."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from tools.loader.chance import fraction, number

SCANS = ("picked_up", "in_transit", "in_transit", "in_transit", "out_for_delivery", "delivered")
"""What a carrier reports of a parcel that arrives."""

STEP_SECONDS = 0.5
"""Between two scans."""


class Payment(enum.StrEnum):
    """How a payment's callback comes."""

    AT_ONCE = "at_once"
    """As soon as the payment is made: mostly before the order waits for it."""
    TWICE = "twice"
    LATE = "late"
    """Seconds after the order began to wait."""
    DECLINED_FIRST = "declined_first"
    """The first card is declined, another one pays."""


class Cancelling(enum.StrEnum):
    """When the buyer cancels."""

    BEFORE_PAYMENT = "before_payment"
    AFTER_PAYMENT = "after_payment"


@dataclass(frozen=True)
class Report:
    """One event of a carrier about one parcel.

    Attributes
    ----------
    after
        Seconds from dispatch.
    scans
        Indexes into `SCANS`.
    """

    after: float
    scans: tuple[int, ...]


def payment(invoice: str) -> Payment:
    """Return how an order is paid: three of four at once."""
    drawn = number(100, "payment", invoice)
    if drawn < 10:
        return Payment.TWICE
    if drawn < 18:
        return Payment.LATE
    return Payment.DECLINED_FIRST if drawn < 25 else Payment.AT_ONCE


def late(invoice: str) -> float:
    """Return how many seconds a late callback takes."""
    return 1 + 3 * fraction("late", invoice)


def cancelling(invoice: str) -> Cancelling:
    """Return when an order that is cancelled is cancelled: half and half."""
    return (Cancelling.BEFORE_PAYMENT, Cancelling.AFTER_PAYMENT)[number(2, "cancelling", invoice)]


def reports(fulfilment: str) -> tuple[Report, ...]:
    """Return the events of a parcel's carrier, by time.

    Seven of ten parcels have six events of one scan. Of the others, one has an event twice, one has two events in the
    wrong order, and one gets its whole history again with the last event.
    """
    plain = [Report((at + 1) * STEP_SECONDS, (at,)) for at in range(len(SCANS))]
    drawn = number(10, "reports", fulfilment)
    at = 1 + number(len(SCANS) - 2, "report", fulfilment)
    if drawn == 0:
        plain.append(Report(plain[at].after + STEP_SECONDS / 2, plain[at].scans))
    elif drawn == 1:
        later = plain[at].after
        plain[at - 1], plain[at] = Report(later, plain[at].scans), Report(later + STEP_SECONDS / 2, plain[at - 1].scans)
    elif drawn == 2:
        plain[-1] = Report(plain[-1].after, tuple(range(len(SCANS))))
    return tuple(sorted(plain, key=lambda one: one.after))


def alone(lines: Sequence[int], count: int) -> list[int]:
    """Return which of orders of so many ``lines`` to play alone: ``count``, spread evenly over their sizes."""
    by_size = sorted(range(len(lines)), key=lambda at: (lines[at], at))
    if count >= len(by_size):
        return by_size
    return [by_size[(2 * part + 1) * len(by_size) // (2 * count)] for part in range(count)]
