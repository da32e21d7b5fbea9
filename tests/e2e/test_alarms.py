"""Alarms on the deployed platform: real trouble raises them, they go when it is over; figures tell what happened."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.support import GB, Shop, begun, until
from tools import boards

pytestmark = pytest.mark.e2e

RAISED = "commerce-test-orders-offers-function-errors"
UNKNOWN = "commerce-test-shipping-unknown-scans"
QUIET = "commerce-test-orders-start-function-errors"
"""On the same metric as the first, of another function."""

CAUSED = ("orders-silent", "orders-stuck", "orders-unswept", "returns-late", "payment-mismatched", "mail-failed")
"""What other tests may be about at the same time."""


def states(shop: Shop, *names: str) -> list[str]:
    """Return the states of alarms as CloudWatch has them now."""
    found = shop.platform.deployment.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    by_name = {one["AlarmName"]: one["StateValue"] for one in found}
    return [by_name[name] for name in names]


def values(shop: Shop, metric: str, service: str, statistic: str = "Sum") -> list[float]:
    """Return an own metric's values of the last quarter of an hour, a minute each."""
    now = datetime.now(UTC)
    asked = {
        "Id": "asked",
        "MetricStat": {
            "Metric": {
                "Namespace": "commerce",
                "MetricName": metric,
                "Dimensions": [{"Name": "service", "Value": service}],
            },
            "Period": 60,
            "Stat": statistic,
        },
    }
    answer = shop.platform.deployment.client("cloudwatch").get_metric_data(
        MetricDataQueries=[asked], StartTime=now - timedelta(minutes=15), EndTime=now + timedelta(minutes=1)
    )
    found: list[float] = answer["MetricDataResults"][0]["Values"]
    return found


def call(shop: Shop, function: str, event: object) -> Any:
    """Invoke a function directly: of such calls alone the emulator publishes Lambda's metrics."""
    answer = shop.platform.deployment.client("lambda").invoke(
        FunctionName=f"commerce-test-{function}", Qualifier="live", Payload=json.dumps(event).encode()
    )
    return answer.get("FunctionError", "")


def trouble(shop: Shop) -> None:
    """Make a function raise and a carrier say what nobody understands; see both alarms go on."""
    assert states(shop, RAISED, UNKNOWN, QUIET) == ["OK", "OK", "OK"]
    assert call(shop, "orders-offers", {"no": "records"}), "a batch without records was worked off"
    (goods,) = shop.goods({GB: 1})
    order = shop.place((goods, 1))
    shop.pay(order)
    (slip,) = shop.send(order)
    shop.platform.carrier.report(shop.scan(slip, "picked_up", "teleported"))
    until(
        lambda: states(shop, RAISED, UNKNOWN, QUIET),
        lambda now: now == ["ALARM", "ALARM", "OK"],
        "the alarms on a function that raised and on a scan that nobody understands, and no other",
    )
    shop.deliver(slip)


@begun(trouble)
def test_real_trouble_raises_its_alarm_and_the_alarm_goes_when_it_is_over(shop: Shop, prelude: None) -> None:
    until(
        lambda: states(shop, RAISED, UNKNOWN, QUIET),
        lambda now: now == ["OK", "OK", "OK"],
        "both alarms to go a minute after",
        within=90,
    )
    changes = shop.platform.deployment.client("cloudwatch").describe_alarm_history(AlarmName=RAISED)
    told = [one["HistorySummary"] for one in changes["AlarmHistoryItems"]]
    assert any("to ALARM" in one for one in told)
    assert any("from ALARM to OK" in one for one in told)


def test_figures_tell_what_happened_and_what_waits(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 2})
    before = sum(values(shop, "OrderPaid", "orders"))
    order = shop.place((goods, 1))
    shop.pay(order)
    shop.wait(order, "paid")
    until(lambda: sum(values(shop, "OrderPaid", "orders")), lambda now: now > before, "a paid order to be counted")
    assert sum(values(shop, "OrderPlaced", "orders")) > 0
    assert sum(values(shop, "PaymentAuthorised", "payments")) > 0
    assert call(shop, "orders-sweep", {}) == ""
    until(
        lambda: values(shop, "LongestDispatchWait", "orders", "Maximum"),
        lambda told: told and max(told) >= 0 and max(told) < 600,
        "the sweep to tell how long the oldest order waits",
    )
    assert values(shop, "OrdersStuck", "orders", "Maximum"), "a sweep tells of what there is none of, too"
    shop.deliver(*shop.send(order))


def test_dashboards_can_be_looked_at_with_what_there_is(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    shop.place((goods, 1)).cancel()
    watch = shop.platform.deployment.client("cloudwatch")
    until(lambda: values(shop, "OrderPlaced", "orders"), bool, "an order to be counted")
    drawn = boards.page(watch)
    assert drawn.count("<h2>commerce-test-") == 8
    assert re.search(r"<b>[1-9]\d*</b>Placed<", drawn)


def test_every_alarm_of_the_stage_is_deployed_and_none_is_on_for_nothing(shop: Shop) -> None:
    found: dict[str, str] = {}
    pages = shop.platform.deployment.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(AlarmNamePrefix="commerce-test-"):
        found |= {one["AlarmName"]: one["StateValue"] for one in page["MetricAlarms"]}
    assert len(found) > 150
    # What rules call publishes no metrics here, so that to a dead man's alarm it is silent.
    known = (*CAUSED, "-sweep-silent")
    on = {name for name, state in found.items() if state == "ALARM" and not name.endswith(known)}
    assert on <= {RAISED, UNKNOWN}
