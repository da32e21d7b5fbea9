"""What the end-to-end tests share: the deployed platform with its people and goods, and one test's view of it.

Everything goes through the public API and the carriers' bus (`tools.client`). The emulator's outbox is the mailbox;
histories of executions are read for the message of a failed test only.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice
from typing import Any, TypeVar

import httpx
import pytest

from commerce.access import GROUPS
from commerce.clock import rfc3339
from tools.client import Answer, Api, Carrier, CarrierScan, Deployment, Operator, PlacedOrder, Provider, new_key, place
from tools.client import until as wait_until

T = TypeVar("T")

GB, DE, CN = "GB-DAV", "DE-DUI", "CN-YIW"
PASSWORD = "Correct-Horse-7-Battery"
WAY = ("information_received", "picked_up", "in_transit", "in_transit", "out_for_delivery", "delivered")
"""Six scans of a parcel that arrives."""

LONDON = {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"}
SHELF = 260
"""Products that a run has ready; a test takes new ones, so that no test meets another's stock."""


def begun(prologue: Callable[[Shop], Any]) -> pytest.MarkDecorator:
    """Mark a test whose ``prologue`` is played in the background from the session's start.

    The fixture ``prelude`` waits for it and has what it returned: so the windows of many tests run out side by side.
    """
    return pytest.mark.begun.with_args(prologue)


def until(ask: Callable[[], T], holds: Callable[[T], object], what: str, within: float = 45) -> T:
    """Ask, at least twice a second, until the answer is as wanted."""
    return wait_until(ask, holds, what, within=within, every=0.15, most=0.5)


@dataclass(frozen=True)
class Goods:
    """A product and its price in pence."""

    sku: str
    price: int


@dataclass(frozen=True)
class Person:
    """A customer who can sign in and has a profile."""

    email: str
    locale: str
    api: Api


@dataclass
class Books:
    """What the tests moved: SKU and warehouse -> pieces that came in and that left."""

    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    shipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def came(self, warehouse: str, quantities: Mapping[str, int]) -> None:
        with self.guard:
            self.received.update({(sku, warehouse): pieces for sku, pieces in quantities.items()})

    def left(self, slip: Mapping[str, Any]) -> None:
        with self.guard:
            self.shipped.update({(line["sku"], slip["warehouse"]): line["quantity"] for line in slip["lines"]})


