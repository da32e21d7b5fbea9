"""Personal data at rest: one data key a person, wrapped by the platform's own KMS key.

A person (a customer or a guest) is a subject. What is personal about him is stored only as
AES-256-GCM ciphertext under his data key (NIST SP 800-38D; 96-bit random nonce in front). The wrapped
key lives in the table ``vault`` and nowhere else: taking it away makes every copy unreadable. The
same item holds the subject's contact card, so that a notification needs one read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from commerce.dynamo import ConditionFailed
from commerce.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

_NONCE = 12


class Forgotten(NotFound):
    """The subject has no key: he is unknown or was erased."""

    slug = "forgotten"


class Vault(Protocol):
    """Seals and opens what is personal."""

    def seal(self, subject: str, data: Mapping[str, Any], *, create: bool = True) -> bytes:
        """Return ``data`` as ciphertext under the subject's key, which is made if there is none."""
        ...

    def open(self, subject: str, sealed: bytes) -> dict[str, Any]:
        """Return what `seal` sealed; raises `Forgotten`."""
        ...

    def contact(self, subject: str) -> dict[str, Any] | None:
        """Return the subject's contact card (``name``, ``email``, ``locale``) or None."""
        ...

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        """Store the contact card; without ``replace`` an existing one stays."""
        ...


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
        from commerce.dynamo import Table

        self._table = Table(client, table)
        self._kms = kms
        self._key = key
        self._opened: dict[str, bytes] = {}

    def seal(self, subject: str, data: Mapping[str, Any], *, create: bool = True) -> bytes:
        return _encrypt(self._data_key(subject, create=create), subject, data)

    def open(self, subject: str, sealed: bytes) -> dict[str, Any]:
        return _decrypt(self._data_key(subject, create=False), subject, sealed)

    def contact(self, subject: str) -> dict[str, Any] | None:
        found = self._table.get((subject, "KEY"))
        if found is None or "contact" not in found:
            return None
        return _decrypt(self._unwrap(subject, found["wrapped"]), subject, found["contact"])

    def put_contact(self, subject: str, card: Mapping[str, Any], *, replace: bool) -> None:
        from commerce.dynamo import Change

        sealed = self.seal(subject, card)
        change = Change(set={"contact": sealed}) if replace else Change(first={"contact": sealed})
        self._table.update((subject, "KEY"), change)

    def _data_key(self, subject: str, *, create: bool) -> bytes:
        if subject in self._opened:
            return self._opened[subject]
        found = self._table.get((subject, "KEY"))
        if found is None:
            if not create:
                raise Forgotten
            return self._new_key(subject)
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
                {"pk": subject, "sk": "KEY", "v": 1, "wrapped": made["CiphertextBlob"]},
                when=Attr("pk").not_exists(),
            )
        except ConditionFailed as other:  # somebody made one at the same moment: his is the key
            if other.item is None:
                raise
            return self._unwrap(subject, other.item["wrapped"])
        self._remember(subject, made["Plaintext"])
        return made["Plaintext"]

    def _remember(self, subject: str, key: bytes) -> None:
        if len(self._opened) >= 256:  # a warm function must not grow with its customers
            self._opened.clear()
        self._opened[subject] = key


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
