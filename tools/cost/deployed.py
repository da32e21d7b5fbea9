"""What a stage has that costs by the month, whether anybody orders or not: counted in its synthesised templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from commerce.figures import NAMESPACE
from infra.settings import STAGES
from tools.sim.wiring import synthesise

KINDS: Mapping[str, str] = {
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::CompositeAlarm": "composite_alarms",
    "AWS::CloudFront::Distribution": "distributions",
    "AWS::CloudWatch::Dashboard": "dashboards",
    "AWS::KMS::Key": "keys",
    "AWS::SecretsManager::Secret": "secrets",
    "AWS::WAFv2::WebACL": "web_acls",
}

ROUTE_METRICS = 6
"""Metrics of a route with detailed metrics: Count, 4xx, 5xx, Latency, IntegrationLatency, DataProcessed."""


def deployed(stage: str) -> dict[str, int]:
    """Return what of `tools.run.prices.MONTHLY` a stage has."""
    templates = synthesise(STAGES[stage])
    found = Counter[str](dict.fromkeys(("alarms", "dashboards", "keys", "secrets"), 0))
    own, routes, detailed = set(), 0, False
    for kind, of in _resources(templates):
        if kind in KINDS:
            found[KINDS[kind]] += 1
        match kind:
            case "AWS::WAFv2::WebACL":
                found["web_acl_rules"] += len(of.get("Rules", ()))
            case "AWS::CloudWatch::Alarm" if of.get("Namespace") == NAMESPACE:
                own.add((of["MetricName"], str(of.get("Dimensions"))))
            case "AWS::Lambda::EventSourceMapping" if "StartingPosition" not in of:
                found["polled_queues"] += 1
            case "AWS::Events::Rule" if "ScheduleExpression" in of:
                found["sweeps_a_minute"] += 1
            case "AWS::ApiGatewayV2::Route":
                routes += 1
            case "AWS::ApiGatewayV2::Stage":
                detailed = bool(of.get("DefaultRouteSettings", {}).get("DetailedMetricsEnabled"))
    found["metrics"] = len(own) + (routes * ROUTE_METRICS if detailed else 0)
    return dict(sorted(found.items()))


def _resources(templates: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for template in templates.values():
        for resource in template["Resources"].values():
            yield resource["Type"], resource.get("Properties", {})
