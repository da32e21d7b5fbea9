"""One simulated run: what is played, what must hold when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from commerce.dynamo import load
from tools.audit import audit
from tools.sim.actors import Play
from tools.sim.faults import Fault, Kind, draw
from tools.sim.wiring import Wiring
from tools.sim.wiring import load as load_wiring
from tools.sim.world import Site, World

ORDERS = 5
PLAYED = 150.0
"""Seconds during which faults befall."""

ROUND = 60.0
MOST_ROUNDS = 14
"""Then the platform has so many minutes to come to rest; between them an operator redrives dead-letter queues."""

TERMINAL = ("completed", "cancelled", "expired")


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    findings
        What does not hold; a good run has none.
    trace
        Hash of everything that happened.
    calls, messages, sites
        See `World`.
    struck
        Faults that befell something.
    ends
        Status -> orders.
    """

    seed: int
    findings: tuple[str, ...]
    trace: str
    calls: dict[str, int]
    messages: dict[str, int]
    sites: dict[Site, int]
    struck: frozenset[Fault]
    ends: dict[str, int]
    crashed: bool


@cache
def wiring() -> Wiring:
    """Return the wiring, once a process."""
    return load_wiring()


@cache
def quiet() -> Outcome:
    """Return a run without faults: it says what there is that faults can befall."""
    return play(wiring(), 0)


def schedule(seed: int) -> tuple[Fault, ...]:
    """Return the faults that a seed draws."""
    return draw(seed, quiet().calls, quiet().messages)


def play(wiring: Wiring, seed: int, faults: Sequence[Fault] = (), crash: tuple[Site, Kind] | None = None) -> Outcome:
    """Play a run to its end."""
    world = World(wiring, seed, faults, crash)
    with world.entered():
        everybody = Play(world)
        everybody.prepare()
        world.arm()
        everybody.begin(ORDERS)
        world.run(PLAYED)
        world.disarm()
        rounds = 0
        while rounds < MOST_ROUNDS and not (_rests(world, everybody) and rounds > 1):
            rounds += 1
            world.actor(everybody.operate)
            world.run(ROUND)
        everybody.over = True
        world.run(30)
        found = list(everybody.complaints) + _wrong(world, everybody)
    ends = Counter(head["status"]["S"] for head in world.cloud.items("orders") if head["sk"]["S"] == "HEAD")
    return Outcome(
        seed,
        tuple(found),
        world.trace,
        dict(world.calls),
        dict(world.messages),
        dict(world.sites),
        frozenset(world.struck),
        dict(ends),
        world.crashed,
    )


def _rests(world: World, everybody: Play) -> bool:
    items = world.cloud.items("orders")
    ended = all(item["status"]["S"] in TERMINAL for item in items if item["sk"]["S"] == "HEAD")
    erased = all(item["state"]["S"] == "erased" for item in items if item["pk"]["S"] == "ERASED")
    return ended and erased and all(one.status != "RUNNING" for one in world.executions.values())


def _of(head: Mapping[str, Any]) -> set[str]:
    """Return the persons that an order is of: its customer, and the guest that he was."""
    return {head[name] for name in ("buyer", "customer_id") if name in head}


def _wrong(world: World, everybody: Play) -> list[str]:
    tables = {name: [load(item) for item in world.cloud.items(name)] for name in world.cloud.rows}
    wrong = [str(finding) for finding in audit(tables, world.now, timedelta(0))]
    heads = {item["pk"].removeprefix("ORDER#"): item for item in tables["orders"] if item["sk"] == "HEAD"}
    wrong += [f"{one.number} was accepted and is lost" for one in everybody.placed if one.id not in heads]
    wrong += [f"{name} has not come to its end" for name, head in heads.items() if head["status"] not in TERMINAL]
    for queue, dead in world.dead.items():
        wrong += [f"{queue} still has {one.body[:300]}" for one in dead]
    for (machine, name), execution in world.executions.items():
        # An Express execution may end badly: the sweep starts another, and its order must have come to its end.
        if execution.status != "SUCCEEDED" and machine not in world.wiring.express:
            wrong.append(f"{machine} {name} is {execution.status} in {execution.state}: {execution.output}")
    erased = {item["sk"] for item in tables["orders"] if item["pk"] == "ERASED"}
    wrong += [f"{subject} is not erased" for subject in everybody.leavers - erased]
    # A notice is the claim on its mail, and bears the mail's subject as its title. What somebody erased was told is
    # gone; the mails that he had are his.
    gone = {one.address for one in everybody.placed if one.id in heads and _of(heads[one.id]) & erased}
    sent = [mail for mail in world.cloud.mails if not gone & set(mail["Destination"]["ToAddresses"])]
    mails = Counter(mail["Content"]["Simple"]["Subject"]["Data"] for mail in sent)
    notices = Counter(item["title"] for item in tables["notifications"])
    wrong += [f"{mails[one]} mails for {notices[one]} notices: {one}" for one in mails if mails[one] > notices[one]]
    expected = ("Throttling", "ProvisionedThroughput", "ReadTimeout", "TransactionCanceled", "Contended")
    wrong += [f"unknown error {error}" for error in world.errors if not any(one in error for one in expected)]
    return wrong
