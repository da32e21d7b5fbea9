"""Providers' callbacks: only the very bytes that were signed are heard, and what they say is read once and strictly."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.model import UnknownPayment
from tests.fuzz.hostile import RAW, bounded, each_mutation, hostile_texts, mutated, texts_of
from tests.fuzz.stage import Outcome, Stage, request
from tools.sandbox_provider import SignedCallback, callback, sign
from tools.sim.world import SECRET

pytestmark = pytest.mark.fuzz

ROUTE = "POST /payments/callbacks/{provider}"
HEADER = "Sandbox-Signature"

Hear = Callable[..., Outcome]


@pytest.fixture
def good(stage: Stage) -> SignedCallback:
    """The callback that a payment of this moment waits for."""
    name, about = next(
        (name, payment)
        for one in stage.items("payments")
        for name, payment in one["payments"].items()
        if payment["state"] == "created"
    )
    return callback(SECRET, "authorised", name, about["amount"], about["currency"], stage.now)


@pytest.fixture
def hear(stage: Stage) -> Hear:
    def call(body: bytes | str, signature: str | None, name: str = HEADER) -> Outcome:
        raw = body if isinstance(body, str) else base64.b64encode(body).decode()
        headers = {} if signature is None else {name: signature}
        function, event = request(
            ROUTE, path={"provider": "sandbox"}, headers=headers, body=raw, encoded=isinstance(body, bytes)
        )
        return stage.invoke(function, event)

    return call


def said(outcome: Outcome) -> tuple[int, str]:
    """Return status and problem of an answer that had no effect."""
    assert (outcome.error, outcome.logged) == (None, [])
    assert not outcome.effect, outcome.changed
    return outcome.result["statusCode"], json.loads(outcome.result["body"])["type"].removeprefix("/problems/")


def test_the_good_one_is_heard_as_text_and_as_base64(hear: Hear, good: SignedCallback) -> None:
    for body in (good.body, good.body.decode()):
        heard = hear(body, good.headers[HEADER])
        assert heard.result["statusCode"] == 200
        assert heard.effect


def test_every_change_of_a_byte_is_refused(hear: Hear, good: SignedCallback) -> None:
    for at in range(len(good.body)):
        for by in (1, 0x20, 0x80):
            changed = bytearray(good.body)
            changed[at] ^= by
            assert said(hear(bytes(changed), good.headers[HEADER])) == (401, "bad-signature"), at
    for at in range(len(good.body) + 1):
        for changed in (good.body[:at] + b" " + good.body[at:], good.body[:at] + good.body[at + 1 :]):
            if changed != good.body:
                assert said(hear(changed, good.headers[HEADER])) == (401, "bad-signature"), at


def test_every_change_of_a_character_of_the_signature_is_refused(hear: Hear, good: SignedCallback) -> None:
    right = good.headers[HEADER]
    for at in range(len(right)):
        for other in (chr(ord(right[at]) ^ 1), "é", ",", ""):
            changed = right[:at] + other + right[at + 1 :]
            if changed != right:
                assert said(hear(good.body, changed)) == (401, "bad-signature"), changed


def test_a_header_of_another_form_is_refused(hear: Hear, good: SignedCallback) -> None:
    right = good.headers[HEADER]
    stamp, _, mac = right.partition(",")
    for wrong in (
        None, "", " ", ",", stamp, mac, f"{stamp},{stamp},{mac}", f"{stamp},v0={mac[3:]}", f"{stamp},{mac.upper()}",
        f"{stamp} {mac}", f"t=-1,{mac}", f"t=1e9,{mac}", f"t={'9' * 5000},{mac}", f"t=٣,{mac}", f"{stamp},v1=",
        f"{stamp},{mac}00", f"{stamp},v1=0x{mac[5:]}", f"{stamp};{mac}", "\ud800", "\x00" * 100, f"{stamp}," * 3000,
    ):  # fmt: skip
        assert said(hear(good.body, wrong)) == (401, "bad-signature"), wrong
    for fine in (f"{mac},{stamp}", f" {stamp} , {mac} ", f"{stamp},v1={'0' * 64},{mac},v2=x"):
        assert hear(good.body, fine).result["statusCode"] == 200, fine
    for name in (HEADER.lower(), HEADER.upper()):
        assert hear(good.body, right, name).result["statusCode"] == 200, name


def test_one_that_is_late_or_early_is_refused(stage: Stage, hear: Hear, good: SignedCallback) -> None:
    for seconds in (-301, -86_400, 301, 86_400):
        stamped = sign(SECRET, good.body, stage.now + timedelta(seconds=seconds))
        assert hear(good.body, stamped).result["statusCode"] == 401, seconds


def test_what_is_compressed_is_not_unpacked(stage: Stage, hear: Hear, good: SignedCallback) -> None:
    packed = gzip.compress(good.body)
    assert said(hear(packed, good.headers[HEADER])) == (401, "bad-signature")
    assert said(hear(packed, sign(SECRET, packed, stage.now))) == (400, "malformed")
    bomb = gzip.compress(b"[" * 20_000_000)
    assert said(hear(bomb, sign(SECRET, bomb, stage.now))) == (400, "malformed")


def test_a_body_of_more_than_the_limit_is_refused_before_it_is_verified(stage: Stage, hear: Hear) -> None:
    body = b'{"a":"' + b"x" * 300_000 + b'"}'
    assert said(hear(body, sign(SECRET, body, stage.now))) == (413, "too-large")


def test_a_signed_one_that_says_nonsense_is_refused_by_name(stage: Stage, hear: Hear, good: SignedCallback) -> None:
    """The provider's own key is no reason to trust what it signs."""
    right: Any = json.loads(good.body)
    heard: set[int] = set()

    def send(text: str) -> None:
        body = text.encode(errors="surrogatepass")
        outcome = hear(body, sign(SECRET, body, stage.now))
        assert outcome.error is None, text[:200]
        assert all(isinstance(error, UnknownPayment) for _, error in outcome.logged), (text[:200], outcome.logged)
        status, answer = outcome.result["statusCode"], json.loads(outcome.result["body"])
        # 503: of a payment that is not known yet, or other than it is known: the provider is to say it again.
        assert status in (200, 400, 409, 413, 422, 503), answer
        if status >= 400:
            assert answer["type"] != "/problems/internal"
            assert not outcome.effect
        heard.add(status)

    name = right["data"]["payment_id"]
    send(json.dumps(right).replace(name, name[:-1] + ("0" if name[-1] == "1" else "1")))
    for change in each_mutation(right):
        send(json.dumps(mutated(right, [change])))
    bounded(100)(given(st.one_of(texts_of(right), st.sampled_from(RAW), hostile_texts))(send))()
    assert {200, 400, 503} <= heard
