"""``python -m tools.sim run|crash|replay``: see ``docs/operations/simulation.md``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from tools.sim.again import repeatably
from tools.sim.crash import cover
from tools.sim.faults import Fault, Kind, shrink
from tools.sim.run import Outcome, play, schedule, wiring
from tools.sim.world import Site

ENOUGH = 50
"""Seeds after which every kind of fault must have struck."""

SHOWN = 12
"""Findings of a failure that are printed."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.sim", description="Plays the platform under faults.")
    commands = parser.add_subparsers(dest="command", required=True)
    several = commands.add_parser("run", help="play so many seeds, then crash every call site")
    several.add_argument("--seeds", type=int, default=200)
    several.add_argument("--first", type=int, default=1)
    several.add_argument("--no-crashes", action="store_true", help="leave out the crash points")
    one = commands.add_parser("replay", help="play one seed again")
    one.add_argument("seed", type=int)
    one.add_argument("--faults", help="a schedule of faults as it was printed; the seed's own without it")
    asked = parser.parse_args(arguments)
    repeatably("tools.sim", arguments)
    return replay(asked.seed, asked.faults) if asked.command == "replay" else run(asked)


def run(asked: argparse.Namespace) -> int:
    """Play seeds, print what failed with the smallest schedule that still fails; the exit status is 1 then."""
    began = time.monotonic()
    wiring()
    seeds = range(asked.first, asked.first + asked.seeds)
    struck: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    failed: list[Outcome] = []
    sites: dict[Site, int] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(under_faults, seeds, chunksize=4):
            struck.update(fault.kind.value for fault in outcome.struck)
            ends.update(outcome.ends)
            for site in outcome.sites:
                sites.setdefault(site, outcome.seed)
            if outcome.findings:
                failed.append(outcome)
        print(f"simulation: {asked.seeds} seeds, {sum(ends.values())} orders, {dict(sorted(ends.items()))}")
        print(f"faults that struck: {dict(sorted(struck.items()))}")
        for outcome in failed[:5]:
            show(outcome)
        coverage = None if asked.no_crashes else cover(partial(pool.map, chunksize=2), sites)
    if coverage is not None:
        print(coverage)
    missing = sorted({kind.value for kind in Kind} - struck.keys()) if asked.seeds >= ENOUGH else []
    if missing:
        print(f"faults that never struck: {', '.join(missing)}")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if failed or missing or (coverage is not None and not coverage.holds) else 0


def replay(seed: int, text: str | None) -> int:
    """Play one seed, with the given schedule or its own."""
    outcome = with_faults(seed, _read(text)) if text else under_faults(seed)
    print(f"seed {seed}: {outcome.ends}, trace {outcome.trace}")
    for finding in outcome.findings:
        print(f"  {finding}")
    return 1 if outcome.findings else 0


def show(outcome: Outcome) -> None:
    """Print a failure: its seed, a smallest schedule, and how to play it again."""
    schedule = tuple(sorted(outcome.struck))
    if with_faults(outcome.seed, schedule).findings:
        schedule = shrink(schedule, lambda some: bool(with_faults(outcome.seed, some).findings))
    print(f"seed {outcome.seed} fails with {len(schedule)} of {len(outcome.struck)} faults:")
    for finding in with_faults(outcome.seed, schedule).findings[:SHOWN]:
        print(f"  {finding}")
    told = json.dumps([fault.to_dict() for fault in schedule], separators=(",", ":"))
    print(f"  again: python -m tools.sim replay {outcome.seed} --faults '{told}'")


def under_faults(seed: int) -> Outcome:
    """Play a seed with the faults that it draws."""
    return with_faults(seed, schedule(seed))


def with_faults(seed: int, faults: Sequence[Fault]) -> Outcome:
    """Play a seed with these faults."""
    return play(wiring(), seed, faults)


def _read(text: str) -> tuple[Fault, ...]:
    told: list[dict[str, Any]] = json.loads(text)
    return tuple(Fault.of_dict(one) for one in told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
