"""Reads the local cloud's journal (``calls.jsonl``) and adds up what AWS would bill.

The line kinds are described in ``docs/operations/local-cloud.md``.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]

CLIENT = "client"
"""Who makes calls that are no function's: the player in the part of an operator or a carrier."""


ACCESS_LOG_BYTES = 300
"""What the API's log takes in of a request (`infra.stacks.edge`), CloudWatch's own 26 bytes included."""

EXPRESS_STEP_MS = 100
EXPRESS_GB = 64 / 1024
"""An Express workflow is billed by tenths of a second and 64 MB; one that hands on small texts has one share."""

SWEEP = "-sweep"
"""How the names of the functions end that a schedule starts."""


@dataclass
class Tally:
    """What AWS would bill for some lines of the journal.

    Attributes
    ----------
    state_transitions
        Of standard workflows.
    express_starts, express_gb_seconds
        Of Express workflows, their run time as measured on this machine.
    lambda_gb_seconds
        Run time as measured on this machine, cold starts included, times the functions' memory.
    events
        Entries put on a bus, by functions and by carriers.
    queue_requests
        One send for each rule's delivery, a receive and a delete for each batch that a function is given, and the
        functions' own requests. Empty receives of idle pollers are not orders' and not counted.
    log_bytes
        That CloudWatch Logs takes in of functions and of the API.
    traces
        That are recorded at most: one an execution, whose tasks are in it. X-Ray records the first each second and 5 %
        of the others.
    bytes_out
        Of the API's answers, which leave AWS.
    """

    state_transitions: float = 0
    express_starts: float = 0
    express_gb_seconds: float = 0
    write_units: float = 0
    read_units: float = 0
    lambda_invocations: float = 0
    lambda_gb_seconds: float = 0
    api_requests: float = 0
    events: float = 0
    queue_requests: float = 0
    kms_requests: float = 0
    mails: float = 0
    secret_reads: float = 0
    log_bytes: float = 0
    traces: float = 0
    bytes_out: float = 0

    def amounts(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)

    def each(self, orders: int) -> Tally:
        """Return the mean of ``orders`` orders."""
        return Tally(**{one.name: getattr(self, one.name) / orders for one in fields(self)})


@dataclass
class Reading:
    """Some lines of the journal, added up.

    Attributes
    ----------
    caused
        By the orders and those who play their parts.
    scheduled
        By functions that a schedule started; they run whether there are orders or not.
    calls
        Service -> calls to it, by functions and the player.
    by_function
        Function -> invocations.
    """

    caused: Tally = field(default_factory=Tally)
    scheduled: Tally = field(default_factory=Tally)
    calls: Counter[str] = field(default_factory=Counter)
    by_function: Counter[str] = field(default_factory=Counter)


def read(lines: Iterable[Line], memory: Mapping[str, int]) -> Reading:
    """Add up ``lines``.

    Parameters
    ----------
    memory
        Function name -> MB.
    """
    reading = Reading()
    for line in lines:
        tally = reading.scheduled if is_scheduled(line) else reading.caused
        match line["kind"]:
            case "invoke":
                tally.lambda_invocations += 1
                tally.lambda_gb_seconds += line["ms"] / 1000 * memory.get(line["function"], 0) / 1024
                tally.log_bytes += line["log"]
                reading.by_function[line["function"]] += 1
            case "transition":
                _transition(tally, line)
            case "request":
                tally.api_requests += 1
                tally.bytes_out += line["out"]
                tally.log_bytes += ACCESS_LOG_BYTES
            case "queue":
                tally.queue_requests += line["requests"]
            case "call":
                reading.calls[line["service"]] += 1
                _call(tally, line)
    return reading


def _transition(tally: Tally, line: Line) -> None:
    tally.traces += line["of"] == "start"
    match line["type"], line["of"]:
        case "EXPRESS", "start":
            tally.express_starts += 1
        case "EXPRESS", "end":
            tally.express_gb_seconds += math.ceil(line["ms"] / EXPRESS_STEP_MS) * EXPRESS_STEP_MS / 1000 * EXPRESS_GB
        case "STANDARD", "start" | "state" | "retry":
            tally.state_transitions += 1


def _call(tally: Tally, line: Line) -> None:
    for units in line.get("tables", {}).values():
        tally.read_units += units["read"]
        tally.write_units += units["write"]
    service, action = line["service"], line["action"]
    if service == "events" and action == "PutEvents":
        tally.events += line.get("entries", 1)
    elif line["by"] == CLIENT:
        return  # an operator's look at a queue or a key costs no order anything
    elif service == "sqs":
        tally.queue_requests += 1
    elif service == "kms":
        tally.kms_requests += 1
    elif service == "ses" and action == "SendEmail":
        tally.mails += 1
    elif service == "secretsmanager":
        tally.secret_reads += 1


class Journal:
    """The journal of a running cloud."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def end(self) -> int:
        """Where the next line will be."""
        return self._path.stat().st_size

    def lines(self, start: int, end: int | None = None) -> Iterator[Line]:
        """Yield the complete lines from byte ``start`` up to ``end``."""
        with self._path.open("rb") as file:
            file.seek(start)
            data = file.read(-1 if end is None else end - start)
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            yield json.loads(line)

    def settle(self, start: int, quiet: float = 0.5, within: float = 60, ran: Iterable[str] = ()) -> None:
        """Wait until something but schedules has happened since ``start`` and nothing more happens.

        A function that is still running writes its line when it ends, so ``quiet`` must be longer than the longest
        silence within a chain of work, the start of an execution or of a function's process; or the functions that
        end the chain are named in ``ran``, and have then run.

        Raises
        ------
        TimeoutError
            It never was quiet for ``quiet`` seconds.
        """
        deadline = time.monotonic() + within
        at, last, woken, missing = start, time.monotonic(), False, set(ran)
        while time.monotonic() < deadline:
            end = self.end
            new = [line for line in self.lines(at, end) if not is_scheduled(line)]
            missing -= {line["function"].split("-", 2)[-1] for line in new if line["kind"] == "invoke"}
            if new:
                last, woken = time.monotonic(), True
            at = end
            if woken and not missing and time.monotonic() - last >= quiet:
                return
            time.sleep(quiet / 10)
        waits = f", and {sorted(missing)} have not run" if missing else ""
        raise TimeoutError(f"the cloud was not quiet for {quiet} s within {within} s{waits}")


def is_scheduled(line: Line) -> bool:
    """Whether a line is of a function that a schedule starts, or of the schedule; these functions are sweeps."""
    name = line.get("function") or line.get("by") or ""
    return name.endswith(SWEEP) or line.get("source") == "aws.events"
