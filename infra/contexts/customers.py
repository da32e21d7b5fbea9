"""The context customers."""

from __future__ import annotations

from commerce.events import CustomerErased
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_key, on_table


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
        pool = self._own_pool()
        self.worker(
            "customers-inbox",
            "customers-inbox",
            "customers.workers.inbox",
            patterns=subscribe("customers-inbox", CustomerErased),
            environment={"CUSTOMERS_TABLE": self.names.table("customers"), **({"USER_POOL_ID": pool} if pool else {})},
            statements=[
                on_table(self.names, "customers", "PutItem"),
                *([allow(["cognito-idp:AdminDeleteUser"], [self.names.user_pool_arn(pool)])] if pool else []),
            ],
        )

    def _own_pool(self) -> str:
        """Return the id of the platform's own user pool; empty where another issuer signs people in."""
        return self.names.published("user-pool-id") if self.stage.issuer is None else ""
