"""Which of AWS's quotas a size reaches first, and what to do then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orders.store import SHARDS
from tools.cost.figures import Figures, Units
from tools.cost.month import DAY, PEAK

KMS_REQUESTS = 8
"""Of an order whose buyer's data key no process remembers: the intake, two for the token, five notices."""

OPEN_HOURS = 12
"""How long an order's execution is open on average: from placing to dispatch."""


@dataclass(frozen=True)
class Quota:
    """A default quota of an account in eu-west-1.

    Attributes
    ----------
    most
        As AWS sets it.
    used
        Figures and orders a second -> how much is used.
    source
        Where AWS says so.
    then
        What to do when it is reached.
    """

    name: str
    most: float
    unit: str
    used: Callable[[Figures, float], float]
    source: str
    then: str


_AWS = "https://docs.aws.amazon.com"
_STATES = f"{_AWS}/step-functions/latest/dg/service-quotas.html"
_EVENTS = f"{_AWS}/eventbridge/latest/userguide/eb-quota.html"
_TABLES = f"{_AWS}/amazondynamodb/latest/developerguide/ServiceQuotas.html"


def _per_order(of: Callable[[Units], float]) -> Callable[[Figures, float], float]:
    return lambda figures, rate: of(figures.order) * rate


QUOTAS = (
    Quota(
        "SES: mails a day, in the sandbox", 200, "/day",
        lambda figures, rate: figures.order["mails"] * rate / PEAK * DAY,
        f"{_AWS}/ses/latest/dg/quotas.html",
        "Outside of the sandbox AWS sets mails a day and a second for each account by its use: ask for both before "
        "going live. Mail beyond it waits in its queue and holds no order up; the inbox is not bound.",
    ),
    Quota(
        "Step Functions: open executions", 1_000_000, "",
        lambda _, rate: rate / PEAK * OPEN_HOURS * 60 * 60, _STATES,
        "Raised to millions on request. Then `AwaitDispatch` becomes a fact with a due time, like delivery is "
        "(`docs/decisions/2026-11-23-waits.md`): executions are then open for minutes.",
    ),
    Quota(
        "Step Functions: SendTaskSuccess", 500, "/s", lambda _, rate: 2 * rate, _STATES,
        "Soft; bucket of 3,000. A refused answer leaves its message on the queue and is given again; have it "
        "raised. With `AwaitDispatch` a fact, an order needs one answer.",
    ),
    Quota(
        "Step Functions: StartExecution", 300, "/s", lambda _, rate: rate, _STATES,
        "Soft; bucket of 1,300. The queue `orders-intake` holds orders back: they start later, none is lost. Lower its "
        "concurrency rather than have calls refused; have the quota raised for what a whole day needs.",
    ),
    Quota(
        "Step Functions: state transitions", 5_000, "/s", _per_order(lambda order: order["state_transitions"]), _STATES,
        "Soft. Transitions are delayed, not lost; have it raised.",
    ),
    Quota(
        "Step Functions: Express starts", 6_000, "/s", _per_order(lambda order: order["express_starts"]), _STATES,
        "Soft. EventBridge tries again for a day, and the sweep starts what it did not.",
    ),
    Quota(
        "EventBridge: PutEvents", 10_000, "/s", _per_order(lambda order: order["events"]), _EVENTS,
        "Relays put up to ten events a call; a refused call stays on its stream and is tried again. Have it raised; "
        "carriers' scans then go to a bus in an account of their own.",
    ),
    Quota(
        "EventBridge: invocations of targets", 18_750, "/s",
        lambda figures, rate: figures.order["queue_requests"] / 3 * rate, _EVENTS,
        "Deliveries are delayed, not lost. Have it raised.",
    ),
    Quota(
        "Lambda: concurrent executions", 1_000, "",
        lambda figures, rate: figures.order["lambda_gb_seconds"] / 0.5 * rate,
        f"{_AWS}/lambda/latest/dg/gettingstarted-limits.html",
        "Have it raised to tens of thousands. Queues have their own maximum, so that no worker takes what the API "
        "needs; `reserved_concurrency` keeps some for the intake.",
    ),
    Quota(
        "DynamoDB: write units of a table", 40_000, "/s", lambda figures, rate: max(figures.written.values()) * rate,
        _TABLES,
        "Have it raised; warm the tables before a day that will be twice the busiest one so far.",
    ),
    Quota(
        "DynamoDB: writes of a partition", 1_000, "/s", lambda _, rate: 2 * rate / SHARDS,
        f"{_AWS}/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
        f"Of a stage in the index `open`, which has {SHARDS} shards and two writes an order: more shards, "
        "`orders.store.SHARDS` (the sweep reads all of them). A SKU that everybody wants is a matter of stock rows.",
    ),
    Quota(
        "API Gateway: requests", 10_000, "/s", _per_order(lambda order: order["api_requests"]),
        f"{_AWS}/apigateway/latest/developerguide/limits.html",
        "The stage's own `throttle_rate` (prod: 2,000) refuses before: raise it with the size. Polling comes on top; "
        "ETags make their answers small, not fewer.",
    ),
    Quota(
        "KMS: symmetric operations", 100_000, "/s", lambda _, rate: KMS_REQUESTS * rate,
        f"{_AWS}/kms/latest/developerguide/requests-per-second.html",
        "10,000 or 20,000 in other regions. Have it raised, or keep a person's data key for minutes in the intake.",
    ),
    Quota(
        "Secrets Manager: reads", 10_000, "/s", lambda _, rate: rate,
        f"{_AWS}/secretsmanager/latest/userguide/reference_limits.html",
        "A process reads the provider's key once; reckoned with one a callback, which is when every process is new.",
    ),
    Quota(
        "SQS: messages in flight of a queue", 120_000, "", lambda _, rate: 200 * 10,
        f"{_AWS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html",
        "Bound by our own maximum concurrency times the batch (prod: 200 times 10), not by the size.",
    ),
)  # fmt: skip
