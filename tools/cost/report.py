"""The tables in the documents: written from the budget, and kept between marks that a test compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tools.cost.figures import Figures, Units, dollars, table
from tools.cost.month import PEAK, SIZES, TRACED_SHARE, Month, month, rate, standing
from tools.cost.quotas import OPEN_HOURS, QUOTAS
from tools.run.prices import PRICES, PROVISIONED

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/operations/scale.md")

HALF_USED = 0.5
"""Of provisioned capacity, on average over a day."""

_MARKED = re.compile(r"(<!-- cost: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write(figures: Figures, root: Path = ROOT) -> None:
    """Write the tables of all documents anew."""
    for name in DOCUMENTS:
        file = root / name
        file.write_text(renewed(file.read_text(encoding="utf-8"), figures), encoding="utf-8")


def renewed(text: str, figures: Figures) -> str:
    """Return a document with its tables as ``figures`` are.

    Raises
    ------
    KeyError
        It has a mark that no table belongs to.
    """
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]](figures)}\n{found[3]}", text)


def months(figures: Figures) -> list[Month]:
    """Return the months of all sizes."""
    return [month(figures, size) for size in SIZES]


def _stages(figures: Figures) -> str:
    costs = table(figures)
    rows = []
    for service in PRICES:
        row = [one[service] for one in costs.values()]
        if any(row):
            rows.append([service, *(_dollars(one) for one in row), _dollars(sum(row))])
    totals = [sum(one.values()) for one in costs.values()]
    rows.append(["in all", *(_dollars(one) for one in totals), f"**{sum(totals):.4f}**"])
    without = sum(totals) - sum(one["SES"] for one in costs.values())
    rows.append(["without mail", *([""] * len(costs)), f"**{without:.4f}**"])
    return _table(["US dollars", *costs, "in all"], rows)


def _units(figures: Figures) -> str:
    names = {
        "state_transitions": "state transitions (standard; starts and retries counted)",
        "express_starts": "Express executions",
        "write_units": "DynamoDB write units",
        "read_units": "DynamoDB read units",
        "lambda_invocations": "Lambda invocations",
        "api_requests": "API requests",
        "events": "events put on a bus",
        "queue_requests": "SQS requests",
        "kms_requests": "KMS requests",
        "mails": "mails",
        "log_bytes": "bytes logged",
        "bytes_out": "bytes out to the internet",
    }
    rows = []
    for unit, name in names.items():
        row = [units.get(unit, 0) for units in figures.stages.values()]
        rows.append([name, *(_number(one) for one in row), _number(sum(row))])
    return _table(["one order takes", *figures.stages, "in all"], rows)


def _scans(figures: Figures) -> str:
    on_the_way, all_of_them = (dollars(units) for units in (figures.scan, figures.parcel))
    rows = [
        [service, f"{on_the_way[service] * 1e6:.2f}", f"{all_of_them[service] * 1e6:.2f}"]
        for service in PRICES
        if on_the_way[service] or all_of_them[service]
    ]
    rows.append(["in all", f"**{sum(on_the_way.values()) * 1e6:.2f}**", f"**{sum(all_of_them.values()) * 1e6:.2f}**"])
    return _table(["US dollars", "a million scans on the way", "a million scans of whole ways"], rows)


def _months(figures: Figures) -> str:
    of = months(figures)
    rows = [
        [service, *(_money(one.orders[service]) for one in of)]
        for service in of[0].orders
        if any(one.orders[service] for one in of)
    ]
    rows += [
        ["mail (SES)", *(_money(one.mail) for one in of)],
        ["standing", *(_money(one.standing) for one in of)],
        ["kept: tables, backup, logs", *(_money(one.storage) for one in of)],
        ["in all", *(f"**{_money(one.total)}**" for one in of)],
        [
            "of 1,000 orders, without mail",
            *(f"{(one.total - one.mail) / (one.orders_a_day * 30) * 1000:.2f}" for one in of),
        ],
    ]
    return _table(["US dollars a month at", *(f"{size:,} a day" for size in SIZES)], rows)


def _standing(figures: Figures) -> str:
    costs = standing(figures)
    rows = [
        [
            name.replace("_", " "),
            f"{figures.deployed.get(name, figures.deployed.get('sweeps_a_minute', 0)):,}",
            f"{one:.2f}",
        ]
        for name, one in costs.items()
    ]
    return _table(
        ["the stage prod has", "of them", "US dollars a month"], [*rows, ["in all", "", f"{sum(costs.values()):.2f}"]]
    )


def _kept(figures: Figures) -> str:
    rows = [[name, f"{size:,.0f}"] for name, size in figures.stored.items()]
    rows.append(["in all", f"{sum(figures.stored.values()):,.0f}"])
    return _table(["table", "bytes that an order leaves"], rows)


def _limits(figures: Figures) -> str:
    ordered = sorted(QUOTAS, key=lambda one: -one.used(figures, rate(SIZES[-1])) / one.most)
    rows = [
        [
            f"[{one.name}]({one.source})",
            f"{one.most:,}{one.unit}",
            *(_share(one.used(figures, rate(size)) / one.most) for size in SIZES),
            one.then,
        ]
        for one in ordered
    ]
    return _table(["quota", "default", *(f"{size:,} a day" for size in SIZES), "what to do then"], rows)


def _cheaper(figures: Figures) -> str:
    now = sum(one for name, one in dollars(figures.order).items() if name != "SES") * 1000
    step = PRICES["Step Functions"]["state_transitions"] * 1000
    order = figures.order
    polls = order["queue_requests"] * 2 / 3 * 0.9 * PRICES["SQS"]["queue_requests"] * 1000
    steady = 1 - PROVISIONED / HALF_USED / PRICES["DynamoDB"]["write_units"]
    tables = (order["write_units"] * PRICES["DynamoDB"]["write_units"]) * steady * 1000
    steps = (
        ("`AwaitDispatch` a fact with a due time instead of a state", step),
        ("`Screen` done by `orders-start`, which hands the reservation's request to the execution", step),
        ("queues worked off in full batches of ten, as they are under load (receives and deletes)", polls),
        ("of executions, one in twenty traced: so it is from 100,000 orders a day on", _untraced(order)),
        ("tables of provisioned capacity that is half used, for a steady load (writes alone)", tables),
    )
    rows, left = [["today", "", f"{now:.4f}"]], now
    for name, saved in steps:
        left -= saved
        rows.append([name, f"{saved:.4f}", f"{left:.4f}"])
    return _table(["step", "saves", "leaves of 1,000 orders, without mail"], rows)


def _untraced(order: Units) -> float:
    return order["traces"] * (1 - TRACED_SHARE) * PRICES["X-Ray"]["traces"] * 1000


def _readme(figures: Figures) -> str:
    by_service = {name: one * 1000 for name, one in dollars(figures.order).items()}
    mail = by_service.pop("SES")
    rows = [[name, f"{one:.3f}"] for name, one in sorted(by_service.items(), key=lambda one: -one[1]) if one >= 0.0005]
    rows += [
        ["without mail", f"**{sum(by_service.values()):.3f}**"],
        ["mail (SES), five an order", f"{mail:.3f}"],
    ]
    return _table(["1,000 orders", "US dollars"], rows)


TABLES: Mapping[str, Callable[[Figures], str]] = {
    "stages": _stages,
    "units": _units,
    "scans": _scans,
    "months": _months,
    "standing": _standing,
    "kept": _kept,
    "limits": _limits,
    "cheaper": _cheaper,
    "readme": _readme,
    "assumptions": lambda figures: (
        f"Orders of {figures.lines:.1f} lines on average; the busiest hour {PEAK} times the day's average; an "
        f"execution open for {OPEN_HOURS} hours."
    ),
}
"""Mark -> its table."""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _dollars(amount: float) -> str:
    return f"{amount:.4f}" if amount else ""


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.2f}"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.1f}".removesuffix(".0")


def _share(share: float) -> str:
    if share >= 1:
        return f"**{share:,.1f} times**"
    return f"{share:.0%}" if share >= 0.01 else "<1%"
