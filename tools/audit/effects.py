"""Events: whether each had its effect on those it is for, and whether every item is of a known kind.

An event is published from the item that caused it, and its consumers write what follows from it. Their items are the
proof that it came: what a context alone says of itself would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from tools.audit.books import Books, Finding, Item, Order, moment

Missing = Iterator[tuple[str, str]]
"""What an event is about, and the effect that is not there."""

_TROUBLE = {"a": "attempted", "x": "exception", "n": "cancelled", "l": "lost", "r": "returning", "e": "returned"}
"""Letters in a parcel's ``told`` -> the trouble that was told."""


def published(books: Books) -> Iterator[Finding]:
    for event, proof in PROOFS.items():
        for subject, missing in proof(books):
            yield Finding("event-published", subject, f"{event}: {missing}")


def known(books: Books) -> Iterator[Finding]:
    for context, item in books.unknown:
        yield Finding("item-known", f"{item['pk']} {item['sk']}", f"no item of {context}")


def _placed(books: Books) -> Missing:
    for order in _resting(books):
        # An order that was cancelled before it began is closed by an execution too.
        if not order.head.get("started_at") and order.status == "received":
            yield order.id, "no execution leads it"
        yield from _told(books, order, "order-placed")


def _awaiting_stock(books: Books) -> Missing:
    for order in _resting(books):
        if order.has("stock_short"):
            yield from _told(books, order, "order-awaiting-stock")


def _paid(books: Books) -> Missing:
    for order in _resting(books):
        if "dispatch" in books.tokens.get(order.id, {}):
            yield from _told(books, order, "order-paid")


def _fulfilment_requested(books: Books) -> Missing:
    for order in _resting(books):
        if "dispatch" not in books.tokens.get(order.id, {}):
            continue
        for number in order.shipments.keys() - books.slips.get(order.id, {}).keys():
            if books.stops.get(order.id, {}).get("state") != "stopped":
                yield order.id, f"no slip for fulfilment {number}"


def _cancellation_requested(books: Books) -> Missing:
    for order in _resting(books):
        if order.status == "cancelling":
            yield order.id, "nothing was put back"


def _delivered(books: Books) -> Missing:
    for order in _resting(books):
        if order.status in ("delivered", "accepted", "completed"):
            yield from _told(books, order, "order-delivered")


def _accepted(books: Books) -> Missing:
    for order in _resting(books):
        if order.status == "accepted":
            yield order.id, "it was not settled"
        if any(fact.name == "accepted" and fact.source == "window" for fact in order.facts):
            yield from _told(books, order, "order-accepted")


def _closed(status: str) -> Callable[[Books], Missing]:
    def proof(books: Books) -> Missing:
        for order in _resting(books):
            if order.status == status:
                yield from _told(books, order, f"order-{status}")

    return proof


def _cancellation_refused(books: Books) -> Missing:
    for order in _resting(books):
        if order.has("cancellation_refused"):
            yield from _told(books, order, "cancellation-refused")


def _payment_authorised(books: Books) -> Missing:
    for order in _resting(books):
        paid_by = books.payments.get(order.id, {}).get("paid_by")
        unpaid = order.status in ("received", "awaiting_stock", "awaiting_payment")
        if paid_by and unpaid and order.head.get("payment_id") != paid_by:
            yield order.id, f"{paid_by} satisfies the demand, and the order does not know"


def _payment_declined(books: Books) -> Missing:
    for name, item in books.payments.items():
        order = books.orders.get(name)
        payments: Mapping[str, Item] = item["payments"]
        # Told only while the order is still to be paid: whoever was declined and never paid otherwise was told.
        if order is None or not books.rests(order) or item["demand"] != "open":
            continue
        for one, payment in payments.items():
            if payment["state"] == "declined" and ("payment-declined", one) not in _inbox(books, order.buyer):
                yield name, f"nobody was told that {one} was declined"


def _payment_returned(books: Books) -> Missing:
    for name, item in books.payments.items():
        order = books.orders.get(name)
        if order is None or not books.rests(order):
            continue
        for one, payment in item["payments"].items():
            back = payment["state"] in ("voided", "refunded") and payment.get("authorised", 0)
            if back and ("payment-returned", one) not in _inbox(books, item.get("buyer", order.buyer)):
                yield name, f"nobody was told that the money of {one} went back"


def _shipment_dispatched(books: Books) -> Missing:
    for name, slips in books.slips.items():
        order = books.orders.get(name)
        if order is None:
            continue
        for number, slip in slips.items():
            if slip["state"] != "dispatched" or books.now - moment(slip["dispatched_at"]) <= books.slack:
                continue
            fulfilment = f"{name}-{number}"
            shipment, reservation = order.shipments.get(number), books.reservations.get(name)
            if shipment is None or shipment.rank < 1:
                yield fulfilment, "left, and the order does not know"
            if reservation is None or not reservation.has_left(number):
                yield fulfilment, "left, and the stock does not know"
            payments = books.payments.get(name, {}).get("payments", {}).values()
            if order.total and not any(fulfilment in one.get("captures", {}) for one in payments):
                yield fulfilment, "left, and nothing was captured for it"
            if ("shipment-dispatched", fulfilment) not in _inbox(books, order.buyer):
                yield fulfilment, "left, and the buyer was not told"


