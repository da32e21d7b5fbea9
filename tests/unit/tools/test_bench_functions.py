"""What is measured of every function: an invocation of each, replayed, and compared with what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.bench_functions import RECORDED, Played, _usual, environment, run, specification, worse
from tools.build import ROOT
from tools.sim import wiring
from tools.sim.wiring import Function

pytestmark = pytest.mark.unit

BEFORE: dict[str, Any] = {"functions": {"a": {"cold": 2.0, "warm": 3.0}, "b": {"cold": 1.0, "warm": 0.01}}}


def now(**changes: dict[str, float]) -> dict[str, Any]:
    return {"functions": {**BEFORE["functions"], **changes}}


def test_as_before_is_well() -> None:
    assert worse(now(), BEFORE) == []
    assert worse(now(a={"cold": 2.4, "warm": 4.1}, b={"cold": 1.0, "warm": 0.1}), BEFORE) == []


def test_what_is_slower_new_or_gone_is_told() -> None:
    assert [text.split(":")[0] for text in worse(now(a={"cold": 2.6, "warm": 3.0}), BEFORE)] == ["a cold"]
    assert [text.split(":")[0] for text in worse(now(a={"cold": 2.0, "warm": 4.3}), BEFORE)] == ["a warm"]
    assert "c is not recorded" in worse(now(c={"cold": 1.0, "warm": 1.0}), BEFORE)[0]
    assert worse({"functions": {"a": BEFORE["functions"]["a"]}}, BEFORE) == ["b is recorded and gone"]


def test_every_function_is_recorded_and_nothing_else() -> None:
    assert json.loads(RECORDED.read_text())["functions"].keys() == wiring.load().functions.keys()


def test_the_usual_invocation_is_one_that_went_well() -> None:
    function = Function("f", "h", {}, 1)
    call = ("GetItem", {})
    often = [Played(function, number, "", [call], {"statusCode": 200}) for number in range(3)]
    refused = [Played(function, 9, "", [call], {"statusCode": 404}) for _ in range(9)]
    rare = Played(function, 7, "", [call, call], {"statusCode": 200})
    assert _usual([*refused, rare, *often]) is often[0]


def test_a_function_that_does_something_else_is_told(tmp_path: Path) -> None:
    source = tmp_path / "task"
    source.mkdir()
    (source / "one.py").write_text("def handler(event, context):\n    return {'statusCode': event}\n")
    played = Played(Function("one", "one.handler", {}, 1), 200, "", [], {"statusCode": 200})
    spec = tmp_path / "one.json"
    python = ROOT / ".venv" / "bin" / "python"
    spec.write_text(json.dumps(specification(played, [str(source)])))
    cold, warm = run(spec, environment(played), tmp_path, python)
    assert cold > warm >= 0
    spec.write_text(json.dumps({**specification(played, [str(source)]), "event": 500}))
    with pytest.raises(RuntimeError, match="one failed"):
        run(spec, environment(played), tmp_path, python)
