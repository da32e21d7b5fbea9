"""Plays orders: buyers, warehouses, a carrier and purchasing, each doing its part beside the others.

Nobody is told by another what to do next, but by the platform: warehouses look at their slips, purchasing at its
replenishments, buyers at their orders. Only a parcel needs no platform to arrive: its carrier delivers it, and its
buyer, who has waited for it, then looks at the order.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import TYPE_CHECKING, Any

from tools.client import Api, Carrier, CarrierScan, PlacedOrder, Provider, Refused, TooLate, new_key, place, until
from tools.run import plan
from tools.run.board import CANCELLED, COMPLETED, REFUSED, Board, Tale
from tools.run.load import Cast

if TYPE_CHECKING:
    from collections.abc import Iterator

BUYERS_AT_ONCE = 16
PATIENCE = 240.0
"""Seconds until a buyer gives an order up as stuck."""
PAUSE = 0.5
"""Seconds between two looks of staff at their lists."""
CONFLICT = 409

# Of the carrier's clocks: the hours that each warehouse's country is ahead of UTC in November.
ZONES = {"GB-DAV": 0, "DE-DUI": 1, "CN-YIW": 8}


class Play:
    """One run of the orders on a board.

    Parameters
    ----------
    cancelled
        Invoices that their buyers cancel.
    """

    def __init__(
        self, board: Board, cast: Cast, provider: Provider, carrier: Carrier, cancelled: frozenset[str]
    ) -> None:
        self._board = board
        self._cast = cast
        self._provider = provider
        self._cancelled = cancelled
        self._over = threading.Event()
        self._van = Van(carrier, board)

    def run(self, watch: Callable[[], None]) -> None:
        """Play all orders to their ends; ``watch`` is called again and again meanwhile.

        Raises
        ------
        Exception
            Whatever broke a part: an order that goes wrong is noted on its tale, a part that breaks is not.
        """
        with self._staff() as staff, ThreadPoolExecutor(BUYERS_AT_ONCE, "buyer") as buyers:
            orders = [buyers.submit(self._buy, tale) for tale in self._board.tales]
            try:
                while not all(order.done() for order in orders):
                    for part in staff:
                        if part.done():
                            part.result()
                    watch()
            except BaseException:
                self._break_off(orders)
                raise
            self._over.set()
            for done in (*orders, *staff):
                done.result()

    def _break_off(self, orders: list[Future[None]]) -> None:
        for order in orders:
            order.cancel()
        self._over.set()
        for tale in self._board.tales:
            tale.arrived.set()

    @contextmanager
    def _staff(self) -> Iterator[list[Future[None]]]:
        parts: list[Callable[[], None]] = [lambda: self._van.drive(self._over), self._purchase]
        parts += [self._warehouse(name, api) for name, api in self._cast.warehouses.items()]
        with ThreadPoolExecutor(len(parts), "staff") as pool:
            try:
                yield [pool.submit(part) for part in parts]
            finally:
                self._over.set()

    # ---- buyers ------------------------------------------------------------------------------------------------------

    def _buy(self, tale: Tale) -> None:
        """One buyer's way with one order, from placing it to its end."""
        if self._over.is_set():
            return
        buyer = tale.order.buyer
        api = self._cast.anonymous if buyer.is_guest else self._cast.customers[buyer.id]
        try:
            placed = place(api, tale.order.body)
        except Refused as refusal:
            tale.refusal, tale.stage = refusal, REFUSED
            tale.trouble = unexpected(tale)
            return
        self._board.place(tale, placed)
        tale.trouble = unexpected(tale)
        try:
            self._pay_and_wait(tale, placed)
        except (TooLate, Refused) as error:
            tale.trouble = str(error)

    def _pay_and_wait(self, tale: Tale, placed: PlacedOrder) -> None:
        invoice = tale.order.invoice
        when = plan.cancelling(invoice) if invoice in self._cancelled else None
        if when is plan.Cancelling.BEFORE_PAYMENT and self._cancel(tale, placed):
            return
        self._pay(tale, placed)
        if when is plan.Cancelling.AFTER_PAYMENT:
            self._look(tale, placed, "paid", "dispatched", "delivered")
            if self._cancel(tale, placed):
                return
        if not tale.arrived.wait(PATIENCE) or self._over.is_set():
            raise TooLate(f"no parcel of {placed.number} within {PATIENCE:.0f} s")
        self._look(tale, placed, "delivered", "accepted", COMPLETED)
        placed.accept()
        tale.stage = "accepted"
        self._look(tale, placed, COMPLETED)

    def _pay(self, tale: Tale, placed: PlacedOrder) -> None:
        way = plan.payment(tale.order.invoice)
        if way is plan.Payment.DECLINED_FIRST:
            self._provider.call_back(placed.pay(), "declined")
        payment = placed.pay()
        if way is plan.Payment.LATE:
            self._look(tale, placed, "awaiting_payment", "awaiting_stock")
            self._over.wait(plan.late(tale.order.invoice))
        self._provider.authorise(payment)
        if way is plan.Payment.TWICE:
            self._provider.authorise(payment)

    def _cancel(self, tale: Tale, placed: PlacedOrder) -> bool:
        """Ask for the order to be cancelled; return whether it is, or had left before."""
        try:
            placed.cancel()
        except Refused as refusal:
            if refusal.status == CONFLICT:
                return False
            raise
        tale.stage = "cancelling"
        if self._look(tale, placed, CANCELLED, "paid", "dispatched", "delivered") != CANCELLED:
            return False
        tale.ends = CANCELLED
        return True

    def _look(self, tale: Tale, placed: PlacedOrder, *statuses: str) -> str:
        """Look at the order until it has one of ``statuses``; a run that is broken off ends the waiting."""

        def ask() -> str:
            if self._over.is_set():
                raise TooLate("the run was broken off")
            tale.stage = placed.status
            return tale.stage

        what = f"{placed.number} to be {' or '.join(statuses)}"
        return until(ask, lambda status: status in statuses, what, within=PATIENCE, every=0.4)

    # ---- staff -------------------------------------------------------------------------------------------------------

    def _warehouse(self, name: str, api: Api) -> Callable[[], None]:
        def work() -> None:
            while not self._over.is_set():
                page = api.ask("GET", "/slips", query={"warehouse": name, "limit": "100"})
                for slip in page["slips"]:
                    self._ship(api, slip)
                self._over.wait(PAUSE)

        return work

    def _ship(self, api: Api, slip: Mapping[str, Any]) -> None:
        """Pick, pack and hand over what is on one slip, unless it is stopped meanwhile."""
        tale = self._board.of(slip["order"])
        try:
            gone = pack_and_dispatch(api, slip)
        except Refused as refusal:
            if refusal.status == CONFLICT:
                return
            raise
        if tale is not None:
            tale.stage = "dispatched"
        self._van.take(gone, tale.order.invoice if tale else slip["order"])

    def _purchase(self) -> None:
        """Bring what purchasing is asked for."""
        api = self._cast.purchasing
        while not self._over.is_set():
            for one in api.ask("GET", "/replenishments", query={"state": "open", "limit": "100"})["replenishments"]:
                # The same key for the same shortage: a list that lags behind a receipt must not bring it twice.
                key = f"{one['replenishment_id']}-{one['received']}-{one['quantity']}"
                path = f"/replenishments/{one['replenishment_id']}/receipts"
                api.ask("POST", path, {"quantity": one["outstanding"]}, key=key)
            self._over.wait(4 * PAUSE)


