"""The platform's tables, known without the CDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Index:
    """A sparse index of a table: partition and sort attribute, and what it holds beside the keys."""

    partition: str
    sort: str
    includes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with the keys ``pk`` and ``sk``.

    Attributes
    ----------
    indexes
        Index name -> index.
    publishes
        Whether the context has an outbox and so a stream.
    """

    indexes: Mapping[str, Index]
    publishes: bool


TABLES: Mapping[str, Table] = {
    "orders": Table({"customer": Index("customer_id", "number"), "open": Index("open_pk", "due")}, publishes=True),
    "inventory": Table({"open": Index("open_pk", "open_since")}, publishes=True),
    "payments": Table({"open": Index("open_pk", "open_since")}, publishes=True),
    "shipping": Table({"queue": Index("queue_pk", "queue_sk")}, publishes=True),
    "notifications": Table({}, publishes=False),
    "catalog": Table({"listed": Index("listed_pk", "sku", ("title",))}, publishes=True),
    "customers": Table({}, publishes=False),
    "vault": Table({}, publishes=False),
}
"""Every table by the context it belongs to; ``vault`` is the kernel's."""


def restored_stream(stage: str, table: str) -> str:
    """Return the name, as the stage's stacks know it, of the parameter that has the stream of a restored table.

    ``python -m tools.restore`` writes it, and the data stack reads it.
    """
    return f"restored/{table.removeprefix(f'commerce-{stage}-')}/stream"
