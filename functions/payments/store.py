"""The payments table: one item an order, written whole on condition that nobody wrote it meanwhile.

An order has few payments, so that its demand and all of them fit one item: what they decide together
costs one write. Amounts that are 0 and texts that are empty are not stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from boto3.dynamodb.conditions import Attr, Key

from commerce.dynamo import ConditionFailed, Item, Table
from payments.model import Demand, OrderPayments, Payment, State
from payments.service import Kept, WrittenMeanwhile

_PREFIX = "ORDER#"
_SK = "PAYMENTS"
_OPEN = "TO_RETURN"
_PLAIN = tuple(one.name for one in fields(Payment) if one.name not in ("id", "state"))


class Store:
    """`payments.service.Books` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self, order_id: str) -> Kept | None:
        """Return an order's payments as of now, or None."""
        item = self._table.get((_PREFIX + order_id, _SK))
        return _kept(item) if item else None

    def save(self, order: OrderPayments, *, over: Kept | None, now: str, outbox: str | None) -> None:
        """Write ``order`` and the events of the change.

        Parameters
        ----------
        over
            What the change was made from.
        now
            RFC 3339.

        Raises
        ------
        WrittenMeanwhile
            Somebody else did since it was read.
        """
        version = over.version if over else 0
        item = _item(order) | {"version": version + 1, "outbox": outbox}
        if order.to_return:
            # Sparse index: what is still to be returned and since when; the sweep reads it.
            item |= {"open_pk": _OPEN, "open_since": over.open_since if over and over.open_since else now}
        try:
            self._table.put(item, when=Attr("version").eq(version) if over else Attr("pk").not_exists())
        except ConditionFailed as failed:
            raise WrittenMeanwhile from failed

    def open_orders(self) -> Iterator[str]:
        """Yield the ids of orders with money still to be returned, the oldest first."""
        for item in self._table.query_all(Key("open_pk").eq(_OPEN), index="open"):
            yield str(item["pk"]).removeprefix(_PREFIX)


def _item(order: OrderPayments) -> Item:
    texts = {
        "amount": order.amount,
        "currency": order.currency,
        "buyer": order.buyer,
        "locale": order.locale,
        "paid_by": order.paid_by,
        "reason": order.reason,
    }
    return {
        "pk": _PREFIX + order.order_id,
        "sk": _SK,
        "v": 1,
        "demand": order.demand.value,
        "payments": {one.id: _payment(one) for one in order.payments.values()},
        **{name: value for name, value in texts.items() if value},
    }


def _payment(payment: Payment) -> Item:
    plain = {name: getattr(payment, name) for name in _PLAIN}
    return {"state": payment.state.value, **{name: value for name, value in plain.items() if value}}


def _kept(item: Mapping[str, Any]) -> Kept:
    order = OrderPayments(
        order_id=item["pk"].removeprefix(_PREFIX),
        demand=Demand(item["demand"]),
        payments={
            name: Payment(
                id=name,
                state=State(stored["state"]),
                **{field: stored[field] for field in _PLAIN if field in stored},
            )
            for name, stored in item["payments"].items()
        },
        **{name: item[name] for name in ("amount", "currency", "buyer", "locale", "paid_by", "reason") if name in item},
    )
    return Kept(order, item["version"], item.get("open_since", ""))