def _told_of_parcel(letter: str, rank: int, kind: str) -> Callable[[Books], Missing]:
    def proof(books: Books) -> Missing:
        for order, number, parcel in _parcels(books):
            if letter not in parcel.get("told", ""):
                continue
            if number not in order.shipments or order.shipments[number].rank < rank:
                yield f"{order.id}-{number}", "the order does not know"
            if kind and (kind, f"{order.id}-{number}") not in _inbox(books, order.buyer):
                yield f"{order.id}-{number}", "the buyer was not told"

    return proof


def _shipment_exceptional(books: Books) -> Missing:
    for order, number, parcel in _parcels(books):
        told = {fact.detail for fact in order.facts if fact.name == "exceptional" and fact.about == str(number)}
        for letter in parcel.get("told", ""):
            if letter in _TROUBLE and _TROUBLE[letter] not in told:
                yield f"{order.id}-{number}", f"the order does not know of {_TROUBLE[letter]}"


def _milestones_added(books: Books) -> Missing:
    # Every scan of a delivered parcel that says something new is on the order's timeline in the end; what a parcel
    # says is worked out from its scans by shipping alone, so that here only their presence is asked for.
    for order, number, parcel in _parcels(books):
        scans = any(fact.about == str(number) and fact.name in ("scan", "delivered") for fact in order.facts)
        if "d" in parcel.get("told", "") and not scans:
            yield f"{order.id}-{number}", "delivered, and the timeline has none of its scans"


def _stock_available(books: Books) -> Missing:
    for name, waits in books.waiting.items():
        order = books.orders.get(name)
        if order is None or not books.rests(order):
            continue
        # Whoever was woken asked for the stock again; it waits anew only with its wake-up used up.
        if order.status == "awaiting_stock" and waits.get("causes") and order.head.get("woken"):
            yield name, "was woken and did not look"


def _replenishment_raised(books: Books) -> Missing:
    for name, item in books.replenishments.items():
        told = ("replenishment-raised", name) in _inbox(books, "PURCHASING")
        if not told and books.now - moment(item["raised_at"]) > books.slack:
            yield name, "purchasing was not told"


def _offers_published(books: Books) -> Missing:
    offered: dict[str, int] = {}
    for (sku, _), offer in books.offers.items():
        offered[sku] = max(offered.get(sku, 0), int(offer["version"]))
    for sku, product in books.products.items():
        # A product's version is the time of its change, in milliseconds.
        settled = books.now.timestamp() * 1000 - product["version"] > books.slack.total_seconds() * 1000
        if settled and product["prices"] not in ("", "{}") and offered.get(sku) != product["version"]:
            yield sku, f"offered as of {offered.get(sku)}, but it changed at {product['version']}"


def _customer_erased(books: Books) -> Missing:
    for subject, erasure in books.erasures.items():
        told = erasure["state"] == "erased" and books.now - moment(erasure["erased_at"]) > books.slack
        if told and not subject.startswith("guest_") and "erased_at" not in books.profiles.get(subject, {}):
            yield subject, "was erased, and the customers do not know"


PROOFS: Mapping[str, Callable[[Books], Missing]] = MappingProxyType(
    {
        "OrderPlaced": _placed,
        "OrderAwaitingStock": _awaiting_stock,
        "OrderPaid": _paid,
        "FulfilmentRequested": _fulfilment_requested,
        "OrderCancellationRequested": _cancellation_requested,
        "OrderDelivered": _delivered,
        "OrderAccepted": _accepted,
        "OrderCancelled": _closed("cancelled"),
        "OrderExpired": _closed("expired"),
        "CancellationRefused": _cancellation_refused,
        "CustomerErased": _customer_erased,
        "PaymentAuthorised": _payment_authorised,
        "PaymentDeclined": _payment_declined,
        "PaymentReturned": _payment_returned,
        "ShipmentDispatched": _shipment_dispatched,
        "ShipmentOutForDelivery": _told_of_parcel("o", 2, "shipment-out-for-delivery"),
        "ShipmentDelivered": _told_of_parcel("d", 3, ""),
        "ShipmentExceptional": _shipment_exceptional,
        "ShipmentMilestonesAdded": _milestones_added,
        "StockAvailable": _stock_available,
        "ReplenishmentRaised": _replenishment_raised,
        "OffersPublished": _offers_published,
    }
)
"""Event type of the bus ``commerce`` -> the search for effects that it should have had and has not."""


def _resting(books: Books) -> Iterator[Order]:
    return (order for order in books.orders.values() if books.rests(order))


class _Whatever(frozenset[tuple[str, str]]):
    """The inbox of somebody who was erased: gone, and what was in it does not matter."""

    def __contains__(self, _: object) -> bool:
        return True


def _inbox(books: Books, reader: str) -> frozenset[tuple[str, str]]:
    if books.erased(reader):
        return _Whatever()
    return books.notices.get(reader, frozenset())


def _told(books: Books, order: Order, kind: str) -> Missing:
    if (kind, order.id) not in _inbox(books, order.buyer):
        yield order.id, f"the buyer was not told ({kind})"


def _parcels(books: Books) -> Iterator[tuple[Order, int, Item]]:
    for parcel in books.parcels.values():
        name, _, number = str(parcel["slip"]).rpartition("-")
        order = books.orders.get(name)
        if order is not None and books.rests(order):
            yield order, int(number), parcel
