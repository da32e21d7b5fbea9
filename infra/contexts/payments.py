"""The context payments."""

from __future__ import annotations

from commerce.events import ShipmentDispatched
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_index, on_key, on_table


class PaymentsStack(ContextStack):
    """See `ContextStack`."""

    context = "payments"

    def build(self) -> None:
        environment = {"PAYMENTS_TABLE": self.names.table("payments")}
        table = on_table(self.names, "payments", "GetItem", "PutItem")
        mac_key, secret = self.names.published("mac-key-arn"), self.names.published("sandbox-secret-arn")
        self.function(
            "payments-api",
            "payments.api.handler",
            environment={**environment, "MAC_KEY_ARN": mac_key},
            statements=[table, on_key(mac_key, "VerifyMac")],
        )
        self.function(
            "payments-callback",
            "payments.api.callback",
            environment={**environment, "SANDBOX_SECRET_ARN": secret},
            statements=[table, allow(["secretsmanager:GetSecretValue"], [secret])],
        )
        for task in ("settle", "return-money"):
            self.function(
                f"payments-{task}",
                f"payments.tasks.{task.replace('-', '_')}",
                size=self.stage.sizes.worker,
                environment=environment,
                statements=[table],
            )
        self.worker(
            "payments-inbox",
            "payments-inbox",
            "payments.workers.inbox",
            patterns=subscribe("payments-inbox", ShipmentDispatched),
            environment=environment,
            statements=[table],
        )
        self.scheduled(
            "payments-sweep",
            "payments.workers.sweep",
            environment=environment,
            statements=[table, on_index(self.names, "payments", "open")],
        )
        self.relay()
        self.count_alarm("PaymentMismatched", 0, "a callback's amount or currency is not what was asked for")
