"""What every function costs to start and to run: ``python -m tools.bench_functions [--record]``.

Every function of the synthesised templates is measured with its handler, its environment and its layers as deployed
(`tools.bench.as_deployed`), in fresh processes of the interpreter that stands for Lambda's:

``cold``
    Import and first call.
``warm``
    One call more, the mean of `CALLS`.

Both are seconds of CPU of the process, so that a busy machine counts less, divided by those of a bare client in the
same run: ``import boto3``, a DynamoDB client and its first GetItem for ``cold``, one more GetItem for ``warm``. The
ratio of the medians is compared with ``docs/operations/bench.json``; what is above by more than `TOLERANCE` fails.

The event that a function is called with, and what AWS answers it, are those of a simulated run (`tools.sim`): of each
function's calls that went well, the first of the most common number of AWS calls. The answers come from below
botocore's HTTP session, so that signing, writing and reading messages count, and the network does not.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.bench import LAMBDAS, LAYERS, as_deployed, lay_out_layers, surroundings
from tools.build import ROOT, BuildError, stage_all
from tools.sim import wiring
from tools.sim.run import play
from tools.sim.wiring import Function
from tools.sim.world import SECRET, World

RECORDED = ROOT / "docs" / "operations" / "bench.json"
ROUNDS = 3
CALLS = 40
TOLERANCE = {"cold": 1.25, "warm": 1.4}
"""Times the recorded ratio."""
LEAST = 0.1
"""A ratio that rises by less is none."""
BARE_EVERY = 8
"""Functions between two measurements of the bare client."""

MOST_SEEDS = 60
SILENT = frozenset({"reference"})
"""Functions that ask AWS nothing; of all others an invocation that asks nothing had nothing to do."""

CHILD = """\
import base64, importlib, io, json, os, sys, time
with open(sys.argv[1]) as file:
    spec = json.load(file)
sys.path[:0] = spec["path"]

class Context:
    aws_request_id = "bench"
    function_name = spec["function"]
    invoked_function_arn = "arn:aws:lambda:eu-west-1:000000000000:function:" + spec["function"]
    memory_limit_in_mb = 512
    def get_remaining_time_in_millis(self):
        return 10_000

left = {}
def refill():
    left.clear()
    for name, answer in spec["answers"]:
        left.setdefault(name, []).append(answer)

def answer(name, asked):
    if name == "Decrypt":  # the simulation's wrapped key is the key behind 32 bytes of its context
        return {"Plaintext": base64.b64encode(base64.b64decode(asked["CiphertextBlob"])[32:]).decode()}
    if name in spec["constants"]:
        return spec["constants"][name]
    ahead = left[name]
    return ahead.pop(0) if len(ahead) > 1 else ahead[0]

def stub():
    from botocore.awsrequest import AWSResponse
    from botocore.httpsession import URLLib3Session
    def send(self, request):
        target = request.headers.get("X-Amz-Target") or b"SendEmail"
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        said = AWSResponse(request.url, 200, {"Content-Type": "application/x-amz-json-1.0"}, None)
        said._content = json.dumps(answer(name, json.loads(request.body or b"{}"))).encode()
        return said
    URLLib3Session.send = send

refill()
began = time.process_time()
if spec["handler"]:
    module, _, name = spec["handler"].rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    if "boto3" in sys.modules:
        stub()
    if "commerce.clock" in sys.modules:
        from datetime import datetime
        now = datetime.fromisoformat(spec["now"])
        sys.modules["commerce.clock"].SystemClock.now = lambda self: now
    def once():
        return handler(spec["event"], Context())
else:
    import boto3
    stub()
    client = boto3.client("dynamodb")
    def once():
        return client.get_item(TableName="orders", Key={"pk": {"S": "ORDER#1"}, "sk": {"S": "HEAD"}})
said = once()
cold = time.process_time() - began
if spec["handler"] and json.loads(json.dumps(said)) != said:
    sys.exit("not JSON")
wanted = spec["said"]
if isinstance(said, dict) and isinstance(wanted, dict):
    for name in ("statusCode", "batchItemFailures"):
        if said.get(name) != wanted.get(name):
            sys.exit(f"said {said} and not {wanted}")
warm = 0.0
for _ in range(spec["calls"]):
    refill()
    event = json.loads(json.dumps(spec["event"]))
    before = time.process_time()
    once()
    warm += time.process_time() - before
