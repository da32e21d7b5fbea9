"""What a person sees of a run: progress while it is played, tables at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.run.board import STAGES, WAITING, Board

PLAIN_SECONDS = 5.0
"""Between two lines where nobody watches a terminal."""


class Display:
    """The progress of a board's orders: live on a terminal, else a line now and then."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console
        self._started = self._told = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]orders"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("orders", total=len(board.tales), rate="")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._line()

    def watch(self) -> None:
        """Take a moment's pause; tell how far it is where no live display does."""
        time.sleep(0.25)
        if not self._console.is_terminal and time.monotonic() - self._told >= PLAIN_SECONDS:
            self._line()

    def _rate(self) -> str:
        return f"{self._board.ended / max(0.1, time.monotonic() - self._started):.1f} orders/s"

    def _line(self) -> None:
        self._told = time.monotonic()
        counts = self._board.counts()
        seen = ", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage])
        self._console.print(f"{self._told - self._started:5.0f} s  {self._rate()}  {seen}", highlight=False)

    def _render(self) -> Group:
        counts = self._board.counts()
        self._progress.update(self._task, completed=self._board.ended, rate=self._rate())
        table = Table.grid(padding=(0, 2))
        width = max(1, len(self._board.tales))
        for stage in STAGES:
            if counts[stage] or stage == WAITING:
                bar = "█" * max(bool(counts[stage]), round(40 * counts[stage] / width))
                table.add_row(stage, str(counts[stage]), f"[cyan]{bar}")
        return Group(self._progress, table)


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print the figures of a run as tables."""
    console.print()
    for table in (_statuses(figures), _stages(figures), _takes(figures), _calls(figures), _costs(figures)):
        console.print(table)
        console.print()
    for trouble in figures["troubles"]:
        console.print(f"[red]not as it should be:[/] {trouble}", highlight=False)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at else "left")
    return table


def _statuses(figures: Mapping[str, Any]) -> Table:
    table = _table("Orders", "", "orders")
    of = figures["orders"]
    for name in ("placed", "refused", "accepted"):
        table.add_row(name, str(of[name]))
    for status, number in of["by_status"].items():
        table.add_row(f"  {status}", str(number))
    for name in ("stuck", "lost"):
        table.add_row(name, str(of[name]))
    return table


def _stages(figures: Mapping[str, Any]) -> Table:
    table = _table("Time to each fact from the one before", "fact", "p50 ms", "p95 ms", "orders")
    for fact, took in figures["stages"].items():
        table.add_row(fact, str(took["p50_ms"]), str(took["p95_ms"]), str(took["orders"]))
    return table


def _takes(figures: Mapping[str, Any]) -> Table:
    table = _table("What an order takes", "", "played alone", "at most", "whole run")
    whole, bounds = figures["whole_run"]["per_accepted_order"], figures["budget"]
    for name, amount in figures["per_order"].items():
        most = f"{bounds[name]['most']:.1f}" if name in bounds else ""
        table.add_row(name, f"{amount:.2f}", most, f"{whole[name]:.2f}")
    return table


def _calls(figures: Mapping[str, Any]) -> Table:
    table = _table("AWS calls of the whole run", "service", "calls")
    for service, calls in figures["whole_run"]["aws_calls"].items():
        table.add_row(service, str(calls))
    return table


def _costs(figures: Mapping[str, Any]) -> Table:
    table = _table("AWS list price of 1,000 orders, US dollars", "service", "played alone", "whole run")
    alone, whole = figures["cost_usd_per_1000_orders"], figures["whole_run"]["cost_usd_per_1000_orders"]
    for service, dollars in sorted(alone["by_service"].items(), key=lambda one: -one[1]):
        table.add_row(service, f"{dollars:.4f}", f"{whole['by_service'][service]:.4f}")
    table.add_row("in all", f"{alone['total']:.4f}", f"{whole['total']:.4f}", style="bold")
    return table
