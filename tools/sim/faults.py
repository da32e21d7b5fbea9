"""Faults: what may go wrong, where, and how a schedule of faults is drawn and written down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What goes wrong.

    Those of a call are aimed at a function's call of an action; those of a message at what a queue or stream carries.
    """

    CRASH_BEFORE = "crash-before"
    """The environment dies before the call is made."""
    CRASH_AFTER = "crash-after"
    """It dies after the call was made, before its answer is used."""
    LOST_RESPONSE = "lost-response"
    """The call is made, its answer is lost, and the SDK makes it again."""
    THROTTLED = "throttled"
    """AWS refuses the call for longer than the SDK is patient."""
    CANCELLED = "transaction-cancelled"
    """A transaction meets another one at the same items."""
    PARTIAL = "partial-batch"
    """A batch call leaves its last entry undone."""
    STALE = "stale-read"
    """An eventually consistent read shows what was before."""
    SKEW = "clock-skew"
    """The environment's clock is off."""
    TOKEN = "task-token"  # noqa: S105 - a name
    """The answer to a task token goes out late, and again."""
    DUPLICATE = "duplicate"
    """A message is delivered twice."""
    REORDER = "reorder"
    """A message is overtaken by those after it."""
    LATE = "late"
    """A message comes when the windows have closed."""


OF_MESSAGES = (Kind.DUPLICATE, Kind.REORDER, Kind.LATE)

WHERE: dict[Kind, tuple[str, ...]] = {
    Kind.CANCELLED: ("transact_write_items",),
    Kind.PARTIAL: ("put_events", "batch_get_item", "batch_write_item"),
    Kind.STALE: ("get_item", "query", "batch_get_item"),
    Kind.TOKEN: ("send_task_success", "send_task_failure"),
    Kind.SKEW: ("start",),
}
"""Kind -> the actions that it can befall; others befall any call."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    at
        Of a call ``<function>/<action>``; of a message the name of its queue or table.
    number
        Which one of those, from 1 on.
    amount
        Seconds: by how much a message is late, or a clock is off.
    """

    kind: Kind
    at: str
    number: int
    amount: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def of_dict(cls, told: dict[str, Any]) -> Fault:
        return cls(Kind(told["kind"]), told["at"], told["number"], told.get("amount", 0.0))


def draw(seed: int, calls: dict[str, int], messages: dict[str, int], most: int = 16) -> tuple[Fault, ...]:
    """Draw a schedule of faults.

    Parameters
    ----------
    calls, messages
        How often each call is made, and how many messages each queue has, in a run without faults.
    most
        Faults at the most.
    """
    dice = random.Random(f"faults {seed}")  # noqa: S311 - a simulation wants to be predicted
    drawn: set[Fault] = set()
    for _ in range(dice.randint(most // 4, most)):
        kind = dice.choice(list(Kind))
        places = messages if kind in OF_MESSAGES else calls
        fitting = sorted(at for at in places if _befalls(kind, at))
        if not fitting:
            continue
        at = dice.choice(fitting)
        amount = {
            Kind.REORDER: dice.uniform(1, 10),
            Kind.LATE: dice.uniform(20, 150),
            Kind.SKEW: dice.uniform(-5, 5),
            Kind.TOKEN: dice.uniform(1, 40),
        }.get(kind, 0.0)
        drawn.add(Fault(kind, at, dice.randint(1, places[at]), round(amount, 3)))
    return tuple(sorted(drawn))


def shrink(faults: Sequence[Fault], fails: Any) -> tuple[Fault, ...]:
    """Return a smallest part of ``faults`` that still fails (delta debugging, Zeller and Hildebrandt 2002).

    Parameters
    ----------
    fails
        Takes a schedule and says whether the run fails with it.
    """
    left, parts = tuple(faults), 2
    while len(left) >= 2:
        size = max(1, len(left) // parts)
        chunks = [left[at : at + size] for at in range(0, len(left), size)]
        for at in range(len(chunks)):
            rest = tuple(one for other, chunk in enumerate(chunks) if other != at for one in chunk)
            if rest and fails(rest):
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(left), parts * 2)
    return left


def _befalls(kind: Kind, at: str) -> bool:
    if kind in OF_MESSAGES:
        # A stream keeps its order and waits for nobody: all that it does is to deliver again.
        return kind is Kind.DUPLICATE or not at.startswith("stream:")
    action = at.rpartition("/")[2]
    return action in WHERE[kind] if kind in WHERE else action != "start"
