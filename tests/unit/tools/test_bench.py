"""What the cold start's measurement rests on: the layout of a deployed function, and the other side of its calls."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orders.contract import PlaceOrder
from tools import bench

pytestmark = pytest.mark.unit


def test_a_deployed_file_is_of_1980_and_otherwise_the_same(tmp_path: Path) -> None:
    source = tmp_path / "asset"
    (source / "python" / "pkg").mkdir(parents=True)
    (source / "python" / "pkg" / "mod.py").write_bytes(b"x = 1\n")
    bench.as_deployed(source, tmp_path / "opt")
    made = tmp_path / "opt" / "python" / "pkg" / "mod.py"
    assert made.read_bytes() == b"x = 1\n"
    assert datetime.fromtimestamp(made.stat().st_mtime, UTC).year == 1980


def test_imports_are_summed_up_by_package() -> None:
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1000 |       1000 |   a.b\n"
        "import time:      2000 |       3000 | a\n"
        "import time:      1500 |       1500 | c\n"
    )
    assert bench.slowest_imports(report, 2) == [("a", 3.0), ("c", 1.5)]


def test_the_order_that_is_timed_is_a_valid_one() -> None:
    assert len(PlaceOrder.model_validate(json.loads(bench.EVENT["body"])).lines) == len(bench.SKUS)


def test_the_stub_speaks_the_protocol_of_aws() -> None:
    with bench.Stub().served() as endpoint:
        asked = urllib.request.Request(  # noqa: S310 - our own address
            endpoint, b'{"TableName": "orders"}', {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
        )
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - our own address
            assert json.load(answer) == {}


def test_the_stub_knows_no_other_calls() -> None:
    with pytest.raises(KeyError):
        bench.Stub().answer("DynamoDB_20120810.Scan", {})
