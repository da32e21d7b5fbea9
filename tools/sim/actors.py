"""The people and companies around the platform: buyers, provider, warehouses, carrier, purchasing.

Each does what its software would: it repeats a call that was not answered well with the same Idempotency-Key, and gives
up on a refusal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from commerce.clock import rfc3339
from tools import sandbox_provider
from tools.sim.world import SECRET, Answer, World

WAREHOUSES = ("GB-DAV", "DE-DUI", "CN-YIW")
GOODS = {"PLENTY": 250, "SCARCE": 400, "SPLIT": 99}
"""SKU -> its price in pence."""

STOCK = {"GB-DAV": {"PLENTY": 500, "SCARCE": 4, "SPLIT": 3}, "DE-DUI": {"SPLIT": 3}}
WAY = ("information_received", "picked_up", "in_transit", "in_transit", "out_for_delivery", "delivered")

_ADDRESS = {"country": "GB", "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH"}
_TRIES = 8


@dataclass
class Placed:
    """An order in its buyer's hands."""

    number: str
    token: str
    guest: bool
    customer: str
    key: str

    @property
    def id(self) -> str:
        return self.number.replace("-", "")

    @property
    def address(self) -> str:
        """Where its buyer gets mail."""
        return f"guest{self.key.removeprefix('key-')}@example.com" if self.guest else f"{self.customer}@example.com"


