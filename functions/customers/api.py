"""Routes of customers: a buyer's own profile."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

from commerce import aws, settings
from commerce.clock import SystemClock
from commerce.dynamo import Table
from commerce.http import Answer, Api, Operation, Request
from commerce.limits import LONGEST_NAME
from commerce.mailbox import EMAIL, LONGEST_EMAIL
from commerce.vault import KmsVault
from customers import service
from customers.model import LOCALE, PHONE, ContactCard, Profile, Settings, time_zones
from customers.store import CustomerStore


def _known_zone(name: str) -> str:
    if name not in time_zones():
        raise ValueError("not a time zone of the IANA database")
    return name


class PutProfile(BaseModel):
    """Who I am, where mail reaches me, and what I read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        StrictStr,
        Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["Ada Lovelace"]),
    ]
    email: Annotated[StrictStr, Field(pattern=EMAIL, max_length=LONGEST_EMAIL, examples=["ada@example.com"])]
    locale: Annotated[StrictStr, Field(pattern=LOCALE, examples=["en-GB"])]
    time_zone: Annotated[StrictStr, Field(max_length=64, examples=["Europe/London"]), AfterValidator(_known_zone)]
    phone: Annotated[StrictStr | None, Field(pattern=PHONE, examples=["+442079460958"])] = None


class ProfileBody(BaseModel):
    """My profile."""

    name: str
    email: str
    locale: str
    time_zone: str
    phone: str | None
    created_at: Annotated[str, Field(examples=["2026-11-23T06:07:08.123Z"])]
    updated_at: Annotated[str, Field(examples=["2026-11-23T06:07:08.123Z"])]


class SettingsBody(BaseModel):
    """What is not personal."""

    locale: str
    time_zone: str
    created_at: str
    updated_at: str


class ExportBody(BaseModel):
    """All that is held about me: ``parts`` are paths of the same API to the rest, each in pages."""

    subject: Annotated[str, Field(description="My id with the issuer of my sign-in.")]
    card: Annotated[dict[str, Any] | None, Field(description="Where mail reaches me.")]
    settings: SettingsBody | None
    parts: Annotated[list[str], Field(examples=[["/me/export/orders", "/me/notifications"]])]


OPENAPI: dict[str, Operation] = {
    "GET /me": Operation("Show my profile.", response=ProfileBody, refused=(404,)),
    "PUT /me": Operation("Put my profile.", request=PutProfile, response=ProfileBody),
    "GET /me/export": Operation("All that is held about me, and where the rest of it is.", response=ExportBody),
}


EXPORTED = ["/me/export/orders", "/me/notifications"]
"""Where the other contexts show what they hold; payments and shipments are parts of each order."""


@cache
def _api() -> Api:
    api = Api("customers-api")
    api.route("GET /me", _show)
    api.route("PUT /me", _put)
    api.route("GET /me/export", _export)
    return api


@cache
def _customers() -> CustomerStore:
    return CustomerStore(Table(aws.dynamodb(), settings.env("CUSTOMERS_TABLE")))


@cache
def _vault() -> KmsVault:
    return KmsVault(aws.dynamodb(), aws.kms(), settings.env("VAULT_TABLE"), settings.env("DATA_KEY_ARN"))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a call of the HTTP API."""
    return _api().handle(event, context)


def _show(request: Request) -> Answer:
    return 200, _body(service.profile(_customers(), _vault(), request.caller.subject))


def _put(request: Request) -> Answer:
    body = request.body(PutProfile)
    card, chosen = ContactCard(body.name, body.email, body.phone), Settings(body.locale, body.time_zone)
    put = service.put_profile(_customers(), _vault(), SystemClock(), request.caller.subject, card, chosen)
    return 200, _body(put)


def _export(request: Request) -> Answer:
    held = service.export(_customers(), _vault(), request.caller.subject)
    return 200, ExportBody(**held, parts=EXPORTED).model_dump()


def _body(profile: Profile) -> dict[str, Any]:
    return ProfileBody(
        name=profile.card.name,
        email=profile.card.email,
        locale=profile.settings.locale,
        time_zone=profile.settings.time_zone,
        phone=profile.card.phone,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
    ).model_dump()
