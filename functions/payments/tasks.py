"""Step Functions tasks of the payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from commerce.task import TaskInput
from payments import service, wiring
from payments.model import State


class _Due(TaskInput):
    amount: Annotated[int, Field(ge=0)] = 0


class _Withdrawn(TaskInput):
    reason: Annotated[str, Field(min_length=1, max_length=100)]


def settle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """See that all that is due for an order was captured.

    Parameters
    ----------
    event
        ``order_id``, and ``amount`` if the caller knows what the order costs (minor units).

    Returns
    -------
    dict
        ``captured`` in minor units and its ``currency`` (None for an order that costs nothing).

    Raises
    ------
    SettlementImpossible
        Something is due and no money is held for it.
    """
    it = _Due.model_validate(event)
    captured, currency = service.settle(wiring.desk(), it.order_id, it.amount)
    return {"captured": captured, "currency": currency}


def return_money(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Withdraw an order's demand and return what was taken for it.

    Parameters
    ----------
    event
        ``order_id`` and ``reason`` (``cancelled``, ``expired``).

    Returns
    -------
    dict
        ``returned``: ``payment_id``, ``amount`` (minor units) and ``currency`` of whatever went back.
    """
    it = _Withdrawn.model_validate(event)
    order = service.return_money(wiring.desk(), it.order_id, it.reason)
    gone_back = [
        one for one in order.payments.values() if one.state in (State.VOIDED, State.REFUNDED) and one.authorised
    ]
    return {
        "returned": [
            {"payment_id": one.id, "amount": one.authorised, "currency": one.authorised_currency} for one in gone_back
        ]
    }
