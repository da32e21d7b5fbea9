"""Figures of made-up runs: percentiles, stages, costs, and that nothing wrong is passed over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.client import Api, PlacedOrder, Refused
from tools.loader import Fault, Order, Sample, load_sample
from tools.run import figures
from tools.run.alone import Alone, budget, choose, stock_for
from tools.run.board import Board, Tale
from tools.run.journal import Reading, Tally
from tools.run.play import unexpected
from tools.run.prices import PRICES, cost

pytestmark = pytest.mark.unit

FACTS = [
    "placed",
    "screened",
    "reserved",
    "paid",
    "slip_released",
    "packed",
    "dispatched",
    "scan:picked_up",
    "scan:in_transit",
    "scan:out_for_delivery",
    "delivered",
    "accepted",
    "settled",
    "completed",
]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_sample(20)


def timeline(*facts: str) -> list[dict[str, Any]]:
    return [{"fact": fact, "at": f"2026-11-23T06:00:{at:02d}.000Z", "source": "x"} for at, fact in enumerate(facts)]


NOBODY = Api(httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)), trust_env=False))


def placed() -> PlacedOrder:
    return PlacedOrder("06PM-4NXB-DTKC", "v1.x.y", NOBODY, "/orders/06PM-4NXB-DTKC", 100, "GBP")


def completed(order: Order) -> Tale:
    return Tale(order, placed=placed(), status="completed", timeline=timeline(*FACTS))


@pytest.fixture
def board(sample: Sample) -> Board:
    made = Board([order for order in sample.orders if order.is_accepted])
    made.tales = [completed(tale.order) for tale in made.tales]
    return made


def alone(**amounts: float) -> Alone:
    used = {"state_transitions": 5, "write_units": 90, "lambda_invocations": 40} | amounts
    return Alone([placed()], 10, [Reading(caused=Tally(**used))], [], [])


def test_percentiles_are_observed_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (figures.percentile(values, 0.5), figures.percentile(values, 0.95)) == (50, 95)
    assert figures.percentile([7.0], 0.95) == 7


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_not_below_its_share_of_the_values(values: list[float], share: float) -> None:
    found = figures.percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)


def test_a_stage_takes_the_time_from_the_fact_before() -> None:
    facts = timeline("placed", "screened", "reserved")
    assert figures.durations(reversed(facts)) == {"screened": 1000, "reserved": 1000}


def test_of_several_parcels_the_first_counts() -> None:
    facts = [
        *timeline("placed", "packed"),
        {"fact": "packed", "at": "2026-11-23T06:00:09.000Z", "source": "x"},
    ]
    assert figures.durations(facts) == {"packed": 1000}


def test_stages_are_summed_up_over_orders() -> None:
    assert figures.stages([timeline("placed", "paid")] * 3) == {"paid": {"p50_ms": 1000, "p95_ms": 1000, "orders": 3}}


def test_every_price_is_of_something_that_is_counted() -> None:
    assert {what for charged in PRICES.values() for what in charged} == set(Tally().amounts())


def test_a_thousand_orders_cost_a_thousand_times_one() -> None:
    assert cost(Tally(state_transitions=8).amounts())["Step Functions"] == pytest.approx(0.0002)
    found = figures.costs(Tally(state_transitions=16, mails=10), 2)
    assert found["by_service"]["Step Functions"] == pytest.approx(0.2)
    assert found["by_service"]["SES"] == pytest.approx(0.5)
    assert found["total"] == pytest.approx(0.7)


def test_a_good_run_has_no_troubles(board: Board) -> None:
    assert figures.troubles(board, alone(), alone().per_order()) == []
    assert figures.orders(board) | {"by_status": None} == {
        "placed": 16, "accepted": 16, "refused": 0, "by_status": None, "stuck": 0, "lost": 0,
    }  # fmt: skip


def test_a_stuck_order_is_told(board: Board) -> None:
    board.tales[0].status = "paid"
    assert figures.orders(board)["stuck"] == 1
    assert "is paid, not completed" in figures.troubles(board, alone(), alone().per_order())[0]


def test_a_lost_order_is_told(board: Board) -> None:
    board.tales[0].status, board.tales[0].trouble = "", "lost: 404"
    assert figures.orders(board)["lost"] == 1
    assert "lost: 404" in figures.troubles(board, alone(), alone().per_order())[0]


def test_a_timeline_with_too_few_facts_is_told(board: Board) -> None:
    board.tales[0].timeline = timeline(*FACTS[:11])
    assert "11 facts only" in figures.troubles(board, alone(), alone().per_order())[0]


def test_too_few_accepted_orders_are_told(board: Board) -> None:
    for tale in board.tales[:4]:
        tale.placed, tale.refusal, tale.status = None, Refused("POST /orders", 422, {}), ""
    assert "of the well-formed invoices" in figures.troubles(board, alone(), alone().per_order())[-1]


@pytest.mark.parametrize(
    "amounts", [{"state_transitions": 5.1}, {"write_units": 95.1}, {"lambda_invocations": 41}], ids=str
)
def test_a_budget_that_is_broken_is_told(board: Board, amounts: dict[str, float]) -> None:
    found = figures.troubles(board, alone(**amounts), alone(**amounts).per_order())
    assert [next(iter(amounts)) in trouble for trouble in found] == [True]


def test_a_line_adds_to_the_budget_of_writes() -> None:
    assert budget({"lines": 10, "state_transitions": 1, "write_units": 1, "lambda_invocations": 1})["write_units"] == (
        95,
        1,
    )


def test_a_report_has_what_is_promised(sample: Sample, board: Board) -> None:
    found = figures.report(sample, board, alone(), Reading(), ["stock-balances: off"], {"play": 1.0})
    assert found.keys() >= {"orders", "stages", "per_order", "cost_usd_per_1000_orders", "whole_run", "troubles"}
    assert found["per_order"].keys() >= {
        "lines", "state_transitions", "write_units", "read_units", "lambda_invocations", "api_requests", "events",
        "queue_requests",
    }  # fmt: skip
    assert found["per_order"]["lines"] == 10
    assert found["audit_findings"] == 1
    assert "stock-balances: off" in found["troubles"]


def refusal(*fields: str) -> Refused:
    errors = [{"field": field, "code": "x", "message": "x"} for field in fields]
    return Refused("POST /orders", 422, {"type": "/problems/order-refused", "errors": errors})


@pytest.mark.parametrize(
    ("faults", "refused", "wrong"),
    [
        ((), None, ""),
        (("lines.0.sku",), refusal("lines.0.sku", "lines.1.sku"), ""),
        (("lines.0.sku",), None, "accepted in spite of"),
        ((), refusal("lines.0.sku"), "refused: "),
        (("lines.0.sku",), refusal("currency"), "and not for one of"),
    ],
)
def test_a_refusal_must_name_a_field_that_is_at_fault(
    sample: Sample, faults: tuple[str, ...], refused: Refused | None, wrong: str
) -> None:
    order = replace(sample.orders[0], faults=tuple(Fault(field, "x") for field in faults))
    found = unexpected(Tale(order, refusal=refused))
    assert wrong in found if wrong else not found


def test_orders_played_alone_can_be_one_parcel_and_get_their_stock(sample: Sample) -> None:
    chosen = choose(sample)
    assert len(chosen) == 8
    for order in chosen:
        assert order.is_accepted
        assert not order.buyer.is_guest
        levels = stock_for(sample, order)
        assert {level.warehouse for level in levels} == {sample.warehouses[order.buyer.country][0]}
        assert [level.quantity for level in levels] == [line["quantity"] for line in order.body["lines"]]
