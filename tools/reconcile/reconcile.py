"""One reconciliation after a restore, step by step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from commerce import outbox, relay
from commerce.clock import SystemClock, parse
from commerce.dynamo import Item
from commerce.errors import CommerceError
from commerce.events import CustomerErased
from infra.tables import TABLES
from inventory import service as inventory
from inventory.model import State
from orders.model import STAGES, Order, Stage, Status
from payments.model import Demand
from shipping import service as shipping
from shipping.model import SlipState
from tools.reconcile import executions, forward, newer
from tools.reconcile.archive import Archived
from tools.reconcile.desk import Desk, WouldChange
from tools.reconcile.newer import NewerOrder


@dataclass
class Report:
    """What was done, or in a dry run would be.

    Attributes
    ----------
    steps
        Step -> what was done in it, a line each.
    newer
        Orders that the restored table does not know.
    trouble
        What a person has to look at.
    """

    steps: dict[str, list[str]] = field(default_factory=dict)
    newer: list[NewerOrder] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    @property
    def did(self) -> int:
        """How many things were done."""
        return sum(map(len, self.steps.values()))


def reconcile(
    desk: Desk,
    commerce: Sequence[Archived],
    carriers: Sequence[Archived],
    since: datetime,
    switched: datetime,
    bus: str,
) -> Report:
    """Make everything follow from the restored orders and from what was told since.

    Parameters
    ----------
    commerce, carriers
        What the archives of the two buses have, from ``since`` on.
    since
        Before the moments that the tables are restored to, by more than an event takes to its consumers.
    switched
        When the restored tables were taken into use.
    bus
        Name of the bus ``commerce``.
    """
    report = Report()
    told, forwards, scans = forward.Outcome(), forward.Outcome(), forward.Outcome()
    forward.keep_told(commerce, switched, desk, told)
    forward.go_forward(commerce, desk, forwards)
    scans.newer = forwards.newer
    forward.hear_scans(carriers, desk, scans)
    report.steps |= {"told": told.did, "done again": forwards.did, "scans": scans.did}
    report.trouble += forwards.trouble + scans.trouble
    _erase_again(commerce, desk, report)  # now, because what was done again may be of somebody who was erased later
    orders = list(_orders(desk))
    known = {order.order_id for order in orders}
    recent = [order for order in orders if order.timeline and max(one.at for one in order.timeline) >= since]
    report.steps["follows from the order"] = _guarded(recent, _follow, desk, report)
    report.newer = newer.listed(forwards.newer)
    report.steps["newer"] = list(_newer(report.newer, forwards, desk))
    report.steps["orphans"] = list(_orphans(known, desk, report))
    report.steps["published"] = list(_publish(commerce, since, switched, bus, desk))
    before_dispatch = [order for order in orders if STAGES.get(order.status) is Stage.DISPATCH]
    report.steps["executions"] = _guarded(before_dispatch, executions.lead_on, desk, report)
    report.steps["settlement"] = _guarded([o for o in orders if o.status is Status.ACCEPTED], _settle, desk, report)
    return report


def _erase_again(commerce: Sequence[Archived], desk: Desk, report: Report) -> None:
    done = report.steps["erased"] = []
    for one in commerce:
        if one.type != CustomerErased.name():
            continue
        try:
            erased = desk.erase_again(str(one.detail["subject"]), str(one.detail["at"]))
        except WouldChange:
            erased = True
        if erased:
            done.append(f"{one.detail['subject']}: erased again")


def _orders(desk: Desk) -> Iterator[Order]:
    for item in desk.scan("orders"):
        if item["sk"] == "HEAD":
            yield desk.orders.get(str(item["pk"]).removeprefix("ORDER#"))


def _guarded(
    orders: Sequence[Order], act: Callable[[Order, Desk], str | None], desk: Desk, report: Report
) -> list[str]:
    """Act on each order; what one of them refuses is told, and the others are acted on."""
    done = []
    for order in orders:
        try:
            did = act(order, desk)
        except WouldChange:
            did = f"{order.order_id}: {order.status}"
        except CommerceError as error:
            report.trouble.append(f"{order.order_id}: {order.status}: {type(error).__name__} {error}")
            continue
        if did:
            done.append(did)
    return done


def _follow(order: Order, desk: Desk) -> str | None:
    """Do what an order's status implies and other tables, restored to an earlier moment, do not know."""
    before = desk.watch.writes
    if order.status in (Status.CANCELLED, Status.EXPIRED) and not _is_put_back(order, desk):
        forward.put_back(order.order_id, order.status.value, desk)
    for one in order.shipments.values():
        if one.status != "allocated":
            inventory.ship(desk.stock, one.fulfilment_id)
    return f"{order.order_id}: {order.status}: stock, slips and money follow" if desk.watch.writes > before else None


def _is_put_back(order: Order, desk: Desk) -> bool:
    reservation, kept = desk.stock.reservation(order.order_id), desk.books.load(order.order_id)
    released = reservation is not None and reservation.state is State.RELEASED and reservation.open_since is None
    returned = kept is not None and kept.order.demand is Demand.WITHDRAWN and not kept.order.to_return
    return forward.is_stopped(order.order_id, desk) and released and returned


