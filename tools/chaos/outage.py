"""A dependency outside AWS is silent for a whole run: a payment provider, or a carrier. The others go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.audit.deployed import unbalanced
from tools.chaos.run import BALANCED, Report
from tools.client import Carrier, CarrierScan, Deployment, PlacedOrder, Provider, Refused, TooLate, place, until
from tools.loader import load_sample
from tools.localcloud.deploy import deploy
from tools.localcloud.server import LocalCloud
from tools.run.board import COMPLETED
from tools.run.journal import Journal
from tools.run.load import Cast, load, sign_in_all
from tools.run.plan import SCANS
from tools.run.play import pack_and_dispatch

STAGE = "test"
"""Its windows close within a run."""

WITHIN = 150.0


def outage(cloud: LocalCloud, orders: int, down: str, say: Callable[[str], None]) -> Report:
    """Play ``orders`` while ``down`` (``payments`` or ``carrier``) says nothing, and let it come back.

    Of a silent provider, half of the orders were paid before; they go on to their ends, and the others expire and give
    their stock back. Of a silent carrier, all orders are dispatched and wait, noted as silent, until it comes back.
    """
    sample = load_sample(orders)
    cloud.start()
    deploy(cloud, STAGE)
    deployment = Deployment.on(cloud)
    cast = sign_in_all(sample, deployment)
    load(sample, cast, Journal(cloud.home / "calls.jsonl"), say)
    provider, carrier = Provider(cast.anonymous, cast.operator.sandbox_secret()), Carrier(deployment)
    placed: list[PlacedOrder] = []
    paid: list[PlacedOrder] = []
    payments: dict[str, Any] = {}
    for one in sample.orders:
        buyer = one.buyer
        with suppress(Refused):
            order = place(cast.anonymous if buyer.is_guest else cast.customers[buyer.id], one.body)
            placed.append(order)
            payments[order.number] = order.pay()
            # At once: on this stage an order waits some seconds for its payment.
            if down == "carrier" or len(placed) % 2:
                provider.authorise(payments[order.number])
                paid.append(order)
    report = Report(accepted=len(placed))
    say(f"{len(placed)} orders, {len(paid)} of them paid; {down} falls silent")
    slips = _dispatched(cast, paid)
    if down == "carrier":
        _until_all(paid, {"dispatched"}, "the orders to leave without their carrier")
        _until_told(paid, "silent")
        say("all have left and are noted as silent; the carrier comes back")
    else:
        unpaid = [order for order in placed if order not in paid]
        _until_all(unpaid, {"expired"}, "the unpaid orders to expire")
        say("the unpaid orders have expired; the provider comes back, late")
        for order in unpaid:
            provider.call_back(payments[order.number])
    for slip in slips:
        _deliver(carrier, slip)
    _until_all(paid, {"delivered", "accepted", COMPLETED}, "the parcels to arrive")
    for order in paid:
        with suppress(Refused):
            order.accept()
    wanted = {order.number: {COMPLETED} if order in paid else {"expired"} for order in placed}
    for order in placed:
        with suppress(TooLate):
            order.wait(*wanted[order.number], within=WITHIN)
    report.ended = Counter(order.status for order in placed)
    report.lost = [f"{one.number} is {one.status}" for one in placed if one.status not in wanted[one.number]]
    report.findings = unbalanced(deployment, BALANCED)
    return report


def _dispatched(cast: Cast, orders: list[PlacedOrder]) -> list[Any]:
    """Pack and dispatch everything of ``orders``; return the slips."""
    wanted = {order.id for order in orders}
    gone: dict[str, Any] = {}

    def work() -> set[str]:
        for name, api in cast.warehouses.items():
            for slip in api.ask("GET", "/slips", query={"warehouse": name, "limit": "100"})["slips"]:
                if slip["order"] in wanted:
                    with suppress(Refused):
                        gone[slip["id"]] = pack_and_dispatch(api, slip)
        return {order.number for order in orders if order.status not in ("dispatched", "delivered")}

    with suppress(TooLate):
        until(work, lambda left: not left, "all parcels to leave", within=WITHIN, every=0.5, most=2)
    return list(gone.values())


def _deliver(carrier: Carrier, slip: Any) -> None:
    now = datetime.now(UTC)
    scans = [CarrierScan(slip["waybill"], one, now + timedelta(seconds=at)) for at, one in enumerate(SCANS)]
    carrier.report(scans)


def _until_all(orders: list[PlacedOrder], statuses: set[str], what: str) -> None:
    until(lambda: {order.status for order in orders}, lambda seen: seen <= statuses, what, within=WITHIN, every=1)


def _until_told(orders: list[PlacedOrder], fact: str) -> None:
    def untold() -> list[str]:
        return [one.number for one in orders if not any(e["fact"].startswith(fact) for e in one.timeline())]

    until(untold, lambda left: not left, f"the orders to be {fact}", within=WITHIN, every=1)
