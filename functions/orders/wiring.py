"""What the functions of this context are built of: one of each a process, made when first used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from commerce import aws, settings
from commerce.dynamo import Table
from commerce.tokens import TokenSigner
from commerce.vault import KmsVault, Tombstones
from orders.executions import StepFunctions
from orders.model import Pace, Stage, Windows
from orders.store import DynamoOrders


@cache
def orders() -> DynamoOrders:
    """Return the orders table's store."""
    return DynamoOrders(Table(aws.dynamodb(), settings.env("ORDERS_TABLE")))


@cache
def claims() -> DynamoOrders:
    """Return the orders table's store for claims, which depend on the vault."""
    return DynamoOrders(Table(aws.dynamodb(), settings.env("ORDERS_TABLE")), settings.env("VAULT_TABLE"))


@cache
def tombstones() -> Tombstones:
    """Return who is closed and erased."""
    return Tombstones(Table(aws.dynamodb(), settings.env("VAULT_TABLE")))


@cache
def vault() -> KmsVault:
    """Return the vault of personal data."""
    return KmsVault(aws.dynamodb(), aws.kms(), settings.env("VAULT_TABLE"), settings.env("DATA_KEY_ARN"))


@cache
def signer() -> TokenSigner:
    """Return who issues and reads order tokens."""
    return TokenSigner(aws.kms(), settings.env("MAC_KEY_ARN"))


@cache
def runs() -> StepFunctions:
    """Return the executions as far as their waits can be answered."""
    return StepFunctions(aws.stepfunctions())


def pace() -> Pace:
    """Return how many orders a buyer may place in this deployment's stage."""
    return Pace(int(settings.env("PACE_ORDERS")), timedelta(seconds=settings.env_seconds("PACE_SECONDS")))


def windows() -> Windows:
    """Return the windows of this deployment's stage."""
    return Windows(
        silence=timedelta(seconds=settings.env_seconds("SILENCE_SECONDS")),
        acceptance=timedelta(seconds=settings.env_seconds("ACCEPTANCE_SECONDS")),
        settlement=timedelta(seconds=settings.env_seconds("SETTLEMENT_SECONDS")),
    )


def clocks(windows: Windows) -> Mapping[Stage, timedelta]:
    """Return what the clocks of orders under way are set to; of a delivered order's there are two."""
    return {
        Stage.DISPATCH: timedelta(seconds=settings.env_seconds("OPEN_SECONDS")),
        Stage.DELIVERY: windows.silence,
    }
