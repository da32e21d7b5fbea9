"""Makes ``data/addresses/cn.csv``: streets in the capitals of China's provinces, with a postal code.

    python -m tools.sample.chinese_places pca-code.json.gz streets.csv.gz all.json.gz data/addresses/cn.csv

From the administrative divisions (province, city, district, street by code) and, for the postal codes,
the international address metadata. The code is the city's main one, in the municipalities the district's.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DISTRICTS = 3
STREETS = 2


def places(
    provinces: list[dict[str, Any]], streets: Mapping[str, list[str]], metadata: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield region, city, district, street and postal code."""
    for province in provinces:
        capital = province["children"][0]
        municipality = capital["name"] == "市辖区"
        city = province["name"] if municipality else capital["name"]
        entry = metadata[f"CN/{province['name']}"]
        codes = dict(zip(entry["sub_keys"].split("~"), entry["sub_zipexs"].split("~"), strict=True))
        known = [
            part
            for part in capital["children"]
            if streets[part["code"]] and (part["name"] in codes or not municipality)
        ]
        for district in known[:DISTRICTS]:
            for street in streets[district["code"]][:STREETS]:
                yield (
                    province["name"],
                    city,
                    district["name"],
                    street,
                    codes[district["name"] if municipality else city],
                )


def main(provinces: str, streets: str, metadata: str, target: str) -> None:
    by_district = defaultdict(list)
    for row in csv.DictReader(io.StringIO(gzip.decompress(Path(streets).read_bytes()).decode())):
        if row["name"].endswith("街道"):
            by_district[row["areaCode"]].append(row["name"])
    found = places(
        json.loads(gzip.decompress(Path(provinces).read_bytes())),
        by_district,
        json.loads(gzip.decompress(Path(metadata).read_bytes())),
    )
    with Path(target).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("region", "city", "district", "street", "postal_code"))
        writer.writerows(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
