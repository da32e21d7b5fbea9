"""The warehouses and, for each country, which of them is nearest.

``warehouses.json`` is a copy of ``data/places/warehouses.json``, shipped with the function.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Warehouses:
    """Where goods can lie.

    Attributes
    ----------
    ids
        Every warehouse.
    order
        ISO 3166 country code -> all warehouses, nearest first.
    """

    ids: tuple[str, ...]
    order: Mapping[str, tuple[str, ...]]

    def nearest(self, country: str) -> tuple[str, ...]:
        """Return all warehouses, the nearest to ``country`` first; as listed for one that is not in the table."""
        return self.order.get(country, self.ids)


@cache
def load() -> Warehouses:
    """Return the platform's warehouses."""
    table = json.loads(Path(__file__).with_name("warehouses.json").read_text(encoding="utf-8"))
    return Warehouses(
        ids=tuple(one["id"] for one in table["warehouses"]),
        order={country: tuple(ids) for country, ids in table["nearest"].items()},
    )
