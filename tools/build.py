"""Stage what is shipped: two layers and one asset per context, with bytecode that stays valid.

The CDK's zip sets every file's time to 1980, so ordinary bytecode (which records its source's time) would be stale and,
as a function's folder is read-only, recompiled at each cold start. The staged copies therefore carry unchecked-hash
bytecode, compiled by the Python they will run on, with the path they will have there.

``python -m tools.build local`` (or ``lambda``) stages everything and prints where.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

ROOT = Path(__file__).resolve().parents[1]
Target = Literal["local", "lambda"]

LAYER_ROOT = "/opt"  # where Lambda unpacks layers
CODE_ROOT = "/var/task"  # and a function's own code

LAMBDA_PYTHON = "3.13"
# Amazon Linux 2023 has glibc 2.34; a wheel for an older one runs there, too.
LAMBDA_PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")

# Nothing that runs needs these. Package metadata also slows imports down: pydantic looks through it for plug-ins.
SHED_FOLDERS = ("*.dist-info", "tests", "test", "__pycache__", "bin")
SHED_FILES = ("*.pyi", "py.typed", "*.pyc")


class BuildError(Exception):
    """An asset cannot be staged; the message says what is missing."""


@dataclass(frozen=True)
class Toolchain:
    """The Python an asset is compiled by and third-party packages are chosen for."""

    target: Target
    python: Path
    version: str
    pip_options: tuple[str, ...]


def toolchain(target: Target) -> Toolchain:
    """The tools for a target.

    Parameters
    ----------
    target
        ``local``: the emulator's interpreter on this machine. ``lambda``: arm64 and Python 3.13 on Amazon Linux.

    Raises
    ------
    BuildError
        The target's Python is missing.
    """
    if target == "local":
        python = ROOT / ".venv-cloud" / "bin" / "python"
        if not python.exists():
            message = ".venv-cloud is missing: make setup"
            raise BuildError(message)
        return Toolchain(target, python, _version(python), ())
    found = next(filter(_is_lambda_python, _candidates()), None)
    if found is None:
        message = f"python{LAMBDA_PYTHON} is missing: bytecode for Lambda is compiled by the version that runs it"
        raise BuildError(message)
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", LAMBDA_PYTHON]
    for platform in LAMBDA_PLATFORMS:
        options += ["--platform", platform]
    return Toolchain(target, found, _version(found), tuple(options))


def contexts() -> list[str]:
    """The packages below ``functions/``, each of which is one asset."""
    return sorted(folder.parent.name for folder in (ROOT / "functions").glob("*/__init__.py"))


def stage_all(target: Target) -> dict[str, Path]:
    """Stage every asset whose inputs changed.

    Returns
    -------
    dict
        Folder by name: the layers ``dependencies`` and ``commerce``, and each context.

    Raises
    ------
    BuildError
        A tool is missing, or a package has no wheel for the target.
    """
    tools = toolchain(target)
    layers, functions = assets_root(target) / "layers", assets_root(target) / "functions"
    for folder in (layers, functions):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(assets_root(target) / ".lock"):
        staged = {
            "dependencies": _stage(layers / "dependencies", tools, LAYER_ROOT, ROOT / "requirements" / "runtime.txt"),
            "commerce": _stage(layers / "commerce", tools, LAYER_ROOT, ROOT / "layers" / "commerce" / "python"),
        }
        for context in contexts():
            staged[context] = _stage(functions / context, tools, CODE_ROOT, ROOT / "functions" / context)
    return staged


def assets_root(target: Target) -> Path:
    """The folder of a target's assets: ``layers/<name>/python`` and ``functions/<context>/<context>``."""
    return ROOT / "build" / "assets" / target


def _stage(asset: Path, tools: Toolchain, runs_at: str, source: Path) -> Path:
    stamp = asset.with_name(f".{asset.name}.stamp")
    wanted = _digest([source, Path(__file__)], tools.version, *tools.pip_options)
    if asset.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return asset
    staging = asset.with_name(f".{asset.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    if source.is_file():
        _install(tools, source, staging / "python")
    else:
        # A layer's folder is already called python; a context keeps its name, as it is imported by it.
        shutil.copytree(source, staging / source.name)
    _shed(staging)
    _compile(tools, staging, runs_at)
    shutil.rmtree(asset, ignore_errors=True)
    staging.rename(asset)
    stamp.write_text(wanted, encoding="utf-8")
    return asset


def _install(tools: Toolchain, lock: Path, into: Path) -> None:
    command = [str(tools.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--require-hashes", "--no-deps", "--target", str(into), "--requirement", str(lock), *tools.pip_options]
    if subprocess.run(command, check=False).returncode != 0:
        message = f"{lock.relative_to(ROOT)} could not be installed for {tools.target} (see above)"
        raise BuildError(message)


def _shed(staging: Path) -> None:
    for pattern in SHED_FOLDERS:
        for folder in sorted(staging.rglob(pattern)):
            # A package may have a module of such a name (jinja2.tests): only folders go.
            if folder.is_dir():
                shutil.rmtree(folder)
    for pattern in SHED_FILES:
        for file in staging.rglob(pattern):
            file.unlink()
    for path in staging.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _compile(tools: Toolchain, staging: Path, runs_at: str) -> None:
    command = [str(tools.python), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(staging), "-p", runs_at, str(staging)]
    # The same input must give the same bytes, or every deployment would look like a change.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    if subprocess.run(command, check=False, env=environment).returncode != 0:
        message = f"{staging.name} could not be compiled by {tools.python} (see above)"
        raise BuildError(message)


def _digest(paths: Iterable[Path], *words: str) -> str:
    """A hash over the names and contents of files and folders."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for path in paths:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if file.suffix == ".pyc":
                continue
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _candidates() -> Iterator[Path]:
    named = shutil.which(f"python{LAMBDA_PYTHON}")
    if named:
        yield Path(named)
    yield ROOT / ".venv" / "bin" / "python"


def _is_lambda_python(python: Path) -> bool:
    return python.exists() and _version(python).startswith(f"{LAMBDA_PYTHON}.")


def _version(python: Path) -> str:
    """``3.13.0`` and the like; empty for a shim that points nowhere."""
    ask = "import platform; print(platform.python_version())"
    answer = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One staging at a time: test processes synthesise side by side."""
    with lock.open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in get_args(Target):
        print("usage: python -m tools.build local|lambda", file=sys.stderr)
        return 2
    try:
        for name, folder in stage_all("local" if arguments[0] == "local" else "lambda").items():
            print(f"{name:14} {folder.relative_to(ROOT)}")
    except BuildError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
