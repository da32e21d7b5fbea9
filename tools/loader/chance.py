"""Seeded choices: the same for the same names, whatever else is chosen.

A hash of names instead of a stream of random numbers, so that one more order changes nothing about the
others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SEED = "online-retail-1"


def number(below: int, *names: str) -> int:
    """Return a whole number from 0 to ``below`` - 1."""
    digest = hashlib.sha256("\x00".join((SEED, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def fraction(*names: str) -> float:
    """Return a number from 0 up to, not including, 1; for orders and shares, never for money."""
    return number(2**53, *names) / 2**53


def pick(options: Sequence[T], *names: str) -> T:
    """Return one of ``options``."""
    return options[number(len(options), *names)]
