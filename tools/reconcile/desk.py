"""The platform's stores and use cases as an operator uses them, and a watch on what they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from commerce.clock import FixedClock, SystemClock
from commerce.dynamo import Item, Table
from commerce.dynamo import load as plain
from commerce.vault import KmsVault, Tombstones
from infra.settings import Stage
from inventory import service as inventory
from inventory import warehouses
from inventory.store import Store as InventoryStore
from notifications.store import NoticeStore
from orders.executions import StepFunctions
from orders.model import ErasureState, NoSuchOrder, Windows
from orders.service import erasing
from orders.store import DynamoOrders
from payments import providers
from payments import service as payments
from payments.store import Store as PaymentsStore
from shipping.carriers import CarrierTable, carrier_table
from shipping.store import ShippingStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_stepfunctions import SFNClient

_CHANGES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")


class WouldChange(Exception):
    """In a dry run: something would be written here."""


class Watch:
    """Counts the writes that a DynamoDB client has made, or refuses every one of them.

    Parameters
    ----------
    dry
        Whether they are refused, with `WouldChange`.
    """

    def __init__(self, client: DynamoDBClient, *, dry: bool) -> None:
        self.writes = 0
        for one in _CHANGES:
            if dry:
                client.meta.events.register(f"before-call.dynamodb.{one}", self._refuse)
            client.meta.events.register(f"after-call.dynamodb.{one}", self._count)

    def _refuse(self, **_: Any) -> None:
        raise WouldChange

    def _count(self, http_response: Any, **_: Any) -> None:
        self.writes += http_response.status_code < 300


@dataclass(frozen=True)
class Desk:
    """All that reconciling works with; the windows are the stage's.

    Attributes
    ----------
    tables
        Context -> name of the table in use.
    dry
        Whether nothing is to be changed.
    """

    stage: Stage
    tables: Mapping[str, str]
    dynamodb: DynamoDBClient
    states: SFNClient
    events: EventBridgeClient
    kms: KMSClient
    data_key: str
    lifecycle: str
    completion: str
    watch: Watch
    dry: bool = False
    carriers: CarrierTable = field(default_factory=carrier_table)

    @property
    def orders(self) -> DynamoOrders:
        return DynamoOrders(self.table("orders"))

    @property
    def shipping(self) -> ShippingStore:
        return ShippingStore(self.table("shipping"))

    @property
    def stock(self) -> InventoryStore:
        return InventoryStore(self.table("inventory"), warehouses.load().ids)

    @property
    def notices(self) -> NoticeStore:
        return NoticeStore(self.table("notifications"))

    @property
    def books(self) -> PaymentsStore:
        return PaymentsStore(self.table("payments"))

    @property
    def runs(self) -> StepFunctions:
        return StepFunctions(self.states, self.lifecycle, self.completion)

    @property
    def windows(self) -> Windows:
        windows = self.stage.windows
        return Windows(
            silence=timedelta(seconds=windows.silence),
            acceptance=timedelta(seconds=windows.acceptance),
            settlement=timedelta(seconds=windows.settlement),
        )

    def inventory(self, at: datetime | None = None) -> inventory.Desk:
        """Return the inventory's desk, at whose clock it is ``at``."""
        lead = timedelta(seconds=self.stage.windows.replenishment)
        return inventory.Desk(self.stock, warehouses.load(), FixedClock(at) if at else SystemClock(), lead)

    def payments(self, at: datetime | None = None) -> payments.Desk:
        """Return the payments' desk, at whose clock it is ``at``."""
        clock = FixedClock(at) if at else SystemClock()
        return payments.Desk(self.books, providers.registry(clock), clock)

    def knows(self, order_id: str) -> bool:
        """Return whether there is such an order."""
        try:
            self.orders.get(order_id)
        except NoSuchOrder:
            return False
        return True

    def erase_again(self, subject: str, erased_at: str) -> bool:
        """Erase a person whom a restore brought back; return whether there was anything of him."""
        known, vault = self.orders.erasure(subject), self.table("vault")
        key = vault.get((subject, "KEY")) or {}
        if known is not None and known.state is ErasureState.ERASED and "erased" in key and "wrapped" not in key:
            return False
        people = KmsVault(self.dynamodb, self.kms, self.tables["vault"], self.data_key)
        desk = erasing.Desk(self.orders, Tombstones(vault), people, SystemClock())
        erasing.reapply(subject, erased_at, desk, known.order_id if known else "")
        return True

    def table(self, context: str) -> Table:
        return Table(self.dynamodb, self.tables[context])

    def scan(self, context: str) -> Iterator[Item]:
        """Yield every item of a table, consistently item by item."""
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.tables[context], ConsistentRead=True):
            yield from map(plain, page["Items"])