print()
print(json.dumps([cold, warm / spec["calls"]]))
"""


@dataclass
class Played:
    """One invocation of the simulation: what a function was called with, asked AWS, and said."""

    function: Function
    event: Any
    now: str
    calls: list[tuple[str, Any]] = field(default_factory=list)
    said: Any = None
    went_well: bool = True


class _Noted:
    """Takes an invocation's result for its `Played` and hands it on."""

    def __init__(self, played: Played, done: Any) -> None:
        self.played = played
        self._done = done

    def __call__(self, result: Any, error: Any) -> None:
        self.played.said = result
        self.played.went_well &= error is None
        self._done(result, error)


@contextmanager
def listening(found: list[Played]) -> Iterator[None]:
    """Note every invocation of the simulations that are played meanwhile."""
    invoke, call = World.invoke, World.call

    def noted_invoke(self: World, function: str, payload: Any, done: Any) -> None:
        name = function.rpartition("function:")[2].removeprefix("commerce-test-").partition(":")[0]
        event = json.loads(json.dumps(payload))
        found.append(Played(self.wiring.functions[name], event, self.now.isoformat()))
        invoke(self, function, payload, _Noted(found[-1], done))

    def noted_call(self: World, service: str, action: str, request: Mapping[str, Any], attempts: int) -> Any:
        running = self._current
        played = running.done.played if running and isinstance(running.done, _Noted) else None
        try:
            answer = call(self, service, action, request, attempts)
        except Exception:
            if played:
                played.went_well = False
            raise
        if played:
            name = "".join(part.capitalize() for part in action.split("_"))
            played.calls.append((name, json.loads(json.dumps(answer, default=_b64))))
        return answer

    World.invoke, World.call = noted_invoke, noted_call  # type: ignore[method-assign]
    try:
        yield
    finally:
        World.invoke, World.call = invoke, call  # type: ignore[method-assign]


def representative() -> dict[str, Played]:
    """Return an invocation of every function that there is.

    Raises
    ------
    LookupError
        A function is called in none of the simulated runs.
    """
    connected = wiring.load()
    found: list[Played] = []
    with listening(found):
        for seed in range(1, MOST_SEEDS):
            play(connected, seed)
            missing = connected.functions.keys() - {one.function.name for one in found if _usable(one)}
            if not missing:
                break
        else:
            raise LookupError(f"never called: {', '.join(sorted(missing))}")
    return {name: _usual([one for one in found if one.function.name == name]) for name in sorted(connected.functions)}


def _usual(played: list[Played]) -> Played:
    well = [one for one in played if _usable(one)]
    numbers = Counter(len(one.calls) for one in well)
    usual = max(numbers, key=lambda number: (numbers[number], number))
    return next(one for one in well if len(one.calls) == usual)


def _usable(one: Played) -> bool:
    idle = not one.calls and one.function.name not in SILENT
    refused = isinstance(one.said, dict) and (
        one.said.get("statusCode", 200) >= 400 or one.said.get("batchItemFailures")
    )
    return one.went_well and not idle and not refused


def _b64(value: Any) -> str:
    return base64.b64encode(bytes(getattr(value, "value", value))).decode()


def specification(played: Played | None, path: list[str]) -> dict[str, Any]:
    """Return what a child process needs to know; without an invocation it is the bare client."""
    more: dict[str, Any] = {"function": "bare", "handler": "", "event": {}, "now": "", "said": None}
    answers: list[tuple[str, Any]] = [("GetItem", {"Item": {"pk": {"S": "ORDER#1"}, "sk": {"S": "HEAD"}}})]
    if played:
        function = played.function
        more = {"function": function.name, "handler": function.handler, "event": played.event, "now": played.now}
        more["said"] = played.said
        answers = played.calls
    constants = {
        "GenerateDataKey": {"Plaintext": _b64(bytes(32)), "CiphertextBlob": _b64(bytes(64))},
        "GenerateMac": {"Mac": _b64(bytes(32))},
        "VerifyMac": {"MacValid": True},
        "GetSecretValue": {"SecretString": SECRET},
    }
    return {**more, "path": path, "answers": answers, "constants": constants, "calls": CALLS}


def environment(played: Played | None) -> dict[str, str]:
    """Return the environment of a process, as deployed."""
    more = played.function.environment if played else {}
    return {**surroundings(), "PYTHONDONTWRITEBYTECODE": "1", **more}


