"""Plays orders alone, and parcels' scans in batches, on a cloud where nothing else happens, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tools.client import Carrier, CarrierScan, Deployment, PlacedOrder, Provider, place, until
from tools.cost.figures import TIMED, Figures
from tools.cost.stages import by_stage
from tools.loader import Order, Sample, load_sample
from tools.loader.stock import StockLevel
from tools.run import plan
from tools.run.alone import SHIPPED, TOLD, Alone, Steps, choose, play_alone, stock_for
from tools.run.journal import Journal, Line, Tally, is_scheduled, read
from tools.run.load import Cast, load, receive, sign_in_all
from tools.run.play import pack_and_dispatch

SAMPLE = 200
"""Invoices that the orders are chosen of, as `make run` does."""

ORDERS = 4
PARCELS = 10
"""Parcels whose scans come together: as many events as one call may put."""

QUIET = 0.5
"""Seconds without a call that are taken for rest; what comes later would be counted in the next step."""

Say = Callable[[str], None]


class Player:
    """A deployed platform with the people and goods of some orders.

    Raises
    ------
    tools.client.Refused, TimeoutError
        Something of what the orders need was not taken.
    """

    def __init__(self, deployment: Deployment, journal: Journal, say: Say) -> None:
        self.sample = _only(load_sample(SAMPLE))
        self.journal = journal
        self.say = say
        self.deployment = deployment
        self.cast: Cast = sign_in_all(self.sample, deployment)
        self.provider = Provider(self.cast.anonymous, self.cast.operator.sandbox_secret())
        self.carrier = Carrier(deployment)
        self.memory: Mapping[str, int] = self.cast.operator.function_memory()
        load(self.sample, self.cast, journal, say)
        # What a function's process does once, when it starts, is no order's.
        self._alone(self.sample.orders[:1])

    def orders(self) -> tuple[Alone, Figures]:
        """Play `ORDERS` orders one after another, each from its placing to its end."""
        alone = self._alone(self.sample.orders[1:])
        each = [[(name, list(self.journal.lines(start, end))) for name, start, end in spans] for spans in alone.spans]
        count = len(each)
        of_all = by_stage((step for steps in each for step in steps), self.memory)
        # Whatever else the machine does makes functions slower: the least disturbed of the orders tells their time.
        timed = min((by_stage(steps, self.memory) for steps in each), key=_seconds)
        written = written_by_table(line for steps in each for _, lines in steps for line in lines)
        return alone, Figures(
            lines=alone.lines / count,
            stages={
                name: tally.each(count).amounts() | {one: timed[name].amounts()[one] for one in TIMED}
                for name, tally in of_all.items()
            },
            written={name: units / count for name, units in written.items()},
        )

    def scans(self) -> tuple[dict[str, float], dict[str, float]]:
        """Play the scans of `PARCELS` parcels, a call for all of them; return what one takes, of all and on the way."""
        placed, parcels = self._dispatch(self.sample.orders[1])
        steps = Steps(self.journal, QUIET)
        for status in plan.SCANS:
            self.say(f"scans of {len(parcels)} parcels: {status}")
            with steps.step(status, "shipping-scans", *TOLD.get(status, ())):
                self.carrier.report(*([CarrierScan(one, status, datetime.now(UTC))] for one in parcels))
        for one in placed:
            one.wait("delivered")
            one.accept()
        on_the_way = [span for span in steps.spans if span[0] == "in_transit"]
        return self._each(steps.spans, len(parcels)), self._each(on_the_way, len(parcels))

    def sweep(self) -> dict[str, float]:
        """Return what one run of a scheduled function took since the cloud was started; nothing if none ran."""
        tally = read(self.journal.lines(0), self.memory).scheduled
        return tally.each(int(tally.lambda_invocations)).amounts() if tally.lambda_invocations else {}

    def stored(self) -> dict[str, int]:
        """Return table -> bytes of all its items."""
        tables = self.deployment.client("dynamodb")
        found = {}
        for output, table in self.deployment.outputs.items():
            if output.endswith("TableName"):
                pages = tables.get_paginator("scan").paginate(TableName=table)
                found[table.split("-", 2)[2]] = sum(size_of(item) for page in pages for item in page["Items"])
        return found

    def _alone(self, orders: Sequence[Order]) -> Alone:
        sample = replace(self.sample, orders=tuple(orders))
        return play_alone(sample, self.cast, self.provider, self.carrier, self.journal, self.memory, self.say, QUIET)

    def _each(self, spans: Iterable[tuple[str, int, int]], parcels: int) -> dict[str, float]:
        played = list(spans)
        tally = Tally()
        for _, start, end in played:
            for name, amount in read(self.journal.lines(start, end), self.memory).caused.amounts().items():
                setattr(tally, name, getattr(tally, name) + amount)
        return tally.each(parcels * len(played)).amounts()

    def _dispatch(self, order: Order) -> tuple[list[PlacedOrder], list[str]]:
        """Return `PARCELS` orders and the waybills of their parcels, which have left."""
        start = self.journal.end
        levels = stock_for(self.sample, order)
        receive([StockLevel(one.sku, one.warehouse, one.quantity * PARCELS) for one in levels], self.cast)
        self.journal.settle(start, QUIET)
        name = self.sample.warehouses[order.buyer.country][0]
        warehouse = self.cast.warehouses[name]
        self.say(f"{PARCELS} parcels on their way")
        placed = [place(self.cast.customers[order.buyer.id], order.body) for _ in range(PARCELS)]
        for one in placed:
            self.provider.authorise(one.pay())
        ids = {one.id for one in placed}

        def slips() -> list[Mapping[str, Any]]:
            found = warehouse.ask("GET", "/slips", query={"warehouse": name, "limit": "100"})["slips"]
            return [slip for slip in found if slip["order"] in ids]

        ready = until(slips, lambda found: len(found) == PARCELS, f"slips of {PARCELS} orders")
        steps = Steps(self.journal, QUIET)
        with steps.step("dispatch", *SHIPPED):
            waybills = [pack_and_dispatch(warehouse, slip)["waybill"] for slip in ready]
        return placed, waybills


def _seconds(stages: Mapping[str, Tally]) -> float:
    return sum(tally.lambda_gb_seconds + tally.express_gb_seconds for tally in stages.values())


def written_by_table(lines: Iterable[Line]) -> Counter[str]:
    """Return table -> write units."""
    found = Counter[str]()
    for line in lines:
        if not is_scheduled(line):
            for table, units in line.get("tables", {}).items():
                found[table.split("-", 2)[2]] += units["write"]
    return found


def size_of(value: Any) -> int:
    """Return the bytes of an item, or of a value in it, in DynamoDB's typed JSON.

    See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
    """
    if not (isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _KINDS):
        return sum(len(name.encode()) + size_of(one) for name, one in value.items())
    kind, content = next(iter(value.items()))
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content.strip("-0.")) + 1) // 2 + 1
        case "B":
            return len(content)
        case "M":
            return 3 + sum(len(name.encode()) + size_of(one) + 1 for name, one in content.items())
        case "L":
            return 3 + sum(size_of(one) + 1 for one in content)
        case "SS" | "NS" | "BS":
            return sum(len(one) for one in content)
    return 1


_KINDS = frozenset({"S", "N", "B", "M", "L", "SS", "NS", "BS", "BOOL", "NULL"})


def _only(sample: Sample) -> Sample:
    """Return the sample with an order to begin with, the chosen ones and what they need; stock comes with each."""
    chosen = [*choose(sample, 1), *choose(sample, ORDERS)]
    skus = {line["sku"] for order in chosen for line in order.body["lines"]}
    buyers = {order.buyer.id for order in chosen}
    agreed = {order.body["price_list"] for order in chosen}
    return replace(
        sample,
        orders=tuple(chosen),
        products=tuple(one for one in sample.products if one.sku in skus),
        price_lists=tuple(one for one in sample.price_lists if one.id in agreed),
        customers=tuple(one for one in sample.customers if one.id in buyers),
        stock=(),
    )
