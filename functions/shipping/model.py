"""Outbound slips and what may become of them.

A slip is one fulfilment of an order (one merchant's goods in one warehouse) as the warehouse sees it.
What happens to its parcel after dispatch is in `shipping.tracking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from commerce.errors import Conflict, FieldError, Invalid, NotFound
from commerce.ids import read_order_number


class SlipState(StrEnum):
    """Where a slip is: on the queue, packed, out of the house, or stopped before that."""

    RELEASED = "released"
    PACKED = "packed"
    DISPATCHED = "dispatched"
    STOPPED = "stopped"


MOVES: dict[SlipState, frozenset[SlipState]] = {
    SlipState.RELEASED: frozenset({SlipState.PACKED, SlipState.STOPPED}),
    SlipState.PACKED: frozenset({SlipState.DISPATCHED, SlipState.STOPPED}),
    SlipState.DISPATCHED: frozenset(),
    SlipState.STOPPED: frozenset(),
}
"""State -> states that a slip may take from there; the store makes it the condition of every move."""

OPEN = tuple(state for state, moves in MOVES.items() if moves)
"""States in which a slip is on its warehouse's queue."""

MOST_SLIPS = 99
"""Slips of one order: all of them and the order's mark are stopped in one transaction of 100 actions."""


def sources(to: SlipState) -> list[SlipState]:
    """Return the states from which a slip may move to ``to``."""
    return [state for state, moves in MOVES.items() if to in moves]


class StopMark(StrEnum):
    """How far the stopping of an order's slips is.

    ``asked``: it is being decided; nothing of the order is dispatched meanwhile. ``stopped``: every
    slip of it is stopped, and so will be any that is still to come.
    """

    ASKED = "asked"
    STOPPED = "stopped"


class NoSuchSlip(NotFound):
    """There is no such slip."""

    slug = "no-such-slip"
    title = "There is no such slip"


class NoShipments(NotFound):
    """The order has nothing to ship yet, does not exist, or is not the caller's."""

    slug = "no-shipments"
    title = "Nothing is being shipped for this order"


class ShortPick(Conflict):
    """Fewer were picked than the slip asks for; ``fields`` names the lines."""

    slug = "short-pick"
    title = "Not everything on the slip was picked"


class NotPacked(Conflict):
    """A slip has to be packed before it is dispatched."""

    slug = "not-packed"
    title = "The slip is not packed"


class SlipStopped(Conflict):
    """The order was cancelled or expired: put the goods back."""

    slug = "slip-stopped"
    title = "The slip is stopped; put the goods back"


class StopUnderWay(Conflict):
    """Whether the order's slips are stopped is being decided at this moment; try again."""

    slug = "stop-under-way"
    title = "The order is about to be stopped; try again in a moment"


class WaybillTaken(Conflict):
    """The carrier has given the slip a number that is still on another parcel of ours."""

    slug = "waybill-taken"
    title = "The waybill is on another parcel"


class ShipmentAlreadyDispatched(Conflict):
    """A parcel of the order has left, so none of its slips is stopped."""

    slug = "shipment-already-dispatched"
    title = "A parcel of the order has already left"


class TooManySlips(Exception):
    """An order was split into more fulfilments than can be stopped as one."""


@dataclass(frozen=True)
class Line:
    """A quantity of one SKU; ``line`` is its number in the order, from 1."""

    line: int
    sku: str
    quantity: int


@dataclass(frozen=True)
class SlipId:
    """A fulfilment's id: the order's and the slip's number in it, from 1."""

    order_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.order_id}-{self.number}"


@dataclass(frozen=True)
class Slip:
    """One outbound slip.

    Attributes
    ----------
    id
        Its fulfilment's id.
    buyer, locale
        Customer or guest id, and what he reads.
    country
        ISO 3166 code of the destination.
    of
        How many slips the order has in all.
    lines
        What is to be packed.
    value
        What the goods cost, in minor units of the order's currency, if known.
    released_at, packed_at, dispatched_at, stopped_at
        RFC 3339 in UTC.
    carrier, waybill
        From packing on.
    """

    id: SlipId
    buyer: str
    locale: str
    country: str
    warehouse_id: str
    merchant_id: str
    of: int
    lines: tuple[Line, ...]
    released_at: str
    value: int | None = None
    state: SlipState = SlipState.RELEASED
    carrier: str | None = None
    waybill: str | None = None
    packed_at: str | None = None
    dispatched_at: str | None = None
    stopped_at: str | None = None


def read_slip_id(text: str) -> SlipId:
    """Return the slip that ``text`` (``06PM4NXBDTKB-1``) names.

    Raises
    ------
    NoSuchSlip
        It cannot name one.
    commerce.ids.MistypedNumber
        Its order number is mistyped.
    """
    order, _, number = text.rpartition("-")
    if not order or not (number.isascii() and number.isdigit()) or not 1 <= len(number) <= 3:
        raise NoSuchSlip()
    return SlipId(read_order_number(order), int(number))


def check_picks(slip: Slip, picks: Sequence[tuple[int, int]]) -> None:
    """Refuse a pick that is not what the slip asks for.

    Parameters
    ----------
    slip
        The slip that is being packed.
    picks
        Line number and quantity picked, as the request lists them. A line that is not listed was
        picked in full.

    Raises
    ------
    Invalid
        A line is not on the slip or listed twice, or more was picked than is asked for.
    ShortPick
        Less was picked of some line.
    """
    wanted = {line.line: line.quantity for line in slip.lines}
    wrong, short, seen = [], [], set[int]()
    for at, (line, quantity) in enumerate(picks):
        if line not in wanted:
            wrong.append(FieldError(f"lines.{at}.line", "unknown", f"line {line} is not on this slip"))
        elif line in seen:
            wrong.append(FieldError(f"lines.{at}.line", "duplicate", f"line {line} is listed twice"))
        elif quantity > wanted[line]:
            wrong.append(FieldError(f"lines.{at}.quantity", "out-of-range", f"the slip asks for {wanted[line]}"))
        elif quantity < wanted[line]:
            message = f"{quantity} of {wanted[line]} of line {line} were picked"
            short.append(FieldError(f"lines.{at}.quantity", "short", message))
        seen.add(line)
    if wrong:
        raise Invalid(fields=wrong)
    if short:
        raise ShortPick("; ".join(one.message for one in short), fields=short)
