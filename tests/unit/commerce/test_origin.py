"""The secret header of the entry. That every function asks for it is in tests/infra/test_entry.py."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from commerce import origin

pytestmark = pytest.mark.unit

NOW, BEFORE = "the value that is sent", "the value before it"
ACCEPTED = f"{origin.digest(NOW)},{origin.digest(BEFORE)}"


def event(given: str | None, accepted: str | None = ACCEPTED) -> dict[str, Any]:
    found: dict[str, Any] = {"headers": {} if given is None else {origin.HEADER: given}}
    return found if accepted is None else {**found, "stageVariables": {origin.VARIABLE: accepted}}


@pytest.mark.parametrize("given", [NOW, BEFORE])
def test_the_value_and_the_one_before_it_are_let_in(given: str) -> None:
    origin.check(event(given))


def test_without_an_entry_nothing_is_asked() -> None:
    origin.check(event(None, accepted=None))
    origin.check({"headers": None, "stageVariables": None})
    origin.check(event("anything", accepted=None))


@pytest.mark.parametrize(
    "given",
    [None, "", "another", NOW.upper(), f"{NOW},{NOW}", f" {NOW}", origin.digest(NOW), ACCEPTED, "\udcff", "wörter"],
)
def test_anything_else_is_refused(given: str | None) -> None:
    with pytest.raises(origin.NotThroughTheEntry):
        origin.check(event(given))


@pytest.mark.parametrize("accepted", ["", ",", "0"])
def test_an_entry_that_lets_no_value_in_refuses_everything(accepted: str) -> None:
    for given in (None, "", NOW):
        with pytest.raises(origin.NotThroughTheEntry):
            origin.check(event(given, accepted))


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    assert origin.digest("abc") == hashlib.sha256(b"abc").hexdigest()
    assert len(ACCEPTED) <= 2048, "what API Gateway takes as a variable's value"
