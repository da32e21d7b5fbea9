"""The context customers."""

from __future__ import annotations

from infra.contexts.context import ContextStack
from infra.iam import on_key, on_table


class CustomersStack(ContextStack):
    """See `ContextStack`."""

    context = "customers"

    def build(self) -> None:
        data_key = self.names.published("data-key-arn")
        self.function(
            "customers-api",
            "customers.api.handler",
            environment={
                "CUSTOMERS_TABLE": self.names.table("customers"),
                "VAULT_TABLE": self.names.table("vault"),
                "DATA_KEY_ARN": data_key,
            },
            statements=[
                on_table(self.names, "customers", "GetItem", "UpdateItem"),
                on_table(self.names, "vault", "GetItem", "PutItem", "UpdateItem"),
                on_key(data_key, "GenerateDataKey", "Decrypt"),
            ],
        )
