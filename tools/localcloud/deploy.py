"""Deploy the real stacks to a local cloud with the real CDK command line; nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3

from infra.settings import STAGES
from tools import entry
from tools.localcloud.server import ACCOUNT, ROOT, LocalCloud, LocalCloudError

CDK = ROOT / "node_modules" / ".bin" / "cdk"

# Everything that a template or an asset is made of.
INPUTS = (
    "app.py",
    "cdk.json",
    "events",
    "functions",
    "infra",
    "layers",
    "package-lock.json",
    "requirements/dev.txt",
    "requirements/runtime.txt",
    "statemachines",
    "tools/build.py",
)

STACKS_AT_ONCE = 4
LOG_TAIL_LINES = 60


def deploy(cloud: LocalCloud, stage: str, tables: Mapping[str, str] | None = None) -> bool:
    """Bootstrap the account and deploy every stack of a stage. Returns False when nothing had changed.

    Parameters
    ----------
    tables
        Context -> generation of the restored table that it uses (see `infra.settings.Restored`).

    Raises
    ------
    LocalCloudError
        The CDK failed; the message holds the end of its log.
    """
    if not CDK.exists():
        message = "node_modules is missing: make setup"
        raise LocalCloudError(message)
    restored = json.dumps(dict(tables or {}))
    wanted = _fingerprint(stage, restored)
    deployed, synthesised = cloud.home / "deployed", cloud.home / "synthesised"
    if _read(deployed) == wanted:
        return False
    assembly = cloud.home / "cdk.out"
    jobs: dict[str, subprocess.Popen[bytes]] = {}
    if not deployed.exists():
        jobs["bootstrap"] = _run(cloud, "bootstrap", [f"aws://{ACCOUNT}/{cloud.region}"], cloud.home)
    if _read(synthesised) != wanted or not assembly.exists():
        synth = ["--quiet", "--output", str(assembly), "--context", f"stage={stage}"]
        synth += ["--context", f"tables={restored}"]
        jobs["synth"] = _run(cloud, "synth", synth, ROOT)
    _wait(cloud, jobs)
    synthesised.write_text(wanted, encoding="utf-8")
    if stage in STAGES and STAGES[stage].entry:
        entry.publish(_client(cloud, "secretsmanager"), _client(cloud, "ssm"), stage)
    arguments = ["--all", "--app", str(assembly), "--require-approval", "never", "--method", "direct"]
    arguments += ["--concurrency", str(STACKS_AT_ONCE), "--outputs-file", str(cloud.home / "outputs.json")]
    _wait(cloud, {"deploy": _run(cloud, "deploy", arguments, cloud.home)})
    deployed.write_text(wanted, encoding="utf-8")
    return True


def outputs(cloud: LocalCloud) -> dict[str, str]:
    """The outputs of all deployed stacks by name."""
    stacks: dict[str, dict[str, str]] = json.loads((cloud.home / "outputs.json").read_text(encoding="utf-8"))
    return {name: value for stack in stacks.values() for name, value in stack.items()}


def environment(cloud: LocalCloud) -> dict[str, str]:
    """The environment the CDK and its app run in."""
    return {
        **os.environ,
        **cloud.environment(),
        "PATH": os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ.get("PATH", os.defpath)]),
        "CDK_HOME": str(cloud.home / "cdk-home"),
        "CDK_DISABLE_VERSION_CHECK": "1",
        # The pinned aws-cdk-lib runs on every Node.js from 20; its reminders are not for this output.
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def _client(cloud: LocalCloud, service: str) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=cloud.endpoint,
        region_name=cloud.region,
        aws_access_key_id=cloud.access_key_id,
        aws_secret_access_key="local",  # noqa: S106 - the emulator knows no other
    )


def _run(cloud: LocalCloud, command: str, arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (cloud.home / f"{command}.log").open("wb") as log:
        return subprocess.Popen(
            [str(CDK), command, "--ci", "--no-notices", *arguments],
            cwd=folder,
            env=environment(cloud),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _wait(cloud: LocalCloud, jobs: dict[str, subprocess.Popen[bytes]]) -> None:
    failed = [name for name, job in jobs.items() if job.wait() != 0]
    if failed:
        log = cloud.home / f"{failed[0]}.log"
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
        message = f"cdk {failed[0]} failed; the end of {log}:\n{tail}"
        raise LocalCloudError(message)


def _fingerprint(stage: str, restored: str) -> str:
    digest = hashlib.sha256(f"{stage}\0{restored}\0{sys.version}\0".encode())
    for file in _files(INPUTS):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(names: Iterable[str]) -> Iterable[Path]:
    for name in names:
        path = ROOT / name
        if path.is_file():
            yield path
        else:
            yield from sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".pyc")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
