"""Use cases of customers: who I am, and changing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from commerce.clock import Clock, rfc3339
from commerce.dynamo import Item
from commerce.events import CustomerErased
from commerce.vault import kept_card
from customers.model import ContactCard, NoProfile, Profile, Settings


class Contacts(Protocol):
    """Where contact cards are kept sealed (`commerce.vault.Vault`)."""

    def contact(self, subject: str) -> dict[str, Any] | None:
        """Return a customer's card, or None for somebody unknown; raises `commerce.vault.Forgotten` if erased."""
        ...

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        """Store a customer's card."""
        ...


class Customers(Protocol):
    """Where the rest is kept."""

    def get(self, subject: str) -> Item | None:
        """Return a customer's settings and when they were made and changed."""
        ...

    def put(self, subject: str, settings: Settings, at: str) -> Item:
        """Store a customer's settings and return the item."""
        ...

    def erase(self, subject: str, at: str) -> None:
        """Take away what is known of a customer, for good."""
        ...


class SignIns(Protocol):
    """Where people sign in."""

    def delete(self, subject: str) -> None:
        """Delete a customer's sign-in; one that is not there is no error."""
        ...


def profile(customers: Customers, contacts: Contacts, subject: str) -> Profile:
    """Return a customer's profile.

    Raises
    ------
    NoProfile
        He has put none, or was erased.
    """
    item = customers.get(subject)
    card = kept_card(contacts, subject) if item else None
    if item is None or card is None:
        raise NoProfile()
    return _profile(ContactCard(card["name"], card["email"], card.get("phone")), item)


def put_profile(
    customers: Customers, contacts: Contacts, clock: Clock, subject: str, card: ContactCard, settings: Settings
) -> Profile:
    """Make a customer's profile what he says.

    The card goes first: should the second write not happen, the same call again completes it, and
    until then nothing is there that could not be reached by mail. The card carries locale and time
    zone too, so that a notification needs to read nothing else.

    Raises
    ------
    commerce.vault.Closed
        He was erased.
    """
    sealed = {"name": card.name, "email": card.email, "locale": settings.locale, "time_zone": settings.time_zone}
    if card.phone is not None:
        sealed["phone"] = card.phone
    contacts.put_contact(subject, sealed, replace=True)
    return _profile(card, customers.put(subject, settings, rfc3339(clock.now())))


def export(customers: Customers, contacts: Contacts, subject: str) -> dict[str, Any]:
    """Return all that this context holds about a customer: his card, also without a profile, and his settings."""
    item = customers.get(subject)
    named = ("locale", "time_zone", "created_at", "updated_at")
    return {
        "subject": subject,
        "card": kept_card(contacts, subject),
        "settings": {name: item[name] for name in named} if item else None,
    }


def erase(event: CustomerErased, customers: Customers, sign_ins: SignIns) -> None:
    """Take away an erased customer's settings and sign-in; a guest had neither."""
    if event.who == "customer":
        customers.erase(event.subject, event.at)
        sign_ins.delete(event.subject)


def _profile(card: ContactCard, item: Item) -> Profile:
    settings = Settings(item["locale"], item["time_zone"])
    return Profile(card, settings, created_at=item["created_at"], updated_at=item["updated_at"])
