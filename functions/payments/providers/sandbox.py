"""The provider of the stages without real money: it moves none, and signs its callbacks like a real one.

Signature scheme: Stripe's (docs.stripe.com/webhooks, "Verify webhook signatures manually"). The header
``Sandbox-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>...]`` carries HMAC-SHA-256 over ``<t>.<body>``,
body being the bytes as sent; several ``v1`` are sent while a key is being changed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commerce.clock import Clock
from commerce.errors import Malformed
from payments.model import BadSignature, CallbackFact, Payment, StaleCallback, Standing, Verdict
from payments.providers.port import Header, NextAction, NextKind

NAME = "sandbox"
REPLAY_WINDOW = timedelta(seconds=300)
"""How far a callback's time may be from ours (Stripe's default tolerance)."""

REREAD_AFTER = timedelta(seconds=5)
"""How old a key must be to be read again on a signature that does not fit: forged ones must not cost a call each."""

MOST = 10**15
"""Minor units in one callback: no payment is larger, and a table holds no more than 38 digits."""

PAY_PAGE = "https://sandbox.invalid/pay/"
"""Where a buyer would pay: a name that RFC 2606 keeps from ever existing."""

_VERDICTS = {"payment.authorised": Verdict.AUTHORISED, "payment.declined": Verdict.DECLINED}


class Ledger(Protocol):
    """The sandbox's own books: what it holds, took and gave back. Each call once by its key."""

    def open(self, payment: Payment) -> None: ...

    def capture(self, payment: Payment, key: str, amount: int) -> Standing: ...

    def void(self, payment: Payment) -> Standing: ...

    def refund(self, payment: Payment, key: str, amount: int) -> Standing: ...

    def standing(self, payment: Payment) -> Standing: ...


class AgreeingLedger:
    """Books that hold what we have on record: the sandbox does all that it is told, at once.

    It needs no memory, because we record what we are going to tell a provider before we do. What it
    cannot know is an authorisation whose callback never came: nothing of it exists anywhere.
    """

    def open(self, payment: Payment) -> None:
        pass

    def capture(self, payment: Payment, key: str, amount: int) -> Standing:
        return self.standing(payment)

    def void(self, payment: Payment) -> Standing:
        return self.standing(payment)

    def refund(self, payment: Payment, key: str, amount: int) -> Standing:
        return replace(self.standing(payment), refunded=payment.refunded + amount)

    def standing(self, payment: Payment) -> Standing:
        return Standing(payment.authorised, payment.captured, payment.refunded)


class CallbackKey:
    """The key that callbacks are signed with, read when first needed and again when it may have been changed.

    Parameters
    ----------
    read
        Fetches it.
    clock
        Says how old what was fetched is.
    """

    def __init__(self, read: Callable[[], str], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._key = ""
        self._read_at: datetime | None = None

    def fits(self, holds: Callable[[str], bool]) -> bool:
        """Return whether ``holds`` is true of the key, if need be of the one that is in force now."""
        if self._read_at is not None:
            if holds(self._key):
                return True
            if self._clock.now() - self._read_at < REREAD_AFTER:
                return False
        self._key, self._read_at = self._read(), self._clock.now()
        return holds(self._key)


class Sandbox:
    """`payments.providers.port.Provider` without a network.

    Parameters
    ----------
    key
        What its callbacks are signed with.
    ledger
        Its books.
    clock
        For the replay window.
    """

    def __init__(self, key: CallbackKey, ledger: Ledger, clock: Clock) -> None:
        self._key = key
        self._ledger = ledger
        self._clock = clock

    def create(self, payment: Payment) -> NextAction:
        self._ledger.open(payment)
        return NextAction(NextKind.REDIRECT, PAY_PAGE + payment.id)

    def verify_callback(self, header: Header, raw_body: bytes) -> CallbackFact:
        signed_at, signatures = _read_signature(header("Sandbox-Signature") or "")

        def holds(key: str) -> bool:
            made = hmac.new(key.encode(), signed_at + b"." + raw_body, hashlib.sha256).hexdigest()
            return any(hmac.compare_digest(made, signature) for signature in signatures)

        if not self._key.fits(holds):
            raise BadSignature
        if abs(self._clock.now().timestamp() - int(signed_at)) > REPLAY_WINDOW.total_seconds():
            raise StaleCallback
        return _read_callback(raw_body)

    def capture(self, payment: Payment, key: str, amount: int) -> Standing:
        return self._ledger.capture(payment, key, amount)

    def void(self, payment: Payment) -> Standing:
        return self._ledger.void(payment)

    def refund(self, payment: Payment, key: str, amount: int) -> Standing:
        return self._ledger.refund(payment, key, amount)

    def query(self, payment: Payment) -> Standing:
        return self._ledger.standing(payment)


def _read_signature(text: str) -> tuple[bytes, list[str]]:
    parts = [part.strip().partition("=")[::2] for part in text.split(",")]
    times = [value for name, value in parts if name == "t"]
    signatures = [value for name, value in parts if name == "v1" and re.fullmatch(r"[0-9a-f]{64}", value)]
    if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]) or not signatures:
        raise BadSignature("the header Sandbox-Signature is missing or cannot be read")
    return times[0].encode(), signatures


class _About(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    payment_id: Annotated[str, Field(max_length=64)]
    amount: Annotated[int, Field(gt=0, le=MOST)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    reason: Annotated[str, Field(max_length=200)] = ""


class _Callback(BaseModel):
    """``id`` names the callback, ``type`` is ``payment.authorised``, ``payment.declined`` or another."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: Annotated[str, Field(max_length=64)]
    type: str
    data: _About


def _read_callback(raw_body: bytes) -> CallbackFact:
    try:
        callback = _Callback.model_validate_json(raw_body)
    except ValidationError as error:
        raise Malformed("the callback cannot be read") from error
    verdict = _VERDICTS.get(callback.type, Verdict.OTHER)
    about = callback.data
    return CallbackFact(
        about.payment_id, verdict, about.amount, about.currency, f"sbx_{about.payment_id}", about.reason
    )
