"""Single steps of reconciling, on tables that were restored to different moments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from commerce import outbox
from commerce.clock import rfc3339
from commerce.events import (
    EVENTS,
    CustomerErased,
    Fulfilment,
    FulfilmentRequested,
    Line,
    OrderCancelled,
    OrderPlaced,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
)
from commerce.tokens import OrderClaims
from commerce.vault import KmsVault
from infra.settings import STAGES
from infra.tables import TABLES
from inventory import service as inventory
from inventory.model import Order as Wanted
from inventory.model import OrderLine, State, StockTaken
from notifications.model import notice_of
from orders import model
from orders.model import Order, Revision, Shipment, Status, Wait
from orders.service.ports import Key
from payments import service as payments
from payments.model import State as PaymentState
from shipping.model import SlipState, read_slip_id
from tests.integration.conftest import make_table
from tools.reconcile import executions, forward
from tools.reconcile.archive import Archived
from tools.reconcile.desk import Desk, Watch
from tools.reconcile.reconcile import Report, reconcile

pytestmark = pytest.mark.integration

ORDER, NEWER = "06PM4NXBDTKB", "06PM4NXBDTKC"
NOW = datetime(2024, 11, 25, 3, 0, 0, tzinfo=UTC)
AT = rfc3339(NOW)
MACHINE = "arn:aws:states:eu-west-1:000000000000:stateMachine:commerce-drill-order-lifecycle"


class States:
    """Step Functions with the executions that a test gives it: name -> (status, token it waits with)."""

    class ExecutionDoesNotExist(Exception):
        pass

    class ExecutionAlreadyExists(Exception):
        pass

    def __init__(self) -> None:
        self.executions: dict[str, tuple[str, str]] = {}
        self.exceptions = SimpleNamespace(
            ExecutionDoesNotExist=self.ExecutionDoesNotExist,
            ExecutionAlreadyExists=self.ExecutionAlreadyExists,
            TaskTimedOut=ClientError,
            TaskDoesNotExist=ClientError,
            InvalidToken=ClientError,
        )
        self.stopped: list[str] = []

    def describe_execution(self, **asked: str) -> Mapping[str, str]:
        name = asked["executionArn"].rpartition(":")[2]
        if name not in self.executions:
            raise self.ExecutionDoesNotExist
        return {"status": self.executions[name][0]}

    def get_execution_history(self, **asked: Any) -> Mapping[str, Any]:
        token = self.executions[asked["executionArn"].rpartition(":")[2]][1]
        payload = {"token": token} if token else {}
        details = {"parameters": json.dumps({"Payload": payload})}
        return {"events": [{"type": "TaskSubmitted"}, {"type": "TaskScheduled", "taskScheduledEventDetails": details}]}

    def stop_execution(self, **asked: str) -> None:
        name = asked["executionArn"].rpartition(":")[2]
        self.stopped.append(name)
        self.executions[name] = ("ABORTED", "")

    def start_execution(self, **asked: str) -> None:
        self.executions[asked["name"]] = ("RUNNING", "")

    def send_task_success(self, **_: Any) -> None:
        pass

    send_task_failure = send_task_success


@pytest.fixture
def desk(aws: None) -> Desk:
    for name, table in TABLES.items():
        make_table(f"commerce-drill-{name}-r1", **{one: (at.partition, at.sort) for one, at in table.indexes.items()})
    boto3.client("events").create_event_bus(Name="commerce-drill-commerce")
    return desk_of(States(), dry=False)


def desk_of(states: Any, *, dry: bool) -> Desk:
    client = boto3.client("dynamodb")
    return Desk(
        stage=STAGES["drill"],
        tables={name: f"commerce-drill-{name}-r1" for name in TABLES},
        dynamodb=client,
        states=states,
        events=boto3.client("events"),
        kms=boto3.client("kms"),
        data_key=boto3.client("kms").create_key()["KeyMetadata"]["Arn"],
        lifecycle=MACHINE,
        completion=MACHINE,
        watch=Watch(client, dry=dry),
        dry=dry,
    )


def run(desk: Desk, *archived: Archived) -> Report:
    since, switched = NOW - timedelta(hours=1), NOW + timedelta(minutes=1)
    return reconcile(desk, archived, (), since, switched, "commerce-drill-commerce")


def put(desk: Desk, status: Status = Status.RECEIVED, **changes: Any) -> Order:
    """Store an order of three pieces, as a restored table has it."""
    order = Order(ORDER, Status.RECEIVED, "cus-1", "cus-1", "GBP", 765, 1, "en-GB", "GB", NOW, NOW + timedelta(days=1))
    order = model.tell(order, model.Entry(model.Fact.PLACED, NOW, "orders"))
    lines = [model.Line(1, "85123A", 3, 255, "mer_hearts", model.charge(3, 255, 2000, tax_inclusive=True))]
    desk.orders.add(order, Revision(1, "cus-1", b"sealed", "GBP", "UTC", lines), Key("cus-1", "key", "digest"), ())
    due = None if status in model.TERMINAL else order.due
    after = replace(order, status=status, due=due, **changes)
    desk.orders.save(order, after, ())
    return desk.orders.get(ORDER)


def reserve(desk: Desk, order_id: str = ORDER) -> None:
    inventory.receive(desk.inventory(NOW), f"receipt-{order_id}", "tests", "GB-DAV", {"85123A": 10}, "")
    inventory.reserve(desk.inventory(NOW), Wanted(order_id, "GB", (OrderLine(1, "85123A", 3, "mer_hearts"),)))


def told(event: Any) -> Archived:
    return Archived(event.source(), event.name(), NOW, event.model_dump(mode="json"))


AUTHORISED = PaymentAuthorised(
    at=AT, order_id=ORDER, payment_id=f"pay_{ORDER}_0123456789abcdef", provider="sandbox", amount=765, currency="GBP"
)
REQUESTED = FulfilmentRequested(
    at=AT,
    order_id=ORDER,
    buyer="cus-1",
    locale="en-GB",
    country="GB",
    fulfilments=[
        Fulfilment(
            fulfilment_id=f"{ORDER}-1",
            warehouse_id="GB-DAV",
            merchant_id="mer_hearts",
            lines=[Line(line=1, sku="85123A", quantity=3)],
            value=765,
        )
    ],
)
DISPATCHED = ShipmentDispatched(
    at=AT,
    order_id=ORDER,
    buyer="cus-1",
    locale="en-GB",
    fulfilment_id=f"{ORDER}-1",
    carrier="generic",
    waybill="GX0000000123",
    warehouse_id="GB-DAV",
    released_at=AT,
    packed_at=AT,
    value=765,
)


def test_every_event_is_done_again_or_follows_from_another() -> None:
    erased = {"CustomerErased"}  # done first, by a person's subject
    assert {event.name() for event in forward.STEPS} | forward.UNTOLD == EVENTS.keys() - erased
    assert set(forward.ORDER) == forward.STEPS.keys()


def test_an_order_that_went_all_the_way_goes_it_again_and_nobody_hears_of_it_twice(desk: Desk) -> None:
    put(desk)
    inventory.receive(desk.inventory(NOW), "receipt", "tests", "GB-DAV", {"85123A": 10}, "")
    archived = [told(event) for event in (DISPATCHED, REQUESTED, AUTHORISED)]  # a replay has no order
    report = run(desk, *archived)
    assert report.trouble == []
    assert desk.orders.get(ORDER).status is Status.DISPATCHED
    slip = desk.shipping.slip(read_slip_id(f"{ORDER}-1"))
    assert slip is not None
    assert (slip.state, slip.waybill, slip.dispatched_at) == (SlipState.DISPATCHED, "GX0000000123", AT)
    [level] = desk.stock.levels("85123A")
    assert (level.on_hand, level.reserved, level.shipped) == (7, 0, 3)
    kept = desk.books.load(ORDER)
    assert kept is not None
    assert kept.order.payments[AUTHORISED.payment_id].captured == 765
    notice = notice_of(DISPATCHED)
    assert notice is not None
    assert not desk.notices.claim(notice, "")
    again = run(desk, *archived)
    assert (again.did, again.trouble) == (0, [])


def test_what_is_contradicted_is_for_a_person(desk: Desk) -> None:
    put(desk)
    assert run(desk, told(REQUESTED)).trouble == [f"{ORDER}: FulfilmentRequested at {AT}: StockTaken {ORDER}"]


def test_a_person_whom_the_restore_brought_back_is_erased_again_once(desk: Desk) -> None:
    put(desk, Status.COMPLETED)
    vault = KmsVault(desk.dynamodb, desk.kms, desk.tables["vault"], desk.data_key)
    vault.seal("cus-1", {"name": "Ada Lovelace"})
    erased = told(CustomerErased(at=AT, subject="cus-1", who="customer"))
    assert run(desk_of(desk.states, dry=True), erased).steps["erased"] == ["cus-1: erased again"]
    assert "wrapped" in (desk.table("vault").get(("cus-1", "KEY")) or {})
    assert run(desk, erased).steps["erased"] == ["cus-1: erased again"]
    assert "wrapped" not in (desk.table("vault").get(("cus-1", "KEY")) or {})
    assert run(desk, erased).did == 0


def test_a_dry_run_says_so_and_writes_nothing(desk: Desk) -> None:
    put(desk)
    reserve(desk, NEWER)
    before = {name: list(desk.scan(name)) for name in TABLES}
    dry = desk_of(desk.states, dry=True)
    placed = OrderPlaced(at=AT, order_id=NEWER, buyer="cus-2", currency="GBP", total=765, lines=1)
    paid = AUTHORISED.model_copy(update={"order_id": NEWER, "payment_id": f"pay_{NEWER}_0123456789abcdef"})
    report = run(dry, told(AUTHORISED), told(placed), told(paid))
    assert report.steps["done again"] == [f"{ORDER}: PaymentAuthorised at {AT}"]
    assert report.steps["newer"] == [f"{NEWER}: its money would go back"]
    assert report.steps["orphans"] == [f"{NEWER}: its reservation is gone"]
    assert report.steps["executions"] == [f"{ORDER}: received: its execution is over, started again"]
    assert {name: list(desk.scan(name)) for name in TABLES} == before
    assert desk.states.executions == {}


def test_a_newer_order_s_money_goes_back_once_and_its_buyer_is_told(desk: Desk) -> None:
    desk.states.executions[NEWER] = ("RUNNING", "token")
    placed = OrderPlaced(at=AT, order_id=NEWER, buyer="cus-2", currency="GBP", total=765, lines=1)
    paid = AUTHORISED.model_copy(update={"order_id": NEWER, "payment_id": f"pay_{NEWER}_0123456789abcdef"})
    report = run(desk, told(placed), told(paid))
    [one] = report.newer
    assert (one.order_id, one.buyer, one.total, one.outcome) == (NEWER, "cus-2", 765, "its money went back")
    kept = desk.books.load(NEWER)
    assert kept is not None
    assert (kept.order.reason, kept.order.payments[paid.payment_id].state) == ("order-lost", PaymentState.VOIDED)
    [item] = desk.scan("payments")
    assert [event["type"] for event in outbox.unpack(item["outbox"], "x")] == ["PaymentReturned"]
    assert desk.states.stopped == [NEWER]
    assert run(desk, told(placed), told(paid)).did == 0


def test_a_newer_order_that_has_left_is_for_a_person(desk: Desk) -> None:
    left = DISPATCHED.model_copy(update={"order_id": NEWER, "fulfilment_id": f"{NEWER}-1"})
    paid = AUTHORISED.model_copy(update={"order_id": NEWER, "payment_id": f"pay_{NEWER}_0123456789abcdef"})
    [one] = run(desk, told(paid), told(left)).newer
    assert one.outcome.startswith("has left")
    assert one.left == [(f"{NEWER}-1", "generic", "GX0000000123")]
    assert desk.books.load(NEWER) is None


def test_what_is_held_for_an_order_that_is_not_there_goes_back(desk: Desk) -> None:
    reserve(desk, NEWER)
    assert run(desk).steps["orphans"] == [f"{NEWER}: its reservation is gone"]
    [level] = desk.stock.levels("85123A")
    assert (level.on_hand, level.reserved) == (10, 0)
    assert desk.stock.reservation(NEWER) is None
    assert run(desk).did == 0


def test_a_closed_order_whose_stock_is_held_again_gives_it_back(desk: Desk) -> None:
    put(desk, Status.CANCELLED)
    reserve(desk)
    assert len(run(desk).steps["follows from the order"]) == 1
    reservation = desk.stock.reservation(ORDER)
    assert reservation is not None
    assert reservation.state is State.RELEASED
    assert run(desk).did == 0


def test_an_event_that_never_came_to_the_bus_is_published_and_one_that_did_is_not(desk: Desk) -> None:
    put(desk, Status.CANCELLED)
    event = OrderCancelled(at=AT, order_id=ORDER, buyer="cus-1", locale="en-GB")
    table = desk.table("orders")
    head = table.get((f"ORDER#{ORDER}", "HEAD"))
    assert head is not None
    table.put({**head, "outbox": outbox.pack(event)})
    assert run(desk).steps["published"] == [f"{ORDER}: OrderCancelled"]
    assert run(desk, told(event)).steps["published"] == []


@pytest.mark.parametrize(
    ("status", "execution", "expected"),
    [
        (Status.AWAITING_PAYMENT, ("RUNNING", "known"), None),
        (Status.AWAITING_PAYMENT, ("RUNNING", "unknown"), "its execution waits in vain"),
        (Status.PAID, ("RUNNING", "known"), "its execution waits in vain"),
        (Status.AWAITING_PAYMENT, ("RUNNING", ""), None),
        (Status.AWAITING_PAYMENT, ("SUCCEEDED", ""), "its execution is over"),
        (Status.CANCELLING, ("RUNNING", "known"), "its execution waits in vain"),
        (Status.CANCELLING, ("RUNNING", ""), None),
    ],
)
def test_an_order_is_led_on_where_its_execution_does_not(
    desk: Desk, status: Status, execution: tuple[str, str], expected: str | None
) -> None:
    shipments = {f"{ORDER}-1": Shipment(f"{ORDER}-1", "GB-DAV", "mer_hearts")}
    order = put(desk, status, started_at="2026-11-25T02:00:00Z", shipments=shipments)
    reserve(desk)
    desk.orders.put_wait(ORDER, Wait.PAYMENT, "known", ())
    desk.states.executions[ORDER] = execution
    done = executions.lead_on(order, desk)
    if expected is None:
        assert done is None
        assert desk.states.executions == {ORDER: execution}
    else:
        assert done == f"{ORDER}: {status}: {expected}, started again"
        assert desk.states.executions[f"{ORDER}-1"][0] == "RUNNING"
        assert desk.states.stopped == ([ORDER] if execution[0] == "RUNNING" else [])
        assert desk.orders.get(ORDER).started_at == ""


def test_an_order_whose_reservation_is_lost_is_led_on(desk: Desk) -> None:
    order = put(desk, Status.AWAITING_PAYMENT)
    desk.orders.put_wait(ORDER, Wait.PAYMENT, "known", ())
    desk.states.executions[ORDER] = ("RUNNING", "known")
    with pytest.raises(StockTaken):
        executions.lead_on(order, desk)
    inventory.receive(desk.inventory(NOW), "receipt", "tests", "GB-DAV", {"85123A": 10}, "")
    assert executions.lead_on(order, desk) == f"{ORDER}: awaiting_payment: nothing is held, started again"


def test_scans_of_a_restored_parcel_are_heard_again(desk: Desk) -> None:
    put(desk)
    inventory.receive(desk.inventory(NOW), "receipt", "tests", "GB-DAV", {"85123A": 10}, "")
    scan = {"waybill": "GX0000000123", "scans": [{"status": "in_transit", "at": AT, "place": "Depot"}]}
    carriers = [Archived("carrier.generic", "ScanReported", NOW, scan)]
    outcome = forward.Outcome()
    forward.go_forward([told(event) for event in (AUTHORISED, REQUESTED, DISPATCHED)], desk, outcome)
    forward.hear_scans(carriers, desk, outcome)
    assert outcome.did[-1] == "carrier.generic GX0000000123: scans"
    parcel = desk.shipping.parcel("generic", "GX0000000123")
    assert parcel is not None
    assert [one.status for one in parcel.scans] == ["in_transit"]
    again = forward.Outcome()
    forward.hear_scans(carriers, desk, again)
    assert again.did == []


def test_what_is_asked_for_an_order_that_is_not_there_is_withdrawn(desk: Desk) -> None:
    claims = OrderClaims(NEWER, "cus-2", 765, "GBP", "en-GB")
    payments.start_payment(desk.payments(NOW), claims, "sandbox", "key")
    assert run(desk).steps["orphans"] == [f"{NEWER}: what was asked for it is withdrawn"]
    kept = desk.books.load(NEWER)
    assert kept is not None
    assert [payment.state for payment in kept.order.payments.values()] == [PaymentState.VOIDED]
    assert run(desk).did == 0


def test_money_of_a_newer_order_that_was_cancelled_before_it_was_lost_is_proven_too(desk: Desk) -> None:
    payments.return_money(desk.payments(NOW), NEWER, "cancelled")
    run(desk)
    kept = desk.books.load(NEWER)
    assert kept is not None
    assert kept.order.reason == "order-lost"


def test_what_a_carrier_told_long_ago_is_published_if_the_order_does_not_know(desk: Desk) -> None:
    shipments = {f"{ORDER}-1": Shipment(f"{ORDER}-1", "GB-DAV", "mer_hearts", "dispatched", "generic", "GX0000000123")}
    order = put(desk, Status.DISPATCHED, shipments=shipments)
    event = ShipmentDelivered(
        at=rfc3339(NOW - timedelta(days=3)),
        order_id=ORDER,
        buyer="cus-1",
        fulfilment_id=f"{ORDER}-1",
        carrier="generic",
        waybill="GX0000000123",
    )
    item = {"pk": "WAYBILL#generic#GX0000000123", "sk": "PARCEL", "outbox": outbox.pack(event)}
    desk.table("shipping").put(item)
    assert run(desk).steps["published"] == ["generic#GX0000000123: ShipmentDelivered"]
    knows = model.tell(order, model.Entry(model.Fact.DELIVERED, NOW, "carrier", f"{ORDER}-1"))
    desk.orders.save(order, knows, ())
    assert run(desk).steps["published"] == []
