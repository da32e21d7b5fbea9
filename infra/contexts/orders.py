"""The context orders, with the two workflows of an order."""

from __future__ import annotations

from aws_cdk import CfnOutput
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam

from commerce.events import (
    OffersPublished,
    OrderAccepted,
    OrderCancellationRequested,
    OrderCancelled,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentExceptional,
    ShipmentMilestonesAdded,
    ShipmentOutForDelivery,
    StockAvailable,
)
from commerce.figures import Figure
from infra.constructs.alarm import watch_rule
from infra.constructs.board import AGE, COUNT, STATE, Shown
from infra.constructs.dead_letter_queue import SUFFIX, DeadLetterQueue
from infra.constructs.state_machine import EXPRESS, StateMachine
from infra.contexts.context import ContextStack, subscribe
from infra.iam import allow, on_index, on_key, on_machine, on_table
from infra.names import COMMERCE_BUS
from infra.troubles import Trouble

LIFECYCLE = "order-lifecycle"
COMPLETION = "order-completion"
COMPLETION_MACHINE = f"{COMPLETION}{EXPRESS}"

_WINDOWS = ("SILENCE_SECONDS", "ACCEPTANCE_SECONDS", "SETTLEMENT_SECONDS")

LIFECYCLE_FUNCTIONS = {
    "ScreenFunction": "orders-screen",
    "ReserveFunction": "inventory-reserve",
    "AwaitStockFunction": "orders-await-stock",
    "AwaitPaymentFunction": "orders-await-payment",
    "AwaitDispatchFunction": "orders-await-dispatch",
    "BeginCloseFunction": "orders-begin-close",
    "ResumeFunction": "orders-resume",
    "StopSlipsFunction": "shipping-stop-slips",
    "ReturnMoneyFunction": "payments-return-money",
    "ReleaseStockFunction": "inventory-release",
    "CloseFunction": "orders-close",
}
"""Placeholder of the lifecycle's definition -> function."""

COMPLETION_FUNCTIONS = {"SettleFunction": "payments-settle", "CompleteFunction": "orders-complete"}
"""Placeholder of the completion's definition -> function."""


