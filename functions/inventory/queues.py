"""Orders that wait for stock, in fair order, and what purchasing is asked for because of them."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby, takewhile
from operator import attrgetter
from typing import Protocol

from commerce.clock import Clock, rfc3339
from commerce.dynamo import ConditionFailed, Contended
from commerce.events import Event, ReplenishmentRaised, StockAvailable
from inventory.model import Mark, Place, Replenishment, Seen, Waiting

ATTEMPTS = 10

PAGE = 25
"""Places of a lane that are read at once to wake orders: mostly the first few are all."""

PAUSE_A_PIECE, SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=10), timedelta(seconds=1), timedelta(seconds=60)
"""For how long purchasing is not asked again, by how much is on its way: what was asked for a moment ago would only
grow by a little. Ten thousand who fall short at once ask a few times, not each; the sweep asks for the last of them."""

DROWSY = timedelta(minutes=5)
"""For how long an order that was woken may take to look at the stock before another cause wakes it again."""

FAR = 5_000
"""Orders of a queue that a replenishment covers at once. Every receipt looks again, so that a longer queue is covered
as it moves; without a bound each further order would read the whole of it."""


class Store(Protocol):
    """What queues need of the table."""

    def look(self, order_id: str, skus: Iterable[str] = ()) -> Seen: ...
    def free(self, skus: Iterable[str]) -> dict[str, int]: ...
    def wait(
        self, order_id: str, wants: Mapping[str, int], warehouse_id: str, now: str, shards: Mapping[str, int]
    ) -> Waiting: ...
    def leave(self, waiting: Waiting) -> None: ...
    def drop(self, place: Place) -> None: ...
    def marks(self, skus: Iterable[str]) -> dict[str, Mark]: ...
    def queue(self, sku: str, lanes: int, *, most: int | None = None, page: int | None = None) -> Iterator[Place]: ...
    def wake(self, waiting: Waiting, cause: str, event: Event, now: str) -> bool: ...
    def want_asking(self, sku: str, now: str) -> None: ...
    def begin_asking(self, sku: str, turn: str) -> Mark | None: ...
    def end_asking(self, sku: str, turn: str) -> None: ...
    def replenishments(self, sku: str) -> list[Replenishment]: ...
    def ask(self, new: Replenishment, before: Replenishment | None, event: Event) -> None: ...


@dataclass(frozen=True)
class Queues:
    """Wakes who waits and asks purchasing for what is missing.

    Attributes
    ----------
    lead
        From asking to the goods' arrival.
    """

    store: Store
    clock: Clock
    lead: timedelta

    def wake(self, skus: Iterable[str], cause: str) -> None:
        """Wake orders that wait for ``skus``, which have come in.

        The queues are walked as one, by the time each order first asked. An order is woken if there is enough on hand
        of all that it is short of, besides what those before it will take. Where there is not, nobody behind it is
        woken for that SKU, and purchasing is asked for the rest. Woken orders keep their places until they have
        their goods, so that walking again does the same; one that was woken a moment ago and has not looked at the
        stock since is not woken again.

        Parameters
        ----------
        cause
            Id of the receipt or release: it wakes an order once.
        """
        marks = self.store.marks(skus)
        budget = self.store.free(marks)
        short: dict[str, str] = {}
        for sku in [sku for sku in marks if not budget[sku]]:
            # Whoever waits for it lacks it; what came for them may have been taken by others.
            if not marks.pop(sku).asks:
                self.store.want_asking(sku, self._now)
        for order_id, places in self._in_order(marks, short):
            seen = self.store.look(order_id)
            waiting = seen.waiting
            if waiting is None or not seen.still_waits:
                for place in places:
                    self.store.drop(place)
                continue
            budget |= self.store.free(waiting.wants.keys() - budget.keys())
            lacks = [sku for sku, wants in waiting.wants.items() if sku in short or budget[sku] < wants]
            short |= {sku: waiting.warehouse_id for sku in lacks if sku not in short}
            if lacks:
                continue
            for sku, wants in waiting.wants.items():
                budget[sku] -= wants
            if cause not in waiting.causes and waiting.woken <= rfc3339(self.clock.now() - DROWSY):
                self.store.wake(waiting, cause, StockAvailable(at=self._now, order_id=order_id), self._now)
        for sku, warehouse_id in short.items():
            self.replenish(sku, warehouse_id)

    def _in_order(self, marks: Mapping[str, Mark], short: Mapping[str, str]) -> Iterator[tuple[str, list[Place]]]:
        each = [
            takewhile(lambda place: place.sku not in short, self.store.queue(sku, mark.lanes, page=PAGE))
            for sku, mark in marks.items()
        ]
        for _, places in groupby(heapq.merge(*each, key=attrgetter("at")), key=attrgetter("at")):
            of_one = list(places)
            yield of_one[0].order_id, of_one

    def replenish_all(self, skus: Iterable[str], warehouse_id: str) -> str:
        """Ask for what is missing of each of ``skus``; return when the last of it is expected, RFC 3339."""
        return max(self.replenish(sku, warehouse_id) for sku in skus)

    def replenish(self, sku: str, warehouse_id: str) -> str:
        """See that open replenishments of ``sku`` cover all who wait for it; what they lack is asked for.

        Idempotent: it compares what is wanted with what is on hand and outstanding, and only ever asks for more.
        Whoever is overtaken twice finds his own place covered: the second to overtake him read the queue after the
        first had written, and that is after he had joined it. Soon after it was asked, purchasing is not asked again:
        that somebody joined is noted, and the sweep asks.

        Returns
        -------
        str
            When all of it is expected, RFC 3339; what is overdue is taken for asked for today.

        Raises
        ------
        Contended
            Others changed the replenishment each time.
        """
        return self._cover(sku, warehouse_id, patient=False)

    def ask_for(self, sku: str) -> None:
        """Ask purchasing for all who have joined a queue and were not asked for; begun again if it breaks off."""
        turn = secrets.token_hex(6)
        mark = self.store.begin_asking(sku, turn)
        if mark is None:
            return
        for place in self.store.queue(sku, mark.lanes, page=PAGE):
            waiting = self.store.look(place.order_id).waiting
            if waiting is not None:
                self._cover(sku, waiting.warehouse_id, patient=True)
                break
        self.store.end_asking(sku, turn)

    def _cover(self, sku: str, warehouse_id: str, *, patient: bool) -> str:
        """Ask for what is lacking; unless ``patient``, leave it to the sweep where purchasing was asked just now."""
        for _ in range(ATTEMPTS):
            known = self.store.replenishments(sku)
            if patient or not self._just_asked(known):
                mark = self.store.marks([sku]).get(sku, Mark())
                wanted = sum(place.quantity for place in self.store.queue(sku, mark.lanes, most=FAR))
                on_hand = self.store.free([sku])[sku]
                # Read again: of a crowd that has looked at the queue at once, the first has asked meanwhile.
                known = self.store.replenishments(sku)
                lacking = wanted - on_hand - _outstanding(known)
                if lacking <= 0:
                    expected = _expected(known)
                    return expected if expected > self._now else self._expected_at
            if not patient and self._just_asked(known):
                self.store.want_asking(sku, self._now)
                return _expected(known)
            here = [one for one in known if one.warehouse_id == warehouse_id]
            before = next((one for one in here if one.is_open), None)
            new = self._more(sku, warehouse_id, lacking, before, number=len(here) + 1)
            try:
                self.store.ask(new, before, self._raised(new))
            except ConditionFailed:
                continue
            return new.expected_at
        raise Contended(f"{sku}: others were faster {ATTEMPTS} times")

    def _just_asked(self, known: Sequence[Replenishment]) -> bool:
        """Whether less than the pause has passed since what is expected last was asked for."""
        pause = min(max(_outstanding(known) * PAUSE_A_PIECE, SHORTEST_PAUSE), LONGEST_PAUSE)
        return _expected(known) > rfc3339(self.clock.now() + self.lead - pause)

    def _more(
        self, sku: str, warehouse_id: str, lacking: int, before: Replenishment | None, *, number: int
    ) -> Replenishment:
        if before is None:
            return Replenishment(sku, warehouse_id, number, lacking, 0, self._expected_at, self._now)
        return replace(before, quantity=before.quantity + lacking, expected_at=self._expected_at)

    def _raised(self, new: Replenishment) -> ReplenishmentRaised:
        return ReplenishmentRaised(
            at=self._now,
            replenishment_id=new.replenishment_id,
            sku=new.sku,
            warehouse_id=new.warehouse_id,
            quantity=new.quantity,
            expected_at=new.expected_at,
        )

    @property
    def _now(self) -> str:
        return rfc3339(self.clock.now())

    @property
    def _expected_at(self) -> str:
        return rfc3339(self.clock.now() + self.lead)


def _outstanding(known: Iterable[Replenishment]) -> int:
    return sum(one.outstanding for one in known)


def _expected(known: Iterable[Replenishment]) -> str:
    return max((one.expected_at for one in known if one.is_open), default="")
