"""Identifiers: order numbers that a person can read out, and ids that sort by time.

An order has one id, its number: eleven characters of time and chance and one check character.
The alphabet has 30 characters (digits and letters without vowels and without L, which are misread or
make words), because ISO/IEC 7064 MOD 31,30 needs a prime above the alphabet's size: that system
finds every single wrong character and every swap of two neighbours but one in a thousand.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from commerce.errors import Malformed

ALPHABET = "0123456789BCDFGHJKMNPQRSTVWXYZ"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 22
_BODY = 11


class MistypedNumber(Malformed):
    """What was given cannot be an order number: its check character does not fit."""

    slug = "mistyped-order-number"
    title = "This is not an order number; one character or more is mistyped"


def mint_order_number(now: datetime, random_bits: int | None = None) -> str:
    """Return a new order number, compact: ``7K4Q9ZC2M8XD``.

    Parameters
    ----------
    now
        The moment of acceptance; numbers of later seconds sort after this one's until 2159.
    random_bits
        22 bits of chance; drawn from the system's source unless given. Two orders of one second that
        draw the same are told apart by the store's condition, and the second is minted again.
    """
    bits = secrets.randbits(_RANDOM_BITS) if random_bits is None else random_bits
    value = int((now - _EPOCH).total_seconds()) << _RANDOM_BITS | bits
    body = ""
    for _ in range(_BODY):
        value, digit = divmod(value, len(ALPHABET))
        body = ALPHABET[digit] + body
    return body + check_character(body, ALPHABET)


def read_order_number(text: str) -> str:
    """Return the compact form of an order number as a person wrote it.

    Raises
    ------
    MistypedNumber
        A character is not of the alphabet, the length is wrong, or the check character does not fit.
    """
    compact = text.strip().replace("-", "").replace(" ", "").upper()
    if (
        len(compact) == _BODY + 1
        and set(compact) <= set(ALPHABET)
        and compact[-1] == check_character(compact[:-1], ALPHABET)
    ):
        return compact
    raise MistypedNumber


def show_order_number(compact: str) -> str:
    """Return the grouped form for people: ``7K4Q-9ZC2-M8XD``."""
    return "-".join(compact[at : at + 4] for at in range(0, len(compact), 4))


def new_id(prefix: str) -> str:
    """Return an id that sorts by time: ``prefix`` and an RFC 9562 UUID version 7 in hexadecimal."""
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return f"{prefix}_{value:032x}"


def check_character(body: str, alphabet: str) -> str:
    """Return the check character of ``body`` by ISO/IEC 7064, a hybrid system: MOD n+1,n for n characters.

    Written here because the library for it is under the LGPL (`docs/decisions/2026-11-25-supply.md`).

    Raises
    ------
    ValueError
        A character is not of the alphabet.
    """
    size = len(alphabet)
    product = size
    for character in body:
        product = 2 * ((product + alphabet.index(character)) % size or size) % (size + 1)
    return alphabet[(1 - product) % size]
