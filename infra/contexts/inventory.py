"""The context inventory."""

from __future__ import annotations

from commerce.events import OrderAwaitingStock, ReplenishmentRaised, ShipmentDispatched, StockAvailable
from commerce.figures import Figure
from infra.constructs.board import AGE, COUNT, STATE, Shown
from infra.contexts.context import ContextStack, subscribe
from infra.iam import on_index, on_table

_CHANGES = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem")


class InventoryStack(ContextStack):
    """See `ContextStack`."""

    context = "inventory"
    shown = (
        Shown("Orders short of stock", OrderAwaitingStock, COUNT),
        Shown("Replenishments asked for", ReplenishmentRaised, COUNT),
        Shown("Orders woken by stock", StockAvailable, COUNT),
        Shown("Oldest open replenishment", Figure.LONGEST_REPLENISHMENT, AGE),
        Shown("Finished by the sweep", Figure.HALF_DONE, STATE),
    )

    def build(self) -> None:
        windows = self.stage.windows
        environment = {"INVENTORY_TABLE": self.names.table("inventory")}
        replenishing = {**environment, "REPLENISHMENT_LEAD_SECONDS": str(windows.replenishment)}
        table = on_table(self.names, "inventory", *_CHANGES)
        opened = on_index(self.names, "inventory", "open")
        self.function(
            "inventory-api",
            "inventory.api.handler",
            size=self.stage.sizes.bulk,
            environment=replenishing,
            statements=[table, opened],
        )
        # Both go through every line of an order in transactions of up to a hundred.
        self.function(
            "inventory-reserve",
            "inventory.tasks.reserve",
            size=self.stage.sizes.batch,
            environment=replenishing,
            statements=[on_table(self.names, "inventory", *_CHANGES, "BatchWriteItem")],
        )
        self.function(
            "inventory-release",
            "inventory.tasks.release",
            size=self.stage.sizes.batch,
            environment=replenishing,
            statements=[
                on_table(self.names, "inventory", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem")
            ],
        )
        self.worker(
            "inventory-inbox",
            "inventory-inbox",
            "inventory.workers.inbox",
            patterns=subscribe("inventory-inbox", ShipmentDispatched),
            environment=environment,
            statements=[on_table(self.names, "inventory", "GetItem", "UpdateItem")],
        )
        self.scheduled(
            "inventory-sweep",
            "inventory.workers.sweep",
            environment={**replenishing, "PENDING_SECONDS": str(windows.pending)},
            statements=[table, opened],
        )
        self.relay()
