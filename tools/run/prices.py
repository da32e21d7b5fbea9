"""What AWS charges for what an order uses.

List prices of the region eu-west-1 (Ireland) in US dollars, without free tiers, volume discounts and taxes, from
AWS's pricing pages (aws.amazon.com/<service>/pricing), as of November 2026. Where a service has tiers, the first one.

What does not grow with orders is not here (keys at $1 a month, alarms, storage, backups, empty polls of queues), nor
is what nothing here measures: log ingestion, traces and data transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MILLION = 1_000_000

PRICES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # On-demand tables, since the cut of November 2024.
        "DynamoDB": {"write_units": 0.705 / MILLION, "read_units": 0.1415 / MILLION},
        # Standard workflows; starts and retries count as transitions.
        "Step Functions": {"state_transitions": 25.0 / MILLION},
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
    }
)
"""Service -> what of a `tools.run.journal.Tally` it charges for -> dollars for one."""


def cost(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return service -> dollars for ``amounts`` (the fields of a `tools.run.journal.Tally`)."""
    return {
        service: sum(amounts[what] * dollars for what, dollars in charged.items())
        for service, charged in PRICES.items()
    }
