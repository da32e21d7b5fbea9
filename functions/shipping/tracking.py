"""A parcel's way, worked out from the set of its scans and nothing else.

The record of a parcel only grows: each scan once, whatever order, batches and repetitions it came in.
Status, milestones and doubts are pure functions of that set, so they do not depend on the order of
arrival either. Part of the model: it knows no AWS and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from commerce import events
from commerce.clock import parse, rfc3339

SLACK_MS = 15 * 60 * 1000
"""How far a carrier's clock may be off before a scan of it is doubted, in milliseconds."""

MOST_SCANS = 500
"""Scans kept of one parcel; a real one has some ten, and a few dozen across borders."""


class Status(StrEnum):
    """What a scan may say of a parcel, in the order in which scans of one moment are taken."""

    INFORMATION_RECEIVED = "information_received"
    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    AT_CUSTOMS = "at_customs"
    OUT_FOR_DELIVERY = "out_for_delivery"
    ATTEMPTED = "attempted"
    AWAITING_COLLECTION = "awaiting_collection"
    EXCEPTION = "exception"
    CANCELLED = "cancelled"
    LOST = "lost"
    DELIVERED = "delivered"
    RETURNING = "returning"
    RETURNED = "returned"


_ON_ITS_WAY = frozenset(Status) - {Status.INFORMATION_RECEIVED, Status.PICKED_UP}

MOVES: dict[Status, frozenset[Status]] = {
    **dict.fromkeys(_ON_ITS_WAY, _ON_ITS_WAY),
    Status.INFORMATION_RECEIVED: _ON_ITS_WAY | {Status.PICKED_UP},
    Status.PICKED_UP: _ON_ITS_WAY,
    # Trouble that a later scan of progress takes back: the parcel was found, or goes on.
    **dict.fromkeys((Status.EXCEPTION, Status.CANCELLED, Status.LOST), _ON_ITS_WAY | {Status.PICKED_UP}),
    # Carriers go on scanning what they have handed over (a proof of delivery, a depot's count).
    Status.DELIVERED: frozenset({Status.RETURNING, Status.RETURNED}),
    Status.RETURNING: frozenset({Status.DELIVERED, Status.RETURNED, Status.LOST}),
    Status.RETURNED: frozenset(),
}
"""Status -> statuses that a later scan may change it to; any other scan is kept and changes nothing."""

TROUBLE = frozenset(
    {Status.ATTEMPTED, Status.EXCEPTION, Status.CANCELLED, Status.LOST, Status.RETURNING, Status.RETURNED}
)
"""Statuses that a buyer is told of as trouble."""

TOLD = TROUBLE | {Status.OUT_FOR_DELIVERY, Status.DELIVERED}
"""Statuses that cause an event, each once in a parcel's life."""

_PROGRESS = {
    Status.INFORMATION_RECEIVED: 20,
    Status.PICKED_UP: 30,
    Status.IN_TRANSIT: 50,
    Status.AT_CUSTOMS: 60,
    Status.OUT_FOR_DELIVERY: 80,
    Status.ATTEMPTED: 80,
    Status.AWAITING_COLLECTION: 90,
    Status.DELIVERED: 100,
}
PROGRESS_PACKED, PROGRESS_DISPATCHED = 10, 20


class Doubt(StrEnum):
    """Why a scan is not taken at its word.

    ``ahead``: its time had not come when we heard of it; it counts from when we heard. ``before_packing``:
    it is older than its waybill, so it is of another parcel that had the same number; it does not
    count. ``unknown_status``: no meaning of ours; it does not count.
    """

    AHEAD = "ahead"
    BEFORE_PACKING = "before_packing"
    UNKNOWN_STATUS = "unknown_status"


class UnknownWaybill(Exception):
    """A scan of a parcel that we do not know, or do not know yet."""


class ParcelChanged(Exception):
    """Somebody else recorded scans of the same parcel meanwhile."""


class UnreadableScan(Exception):
    """A scan whose time names no moment that there is."""


class TooManyScans(Exception):
    """A parcel with more than `MOST_SCANS` different scans: its carrier reports nonsense."""