class Platform:
    """The deployment with its staff, customers and a shelf of products, made once a session.

    Names carry the run's own mark, so that a second run on the same cloud meets nothing of the first.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.run = uuid.uuid4().hex[:8]
        self.api = Api.of(deployment)
        self.operator = Operator(deployment)
        self.provider = Provider(self.api, self.operator.sandbox_secret())
        self.secret = self.operator.sandbox_secret()
        self.carrier = Carrier(deployment)
        self.books = Books()
        self.merchant = f"mer_{self.run}"
        self.staff = {group: self.sign_in(group, [group]) for group in GROUPS}
        self.nobody = self.sign_in("nobody", [])
        self._numbers = count(1)
        self.english = self.customer("en-GB", "Ada Lovelace")
        self.chinese = self.customer("zh-CN", "王小明")
        self._shelf = iter(self._fill_shelf())
        self._guard = threading.Lock()
        self.probe_order_path()

    def sign_in(self, name: str, groups: Sequence[str]) -> Api:
        email = self.address(name)
        self.operator.add_user(email, PASSWORD, groups)
        return self.api.signed_in(self.operator.sign_in(email, PASSWORD))

    def address(self, name: str) -> str:
        return f"{name}.{self.run}@example.com"

    def customer(self, locale: str = "en-GB", name: str = "Grace Hopper") -> Person:
        """Return a new customer."""
        user = f"customer{next(self._numbers)}"
        api = self.sign_in(user, ["customer"])
        zone = "Asia/Shanghai" if locale.startswith("zh") else "Europe/London"
        profile = {"name": name, "email": self.address(user), "locale": locale, "time_zone": zone}
        api.ask("PUT", "/me", profile)
        return Person(self.address(user), locale, api)

    def take(self, number: int) -> list[Goods]:
        """Return products that nobody has taken yet."""
        with self._guard:
            return [next(self._shelf) for _ in range(number)]

    def put_products(
        self, goods: Iterable[Goods], *, listed: bool = True, currencies: Sequence[str] = ("GBP", "CNY")
    ) -> None:
        """Put products and what they cost; CNY at nine to the pound."""
        for some in in_batches(goods, 100):
            products = [
                {
                    "sku": one.sku,
                    "merchant_id": self.merchant,
                    "title": {"en": f"Test goods {one.sku}", "zh": f"测试商品 {one.sku}"},
                    "tax_rate_bp": 2000,
                    "tax_inclusive": True,
                    "listed": listed,
                }
                for one in some
            ]
            self.staff["merchant"].ask("PUT", "/catalog/products", {"products": products})
            for currency in currencies:
                rate = 9 if currency == "CNY" else 1
                self.put_prices(f"{currency}-{self.run}", currency, {one.sku: one.price * rate for one in some})

    def put_prices(
        self, name: str, currency: str, prices: Mapping[str, int], *, days: tuple[int, int] = (-1, 30)
    ) -> None:
        """Put a price list that holds from and until so many days from now."""
        now = datetime.now(UTC)
        body = {
            "currency": currency,
            "valid_from": rfc3339(now + timedelta(days=days[0])),
            "valid_until": rfc3339(now + timedelta(days=days[1])),
            "entries": [{"sku": sku, "unit_price": price} for sku, price in prices.items()],
        }
        self.staff["merchant"].ask("PUT", f"/catalog/price-lists/{name}", body)

    def receive(self, warehouse: str, quantities: Mapping[str, int]) -> None:
        """Book goods into a warehouse."""
        for some in in_batches(quantities.items(), 99):
            lines = [{"sku": sku, "quantity": pieces} for sku, pieces in some]
            body = {"warehouse_id": warehouse, "lines": lines}
            self.staff["warehouse"].ask("POST", "/stock/receipts", body, key=new_key())
            self.books.came(warehouse, dict(some))

    def await_offers(self, goods: Sequence[Goods], currency: str = "GBP", code: str = "not-the-price") -> None:
        """Wait until orders may be placed for products: an order at impossible prices is refused for these alone."""
        body = order_body([(one, 1) for one in goods], currency=currency)
        body["lines"] = [line | {"unit_price": 999_999_999} for line in body["lines"]]

        def refusals() -> Counter[str]:
            problem = self.english.api.send("POST", "/orders", body, key=new_key()).body
            return Counter(error["code"] for error in problem["errors"])

        until(refusals, lambda seen: seen == {code: len(goods)}, f"{len(goods)} offers to reach the orders")

    def _fill_shelf(self) -> list[Goods]:
        goods = [Goods(f"T{self.run}-{at:03d}", 100 + at) for at in range(SHELF)]
        self.put_products(goods)
        self.await_offers(goods)
        self.await_offers(goods, "CNY")
        return goods

    def probe_order_path(self) -> None:
        """Have every function that a test's deadline counts on loaded once (a cold start takes seconds here)."""
        shop = Shop(self)
        (goods,) = shop.goods({GB: 1})
        shop.complete(shop.place((goods, 1)))


