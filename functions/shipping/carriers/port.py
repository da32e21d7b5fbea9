"""What the platform asks of a carrier. A new one is a module beside this with a class that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Consignment:
    """What a waybill is taken for.

    Attributes
    ----------
    reference
        The fulfilment's id: our reference at the carrier, the same however often it is asked.
    warehouse_id
        Where the carrier collects it.
    country
        ISO 3166 code of the destination.
    """

    reference: str
    warehouse_id: str
    country: str


class Carrier(Protocol):
    """One carrier.

    Attributes
    ----------
    code
        Its scans come from source ``carrier.<code>``.
    """

    code: str

    def take_waybill(self, consignment: Consignment) -> str:
        """Return the waybill of ``consignment``: the same one whenever it is asked for again."""
        ...

    def void_waybill(self, waybill: str) -> None:
        """Give back a waybill that no parcel will carry; one given back already is no error."""
        ...


class Carriers(Protocol):
    """The carriers that there are."""

    def choose(self, consignment: Consignment) -> Carrier:
        """Return the carrier for ``consignment``."""
        ...

    def by_code(self, code: str) -> Carrier:
        """Return the carrier whose code is ``code``."""
        ...
