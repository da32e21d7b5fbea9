"""Routes of notifications: a buyer's inbox."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, Field

from commerce import aws, settings
from commerce.clock import SystemClock
from commerce.dynamo import Item, Table
from commerce.errors import Malformed
from commerce.http import Answer, Api, Operation, Request, cursor, page_size, read_cursor
from commerce.ids import show_order_number
from notifications import service
from notifications.model import NoSuchNotice
from notifications.store import NoticeStore

_ID = re.compile(r"[0-9A-Za-z_-]{1,200}")


class NoticeBody(BaseModel):
    """One change, as the buyer was told it; ``title`` is in his language, ``facts`` are the event's fields."""

    id: Annotated[str, Field(examples=["20261123T060708123Z-order-paid-06PM4NXBDTKB"])]
    kind: Annotated[str, Field(examples=["order-paid"])]
    title: Annotated[str, Field(examples=["We have received your payment for order 06PM-4NXB-DTKB"])]
    order_number: Annotated[str | None, Field(examples=["06PM-4NXB-DTKB"])]
    about: Annotated[str, Field(examples=["06PM4NXBDTKB"], description="Order, fulfilment or payment id.")]
    at: Annotated[str, Field(examples=["2026-11-23T06:07:08.123Z"])]
    read_at: str | None
    facts: Annotated[dict[str, Any], Field(examples=[{"total": 13912, "currency": "GBP"}])]


class NoticePage(BaseModel):
    """Notices, newest first; ``next`` is the cursor of the next page."""

    notices: list[NoticeBody]
    next: str | None = None


OPENAPI: dict[str, Operation] = {
    "GET /me/notifications": Operation(
        "List what I was told, newest first.",
        response=NoticePage,
        query={"limit": "Notices a page, 1 to 100, usually 25.", "cursor": "`next` of the page before."},
    ),
    "POST /me/notifications/{id}/read": Operation("Mark a notice as read.", response=NoticeBody),
}


@cache
def _api() -> Api:
    api = Api("notifications-api")
    api.route("GET /me/notifications", _list)
    api.route("POST /me/notifications/{id}/read", _read)
    return api


@cache
def _notices() -> NoticeStore:
    return NoticeStore(Table(aws.dynamodb(), settings.env("NOTIFICATIONS_TABLE")))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a call of the HTTP API."""
    return _api().handle(event, context)


def _list(request: Request) -> Answer:
    reader = request.caller.subject
    page = service.inbox(_notices(), reader, page_size(request.query), _after(request.query.get("cursor")))
    following = cursor({"id": page.next["sk"]}) if page.next else None
    return 200, {"notices": [_body(item) for item in page.items], "next": following}


def _after(text: str | None) -> str | None:
    position = read_cursor(text)
    if position is None:
        return None
    if set(position) != {"id"} or not _ID.fullmatch(position["id"]):
        raise Malformed("the cursor is not one of ours")
    return str(position["id"])


def _read(request: Request) -> Answer:
    notice_id = request.path["id"]
    if not _ID.fullmatch(notice_id):
        raise NoSuchNotice()
    return 200, _body(service.mark_read(_notices(), SystemClock(), request.caller.subject, notice_id))


def _body(item: Item) -> dict[str, Any]:
    order_id = item.get("order_id")
    return NoticeBody(
        id=item["sk"],
        kind=item["kind"],
        title=item["title"],
        order_number=show_order_number(order_id) if order_id else None,
        about=item["about"],
        at=item["at"],
        read_at=item.get("read_at"),
        facts=item["facts"],
    ).model_dump()
