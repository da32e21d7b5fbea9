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
from commerce.figures import Figure
from infra.constructs.alarm import AS_BEFORE
from infra.constructs.board import COUNT, Shown
from infra.constructs.metrics import MAXIMUM, AccountMetric, of_account
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_key, on_table
from infra.troubles import Trouble


class NotificationsStack(ContextStack):
    """See `ContextStack`."""

    context = "notifications"
    shown = (
        Shown("Orders placed", OrderPlaced, COUNT),
        Shown("Orders delivered", OrderDelivered, COUNT),
        Shown("Mails sent", AccountMetric("AWS/SES", "Send"), COUNT),
        Shown("Mails come back", AccountMetric("AWS/SES", "Bounce"), COUNT),
        Shown("Complaints", AccountMetric("AWS/SES", "Complaint"), COUNT),
        Shown("Mails that failed", Figure.MAIL_FAILED, COUNT),
    )

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
        self.tell_of(Trouble.MAIL_FAILED, Figure.MAIL_FAILED, 10, "mail is refused")
        for metric, share in (("Reputation.BounceRate", 0.04), ("Reputation.ComplaintRate", 0.0008)):
            self.alarms.raise_above(
                Trouble.MAIL_REPUTATION,
                metric.removeprefix("Reputation.").lower(),
                of_account(AccountMetric("AWS/SES", metric), MAXIMUM),
                share,
                f"more than {share:.2%} of the mail comes back or is complained of: SES reviews the account soon",
                missing=AS_BEFORE,
            )
