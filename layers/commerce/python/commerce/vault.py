"""Personal data at rest: one data key a person, wrapped by the platform's own KMS key.

A person (a customer or a guest) is a subject. What is personal about him is stored only as
AES-256-GCM ciphertext under his data key (NIST SP 800-38D; 96-bit random nonce in front). The wrapped
key lives in the table ``vault`` and nowhere else: taking it away makes every copy unreadable. The
same item holds the subject's contact card, so that a notification needs one read.

Erasure (`Tombstones`) closes the subject first, so that nothing new is begun for him, and then takes key
and card away. What stays of the item is his tombstone: no key is ever made where one stands.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from commerce.dynamo import ConditionFailed
from commerce.errors import Conflict, NotFound

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

    from commerce.dynamo import Table

_NONCE = 12
_KEY = "KEY"


class Forgotten(NotFound):
    """The subject has no key: he is unknown or was erased."""

    slug = "forgotten"


class Closed(Conflict):
    """Erasure was asked for the subject: nothing new is written about him."""

    slug = "account-closed"
    title = "Erasure was asked for this account; it takes nothing new"


class Vault(Protocol):
    """Seals and opens what is personal."""

    def seal(self, subject: str, data: Mapping[str, Any], *, create: bool = True) -> bytes:
        """Return ``data`` as ciphertext under the subject's key, which is made if there is none."""
        ...

    def open(self, subject: str, sealed: bytes) -> dict[str, Any]:
        """Return what `seal` sealed; raises `Forgotten`."""
        ...

    def contact(self, subject: str, *, unless_closed: bool = False) -> dict[str, Any] | None:
        """Return the subject's contact card (``name``, ``email``, ``locale``) or None; raises `Forgotten` if erased.

        With ``unless_closed`` a subject whose erasure was asked for raises `Closed`.
        """
        ...

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        """Store the contact card; without ``replace`` an existing one stays; raises `Closed`."""
        ...


class Cards(Protocol):
    """Where contact cards are (`Vault` among others)."""

    def contact(self, subject: str) -> dict[str, Any] | None:
        """Return the subject's contact card or None; raises `Forgotten` if erased."""
        ...


def kept_card(cards: Cards, subject: str) -> dict[str, Any] | None:
    """Return the subject's contact card, or None for somebody unknown or erased."""
    try:
        return cards.contact(subject)
    except Forgotten:
        return None


class KmsVault:
    """The vault over a DynamoDB table (key ``pk`` = subject, ``sk`` = ``KEY``) and KMS.

    Parameters
    ----------
    client
        DynamoDB client.
    kms
        KMS client.
    table
        Name of the table ``vault``.
    key
        ARN or alias of the key that wraps data keys.
    """

    def __init__(self, client: DynamoDBClient, kms: KMSClient, table: str, key: str) -> None:
        from commerce import dynamo

        self._table = dynamo.Table(client, table)
        self._kms = kms
        self._key = key
        self._opened: dict[str, bytes] = {}

    def seal(self, subject: str, data: Mapping[str, Any], *, create: bool = True) -> bytes:
        return _encrypt(self._data_key(subject, create=create), subject, data)

    def open(self, subject: str, sealed: bytes) -> dict[str, Any]:
        # The key's item is read each time, and only KMS's answer is kept: an erasure holds in a warm function too.
        found = self._table.get((subject, _KEY))
        if found is None or "wrapped" not in found:
            self._opened.pop(subject, None)
            raise Forgotten
        return _decrypt(self._unwrap(subject, found["wrapped"]), subject, sealed)

    def contact(self, subject: str, *, unless_closed: bool = False) -> dict[str, Any] | None:
        found = self._table.get((subject, _KEY))
        if found is not None and unless_closed and "erasure" in found:
            raise Closed
        if found is not None and "erased" in found:
            raise Forgotten
        if found is None or "contact" not in found:
            return None
        return _decrypt(self._unwrap(subject, found["wrapped"]), subject, found["contact"])

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        from boto3.dynamodb.conditions import Attr

        from commerce.dynamo import Change

        sealed = self.seal(subject, card)
        values = {"contact": sealed}
        there = Attr("wrapped").exists()
        change = Change(set=values, when=there) if replace else Change(first=values, when=there)
        try:
            self._table.update((subject, _KEY), change)
        except ConditionFailed as error:
            raise Closed from error

    def _data_key(self, subject: str, *, create: bool) -> bytes:
        if subject in self._opened:
            return self._opened[subject]
        found = self._table.get((subject, _KEY))
        if found is None:
            if not create:
                raise Forgotten
            return self._new_key(subject)
        if "wrapped" not in found:
            raise Closed
        return self._unwrap(subject, found["wrapped"])

    def _unwrap(self, subject: str, wrapped: bytes) -> bytes:
        if subject not in self._opened:
            answer = self._kms.decrypt(CiphertextBlob=wrapped, EncryptionContext={"subject": subject}, KeyId=self._key)
            self._remember(subject, answer["Plaintext"])
        return self._opened[subject]

    def _new_key(self, subject: str) -> bytes:
        from boto3.dynamodb.conditions import Attr

        made = self._kms.generate_data_key(KeyId=self._key, KeySpec="AES_256", EncryptionContext={"subject": subject})
        try:
            self._table.put(
                {"pk": subject, "sk": _KEY, "v": 1, "wrapped": made["CiphertextBlob"]},
                when=Attr("pk").not_exists(),
            )
        except ConditionFailed as other:
            if other.item is None:
                raise
            if "wrapped" not in other.item:  # a tombstone
                raise Closed from other
            return self._unwrap(subject, other.item["wrapped"])  # somebody made one at the same moment: his is the key
        self._remember(subject, made["Plaintext"])
        return made["Plaintext"]

    def _remember(self, subject: str, key: bytes) -> None:
        if len(self._opened) >= 256:  # a warm function must not grow with its customers
            self._opened.clear()
        self._opened[subject] = key


class Tombstones:
    """Closes and erases subjects in the table ``vault``; needs no key.

    Parameters
    ----------
    table
        The table ``vault``.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def closed(self, subject: str) -> bool:
        """Return whether erasure was asked for the subject (strongly consistent)."""
        found = self._table.get((subject, _KEY))
        return found is not None and "erasure" in found

    def close(self, subject: str, at: str) -> None:
        """Let nothing new be begun for the subject; what was begun can still be read. The first time counts."""
        from commerce.dynamo import Change

        self._table.update((subject, _KEY), Change(set={"v": 1}, first={"erasure": at}))

    def erase(self, subject: str, at: str) -> None:
        """Take the subject's key and card away for ever; again, it changes nothing but what a restore brought back."""
        from commerce.dynamo import Change

        change = Change(set={"v": 1}, first={"erasure": at, "erased": at}, remove=("wrapped", "contact"))
        self._table.update((subject, _KEY), change)


def _encrypt(key: bytes, subject: str, data: Mapping[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return nonce + AESGCM(key).encrypt(nonce, text, subject.encode())


def _decrypt(key: bytes, subject: str, sealed: bytes) -> dict[str, Any]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    text = AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], subject.encode())
    data: dict[str, Any] = json.loads(text)
    return data
