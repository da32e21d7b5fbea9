"""What staging does to an asset."""

from __future__ import annotations

import importlib.util
import marshal
import struct
import types
from pathlib import Path

import pytest

from tools import build

pytestmark = pytest.mark.unit

UNCHECKED_HASH = 0b01


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one context, one layer and a lock without packages, built by the emulator's own Python."""
    files = {
        "functions/orders/__init__.py": "",
        "functions/orders/api.py": "def handler(event, context):\n    return 'orders'\n",
        "functions/orders/templates/mail.txt": "hello",
        "functions/notes/readme.txt": "no package, no asset",
        "layers/commerce/python/commerce/__init__.py": "",
        "requirements/runtime.txt": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    tools = build.toolchain("local")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "toolchain", lambda target: tools)
    monkeypatch.setattr(build, "_install", lambda tools, lock, into: into.mkdir(parents=True))
    monkeypatch.setattr(build, "__file__", str(tmp_path / "requirements" / "runtime.txt"))
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_package_is_an_asset_imported_by_its_own_name(checkout: Path) -> None:
    staged = build.stage_all("local")
    assert set(staged) == {"dependencies", "commerce", "orders"}
    assert (staged["orders"] / "orders" / "api.py").exists()
    assert (staged["orders"] / "orders" / "templates" / "mail.txt").exists()
    assert (staged["commerce"] / "python" / "commerce" / "__init__.py").exists()


def test_bytecode_is_never_checked_and_names_the_path_it_runs_at(checkout: Path) -> None:
    staged = build.stage_all("local")
    [compiled] = (staged["orders"] / "orders" / "__pycache__").glob("api.*.pyc")
    content = compiled.read_bytes()
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert struct.unpack("<I", content[4:8])[0] == UNCHECKED_HASH
    code = marshal.loads(content[16:])  # noqa: S302 - what the line above compiled
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "/var/task/orders/api.py"
    assert not (checkout / "functions" / "orders" / "__pycache__").exists()


def test_nothing_is_staged_twice_and_a_change_stages_its_asset_only(checkout: Path) -> None:
    first = build.stage_all("local")
    before = {name: folder.stat().st_ino for name, folder in first.items()}
    again = build.stage_all("local")
    assert {name: folder.stat().st_ino for name, folder in again.items()} == before

    (checkout / "functions" / "orders" / "model.py").write_text("STATES = ()\n", encoding="utf-8")
    changed = build.stage_all("local")
    assert {n for n, folder in changed.items() if folder.stat().st_ino != before[n]} == {"orders"}
    assert (changed["orders"] / "orders" / "model.py").exists()


def test_the_same_source_gives_the_same_bytes(checkout: Path) -> None:
    first = tree(build.stage_all("local")["orders"])
    (checkout / "build" / "assets" / "local" / "functions" / ".orders.stamp").unlink()
    assert tree(build.stage_all("local")["orders"]) == first


def test_tests_metadata_and_stale_bytecode_are_shed(checkout: Path) -> None:
    for name in (
        "orders/tests/test_x.py",
        "orders/x-1.dist-info/METADATA",
        "orders/__pycache__/old.pyc",
        "orders/a.pyi",
    ):
        path = checkout / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    names = set(tree(build.stage_all("local")["orders"]))
    assert not any("tests" in name or "dist-info" in name or "old" in name or name.endswith(".pyi") for name in names)


def test_lambda_needs_its_own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_candidates", lambda: iter([Path("/nowhere/python3.13")]))
    with pytest.raises(build.BuildError, match=r"python3\.13 is missing"):
        build.toolchain("lambda")


def test_local_needs_the_emulators_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(build.BuildError, match="make setup"):
        build.toolchain("local")
