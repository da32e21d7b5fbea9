"""Which carrier takes which parcel, and the carriers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shipping.carriers.generic import GenericCarrier
from shipping.carriers.port import Carrier, Consignment


@dataclass(frozen=True)
class Rule:
    """A warehouse and a destination country (either may be ``*``) and the carrier that serves them."""

    warehouse_id: str
    country: str
    carrier: str


RULES: tuple[Rule, ...] = (Rule("*", "*", GenericCarrier.code),)
"""The first rule that fits decides."""


class UnknownCarrier(LookupError):
    """No carrier has this code, or no rule fits."""


class CarrierTable:
    """The carriers by code, and the rules that choose among them."""

    def __init__(self, carriers: Mapping[str, Carrier], rules: Sequence[Rule]) -> None:
        self._carriers = carriers
        self._rules = rules

    def choose(self, consignment: Consignment) -> Carrier:
        """Return the carrier for ``consignment``.

        Raises
        ------
        UnknownCarrier
            No rule fits.
        """
        for rule in self._rules:
            if rule.warehouse_id in ("*", consignment.warehouse_id) and rule.country in ("*", consignment.country):
                return self.by_code(rule.carrier)
        raise UnknownCarrier(f"none from {consignment.warehouse_id} to {consignment.country}")

    def by_code(self, code: str) -> Carrier:
        """Return the carrier whose code is ``code``.

        Raises
        ------
        UnknownCarrier
            There is none.
        """
        if code not in self._carriers:
            raise UnknownCarrier(code)
        return self._carriers[code]


def carrier_table() -> CarrierTable:
    """Return the platform's carriers under `RULES`."""
    return CarrierTable({GenericCarrier.code: GenericCarrier()}, RULES)
