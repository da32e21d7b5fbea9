"""Makes figures of what was played: ``build/run.json``."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tools.loader import Sample
from tools.run.alone import Alone, budget
from tools.run.board import CANCELLED, COMPLETED, Board, Tale
from tools.run.journal import Reading, Tally
from tools.run.prices import cost

MIN_STAGES = 12
"""Facts of a timeline that is whole, at least."""

LEAST_ACCEPTED = 0.9
"""Share of the sample's well-formed invoices that must be accepted."""

COST_ORDERS = 1000


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` of ``values`` are not above (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def durations(timeline: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return fact -> milliseconds from the fact before it to it.

    Of a fact that several parcels have, the first counts. The first fact of all has none before it.
    """
    first: dict[str, datetime] = {}
    for entry in timeline:
        at = datetime.fromisoformat(entry["at"])
        first[entry["fact"]] = min(at, first.get(entry["fact"], at))
    in_time = sorted(first.items(), key=lambda one: one[1])
    return {fact: (at - before).total_seconds() * 1000 for (_, before), (fact, at) in pairwise(in_time)}


def stages(timelines: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return fact -> p50 and p95 in milliseconds of the time that it took, and how many orders had it."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for timeline in timelines:
        for fact, ms in durations(timeline).items():
            taken[fact].append(ms)
    return {
        fact: {"p50_ms": round(percentile(ms, 0.5)), "p95_ms": round(percentile(ms, 0.95)), "orders": len(ms)}
        for fact, ms in taken.items()
    }


def orders(board: Board) -> dict[str, Any]:
    """Return how the orders ended."""
    accepted = [tale for tale in board.tales if tale.placed is not None]
    return {
        "placed": len(board.tales),
        "accepted": len(accepted),
        "refused": sum(tale.refusal is not None for tale in board.tales),
        "by_status": dict(sorted(Counter(tale.status for tale in accepted if tale.status).items())),
        "stuck": sum(bool(tale.status) and tale.status != tale.ends for tale in accepted),
        "lost": sum(not tale.status for tale in accepted),
    }


def acceptance(board: Board) -> dict[str, Any]:
    """Return how many of the well-formed invoices were accepted."""
    formed = [tale for tale in board.tales if tale.order.is_well_formed]
    accepted = sum(tale.placed is not None for tale in formed)
    return {"invoices": len(formed), "accepted": accepted, "share": round(accepted / max(1, len(formed)), 4)}


def cancellations(sample: Sample, board: Board) -> dict[str, Any]:
    """Return what became of the sample's cancellations.

    A part of an order cannot be cancelled: what is wrong with an order that has come is a return.
    """
    whole = {one.order for one in sample.whole_cancellations}
    asked = [tale for tale in board.tales if tale.order.invoice in whole and tale.placed is not None]
    return {
        "asked": len(asked),
        "cancelled": sum(tale.status == CANCELLED for tale in asked),
        "overtaken_by_dispatch": sum(tale.status == COMPLETED for tale in asked),
        "of_parts_not_asked": len(sample.cancellations) - len(sample.whole_cancellations),
        "unmatched": sample.unmatched_cancellations,
        "unmatched_lines": dict(sample.unmatched),
    }


def costs(tally: Tally, count: int) -> dict[str, Any]:
    """Return what a thousand orders cost if ``count`` took ``tally``, in all and by service, in dollars."""
    by_service = {name: dollars / count * COST_ORDERS for name, dollars in cost(tally.amounts()).items()}
    return {
        "total": round(sum(by_service.values()), 4),
        "by_service": {name: round(dollars, 4) for name, dollars in by_service.items()},
    }


def rounded(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return amounts to four places."""
    return {name: round(amount, 4) for name, amount in amounts.items()}


def troubles(board: Board, alone: Alone, per_order: Mapping[str, float]) -> list[str]:
    """Return everything that is not as it should be; a run without any is a good one."""
    found = [f"{_name(tale)}: {tale.trouble}" for tale in board.tales if tale.trouble]
    found += [
        f"{_name(tale)} is {tale.status}, not {tale.ends}"
        for tale in board.tales
        if tale.placed is not None and tale.status and tale.status != tale.ends and not tale.trouble
    ]
    for tale in board.tales:
        kinds = len({entry["fact"] for entry in tale.timeline})
        if tale.status == COMPLETED and kinds < MIN_STAGES:
            found.append(f"{_name(tale)} is completed and its timeline has {kinds} facts only")
    found += alone.troubles
    share = acceptance(board)["share"]
    if share < LEAST_ACCEPTED:
        found.append(f"{share:.0%} of the well-formed invoices were accepted, not {LEAST_ACCEPTED:.0%}")
    for name, (most, actual) in budget(per_order).items():
        if actual > most:
            found.append(f"{name} of an order played alone: {actual:.1f}, at most {most:.1f}")
    return found


def _name(tale: Tale) -> str:
    return f"invoice {tale.order.invoice}" + (f" ({tale.placed.number})" if tale.placed else "")


def report(
    sample: Sample, board: Board, alone: Alone, whole: Reading, unbalanced: Sequence[str], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the content of ``build/run.json``; ``unbalanced`` is what the auditor found."""
    per_order = alone.per_order()
    ordered = orders(board)
    played = max(1, ordered["accepted"])
    lines = sum(len(tale.order.body["lines"]) for tale in board.tales if tale.placed is not None)
    means = whole.caused.each(played)
    happy = [tale.timeline for tale in board.tales if tale.status == COMPLETED]
    scheduled = Counter[str]()
    for reading in alone.readings:
        scheduled.update(reading.scheduled.amounts())
    return {
        "orders": ordered,
        "stages": stages(tale.timeline for tale in board.tales if tale.timeline),
        "facts_of_a_completed_order": min((len({entry["fact"] for entry in one}) for one in happy), default=0),
        "per_order": rounded(per_order),
        "budget": {
            name: {"most": round(most, 2), "actual": round(actual, 2)}
            for name, (most, actual) in budget(per_order).items()
        },
        "cost_usd_per_1000_orders": costs(Tally(**{n: v for n, v in per_order.items() if n != "lines"}), 1),
        "whole_run": {
            "per_accepted_order": rounded({"lines": lines / played} | means.amounts()),
            "cost_usd_per_1000_orders": costs(whole.caused, played),
            "aws_calls": dict(whole.calls.most_common()),
            "invocations_by_function": dict(whole.by_function.most_common()),
            "scheduled": rounded(whole.scheduled.amounts()),
        },
        "played_alone": {
            "orders": len(alone.orders),
            "each": [rounded(reading.caused.amounts()) for reading in alone.readings],
            "scheduled": rounded(dict(scheduled)),
        },
        "acceptance_of_well_formed": acceptance(board),
        "cancellations": cancellations(sample, board),
        "seconds": {name: round(took, 1) for name, took in seconds.items()},
        "audit_findings": len(unbalanced),
        "troubles": [*troubles(board, alone, per_order), *unbalanced],
    }
