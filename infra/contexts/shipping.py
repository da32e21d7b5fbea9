"""The context shipping."""

from __future__ import annotations

from aws_cdk import aws_events as events

from commerce.events import (
    FulfilmentRequested,
    ScanReported,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentExceptional,
    ShipmentOutForDelivery,
)
from commerce.figures import Figure
from infra.constructs.board import AGE, COUNT, Shown
from infra.contexts.context import ContextStack, subscribe
from infra.iam import on_index, on_key, on_table
from infra.names import CARRIERS_BUS
from infra.troubles import Trouble


class ShippingStack(ContextStack):
    """See `ContextStack`."""

    context = "shipping"
    shown = (
        Shown("Orders to fulfil", FulfilmentRequested, COUNT),
        Shown("Dispatched", ShipmentDispatched, COUNT),
        Shown("Out for delivery", ShipmentOutForDelivery, COUNT),
        Shown("Delivered", ShipmentDelivered, COUNT),
        Shown("In trouble", ShipmentExceptional, COUNT),
        Shown("Scans not understood", Figure.UNKNOWN_SCAN_STATUS, COUNT),
        Shown("Oldest order not dispatched", Figure.LONGEST_DISPATCH_WAIT, AGE),
        Shown("Oldest order on its way", Figure.LONGEST_DELIVERY_WAIT, AGE),
    )

    def build(self) -> None:
        environment = {"SHIPPING_TABLE": self.names.table("shipping")}
        mac_key = self.names.published("mac-key-arn")
        self.function(
            "shipping-api",
            "shipping.api.handler",
            environment={**environment, "MAC_KEY_ARN": mac_key},
            statements=[on_table(self.names, "shipping", "Query", "BatchGetItem"), on_key(mac_key, "VerifyMac")],
        )
        self.function(
            "shipping-warehouse",
            "shipping.api.warehouse",
            environment=environment,
            statements=[
                on_table(self.names, "shipping", "GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"),
                on_index(self.names, "shipping", "queue"),
            ],
        )
        self.function(
            "shipping-stop-slips",
            "shipping.tasks.stop_slips",
            environment=environment,
            statements=[on_table(self.names, "shipping", "Query", "PutItem", "UpdateItem", "DeleteItem")],
        )
        self.worker(
            "shipping-inbox",
            "shipping-inbox",
            "shipping.workers.inbox",
            patterns=subscribe("shipping-inbox", FulfilmentRequested),
            environment=environment,
            statements=[on_table(self.names, "shipping", "GetItem", "PutItem", "UpdateItem", "DeleteItem")],
        )
        self.worker(
            "shipping-scans",
            "shipping-scans",
            "shipping.workers.scans",
            patterns={
                "shipping-scans-carriers": events.EventPattern(
                    source=events.Match.prefix("carrier."), detail_type=[ScanReported.__name__]
                )
            },
            bus=CARRIERS_BUS,
            environment=environment,
            statements=[on_table(self.names, "shipping", "GetItem", "UpdateItem")],
        )
        self.relay()
        self.tell_of(
            Trouble.UNKNOWN_SCANS,
            Figure.UNKNOWN_SCAN_STATUS,
            0,
            "a carrier reports a status that has no meaning here yet",
        )
