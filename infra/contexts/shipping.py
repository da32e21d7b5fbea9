"""The context shipping."""

from __future__ import annotations

from aws_cdk import aws_events as events

from commerce.events import FulfilmentRequested, ScanReported
from infra.contexts.context import ContextStack, subscribe
from infra.iam import on_index, on_key, on_table
from infra.names import CARRIERS_BUS


class ShippingStack(ContextStack):
    """See `ContextStack`."""

    context = "shipping"

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
        self.count_alarm("UnknownScanStatus", 0, "a carrier reports a status that has no meaning here yet")
