"""Logs and metrics by Powertools, one of each a process, built when first used.

Traces come from Lambda's active tracing alone: the X-Ray SDK costs a cold start more than the rest
of a function together.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.metrics import Metrics


@cache
def logger() -> Logger:
    """Return the function's logger; service and level come from ``POWERTOOLS_*`` variables."""
    from aws_lambda_powertools import Logger

    return Logger()


@cache
def metrics() -> Metrics:
    """Return the function's metrics, written as embedded metric format by `count`."""
    from aws_lambda_powertools.metrics import Metrics

    return Metrics()


def count(name: str, value: int = 1) -> None:
    """Add ``value`` to the metric ``name`` and write it to the log at once."""
    from aws_lambda_powertools.metrics import MetricUnit

    metrics().add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics().flush_metrics()
