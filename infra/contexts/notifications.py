"""The context notifications."""

from __future__ import annotations

from aws_cdk import aws_events as events

from commerce.events import (
    CancellationRefused,
    CustomerErased,
    OrderAccepted,
    OrderAwaitingStock,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    PaymentDeclined,
    PaymentReturned,
    ReplenishmentRaised,
    ShipmentDispatched,
    ShipmentExceptional,
    ShipmentOutForDelivery,
)
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_key, on_table


class NotificationsStack(ContextStack):
    """See `ContextStack`."""

    context = "notifications"

    def build(self) -> None:
        table, data_key = self.names.table("notifications"), self.names.published("data-key-arn")
        self.function(
            "notifications-api",
            "notifications.api.handler",
            environment={"NOTIFICATIONS_TABLE": table},
            statements=[on_table(self.names, "notifications", "Query", "UpdateItem")],
        )
        self.worker(
            "notifications-inbox",
            "notifications-inbox",
            "notifications.workers.inbox",
            patterns={
                **subscribe(
                    "notifications-inbox",
                    OrderPlaced,
                    OrderPaid,
                    OrderAwaitingStock,
                    OrderDelivered,
                    OrderCancelled,
                    OrderExpired,
                    CancellationRefused,
                    CustomerErased,
                    PaymentDeclined,
                    PaymentReturned,
                    ShipmentDispatched,
                    ShipmentOutForDelivery,
                    ShipmentExceptional,
                    ReplenishmentRaised,
                ),
                # Who accepted a delivery himself needs no mail about it.
                "notifications-inbox-accepted": events.EventPattern(
                    source=[OrderAccepted.source()],
                    detail_type=[OrderAccepted.name()],
                    detail={"by": ["window"]},
                ),
            },
            size=self.stage.sizes.batch,
            environment={
                "NOTIFICATIONS_TABLE": table,
                "VAULT_TABLE": self.names.table("vault"),
                "DATA_KEY_ARN": data_key,
                "MAIL_FROM": self.stage.sender,
                "PURCHASING_MAIL": self.stage.purchasing_mail,
            },
            statements=[
                on_table(self.names, "notifications", "PutItem", "UpdateItem", "Query", "DeleteItem"),
                on_table(self.names, "vault", "GetItem"),
                on_key(data_key, "Decrypt"),
                allow(["ses:SendEmail"], [self.names.identity_arn(self.stage.sender)]),
            ],
        )
        self.count_alarm(
            "MailFailed", 10, "mail is refused: see the log of the inbox's worker and the sender's reputation"
        )
