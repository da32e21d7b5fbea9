"""A carrier without an interface of its own: we number its waybills, and it reports generic scans."""

from __future__ import annotations

from commerce.ids import check_character
from shipping.carriers.port import Consignment

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class GenericCarrier:
    """Waybills made from the fulfilment's id: nothing to store, and the same whenever asked for."""

    code = "generic"

    def take_waybill(self, consignment: Consignment) -> str:
        """Return ``G``, the order number, the slip's number in three digits, and a check character.

        The check character is by ISO/IEC 7064 MOD 37,36 over all that goes before it.
        """
        order, _, number = consignment.reference.rpartition("-")
        body = f"G{order}{int(number):03d}"
        return body + check_character(body, _ALPHABET)

    def void_waybill(self, waybill: str) -> None:
        """Do nothing: a number that is on no parcel costs nothing and is given to no other."""
