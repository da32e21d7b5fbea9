"""How today's stores read each kind of item; what is recorded must come out of them as it went in."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from catalog.store import ProductStore
from commerce.clock import rfc3339
from commerce.dynamo import Item
from customers.store import CustomerStore
from inventory import wiring
from notifications.store import NoticeStore
from orders.model import Wait
from orders.service.ports import Key
from payments.store import Store as PaymentStore
from shipping.model import SlipId
from shipping.store import ShippingStore
from tests.integration.recorded import CONTEXTS, World

KEYS = frozenset({"pk", "sk", "v", "ttl", "outbox", "open_pk", "queue_pk", "queue_sk", "listed_pk"})
"""Attributes that address or carry an item and are no part of the thing."""


def unread(world: World) -> list[str]:
    """Return what of the recorded items today's code does not read, or reads as something else."""
    items = [(table, item) for table in CONTEXTS for item in world.case.items(table)]
    kinds = ((item, f"{table} {item['pk']} {item['sk']}", read(world, table, item)) for table, item in items)
    return [f"{name}: {difference}" for item, name, things in kinds for difference in _differences(item, things)]


def _differences(item: Item, thing: Any) -> Iterator[str]:
    if thing is None:
        yield "is of no kind that is known today"
        return
    fields = thing if isinstance(thing, Mapping) else _Attributes(thing)
    for name, value in item.items():
        if name in KEYS:
            continue
        if name not in fields:
            yield f"{name} is not known today"
        elif not same(fields[name], value):
            yield f"{name} was {value!r} and is read as {fields[name]!r}"


class _Attributes(Mapping[str, Any]):
    """The attributes of a thing as a mapping."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self._thing, name)
        except AttributeError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self._thing))

    def __len__(self) -> int:
        return len(vars(self._thing))


def same(today: Any, then: Any) -> bool:
    """Whether a value of a model is what an item has in its place."""
    match today:
        case datetime():
            return bool(rfc3339(today) == then)
        case enum.Enum():
            return bool(today.value == then)
        case _ if isinstance(then, Mapping):
            fields = today if isinstance(today, Mapping) else _Attributes(today)
            return all(name in fields and same(fields[name], value) for name, value in then.items())
        case list() | tuple():
            return len(today) == len(then) and all(map(same, today, then))
    return bool(today == then)


def read(world: World, table: str, item: Item) -> Any:
    """Return what today's code makes of an item; None for one of an unknown kind."""
    return READERS[table](world, item["pk"].partition("#")[0], item)


def _orders(world: World, kind: str, item: Item) -> Any:
    store, name = world.orders, item["pk"].partition("#")[2]
    if kind == "KEY":
        return store.key_used(Key(name, item["sk"], ""))
    if kind == "OFFER":
        return store.find([item["sku"]], item["currency"])[item["sku"]]
    match item["sk"].split("#"):
        case ["HEAD"]:
            order = store.get(name)
            # Packed: compared by what buyers were shown of them.
            packed = {"timeline": item["timeline"], "shipments": item.get("shipments"), "number": order.order_id}
            return dict(_Attributes(order)) | packed
        case ["REV", number]:
            revision = store.revision(name, int(number))
            lines = [
                [
                    *(line.line, line.sku, line.quantity, line.unit_price, line.merchant_id),
                    *(line.charges.item, line.charges.discount, line.charges.shipping),
                    *(line.charges.tax, line.charges.tax_rate_bp, line.charges.tax_inclusive),
                ]
                for line in revision.lines
            ]
            return dict(_Attributes(revision)) | {"lines": lines, "pages": 1}
        case ["WAIT", what]:
            return {"token": store.token(name, Wait(what))}
    return None


def _inventory(_: World, kind: str, item: Item) -> Any:
    store, name = wiring.store(), item["pk"].partition("#")[2]
    match kind, item["sk"]:
        case "STOCK", warehouse:
            return next(level for level in store.levels(name) if level.warehouse_id == warehouse)
        case "RESERVATION", "RESERVATION":
            reservation = store.reservation(name)
            assert reservation is not None
            assert bool(reservation.fulfilments) == (
                reservation.state.value != "released" or bool(reservation.progress)
            )
            return dict(_Attributes(reservation)) | {"fulfilments": item["fulfilments"]}
        case "RESERVATION", "WAITING":
            return store.look(name).waiting
        case "WAITING", "-":
            return store.marks([name]).get(name)
        case "WAITING", place:
            return next(one for one in store.queue(name, lanes=1) if one.at == place)
        case "REPLENISHMENT", sort:
            warehouse, _, number = sort.partition("#")
            asked = store.replenishment(name, warehouse, int(number))
            return asked and dict(_Attributes(asked)) | {"open_since": asked.raised_at}
        case "MOVEMENT", _:
            return store.movement(name)
    return None


def _payments(world: World, kind: str, item: Item) -> Any:
    kept = PaymentStore(world.table("payments")).load(item["pk"].partition("#")[2])
    assert kept is not None
    return dict(_Attributes(kept.order)) | {"version": kept.version, "open_since": kept.open_since}


def _shipping(world: World, kind: str, item: Item) -> Any:
    store, name = ShippingStore(world.table("shipping")), item["pk"].partition("#")[2]
    if kind == "WAYBILL":
        carrier, _, waybill = name.partition("#")
        parcel = store.parcel(carrier, waybill)
        assert parcel is not None
        # Packed: compared by what buyers were shown of them.
        packed = {name: item[name] for name in ("packed_at", "scans", "told") if name in item}
        return dict(_Attributes(parcel)) | packed | {"slip": parcel.slip_id}
    if item["sk"] == "STOPPED":
        return {"state": store.stop_mark(name)}
    slip = store.slip(SlipId(name, int(item["sk"].partition("#")[2])))
    assert slip is not None
    lines = ",".join(f"{line.line}:{line.sku}:{line.quantity}" for line in slip.lines)
    return dict(_Attributes(slip)) | {"lines": lines}


def _notifications(world: World, kind: str, item: Item) -> Any:
    reader = item["pk"].partition("#")[2] or item["pk"]
    page = NoticeStore(world.table("notifications")).inbox(reader, 100, None)
    return next((one for one in page.items if one["sk"] == item["sk"]), None)


def _catalog(world: World, kind: str, item: Item) -> Any:
    if kind == "PUBLISH":
        return {}
    product = ProductStore(world.table("catalog")).read([item["sku"]])[item["sku"]]
    assert product.prices
    return dict(_Attributes(product.description)) | {"version": product.version, "prices": item["prices"]}


def _customers(world: World, kind: str, item: Item) -> Any:
    return CustomerStore(world.table("customers")).get(item["pk"].partition("#")[2])


READERS = {
    "orders": _orders,
    "inventory": _inventory,
    "payments": _payments,
    "shipping": _shipping,
    "notifications": _notifications,
    "catalog": _catalog,
    "customers": _customers,
}
