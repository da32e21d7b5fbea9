"""Erasing a person: his data key is destroyed once no order needs his address any more.

Erasure is asked for once and never taken back. Nothing in flight is stranded, and nothing that comes in
meanwhile either:

- `go_on` closes the subject in the vault, *then* lists his orders. One that has not left yet is waited
  for. If there is none, the tombstone becomes ``due`` on condition that it has not changed since.
- An order is placed, *then* its first state (`still_welcome`) looks whether its buyer is closed. If
  so it changes the tombstone while that is ``asked``, and so is waited for; if that is past, the order
  is cancelled before anything is reserved, and money that was quick goes back.

Whichever comes first, one of the two sees the other. A claim of a guest's order is written on condition
that its new owner is not closed. All reads are strongly consistent, and every step may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from commerce import telemetry
from commerce.clock import Clock, parse, rfc3339
from commerce.events import CustomerErased
from commerce.vault import Forgotten, Vault
from orders.model import GUEST, Erasure, ErasureState, NoSuchOrder, Order, needs_person
from orders.service.ports import Changed, Erasures, Tombstones

LATE = timedelta(days=21)
"""An erasure that waits this long needs a person: the law gives a month (GDPR, article 12 (3))."""


@dataclass(frozen=True)
class Desk:
    """What erasing needs."""

    erasures: Erasures
    tombstones: Tombstones
    vault: Vault
    clock: Clock


def ask(subject: str, erasures: Erasures, clock: Clock, order_id: str = "") -> Erasure:
    """Record that a person is to be erased, or return how far that is; the sweep does it.

    Parameters
    ----------
    order_id
        Of a guest, whose only order it is.
    """
    return erasures.ask_erasure(Erasure(subject, rfc3339(clock.now()), order_id=order_id))


def ask_for_buyer(order: Order, erasures: Erasures, clock: Clock) -> Erasure:
    """Record that whoever an order belongs to is to be erased: its customer, or a guest if nobody claimed it."""
    if order.customer_id:
        return ask(order.customer_id, erasures, clock)
    return ask(order.buyer, erasures, clock, order.order_id)


def go_on(subject: str, desk: Desk) -> Erasure:
    """Erase a person as far as is possible now, and return how far that is.

    Raises
    ------
    orders.service.ports.Changed
        An order came in meanwhile: the same call again sees it.
    """
    erasure = desk.erasures.erasure(subject)
    if erasure is None:
        raise NoSuchOrder
    if erasure.state is ErasureState.ASKED:
        erasure = _come_due(erasure, desk)
    if erasure.state is ErasureState.DUE:
        erasure = _erase(erasure, desk)
    return erasure


def reapply(subject: str, erased_at: str, desk: Desk, order_id: str = "") -> Erasure:
    """Erase again what a restore brought back; nobody is asked and nobody is told but the other contexts.

    Parameters
    ----------
    subject, erased_at
        Of a tombstone that survived, or ``subject`` and ``at`` of an archived `CustomerErased`.
    order_id
        Of a guest, if known: then the hash of what he ordered goes too.
    """
    again = Erasure(subject, erased_at, ErasureState.DUE, order_id, erased_at=erased_at)
    return _erase(desk.erasures.repeat_erasure(again), desk)


def still_welcome(order: Order, erasures: Erasures, tombstones: Tombstones) -> bool:
    """Whether an order may begin: its buyer is not being erased, or that waits for this order too."""
    return not tombstones.closed(order.buyer) or erasures.hold_erasure(order.buyer)


def sweep(desk: Desk) -> dict[str, int]:
    """Go on with every erasure that is not done; return how many of each kind.

    One that fails is left to the next sweep, and the others go on.
    """
    counts = {"erased": 0, "waiting": 0, "late": 0, "failed": 0}
    for subject in desk.erasures.pending_erasures():
        try:
            erasure = go_on(subject, desk)
        except Changed:
            counts["waiting"] += 1
        except Exception:  # noqa: BLE001 - whatever one person's trouble is, the others are erased too
            telemetry.logger().exception("erasure failed", extra={"subject": subject})
            counts["failed"] += 1
        else:
            counts[_kind(erasure, desk.clock)] += 1
    return counts


def _kind(erasure: Erasure, clock: Clock) -> str:
    if erasure.state is ErasureState.ERASED:
        return "erased"
    return "late" if clock.now() - parse(erasure.asked_at) > LATE else "waiting"


def _come_due(erasure: Erasure, desk: Desk) -> Erasure:
    if erasure.waits_for and needs_person(desk.erasures.get(erasure.waits_for)):
        return erasure  # looked at first, so that waiting costs one read, however many orders there are
    desk.tombstones.close(erasure.subject, erasure.asked_at)
    waits_for = next((one.order_id for one in _orders(erasure, desk) if needs_person(one)), "")
    if waits_for:
        return desk.erasures.move_erasure(erasure, replace(erasure, waits_for=waits_for))
    return desk.erasures.move_erasure(erasure, replace(erasure, state=ErasureState.DUE, waits_for=""))


def _erase(erasure: Erasure, desk: Desk) -> Erasure:
    now = erasure.erased_at or rfc3339(desk.clock.now())
    for order in _orders(erasure, desk):
        if order.buyer != erasure.subject:  # the guest he was: a person of his own to the vault
            desk.erasures.ask_erasure(Erasure(order.buyer, erasure.asked_at, ErasureState.DUE, order.order_id))
    _forget_keys(erasure, desk)
    desk.tombstones.erase(erasure.subject, now)
    told = CustomerErased(at=now, subject=erasure.subject, who=_who(erasure))
    done = replace(erasure, state=ErasureState.ERASED, erased_at=now)
    return desk.erasures.move_erasure(erasure, done, [told])


def _orders(erasure: Erasure, desk: Desk) -> Iterator[Order]:
    if erasure.order_id:
        yield desk.erasures.get(erasure.order_id)
    else:
        yield from desk.erasures.owned_by(erasure.subject)


def _forget_keys(erasure: Erasure, desk: Desk) -> None:
    if not erasure.order_id:
        desk.erasures.forget_keys(erasure.subject)
        return
    order = desk.erasures.get(erasure.order_id)
    revision = desk.erasures.revision(order.order_id, order.revision)
    try:
        key = desk.vault.open(revision.subject, revision.sealed).get("key")
    except Forgotten:
        return  # the key of the vault goes after this one, so this one is gone
    if key:
        desk.erasures.forget_keys("guest", key)


def _who(erasure: Erasure) -> Literal["customer", "guest"]:
    return "guest" if erasure.subject.startswith(GUEST) else "customer"
