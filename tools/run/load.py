"""Brings the sample to the platform: catalogue, people and stock, through the public API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tools.client import Api, Deployment, Operator, new_key, until
from tools.loader import Sample
from tools.loader.people import Buyer
from tools.loader.prices import PriceEntry, PriceList
from tools.loader.stock import StockLevel
from tools.run.journal import Journal

T = TypeVar("T")

SAMPLE_PASSWORD = "Sample-sign-in-2026"  # noqa: S105 - of users in an emulator on this machine; printed for trying out
PRODUCTS_A_CALL = 100
PRICES_A_CALL = 1000
LINES_A_RECEIPT = 90
"""Stock lines of one receipt: a receipt is booked in one transaction."""
AT_ONCE = 4
FOREVER = "9999-12-31T00:00:00Z"


@dataclass(frozen=True)
class Cast:
    """Everybody who plays, signed in.

    Attributes
    ----------
    customers
        The source's CustomerID -> his view of the API.
    warehouses
        Warehouse -> its worker's view.
    merchants
        Merchant -> his view.
    """

    operator: Operator
    anonymous: Api
    customers: dict[str, Api]
    warehouses: dict[str, Api]
    merchants: dict[str, Api]
    purchasing: Api
    ops: Api


def staff(sample: Sample) -> dict[str, tuple[str, ...]]:
    """Return e-mail address -> groups of everybody who works here."""
    merchants = sorted({product.merchant_id for product in sample.products})
    return {
        **{worker(warehouse): ("warehouse",) for warehouse in warehouses(sample)},
        **{merchant_mail(one): ("merchant",) for one in merchants},
        "purchasing@example.com": ("merchant",),
        "ops@example.com": ("ops", "support"),
    }


def warehouses(sample: Sample) -> list[str]:
    """Return the ids of all warehouses."""
    return sorted({one for near in sample.warehouses.values() for one in near})


def worker(warehouse: str) -> str:
    """Return the e-mail address of a warehouse's worker."""
    return f"warehouse.{warehouse.lower()}@example.com"


def merchant_mail(merchant: str) -> str:
    """Return the e-mail address of a merchant."""
    return f"{merchant}@example.com"


def sign_in_all(sample: Sample, deployment: Deployment) -> Cast:
    """Make everybody a user in his groups, if he is not, and sign him in."""
    operator, api = Operator(deployment), Api.of(deployment)

    def enter(person: tuple[str, tuple[str, ...]]) -> tuple[str, Api]:
        mail, groups = person
        operator.add_user(mail, SAMPLE_PASSWORD, groups)
        return mail, api.signed_in(operator.sign_in(mail, SAMPLE_PASSWORD))

    everybody = {**staff(sample), **{one.contact.email: ("customer",) for one in sample.customers}}
    entered = dict(_each(enter, everybody.items()))
    return Cast(
        operator=operator,
        anonymous=api,
        customers={one.id: entered[one.contact.email] for one in sample.customers},
        warehouses={one: entered[worker(one)] for one in warehouses(sample)},
        merchants={one: entered[merchant_mail(one)] for one in {p.merchant_id for p in sample.products}},
        purchasing=entered["purchasing@example.com"],
        ops=entered["ops@example.com"],
    )


def load(sample: Sample, cast: Cast, journal: Journal, say: Callable[[str], None]) -> None:
    """Put everything that the orders of ``sample`` need; may be done again on the same cloud.

    Raises
    ------
    tools.client.Refused
        The platform did not take something.
    tools.client.TooLate
        The orders context has not got all offers.
    """
    start = journal.end
    say(f"{len(sample.products)} products")
    list(_each(_one_by_one, _product_calls(sample, cast)))
    say(f"{len(sample.price_lists)} price lists")
    list(_each(_one_by_one, _price_calls(sample, cast)))
    say(f"{len(sample.customers)} customers")
    list(_each(lambda one: introduce(one, cast.customers[one.id]), sample.customers))
    say(f"stock of {len(sample.stock)} SKUs")
    receive(sample.stock, cast)
    say("offers on their way to the orders")
    # An order is priced by the orders context's own copy of the offers, which comes by events.
    journal.settle(start, quiet=1.0, within=240)
    until(lambda: cast.operator.waiting("OrdersOffersQueueName"), lambda left: left == 0, "the offers", within=120)


def introduce(buyer: Buyer, api: Api) -> None:
    """Let a customer put his profile."""
    profile = {
        "name": buyer.contact.name,
        "email": buyer.contact.email,
        "phone": buyer.contact.phone,
        "locale": buyer.locale,
        "time_zone": buyer.time_zone,
    }
    api.ask("PUT", "/me", profile)


def receive(levels: Iterable[StockLevel], cast: Cast) -> None:
    """Let each warehouse book what came in."""
    by_warehouse: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for level in levels:
        by_warehouse[level.warehouse].append({"sku": level.sku, "quantity": level.quantity})
    receipts = [
        (warehouse, part) for warehouse, lines in by_warehouse.items() for part in _parts(lines, LINES_A_RECEIPT)
    ]

    def book(receipt: tuple[str, Sequence[dict[str, Any]]]) -> None:
        warehouse, lines = receipt
        body = {"warehouse_id": warehouse, "lines": lines, "reference": "opening stock"}
        cast.warehouses[warehouse].ask("POST", "/stock/receipts", body, key=new_key())

    list(_each(book, receipts))


Calls = Sequence[Callable[[], object]]


def _one_by_one(calls: Calls) -> None:
    for call in calls:
        call()


def _product_calls(sample: Sample, cast: Cast) -> Iterator[Calls]:
    """Yield each merchant's calls."""
    for merchant, api in cast.merchants.items():
        products = [
            {
                "sku": one.sku,
                "merchant_id": one.merchant_id,
                "title": {"en": one.title},
                "tax_rate_bp": one.tax_rate_bp,
                "tax_inclusive": one.tax_inclusive,
            }
            for one in sample.products
            if one.merchant_id == merchant
        ]
        yield [_put(api, "/catalog/products", {"products": part}) for part in _parts(products, PRODUCTS_A_CALL)]


def _price_calls(sample: Sample, cast: Cast) -> Iterator[Calls]:
    """Yield each merchant's calls; one by one, because two that change one product are in each other's way."""
    merchant_of = {one.sku: one.merchant_id for one in sample.products}
    for merchant, api in cast.merchants.items():
        yield [
            _put(api, f"/catalog/price-lists/{price_list.id}", _prices(price_list, part))
            for price_list in sample.price_lists
            for part in _parts(
                [one for one in price_list.entries if merchant_of.get(one.sku) == merchant], PRICES_A_CALL
            )
        ]


def _prices(price_list: PriceList, entries: Sequence[PriceEntry]) -> dict[str, Any]:
    return {
        "currency": price_list.currency,
        # From its day on and for good: the sample's orders are placed years after that day.
        "valid_from": f"{price_list.id[:10]}T00:00:00Z",
        "valid_until": FOREVER,
        "entries": [
            {"sku": one.sku, "min_quantity": one.min_quantity, "unit_price": one.unit_price} for one in entries
        ],
    }


def _put(api: Api, path: str, body: dict[str, Any]) -> Callable[[], object]:
    return lambda: api.ask("PUT", path, body)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


R = TypeVar("R")


def _each(do: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(do, items)
