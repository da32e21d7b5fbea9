"""What a payment provider must be able to do; each module beside this one is one provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from payments.model import CallbackFact, Payment, Standing

Header = Callable[[str], str | None]
"""Reads one header of a request, whatever the case of its name."""


class NextKind(StrEnum):
    """How the buyer goes on: to a page, with the provider's script and a secret, or by a QR code."""

    REDIRECT = "redirect"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind, not a secret
    QR_CODE = "qr_code"


@dataclass(frozen=True)
class NextAction:
    """What the front end needs to let the buyer pay.

    Attributes
    ----------
    kind
        What ``value`` is.
    value
        A URL, a client secret, or the content of a QR code.
    """

    kind: NextKind
    value: str


class Provider(Protocol):
    """A payment provider.

    Every call is named by our ids (payment id; capture and refund key), and the same call again has
    no second effect, whatever became of the first answer. All raise `ProviderUnavailable` when the
    call may be made again and `ProviderRefused` when it need not.
    """

    def create(self, payment: Payment) -> NextAction:
        """Tell the provider of a payment and return how the buyer goes on."""
        ...

    def verify_callback(self, header: Header, raw_body: bytes) -> CallbackFact:
        """Return what a callback says, once it is known to be the provider's.

        Parameters
        ----------
        header
            Reads the callback's headers.
        raw_body
            The very bytes that were signed.

        Raises
        ------
        BadSignature
            It is not signed by the provider.
        StaleCallback
            It was signed too long ago.
        Malformed
            It is the provider's and cannot be read.
        """
        ...

    def capture(self, payment: Payment, key: str, amount: int) -> Standing:
        """Take ``amount`` of what is held; once for each ``key`` of the payment."""
        ...

    def void(self, payment: Payment) -> Standing:
        """Let go of all that is held and not captured, so that nothing can be authorised or captured after.

        A payment that the provider does not know stands at nothing.
        """
        ...

    def refund(self, payment: Payment, key: str, amount: int) -> Standing:
        """Give back ``amount`` of what was captured; once for each ``key`` of the payment."""
        ...

    def query(self, payment: Payment) -> Standing:
        """Return how the payment stands in the provider's books."""
        ...
