"""Orders outlive releases: today's functions finish what released versions have left, whatever its stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from commerce.events import EVENTS
from orders import tasks
from orders.model import TERMINAL, OrderAlreadyStarted, OrderCancelled, Status
from tests.integration import recorded
from tests.integration.recorded import Case, Task, World
from tests.integration.recorded_items import unread

pytestmark = pytest.mark.integration

CASES = recorded.cases()
BEFORE_DISPATCH = ("received", "awaiting_stock", "awaiting_payment", "paid")
CLOSED = {status.value for status in TERMINAL}
WAITED_FOR = {"AwaitStock": "stock", "AwaitPayment": "payment", "AwaitDispatch": "dispatch"}


def gone(case: Case) -> bool:
    """Whether a parcel of the order has left."""
    return any(item.get("state") == "dispatched" for item in case.items("shipping"))


def expiring(case: Case) -> bool:
    """Whether the order waits for what an order of its release has waited for in vain."""
    waited_for = WAITED_FOR[case.waiting["state"]] if case.waiting else ""
    return any(
        task["state"] == "BeginClose" and task["input"]["waited_for"] == waited_for
        for one in CASES
        if one.tag == case.tag
        for task in one.tasks
    )


COMPLETED = [case for case in CASES if recorded.later(case, "completed")]
CANCELLED = [case for case in CASES if case.status in BEFORE_DISPATCH and not gone(case)]
EXPIRED = [case for case in CASES if expiring(case) and not gone(case)]
STARTED = [case for case in CASES if case.tasks]


def each(found: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", found, ids=[case.id for case in found])


@pytest.fixture
def world(case: Case, aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(case, monkeypatch)
    recorded.forget()


def covers(today: Any, then: Any) -> bool:
    """Whether ``today`` has everything of ``then``; what is new beside it is an addition."""
    if isinstance(then, Mapping):
        return isinstance(today, Mapping) and all(
            name in today and covers(today[name], value) for name, value in then.items()
        )
    if isinstance(then, list):
        return isinstance(today, list) and len(today) == len(then) and all(map(covers, today, then))
    return bool(today == then)


def like(today: Any, then: Any) -> bool:
    """Whether ``today`` has the names of ``then`` and values of its types: what two orders can have in common."""
    if isinstance(then, Mapping):
        return isinstance(today, Mapping) and all(
            name in today and like(today[name], value) for name, value in then.items()
        )
    if isinstance(then, list):
        return isinstance(today, list) and all(like(one, then[0]) for one in today if then)
    return type(today) is type(then)


def run(world: World, script: Sequence[Task], same: Callable[[Any, Any], bool] = covers) -> None:
    """Play what an execution of the release goes on to do: its inputs, today's tasks, and what came of them then."""
    for at, task in enumerate(script):
        handler, token = recorded.task_handler(task["function"]), task["input"].get("token")
        if task["state"] not in WAITED_FOR:
            check(handler, task, same)
            world.pump()
            continue
        if token not in world.executions.answers:
            world.executions.open.add(token)
            handler(task["input"], None)
            world.pump()
        following = script[at + 1]["state"] if at + 1 < len(script) else ""
        if token not in world.executions.answers:
            act(world, task, following)
        assert world.executions.answers[token] == task.get("error", ""), f"{task['state']} goes on as it did"


def check(handler: Any, task: Task, same: Callable[[Any, Any], bool]) -> None:
    """Run a task that does not wait: the same refusal by name, or at least what the definition was given then."""
    if "error" in task:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - its class's name is what the definition knows
            handler(task["input"], None)
        assert type(refused.value).__name__ == task["error"]
    else:
        assert same(handler(task["input"], None), task["output"]), task["state"]


def act(world: World, task: Task, following: str) -> None:
    """Let happen in the world what the execution waits for."""
    if task.get("error") == "OrderCancelled":
        if following == "StopSlips" and not gone_now(world):
            world.dispatch(most=1)
        world.cancel()
    elif task["state"] == "AwaitStock":
        world.supply()
    elif task["state"] == "AwaitPayment":
        world.pay()
    else:
        world.dispatch()


def gone_now(world: World) -> bool:
    return any(slip["state"] == "dispatched" for slip in world.slips)