@dataclass
class Play:
    """Everybody, around one world.

    Attributes
    ----------
    placed
        Orders that were accepted.
    complaints
        What somebody outside would complain about.
    leavers
        Customers and guests who asked to be erased.
    over
        Whether everybody goes home.
    """

    world: World
    placed: list[Placed] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    leavers: set[str] = field(default_factory=set)
    over: bool = False
    _open: bool = False

    def prepare(self) -> None:
        """Fill the catalogue and the shelves, and let two customers introduce themselves."""
        self.world.actor(self._opening)
        for _ in range(12):
            self.world.run(10)
            offers = [item for item in self.world.cloud.items("orders") if item["pk"]["S"].startswith("OFFER#")]
            if len(offers) == len(GOODS) and self._open:
                return
        self.complaints.append("the shop did not open")

    def begin(self, orders: int) -> None:
        """Let everybody act."""
        for at in range(orders):
            dice = self.world.chance("buyer", at)
            self.world.actor(lambda at=at: self._buy(at), dice.uniform(0, 20))  # type: ignore[misc]
        for warehouse in WAREHOUSES:
            self.world.actor(lambda warehouse=warehouse: self._work(warehouse), 1)  # type: ignore[misc]
        dice = self.world.chance("leaver")
        if dice.random() < 0.4:
            self.world.actor(self._leave, dice.uniform(0, 90))
        self.world.actor(self._look_around, 25)
        self.world.actor(self._count_stock, 30)
        self.world.actor(self._spread_stock, self.world.chance("spread").uniform(0, 20))
        self.world.actor(self._replenish, self.world.chance("purchasing").uniform(10, 50))

    # calls

    def _ask(
        self, route: str, function: str, path: dict[str, str] | None = None, body: Any = None, **options: Any
    ) -> Answer:
        """Call the API until it says yes or no."""
        for attempt in range(_TRIES):
            answer = self.world.request(route, function, path, body, **options)
            if answer.status < 500:
                return answer
            self.world.sleep(1.0 * 1.6**attempt)
        return answer

    def _opening(self) -> None:
        now = self.world.now
        merchant = {"sub": "merchant-1", "cognito:groups": "[merchant]"}
        products = [
            {
                "sku": sku,
                "merchant_id": "mer_1" if sku != "SPLIT" else "mer_2",
                "title": {"en": sku},
                "tax_rate_bp": 2000,
                "tax_inclusive": True,
                "listed": True,
            }
            for sku in GOODS
        ]
        self._must("PUT /catalog/products", "catalog-api", None, {"products": products}, claims=merchant)
        prices = {
            "currency": "GBP",
            "valid_from": rfc3339(now - timedelta(days=1)),
            "valid_until": rfc3339(now + timedelta(days=30)),
            "entries": [{"sku": sku, "unit_price": price} for sku, price in GOODS.items()],
        }
        self._must("PUT /catalog/price-lists/{id}", "catalog-api", {"id": "list"}, prices, claims=merchant)
        for warehouse, stock in STOCK.items():
            self._receive(warehouse, stock, f"opening-{warehouse}")
        for customer in ("customer-1", "customer-2"):
            profile = {
                "name": "Ada",
                "email": f"{customer}@example.com",
                "locale": "en-GB",
                "time_zone": "Europe/London",
            }
            self._must("PUT /me", "customers-api", None, profile, claims={"sub": customer})
        self._open = True

    def _must(self, *arguments: Any, **options: Any) -> Answer:
        answer = self._ask(*arguments, **options)
        if answer.status >= 400:
            self.complaints.append(f"{arguments[0]}: {answer.status} {answer.body}")
        return answer

    # buyers

    def _buy(self, at: int) -> None:
        dice = self.world.chance("order", at)
        guest = dice.random() < 0.4
        customer = dice.choice(("customer-1", "customer-2"))
        skus = dice.sample(sorted(GOODS), dice.randint(1, 3))
        body: dict[str, Any] = {
            "currency": "GBP",
            "locale": "en-GB",
            "time_zone": "Europe/London",
            "contact": {"name": "Ada", **({"email": f"guest{at}@example.com"} if guest else {})},
            "address": _ADDRESS,
            "lines": [{"sku": sku, "quantity": dice.randint(1, 3), "unit_price": GOODS[sku]} for sku in skus],
        }
        order = self._place(f"key-{at}", body, guest, customer)
        if order is None:
            return
        self.placed.append(order)
        leaver = self.world.chance("leaver", at)
        if guest and leaver.random() < 0.2:
            self.world.actor(lambda: self._leave(order), leaver.uniform(0, 60))
        if dice.random() < 0.2:
            again = self._place(f"key-{at}", body, guest, customer)
            if again is None or again.number != order.number:
                self.complaints.append(f"{order.number}: the same key made {again and again.number}")
        if guest and dice.random() < 0.4:
            self.world.actor(lambda: self._claim(order, customer), dice.uniform(5, 60))
        if dice.random() < 0.25:
            self.world.actor(lambda: self._cancel(order), dice.uniform(0, 30))
        if dice.random() < 0.6:
            self.world.actor(lambda: self._accept(order), 20)
        if dice.random() < 0.92:
            late = dice.random() < 0.12
            self.world.sleep(dice.uniform(14, 24) if late else dice.uniform(0, 8))
            self._pay(order, dice)

    def _place(self, key: str, body: dict[str, Any], guest: bool, customer: str) -> Placed | None:
        route = "POST /guest/orders" if guest else "POST /orders"
        claims = None if guest else {"sub": customer}
        answer = self._ask(route, "orders-intake", None, body, headers={"Idempotency-Key": key}, claims=claims)
        if answer.status != 202:
            if answer.status < 500 and not (answer.status == 409 and (guest or customer in self.leavers)):
                self.complaints.append(f"{key}: {answer.status} {answer.body}")
            return None
        return Placed(answer.body["number"], answer.body["order_token"], guest, customer, key)

    def _act(self, order: Placed, what: str, function: str, body: Any = None, key: str = "") -> Answer:
        of = "/guest/orders" if order.guest else "/orders"
        headers = {"Order-Token": order.token} if order.guest else {}
        if key:
            headers["Idempotency-Key"] = key
        return self._ask(
            f"{what.split()[0]} {of}/{{number}}{what.partition(' ')[2]}",
            function,
            {"number": order.number},
            body,
            headers=headers,
            claims=None if order.guest else {"sub": order.customer},
        )

    def _pay(self, order: Placed, dice: Any) -> None:
        for attempt in range(3):
            body = {"provider": "sandbox", "order_token": order.token}
            started = self._act(order, "POST /payments", "payments-api", body, key=f"{order.key}-pay-{attempt}")
            if started.status >= 400 or not (started.body or {}).get("next"):
                return
            self.world.sleep(dice.uniform(0, 4))
            declined = dice.random() < 0.15
            self._call_back(started.body, "declined" if declined else "authorised")
            if dice.random() < 0.2:
                self._call_back(started.body, "declined" if declined else "authorised")
            if not declined:
                return

    def _call_back(self, payment: dict[str, Any], verdict: Any) -> None:
        for attempt in range(_TRIES):
            signed = sandbox_provider.callback(
                SECRET, verdict, payment["payment_id"], payment["amount"], payment["currency"], self.world.now
            )
            answer = self.world.request(
                "POST /payments/callbacks/{provider}",
                "payments-callback",
                {"provider": "sandbox"},
                signed.body.decode(),
                headers=signed.headers,
            )
            if answer.status < 300:
                return
            self.world.sleep(2.0 * 1.6**attempt)

    def _cancel(self, order: Placed) -> None:
        self._act(order, "POST /cancel", "orders-api", key=f"{order.key}-cancel")

    def _accept(self, order: Placed) -> None:
        while not self.over:
            found = self._act(order, "GET ", "orders-api")
            status = (found.body or {}).get("status")
            if status == "delivered":
                self._act(order, "POST /accept", "orders-api", key=f"{order.key}-accept")
                return
            if status in ("cancelled", "expired", "accepted", "completed"):
                return
            self.world.sleep(9)

    def _claim(self, order: Placed, customer: str) -> None:
        headers = {"Order-Token": order.token, "Idempotency-Key": f"{order.key}-claim"}
        claims, path = {"sub": customer}, {"number": order.number}
        self._ask("POST /orders/{number}/claim", "orders-api", path, None, headers=headers, claims=claims)

    def _leave(self, order: Placed | None = None) -> None:
        """Ask to be erased, twice: the guest of an order, or the second customer."""
        for key in ("erase-1", "erase-2"):
            if order is not None:
                headers = {"Order-Token": order.token, "Idempotency-Key": key}
                route, path = "POST /guest/orders/{number}/erasure", {"number": order.number}
                self._ask(route, "orders-erasure", path, None, headers=headers)
                continue
            self.leavers.add("customer-2")
            claims = {"sub": "customer-2"}
            self._ask("POST /me/erasure", "orders-erasure", None, None, headers={"Idempotency-Key": key}, claims=claims)

    def _look_around(self) -> None:
        """Read whatever there is to read; nothing of it may fail or change anything."""
        for order in list(self.placed):
            for what, function in (
                ("GET /timeline", "orders-api"),
                ("GET /payments", "payments-api"),
                ("GET /shipments", "shipping-api"),
            ):
                self._act(order, what, function)
        customer, ops = {"sub": "customer-1"}, {"sub": "ops", "cognito:groups": "[ops]"}
        self._must("GET /me", "customers-api", claims=customer)
        self._must("GET /orders", "orders-api", claims=customer)
        self._must("GET /me/export", "customers-api", claims=customer)
        self._must("GET /me/export/orders", "orders-api", claims=customer)
        told = self._must("GET /me/notifications", "notifications-api", claims=customer)
        for notice in (told.body or {}).get("notices", ())[:1]:
            path = {"id": notice["id"]}
            key = {"Idempotency-Key": "read"}
            self._must("POST /me/notifications/{id}/read", "notifications-api", path, claims=customer, headers=key)
        self._must("GET /ops/orders", "orders-ops", claims=ops)
        self._must("GET /catalog/products", "catalog-api")
        self._must("GET /catalog/products/{sku}", "catalog-api", {"sku": "PLENTY"})
        self._must("GET /stock/{sku}", "inventory-api", {"sku": "PLENTY"}, claims=ops)
        self._must("GET /health", "reference")

    def operate(self) -> None:
        """Give back what is in dead-letter queues, as ``docs/operations/dead-letters.md`` says."""
        ops = {"sub": "ops", "cognito:groups": "[ops]"}
        listed = self._must("GET /ops/queues", "orders-ops", claims=ops)
        for queue in (listed.body or {}).get("queues", ()):
            if queue["messages"]:
                path, key = {"name": queue["name"]}, {"Idempotency-Key": "redrive"}
                self._ask("POST /ops/queues/{name}/redrive", "orders-ops", path, claims=ops, headers=key)

    # warehouses, carrier, purchasing

    def _spread_stock(self) -> None:
        """Spread some over several shards while they are sold, and one of them further."""
        staff = {"sub": "staff", "cognito:groups": "[warehouse]"}
        for sku, shards in (("SCARCE", 3), ("PLENTY", 2), ("PLENTY", 4)):
            body = {"warehouse_id": "GB-DAV", "shards": shards}
            key = {"Idempotency-Key": f"spread-{sku}-{shards}"}
            path = {"sku": sku}
            self._must("POST /stock/{sku}/shards", "inventory-api", path, body, headers=key, claims=staff)
            self.world.sleep(self.world.chance("spread", sku, shards).uniform(0, 10))

    def _count_stock(self) -> None:
        staff = {"sub": "staff", "cognito:groups": "[warehouse]"}
        for at, delta in enumerate((-2, 5)):
            body = {"warehouse_id": "GB-DAV", "delta": delta, "reason": "counted"}
            key = {"Idempotency-Key": f"count-{at}"}
            path = {"sku": "PLENTY"}
            self._must("POST /stock/{sku}/adjustments", "inventory-api", path, body, headers=key, claims=staff)

    def _work(self, warehouse: str) -> None:
        staff = {"sub": f"staff-{warehouse}", "cognito:groups": "[warehouse]"}
        round_ = 0
        while not self.over:
            round_ += 1
            query = (
                {"warehouse": warehouse, "state": "released"}
                if round_ % 2
                else {"warehouse": warehouse, "state": "packed"}
            )
            listed = self._ask("GET /slips", "shipping-warehouse", None, None, claims=staff, query=query)
            for slip in (listed.body or {}).get("slips", ()):
                if self.world.chance("picker", slip["id"], round_).random() < 0.3:
                    continue
                what = "pack" if slip["state"] == "released" else "dispatch"
                key = {"Idempotency-Key": f"{slip['id']}-{what}"}
                done = self._ask(
                    f"POST /slips/{{id}}/{what}",
                    "shipping-warehouse",
                    {"id": slip["id"]},
                    None,
                    headers=key,
                    claims=staff,
                )
                if what == "dispatch" and done.status == 200:
                    waybill = done.body["waybill"]
                    self.world.actor(lambda waybill=waybill: self._carry(waybill), 0.5)  # type: ignore[misc]
            self.world.sleep(2.0)

    def _carry(self, waybill: str) -> None:
        dice = self.world.chance("carrier", waybill)
        for status in WAY:
            self.world.sleep(dice.uniform(0.2, 4))
            scan = {"status": status, "at": rfc3339(self.world.now), "place": "Depot"}
            self._report(waybill, [scan])
            if dice.random() < 0.15:
                self._report(waybill, [scan])

    def _report(self, waybill: str, scans: list[dict[str, str]]) -> None:
        entry = {
            "EventBusName": "commerce-test-carriers",
            "Source": "carrier.generic",
            "DetailType": "ScanReported",
            "Detail": json.dumps({"waybill": waybill, "scans": scans}),
        }
        self.world.cloud.perform("events", "put_events", {"Entries": [entry]})

    def _receive(self, warehouse: str, stock: dict[str, int], key: str) -> None:
        self._must(
            "POST /stock/receipts",
            "inventory-api",
            None,
            {"warehouse_id": warehouse, "lines": [{"sku": sku, "quantity": pieces} for sku, pieces in stock.items()]},
            headers={"Idempotency-Key": key},
            claims={"sub": "staff", "cognito:groups": "[warehouse]"},
        )

    def _replenish(self) -> None:
        buyer = {"sub": "buyer", "cognito:groups": "[merchant]"}
        for number in range(6):
            if self.over:
                return
            found = self._ask("GET /replenishments", "inventory-api", None, None, claims=buyer)
            for one in (found.body or {}).get("replenishments", ()):
                name = one["replenishment_id"]
                self._ask(
                    "POST /replenishments/{id}/receipts",
                    "inventory-api",
                    {"id": name},
                    {"quantity": one["quantity"] - one["received"]},
                    headers={"Idempotency-Key": f"{name}-{number}"},
                    claims=buyer,
                )
            self.world.sleep(self.world.chance("purchasing", number).uniform(5, 15))
