"""The threat model names only what there is: files, tests, and limits as the code has them."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from infra.settings import STAGES

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*(?:::\w+)?)`", TEXT)))
LIMITS = re.findall(r"^\| [^|]+ \| (\d+) \| `([\w.]+)`", TEXT, re.MULTILINE)


@cache
def functions_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize("named", NAMED)
def test_what_the_threat_model_names_is_there(named: str) -> None:
    file, _, test = named.partition("::")
    assert (ROOT / file).exists()
    assert not test or test in functions_in(file)


def test_the_model_names_a_test_for_every_item_of_the_top_ten_and_every_kind_of_threat_of_every_flow() -> None:
    assert len(NAMED) > 100
    items = re.findall(r"^\| API(\d+) .*`tests/", TEXT, re.MULTILINE)
    assert items == [str(number) for number in range(1, 11)]
    flows = [part for part in TEXT.split("\n## ") if "| --- | --- | --- | --- | --- |" in part]
    assert len(flows) == 10
    for flow in flows:
        kinds = ", ".join(re.findall(r"^\| ([STRIDE, ]+) \|", flow, re.MULTILINE)).split(", ")
        assert set(kinds) == set("STRIDE"), flow.splitlines()[0]


@pytest.mark.parametrize(("number", "name"), LIMITS, ids=[name for _, name in LIMITS])
def test_a_limit_is_what_the_code_has(number: str, name: str) -> None:
    prod = STAGES["prod"]
    assert prod.entry is not None
    special = {
        "infra.stacks.firewall.HUGE": 10**6 - 1,
        "Entry.requests_per_address": prod.entry.requests_per_address,
        "Stage.open_throttle": prod.open_throttle.rate,
        "Stage.throttle_rate": prod.throttle_rate,
        "Stage.pace": prod.pace.orders,
    }
    if name in special:
        assert int(number) == special[name]
    else:
        module, _, constant = name.rpartition(".")
        assert int(number) == getattr(importlib.import_module(module), constant)


def test_the_firewall_s_bound_is_the_one_that_is_told() -> None:
    pattern = re.search(r'^HUGE = "(.+)"$', (ROOT / "infra" / "stacks" / "firewall.py").read_text(), re.MULTILINE)
    assert pattern is not None
    assert re.search(pattern[1], "1000000")
    assert not re.search(pattern[1], "999999")
    assert STAGES["prod"].pace.seconds == 600
