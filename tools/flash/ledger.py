"""What happened to the stock in a sale, by its table's stream: images of items in DynamoDB's JSON, in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Image = Mapping[str, Any]


@dataclass
class Ledger:
    """Reads images of the stock's table, the sale's among others.

    Attributes
    ----------
    most_held
        Units that were held for orders or shipped at any one time.
    told_too_early
        Orders that joined the queue before the first moment at which every shard was empty. An order has looked at the
        stock before it joins, and looks once more after; while no shard has been empty no look can have found none.
        What comes back later is taken by whoever looks first, or wakes the first in the queue.
    asked
        Quantities that purchasing was asked for, each in all.
    wake_ups
        Of orders that wait.
    """

    sku: str
    most_held: int = 0
    told_too_early: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    wake_ups: int = 0
    _free: Counter[tuple[str, str]] = field(default_factory=Counter)
    _held: Counter[tuple[str, str]] = field(default_factory=Counter)
    _sold_out: bool = False

    def read(self, pk: str, sk: str, image: Image) -> None:
        """Take note of an item as a write has left it."""
        kind, _, name = pk.partition("#")
        if kind == "STOCK" and name.partition("#")[0] == self.sku:
            self._free[pk, sk] = int(image["on_hand"]["N"])
            self._held[pk, sk] = int(image["reserved"]["N"]) + int(image["shipped"]["N"])
            self.most_held = max(self.most_held, self._held.total())
            self._sold_out = self._sold_out or (self._held.total() > 0 and self._free.total() == 0)
        elif sk == "WAITING" and self.sku in image["wants"]["M"]:
            woken = "woken" in image
            self.wake_ups += woken
            if not woken and not self._sold_out:
                self.told_too_early.append(name)
        elif kind == "REPLENISHMENT" and name == self.sku and "outbox" in image:
            self.asked.append(int(image["quantity"]["N"]))
