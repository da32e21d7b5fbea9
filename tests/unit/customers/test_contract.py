"""What a profile may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from customers.api import PutProfile

pytestmark = pytest.mark.unit

ADA = {"name": "Ada", "email": "ada@example.com", "locale": "en-GB", "time_zone": "Europe/London"}


def refused(**changes: Any) -> bool:
    try:
        PutProfile.model_validate({**ADA, **changes})
    except ValidationError as error:
        return {one["loc"][0] for one in error.errors()} == set(changes)
    return False


@pytest.mark.parametrize(
    "email",
    [
        "a@b.co",
        "first.last+tag@sub.example.co.uk",
        "o'neil@example.com",
        "x@xn--fiq228c.xn--55qx5d",
        "a" * 64 + "@" + "b" * 63 + ".com",
        "digits@1und1.de",
    ],
)
def test_addresses_that_mail_reaches(email: str) -> None:
    assert PutProfile.model_validate({**ADA, "email": email}).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@example..com",
        "ada@.example.com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@example.com.",
        "ada@example.1",
        "a da@example.com",
        "ada@exa mple.com",
        "Ada <ada@example.com>",
        "ada@example.com, bob@example.com",
        "ada@example.com\nBcc: bob@example.com",
        "ada@example.com\r",
        "ada@example.com\n",
        "ada\x00@example.com",
        '"ada"@example.com',
        "ада@example.com",
        "ada@例子.中国",
        "a" * 65 + "@example.com",
        "a@" + "b." * 130 + "com",
    ],
)
def test_addresses_that_are_refused(email: str) -> None:
    assert refused(email=email)


@given(st.text(max_size=60))
def test_no_address_can_end_a_header_line(text: str) -> None:
    for email in (text, f"{text}@example.com", f"ada@{text}.com", f"ada@example.com{text}"):
        if not refused(email=email):
            assert not set(email) & set('\r\n\t ,;<>()[]\\"\x00')
            assert email.isascii()


@pytest.mark.parametrize("locale", ["en", "en-GB", "zh-Hans-CN", "es-419", "yue"])
def test_locales(locale: str) -> None:
    assert not refused(locale=locale)


@pytest.mark.parametrize("locale", ["", "e", "english", "en_GB", "en-GB-x-private", "en\n", "../en"])
def test_locales_that_are_none(locale: str) -> None:
    assert refused(locale=locale)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires"])
def test_time_zones(zone: str) -> None:
    assert not refused(time_zone=zone)


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "Asia/Shanghai\n"]
)
def test_time_zones_that_are_none(zone: str) -> None:
    assert refused(time_zone=zone)


@pytest.mark.parametrize("phone", ["+442079460958", "+8613800138000", None])
def test_phones(phone: str | None) -> None:
    assert not refused(phone=phone)


@pytest.mark.parametrize("phone", ["", "020 7946 0958", "+0123456789", "+123456", "+1234567890123456", "+44207946095x"])
def test_phones_that_are_none(phone: str) -> None:
    assert refused(phone=phone)


def test_names_are_one_line() -> None:
    assert refused(name="")
    assert refused(name="Ada\nLovelace")
    assert refused(name="x" * 121)
    assert not refused(name="爱达·洛夫莱斯")


def test_nothing_else_is_taken() -> None:
    assert refused(admin=True)