def in_batches(things: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield ``things``, so many at a time."""
    rest = iter(things)
    while some := tuple(islice(rest, size)):
        yield some


def order_body(wants: Iterable[tuple[Goods, int]], **changes: Any) -> dict[str, Any]:
    """Return the body of POST /orders."""
    body: dict[str, Any] = {
        "currency": "GBP",
        "locale": "en-GB",
        "time_zone": "Europe/London",
        "contact": {"name": "Ada Lovelace"},
        "address": LONDON,
        **changes,
    }
    rate = 9 if body["currency"] == "CNY" else 1
    lines = [{"sku": one.sku, "quantity": pieces, "unit_price": one.price * rate} for one, pieces in wants]
    return {**body, "lines": lines}


class Shop:
    """What one test does with the platform; it remembers its orders, for the message of a failure."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.orders: list[PlacedOrder] = []

    @property
    def warehouse(self) -> Api:
        return self.platform.staff["warehouse"]

    @property
    def ops(self) -> Api:
        return self.platform.staff["ops"]

    def goods(self, *stocks: Mapping[str, int]) -> list[Goods]:
        """Return one new product for each of ``stocks`` (warehouse -> pieces), received there."""
        found = self.platform.take(len(stocks))
        by_warehouse: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for one, stock in zip(found, stocks, strict=True):
            for warehouse, pieces in stock.items():
                by_warehouse[warehouse][one.sku] = pieces
        for warehouse, quantities in by_warehouse.items():
            self.platform.receive(warehouse, quantities)
        return found

    def place(
        self, *wants: tuple[Goods, int], buyer: Person | Api | None = None, key: str | None = None, **changes: Any
    ) -> PlacedOrder:
        """Place an order, for the English customer unless ``buyer`` says otherwise."""
        buyer = buyer or self.platform.english
        if isinstance(buyer, Person):
            changes = {"locale": buyer.locale} | changes
        order = place(buyer.api if isinstance(buyer, Person) else buyer, order_body(wants, **changes), key)
        self.orders.append(order)
        return order

    def guest(self, *wants: tuple[Goods, int], email: str = "", **changes: Any) -> PlacedOrder:
        """Place a guest's order."""
        email = email or self.platform.address(f"guest{uuid.uuid4().hex[:6]}")
        return self.place(*wants, buyer=self.platform.api, contact={"name": "Gast", "email": email}, **changes)

    def pay(self, order: PlacedOrder) -> dict[str, Any]:
        """Start a payment and let the provider authorise it at once."""
        payment = order.pay()
        self.platform.provider.authorise(payment)
        return payment

    def wait(self, order: PlacedOrder, *statuses: str, within: float = 45) -> str:
        """Wait until an order has one of ``statuses``."""
        what = f"{order.number} to be {' or '.join(statuses)}"
        return until(lambda: order.status, lambda now: now in statuses, what, within)

    def slips(self, order: PlacedOrder, number: int = 1) -> list[dict[str, Any]]:
        """Wait for the slips of a paid order and return them."""
        return [self._slip(f"{order.id}-{at}") for at in range(1, number + 1)]

    def slip(self, slip: Mapping[str, Any]) -> dict[str, Any]:
        """Return a slip as it is now."""
        found: dict[str, Any] = self.warehouse.ask("GET", f"/slips/{slip['id']}")
        return found

    def _slip(self, name: str) -> dict[str, Any]:
        answer = until(
            lambda: self.warehouse.send("GET", f"/slips/{name}"), lambda one: one.status == 200, f"slip {name}"
        )
        found: dict[str, Any] = answer.body
        return found

    def pack(self, slip: Mapping[str, Any]) -> dict[str, Any]:
        packed: dict[str, Any] = self.warehouse.ask("POST", f"/slips/{slip['id']}/pack", key=new_key())
        return packed

    def dispatch(self, slip: Mapping[str, Any]) -> Answer:
        """Hand a parcel over; the books count what has left."""
        answer = self.warehouse.send("POST", f"/slips/{slip['id']}/dispatch", key=new_key())
        if answer.status == 200 and slip["state"] != "dispatched":
            self.platform.books.left(slip)
        return answer

    def send(self, order: PlacedOrder, parcels: int = 1) -> list[dict[str, Any]]:
        """Pack and dispatch everything of a paid order; return the slips, with their waybills."""
        sent = []
        for slip in self.slips(order, parcels):
            packed = self.pack(slip)
            answer = self.dispatch(packed)
            assert answer.status == 200, answer
            sent.append(packed)
        return sent

    def scan(self, slip: Mapping[str, Any], *statuses: str) -> list[CarrierScan]:
        """Return scans of a packed slip's parcel, a second apart, the first of them now."""
        now = datetime.now(UTC)
        return [
            CarrierScan(slip["waybill"], status, now + timedelta(seconds=at), f"Depot {at}")
            for at, status in enumerate(statuses)
        ]

    def deliver(self, *slips: Mapping[str, Any]) -> None:
        """Report the whole way of parcels, an event a scan; the delivery when the rest was heard, as it happens."""
        ways = {slip["id"]: [[scan] for scan in self.scan(slip, *WAY)] for slip in slips}
        self.platform.carrier.report(*(scan for way in ways.values() for scan in way[:-1]))
        for slip in slips:
            until(partial(self._heard, slip), lambda seen: "out_for_delivery" in seen, f"scans of {slip['id']}")
        self.platform.carrier.report(*(way[-1] for way in ways.values()))

    def _heard(self, slip: Mapping[str, Any]) -> list[str]:
        parcels = self.ops.send("GET", f"/orders/{slip['order']}/shipments").body["shipments"]
        return next([one["status"] for one in parcel["milestones"]] for parcel in parcels if parcel["id"] == slip["id"])

    def complete(self, order: PlacedOrder, parcels: int = 1) -> None:
        """Lead an order from its payment to its end."""
        self.pay(order)
        self.deliver(*self.send(order, parcels))
        self.wait(order, "delivered")
        order.accept()
        self.wait(order, "completed")

    def facts(self, order: PlacedOrder) -> list[str]:
        return [entry["fact"] for entry in order.timeline()]

    def await_fact(self, order: PlacedOrder, fact: str, within: float = 45) -> None:
        until(lambda: self.facts(order), lambda facts: fact in facts, f"{order.number} to tell {fact}", within)

    def money(self, order: PlacedOrder) -> dict[str, Any]:
        """Return what is due for an order and its payments, as finance sees them."""
        found: dict[str, Any] = self.platform.staff["finance"].ask("GET", f"/orders/{order.number}/payments")
        return found

    def await_money(self, order: PlacedOrder, state: str, within: float = 45) -> dict[str, Any]:
        """Wait until the only payment of an order is in ``state`` and return it."""
        found = until(
            lambda: self.money(order)["payments"],
            lambda payments: [one["state"] for one in payments] == [state],
            f"the payment of {order.number} to be {state}",
            within,
        )
        return dict(found[0])

    def stock(self, sku: str) -> dict[str, dict[str, int]]:
        """Return warehouse -> levels of a SKU."""
        found = self.warehouse.ask("GET", f"/stock/{sku}")["warehouses"]
        return {level.pop("warehouse_id"): level for level in found}

    def await_level(self, goods: Goods, warehouse: str, **levels: int) -> None:
        """Wait until a SKU's levels are as given."""

        def now() -> dict[str, int]:
            return {name: self.stock(goods.sku)[warehouse][name] for name in levels}

        until(now, lambda found: found == levels, f"{goods.sku} in {warehouse} to have {levels}")

    def inbox(self, person: Person, order: PlacedOrder) -> list[dict[str, Any]]:
        """Return all that a customer was told of an order, newest first."""
        found, query = [], {"limit": "100"}
        while True:
            page = person.api.ask("GET", "/me/notifications", query=query)
            found += [one for one in page["notices"] if one["order_number"] == order.number]
            if not page["next"]:
                return found
            query["cursor"] = page["next"]

    def await_notices(self, person: Person, order: PlacedOrder, *kinds: str) -> list[dict[str, Any]]:
        """Wait until a customer was told exactly ``kinds`` of an order, each once; return the notices."""
        return until(
            lambda: self.inbox(person, order),
            lambda seen: Counter(one["kind"] for one in seen) == Counter(kinds),
            f"{person.email} to be told {kinds}",
        )

    def mails(self, email: str, about: str) -> list[dict[str, Any]]:
        """Return the mails to an address whose text has ``about`` in it."""
        with httpx.Client(base_url=self.platform.deployment.aws["endpoint_url"], trust_env=False) as http:
            kept = http.get("/_ministack/ses/messages").raise_for_status().json()["messages"]
        return [
            mail
            for mails in kept.values()
            for mail in mails
            if mail["To"] == [email] and about in mail["Subject"] + mail["BodyText"]
        ]

    def executions(self, order: PlacedOrder) -> str:
        """Return the last events of the execution that leads an order, for people."""
        states = self.platform.deployment.client("stepfunctions")
        machine = self.platform.deployment.outputs["OrderLifecycleArn"].replace(":stateMachine:", ":execution:")
        try:
            history = states.get_execution_history(
                executionArn=f"{machine}:{order.id}", reverseOrder=True, maxResults=15
            )
        except states.exceptions.ExecutionDoesNotExist:
            return "  no execution"
        return "\n".join(f"  {_event(one)}" for one in reversed(history["events"]))

    def report(self) -> str:
        """Return what became of this test's orders: timelines, and the ends of their executions."""
        lines = []
        for order in self.orders[-6:]:
            lines.append(f"order {order.number}: {order.status}")
            lines += [f"  {one['at']} {one['fact']} ({one['source']}) {one['about'] or ''}" for one in order.timeline()]
            lines.append(self.executions(order))
        return "\n".join(lines)


def says(answer: Answer) -> tuple[int, str]:
    """Return an answer's status and what its problem is called; if it is none, what it says instead."""
    problem = answer.body.get("type", "") if isinstance(answer.body, dict) else ""
    return answer.status, problem.removeprefix("/problems/") or str(answer.body)


def fault(answer: Answer) -> tuple[int, str]:
    """Return an answer's status and the first field at fault; if there is none, what it says instead."""
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    return answer.status, errors[0]["field"] if errors else str(answer.body)


def _event(event: Mapping[str, Any]) -> str:
    details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    told = {name: details[name] for name in ("name", "error", "cause") if details.get(name)}
    return f"{event['timestamp']:%H:%M:%S} {event['type']} {json.dumps(told)[:400] if told else ''}"
