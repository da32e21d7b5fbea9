"""The context payments."""

from __future__ import annotations

from commerce.events import OrderPaid, PaymentAuthorised, PaymentDeclined, PaymentReturned, ShipmentDispatched
from commerce.figures import Figure
from infra.constructs.board import COUNT, STATE, Shown
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_index, on_key, on_table
from infra.troubles import Trouble


class PaymentsStack(ContextStack):
    """See `ContextStack`."""

    context = "payments"
    shown = (
        Shown("Authorised", PaymentAuthorised, COUNT),
        Shown("Declined", PaymentDeclined, COUNT),
        Shown("Orders paid", OrderPaid, COUNT),
        Shown("Returned", PaymentReturned, COUNT),
        Shown("Returns due now", Figure.RETURNS_DUE, STATE),
        Shown("Wrong amounts", Figure.PAYMENT_MISMATCHED, COUNT),
    )

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
        self.tell_of(
            Trouble.PAYMENT_MISMATCHED,
            Figure.PAYMENT_MISMATCHED,
            0,
            "a callback's amount or currency is not what was asked for",
        )
        self.tell_of_state(
            Trouble.RETURNS_LATE, Figure.RETURNS_DUE, 0, "money that is to be returned does not get back", periods=3
        )
