"""Queues and the clock of the orders context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commerce import aws, settings, telemetry, worker
from commerce.clock import SystemClock
from commerce.events import (
    OffersPublished,
    OrderCancellationRequested,
    OrderPlaced,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentExceptional,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
    StockAvailable,
)
from commerce.figures import Figure
from orders import wiring
from orders.executions import StepFunctions
from orders.service import erasing, lifecycle


def start(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Start the lifecycle of accepted orders, as fast as the queue lets them through."""
    runs = StepFunctions(aws.stepfunctions(), settings.env("LIFECYCLE_ARN"))
    return worker.handle_batch(event, {OrderPlaced: lambda placed: runs.start(placed.order_id)})


def inbox(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Record what other contexts tell of orders, and answer the executions that wait for it."""
    orders, runs, windowed, clock = wiring.orders(), wiring.runs(), wiring.windows(), SystemClock()
    return worker.handle_batch(
        event,
        {
            PaymentAuthorised: lambda it: lifecycle.payment_authorised(it, orders, runs),
            StockAvailable: lambda it: lifecycle.stock_available(it, orders, runs),
            OrderCancellationRequested: lambda it: lifecycle.cancellation_requested(it, orders, runs),
            ShipmentDispatched: lambda it: lifecycle.shipment_dispatched(it, orders, runs, windowed, clock),
            ShipmentOutForDelivery: lambda it: lifecycle.out_for_delivery(it, orders, windowed, clock),
            ShipmentDelivered: lambda it: lifecycle.shipment_delivered(it, orders, runs, windowed, clock),
            ShipmentMilestonesAdded: lambda it: lifecycle.milestones_added(it, orders),
            ShipmentExceptional: lambda it: lifecycle.shipment_exceptional(it, orders),
        },
    )


def offers(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Keep this context's copy of the catalogue's offers."""

    def keep(published: OffersPublished) -> None:
        for offer in published.offers:
            wiring.orders().put(offer)

    return worker.handle_batch(event, {OffersPublished: keep})


def sweep(event: Mapping[str, Any], context: object) -> None:
    """Act on open orders whose clock has run out, go on with erasures, and tell of both."""
    runs = StepFunctions(aws.stepfunctions(), settings.env("LIFECYCLE_ARN"), settings.env("COMPLETION_ARN"))
    windows, clock = wiring.windows(), SystemClock()
    swept = lifecycle.sweep(wiring.orders(), runs, windows, clock)
    waits = lifecycle.longest_waits(swept, wiring.clocks(windows), clock)
    telemetry.record(
        {Figure[f"ORDERS_{kind.upper()}"]: number for kind, number in swept.counts.items()},
        {Figure[f"LONGEST_{stage.upper()}_WAIT"]: seconds for stage, seconds in waits.items()},
    )
    erased = erasing.sweep(erasing.Desk(wiring.orders(), wiring.tombstones(), wiring.vault(), clock))
    telemetry.record({Figure[f"ERASURES_{kind.upper()}"]: number for kind, number in erased.items()})
