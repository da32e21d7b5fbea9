"""What the platform is made of, and whether it may be: `make supply`.

    python -m tools.supply secrets sbom licences advisories

``secrets`` looks for what looks like a secret (detect-secrets); what is known is in ``.secrets.baseline``, each
file with a reason here. ``sbom`` writes ``build/sbom.json`` (CycloneDX 1.6) from the hashed locks. ``licences``
lists those of the runtime layer and refuses copyleft. ``advisories`` asks for known vulnerabilities (pip-audit); where
nobody answers, it says so and fails.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SBOM = ROOT / "build" / "sbom.json"
BASELINE = ROOT / ".secrets.baseline"
LOCKS = ("runtime", "dev", "localcloud")

REASONS: Mapping[str, str] = {
    "functions/payments/providers/port.py": "the name of a kind of next step, client_secret",
    "layers/commerce/python/commerce/ids.py": "the alphabet of order numbers",
    "tests/e2e/support.py": "password of users of a local cloud's own pool",
    "tests/integration/payments/conftest.py": "callback key and access key of a simulated account",
    "tests/integration/payments/test_functions.py": "callback key of a simulated account",
    "tests/integration/recorded.py": "access key of a simulated account",
    "tests/unit/payments/doubles.py": "callback key of a provider that is made up",
    "tests/unit/payments/test_sandbox.py": "a signature that is told to be wrong",
    "tests/unit/tools/test_client.py": "an order token that is made up",
    "tests/unit/tools/test_supply.py": "a key that is planted to be found",
    "tools/bench.py": "access key that reaches no account: the process calls nobody",
    "tools/cost/deployed.py": "the kind of resource that is counted",
    "tools/flash/deployed.py": "password of users of a local cloud's own pool",
    "tools/client.py": "any key does for a local cloud",
    "tools/localcloud/deploy.py": "any key does for a local cloud",
    "tools/localcloud/recorder.py": "any key does for a local cloud",
    "tools/localcloud/server.py": "any key does for a local cloud",
    "tools/record.py": "password of users of a local cloud's own pool",
    "tools/run/load.py": "password of users of a local cloud's own pool",
    "tools/sim/world.py": "callback key of a simulated account",
}
"""File with something that looks like a secret -> why it is none. Nothing here opens anything outside this machine."""

COPYLEFT = re.compile(r"\b(A?GPL|LGPL|GNU|MPL|Mozilla|EUPL|CDDL|EPL|OSL|CC-BY-SA|SSPL)", re.IGNORECASE)
"""Licences under which whoever passes the layer on would owe its source, or that of what it is linked with."""

_PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pinned:
    """A package of a lock: its name and version, its ecosystem (``pypi``, ``npm``) and the hashes of its files."""

    name: str
    version: str
    ecosystem: str
    hashes: tuple[str, ...]


def python_lock(text: str) -> list[Pinned]:
    """Return the packages of a hashed requirements file."""
    starts = [*_PINNED.finditer(text)]
    ends = [one.start() for one in starts[1:]] + [len(text)]
    return [
        Pinned(one[1], one[2], "pypi", tuple(_HASH.findall(text[one.start() : end])))
        for one, end in zip(starts, ends, strict=True)
    ]


def npm_lock(text: str) -> list[Pinned]:
    """Return the packages of a ``package-lock.json``."""
    packages = json.loads(text)["packages"]
    return [
        Pinned(name.rpartition("node_modules/")[2], one["version"], "npm", (one["integrity"],))
        for name, one in packages.items()
        if name
    ]


def locked(root: Path = ROOT) -> dict[str, list[Pinned]]:
    """Return lock -> its packages."""
    found = {name: python_lock((root / "requirements" / f"{name}.txt").read_text("utf-8")) for name in LOCKS}
    return {**found, "npm": npm_lock((root / "package-lock.json").read_text("utf-8"))}


def bill(locks: Mapping[str, list[Pinned]]) -> str:
    """Return the bill of materials as CycloneDX JSON: what the functions run is ``required``, the rest ``excluded``.

    Raises
    ------
    ValueError
        It is not valid by CycloneDX's schema.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentScope, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bom = Bom()
    bom.metadata.component = Component(name="commerce-platform", type=ComponentType.APPLICATION)
    runtime = {(one.name, one.version) for one in locks["runtime"]}
    for one in sorted({one for packages in locks.values() for one in packages}, key=lambda it: (it.ecosystem, it.name)):
        needed = one.ecosystem == "pypi" and (one.name, one.version) in runtime
        bom.components.add(_component(one, ComponentScope.REQUIRED if needed else ComponentScope.EXCLUDED))
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(str(wrong)[:1000])
    return text


def _component(one: Pinned, scope: Any) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    purl = PackageURL(one.ecosystem, None, one.name.lower(), one.version)
    # A lock has the hash of every file of a version, of which a platform installs one.
    kept = [Property(name="commerce:lock-hash", value=digest) for digest in one.hashes]
    alone = [HashType(alg=HashAlgorithm.SHA_256, content=one.hashes[0])] if _only(one) else []
    return Component(
        name=one.name,
        version=one.version,
        purl=purl,
        bom_ref=str(purl),
        scope=scope,
        hashes=alone,
        properties=[] if alone else kept,
    )


