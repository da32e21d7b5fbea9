"""Stopping an order against releasing, packing and dispatching it: every interleaving, and crashes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from commerce.errors import CommerceError
from shipping import service
from shipping.model import OPEN, ShipmentAlreadyDispatched, SlipId, SlipState, SlipStopped, StopMark, StopUnderWay
from shipping.tracking import Parcel
from tests.unit.shipping.fakes import ORDER, SLIP, CountingCarrier, MemoryStore, clock, request, table_of

pytestmark = pytest.mark.unit

Actor = Callable[[Any], object]


class Crash(BaseException):
    """The process ends here."""


class Stepped:
    """A store whose every operation waits for its turn, so that a schedule decides who goes next."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._crash = False
        self.done = False

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)

        def step(*given: Any, **named: Any) -> Any:
            self._pause()
            return operation(*given, **named)

        return step

    def _pause(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._crash:
            raise Crash

    def run(self, actor: Actor) -> None:
        def body() -> None:
            try:
                actor(self)
            except (CommerceError, Crash):
                pass  # refused, or crashed: whoever sent it sends it again
            finally:
                self.done = True
                self._stopped.release()

        threading.Thread(target=body, daemon=True).start()
        self._stopped.acquire()

    def step(self) -> None:
        self._go.release()
        self._stopped.acquire()

    def crash(self) -> None:
        self._crash = True
        self.step()


def play(store: MemoryStore, actors: list[Actor], choose: Callable[[int], int]) -> None:
    """Let ``actors`` take turns, one store operation at a time; ``choose`` picks among those not done."""
    playing = [Stepped(store) for _ in actors]
    for stepped, actor in zip(playing, actors, strict=True):
        stepped.run(actor)
    while left := [stepped for stepped in playing if not stepped.done]:
        left[choose(len(left))].step()


class Choices:
    """Choices of one run: those of ``prefix`` first, then always the first option."""

    def __init__(self, prefix: list[tuple[int, int]]) -> None:
        self.taken = prefix
        self._at = 0

    def __call__(self, options: int) -> int:
        if self._at == len(self.taken):
            self.taken.append((0, options))
        self._at += 1
        return self.taken[self._at - 1][0]


def every_schedule(once: Callable[[Callable[[int], int]], None]) -> int:
    """Run ``once`` under every schedule there is, depth first; return how many there were."""
    taken: list[tuple[int, int]] = []
    count = 0
    while True:
        choices = Choices(taken)
        once(choices)
        count += 1
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return count
        chosen, options = taken.pop()
        taken.append((chosen + 1, options))


def release(store: Any) -> None:
    service.release(request(), store, table_of(CountingCarrier()), clock())


def stop(store: Any) -> None:
    service.stop(ORDER, store, table_of(CountingCarrier()), clock())


def pack_and_dispatch(store: Any) -> None:
    service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
    service.dispatch(SLIP, store, clock())


def redeliver(store: MemoryStore) -> None:
    """What SQS and the state machine do about a message or task that did not end well."""
    for again in (stop, release, stop):
        try:
            again(store)
        except ShipmentAlreadyDispatched:
            assert again is stop


def check(store: MemoryStore) -> None:
    """Either everything is stopped for good, or a parcel left and nothing is stopped."""
    states = {slip.state for slip in store.slips(ORDER)}
    if SlipState.DISPATCHED in states:
        assert SlipState.STOPPED not in states
        assert ORDER not in store.marks
        assert store.told() == ["ShipmentDispatched"]
        assert len(store.parcels_held) == 1
    else:
        assert states <= {SlipState.STOPPED}
        assert store.marks[ORDER] is StopMark.STOPPED
        assert store.events == []
        assert store.parcels_held == {}


def test_no_interleaving_of_release_and_stop_leaves_an_open_slip() -> None:
    seen: set[str] = set()

    def once(choose: Callable[[int], int]) -> None:
        store = MemoryStore()
        play(store, [release, stop], choose)
        seen.add(",".join(slip.state for slip in store.slips(ORDER)))
        if store.slips(ORDER)[0].state in OPEN:  # release met the mark "asked" and will come again
            release(store)
        check(store)

    schedules = every_schedule(once)
    assert schedules == 19
    assert seen == {"stopped", "released"}


def test_no_interleaving_dispatches_a_stopped_order() -> None:
    ends: set[str] = set()

    def once(choose: Callable[[int], int]) -> None:
        store = MemoryStore()
        release(store)
        service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
        play(store, [stop, pack_and_dispatch], choose)
        check(store)
        ends.update(slip.state for slip in store.slips(ORDER))

    schedules = every_schedule(once)
    assert schedules == 82
    assert ends == {"stopped", "dispatched"}


def test_a_stop_that_died_after_it_asked_blocks_nothing_once_a_parcel_has_left() -> None:
    store = MemoryStore()
    release(store)
    service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
    packed = store.slips(ORDER)[0]
    store.move(replace(packed, state=SlipState.DISPATCHED, dispatched_at="2026-11-23T12:00:00.000Z"), None)
    store.ask_stop(ORDER)  # and the task died here; its retry finds the parcel gone
    with pytest.raises(ShipmentAlreadyDispatched):
        stop(store)
    assert ORDER not in store.marks


def test_a_release_that_crashed_before_it_saw_the_mark_is_mended() -> None:
    """The slip is written after `stop` looked, packed, and its release never gets to read the mark."""

    def once(choose: Callable[[int], int]) -> None:
        store = MemoryStore()
        crashed = Stepped(store)
        crashed.run(release)
        stopping = Stepped(store)
        stopping.run(stop)
        for _ in range(choose(8)):
            if not stopping.done:
                stopping.step()
        crashed.step()
        crashed.crash()
        packing = Stepped(store)
        packing.run(pack_and_dispatch)
        while left := [one for one in (stopping, packing) if not one.done]:
            left[choose(len(left))].step()
        redeliver(store)
        check(store)

    assert every_schedule(once) > 100


def test_an_order_of_which_a_parcel_has_left_is_not_stopped_in_part() -> None:
    store, carrier = MemoryStore(), CountingCarrier()
    service.release(request(3), store, table_of(carrier), clock())
    pack_and_dispatch(store)
    service.pack(SlipId(ORDER, 2), [], store, table_of(carrier), clock())
    before = dict(store.slips_held)
    with pytest.raises(ShipmentAlreadyDispatched):
        service.stop(ORDER, store, table_of(carrier), clock())
    assert store.slips_held == before
    assert store.marks == {}
    assert carrier.voided == []


def test_stopping_gives_waybills_back_and_may_be_repeated() -> None:
    store, carrier = MemoryStore(), CountingCarrier()
    service.release(request(2), store, table_of(carrier), clock())
    waybill = service.pack(SLIP, [], store, table_of(carrier), clock()).waybill
    assert service.stop(ORDER, store, table_of(carrier), clock()) == 2
    stopped = dict(store.slips_held)
    assert service.stop(ORDER, store, table_of(carrier), clock()) == 2
    assert store.slips_held == stopped
    assert set(carrier.voided) == {waybill}


def test_a_slip_that_comes_after_its_order_was_stopped_is_stopped() -> None:
    store = MemoryStore()
    assert service.stop(ORDER, store, table_of(CountingCarrier()), clock()) == 0
    release(store)
    assert [slip.state for slip in store.slips(ORDER)] == [SlipState.STOPPED]


def test_nothing_is_released_or_dispatched_while_a_stop_is_being_decided() -> None:
    store = MemoryStore()
    release(store)
    service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
    store.ask_stop(ORDER)
    with pytest.raises(StopUnderWay):
        release(store)
    with pytest.raises(StopUnderWay):
        service.dispatch(SLIP, store, clock())
    assert store.events == []


def test_a_dispatch_that_crashed_before_the_parcel_left_leaves_no_parcel_of_a_stopped_slip() -> None:
    store = MemoryStore()
    release(store)
    service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
    crashed = Stepped(store)
    crashed.run(lambda stepped: service.dispatch(SLIP, stepped, clock()))
    while not store.parcels_held:
        crashed.step()
    crashed.crash()
    stop(store)
    check(store)


def test_a_parcel_that_a_broken_off_dispatch_left_of_a_stopped_slip_goes_at_the_next_try() -> None:
    store = MemoryStore()
    release(store)
    service.pack(SLIP, [], store, table_of(CountingCarrier()), clock())
    packed = store.slips(ORDER)[0]
    stop(store)
    # A dispatch that had looked before the stop writes its parcel after it, and dies at that.
    store.add_parcel(Parcel(str(packed.carrier), str(packed.waybill), str(SLIP), str(packed.packed_at)))
    with pytest.raises(SlipStopped):
        service.dispatch(SLIP, store, clock())
    check(store)
