"""Every kind in both languages, with every value it names and nothing unescaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from commerce import events
from commerce.ids import show_order_number
from notifications.letters import LANGUAGES, TEMPLATES, Letters, day, language_of, moment, zone_of
from notifications.model import KINDS, notice_of
from notifications.service import Letter
from tests.unit.notifications.examples import E, example

pytestmark = pytest.mark.unit

CARD = {"name": "Ada <Lovelace>", "email": "ada@example.com", "time_zone": "Europe/London"}
NUMBER = show_order_number(example(events.OrderPlaced).order_id)
CHINESE = range(0x4E00, 0x9FFF)


def written(contract: type[E], locale: str = "en-GB", card: dict[str, str] = CARD, **changes: object) -> Letter:
    has_locale = "locale" in contract.model_fields
    notice = notice_of(example(contract, **changes, **({"locale": locale} if has_locale else {})))
    assert notice is not None
    return Letters().write(notice, card)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values()])
def test_there_is_a_template(kind: str, language: str) -> None:
    assert (TEMPLATES / language / f"{kind}.j2").is_file()


def test_there_is_no_template_that_nothing_uses() -> None:
    used = {kind.name for kind in KINDS.values()} | {"layout.txt", "layout.html"}
    for language in LANGUAGES:
        assert {path.name.removesuffix(".j2") for path in (TEMPLATES / language).iterdir()} == used


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("contract", KINDS, ids=lambda contract: contract.__name__)
def test_every_kind_reads_well(contract: type[events.Event], locale: str) -> None:
    letter = written(contract, locale)
    assert letter.subject
    assert "\n" not in letter.subject
    for text in (letter.subject, letter.text, letter.html):
        assert "{" not in text
        assert "  " not in text, "no gap where a value was empty"
    assert letter.html.count("<p") == letter.html.count("</p>")
    assert "Ada <Lovelace>" in letter.text
    assert "Ada &lt;Lovelace&gt;" in letter.html
    assert "<Lovelace>" not in letter.html
    if "order_id" in contract.model_fields:
        assert NUMBER in letter.text
        assert NUMBER in letter.html
        assert any(ord(character) in CHINESE for character in letter.text) == locale.startswith("zh")


def test_both_parts_say_the_same() -> None:
    letter = written(events.ShipmentDispatched, of=2)
    paragraphs = [part for part in letter.text.split("\n\n") if "waybill" in part or "parcels" in part]
    assert len(paragraphs) == 2
    for paragraph in paragraphs:
        assert f"<p>{paragraph}</p>" in letter.html


def test_amounts_follow_their_currency() -> None:
    assert "139.12 GBP" in written(events.OrderPlaced).text
    assert "13912 JPY" in written(events.PaymentReturned, currency="JPY").subject


def test_times_are_the_readers() -> None:
    late = "2026-11-30T23:30:00.000Z"
    assert "30 November 2026, 23:30 (GMT)" in written(events.OrderDelivered, accept_by=late).text
    shanghai = {**CARD, "time_zone": "Asia/Shanghai"}
    assert "2026年12月1日 07:30" in written(events.OrderDelivered, "zh-CN", shanghai, accept_by=late).text
    assert "1 December 2026" in written(events.OrderAwaitingStock, card=shanghai, expected_at=late).text


def test_somebody_without_a_card_is_still_told() -> None:
    assert written(events.OrderPaid, card={}).text.startswith("Hello,\n")
    assert written(events.OrderPaid, "zh", card={}).text.startswith("您好：\n")


@pytest.mark.parametrize("waited_for", ["payment", "stock", "dispatch"])
@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_expiry_has_its_reason(waited_for: str, locale: str) -> None:
    others = {"payment", "stock", "dispatch"} - {waited_for}
    text = written(events.OrderExpired, locale, waited_for=waited_for).text
    assert all(text != written(events.OrderExpired, locale, waited_for=other).text for other in others)


def test_an_unknown_trouble_is_told_in_general_words() -> None:
    assert "there is a problem with the delivery" in written(events.ShipmentExceptional, status="eaten_by_dog").text
    assert "派送出现问题" in written(events.ShipmentExceptional, "zh", status="eaten_by_dog").text


def test_a_value_that_is_text_cannot_become_markup_or_a_template() -> None:
    letter = written(events.ShipmentOutForDelivery, waybill="<b>{{ 7 * 7 }}</b>")
    assert "&lt;b&gt;{{ 7 * 7 }}&lt;/b&gt;" in letter.html
    assert "49" not in letter.text


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh", "zh"), ("zh-CN", "zh"), ("zh_Hant_TW", "zh"), ("ZH-cn", "zh"), ("en-GB", "en"), ("de", "en"), ("", "en")],
)
def test_languages(locale: str, language: str) -> None:
    assert language_of(locale) == language


def test_days_and_moments() -> None:
    at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    assert (day(at, "en"), day(at, "zh")) == ("4 March 2026", "2026年3月4日")
    assert moment(at, "en") == "4 March 2026, 05:06 (UTC)"
    assert moment(at.astimezone(timezone(timedelta(hours=8), "CST")), "zh") == "2026年3月4日 13:06（CST）"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "Europe", "", None])
def test_a_time_zone_that_is_none_is_utc(name: str | None) -> None:
    assert str(zone_of(name)) == "UTC"
