"""The sandbox provider's side of a callback: builds and signs what it would send to the platform.

It shares no code with the platform's verification, as a real provider would not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class SignedCallback:
    """What to POST to ``/payments/callbacks/sandbox``.

    Attributes
    ----------
    headers
        With the signature.
    body
        The very bytes that are signed.
    """

    headers: dict[str, str]
    body: bytes


def sign(secret: str, body: bytes, at: datetime) -> str:
    """Return the header ``Sandbox-Signature`` of ``body`` as sent at ``at``."""
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return f"t={stamp},v1={mac.hexdigest()}"


def callback(
    secret: str,
    verdict: Literal["authorised", "declined"],
    payment_id: str,
    amount: int,
    currency: str,
    at: datetime,
) -> SignedCallback:
    """Return a callback about one payment; the same arguments give the same bytes.

    Parameters
    ----------
    secret
        The callback key (the secret's text).
    amount, currency
        What the sandbox holds, or was asked for, in minor units.
    at
        When it is sent; accepted within five minutes.
    """
    about: dict[str, str | int] = {"payment_id": payment_id, "amount": amount, "currency": currency}
    if verdict == "declined":
        about["reason"] = "insufficient_funds"
    content = {
        "id": f"cb_{verdict}_{payment_id}",
        "type": f"payment.{verdict}",
        "created": int(at.timestamp()),
        "data": about,
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    return SignedCallback({"Content-Type": "application/json", "Sandbox-Signature": sign(secret, body, at)}, body)
