"""What an order, a scan and a sweep take, and what stands there: the budget file ``docs/operations/cost.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.run.journal import Tally
from tools.run.prices import cost

FILE = Path(__file__).parents[2] / "docs" / "operations" / "cost.json"

TOLERANCE = 1.05
"""What is more than 5 % above the budget exceeds it."""

TIMED = frozenset({"lambda_gb_seconds", "express_gb_seconds"})
"""What is measured by a clock, and so by how busy the machine is: priced as it was recorded, never compared."""

Units = Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """Counted amounts, named like the fields of `tools.run.journal.Tally`.

    Attributes
    ----------
    lines
        Of the orders played, on average.
    stages
        Stage -> what one order takes there.
    parcel
        What one scan takes in a batch of ten parcels' scans, on average of a parcel's whole way.
    scan
        The same of a scan that only says that the parcel is still on its way.
    sweep
        What one run of a scheduled function takes.
    stored
        Table -> bytes that an order leaves in it.
    written
        Table -> write units of an order, indexes included.
    deployed
        What the stage prod has of everything that costs by the month.
    """

    lines: float
    stages: Mapping[str, Units]
    written: Units
    parcel: Units = field(default_factory=dict)
    scan: Units = field(default_factory=dict)
    sweep: Units = field(default_factory=dict)
    stored: Units = field(default_factory=dict)
    deployed: Mapping[str, int] = field(default_factory=dict)

    @property
    def order(self) -> dict[str, float]:
        """What one order takes."""
        return {name: sum(units.get(name, 0) for units in self.stages.values()) for name in Tally().amounts()}

    def save(self, file: Path = FILE) -> None:
        """Write them down as the budget."""
        rounded = json.loads(json.dumps(asdict(self)), parse_float=lambda text: round(float(text), 5))
        file.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


def recorded(file: Path = FILE) -> Figures:
    """Return the budget."""
    return Figures(**json.loads(file.read_text(encoding="utf-8")))


def dollars(units: Units) -> dict[str, float]:
    """Return service -> dollars for ``units``."""
    return cost({**Tally().amounts(), **units})


def table(figures: Figures, times: int = 1000) -> dict[str, dict[str, float]]:
    """Return stage -> service -> dollars for so many orders."""
    return {
        stage: {service: one * times for service, one in dollars(units).items()}
        for stage, units in figures.stages.items()
    }


def exceeded(now: Figures, budget: Figures) -> list[str]:
    """Return what takes or costs more than the budget allows; what ``now`` does not have is not compared."""
    found = [f"{stage}: {what}" for stage in now.stages for what in _units(now.stages[stage], budget.stages[stage])]
    found += [f"written: {what}" for what in _units(now.written, budget.written)]
    for name in ("parcel", "scan", "stored", "deployed"):
        found += [f"{name}: {what}" for what in _units(getattr(now, name), getattr(budget, name))]
    of_now = {stage: dollars(_priced(units, budget.stages[stage])) for stage, units in now.stages.items()}
    of_budget = {stage: dollars(units) for stage, units in budget.stages.items()}
    for service in dollars({}):
        costs = sum(one[service] for one in of_now.values())
        allowed = sum(one[service] for one in of_budget.values())
        if costs > allowed * TOLERANCE:
            found.append(f"{service}: ${costs * 1000:.4f} of 1,000 orders, in the budget ${allowed * 1000:.4f}")
    return found


def _units(now: Units, budget: Units) -> Iterator[str]:
    for name, amount in now.items():
        if name not in TIMED and amount > budget.get(name, 0) * TOLERANCE:
            yield f"{amount:g} {name}, in the budget {budget.get(name, 0):g}"


def _priced(now: Units, budget: Units) -> dict[str, float]:
    """Return the units as counted and the times as recorded."""
    return {name: budget.get(name, 0) if name in TIMED else amount for name, amount in now.items()}