@dataclass(frozen=True)
class Scan:
    """One scan; two are the same scan when all but ``heard`` is the same.

    Attributes
    ----------
    moment
        Milliseconds since 1970-01-01 UTC.
    offset
        The carrier's offset from UTC, in minutes.
    status
        One of `Status`, or a word that we do not know.
    place, text
        As the carrier put it; white space is made single.
    heard
        When we first heard of it, in milliseconds, if that was before it happened.
    """

    moment: int
    offset: int
    status: str
    place: str = ""
    text: str = ""
    heard: int | None = None

    @property
    def identity(self) -> tuple[int, int, str, str, str]:
        """What makes it a scan of its own; scans are kept in this order."""
        return self.moment, self.offset, self.status, self.place, self.text

    @property
    def known(self) -> bool:
        """Whether its status is one of `Status`."""
        return self.status in _STATUSES

    @property
    def at(self) -> str:
        """Its time in the carrier's offset, RFC 3339."""
        moment = datetime.fromtimestamp(0, timezone(timedelta(minutes=self.offset))) + timedelta(
            milliseconds=self.moment
        )
        return moment.isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Parcel:
    """A parcel from dispatch on.

    Attributes
    ----------
    carrier, waybill
        What it is known by.
    slip_id
        The slip it was packed by, as text.
    packed_at
        When its waybill was taken, RFC 3339: no scan of it can be older.
    scans
        Each scan once, by `Scan.identity`.
    told
        Statuses that have caused their event.
    version
        Counts the writes.
    """

    carrier: str
    waybill: str
    slip_id: str
    packed_at: str
    scans: tuple[Scan, ...] = ()
    told: tuple[Status, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class Track:
    """What the scans say.

    Attributes
    ----------
    status
        Main status, None before the first scan that counts.
    milestones
        Statuses that the parcel has had, and when it first had each (milliseconds), in that order.
    """

    status: Status | None
    milestones: tuple[tuple[Status, int], ...]

    @property
    def progress(self) -> int:
        """How far it is, from 0 to 100, for a progress bar; trouble takes nothing back."""
        return max([PROGRESS_DISPATCHED, *(_PROGRESS.get(status, 0) for status, _ in self.milestones)])


_STATUSES = frozenset(status.value for status in Status)
_RANK = {status: rank for rank, status in enumerate(Status)}


def read_scans(reported: Iterable[events.Scan], now: datetime) -> Iterator[Scan]:
    """Yield a carrier's scans in our form.

    Parameters
    ----------
    reported
        As they came.
    now
        When they came.

    Raises
    ------
    UnreadableScan
        A time is no RFC 3339 date-time with an offset, or outside the calendar.
    """
    heard = milliseconds(now)
    for one in reported:
        try:
            moment = milliseconds(parse(one.at))
            offset = datetime.fromisoformat(one.at).utcoffset() or timedelta()
        except ValueError as error:
            raise UnreadableScan(one.at[:40]) from error
        yield Scan(
            moment=moment,
            offset=int(offset.total_seconds()) // 60,
            status=one.status,
            place=" ".join(one.place.split()),
            text=" ".join(one.text.split()),
            heard=heard if moment > heard + SLACK_MS else None,
        )


def merge(known: Iterable[Scan], heard: Iterable[Scan]) -> tuple[Scan, ...]:
    """Return every scan of both once, in order; one that is known stays as it was first heard.

    Raises
    ------
    TooManyScans
        There are more than `MOST_SCANS`.
    """
    merged: dict[tuple[int, int, str, str, str], Scan] = {}
    for scan in (*known, *heard):
        merged.setdefault(scan.identity, scan)
    if len(merged) > MOST_SCANS:
        raise TooManyScans(len(merged))
    return tuple(merged[identity] for identity in sorted(merged))


def doubt(scan: Scan, packed_at: str) -> Doubt | None:
    """Return why ``scan`` is not taken at its word, or None."""
    if not scan.known:
        return Doubt.UNKNOWN_STATUS
    if scan.heard is not None:
        return Doubt.AHEAD
    if scan.moment < milliseconds(parse(packed_at)) - SLACK_MS:
        return Doubt.BEFORE_PACKING
    return None


def track(parcel: Parcel) -> Track:
    """Return what the parcel's scans say, taken in the order of their times under `MOVES`."""
    counting = [scan for scan in parcel.scans if doubt(scan, parcel.packed_at) in (None, Doubt.AHEAD)]
    counting.sort(key=lambda scan: (_effective(scan), scan.moment, _RANK[Status(scan.status)], scan.identity))
    status: Status | None = None
    milestones: dict[Status, int] = {}
    for scan in counting:
        said = Status(scan.status)
        if status is None or said in MOVES[status]:
            status = said
            milestones.setdefault(said, _effective(scan))
    return Track(status, tuple(milestones.items()))


def milliseconds(moment: datetime) -> int:
    """Return ``moment`` as milliseconds since 1970-01-01 UTC."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def moment_text(at: int) -> str:
    """Return milliseconds since 1970-01-01 UTC as RFC 3339 in UTC."""
    return rfc3339(datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at))


def _effective(scan: Scan) -> int:
    """Return when ``scan`` counts from: nothing has happened after we heard of it."""
    return scan.moment if scan.heard is None else scan.heard
