"""Addresses: what a country's post asks of one, for all countries.

The rules (``address_rules/rules.jsonl``, 250 countries) say which fields are required, what a postal
code looks like, how regions are spelled and which postal codes lie in them. A country's rule is read
from its line of that file when an address of the country is first checked, never at import.

Text is stored as the customer wrote it, trimmed and with single spaces; the country and the postal
code in capitals.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from commerce.errors import FieldError

LONGEST = {"country": 8, "postal_code": 16, "lines": 120, "city": 80, "district": 80, "region": 80}
"""Characters of a field at most, as sent; looked at first, so that no pattern ever sees a longer text."""

MOST_LINES = 5

# Letters of the rules' `require`; N (name) and O (organisation) stand in no country's and are not of an address.
_FIELDS = {"A": "lines", "D": "district", "C": "city", "S": "region", "Z": "postal_code"}

# Joiners and direction marks are part of writing Persian, Hindi or Hebrew; other invisible characters are not.
_INVISIBLE_BUT_WRITTEN = frozenset("\u200c\u200d\u200e\u200f")
_NEVER_WRITTEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parcel goes, in the fields of the international address metadata.

    Attributes
    ----------
    country
        ISO 3166-1 alpha-2, and the reserved AC, TA and XK.
    lines
        Street, house, flat: at least one line in every country.
    city, district, region
        Post town or city, the quarter inside it, the state, province or prefecture; empty where not given.
    postal_code
        In capitals; empty where not given.
    """

    country: str = ""
    lines: tuple[str, ...] = ()
    district: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lines": list(self.lines)}


class Region(NamedTuple):
    """A country's subdivision (a tuple: making a data class costs the order intake's cold start more).

    Attributes
    ----------
    names
        Every accepted spelling, the rules' own key first.
    zip
        What a postal code in it begins with; empty if not known.
    xzip, xrequire
        Stand in place of the country's pattern and required fields, where a region has its own.
    examples
        Postal codes in it.
    """

    names: tuple[str, ...]
    zip: str = ""
    xzip: str = ""
    xrequire: str = ""
    examples: tuple[str, ...] = ()


class CountryRule(NamedTuple):
    """What one country asks of an address.

    Attributes
    ----------
    require
        Letters of the required fields: A lines, C city, D district, S region, Z postal code.
    zip
        Regular expression of a whole postal code; empty in countries without postal codes.
    examples
        Postal codes that fit, at most four.
    regions
        Empty where the rules do not list them.
    """

    require: str
    zip: str = ""
    examples: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()

    def region(self, name: str) -> Region | None:
        """Return the region that ``name`` is a spelling of, whatever its case and accents."""
        folded = fold(name)
        return next((region for region in self.regions if folded in map(fold, region.names)), None)


RuleFor = Callable[[str], CountryRule | None]


def fold(name: str) -> str:
    """Return ``name`` without what spellings of one name differ in: case, accents, width, spaces.

    The dotless i is the one small letter whose capital is another's.
    """
    plain = unicodedata.normalize("NFKD", name).casefold().replace("ı", "i")
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


@lru_cache(maxsize=64)
def rule_for(country: str) -> CountryRule | None:
    """Return the rule of ``country`` (two capitals), or None if there is no such country."""
    if not re.fullmatch("[A-Z]{2}", country):
        return None
    text = (Path(__file__).with_name("address_rules") / "rules.jsonl").read_text(encoding="utf-8")
    found = re.search(f"^{country}\t(.*)$", text, re.MULTILINE)
    if found is None:
        return None
    return _country_rule(json.loads(found[1]))