def _newer(orders: Sequence[NewerOrder], forwards: forward.Outcome, desk: Desk) -> Iterator[str]:
    for one in orders:
        if executions.end(one.order_id, desk):
            yield f"{one.order_id}: its execution is stopped"
        if newer.give_back(one, forwards.newer[one.order_id], desk):
            yield f"{one.order_id}: {one.outcome}"


def _orphans(known: set[str], desk: Desk, report: Report) -> Iterator[str]:
    """Take away what other tables, restored to a later moment, hold for orders that are not there."""
    reserved = {_name(item) for item in desk.scan("inventory") if item["pk"].startswith("RESERVATION#")} - known
    for name in sorted(reserved):
        if desk.knows(name):  # placed since the orders were read
            continue
        reservation = desk.stock.reservation(name)
        if reservation is not None and any(label.startswith("s") for label in reservation.progress):
            report.trouble.append(f"{name}: goods have left for an order that is not there")
            continue
        if not desk.dry:
            inventory.release(desk.inventory(), name)
            for sk in ("RESERVATION", "WAITING"):
                desk.table("inventory").delete((f"RESERVATION#{name}", sk))
        yield f"{name}: its reservation is gone"
    slips = {_name(item) for item in desk.scan("shipping") if item["pk"].startswith("ORDER#")} - known
    for name in sorted(slips):
        if desk.knows(name):
            continue
        if any(slip.state is SlipState.DISPATCHED for slip in desk.shipping.slips(name)):
            report.trouble.append(f"{name}: a parcel has left for an order that is not there")
            continue
        if not desk.dry:
            shipping.stop(name, desk.shipping, desk.carriers, SystemClock())
            for slip in desk.shipping.slips(name):
                desk.table("shipping").delete((f"ORDER#{name}", f"SLIP#{slip.id.number}"))
            desk.table("shipping").delete((f"ORDER#{name}", "STOPPED"))
        yield f"{name}: its slips are gone"
    asked = {_name(item) for item in desk.scan("payments") if item.get("reason") != newer.LOST} - known
    for name in sorted(asked):
        kept = desk.books.load(name)
        if kept is None or desk.knows(name):
            continue
        if any(payment.held and payment.captured for payment in kept.order.payments.values()):
            report.trouble.append(f"{name}: money was taken for an order that is not there")
            continue
        if not desk.dry:
            newer.lose(name, desk)
        yield f"{name}: what was asked for it is withdrawn"


def _publish(commerce: Sequence[Archived], since: datetime, switched: datetime, bus: str, desk: Desk) -> Iterator[str]:
    """Publish the events that are in the restored items and never came to the bus."""
    heard = {_told(one.source, one.type, one.detail) for one in commerce}
    for context, table in TABLES.items():
        for item in desk.scan(context) if table.publishes else ():
            if "outbox" not in item:
                continue
            made = outbox.unpack(item["outbox"], "restored")
            unheard = [one for one in made if _told(one["source"], one["type"], one["detail"]) not in heard]
            lost = [one for one in unheard if _is_due(one, since, switched, desk)]
            if not lost:
                continue
            if not desk.dry and relay.publish([_record(item)], desk.events, bus):
                raise RuntimeError(f"{bus} did not take the events of {item['pk']}")
            yield f"{_name(item)}: {', '.join(one['type'] for one in lost)}"


def _is_due(told: Mapping[str, Any], since: datetime, switched: datetime, desk: Desk) -> bool:
    """Return whether an event that was not heard should have been: made since then, or unknown to its order.

    What a carrier tells has the carrier's time, which may be days old; whether the order knows it is asked instead.
    """
    at, detail = parse(told["detail"]["at"]), told["detail"]
    facts = {
        "ShipmentOutForDelivery": ["scan:out_for_delivery"],
        "ShipmentDelivered": ["delivered"],
        "ShipmentExceptional": [f"exceptional:{detail.get('status')}"],
        "ShipmentMilestonesAdded": [f"scan:{one['status']}" for one in detail.get("milestones", ())],
    }.get(told["type"])
    if facts is None:
        return since <= at < switched
    if not desk.knows(detail["order_id"]):
        return False
    known = {(one.fact, one.about) for one in desk.orders.get(detail["order_id"]).timeline}
    return any((fact, detail["fulfilment_id"]) not in known for fact in facts if fact != "scan:delivered")


def _record(item: Item) -> Mapping[str, Any]:
    """Return what the table's stream would have told of an item."""
    number = hashlib.sha256(f"{item['pk']} {item['sk']} {item['outbox']}".encode()).hexdigest()[:32]
    return {"eventID": number, "dynamodb": {"SequenceNumber": number, "NewImage": {"outbox": {"S": item["outbox"]}}}}


def _told(source: str, kind: str, detail: Mapping[str, Any]) -> str:
    return json.dumps([source, kind, {name: value for name, value in detail.items() if name != "id"}], sort_keys=True)


def _settle(order: Order, desk: Desk) -> str | None:
    """Start the completion of an accepted order; one that is under way makes no difference."""
    if not desk.dry:
        desk.runs.complete(order.order_id, order.total, SystemClock().now())
    return f"{order.order_id}: accepted, to be settled"


def _name(item: Item) -> str:
    return str(item["pk"]).partition("#")[2]


SKEW = timedelta(hours=1)
"""How long before the restored moment events are read: longer than a queue's retries, and than tables lie apart."""
