"""Logs and metrics by Powertools, one of each a process, built when first used.

Traces come from Lambda's active tracing alone: the X-Ray SDK costs a cold start more than the rest
of a function together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
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
    """Return the function's metrics, written as embedded metric format by `record`."""
    from aws_lambda_powertools.metrics import Metrics

    from commerce.figures import NAMESPACE

    return Metrics(namespace=NAMESPACE)


_NOTHING: Mapping[str, int] = MappingProxyType({})


def count(name: str, value: int = 1) -> None:
    """Add ``value`` to the metric ``name``."""
    record({name: value})


def record(counts: Mapping[str, int], seconds: Mapping[str, int] = _NOTHING) -> None:
    """Write metrics to the log at once, all in one line: CloudWatch takes them from there, and no API is called."""
    from aws_lambda_powertools.metrics import MetricUnit

    for unit, values in ((MetricUnit.Count, counts), (MetricUnit.Seconds, seconds)):
        for name, value in values.items():
            metrics().add_metric(name=name, unit=unit, value=value)
    if counts or seconds:
        metrics().flush_metrics()
