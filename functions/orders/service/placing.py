"""Taking an order: real-time checks, prices, one conditional transaction (rows 6.1.1, 7.2a)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from commerce.address import Address, check_address
from commerce.clock import Clock, rfc3339
from commerce.errors import FieldError
from commerce.events import Offer, OrderPlaced
from commerce.ids import mint_order_number
from commerce.vault import Vault
from orders.contract import LineWanted, PlaceOrder
from orders.model import (
    GUEST,
    Entry,
    Fact,
    IdempotencyConflict,
    Line,
    NumberTaken,
    Order,
    OrderRefused,
    Pace,
    Revision,
    Status,
    TooManyOrders,
    charge,
)
from orders.service.ports import Key, KeyUsed, Offers, Orders, Window, WindowFull

_MINTINGS = 3


@dataclass(frozen=True)
class Desk:
    """What taking an order needs.

    Attributes
    ----------
    window
        From acceptance until the order should have been dispatched.
    pace
        How many orders one buyer may place.
    """

    orders: Orders
    offers: Offers
    vault: Vault
    clock: Clock
    window: timedelta
    pace: Pace
    mint: Callable[[datetime], str] = mint_order_number


def place(wanted: PlaceOrder, customer_id: str, key: str, desk: Desk) -> Order:
    """Accept an order, or return the one that this key made before.

    Parameters
    ----------
    customer_id
        Empty for a guest.
    key
        The caller's Idempotency-Key; guests share one scope, so theirs must be unguessable (a UUID).

    Raises
    ------
    OrderRefused
        A check failed; every field at fault is named and nothing was stored.
    IdempotencyConflict
        The key belongs to an order with another content.
    TooManyOrders
        The buyer placed as many as he may for now; nothing was stored.
    commerce.vault.Closed
        The customer's erasure was asked for.
    """
    scope = Key(customer_id or "guest", key, digest(wanted))
    used = desk.orders.key_used(scope)
    if used is not None:
        return _same_order(used, scope, desk.orders)
    now = desk.clock.now()
    address, errors = check_address(wanted.address)
    lines, line_errors = _priced(wanted, desk.offers, now)
    card = desk.vault.contact(customer_id, unless_closed=True) if customer_id else None
    if card is None and wanted.contact.email is None:
        errors.append(FieldError("contact.email", "required", "contact.email is required"))
    errors += line_errors
    if errors:
        raise OrderRefused(fields=errors)
    buyer = customer_id or GUEST + hashlib.sha256(f"{key} {scope.digest}".encode()).hexdigest()[:32]
    if card is None:
        desk.vault.put_contact(
            buyer,
            {"name": wanted.contact.name, "email": wanted.contact.email, "locale": wanted.locale},
            replace=False,
        )
    revision = Revision(
        number=1,
        subject=buyer,
        sealed=_seal(wanted, address, buyer, "" if customer_id else key, desk.vault),
        price_list=wanted.price_list or "",
        time_zone=wanted.time_zone,
        lines=lines,
    )
    span = _window(desk.pace, now, customer_id, wanted)
    for _ in range(_MINTINGS):
        order = _new_order(wanted, address, buyer, customer_id, lines, desk, now)
        try:
            desk.orders.add(order, revision, scope, [_placed(order)], span)
        except NumberTaken:
            continue
        except KeyUsed as used_meanwhile:
            return _same_order(used_meanwhile, scope, desk.orders)
        except WindowFull as full:
            seconds = math.ceil((span.until - now).total_seconds())
            raise TooManyOrders(f"at most {span.orders} orders at a time", seconds=seconds) from full
        return order
    raise NumberTaken()


def digest(wanted: PlaceOrder) -> str:
    """Return the hash that tells one body from another, whatever its spacing and order of fields.

    A field that is left out and one that has its default are the same body: a contract that grows by a field with
    a default must not make another body of what was sent before.
    """
    text = json.dumps(wanted.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _window(pace: Pace, now: datetime, customer_id: str, wanted: PlaceOrder) -> Window:
    """Return the window that an order counts in: the customer's, or that of a guest's mail address.

    An address is one of a million groups, by 20 bits of its hash: enough to tell guests apart for some minutes, and
    nothing that says who a guest is.
    """
    address = (wanted.contact.email or "").lower()
    buyer = customer_id or f"guest-{hashlib.sha256(address.encode()).hexdigest()[:5]}"
    since = pace.since(now)
    return Window(buyer, since, since + pace.window, pace.orders)


def _same_order(used: KeyUsed, key: Key, orders: Orders) -> Order:
    if used.digest != key.digest:
        raise IdempotencyConflict()
    return orders.get(used.order_id)


def _seal(wanted: PlaceOrder, address: Address, buyer: str, guest_key: str, vault: Vault) -> bytes:
    contact = wanted.contact.model_dump(exclude_none=True)
    sealed = {"contact": contact, "address": address.to_dict()}
    # A guest's erasure finds the key's item, and the hash of his order in it, by this alone.
    return vault.seal(buyer, {**sealed, "key": guest_key} if guest_key else sealed)


def _new_order(
    wanted: PlaceOrder,
    address: Address,
    buyer: str,
    customer_id: str,
    lines: list[Line],
    desk: Desk,
    now: datetime,
) -> Order:
    return Order(
        order_id=desk.mint(now),
        status=Status.RECEIVED,
        buyer=buyer,
        customer_id=customer_id,
        currency=wanted.currency,
        total=sum(line.charges.total for line in lines),
        line_count=len(lines),
        locale=wanted.locale,
        country=address.country,
        placed_at=now,
        due=now + desk.window,
        timeline=(Entry(Fact.PLACED, now, "buyer"),),
    )


def _placed(order: Order) -> OrderPlaced:
    return OrderPlaced(
        at=rfc3339(order.placed_at),
        order_id=order.order_id,
        buyer=order.buyer,
        locale=order.locale,
        currency=order.currency,
        total=order.total,
        lines=order.line_count,
    )


def _priced(wanted: PlaceOrder, offers: Offers, now: datetime) -> tuple[list[Line], list[FieldError]]:
    errors = []
    seen: set[str] = set()
    for at, line in enumerate(wanted.lines):
        if line.sku in seen:
            errors.append(FieldError(f"lines.{at}.sku", "duplicate", f"{line.sku} stands on another line already"))
        seen.add(line.sku)
    found = offers.find(seen, wanted.currency)
    lines = []
    for at, line in enumerate(wanted.lines):
        offer = found.get(line.sku)
        error = _line_error(at, line, offer, wanted, now)
        if error is not None:
            errors.append(error)
        elif offer is not None:
            lines.append(_line(at + 1, line, offer))
    return lines, errors


def _line_error(at: int, line: LineWanted, offer: Offer | None, wanted: PlaceOrder, now: datetime) -> FieldError | None:
    if offer is None:
        message = f"{line.sku} is not sold, or not in {wanted.currency}"
        return FieldError(f"lines.{at}.sku", "unknown", message)
    if not offer.listed:
        return FieldError(f"lines.{at}.sku", "unlisted", f"{line.sku} is not on sale now")
    price = price_of(offer, line.quantity, wanted.price_list, now)
    if price is None:
        field = "price_list" if wanted.price_list else f"lines.{at}.sku"
        return FieldError(field, "unknown", f"no price list that holds now has {line.sku}")
    if price != line.unit_price:
        message = f"{line.sku} costs {price} for {line.quantity}, not {line.unit_price}"
        return FieldError(f"lines.{at}.unit_price", "not-the-price", message)
    return None


def price_of(offer: Offer, quantity: int, price_list: str | None, now: datetime) -> int | None:
    """Return what one unit costs, or None when no list that holds ``now`` says.

    Parameters
    ----------
    price_list
        The list that the buyer ordered from; without one the newest that holds.

    Notes
    -----
    Within a list the price with the greatest ``min_quantity`` not above ``quantity`` counts.
    """
    moment = rfc3339(now)  # of the same form as the prices' times, so that texts compare as times do
    holding = [
        price
        for price in offer.prices
        if price_list in (None, price.price_list)
        and price.valid_from <= moment < price.valid_until
        and price.min_quantity <= quantity
    ]
    if not holding:
        return None
    newest = max((price.valid_from, price.price_list) for price in holding)
    of_newest = [price for price in holding if (price.valid_from, price.price_list) == newest]
    return max(of_newest, key=lambda price: price.min_quantity).unit_price


def _line(number: int, line: LineWanted, offer: Offer) -> Line:
    return Line(
        line=number,
        sku=line.sku,
        quantity=line.quantity,
        unit_price=line.unit_price,
        merchant_id=offer.merchant_id,
        charges=charge(line.quantity, line.unit_price, offer.tax_rate_bp, tax_inclusive=offer.tax_inclusive),
    )
