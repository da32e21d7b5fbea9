"""What the use cases need of the world outside; stores and adapters implement it, fakes in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from commerce.errors import Unavailable
from commerce.events import Event, Offer
from orders.model import Erasure, Order, Revision, Stage, Wait


class KeyUsed(Exception):
    """The buyer's Idempotency-Key was used before.

    Attributes
    ----------
    order_id
        The order it made.
    digest
        Hash of the body it came with.
    """

    def __init__(self, order_id: str, digest: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id
        self.digest = digest


class WindowFull(Exception):
    """The buyer's window has no room for another order."""


class Changed(Exception):
    """The order was changed by somebody else since it was read."""


class Overtaken(Unavailable):
    """The order was changed by others again and again; the same message may come again."""

    slug = "overtaken"


@dataclass(frozen=True)
class Key:
    """An Idempotency-Key in the scope of its buyer, with the hash of the body it came with."""

    scope: str
    key: str
    digest: str


@dataclass(frozen=True)
class Window:
    """A stretch of a buyer's time, and how many orders it has room for."""

    buyer: str
    since: datetime
    until: datetime
    orders: int


@dataclass(frozen=True)
class OrderList:
    """A page of orders and the cursor of the next one."""

    orders: Sequence[Order]
    next: dict[str, str] | None


@dataclass(frozen=True)
class Clocks:
    """How the clocks of the orders in one stage stand.

    Attributes
    ----------
    overdue
        The orders whose clock has run out.
    first
        When the first clock runs out, or ran out; None if nothing is in this stage.
    """

    overdue: Sequence[str]
    first: datetime | None


class Orders(Protocol):
    """The orders, each a header with its revisions, waits and idempotency key."""

    def add(
        self, order: Order, revision: Revision, key: Key, events: Sequence[Event], window: Window | None = None
    ) -> None:
        """Store a new order whole or not at all, and count it in its buyer's window.

        Raises `KeyUsed`, `orders.model.NumberTaken` or `WindowFull`, in this order where several hold.
        """
        ...

    def key_used(self, key: Key) -> KeyUsed | None:
        """Return what the key was used for, if it was."""
        ...

    def get(self, order_id: str) -> Order:
        """Return the order as it is now; raises `orders.model.NoSuchOrder`."""
        ...

    def revision(self, order_id: str, number: int) -> Revision:
        """Return what was agreed; raises `orders.model.NoSuchOrder`."""
        ...

    def save(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        """Write the change from ``before`` to ``after``; raises `Changed` if it is no longer as before."""
        ...

    def save_claim(self, before: Order, after: Order, events: Sequence[Event]) -> None:
        """Write that ``before`` is its new owner's, who may not be closed.

        Raises `Changed`, or `commerce.vault.Closed`.
        """
        ...

    def put_wait(self, order_id: str, wait: Wait, token: str, events: Sequence[Event]) -> None:
        """Store the token of what an execution waits for, over an older one."""
        ...

    def token(self, order_id: str, wait: Wait) -> str | None:
        """Return the token of a wait, if one was stored."""
        ...

    def of_customer(self, customer_id: str, limit: int, position: dict[str, str] | None) -> OrderList:
        """Return a customer's orders, newest first."""
        ...

    def open(self, stage: Stage, limit: int, position: dict[str, str] | None) -> OrderList:
        """Return open orders of a stage, shard by shard, the oldest clock first."""
        ...

    def clocks(self, stage: Stage, now: datetime) -> Clocks:
        """Return how the clocks of this stage stand."""
        ...


class Erasures(Protocol):
    """Tombstones, and what erasing needs of the orders. All reads are strongly consistent unless they say otherwise."""

    def get(self, order_id: str) -> Order:
        """Return the order as it is now; raises `orders.model.NoSuchOrder`."""
        ...

    def revision(self, order_id: str, number: int) -> Revision:
        """Return what was agreed; raises `orders.model.NoSuchOrder`."""
        ...

    def owned_by(self, customer_id: str) -> Iterator[Order]:
        """Yield every order that the customer placed or claimed."""
        ...

    def ask_erasure(self, erasure: Erasure) -> Erasure:
        """Store an erasure unless there is one of the subject; return the one that then is there."""
        ...

    def erasure(self, subject: str) -> Erasure | None:
        """Return a subject's tombstone."""
        ...

    def move_erasure(self, before: Erasure, after: Erasure, events: Sequence[Event] = ()) -> Erasure:
        """Write the change; raises `Changed` if it is no longer as before."""
        ...

    def hold_erasure(self, subject: str) -> bool:
        """Make an erasure that is asked for look at the orders again; False if it is past that."""
        ...

    def repeat_erasure(self, erasure: Erasure) -> Erasure:
        """Write an erasure over whatever is there: for what a restore brought back."""
        ...

    def pending_erasures(self) -> Iterator[str]:
        """Yield the subjects whose erasure is not done, the oldest first; eventually consistent."""
        ...

    def tombstones(self) -> Iterator[Erasure]:
        """Yield the tombstones of everybody who was ever erased or asked for it."""
        ...

    def forget_keys(self, scope: str, key: str = "") -> None:
        """Take away the Idempotency-Keys of a scope, or one of them: each holds a hash of what was ordered."""
        ...


class Tombstones(Protocol):
    """Who is closed and erased (`commerce.vault.Tombstones`)."""

    def closed(self, subject: str) -> bool:
        """Return whether erasure was asked for the subject."""
        ...

    def close(self, subject: str, at: str) -> None:
        """Let nothing new be begun for the subject."""
        ...

    def erase(self, subject: str, at: str) -> None:
        """Take the subject's key and card away for ever."""
        ...


class Offers(Protocol):
    """This context's copy of the catalogue's offers."""

    def find(self, skus: Iterable[str], currency: str) -> dict[str, Offer]:
        """Return the offers there are, by SKU."""
        ...

    def put(self, offer: Offer) -> None:
        """Store an offer unless a newer version of it is there."""
        ...


class Executions(Protocol):
    """The state machine executions that lead orders."""

    def start(self, order_id: str) -> None:
        """Start the lifecycle of an order; a second start is none."""
        ...

    def complete(self, order_id: str, total: int, at: datetime) -> None:
        """Start the completion of an accepted order once more, ``at`` this moment; it takes being started twice."""
        ...

    def succeed(self, token: str) -> None:
        """Answer a wait; one that is answered or over is left alone."""
        ...

    def fail(self, token: str, error: str) -> None:
        """Break a wait off with a named error; one that is answered or over is left alone."""
        ...


def change(
    orders: Orders,
    order_id: str,
    step: Callable[[Order], Order],
    events: Callable[[Order, Order], Sequence[Event]],
    save: Callable[[Order, Order, Sequence[Event]], None] | None = None,
) -> Order:
    """Change an order by a pure function, arbitrated by the store.

    Parameters
    ----------
    step
        Old order -> new order; returns the same object when there is nothing to do.
    events
        Old and new order -> what the change tells others, written with it.
    save
        How the change is written, if not by `Orders.save`.

    Returns
    -------
    Order
        As it is now, changed or not.

    Raises
    ------
    Overtaken
        Others changed it every time.
    """
    for _ in range(8):  # two or three parties at most ever meet on one order
        before = orders.get(order_id)
        after = step(before)
        if after == before:
            return before
        try:
            (save or orders.save)(before, after, events(before, after))
        except Changed:
            continue
        return replace(after, version=before.version + 1)
    raise Overtaken
