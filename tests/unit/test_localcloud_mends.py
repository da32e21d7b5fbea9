"""How a mend is applied to a module, and that it refuses what it does not know."""

from __future__ import annotations

import importlib.machinery
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.localcloud.mends import MENDS, Mend, MendDoesNotFit, apply

pytestmark = pytest.mark.unit

UPSTREAM = """
SCRIPT = "one two one"
KNOWN = 3

def plain(value):
    return value + KNOWN

class Thing:
    def method(self):
        return "old"
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[types.ModuleType]:
    source = tmp_path / "upstream.py"
    source.write_text(textwrap.dedent(UPSTREAM), encoding="utf-8")
    made = types.ModuleType("upstream_for_mends")
    loader = importlib.machinery.SourceFileLoader("upstream_for_mends", str(source))
    loader.exec_module(made)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def mend(target: str, *pieces: tuple[str, str]) -> Mend:
    return Mend("example", "as an example", "upstream_for_mends", target, pieces)


def test_a_function_keeps_its_module_around_it(module: types.ModuleType) -> None:
    apply(mend("plain", ("value + KNOWN", "value * KNOWN")))
    assert module.plain(5) == 15


def test_a_function_is_mended_twice(module: types.ModuleType) -> None:
    apply(Mend("first", "as an example", "upstream_for_mends", "plain", (("value + KNOWN", "value * KNOWN"),)))
    apply(Mend("second", "as an example", "upstream_for_mends", "plain", (("* KNOWN", "* KNOWN + 1"),)))
    assert module.plain(5) == 16


def test_a_method_is_mended_in_its_class(module: types.ModuleType) -> None:
    apply(mend("Thing.method", ('"old"', '"new"')))
    assert module.Thing().method() == "new"


def test_a_text_is_mended(module: types.ModuleType) -> None:
    apply(mend("SCRIPT", ("two", "2")))
    assert module.SCRIPT == "one 2 one"


@pytest.mark.parametrize("piece", ["three", "one"], ids=["missing", "ambiguous"])
def test_a_piece_that_is_not_there_once_is_refused(module: types.ModuleType, piece: str) -> None:
    with pytest.raises(MendDoesNotFit, match=r"example: upstream_for_mends\.SCRIPT"):
        apply(mend("SCRIPT", (piece, "")))
    assert module.SCRIPT == "one two one"


def test_names_are_unique_and_reasons_given() -> None:
    assert len({mend.name for mend in MENDS}) == len(MENDS)
    assert all(mend.why for mend in MENDS)
