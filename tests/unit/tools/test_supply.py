"""A secret, a copyleft licence, a package that the bill lacks, an audit that nobody answered: each is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import supply
from tools.supply import Pinned

pytestmark = pytest.mark.unit


def test_a_planted_secret_is_found(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text(
        'aws_key = "AKIAQYLPMN5HHHFPZAM2"\ngithub = "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"\nplain = 1\n'
    )
    kinds = {kind for _, kind, _ in supply.found_secrets([file], tmp_path)}
    assert {"AWS Access Key", "GitHub Token"} <= kinds
    assert supply.found_secrets([file], tmp_path) - supply.known_secrets()


def test_what_the_baseline_knows_has_a_reason_and_is_still_there() -> None:
    files = {file for file, _, _ in supply.known_secrets()}
    assert files == supply.REASONS.keys()
    assert all((supply.ROOT / file).is_file() for file in files)


def test_the_bill_has_every_package_of_every_lock() -> None:
    locks = supply.locked()
    text = supply.bill(locks)
    assert supply.missing(text, locks) == []
    scopes = {one["name"]: one["scope"] for one in json.loads(text)["components"]}
    assert scopes["pydantic"] == "required"
    assert {scopes["pytest"], scopes["aws-cdk"], scopes["ministack"]} == {"excluded"}


def test_a_package_that_the_bill_lacks_is_named() -> None:
    locks = supply.locked()
    text = supply.bill(locks)
    more = {**locks, "dev": [*locks["dev"], Pinned("left-pad", "1.0", "pypi", ())]}
    assert supply.missing(text, more) == ["left-pad 1.0"]


def test_every_line_of_a_lock_is_read() -> None:
    for name in supply.LOCKS:
        text = (supply.ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        packages = supply.python_lock(text)
        assert len(packages) == text.count("==") - text.count("'==") - text.count(" == ")
        assert sum(len(one.hashes) for one in packages) == text.count("--hash=")


def test_the_runtime_layer_has_no_copyleft() -> None:
    assert supply.refused_licences(supply.locked()["runtime"]) == []


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("GNU Lesser General Public License v2 or later (LGPLv2+)", True),
        ("AGPL-3.0-only", True),
        ("MPL-2.0", True),
        ("", True),
        ("Apache-2.0 OR BSD-3-Clause", False),
        ("MIT", False),
    ],
)
def test_copyleft_is_refused_and_so_is_silence(text: str, refused: bool) -> None:
    packages = [Pinned("some", "1", "pypi", ())]
    assert bool(supply.refused_licences(packages, lambda _: text)) == refused


def test_packages_that_were_not_audited_are_no_pass() -> None:
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "skip_reason": "Dependency not found on PyPI"},
            {"name": "c", "version": "1", "vulns": [{"id": "PYSEC-2026-1"}]},
        ]
    }
    assert supply.unaudited(report) == ["b: Dependency not found on PyPI"]
    assert supply.vulnerable(report) == ["c 1: PYSEC-2026-1"]
