"""Metrics from the logs of functions, as CloudWatch Logs takes them on AWS: the embedded metric format.

Source: "Specification: Embedded metric format" in the user guide of Amazon CloudWatch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Record = Callable[[str, str, float, str, dict[str, str]], None]
"""Namespace, metric, value, unit, dimensions."""


def publish_embedded(log: str, record: Record) -> None:
    """Hand every metric that the lines of ``log`` embed to ``record``, once for each of its sets of dimensions."""
    for line in log.splitlines():
        if '"_aws"' in line:
            for one in _embedded(line):
                record(*one)


def _embedded(line: str) -> Iterator[tuple[str, str, float, str, dict[str, str]]]:
    try:
        told: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return  # a line that only mentions it
    for directive in told["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: str(told[name]) for name in names}
            for metric in directive["Metrics"]:
                value = told[metric["Name"]]
                for each in value if isinstance(value, list) else [value]:
                    yield directive["Namespace"], metric["Name"], float(each), metric.get("Unit", "None"), dimensions
