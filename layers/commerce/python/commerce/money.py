"""Money: an integer number of minor units and its ISO 4217 currency. Never a float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commerce.errors import Invalid

# ISO 4217 (2024): the currencies whose minor unit is not a hundredth; every other one of the list is.
_NO_DECIMALS = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV")
_FRANCS_CFA_AND_CFP = ("XAF", "XOF", "XPF")
_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_MINOR_UNITS = {
    **dict.fromkeys(_NO_DECIMALS + _FRANCS_CFA_AND_CFP, 0),
    **dict.fromkeys(_THREE_DECIMALS, 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


class CurrencyMismatch(Invalid):
    """Two amounts of different currencies were brought together."""

    slug = "currency-mismatch"
    title = "The currencies differ"


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount.

    Attributes
    ----------
    amount
        In minor units (pence, fen, yen); may be negative.
    currency
        ISO 4217 alphabetic code.
    """

    amount: int
    currency: str

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency}")

    def __str__(self) -> str:
        digits = minor_units(self.currency)
        sign = "-" if self.amount < 0 else ""
        whole, part = divmod(abs(self.amount), 10**digits)
        return f"{sign}{whole}.{part:0{digits}d} {self.currency}" if digits else f"{sign}{whole} {self.currency}"


def minor_units(currency: str) -> int:
    """Return how many decimal places ``currency`` has (2 for GBP and CNY, 0 for JPY)."""
    return _MINOR_UNITS.get(currency, 2)


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Share ``amount`` in proportion to ``weights`` without losing a unit.

    Parameters
    ----------
    amount
        Minor units, of any sign.
    weights
        Not negative. If all are zero the shares are as even as they can be.

    Returns
    -------
    list of int
        One share a weight; they sum to ``amount`` exactly (largest remainder method, earlier first).

    Raises
    ------
    ValueError
        There is nothing to share over, or a weight is negative.
    """
    if not weights or any(weight < 0 for weight in weights):
        raise ValueError("weights must be given and not negative")
    total = sum(weights)
    if total == 0:
        weights, total = [1] * len(weights), len(weights)
    sign = -1 if amount < 0 else 1
    shares = [abs(amount) * weight // total for weight in weights]
    remainders = [abs(amount) * weight % total for weight in weights]
    left = abs(amount) - sum(shares)
    for index in sorted(range(len(weights)), key=lambda i: (-remainders[i], i))[:left]:
        shares[index] += 1
    return [sign * share for share in shares]
