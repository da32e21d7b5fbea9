"""Queue worker of notifications."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Any

from commerce import aws, settings, worker
from commerce.dynamo import Table
from commerce.events import CustomerErased
from commerce.vault import KmsVault
from notifications import mail
from notifications.letters import Letters
from notifications.model import KINDS
from notifications.service import Desk, forget, tell
from notifications.store import NoticeStore


@cache
def _desk() -> Desk:
    client = aws.dynamodb()
    return Desk(
        notices=NoticeStore(Table(client, settings.env("NOTIFICATIONS_TABLE"))),
        contacts=KmsVault(client, aws.kms(), settings.env("VAULT_TABLE"), settings.env("DATA_KEY_ARN")),
        writer=Letters(),
        post=mail.SesPost(mail.client(), settings.env("MAIL_FROM")),
        purchasing=os.environ.get("PURCHASING_MAIL", ""),
    )


def inbox(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Tell a batch of changes; forget who was erased."""
    desk = _desk()
    erased = {CustomerErased: lambda it: forget(it, desk.notices)}
    return worker.handle_batch(event, {**dict.fromkeys(KINDS, partial(tell, desk=desk)), **erased})
