"""What is locked is pinned with hashes, and installs from whatever registry a machine has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_is_pinned_by_hash_and_has_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[\w.\[\]-]+==\S+", package) and "--hash=sha256:" in package for package in packages)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_what_was_asked_for_is_locked(lock: Path) -> None:
    locked = {line.split("==")[0] for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line}
    asked = [line.strip() for line in lock.with_suffix(".in").read_text(encoding="utf-8").splitlines()]
    names = {re.split(r"[\[=<>]", line)[0] for line in asked if line and not line.startswith(("#", "-"))}
    assert names <= locked


def test_what_the_functions_use_is_tested_in_the_version_that_is_shipped() -> None:
    def pinned(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        return set(re.findall(r"^([\w.-]+==[\w.]+)", text, re.MULTILINE))

    assert pinned("runtime") <= pinned("dev")


def test_the_package_lock_has_no_addresses() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    locked = [package for name, package in packages.items() if name]
    assert locked
    assert all("resolved" not in package and package["integrity"].startswith("sha512-") for package in locked)
