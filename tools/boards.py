"""The dashboards of a local cloud as one page: there is no console to look at them in.

``python -m tools.boards`` writes ``build/boards.html`` with every dashboard, laid out as CloudWatch lays it out, with
what the local cloud has of its metrics: the platform's own figures and few of AWS's.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from tools.client import Deployment

COLUMN, ROW = 54, 44
"""Pixels of a column and a row of CloudWatch's grid."""

SPAN = timedelta(hours=1)

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")

_HOURS = re.compile(r"(\w+) / (\d+)")

_PAGE = """<!doctype html><meta charset="utf-8"><title>Dashboards</title><style>
body{font:12px sans-serif;background:#f2f3f3;margin:16px;width:1320px}
.board{position:relative;margin-bottom:32px}
.widget{position:absolute;background:#fff;border:1px solid #d5dbdb;box-sizing:border-box;padding:6px;overflow:hidden}
.widget h3{font-size:12px;margin:0 0 4px}.number b{display:block;font-size:19px}
.number{display:inline-block;margin:2px 14px 2px 0}
.alarm{display:inline-block;background:#eafaf1;border:1px solid #d5dbdb;margin:1px;padding:1px 4px;font-size:10px}
.alarm.ALARM{background:#fbb}.legend span{margin-right:8px;font-size:10px}small{color:#687078}
</style>"""


@dataclass(frozen=True)
class Series:
    """One line of a widget: its label, and its values by minute, the oldest first."""

    label: str
    points: Sequence[tuple[datetime, float]]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.boards", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".localcloud"), help="folder of the local cloud")
    parser.add_argument("--out", type=Path, default=Path("build/boards.html"))
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page(Deployment.at(given.home).client("cloudwatch")), encoding="utf-8")
    print(given.out)


def page(watch: Any) -> str:
    """Return the page of every dashboard that ``watch`` (a CloudWatch client) knows."""
    names = [one["DashboardName"] for one in watch.list_dashboards()["DashboardEntries"]]
    return _PAGE + "".join(_board(watch, name) for name in names)


def _board(watch: Any, name: str) -> str:
    widgets = json.loads(watch.get_dashboard(DashboardName=name)["DashboardBody"])["widgets"]
    height = max(widget["y"] + widget["height"] for widget in widgets) * ROW
    drawn = "".join(_widget(watch, widget) for widget in widgets)
    return f'<h2>{escape(name)}</h2><div class="board" style="height:{height}px">{drawn}</div>'


def _widget(watch: Any, widget: Mapping[str, Any]) -> str:
    properties, place = widget["properties"], (widget["x"] * COLUMN, widget["y"] * ROW)
    width, height = widget["width"] * COLUMN - 4, widget["height"] * ROW - 4
    if widget["type"] == "text":
        inside = f"<pre>{escape(properties['markdown'])}</pre>"
    elif widget["type"] == "alarm":
        inside = f"<h3>{escape(properties['title'])}</h3>" + _alarms(watch, properties["alarms"])
    else:
        series = list(_series(watch, properties))
        numbers = properties.get("view") == "singleValue"
        body = _numbers(series, properties) if numbers else _chart(series, width - 14, height - 60, properties)
        inside = f"<h3>{escape(properties['title'])}</h3>{body}"
    style = f"left:{place[0]}px;top:{place[1]}px;width:{width}px;height:{height}px"
    return f'<div class="widget" style="{style}">{inside}</div>'


def _series(watch: Any, properties: Mapping[str, Any]) -> Iterator[Series]:
    known: dict[str, Series] = {}
    expressions: list[Mapping[str, Any]] = []
    for *names, options in (row if isinstance(row[-1], dict) else [*row, {}] for row in properties["metrics"]):
        if not names:
            expressions.append(options)
            continue
        namespace, metric, *pairs = names
        series = _asked(watch, namespace, metric, dict(zip(pairs[::2], pairs[1::2], strict=True)), options)
        known[options.get("id", "")] = series
        if options.get("visible", True):
            yield series
    for options in expressions:
        divided = _HOURS.fullmatch(options["expression"])
        if divided:
            series, by = known[divided[1]], int(divided[2])
            yield Series(options["label"], [(at, value / by) for at, value in series.points])


def _asked(
    watch: Any, namespace: str, metric: str, dimensions: Mapping[str, str], options: Mapping[str, Any]
) -> Series:
    now = datetime.now(UTC)
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        },
        "Period": 60,
        "Stat": options.get("stat", "Average"),
    }
    answer = watch.get_metric_data(
        MetricDataQueries=[{"Id": "asked", "MetricStat": stat}], StartTime=now - SPAN, EndTime=now
    )["MetricDataResults"][0]
    points = sorted(zip(answer["Timestamps"], answer["Values"], strict=True))
    label = options.get("label") or f"{next(iter(dimensions.values()), namespace)} {metric}"
    return Series(label.rpartition(":")[2], points)


def _numbers(series: Sequence[Series], properties: Mapping[str, Any]) -> str:
    added_up = properties.get("setPeriodToTimeRange", False)

    def number(one: Series) -> str:
        values = [value for _, value in one.points]
        if not values:
            return "–"
        told = sum(values) if added_up else values[-1]
        return f"{told:,.2f}".rstrip("0").rstrip(".")

    return "".join(f'<div class="number"><b>{number(one)}</b>{escape(one.label)}</div>' for one in series)


def _chart(series: Sequence[Series], width: int, height: int, properties: Mapping[str, Any]) -> str:
    filled = [(at, one) for at, one in enumerate(series) if one.points]
    unit = properties.get("yAxis", {}).get("left", {}).get("label", "")
    if not filled:
        return f"<small>no data ({len(series)} metrics, {escape(unit)})</small>"
    end = datetime.now(UTC)
    top = max(value for _, one in filled for _, value in one.points) or 1.0

    def x(at: datetime) -> float:
        return width * (1 - (end - at) / SPAN)

    lines = "".join(
        f'<polyline fill="none" stroke="{_COLOURS[at % len(_COLOURS)]}" points="'
        + " ".join(f"{x(when):.1f},{height - height * value / top:.1f}" for when, value in one.points)
        + '"/>'
        for at, one in filled
    )
    legend = "".join(
        f'<span style="color:{_COLOURS[at % len(_COLOURS)]}">{escape(one.label)}</span>' for at, one in filled
    )
    return (
        f'<small>{top:,.4g} {escape(unit)}</small><svg width="{width}" height="{height}" '
        f'style="display:block;border-bottom:1px solid #ccc">{lines}</svg><div class="legend">{legend}</div>'
    )


def _alarms(watch: Any, arns: Sequence[str]) -> str:
    names = [arn.rpartition(":")[2] for arn in arns]
    found: dict[str, str] = {}
    for at in range(0, len(names), 50):
        answer = watch.describe_alarms(AlarmNames=names[at : at + 50])
        found |= {one["AlarmName"]: one["StateValue"] for one in answer["MetricAlarms"]}
    short = names[0].split("-")[1] if names else ""
    return "".join(
        f'<span class="alarm {found.get(name, "")}">{escape(name.removeprefix(f"commerce-{short}-"))}</span>'
        for name in names
    )


if __name__ == "__main__":
    main()