def check_address(given: Mapping[str, object], rules: RuleFor = rule_for) -> tuple[Address, list[FieldError]]:
    """Check an address against its country's rules.

    Parameters
    ----------
    given
        The fields of `Address` as a customer sent them; a missing field is the same as an empty one.
    rules
        Where a country's rule comes from.

    Returns
    -------
    tuple of Address and list of FieldError
        The address as it is to be stored, and what is wrong with it: it may only be stored if that is
        nothing. Fields are named from the order's root, ``address.postal_code``, ``address.lines.1``.
        Codes are ``type``, ``too-long``, ``characters``, ``required``, ``unknown`` (a country or region),
        ``pattern`` (a postal code that is none) and ``mismatch`` (one of another region).
    """
    errors: list[FieldError] = []
    address = Address(
        country=_code(given.get("country"), "country", errors),
        lines=_lines(given.get("lines"), errors),
        district=_text(given.get("district"), "district", "district", errors),
        city=_text(given.get("city"), "city", "city", errors),
        region=_text(given.get("region"), "region", "region", errors),
        postal_code=_code(given.get("postal_code"), "postal_code", errors),
    )
    refused = {error.field.split(".")[1] for error in errors}
    if "country" in refused:
        return address, errors
    rule = rules(address.country)
    if rule is None:
        code, message = ("unknown", "is no country") if address.country else ("required", "is required")
        return address, [*errors, _error("country", code, message)]
    errors += [error for error in _rule_errors(address, rule) if error.field.split(".")[1] not in refused]
    return address, errors


def _country_rule(data: Mapping[str, Any]) -> CountryRule:
    regions = (
        Region(
            names=tuple(region["names"]),
            zip=region.get("zip", ""),
            xzip=region.get("xzip", ""),
            xrequire=region.get("xrequire", ""),
            examples=tuple(region.get("examples", ())),
        )
        for region in data.get("regions", ())
    )
    return CountryRule(data["require"], data.get("zip", ""), tuple(data.get("examples", ())), tuple(regions))


def _rule_errors(address: Address, rule: CountryRule) -> list[FieldError]:
    errors: list[FieldError] = []
    region = rule.region(address.region) if address.region else None
    require = (region and region.xrequire) or rule.require
    for letter in require:
        field = _FIELDS[letter]
        if not getattr(address, field):
            errors.append(_error(field, "required", f"is required in {address.country}"))
    if address.region and rule.regions and region is None and "S" in rule.require:
        errors.append(_error("region", "unknown", f"is no region of {address.country}"))
    if address.postal_code:
        errors += _postal_code_errors(address, rule, region)
    return errors


def _postal_code_errors(address: Address, rule: CountryRule, region: Region | None) -> list[FieldError]:
    pattern = (region and region.xzip) or rule.zip
    if pattern and not re.fullmatch(pattern, address.postal_code, re.ASCII):
        like = f"; one is {rule.examples[0]}" if rule.examples and pattern == rule.zip else ""
        return [_error("postal_code", "pattern", f"is no postal code of {address.country}{like}")]
    if region and region.zip and not re.match(region.zip, address.postal_code, re.ASCII):
        return [_error("postal_code", "mismatch", f"is not in {region.names[0]}")]
    return []


def _lines(value: object, errors: list[FieldError]) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        errors.append(_error("lines", "type", "must be a list of texts"))
        return ()
    if len(value) > MOST_LINES:
        errors.append(_error("lines", "too-long", f"has more than {MOST_LINES} lines"))
        return ()
    lines = [_text(line, "lines", f"lines.{index}", errors) for index, line in enumerate(value)]
    return tuple(line for line in lines if line)


def _code(value: object, name: str, errors: list[FieldError]) -> str:
    """Return a country or postal code in capitals.

    Other scripts' look-alikes are refused before capitals are made: the capital of a dotless i is an I.
    """
    text = _text(value, name, name, errors)
    if not text.isascii():
        errors.append(_error(name, "characters", "may only hold the letters A to Z, digits, spaces and hyphens"))
        return ""
    return text.upper()


def _text(value: object, name: str, at: str, errors: list[FieldError]) -> str:
    """Return a text as it is stored; empty if it says nothing or was refused."""
    if value is None:
        return ""
    if not isinstance(value, str):
        errors.append(_error(at, "type", "must be a text"))
        return ""
    if len(value) > LONGEST[name]:
        errors.append(_error(at, "too-long", f"is longer than {LONGEST[name]} characters"))
        return ""
    text = value.strip()
    if any(unicodedata.category(char) in _NEVER_WRITTEN and char not in _INVISIBLE_BUT_WRITTEN for char in text):
        errors.append(_error(at, "characters", "holds characters that are never written"))
        return ""
    if not any(char.isalnum() for char in text):
        return ""
    return " ".join(text.split())


def _error(at: str, code: str, message: str) -> FieldError:
    field = f"address.{at}"
    return FieldError(field, code, f"{field} {message}.")
