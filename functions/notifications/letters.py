"""Words: one template a kind and language, one layout a language for text and one for HTML.

A kind's template sets ``subject`` and says the message in paragraphs, as plain text; the layouts put
greeting and signature around the same paragraphs, so the two parts of a mail cannot differ. The HTML
layout escapes every value. Templates are sandboxed and refuse a value that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

from commerce.clock import parse
from commerce.ids import show_order_number
from commerce.money import Money
from notifications.model import Notice
from notifications.service import Letter

TEMPLATES = Path(__file__).with_name("templates")
LANGUAGES = ("en", "zh")


class Letters:
    """Writes letters from the templates beside this file."""

    def __init__(self) -> None:
        self._templates = SandboxedEnvironment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def write(self, notice: Notice, card: Mapping[str, Any]) -> Letter:
        """Return ``notice`` as a letter to the person of ``card`` (``name`` and ``time_zone``, if known)."""
        language = language_of(notice.locale)
        values = said(notice, language, zone_of(card.get("time_zone")))
        module = self._templates.get_template(f"{language}/{notice.kind}.j2").make_module(values)
        subject = " ".join(str(vars(module)["subject"]).split())
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", str(module).strip())]
        around = {"subject": subject, "paragraphs": paragraphs, "order": values["order"], "name": card.get("name", "")}
        return Letter(
            subject=subject,
            text=self._templates.get_template(f"{language}/layout.txt.j2").render(around),
            html=self._templates.get_template(f"{language}/layout.html.j2").render(around),
        )


def said(notice: Notice, language: str, zone: tzinfo) -> dict[str, Any]:
    """Return a notice's facts as people say them: grouped order number, amount, days and times."""
    values = dict(notice.facts)
    values["order"] = show_order_number(notice.order_id) if notice.order_id else ""
    if "currency" in values:
        values["amount"] = str(Money(values.get("total", values.get("amount", 0)), values["currency"]))
    if "expected_at" in values:
        values["expected_on"] = day(parse(values["expected_at"]).astimezone(zone), language)
    if "accept_by" in values:
        values["accept_by"] = moment(parse(values["accept_by"]).astimezone(zone), language)
    return values


def language_of(locale: str) -> str:
    """Return the language that there are templates in: Chinese for ``zh`` and its variants, else English."""
    return "zh" if re.split(r"[-_]", locale.lower())[0] == "zh" else "en"


def zone_of(name: str | None) -> tzinfo:
    """Return the time zone ``name``, or UTC where a card has none or one that is not known any more."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def day(at: datetime, language: str) -> str:
    """Return a date in words: ``23 November 2026`` or ``2026年11月23日``."""
    return f"{at.year}年{at.month}月{at.day}日" if language == "zh" else f"{at.day} {at:%B %Y}"


def moment(at: datetime, language: str) -> str:
    """Return a date and time in words, with its zone: ``23 November 2026, 06:07 (UTC)``."""
    date = day(at, language)
    return f"{date} {at:%H:%M}（{at:%Z}）" if language == "zh" else f"{date}, {at:%H:%M} ({at:%Z})"
