"""The seeded part of a run: the same each time, and nothing in it that could not happen."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.run import plan

pytestmark = pytest.mark.unit

seeds = st.text("0123456789-", min_size=1, max_size=12)


@given(seeds)
def test_every_scan_of_a_parcel_is_reported_and_the_delivery_last(seed: str) -> None:
    reports = plan.reports(seed)
    assert {scan for report in reports for scan in report.scans} == set(range(len(plan.SCANS)))
    assert plan.SCANS[reports[-1].scans[-1]] == "delivered"
    assert [report.after for report in reports] == sorted(report.after for report in reports)


@given(seeds)
def test_no_scan_is_reported_before_it_is_made(seed: str) -> None:
    for report in plan.reports(seed):
        assert report.after >= max((scan + 1) * plan.STEP_SECONDS for scan in report.scans)


def test_most_parcels_have_six_single_scans_and_every_kind_of_disorder_occurs() -> None:
    kinds = Counter(_kind(plan.reports(f"{invoice}-1")) for invoice in range(1000))
    assert kinds["plain"] > 600
    assert min(kinds[kind] for kind in ("twice", "reordered", "history")) > 50


def _kind(reports: tuple[plan.Report, ...]) -> str:
    scans = [report.scans for report in reports]
    if len(scans) > len(plan.SCANS):
        return "twice"
    if len(scans[-1]) > 1:
        return "history"
    return "plain" if scans == sorted(scans) else "reordered"


def test_every_way_to_pay_occurs() -> None:
    ways = Counter(plan.payment(str(invoice)) for invoice in range(1000))
    assert set(ways) == set(plan.Payment)
    assert ways[plan.Payment.AT_ONCE] > 600


def test_a_plan_does_not_change_from_run_to_run() -> None:
    assert plan.payment("536365") is plan.payment("536365")
    assert plan.reports("536365-1") == plan.reports("536365-1")
    assert {plan.cancelling(str(invoice)) for invoice in range(20)} == set(plan.Cancelling)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=40), st.integers(1, 12))
def test_orders_played_alone_are_of_all_sizes(lines: list[int], count: int) -> None:
    chosen = plan.alone(lines, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(lines))
    assert [lines[at] for at in chosen] == sorted(lines[at] for at in chosen)


def test_orders_played_alone_leave_out_the_extremes_of_many() -> None:
    assert [plan.alone(list(range(80)), 8)[at] for at in (0, 7)] == [5, 75]
