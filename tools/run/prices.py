"""What AWS charges for what an order uses.

List prices of the region eu-west-1 (Ireland) in US dollars, without free tiers, volume discounts and taxes, from
AWS's pricing pages (aws.amazon.com/<service>/pricing), as of November 2026. Where a service has tiers, the first one.

`PRICES` is what grows with orders; what stands there whether anybody orders or not is in `MONTHLY`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MILLION = 1_000_000
GB = 2**30

PRICES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # On-demand tables, since the cut of November 2024.
        "DynamoDB": {"write_units": 0.705 / MILLION, "read_units": 0.1415 / MILLION},
        # Standard workflows: starts and retries count as transitions. Express workflows: starts, and time and memory
        # in their first tier ($0.06 a GB-hour).
        "Step Functions": {
            "state_transitions": 25.0 / MILLION,
            "express_starts": 1.00 / MILLION,
            "express_gb_seconds": 0.06 / 3600,
        },
        # arm64, first tier.
        "Lambda": {"lambda_invocations": 0.20 / MILLION, "lambda_gb_seconds": 0.0000133334},
        # HTTP API, first 300 million a month.
        "API Gateway": {"api_requests": 1.11 / MILLION},
        # Custom events; rules and deliveries to targets of the same account are free.
        "EventBridge": {"events": 1.00 / MILLION},
        # Standard queues.
        "SQS": {"queue_requests": 0.40 / MILLION},
        # Symmetric and HMAC keys.
        "KMS": {"kms_requests": 0.03 / 10_000},
        "SES": {"mails": 0.10 / 1000},
        "Secrets Manager": {"secret_reads": 0.05 / 10_000},
        # Standard class, first tier.
        "CloudWatch Logs": {"log_bytes": 0.57 / GB},
        "X-Ray": {"traces": 5.00 / MILLION},
        # Out to the internet, first 10 TB a month.
        "Data transfer": {"bytes_out": 0.09 / GB},
    }
)
"""Service -> what of a `tools.run.journal.Tally` it charges for -> dollars for one."""


def cost(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return service -> dollars for ``amounts`` (the fields of a `tools.run.journal.Tally`)."""
    return {
        service: sum(amounts[what] * dollars for what, dollars in charged.items())
        for service, charged in PRICES.items()
    }


PROVISIONED = 0.000735 / 3600
"""Dollars of a write unit a second that is provisioned for a second, used or not."""

MONTHLY: Mapping[str, float] = MappingProxyType(
    {
        "alarms": 0.10,
        "composite_alarms": 0.50,
        "dashboards": 3.00,
        "keys": 1.00,
        "secrets": 0.40,
        # Own and detailed metrics, first 10,000.
        "metrics": 0.30,
        "web_acls": 5.00,
        "web_acl_rules": 1.00,
        # Lambda asks an idle queue with five long polls of 20 seconds at once.
        "polled_queues": 5 * 3 * 60 * 24 * 30 * 0.40 / MILLION,
    }
)
"""What stands there -> dollars a month for one."""

AT_THE_EDGE: Mapping[str, float] = MappingProxyType({"web_acls": 0.60 / MILLION, "distributions": 0.012 / 10_000})
"""What stands before the API, if it does -> dollars a request: WAF, CloudFront (HTTPS in Europe)."""

STORAGE: Mapping[str, float] = MappingProxyType({"tables": 0.283, "point_in_time_recovery": 0.226, "logs": 0.03})
"""What is kept -> dollars a GB and month."""