def lay_out(home: Path) -> dict[str, list[str]]:
    """Lay the assets out below ``home`` as Lambda does; return the path of each context's functions."""
    staged = stage_all("local")
    lay_out_layers(staged, home)
    contexts = [name for name in staged if name not in LAYERS]
    for context in contexts:
        as_deployed(staged[context], home / context)
    return {context: [str(home / context), str(home / "opt" / "python")] for context in contexts}


def run(spec: Path, around: Mapping[str, str], where: Path, python: Path = LAMBDAS) -> tuple[float, float]:
    """Measure once; return the seconds of CPU of the first call with its imports, and of one more.

    Raises
    ------
    RuntimeError
        The function did not do what it did in the simulation.
    """
    done = subprocess.run(
        [str(python), "-c", CHILD, str(spec)], env=dict(around), cwd=where, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{spec.stem} failed:\n{done.stderr[-2000:] or done.stdout[-2000:]}")
    cold, warm = json.loads(done.stdout.splitlines()[-1])
    return float(cold), float(warm)


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the ratios of every function, and the bare client's milliseconds."""
    invocations = representative()
    functions: dict[str, list[tuple[float, float]]] = {name: [] for name in invocations}
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        paths = lay_out(home)
        (home / "bare.json").write_text(json.dumps(specification(None, paths["orders"])))
        for name, played in invocations.items():
            path = paths[played.function.handler.partition(".")[0]] if _ours(played) else paths["orders"]
            (home / f"{name}.json").write_text(json.dumps(specification(played, path)))
        for at in range(rounds + 1):  # the round before the first warms the disk's cache up
            for number, (name, played) in enumerate(invocations.items()):
                if number % BARE_EVERY == 0:
                    bare.append(run(home / "bare.json", environment(None), home))
                once = run(home / f"{name}.json", environment(played), home)
                if at:
                    functions[name].append(once)
    bare_cold, bare_warm = _medians(bare)
    figures = {}
    for name, runs in functions.items():
        cold, warm = _medians(runs)
        ratios = {"cold": round(cold / bare_cold, 2), "warm": round(warm / bare_warm, 2)}
        figures[name] = {**ratios, "aws_calls": len(invocations[name].calls)}
    milliseconds = {"cold": round(bare_cold * 1000, 1), "warm": round(bare_warm * 1000, 2)}
    return {"bare_ms": milliseconds, "functions": figures}


def _medians(took: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(cold for cold, _ in took), statistics.median(warm for _, warm in took)


def _ours(played: Played) -> bool:
    return not played.function.handler.startswith("commerce.")


def worse(now: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Return what is slower than recorded by more than the tolerance, or not recorded at all."""
    found = []
    for name, figures in now["functions"].items():
        before = recorded["functions"].get(name)
        if before is None:
            found.append(f"{name} is not recorded: make bench RECORD=1")
            continue
        for what, most in TOLERANCE.items():
            if figures[what] > max(before[what] * most, before[what] + LEAST):
                found.append(f"{name} {what}: {figures[what]}, recorded {before[what]} (at most {most} times that)")
    return found + [f"{name} is recorded and gone" for name in recorded["functions"].keys() - now["functions"].keys()]


def show(now: Mapping[str, Any], recorded: Mapping[str, Any], console: Console) -> None:
    """Print today's ratios beside the recorded ones."""
    bare = now["bare_ms"]
    title = f"CPU in times a bare boto3 client's (cold {bare['cold']} ms, warm {bare['warm']} ms a call)"
    table = Table(title=title, title_justify="left")
    for heading in ("function", "cold", "recorded", "warm", "recorded", "AWS calls", "recorded"):
        table.add_column(heading, justify="left" if heading == "function" else "right")
    for name, figures in now["functions"].items():
        before = recorded["functions"].get(name, {})
        pairs = [
            str(value) for what in ("cold", "warm", "aws_calls") for value in (figures[what], before.get(what, "-"))
        ]
        table.add_row(name, *pairs)
    console.print(table)


def main() -> int:
    """Measure, compare or record, print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--record", action="store_true", help="keep today's figures as the recorded ones")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    try:
        now = measure(options.rounds)
    except (BuildError, RuntimeError, LookupError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"functions": {}}
    show(now, recorded, Console())
    if options.record:
        RECORDED.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        print(f"recorded in {RECORDED.relative_to(ROOT)}")
        return 0
    found = worse(now, recorded)
    print("\n".join(found) or "no function is slower than recorded")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
