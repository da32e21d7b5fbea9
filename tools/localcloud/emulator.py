"""Start the emulator, mended and recorded; run by its own interpreter (``.venv-cloud``), never imported.

Environment, set by ``tools.localcloud.server``:

``LOCALCLOUD_HOME``
    The folder of this cloud. The process holds a lock on ``<home>/lock`` for as long as it lives.
``LOCALCLOUD_MINUTE``
    How many seconds a minute of a schedule's ``rate(...)`` lasts here.
``LOCALCLOUD_ENVIRONMENTS``
    How many execution environments (processes) a function may have; a call beyond waits.
``LOCALCLOUD_TWICE``
    Share of events and of queues' batches that are delivered twice.
``AWS_ENDPOINT_URL``
    Where functions send their AWS calls, if not to the emulator itself.
``LOCALCLOUD_WITHOUT``
    Names of mends to leave out, separated by commas: for the tests that show each is needed.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import threading
from pathlib import Path
from typing import Any

from tools.localcloud import mends, message_moves
from tools.localcloud.recorder import Journal, Recorder
from tools.localcloud.rights import Rights
from tools.localcloud.streams import StreamPoller
from tools.localcloud.twice import Twice

SCHEDULER_TICK_SECONDS = 1


def hold(lock: Path) -> int:
    """Lock the file for the life of this process and write the process's id into it.

    Raises
    ------
    BlockingIOError
        Another emulator has this home.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def shorten_schedules(minute: float) -> None:
    """Let ``rate(1 minute)`` fire every ``minute`` seconds: the windows of the local stage are seconds, too."""
    events: Any = importlib.import_module("ministack.services.eventbridge")
    parse = events._parse_rate_seconds

    def shortened(expression: str) -> float | None:
        seconds = parse(expression)
        return None if seconds is None else seconds * minute / 60

    events._parse_rate_seconds = shortened
    events._SCHEDULER_TICK_INTERVAL = SCHEDULER_TICK_SECONDS


def limit_environments(at_most: int) -> None:
    """Let a call beyond ``at_most`` parallel ones of a function wait.

    AWS would start another environment; here a burst of a hundred executions would start a hundred processes of 50 MB
    on a handful of cores.
    """
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    execute = functions._execute_function_warm
    gates: dict[str, threading.Semaphore] = {}
    guard = threading.Lock()

    def gated(func: dict[str, Any], event: Any, request_id: str) -> Any:
        name = (func.get("config") or func).get("FunctionArn", "")
        with guard:
            gate = gates.setdefault(name, threading.Semaphore(at_most))
        with gate:
            return execute(func, event, request_id)

    functions._execute_function_warm = gated


def main() -> None:
    home = Path(os.environ["LOCALCLOUD_HOME"])
    lock = hold(home / "lock")
    without = set(filter(None, os.environ.get("LOCALCLOUD_WITHOUT", "").split(",")))
    for mend in mends.MENDS:
        if mend.name not in without:
            mends.apply(mend)
    if "streams" not in without:
        StreamPoller().install()
    if "message_moves" not in without:
        message_moves.install()
    limit_environments(int(os.environ["LOCALCLOUD_ENVIRONMENTS"]))
    shorten_schedules(float(os.environ["LOCALCLOUD_MINUTE"]))
    share = float(os.environ.get("LOCALCLOUD_TWICE") or 0)
    if share:
        Twice(share, seed=1).install()
    journal = Journal(home / "calls.jsonl")
    Recorder(journal).install()
    if os.environ.get("AUTH") == "true":
        Rights(journal).install()
    app: Any = importlib.import_module("ministack.app")
    try:
        app.main()
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
