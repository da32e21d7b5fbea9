"""Signatures of the sandbox's callbacks, and its key's change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commerce.clock import FixedClock
from commerce.errors import Malformed
from payments.model import BadSignature, CallbackFact, StaleCallback, Verdict
from payments.providers.sandbox import AgreeingLedger, CallbackKey, Sandbox
from tests.unit.payments.doubles import NOW, SECRET
from tools.sandbox_provider import SignedCallback, callback, sign

pytestmark = pytest.mark.unit

PAYMENT = "pay_06PM4NXBDTKB_5f0c9a31d24e8b70"


class Keys:
    """A secret that can be changed, and counts how often it is read."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.reads = 0

    def read(self) -> str:
        self.reads += 1
        return self.values[0]


def sandbox(keys: Keys, clock: FixedClock) -> Sandbox:
    return Sandbox(CallbackKey(keys.read, clock), AgreeingLedger(), clock)


def verify(provider: Sandbox, sent: SignedCallback) -> CallbackFact:
    return provider.verify_callback(sent.headers.get, sent.body)


def authorised(secret: str = SECRET, late: int = 0) -> SignedCallback:
    return callback(secret, "authorised", PAYMENT, 13912, "GBP", NOW - timedelta(seconds=late))


def test_signature_of_a_known_text() -> None:
    # openssl dgst -sha256 -hmac "a key of the tests" over "1795414028.{}"
    assert (
        sign(SECRET, b"{}", NOW) == "t=1795414028,v1=1cca6ceb461cd599330f3bb365d3ec4d600aad05dddd940a7182c5215aca784e"
    )


def test_good_callback_is_read() -> None:
    fact = verify(sandbox(Keys(SECRET), FixedClock(NOW)), authorised())
    assert fact == CallbackFact(PAYMENT, Verdict.AUTHORISED, 13912, "GBP", f"sbx_{PAYMENT}")


def test_kinds_of_no_interest_are_other() -> None:
    sent = authorised()
    body = sent.body.replace(b"payment.authorised", b"payment.reviewed")
    changed = SignedCallback({"Sandbox-Signature": sign(SECRET, body, NOW)}, body)
    assert verify(sandbox(Keys(SECRET), FixedClock(NOW)), changed).verdict is Verdict.OTHER


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1795414028",
        "v1=" + "0" * 64,
        "t=1795414028,v1=" + "0" * 64,
        "t=1795414028,v1=é",
        "t=,v1=" + "0" * 64,
        "t=1,t=2,v1=" + "0" * 64,
        "t=٣,v1=" + "0" * 64,
    ],
)
def test_bad_signatures(header: str | None) -> None:
    headers = {"Sandbox-Signature": header} if header is not None else {}
    with pytest.raises(BadSignature):
        sandbox(Keys(SECRET), FixedClock(NOW)).verify_callback(headers.get, authorised().body)


def test_one_changed_byte_breaks_the_signature() -> None:
    sent = authorised()
    with pytest.raises(BadSignature):
        verify(
            sandbox(Keys(SECRET), FixedClock(NOW)), SignedCallback(sent.headers, sent.body.replace(b"13912", b"13913"))
        )


def test_changed_time_breaks_the_signature() -> None:
    sent = authorised(late=301)
    header = sent.headers["Sandbox-Signature"].replace(str(int(NOW.timestamp()) - 301), str(int(NOW.timestamp())))
    with pytest.raises(BadSignature) as refused:
        verify(sandbox(Keys(SECRET), FixedClock(NOW)), SignedCallback({"Sandbox-Signature": header}, sent.body))
    assert not isinstance(refused.value, StaleCallback)


@pytest.mark.parametrize(("late", "taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_replay_window(late: int, taken: bool) -> None:
    provider = sandbox(Keys(SECRET), FixedClock(NOW))
    if taken:
        verify(provider, authorised(late=late))
    else:
        with pytest.raises(StaleCallback):
            verify(provider, authorised(late=late))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":"1","type":"payment.authorised","data":{}}', b"\xff"])
def test_signed_nonsense_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        sandbox(Keys(SECRET), FixedClock(NOW)).verify_callback({"Sandbox-Signature": sign(SECRET, body, NOW)}.get, body)


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_not_an_authorisation(amount: int) -> None:
    with pytest.raises(Malformed):
        verify(sandbox(Keys(SECRET), FixedClock(NOW)), callback(SECRET, "authorised", PAYMENT, amount, "GBP", NOW))


def test_one_of_several_signatures_is_enough() -> None:
    sent = authorised()
    header = sent.headers["Sandbox-Signature"].replace(",v1=", f",v1={'0' * 64},v1=")
    verify(sandbox(Keys(SECRET), FixedClock(NOW)), SignedCallback({"Sandbox-Signature": header}, sent.body))


def test_key_is_read_once_and_again_after_its_change() -> None:
    keys, clock = Keys(SECRET), FixedClock(NOW)
    provider = sandbox(keys, clock)
    verify(provider, authorised())
    verify(provider, authorised())
    assert keys.reads == 1
    keys.values = ["the next key"]
    clock.move(timedelta(seconds=5))
    verify(provider, authorised("the next key"))
    assert keys.reads == 2
    with pytest.raises(BadSignature):
        verify(provider, authorised())


def test_forged_signatures_do_not_read_the_key_each_time() -> None:
    keys = Keys(SECRET)
    provider = sandbox(keys, FixedClock(NOW))
    for _ in range(20):
        with pytest.raises(BadSignature):
            verify(provider, authorised("forged"))
    assert keys.reads == 1
