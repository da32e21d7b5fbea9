"""``python -m tools.run [--orders 200] [--once]``: play real orders on the local cloud, measure, keep serving."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from tools.audit.deployed import unbalanced
from tools.client import Carrier, Deployment, Operator, Provider, Refused, TooLate
from tools.loader import Sample, load_sample
from tools.localcloud.deploy import deploy
from tools.localcloud.server import DEFAULT_HOME, ROOT, LocalCloud, LocalCloudError
from tools.run import figures
from tools.run.alone import play_alone
from tools.run.board import Board
from tools.run.display import Display, show
from tools.run.journal import Journal, read
from tools.run.load import SAMPLE_PASSWORD, load, sign_in_all, staff
from tools.run.play import Play, look_back

STAGE = "local"

WRITTEN = ROOT / "build" / "run.json"


def main(arguments: list[str]) -> int:
    """Run; returns the exit status: 0 if everything is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tools.run", description="Play real orders on the local cloud.")
    parser.add_argument("--orders", type=int, default=int(os.environ.get("ORDERS") or 200), help="how many (200)")
    parser.add_argument("--once", action="store_true", help="end after the figures instead of serving on")
    parser.add_argument("--home", type=Path, default=Path(DEFAULT_HOME), help="folder of the cloud in the checkout")
    asked = parser.parse_args(arguments)
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cloud, started = LocalCloud(ROOT / asked.home), False
    try:
        sample = load_sample(asked.orders)
        began = time.monotonic()
        started = cloud.start()
        deploy(cloud, STAGE)
        console.print(f"{time.monotonic() - began:5.0f} s  the platform is deployed at {cloud.endpoint}")
        found = run(sample, cloud, console, time.monotonic() - began)
        if not asked.once:
            serve(cloud, sample, console)
        return 1 if found["troubles"] else 0
    except (ValueError, LocalCloudError, Refused, TooLate, TimeoutError) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        if started:
            cloud.stop()


def run(sample: Sample, cloud: LocalCloud, console: Console, deployed: float) -> dict[str, Any]:
    """Load, play, play alone, write the figures and print them."""
    deployment, journal = Deployment.on(cloud), Journal(cloud.home / "calls.jsonl")
    watch = Stopwatch()
    say = _sayer(console, watch)
    cast = sign_in_all(sample, deployment)
    load(sample, cast, journal, say)
    watch.split("load")
    provider, carrier = Provider(cast.anonymous, cast.operator.sandbox_secret()), Carrier(deployment)
    memory = cast.operator.function_memory()
    board = Board(list(sample.orders))
    cancelled = frozenset(one.order for one in sample.whole_cancellations)
    start = journal.end
    with Display(board, console) as display:
        Play(board, cast, provider, carrier, cancelled).run(display.watch)
    whole = read(journal.lines(start, journal.end), memory)
    watch.split("play")
    look_back(board)
    alone = play_alone(sample, cast, provider, carrier, journal, memory, say)
    watch.split("play_alone")
    say("auditing the tables")
    findings = unbalanced(deployment, within=45)
    watch.split("audit")
    found = figures.report(sample, board, alone, whole, findings, {"deploy": deployed, **watch.seconds})
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    show(found, console)
    console.print(f"written to {WRITTEN.relative_to(ROOT)}")
    return found


def serve(cloud: LocalCloud, sample: Sample, console: Console) -> None:
    """Say how to try the platform out, and wait for Ctrl-C."""
    deployment = Deployment.on(cloud)
    customer = next(one for one in sample.customers if one.country == "GB").contact.email
    token = Operator(deployment).sign_in(customer, SAMPLE_PASSWORD)
    api = deployment.api
    console.print(f"\n[bold]The API[/]        {api}")
    console.print(f"[bold]Its reference[/]  {api}/reference   (OpenAPI: {api}/openapi.json)")
    console.print(f"[bold]Sign-ins[/]       password of all: {SAMPLE_PASSWORD}")
    for mail, groups in {customer: ("customer",), **staff(sample)}.items():
        console.print(f"                {mail}  ({', '.join(groups)})")
    print(f"\nTry it (the token holds for an hour):\n\ncurl -H 'Authorization: Bearer {token}' {api}/orders\n")
    console.print("Serving; Ctrl-C stops it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("stopping")


class Stopwatch:
    """Takes the seconds of one part after another."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def split(self, part: str) -> None:
        """Note what ``part``, which ends now, took."""
        now = time.monotonic()
        self.seconds[part], self._last = now - self._last, now


def _sayer(console: Console, watch: Stopwatch) -> Callable[[str], None]:
    return lambda text: console.print(f"{watch.elapsed:5.0f} s  {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
