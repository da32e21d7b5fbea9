"""The shipping table in memory: every operation is one step, as on DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from commerce.clock import FixedClock
from commerce.events import Fulfilment, FulfilmentRequested
from commerce.events import Line as EventLine
from commerce.ids import mint_order_number
from commerce.outbox import unpack
from shipping.carriers import CarrierTable, Rule
from shipping.carriers.generic import GenericCarrier
from shipping.model import OPEN, Slip, SlipId, SlipState, StopMark, sources
from shipping.tracking import Parcel

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ORDER = mint_order_number(NOW, 7)
SLIP = SlipId(ORDER, 1)
BUYER = "019360d5-a1b2-7c3e-8f01-23456789abcd"


class MemoryStore:
    """`shipping.service.Store` in memory; ``events`` are the outboxes in the order of their writes."""

    def __init__(self) -> None:
        self.slips_held: dict[SlipId, Slip] = {}
        self.marks: dict[str, StopMark] = {}
        self.parcels_held: dict[tuple[str, str], Parcel] = {}
        self.events: list[str] = []
        self.writes = 0

    def add(self, slip: Slip) -> None:
        self.slips_held.setdefault(slip.id, slip)

    def slip(self, slip_id: SlipId) -> Slip | None:
        return self.slips_held.get(slip_id)

    def move(self, slip: Slip, outbox: str | None = None) -> Slip:
        held = self.slips_held[slip.id]
        if held.state not in sources(slip.state):
            return held
        names = ("carrier", "waybill", "packed_at", "dispatched_at", "stopped_at")
        news = {name: getattr(slip, name) for name in names if getattr(slip, name) is not None}
        self.slips_held[slip.id] = replace(held, state=slip.state, **news)
        self._tell(outbox)
        return self.slips_held[slip.id]

    def slips(self, order_id: str, *, consistent: bool = True) -> list[Slip]:
        held = [slip for slip in self.slips_held.values() if slip.id.order_id == order_id]
        return sorted(held, key=lambda slip: slip.id.number)

    def queue(self, warehouse_id: str, after: str, limit: int) -> tuple[list[Slip], str | None]:
        held = [one for one in self.slips_held.values() if one.warehouse_id == warehouse_id and one.state in OPEN]
        places = sorted((f"{slip.released_at}#{slip.id}", slip) for slip in held)
        left = [(place, slip) for place, slip in places if place > after]
        return [slip for _, slip in left[:limit]], left[limit - 1][0] if len(left) > limit else None

    def stop_mark(self, order_id: str) -> StopMark | None:
        return self.marks.get(order_id)

    def ask_stop(self, order_id: str) -> None:
        self.marks.setdefault(order_id, StopMark.ASKED)

    def withdraw_stop(self, order_id: str) -> None:
        if self.marks.get(order_id) is StopMark.ASKED:
            del self.marks[order_id]

    def stop_all(self, order_id: str, slips: Sequence[Slip]) -> bool:
        allowed = sources(SlipState.STOPPED)
        if order_id not in self.marks or any(self.slips_held[slip.id].state not in allowed for slip in slips):
            return False
        self.marks[order_id] = StopMark.STOPPED
        for slip in slips:
            self.slips_held[slip.id] = replace(
                self.slips_held[slip.id], state=SlipState.STOPPED, stopped_at=slip.stopped_at
            )
        return True

    def add_parcel(self, parcel: Parcel) -> Parcel:
        return self.parcels_held.setdefault((parcel.carrier, parcel.waybill), parcel)

    def forget_parcel(self, carrier: str, waybill: str) -> None:
        self.parcels_held.pop((carrier, waybill), None)

    def parcel(self, carrier: str, waybill: str) -> Parcel | None:
        return self.parcels_held.get((carrier, waybill))

    def parcels(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Parcel]:
        return {key: self.parcels_held[key] for key in keys if key in self.parcels_held}

    def save(self, parcel: Parcel, outbox: str | None) -> bool:
        key = parcel.carrier, parcel.waybill
        held = self.parcels_held.get(key)
        if held is None or held.version != parcel.version - 1:
            return False
        self.parcels_held[key] = parcel
        self.writes += 1
        self._tell(outbox)
        return True

    def told(self) -> list[str]:
        """Return what was told: event types, with the status where there is one."""
        packed = [one for outbox in self.events for one in unpack(outbox, "record")]
        return [
            " ".join([one["type"], *([one["detail"]["status"]] if "status" in one["detail"] else [])]) for one in packed
        ]

    def _tell(self, outbox: str | None) -> None:
        if outbox:
            self.events.append(outbox)


class CountingCarrier(GenericCarrier):
    """The generic carrier, and what it was asked."""

    def __init__(self) -> None:
        self.voided: list[str] = []

    def void_waybill(self, waybill: str) -> None:
        self.voided.append(waybill)


def table_of(carrier: GenericCarrier) -> CarrierTable:
    return CarrierTable({carrier.code: carrier}, [Rule("*", "*", carrier.code)])


def clock() -> FixedClock:
    return FixedClock(NOW)


def request(fulfilments: int = 1, lines: int = 2, order_id: str = ORDER) -> FulfilmentRequested:
    return FulfilmentRequested(
        at="2026-11-23T09:00:00.000Z",
        order_id=order_id,
        buyer=BUYER,
        locale="en-GB",
        country="GB",
        fulfilments=[
            Fulfilment(
                fulfilment_id=f"{order_id}-{number}",
                warehouse_id="GB-DAV",
                merchant_id="mer_hearts",
                lines=[EventLine(line=line, sku=f"8512{line}A", quantity=6) for line in range(1, lines + 1)],
                value=7200,
            )
            for number in range(1, fulfilments + 1)
        ],
    )
