"""Plays happy orders one by one, each alone, and counts what each takes.

No part polls here: the journal says when the platform has come to rest, and only then somebody does the next thing
that he must do. What is counted is everything between the first order's acceptance and the rest after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tools.client import Carrier, CarrierScan, PlacedOrder, Provider, place
from tools.loader import Order, Sample
from tools.loader.stock import StockLevel
from tools.run import plan
from tools.run.journal import Journal, Reading, read
from tools.run.load import Cast, receive
from tools.run.play import pack_and_dispatch

ORDERS = 8
TRANSITIONS = 5
INVOCATIONS = 40
WRITES, WRITES_A_LINE = 45, 5
"""The budget of one order with one parcel and six scans: at most so many of each."""

SHIPPED = ("orders-inbox", "inventory-inbox", "payments-inbox", "notifications-inbox")
"""Who is told that a parcel has left."""

TOLD = dict.fromkeys(("out_for_delivery", "delivered"), ("orders-inbox", "notifications-inbox"))
"""Scan -> who is told of it, beside the parcel's record."""


@dataclass
class Steps:
    """The steps of one order, each played to its rest.

    Attributes
    ----------
    quiet
        Seconds without a line in the journal that are taken for rest.
    spans
        Name of a step -> where in the journal it begins and ends; a name may come again.
    """

    journal: Journal
    quiet: float
    spans: list[tuple[str, int, int]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, *ends: str) -> Iterator[None]:
        """Let something be done, wait for all that follows of it, and note where it stands in the journal.

        Parameters
        ----------
        ends
            Functions that what follows ends with.
        """
        start = self.journal.end
        yield
        self.journal.settle(start, self.quiet, ran=ends)
        self.spans.append((name, start, self.journal.end))


@dataclass(frozen=True)
class Alone:
    """What orders played alone took.

    Attributes
    ----------
    orders
        As they were placed.
    lines
        Of all of them together.
    readings
        One an order.
    spans
        The steps of each, see `Steps`.
    troubles
        What is not as it should be with any of them.
    """

    orders: list[PlacedOrder]
    lines: int
    readings: list[Reading]
    troubles: list[str]
    spans: list[list[tuple[str, int, int]]]

    def per_order(self) -> dict[str, float]:
        """Return the means of one order."""
        total = dict.fromkeys(self.readings[0].caused.amounts(), 0.0)
        for reading in self.readings:
            for name, amount in reading.caused.amounts().items():
                total[name] += amount
        of = len(self.readings)
        return {"lines": self.lines / of} | {name: amount / of for name, amount in total.items()}


def choose(sample: Sample, count: int = ORDERS) -> list[Order]:
    """Return ``count`` orders to play alone: of customers who sign in, of one merchant, of all sizes."""
    merchant_of = {one.sku: one.merchant_id for one in sample.products}
    fit = [
        order
        for order in sample.orders
        if order.is_accepted
        and not order.buyer.is_guest
        and len({merchant_of[line["sku"]] for line in order.body["lines"]}) == 1
    ]
    return [fit[at] for at in plan.alone([len(order.body["lines"]) for order in fit], count)]


def stock_for(sample: Sample, order: Order) -> list[StockLevel]:
    """Return stock that lets ``order`` be one parcel from its nearest warehouse."""
    warehouse = sample.warehouses[order.buyer.country][0]
    return [StockLevel(line["sku"], warehouse, line["quantity"]) for line in order.body["lines"]]


def play_alone(
    sample: Sample,
    cast: Cast,
    provider: Provider,
    carrier: Carrier,
    journal: Journal,
    memory: Mapping[str, int],
    say: Callable[[str], None],
    quiet: float = 0.5,
) -> Alone:
    """Play and count; needs a cloud on which nothing else happens.

    Raises
    ------
    TimeoutError
        The platform did not come to rest.
    tools.client.Refused
        It refused something that it must not.
    """
    orders = choose(sample)
    start = journal.end
    for order in orders:
        receive(stock_for(sample, order), cast)
    journal.settle(start)
    played, readings, spans = [], [], []
    for at, order in enumerate(orders, 1):
        say(f"alone {at} of {len(orders)}: {len(order.body['lines'])} lines")
        start, steps = journal.end, Steps(journal, quiet)
        played.append(_play(order, sample, cast, provider, carrier, steps))
        readings.append(read(journal.lines(start, journal.end), memory))
        spans.append(steps.spans)
    troubles = [trouble for one in played for trouble in _troubles(one)]
    return Alone(played, sum(len(order.body["lines"]) for order in orders), readings, troubles, spans)


def _play(order: Order, sample: Sample, cast: Cast, provider: Provider, carrier: Carrier, steps: Steps) -> PlacedOrder:
    with steps.step("placing", "orders-await-payment", "notifications-inbox"):
        placed = place(cast.customers[order.buyer.id], order.body)
    with steps.step("payment", "shipping-inbox", "notifications-inbox"):
        provider.authorise(placed.pay())
    name = sample.warehouses[order.buyer.country][0]
    api = cast.warehouses[name]
    with steps.step("dispatch", *SHIPPED):
        slips = api.ask("GET", "/slips", query={"warehouse": name})["slips"]
        order_id = placed.id
        gone: Mapping[str, Any] = pack_and_dispatch(api, next(slip for slip in slips if slip["order"] == order_id))
    for status in plan.SCANS:
        with steps.step("delivery", "shipping-scans", *TOLD.get(status, ())):
            carrier.report([CarrierScan(gone["waybill"], status, datetime.now(UTC))])
    with steps.step("completion", "orders-complete"):
        placed.accept()
    return placed


def _troubles(placed: PlacedOrder) -> list[str]:
    shown = placed.show()
    troubles = []
    if shown["status"] != "completed":
        troubles.append(f"{placed.number} was played alone and is {shown['status']}")
    if len(shown["shipments"]) != 1:
        troubles.append(f"{placed.number} was to be one parcel and is {len(shown['shipments'])}")
    return troubles


def budget(per_order: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return what is bounded -> the bound and the mean, which must not be above it."""
    return {
        "state_transitions": (TRANSITIONS, per_order["state_transitions"]),
        "write_units": (WRITES + WRITES_A_LINE * per_order["lines"], per_order["write_units"]),
        "lambda_invocations": (INVOCATIONS, per_order["lambda_invocations"]),
    }
