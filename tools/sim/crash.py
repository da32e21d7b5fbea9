"""Crash points: every AWS call of every handler is crashed before and after, and all must come right again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.sim.faults import Kind
from tools.sim.run import play, schedule, wiring
from tools.sim.world import Site

SCENARIOS = range(1, 15)
"""Seeds whose runs, without faults, are searched for call sites."""

Point = tuple[Site, Kind, int, bool]
"""A call site, whether before or after its call, the seed that reaches it, and whether only under its faults."""


@dataclass(frozen=True)
class Coverage:
    """What was crashed.

    Attributes
    ----------
    points
        Crash points that are known: each call site before and after its call.
    crashed
        How many of them were crashed and came right.
    wrong
        What did not come right, by crash point.
    silent
        Functions that made no AWS call in any scenario.
    """

    points: int
    crashed: int
    wrong: tuple[tuple[Point, tuple[str, ...]], ...]
    silent: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every point was crashed and came right."""
        return self.crashed == self.points

    def __str__(self) -> str:
        share = 100 * self.crashed / max(1, self.points)
        lines = [f"crash points: {self.crashed} of {self.points} crashed and came right ({share:.1f} %)"]
        for (site, kind, seed, under_faults), findings in self.wrong:
            where = f"seed {seed}{' under faults' if under_faults else ''}"
            lines.append(f"  {kind} {site} ({where}): {'; '.join(findings[:3]) or 'was not reached again'}")
        lines.append(f"functions without an AWS call: {', '.join(self.silent) or 'none'}")
        return "\n".join(lines)


def cover(
    run: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]], under_faults: Mapping[Site, int]
) -> Coverage:
    """Crash every call site that the scenarios reach, and every other that a run under faults has reached.

    Parameters
    ----------
    run
        Applies a function to each of many arguments, as `map` does; may do so in several processes.
    under_faults
        Call site -> seed whose faults led to it: repairs make calls that nothing else makes.
    """
    seen: dict[Site, tuple[int, bool]] = {}
    for seed, sites in zip(SCENARIOS, run(reach, SCENARIOS), strict=True):
        for site in sites:
            seen.setdefault(site, (seed, False))
    for site, seed in under_faults.items():
        seen.setdefault(site, (seed, True))
    points: list[Point] = [
        (site, kind, *reached)
        for site, reached in sorted(seen.items(), key=lambda one: str(one[0]))
        for kind in (Kind.CRASH_BEFORE, Kind.CRASH_AFTER)
    ]
    wrong = [
        (point, findings)
        for point, (crashed, findings) in zip(points, run(crash, points), strict=True)
        if findings or not crashed
    ]
    silent = sorted(wiring().functions.keys() - {site.function for site in seen})
    return Coverage(len(points), len(points) - len(wrong), tuple(wrong), tuple(silent))


def reach(seed: int) -> tuple[Site, ...]:
    """Return the call sites that a seed's run reaches without faults."""
    return tuple(play(wiring(), seed).sites)


def crash(point: Point) -> tuple[bool, tuple[str, ...]]:
    """Crash one point; return whether it was reached, and what did not come right."""
    site, kind, seed, under_faults = point
    outcome = play(wiring(), seed, schedule(seed) if under_faults else (), (site, kind))
    return outcome.crashed, outcome.findings
