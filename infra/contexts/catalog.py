"""The context catalog."""

from __future__ import annotations

from commerce.events import OffersPublished
from infra.constructs.board import COUNT, Shown
from infra.contexts.context import ContextStack
from infra.iam import on_index, on_table


class CatalogStack(ContextStack):
    """See `ContextStack`."""

    context = "catalog"
    shown = (Shown("Offers published", OffersPublished, COUNT),)

    def build(self) -> None:
        self.function(
            "catalog-api",
            "catalog.api.handler",
            size=self.stage.sizes.bulk,
            environment={"CATALOG_TABLE": self.names.table("catalog")},
            statements=[
                on_table(self.names, "catalog", "BatchGetItem", "PutItem"),
                on_index(self.names, "catalog", "listed"),
            ],
        )
        self.relay()