def _only(one: Pinned) -> bool:
    return one.ecosystem == "pypi" and len(one.hashes) == 1


def missing(text: str, locks: Mapping[str, list[Pinned]]) -> list[str]:
    """Return what is locked and not in a bill of materials."""
    there = {(one["name"], one["version"]) for one in json.loads(text).get("components", ())}
    return sorted(
        {f"{one.name} {one.version}" for of in locks.values() for one in of if (one.name, one.version) not in there}
    )


def licence(name: str) -> str:
    """Return what an installed package says of its licence; empty if it says nothing."""
    told = importlib.metadata.metadata(name)
    classified = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    written = (told.get_all("License") or [""])[0].split("\n")[0]
    return (told.get_all("License-Expression") or [""])[0] or " or ".join(classified) or written


def refused_licences(packages: Iterable[Pinned], of: Callable[[str], str] = licence) -> list[str]:
    """Return packages under copyleft, or that do not say under what they are."""
    told = {one.name: of(one.name) for one in packages}
    return [f"{name}: {text or 'says nothing'}" for name, text in told.items() if not text or COPYLEFT.search(text)]


def found_secrets(files: Iterable[Path], root: Path = ROOT) -> set[tuple[str, str, str]]:
    """Return what looks like a secret: file, kind, and the SHA-1 that detect-secrets names it by."""
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import transient_settings

    settings = json.loads(BASELINE.read_text("utf-8"))
    with transient_settings({name: settings[name] for name in ("plugins_used", "filters_used")}):
        collection = SecretsCollection(root=str(root))
        for file in files:
            collection.scan_file(str(file.relative_to(root)))
        return {(file, one.type, one.secret_hash) for file, one in collection}


def known_secrets() -> set[tuple[str, str, str]]:
    """Return what the baseline knows."""
    results = json.loads(BASELINE.read_text("utf-8"))["results"]
    return {(file, one["type"], one["hashed_secret"]) for file, ones in results.items() for one in ones}


def tracked() -> list[Path]:
    """Return the repository's files, those that are new and not ignored included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = [name for name in listed.stdout.splitlines() if not re.search(_left_out(), name)]
    return [ROOT / name for name in names if (ROOT / name).is_file() and ROOT / name != BASELINE]


def _left_out() -> str:
    """Return the pattern of files that are full of hashes and ids by their nature: locks, generated, recorded."""
    filters = json.loads(BASELINE.read_text("utf-8"))["filters_used"]
    return str(next(one["pattern"] for one in filters if "pattern" in one)[0])


def unaudited(report: Mapping[str, Any]) -> list[str]:
    """Return packages that pip-audit could not ask about: its own exit status is 0 for them."""
    return [f"{one['name']}: {one['skip_reason']}" for one in report["dependencies"] if "skip_reason" in one]


def vulnerable(report: Mapping[str, Any]) -> list[str]:
    """Return what pip-audit knows of."""
    return [
        f"{one['name']} {one['version']}: {advisory['id']}"
        for one in report["dependencies"]
        for advisory in one.get("vulns", ())
    ]


def _secrets() -> Iterator[str]:
    unexplained = {file for file, _, _ in known_secrets()} - REASONS.keys()
    yield from (f"{file}: in the baseline without a reason" for file in sorted(unexplained))
    new = found_secrets(tracked()) - known_secrets()
    yield from (f"{file}: {kind}" for file, kind, _ in sorted(new))


def _sbom() -> Iterator[str]:
    locks = locked()
    text = bill(locks)
    SBOM.parent.mkdir(exist_ok=True)
    SBOM.write_text(text, "utf-8")
    yield from (f"not in the bill: {one}" for one in missing(text, locks))


def _licences() -> Iterator[str]:
    packages = locked()["runtime"]
    for one in packages:
        print(f"  {one.name:24} {licence(one.name)}")
    yield from refused_licences(packages)


def _advisories() -> Iterator[str]:
    for lock in LOCKS:
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--format",
            "json",
            "--progress-spinner",
            "off",
            "--timeout",
            "10",
        ]
        file = ROOT / "requirements" / f"{lock}.txt"
        done = subprocess.run(
            [*command, "--disable-pip", "--require-hashes", "-r", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            report = json.loads(done.stdout)
        except ValueError:
            yield f"{lock}: not audited: {done.stderr.strip().splitlines()[-1:]}"
            continue
        yield from (f"{lock}: {one}" for one in vulnerable(report))
        skipped = unaudited(report)
        if skipped:
            yield f"{lock}: {len(skipped)} of {len(report['dependencies'])} packages were not audited; {skipped[0]}"


CHECKS: Mapping[str, Callable[[], Iterator[str]]] = {
    "secrets": _secrets,
    "sbom": _sbom,
    "licences": _licences,
    "advisories": _advisories,
}


def main(names: list[str]) -> int:
    """Make the checks of these names, all without any; return 1 if one has something to say."""
    failed = 0
    for name in names or CHECKS:
        found = list(CHECKS[name]())
        print(f"{name}: {'; '.join(found) if found else 'fine'}")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
