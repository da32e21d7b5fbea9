"""The simulation repeats itself exactly, finds planted mistakes, and makes their schedules small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from commerce import relay
from commerce.dynamo import Table
from inventory.model import Reservation
from notifications.store import NoticeStore
from orders.executions import StepFunctions
from payments import tasks as payments_tasks
from payments.model import ProviderUnavailable
from tools.sim.__main__ import under_faults, with_faults
from tools.sim.crash import crash
from tools.sim.faults import Fault, Kind, draw, shrink
from tools.sim.wiring import ROOT

pytestmark = pytest.mark.integration

PATIENCE = 40
"""Seeds within which a planted mistake must be found."""

COMPLETION_TRIES = 5
"""How often a completion tries a task (``statemachines/order_completion.asl.json``)."""


def trace(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tools.sim", "replay", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_seed_plays_the_same_way_in_every_process() -> None:
    first, second = trace(7, "1"), trace(7, "2")
    assert "trace" in first
    assert first == second


def test_another_seed_plays_another_way() -> None:
    assert with_faults(7, ()).trace != with_faults(8, ()).trace


def test_a_schedule_is_drawn_of_its_seed_alone_and_may_be_written_down() -> None:
    places = {"orders-inbox/get_item": 9, "orders-inbox/put_item": 3, "orders-inbox/start": 2}
    drawn = draw(5, places, {"orders-inbox": 4})
    assert drawn == draw(5, places, {"orders-inbox": 4})
    assert tuple(Fault.of_dict(json.loads(json.dumps(one.to_dict()))) for one in drawn) == drawn


def test_a_schedule_shrinks_to_what_matters() -> None:
    faults = [Fault(Kind.LATE, "queue", number) for number in range(12)]
    culprits = {faults[3], faults[9]}
    assert set(shrink(faults, lambda some: culprits <= set(some))) == culprits


def _unconditional(patch: pytest.MonkeyPatch) -> None:
    """A store that writes whatever was read meanwhile."""
    update = Table.update

    def careless(self: Table, key: Any, change: Any) -> Any:
        return update(
            self,
            key,
            change
            if "version" not in change.set
            else change.__class__(set=change.set, append=change.append, remove=change.remove, outbox=change.outbox),
        )

    patch.setattr(Table, "update", careless)


def _mails_again(patch: pytest.MonkeyPatch) -> None:
    """A notice that is not claimed before its mail is sent."""
    claim = NoticeStore.claim
    patch.setattr(NoticeStore, "claim", lambda *given: claim(*given) or True)


def _loses_events(patch: pytest.MonkeyPatch) -> None:
    """A relay that does not look at what the bus did not take."""
    publish = relay.publish
    patch.setattr(relay, "publish", lambda *given: publish(*given) and None)


def _ships_again(patch: pytest.MonkeyPatch) -> None:
    """Stock that leaves once for each time that it is told to have left."""
    steps = Reservation.shipping_steps
    patch.setattr(Reservation, "shipping_steps", lambda self, number: steps(replace(self, progress=()), number))


def _keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    """An order that got its stock and stays in the queue."""
    patch.setattr("inventory.store.Store.leave", lambda *_: None)


PLANTED: list[Callable[[pytest.MonkeyPatch], None]] = [
    _unconditional,
    _mails_again,
    _loses_events,
    _ships_again,
    _keeps_its_place,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.strip("_"))
def test_a_planted_mistake_is_found(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    for seed in range(1, PATIENCE + 1):
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            if under_faults(seed).findings:
                return
    pytest.fail(f"not found in {PATIENCE} seeds")


def _settles_late(patch: pytest.MonkeyPatch) -> Counter[str]:
    """A provider whose books cannot be read for longer than a completion tries; return how often each order tried."""
    tried: Counter[str] = Counter()
    settle = payments_tasks.settle

    def late(event: Mapping[str, Any], context: object) -> Any:
        tried[event["order_id"]] += 1
        if tried[event["order_id"]] <= COMPLETION_TRIES + 1:
            raise ProviderUnavailable
        return settle(event, context)

    patch.setattr(payments_tasks, "settle", late)
    return tried


def test_a_completion_that_gave_up_is_started_again_by_the_sweep() -> None:
    with pytest.MonkeyPatch.context() as patch:
        tried = _settles_late(patch)
        played = with_faults(7, ())
    assert played.findings == ()
    assert played.ends["completed"] == len(tried) > 0
    assert min(tried.values()) > COMPLETION_TRIES + 1, "more than one execution tries"
    with pytest.MonkeyPatch.context() as patch:
        _settles_late(patch)
        patch.setattr(StepFunctions, "complete", lambda *_: None)
        assert with_faults(7, ()).findings, "nobody starts it again"


def test_what_a_planted_mistake_needs_to_show_is_made_small() -> None:
    with pytest.MonkeyPatch.context() as patch:
        _loses_events(patch)
        seed = next(one for one in range(1, PATIENCE) if under_faults(one).findings)
        smallest = shrink(sorted(under_faults(seed).struck), lambda some: bool(with_faults(seed, some).findings))
        assert [fault.kind for fault in smallest] == [Kind.PARTIAL]


def test_a_crash_point_that_leaves_something_behind_is_found() -> None:
    with pytest.MonkeyPatch.context() as patch:
        # A worker that swallows what went wrong acknowledges a message that it has not handled.
        patch.setattr("tools.sim.world.World._deliver", _acknowledging_crashes)
        site = next(one for one in with_faults(4, ()).sites if str(one).startswith("notifications-inbox: put_item"))
        crashed, findings = crash((site, Kind.CRASH_BEFORE, 4, False))
    assert crashed
    assert findings


def _acknowledging_crashes(self: Any, consumer: Any, line: Any, work: list[Any]) -> None:
    line.running += 1

    def done(*_: object) -> None:
        line.running -= 1
        for one in work:
            one.gone = True

    records = [{"messageId": one.id, "body": one.body, "eventSource": "aws:sqs", "attributes": {}} for one in work]
    self.invoke(consumer.function, {"Records": records}, done)
