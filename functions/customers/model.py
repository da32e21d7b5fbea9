"""What a customer's profile is, and which of it is personal.

Knows no AWS, no clock and no environment.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from functools import cache

from commerce.errors import NotFound

# RFC 5646: language, script and region; extensions and private use say nothing about texts.
LOCALE = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$"

# ITU-T E.164: a plus sign and up to fifteen digits, none of them a leading zero.
PHONE = r"^\+[1-9][0-9]{6,14}$"


class NoProfile(NotFound):
    """The customer has not said who he is yet, or was erased."""

    slug = "no-profile"
    title = "There is no profile yet; put one first"


@dataclass(frozen=True)
class ContactCard:
    """What is personal: it exists only as ciphertext under the customer's own key."""

    name: str
    email: str
    phone: str | None


@dataclass(frozen=True)
class Settings:
    """What is not personal.

    Attributes
    ----------
    locale
        BCP 47 language tag.
    time_zone
        Name of the IANA time zone database.
    """

    locale: str
    time_zone: str


@dataclass(frozen=True)
class Profile:
    """A customer."""

    card: ContactCard
    settings: Settings
    created_at: str
    updated_at: str


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones; found once a process, for it looks through many files."""
    return frozenset(zoneinfo.available_timezones())
