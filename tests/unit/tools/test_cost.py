"""What belongs to which stage, when the budget is exceeded, and that the tables in the documents are the budget's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.cost import report
from tools.cost.figures import TIMED, Figures, dollars, exceeded, recorded
from tools.cost.month import DAYS, SIZES, month, rate, standing
from tools.cost.play import size_of
from tools.cost.quotas import QUOTAS
from tools.cost.stages import STAGES, by_stage, stage_of
from tools.run.journal import Tally
from tools.run.prices import AT_THE_EDGE

pytestmark = pytest.mark.unit


@pytest.fixture
def budget() -> Figures:
    return recorded()


def dearer(figures: Figures, stage: str, unit: str, factor: float) -> Figures:
    """Return the figures with ``factor`` times so much of one unit in one stage."""
    units = {**figures.stages[stage], unit: figures.stages[stage][unit] * factor}
    return replace(figures, stages={**figures.stages, stage: units})


def test_a_call_belongs_to_the_stage_of_who_made_it_or_else_of_the_step() -> None:
    def call(by: str) -> dict[str, Any]:
        return {"kind": "call", "service": "dynamodb", "action": "GetItem", "by": by}

    def transition(state: str, kind: str = "STANDARD") -> dict[str, Any]:
        return {"kind": "transition", "type": kind, "of": "state", "state": state}

    assert stage_of(call("commerce-local-inventory-reserve"), "placing") == "reserving"
    assert stage_of(call("commerce-test-notifications-inbox"), "delivery") == "notifications"
    assert stage_of(call("commerce-test-orders-inbox"), "payment") == "payment"
    assert stage_of(call("client"), "delivery") == "delivery"
    assert stage_of({"kind": "invoke", "function": "commerce-local-orders-intake"}, "placing") == "placing"
    assert stage_of({"kind": "queue", "queue": "commerce-local-orders-intake"}, "placing") == "reserving"
    assert [stage_of(transition(state), "placing") for state in ("", "Screen", "AwaitPayment", "AwaitDispatch")] == [
        "reserving", "reserving", "payment", "dispatch",
    ]  # fmt: skip
    assert stage_of(transition("", "EXPRESS"), "completion") == "completion"
    assert stage_of({"kind": "request"}, "dispatch") == "dispatch"


def test_every_line_is_counted_in_one_stage() -> None:
    lines = [
        {"kind": "queue", "queue": f"commerce-local-{queue}", "requests": 1, "messages": 1}
        for queue in ("orders-intake", "orders-inbox", "notifications-inbox")
    ]
    found = by_stage([("placing", lines), ("delivery", lines)], {})
    assert {stage: tally.queue_requests for stage, tally in found.items() if tally != Tally()} == {
        "placing": 1, "reserving": 2, "delivery": 1, "notifications": 2,
    }  # fmt: skip


def test_the_budget_keeps_itself(budget: Figures) -> None:
    assert exceeded(budget, budget) == []
    assert set(budget.stages) == set(STAGES)


def test_what_is_five_per_cent_dearer_exceeds_the_budget(budget: Figures) -> None:
    assert exceeded(dearer(budget, "reserving", "write_units", 1.04), budget) == []
    [unit, *_] = exceeded(dearer(budget, "reserving", "write_units", 1.06), budget)
    assert unit.startswith("reserving: ")
    assert "write_units" in unit
    for stage, units in budget.stages.items():
        for name, amount in units.items():
            if amount and name not in TIMED:
                assert exceeded(dearer(budget, stage, name, 1.06), budget), f"{name} of {stage}"


def test_one_more_transition_an_order_exceeds_it_in_units_and_in_dollars(budget: Figures) -> None:
    units = budget.stages["payment"]
    more = replace(budget, stages={**budget.stages, "payment": {**units, "state_transitions": 2.0}})
    found = exceeded(more, budget)
    assert any("state_transitions" in one for one in found)
    assert any(one.startswith("Step Functions: $") for one in found)


def test_what_was_not_there_before_exceeds_it(budget: Figures) -> None:
    units = {**budget.stages["completion"], "secret_reads": 1.0}
    more = replace(budget, stages={**budget.stages, "completion": units})
    assert exceeded(more, budget)
    assert exceeded(replace(budget, deployed={**budget.deployed, "alarms": budget.deployed["alarms"] * 2}), budget)
    assert exceeded(replace(budget, stored={**budget.stored, "orders": budget.stored["orders"] + 1000}), budget)


def test_what_a_clock_measures_is_priced_and_not_compared(budget: Figures) -> None:
    for name in TIMED:
        assert exceeded(dearer(budget, "completion", name, 9), budget) == []
    assert dollars({"lambda_gb_seconds": 1})["Lambda"] > 0


def test_an_order_costs_no_more_than_the_target_without_mail(budget: Figures) -> None:
    costs = dollars(budget.order)
    assert (sum(costs.values()) - costs["SES"]) * 1000 <= 0.30
    assert budget.order["state_transitions"] == 5
    assert budget.order["express_starts"] == 1


def test_a_month_is_what_its_orders_cost_and_what_stands_there(budget: Figures) -> None:
    small, _, large = (month(budget, size) for size in SIZES)
    assert small.standing == large.standing == sum(standing(budget).values())
    assert large.mail == pytest.approx(dollars(budget.order)["SES"] * SIZES[2] * DAYS)
    assert large.orders["SQS"] == pytest.approx(10_000 * small.orders["SQS"])
    assert large.orders["X-Ray"] < 10_000 * small.orders["X-Ray"], "of many executions one in twenty is recorded"


def test_what_stands_before_the_api_is_paid_by_the_request_and_by_the_month(budget: Figures) -> None:
    of_the_edge = {*AT_THE_EDGE, "web_acl_rules"}
    without = replace(budget, deployed={name: 1 for name in budget.deployed if name not in of_the_edge})
    behind = replace(without, deployed={**without.deployed, "web_acls": 1, "web_acl_rules": 5, "distributions": 1})
    bare, fronted = (month(figures, 100_000) for figures in (without, behind))
    assert fronted.standing - bare.standing == pytest.approx(10)
    assert bare.orders["CloudFront and WAF"] == 0
    assert fronted.orders["CloudFront and WAF"] == pytest.approx(budget.order["api_requests"] * 3_000_000 * 1.8e-6)


def test_quotas_are_of_aws_and_grow_with_the_size(budget: Figures) -> None:
    for quota in QUOTAS:
        small, large = (quota.used(budget, rate(size)) for size in (SIZES[0], SIZES[-1]))
        assert 0 < small <= large, quota.name
        assert quota.source.startswith("https://docs.aws.amazon.com/"), quota.name
        assert quota.then, quota.name


@pytest.mark.parametrize("name", report.DOCUMENTS)
def test_the_tables_in_the_documents_are_those_of_the_budget(name: str, budget: Figures) -> None:
    text = (report.ROOT / name).read_text(encoding="utf-8")
    assert "<!-- cost: " in text
    assert report.renewed(text, budget) == text, "make cost RECORD=1"


def test_a_table_that_somebody_wrote_himself_is_found(budget: Figures, tmp_path: Path) -> None:
    stale = "x\n<!-- cost: readme -->\n| 1,000 orders | cheap |\n<!-- end -->\ny\n"
    assert "cheap" not in report.renewed(stale, budget)
    for name in report.DOCUMENTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(stale)
    report.write(budget, tmp_path)
    assert "DynamoDB" in (tmp_path / "README.md").read_text()
    with pytest.raises(KeyError):
        report.renewed("<!-- cost: nothing -->\n<!-- end -->", budget)


def test_an_item_has_the_size_that_dynamodb_says() -> None:
    item = {"pk": {"S": "ORDER#1"}, "n": {"N": "-12345"}, "b": {"BOOL": True}, "l": {"L": [{"S": "ab"}, {"M": {}}]}}
    assert size_of(item) == (2 + 7) + (1 + 4) + (1 + 1) + (1 + 3 + (2 + 1) + (3 + 1))
