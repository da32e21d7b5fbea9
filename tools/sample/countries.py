"""Makes ``data/places/countries.csv`` and ``data/places/warehouses.json``.

    python -m tools.sample.countries zone.tab iso3166.tab data/places

``zone.tab`` and ``iso3166.tab`` are the time zone database's tables (public domain): the principal place of
each zone with its coordinates, and the names of countries. A country stands at the principal place of its
main time zone, and its warehouses are ordered by the great-circle distance from there.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

MAIN_ZONE = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "FM": "Pacific/Pohnpei",
    "KZ": "Asia/Almaty",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UZ": "Asia/Tashkent",
}
"""Where the table's first zone of a country is not the one that most of it lives by."""

NOT_IN_TABLE = {
    "AC": ("Ascension Island", -7.93, -14.41, "Atlantic/St_Helena"),
    "BV": ("Bouvet Island", -54.42, 3.36, "Europe/Oslo"),
    "HM": ("Heard Island & McDonald Islands", -53.1, 73.51, "Indian/Kerguelen"),
    "TA": ("Tristan da Cunha", -37.07, -12.32, "Atlantic/St_Helena"),
    "XK": ("Kosovo", 42.66, 21.17, "Europe/Belgrade"),
}
"""Countries that have address rules and no row in the table: reserved codes, and islands without a clock."""

EARTH_RADIUS_KM = 6371


@dataclass(frozen=True)
class Warehouse:
    """One of the platform's warehouses; degrees, north and east positive."""

    id: str
    country: str
    name: str
    latitude: float
    longitude: float


WAREHOUSES = (
    Warehouse("GB-DAV", "GB", "Daventry", 52.26, -1.16),
    Warehouse("DE-DUI", "DE", "Duisburg", 51.43, 6.76),
    Warehouse("CN-YIW", "CN", "Yiwu", 29.31, 120.07),
)


@dataclass(frozen=True)
class Country:
    """A country's principal place, in degrees, and its main time zone."""

    code: str
    name: str
    latitude: float
    longitude: float
    time_zone: str


def countries(zones: str, names: str) -> list[Country]:
    """Return all countries by code, from the texts of the two tables."""
    named = dict(line.split("\t")[:2] for line in _rows(names))
    found = {code: Country(code, *rest) for code, rest in NOT_IN_TABLE.items()}
    for line in _rows(zones):
        code, place, zone = line.split("\t")[:3]
        if code not in found or zone == MAIN_ZONE.get(code):
            found[code] = Country(code, named[code], *_degrees(place), zone)
    return [found[code] for code in sorted(found)]


def _rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if line and not line.startswith("#")]


def _degrees(place: str) -> tuple[float, float]:
    """Return latitude and longitude of ISO 6709 text: ``+513030-0000731``, degrees, minutes, seconds."""
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})(\d{2})?([+-])(\d{3})(\d{2})(\d{2})?", place)
    if match is None:
        raise ValueError(f"{place!r} is not ISO 6709")
    north, *latitude, east, degrees, minutes, seconds = match.groups()
    return _decimal(north, *latitude), _decimal(east, degrees, minutes, seconds)


def _decimal(sign: str, degrees: str, minutes: str, seconds: str | None) -> float:
    return round((int(degrees) + int(minutes) / 60 + int(seconds or 0) / 3600) * (-1 if sign == "-" else 1), 2)


def distance_km(a: Country | Warehouse, b: Country | Warehouse) -> float:
    """Return the great-circle distance (haversine formula)."""
    north_a, north_b = math.radians(a.latitude), math.radians(b.latitude)
    east = math.radians(b.longitude - a.longitude)
    chord = math.sin((north_b - north_a) / 2) ** 2 + math.cos(north_a) * math.cos(north_b) * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(chord))


def nearest_first(country: Country) -> list[str]:
    """Return the ids of all warehouses, the nearest first."""
    return [warehouse.id for warehouse in sorted(WAREHOUSES, key=lambda w: distance_km(country, w))]


def main(zone_tab: str, iso_tab: str, target: str) -> None:
    found = countries(Path(zone_tab).read_text(encoding="utf-8"), Path(iso_tab).read_text(encoding="utf-8"))
    folder = Path(target)
    with (folder / "countries.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(found[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, found))
    nearest = ",\n".join(f'    "{country.code}": {json.dumps(nearest_first(country))}' for country in found)
    warehouses = ",\n".join(f"    {json.dumps(asdict(warehouse))}" for warehouse in WAREHOUSES)
    text = f'{{\n  "warehouses": [\n{warehouses}\n  ],\n  "nearest": {{\n{nearest}\n  }}\n}}\n'
    (folder / "warehouses.json").write_text(text, encoding="utf-8")
    print(f"{len(found)} countries")


if __name__ == "__main__":
    main(*sys.argv[1:])
