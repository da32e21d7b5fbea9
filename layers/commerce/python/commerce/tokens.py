"""Order tokens: what a front end holds to act on one order, vouched for by a KMS key.

A token says which order, whose, and what is due. A guest acts on his order with it; a payment is
started with it, so that the amount cannot be the buyer's choice. It is ``v1.<claims>.<mac>``: claims
as URL-safe base64 of JSON, and KMS's HMAC-SHA-256 over ``v1.<claims>`` (AWS KMS GenerateMac, RFC
2104), so that no secret is ever in a function's memory.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from commerce.errors import Unauthenticated
from commerce.limits import LONGEST_TOKEN

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_MAC: Literal["HMAC_SHA_256"] = "HMAC_SHA_256"
_MAC_BYTES = 32


class BadToken(Unauthenticated):
    """The order token is not one of ours, or it was changed."""

    slug = "bad-order-token"
    title = "The order token does not hold"


@dataclass(frozen=True)
class OrderClaims:
    """What an order token says.

    Attributes
    ----------
    order_id
        Compact order number.
    buyer
        Customer or guest id the order was placed by.
    amount, currency
        What is due for it, in minor units.
    locale
        What the buyer reads.
    """

    order_id: str
    buyer: str
    amount: int
    currency: str
    locale: str


class TokenSigner:
    """Issues and reads order tokens.

    Parameters
    ----------
    kms
        KMS client.
    key
        ARN or alias of an HMAC_256 key.
    """

    def __init__(self, kms: KMSClient, key: str) -> None:
        self._kms = kms
        self._key = key

    def issue(self, claims: OrderClaims) -> str:
        """Return the token of ``claims``."""
        text = json.dumps(asdict(claims), separators=(",", ":")).encode()
        head = "v1." + _b64(text)
        made = self._kms.generate_mac(KeyId=self._key, MacAlgorithm=_MAC, Message=head.encode())
        return f"{head}.{_b64(made['Mac'])}"

    def read(self, token: str) -> OrderClaims:
        """Return what ``token`` says.

        Raises
        ------
        BadToken
            It is malformed, or its MAC is not ours.
        """
        head, _, mac = token.rpartition(".")
        if len(token) > LONGEST_TOKEN or not head.startswith("v1."):
            raise BadToken
        try:
            found, text = _unb64(mac), _unb64(head.removeprefix("v1."))
        except (binascii.Error, ValueError) as error:
            raise BadToken from error
        if len(found) != _MAC_BYTES:
            raise BadToken
        try:
            self._kms.verify_mac(KeyId=self._key, MacAlgorithm=_MAC, Message=head.encode(), Mac=found)
        except self._kms.exceptions.KMSInvalidMacException as error:
            raise BadToken from error
        return OrderClaims(**json.loads(text))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _b64(data) != text:  # unused bits of the last character must not make a second valid spelling
        raise ValueError("not canonical base64")
    return data
