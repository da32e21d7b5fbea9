"""Every text that the platform is sent is registered as personal or not."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from tests import personal
from tests.personal import Marks, leaves, unregistered

pytestmark = pytest.mark.unit


def test_every_text_is_registered() -> None:
    assert unregistered() == set(), "decide whether it is personal: tests/personal.py"


def test_nothing_is_registered_that_is_not_there() -> None:
    requests = {one.request for _, one in personal.operations().values() if one.request} | {personal._Callback}
    there = {leaf for model in requests for leaf in leaves(model)}
    assert (personal.PERSONAL | personal.NOT_PERSONAL) - there == set()


def test_a_new_field_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "PERSONAL", personal.PERSONAL - {"PutProfile.phone"})
    monkeypatch.setattr(personal, "IDS_AND_WORDS", personal.IDS_AND_WORDS - {"waybill"})
    assert "PutProfile.phone" in unregistered()
    assert "ScanReported.waybill" in unregistered()


class _Inner(BaseModel):
    note: str | None


class _Outer(BaseModel):
    inner: list[_Inner]
    free: dict[str, str]
    loose: dict
    anything: object
    count: int


def test_texts_are_found_wherever_they_are() -> None:
    wanted = {"inner[].note", "free.*", "loose.*", "anything"}
    assert set(leaves(_Outer)) == {f"_Outer.{path}" for path in wanted}


def test_the_marks_cover_what_is_personal() -> None:
    marks = Marks()
    assert marks.cover()
    marks.contact(), marks.address(), marks.profile()
    assert marks.cover()
    del marks.planted["PutProfile.phone"]
    assert not marks.cover()
