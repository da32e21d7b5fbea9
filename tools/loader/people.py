"""Buyers: the source has only a number and a country, so that names and addresses are seeded.

None of them is a person's: names are drawn from short lists, e-mail addresses are at example.com, telephone
numbers come from the range that Ofcom keeps free for drama, and postal codes are made from patterns.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tools.loader.chance import number, pick
from tools.loader.countries import SOURCE_COUNTRIES
from tools.loader.retail import Invoice

CHINESE = 12
"""One home customer in so many is taken for a Chinese one, who lives in China and pays in CNY.

The source has none; the platform's Chinese side would go unused.
"""

_LETTERS = "ABEGHJLNPRTWXYZ"  # stand in the postal codes of every country that has letters in them


@dataclass(frozen=True, slots=True)
class Contact:
    """How a buyer is reached."""

    name: str
    email: str
    phone: str

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "email": self.email, "phone": self.phone}


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer, or the guest of one invoice.

    Attributes
    ----------
    id
        The source's CustomerID, or ``guest-`` and the invoice's number.
    language
        ``en`` or ``zh``; mail and inbox are written in it.
    locale, time_zone
        BCP 47 tag and IANA zone.
    currency
        ``GBP`` or ``CNY``.
    address
        As `commerce.address.check_address` takes it.
    """

    id: str
    is_guest: bool
    contact: Contact
    language: str
    locale: str
    time_zone: str
    country: str
    currency: str
    address: Mapping[str, Any]


class People:
    """Makes the buyer of any invoice from the seeded lists of ``data``."""

    def __init__(self, data: Path) -> None:
        self._names = json.loads((data / "people" / "names.json").read_text(encoding="utf-8"))
        self._places = json.loads((data / "addresses" / "places.json").read_text(encoding="utf-8"))
        self._chinese = _read_csv(data / "addresses" / "cn.csv")
        self._zones = {row["code"]: row["time_zone"] for row in _read_csv(data / "places" / "countries.csv")}
        self.buyer = lru_cache(maxsize=None)(self._buyer)

    def of(self, invoice: Invoice) -> Buyer:
        """Return who placed ``invoice``: always the same for a customer."""
        country = SOURCE_COUNTRIES[invoice.country]
        return self.buyer(invoice.customer or f"guest-{invoice.number}", country, is_guest=not invoice.customer)

    def _buyer(self, buyer_id: str, country: str, *, is_guest: bool) -> Buyer:
        chinese = not is_guest and country == "GB" and number(CHINESE, "chinese", buyer_id) == 0
        if chinese:
            country = "CN"
        language = "zh" if chinese else "en"
        return Buyer(
            id=buyer_id,
            is_guest=is_guest,
            contact=self._contact(buyer_id, language),
            language=language,
            locale="zh-CN" if chinese else "en-GB",
            time_zone=self._zones[country],
            country=country,
            currency="CNY" if chinese else "GBP",
            address=self._chinese_address(buyer_id) if chinese else self._address(buyer_id, country),
        )

    def _contact(self, buyer_id: str, language: str) -> Contact:
        given, family = (pick(self._names[language][part], part, buyer_id) for part in ("given", "family"))
        name = f"{family}{given}" if language == "zh" else f"{given} {family}"
        phone = f"+447700900{number(1000, 'phone', buyer_id):03d}"
        return Contact(name, f"{buyer_id}@example.com", phone)

    def _address(self, buyer_id: str, country: str) -> dict[str, Any]:
        known = self._places[country]
        city, region, code = pick(known["places"], "place", buyer_id)
        street = pick(known["streets"], "street", buyer_id).format(n=1 + number(99, "house", buyer_id))
        filled = "".join(
            str(number(10, "digit", str(at), buyer_id))
            if char == "#"
            else pick(_LETTERS, "letter", str(at), buyer_id)
            if char == "@"
            else char
            for at, char in enumerate(code)
        )
        return _address([street], city=city, region=region, postal_code=filled, country=country)

    def _chinese_address(self, buyer_id: str) -> dict[str, Any]:
        place = pick(self._chinese, "place", buyer_id)
        line = f"{place['street']}{1 + number(199, 'house', buyer_id)}号"
        names = ("district", "city", "region", "postal_code")
        return _address([line], country="CN", **{name: place[name] for name in names})


def _address(lines: list[str], **fields: str) -> dict[str, Any]:
    return {"lines": lines} | {name: value for name, value in fields.items() if value}


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