def pack_and_dispatch(api: Api, slip: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pack a slip in full, if it is not packed, and hand it to the carrier; return it as it is then.

    Raises
    ------
    Refused
        The slip is stopped.
    """
    if slip["state"] == "released":
        picks = [{"line": line["line"], "quantity": line["quantity"]} for line in slip["lines"]]
        api.ask("POST", f"/slips/{slip['id']}/pack", {"lines": picks}, key=new_key())
    gone: Mapping[str, Any] = api.ask("POST", f"/slips/{slip['id']}/dispatch", key=new_key())
    return gone


class Van:
    """The carrier's part: each parcel's scans, at their times, some of them twice or in a wrong order."""

    def __init__(self, carrier: Carrier, board: Board) -> None:
        self._carrier = carrier
        self._board = board
        self._lock = threading.Lock()
        self._numbers = count()
        self._due: list[tuple[float, int, Mapping[str, Any], list[CarrierScan]]] = []

    def take(self, slip: Mapping[str, Any], seed: str) -> None:
        """Take a dispatched slip's parcel."""
        now, clock = datetime.now(timezone(timedelta(hours=ZONES.get(slip["warehouse"], 0)))), time.monotonic()
        for report in plan.reports(f"{seed}-{slip['id'].rpartition('-')[2]}"):
            scans = [
                CarrierScan(slip["waybill"], plan.SCANS[at], now + timedelta(seconds=(at + 1) * plan.STEP_SECONDS))
                for at in report.scans
            ]
            with self._lock:
                heapq.heappush(self._due, (clock + report.after, next(self._numbers), slip, scans))

    def drive(self, over: threading.Event) -> None:
        """Report scans when they are due, until the run is over."""
        while not over.is_set():
            reports = self._now_due()
            if reports:
                self._carrier.report(*(scans for _, scans in reports))
            for slip, scans in reports:
                tale = self._board.of(slip["order"])
                if tale is not None and scans[-1].status == "delivered":
                    tale.parcel_arrived(slip["id"], slip["of"])
            over.wait(plan.STEP_SECONDS / 4)

    def _now_due(self) -> list[tuple[Mapping[str, Any], list[CarrierScan]]]:
        found = []
        with self._lock:
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, slip, scans = heapq.heappop(self._due)
                found.append((slip, scans))
        return found


def unexpected(tale: Tale) -> str:
    """Say what is wrong with how an order was taken or refused; nothing if it is as the sample says."""
    expected = sorted({fault.field for fault in tale.order.faults})
    if tale.refusal is None:
        return f"accepted in spite of {expected}" if expected else ""
    if not expected:
        return f"refused: {tale.refusal}"
    if set(expected) & set(tale.refusal.fields):
        return ""
    return f"refused for {sorted(tale.refusal.fields)} and not for one of {expected}"


def look_back(board: Board) -> None:
    """Let every buyer look at his order once more: where it is, and what happened to it."""

    def look(tale: Tale) -> None:
        if tale.placed is None:
            return
        try:
            tale.status = tale.stage = tale.placed.status
            tale.timeline = tale.placed.timeline()
        except Refused as refusal:
            tale.trouble = f"lost: {refusal}"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, board.tales))