def assert_settled(world: World, status: str) -> None:
    """The order is at its end, the books of stock and money balance, nothing is held any more."""
    order = world.orders.get(world.case.order_id)
    assert (order.status.value, order.due) == (status, None)
    completed = status == "completed"
    lines = world.orders.revision(order.order_id, order.revision).lines
    stock = [item for item in world.scan("inventory") if item["pk"].startswith("STOCK#")]
    assert stock
    for row in stock:
        assert row["on_hand"] + row["reserved"] + row["shipped"] == row["received"], row
        assert row["reserved"] == 0, row
    for sku in {line.sku for line in lines}:
        shipped = sum(row["shipped"] for row in stock if row["pk"] == f"STOCK#{sku}")
        assert shipped == (sum(line.quantity for line in lines if line.sku == sku) if completed else 0)
    payments = world.money.payments.values()
    assert sum(one.captured - one.refunded for one in payments) == (order.total if completed else 0)
    assert not world.money.to_return
    states = {one.state.value for one in payments}
    assert states <= ({"captured"} if completed else {"voided", "refunded"}), states
    assert not any("queue_pk" in slip for slip in world.slips), "no slip is left on a queue"
    for table in recorded.CONTEXTS:
        for item in world.scan(table):
            assert "v" in item or (item["pk"].startswith("WAITING#") and item["sk"] == "-"), item


def test_something_is_recorded() -> None:
    assert CASES
    assert {case.status for case in CASES} >= {*BEFORE_DISPATCH, "dispatched", "delivered", *CLOSED}
    states = {task["state"] for case in CASES for task in case.tasks}
    assert states >= {*WAITED_FOR, "Screen", "Reserve", "BeginClose", "StopSlips", "Resume", "ReturnMoney"}
    assert states >= {"ReleaseStock", "Close", "Settle", "Complete"}


@each(COMPLETED)
def test_an_order_is_completed(world: World, case: Case) -> None:
    script = recorded.ahead(case, "completed")
    world.pump()
    if case.status == "received":
        assert world.executions.started == [case.order_id]
    run(world, [task for task in script if task["machine"] == "lifecycle"])
    if world.status == "dispatched":
        world.deliver()
    if world.status == "delivered":
        world.accept()
        assert "OrderAccepted" in world.told, "which starts the completion"
    run(world, [task for task in script if task["machine"] == "completion"])
    assert_settled(world, "completed")


@each(CANCELLED)
def test_an_order_is_cancelled(world: World, case: Case) -> None:
    world.pump()
    world.cancel()
    if case.waiting:
        assert world.executions.answers[case.waiting["input"]["token"]] == "OrderCancelled"
    else:
        assert world.executions.started == [case.order_id]
        with pytest.raises(OrderCancelled):
            tasks.screen(recorded.ahead(case, "completed")[0]["input"], None)
    run(world, recorded.closing(case, "cancelled", "StopSlips"), like)
    assert_settled(world, "cancelled")
    assert "OrderCancelled" in world.told


@each(EXPIRED)
def test_an_order_expires(world: World, case: Case) -> None:
    assert case.waiting
    world.pump()
    run(world, recorded.closing(case, "expired", "BeginClose", WAITED_FOR[case.waiting["state"]]), like)
    assert_settled(world, "expired")
    assert "OrderExpired" in world.told


@each([case for case in CASES if case.status in CLOSED])
def test_a_closed_order_stays_closed(world: World, case: Case) -> None:
    before = world.orders.get(case.order_id)
    world.pump()
    assert world.orders.get(case.order_id) == before
    assert_settled(world, case.status)


@each(STARTED)
def test_the_first_state_refuses_an_order_that_was_started(world: World, case: Case) -> None:
    with pytest.raises(OrderAlreadyStarted):
        tasks.screen({"order_id": case.order_id, "started_at": "2099-01-01T00:00:00.000Z"}, None)
    screened = case.tasks[0]
    if case.status not in (Status.CANCELLED, Status.EXPIRED):  # the same execution again is a retry
        assert covers(tasks.screen(screened["input"], None), screened["output"])


@each(CASES)
def test_what_buyers_were_shown_is_shown_today(world: World, case: Case) -> None:
    order = world.orders.get(case.order_id)
    handlers = {
        "timeline": "orders.api.handler",
        "payments": "payments.api.handler",
        "shipments": "shipping.api.handler",
    }
    for shown in case.content["shown"]:
        what = shown["path"].rpartition("/")[2]
        of = "/orders/{number}" if order.customer_id else "/guest/orders/{number}"
        status, answer = world.call(
            recorded.named(handlers[what]),
            f"GET {of}/{what}",
            path={"number": case.order_id},
            sub=order.customer_id,
            headers={} if order.customer_id else {"order-token": world.token()},
        )
        assert status == 200
        assert covers(answer, shown["body"]), what


@each(CASES)
def test_today_reads_every_item(world: World, case: Case) -> None:
    assert unread(world) == []


@each(CASES)
def test_events_have_changed_by_addition_only(case: Case) -> None:
    assert case.content["events"]
    for event in case.content["events"]:
        contract = EVENTS[event["type"]]
        assert contract.source() == event["source"]
        today = contract.model_validate(event["detail"]).model_dump(mode="json")
        assert covers(today, event["detail"]), event["type"]