class OrdersStack(ContextStack):
    """See `ContextStack`."""

    context = "orders"
    shown = (
        Shown("Placed", OrderPlaced, COUNT),
        Shown("Paid", OrderPaid, COUNT),
        Shown("Shipments dispatched", ShipmentDispatched, COUNT),
        Shown("Delivered", OrderDelivered, COUNT),
        Shown("Accepted", OrderAccepted, COUNT),
        Shown("Cancelled", OrderCancelled, COUNT),
        Shown("Expired", OrderExpired, COUNT),
        Shown("Stuck now", Figure.ORDERS_STUCK, STATE),
        Shown("Gone silent", Figure.ORDERS_SILENT, COUNT),
        Shown("To be erased", Figure.ERASURES_WAITING, STATE),
        Shown("Oldest not dispatched", Figure.LONGEST_DISPATCH_WAIT, AGE),
        Shown("Oldest on its way", Figure.LONGEST_DELIVERY_WAIT, AGE),
    )

    def build(self) -> None:
        self._apis()
        self._tasks()
        self._workers()
        self.relay()
        self._lifecycle()
        self._completion()

    def _table(self, *operations: str) -> iam.PolicyStatement:
        return on_table(self.names, "orders", *operations)

    def _environment(self, *names: str) -> dict[str, str]:
        windows = self.stage.windows
        known = {
            "VAULT_TABLE": self.names.table("vault"),
            "DATA_KEY_ARN": self.names.published("data-key-arn"),
            "MAC_KEY_ARN": self.names.published("mac-key-arn"),
            "COMPLETION_ARN": self.names.machine_arn(COMPLETION_MACHINE),
            "LIFECYCLE_ARN": self.names.machine_arn(LIFECYCLE),
            "OPEN_SECONDS": str(windows.stock + windows.payment + windows.dispatch),
            "PACE_ORDERS": str(self.stage.pace.orders),
            "PACE_SECONDS": str(self.stage.pace.seconds),
            "SILENCE_SECONDS": str(windows.silence),
            "ACCEPTANCE_SECONDS": str(windows.acceptance),
            "SETTLEMENT_SECONDS": str(windows.settlement),
        }
        return {"ORDERS_TABLE": self.names.table("orders"), **{name: known[name] for name in names}}

    def _apis(self) -> None:
        data_key, mac_key = self.names.published("data-key-arn"), self.names.published("mac-key-arn")
        self.function(
            "orders-intake",
            "orders.api.intake",
            size=self.stage.sizes.intake,
            environment=self._environment(
                "VAULT_TABLE", "DATA_KEY_ARN", "MAC_KEY_ARN", "OPEN_SECONDS", "PACE_ORDERS", "PACE_SECONDS"
            ),
            statements=[
                self._table("GetItem", "BatchGetItem", "PutItem", "UpdateItem"),
                on_table(self.names, "vault", "GetItem", "PutItem", "UpdateItem"),
                on_key(data_key, "GenerateDataKey", "Decrypt"),
                on_key(mac_key, "GenerateMac"),
            ],
        )
        self.function(
            "orders-api",
            "orders.api.handler",
            environment=self._environment("VAULT_TABLE", "DATA_KEY_ARN", "MAC_KEY_ARN", *_WINDOWS),
            statements=[
                self._table("GetItem", "BatchGetItem", "Query", "UpdateItem", "PutItem"),
                on_index(self.names, "orders", "customer"),
                on_table(self.names, "vault", "GetItem", "ConditionCheckItem"),
                on_key(data_key, "Decrypt"),
                on_key(mac_key, "GenerateMac", "VerifyMac"),
            ],
        )
        self.function(
            "orders-erasure",
            "orders.api.erasure",
            environment=self._environment("MAC_KEY_ARN"),
            statements=[self._table("GetItem", "PutItem"), on_key(mac_key, "VerifyMac")],
        )
        queues = self.names.queue_arn("*")
        self.function(
            "orders-ops",
            "orders.api.ops",
            environment={**self._environment(), "QUEUE_PREFIX": self.names.of("")},
            statements=[
                self._table("BatchGetItem"),
                on_index(self.names, "orders", "open"),
                allow(["sqs:ListQueues"], ["*"]),
                allow(["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage"], [queues]),
                allow(
                    ["sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"],
                    [f"{queues}{SUFFIX}"],
                ),
            ],
        )

    def _tasks(self) -> None:
        answer = on_machine(self.names, LIFECYCLE, "SendTaskSuccess")
        more = {"resume": _WINDOWS, "screen": ("VAULT_TABLE",)}
        rights = {"screen": [on_table(self.names, "vault", "GetItem")]}
        for task, operations, answers in (
            ("screen", ("GetItem", "Query", "UpdateItem"), False),
            ("await-stock", ("GetItem", "PutItem", "UpdateItem"), True),
            ("await-payment", ("GetItem", "PutItem", "UpdateItem"), True),
            ("await-dispatch", ("GetItem", "PutItem", "Query"), True),
            ("begin-close", ("GetItem", "UpdateItem"), False),
            ("resume", ("GetItem", "UpdateItem"), False),
            ("close", ("GetItem", "UpdateItem"), False),
            ("complete", ("GetItem", "UpdateItem"), False),
        ):
            self.function(
                f"orders-{task}",
                f"orders.tasks.{task.replace('-', '_')}",
                environment=self._environment(*more.get(task, ())),
                statements=[self._table(*operations), *([answer] if answers else []), *rights.get(task, ())],
            )

    def _workers(self) -> None:
        self.worker(
            "orders-intake",
            "orders-start",
            "orders.workers.start",
            patterns=subscribe("orders-intake", OrderPlaced),
            environment={"LIFECYCLE_ARN": self.names.machine_arn(LIFECYCLE)},
            statements=[on_machine(self.names, LIFECYCLE, "StartExecution")],
        )
        self.worker(
            "orders-inbox",
            "orders-inbox",
            "orders.workers.inbox",
            patterns=subscribe(
                "orders-inbox",
                OrderCancellationRequested,
                PaymentAuthorised,
                StockAvailable,
                ShipmentDispatched,
                ShipmentOutForDelivery,
                ShipmentDelivered,
                ShipmentExceptional,
                ShipmentMilestonesAdded,
            ),
            environment=self._environment(*_WINDOWS),
            statements=[
                self._table("GetItem", "UpdateItem"),
                on_machine(self.names, LIFECYCLE, "SendTaskSuccess", "SendTaskFailure"),
            ],
        )
        self.worker(
            "orders-offers",
            "orders-offers",
            "orders.workers.offers",
            patterns=subscribe("orders-offers", OffersPublished),
            size=self.stage.sizes.batch,
            environment=self._environment(),
            statements=[self._table("PutItem")],
        )
        self.scheduled(
            "orders-sweep",
            "orders.workers.sweep",
            environment=self._environment(
                *_WINDOWS, "OPEN_SECONDS", "LIFECYCLE_ARN", "COMPLETION_ARN", "VAULT_TABLE", "DATA_KEY_ARN"
            ),
            statements=[
                self._table("GetItem", "BatchGetItem", "Query", "UpdateItem", "PutItem", "DeleteItem"),
                on_index(self.names, "orders", "open"),
                on_index(self.names, "orders", "customer"),
                on_table(self.names, "vault", "GetItem", "UpdateItem"),
                on_key(self.names.published("data-key-arn"), "Decrypt"),
                on_machine(self.names, LIFECYCLE, "StartExecution"),
                on_machine(self.names, COMPLETION_MACHINE, "StartExecution"),
            ],
        )
        self.tell_of_state(
            Trouble.ORDERS_STUCK, Figure.ORDERS_STUCK, 0, "open orders whose clock ran out and that nothing moves on"
        )
        self.tell_of_state(Trouble.ORDERS_SILENT, Figure.ORDERS_SILENT, 0, "orders on their way for longer than usual")
        self.tell_of_state(Trouble.ORDERS_UNSWEPT, Figure.ORDERS_FAILED, 0, "orders that the sweep could not act on")
        self.tell_of_state(
            Trouble.ERASURES_LATE,
            Figure.ERASURES_LATE,
            0,
            "an erasure is three weeks old: an order keeps it waiting",
        )
        self.tell_of_state(
            Trouble.ERASURES_FAILED, Figure.ERASURES_FAILED, 0, "erasures that the sweep could not go on with"
        )

    def _lifecycle(self) -> None:
        windows = self.stage.windows
        self._machine(
            LIFECYCLE,
            LIFECYCLE_FUNCTIONS,
            {
                "StockSeconds": windows.stock,
                "PaymentSeconds": windows.payment,
                "DispatchSeconds": windows.dispatch,
            },
        )

    def _completion(self) -> None:
        machine = self._machine(COMPLETION, COMPLETION_FUNCTIONS, {}, express=True)
        rule = f"{COMPLETION}-orders"
        failures = f"{COMPLETION}{SUFFIX}"
        dead = DeadLetterQueue(
            self,
            "CompletionFailures",
            name=failures,
            holds="OrderAccepted events that started no completion",
            alarms=self.alarms,
            names=self.names,
        )
        self.parts.queues.append(failures)
        role = iam.Role(
            self,
            "CompletionRole",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
            inline_policies={
                "start": iam.PolicyDocument(statements=[on_machine(self.names, COMPLETION_MACHINE, "StartExecution")])
            },
        )
        events.Rule(
            self,
            rule,
            rule_name=self.names.of(rule),
            event_bus=events.EventBus.from_event_bus_name(self, "CommerceBus", self.names.of(COMMERCE_BUS)),
            event_pattern=subscribe(COMPLETION, OrderAccepted)[rule],
            targets=[
                targets.SfnStateMachine(
                    machine.machine,
                    role=role.without_policy_updates(),
                    dead_letter_queue=dead.queue,
                    input=events.RuleTargetInput.from_event_path("$.detail"),
                )
            ],
        )
        watch_rule(rule, COMMERCE_BUS, self.alarms)

    def _machine(
        self, process: str, functions: dict[str, str], numbers: dict[str, int], *, express: bool = False
    ) -> StateMachine:
        made = StateMachine(
            self,
            process,
            stage=self.stage,
            names=self.names,
            alarms=self.alarms,
            functions=functions,
            numbers=numbers,
            express=express,
        )
        self.parts.machines.append(made.name)
        title = "".join(part.capitalize() for part in process.split("-"))
        CfnOutput(self, f"{title}Arn", value=made.machine.state_machine_arn)
        return made
