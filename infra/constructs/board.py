"""Dashboards: what the business does first, then what may keep it from doing so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from commerce.events import Event
from commerce.figures import Figure
from infra.constructs.alarm import Alarms
from infra.constructs.dead_letter_queue import SUFFIX
from infra.constructs.metrics import AVERAGE, MAXIMUM, MINUTE, P99, SUM, THROTTLES, AccountMetric, of_account, of_api
from infra.names import Names
from infra.troubles import RUNBOOKS

WIDTH = 24
"""Columns of a dashboard."""

FEW = 24
"""Alarms that fit into two rows."""


Widget = Callable[..., cloudwatch.ConcreteWidget]
"""A widget that lacks nothing but its width."""


class How(Enum):
    """How a figure is read: ``COUNT`` adds up, ``STATE`` is as it was last, ``AGE`` too, in hours."""

    COUNT = "count"
    STATE = "state"
    AGE = "age"


COUNT, STATE, AGE = How.COUNT, How.STATE, How.AGE


@dataclass(frozen=True)
class Shown:
    """A figure that people look at first.

    Attributes
    ----------
    title
        What it is called there.
    what
        An event, counted by its relay; a figure; or what AWS counts for the whole account.
    """

    title: str
    what: type[Event] | Figure | AccountMetric
    how: How


@dataclass(frozen=True)
class Parts:
    """What the technical half of a dashboard is about, by names without the stage's prefix.

    Attributes
    ----------
    queues
        Dead-letter queues included.
    tables
        Table -> its indexes.
    """

    functions: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Board:
    """The dashboard ``commerce-<stage>-<name>``, with the alarms of the stack that it is in."""

    def __init__(self, scope: Construct, name: str, parts: Parts, alarms: Alarms, *, names: Names) -> None:
        self._metrics = alarms.metrics
        self._alarms = alarms
        self._parts = parts
        self._name = name
        self._board = cloudwatch.Dashboard(
            scope,
            "Dashboard",
            dashboard_name=names.of(name),
            default_interval=Duration.hours(3),
            period_override=cloudwatch.PeriodOverride.INHERIT,
        )

    def of_context(self, shown: Sequence[Shown]) -> None:
        """Fill it for one context."""
        self._business(shown)
        self._alarm_states([*self._alarms.waking, *self._alarms.others])
        self._technical()

    def of_platform(self, shown: Sequence[Shown], api_id: str, waking: Sequence[cloudwatch.IAlarm]) -> None:
        """Fill it for the platform as a whole.

        Parameters
        ----------
        waking
            The alarms that wake, one a stack.
        """
        self._business(shown)
        if waking:
            self._alarm_states(waking)
        self._row(
            _graph("Requests a minute", [of_api(api_id, "Count", SUM)]),
            _graph("Refused and failed a minute", [of_api(api_id, one, SUM) for one in ("4xx", "5xx")]),
            _graph("Time to answer", [of_api(api_id, "Latency", one) for one in (AVERAGE, P99)], unit="milliseconds"),
        )
        self._technical()

    def _business(self, shown: Sequence[Shown]) -> None:
        heading = self._name.capitalize()
        self._row(
            partial(
                cloudwatch.TextWidget,
                markdown=f"# {heading}\nCounts are of the time shown. When an alarm is on: `{RUNBOOKS}`.",
                height=2,
            )
        )
        counts = [self._shown(one) for one in shown if one.how is COUNT]
        states = [self._shown(one) for one in shown if one.how is not COUNT]
        ages = [self._shown(one) for one in shown if one.how is AGE]
        if counts:
            self._row(_numbers("What happened", counts, added_up=True))
        if states:
            self._row(_numbers("How it is now", states, added_up=False))
        charts = [
            *([_graph("What happens a minute", counts)] if counts else []),
            *([_graph("The oldest waiting", ages, unit="hours")] if ages else []),
        ]
        if charts:
            self._row(*charts)

    def _technical(self) -> None:
        self._row(*self._functions())
        self._row(*self._ways())
        self._row(*self._machines())
        if self._parts.tables:
            self._row(*self._tables())

    def _functions(self) -> Iterator[Widget]:
        for title, metric, statistic, unit in (
            ("Invocations a minute", "Invocations", SUM, "a minute"),
            ("Functions that raised", "Errors", SUM, "a minute"),
            ("Slowest invocation", "Duration", MAXIMUM, "milliseconds"),
        ):
            metrics = [self._metrics.function(name, metric, statistic) for name in self._parts.functions]
            yield _graph(title, metrics, unit=unit)

    def _ways(self) -> Iterator[Widget]:
        """Yield what lies between contexts: queues, dead-letter queues and relays."""
        of, queues = self._metrics, self._parts.queues
        work = [name for name in queues if not name.endswith(SUFFIX)]
        dead = [name for name in queues if name.endswith(SUFFIX)]
        relays = [name for name in self._parts.functions if name.endswith("-relay")]
        if work:
            ages = [of.queue(name, "ApproximateAgeOfOldestMessage") for name in work]
            yield _graph("Oldest message", ages, unit="seconds")
        if dead:
            kept = [of.queue(name, "ApproximateNumberOfMessagesVisible") for name in dead]
            yield _graph("Dead letters", kept, unit="messages")
        if relays:
            behind = [of.function(name, "IteratorAge", MAXIMUM) for name in relays]
            yield _graph("Relays behind their streams", behind, unit="milliseconds")

    def _machines(self) -> Iterator[Widget]:
        outcomes = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
        for machine in self._parts.machines:
            yield _graph(f"Executions of {machine}", [self._metrics.machine(machine, one) for one in outcomes])

    def _tables(self) -> Iterator[Widget]:
        of, tables = self._metrics, self._parts.tables
        yield _graph(
            "Written", [of.table(name, "ConsumedWriteCapacityUnits") for name in tables], unit="units a minute"
        )
        throttled = [of.table(name, metric) for name in tables for metric in THROTTLES]
        for name, indexes in tables.items():
            throttled += [of.index(name, index, metric) for index in indexes for metric in THROTTLES]
        yield _graph("Throttled", throttled)
        contended = ("TransactionConflict", "ConditionalCheckFailedRequests")
        yield _graph("Writers in each other's way", [of.table(name, one) for name in tables for one in contended])

    def _shown(self, one: Shown) -> cloudwatch.IMetric:
        statistic = SUM if one.how is COUNT else MAXIMUM
        if isinstance(one.what, AccountMetric):
            metric = of_account(one.what, statistic)
        else:
            metric = self._metrics.own(one.what, statistic)
        if one.how is not AGE:
            return metric.with_(label=one.title)
        seconds = metric.metric_name.lower()  # ids are of the whole widget
        return cloudwatch.MathExpression(
            expression=f"{seconds} / 3600",
            using_metrics={seconds: metric},
            label=f"{one.title} (h)",
            period=MINUTE,
        )

    def _alarm_states(self, alarms: Sequence[cloudwatch.IAlarm]) -> None:
        height = 5 if len(alarms) > FEW else 3
        self._row(partial(cloudwatch.AlarmStatusWidget, title="Alarms", alarms=list(alarms), height=height))

    def _row(self, *widgets: Widget) -> None:
        """Add a row of widgets that share its width."""
        if widgets:
            self._board.add_widgets(*(widget(width=WIDTH // len(widgets)) for widget in widgets))


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric], *, unit: str = "a minute") -> Widget:
    axis = cloudwatch.YAxisProps(min=0, label=unit, show_units=False)
    return partial(cloudwatch.GraphWidget, title=title, left=list(metrics), left_y_axis=axis, height=6)


def _numbers(title: str, metrics: Sequence[cloudwatch.IMetric], *, added_up: bool) -> Widget:
    return partial(
        cloudwatch.SingleValueWidget,
        title=title,
        metrics=list(metrics),
        set_period_to_time_range=added_up,
        height=3,
    )
