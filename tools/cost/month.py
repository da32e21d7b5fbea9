"""What a month costs at a given size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.cost.figures import Figures, dollars
from tools.run.prices import AT_THE_EDGE, GB, MONTHLY, STORAGE

SIZES = (1_000, 100_000, 10_000_000)
"""Orders a day."""

DAYS = 30
DAY = 24 * 60 * 60
PEAK = 3
"""How much busier the busiest hour is than the day; a shop's own figure belongs here."""

TRACED_A_SECOND, TRACED_SHARE = 1, 0.05
"""X-Ray's default rule: https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html."""

LOG_MONTHS = 3
"""How long prod keeps its logs."""


@dataclass(frozen=True)
class Month:
    """Dollars of thirty days.

    Attributes
    ----------
    orders
        All that grows with orders but mail and storage, by service.
    standing
        All that does not grow with orders.
    storage
        Of what one month leaves, at its end: tables and their backup, and the logs that are kept.
    """

    orders_a_day: int
    orders: Mapping[str, float]
    mail: float
    standing: float
    storage: float

    @property
    def total(self) -> float:
        return sum(self.orders.values()) + self.mail + self.standing + self.storage


def month(figures: Figures, orders_a_day: int) -> Month:
    """Return what a month of so many orders a day costs, free tiers and volume discounts left out."""
    orders = orders_a_day * DAYS
    taken = {name: amount * orders for name, amount in figures.order.items()}
    taken["traces"] = _traced(taken["traces"])
    services = dollars(taken)
    mail = services.pop("SES")
    at_the_edge = sum(price for name, price in AT_THE_EDGE.items() if figures.deployed.get(name))
    services["CloudFront and WAF"] = taken["api_requests"] * at_the_edge
    stored = sum(figures.stored.values()) * orders / GB
    logs = taken["log_bytes"] / GB * LOG_MONTHS
    storage = stored * (STORAGE["tables"] + STORAGE["point_in_time_recovery"]) + logs * STORAGE["logs"]
    return Month(orders_a_day, services, mail, sum(standing(figures).values()), storage)


def standing(figures: Figures) -> dict[str, float]:
    """Return what a month costs in which nobody orders."""
    found = {name: MONTHLY[name] * number for name, number in figures.deployed.items() if name in MONTHLY}
    sweeps = figures.deployed.get("sweeps_a_minute", 0) * DAYS * DAY / 60
    found["sweeps"] = sum(dollars({name: amount * sweeps for name, amount in figures.sweep.items()}).values())
    return found


def _traced(executions: float) -> float:
    """Return how many of a month's executions X-Ray records, if they are spread evenly."""
    always = min(executions, TRACED_A_SECOND * DAYS * DAY)
    return always + TRACED_SHARE * (executions - always)


def rate(orders_a_day: int) -> float:
    """Return orders a second in the busiest hour."""
    return orders_a_day / DAY * PEAK
