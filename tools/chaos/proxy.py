"""The proxy between the function processes and the local cloud: it hands calls on, and misbehaves when it is told to.

Who calls is in the SDK's user agent (``app/<function>``, as `tools.localcloud.recorder` reads it). Errors have the form
that each service's protocol gives them: JSON with ``__type``, and for SES v2 (REST) the header ``x-amzn-errortype``.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_DELAY = (0.2, 1.5)
"""Seconds by which a call is delayed."""

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"})
"""Headers that belong to one connection (RFC 9110, 7.6.1)."""


class Fault(StrEnum):
    """How a call is mistreated."""

    THROTTLE = "throttle"
    """Refused as too much; not made."""
    ERROR = "error"
    """Answered with 500; not made."""
    DELAY = "delay"
    """Made late."""
    DROP = "drop"
    """Made, and its answer dropped with the connection."""
    KILL_BEFORE = "kill-before"
    """Not made: the process that asked for it is killed."""
    KILL_AFTER = "kill-after"
    """Made; then the process is killed."""


SHARES: Mapping[Fault, float] = {
    Fault.THROTTLE: 0.035,
    Fault.ERROR: 0.025,
    Fault.DELAY: 0.02,
    Fault.DROP: 0.014,
    Fault.KILL_BEFORE: 0.003,
    Fault.KILL_AFTER: 0.003,
}
"""Share of the calls that each fault befalls: ten in a hundred in all."""


@dataclass(frozen=True)
class Struck:
    """A fault that befell a call.

    Attributes
    ----------
    at
        Seconds since 1970.
    """

    at: float
    fault: str
    function: str
    action: str


@dataclass
class Plan:
    """What the proxy does to calls; changed while it runs.

    Attributes
    ----------
    shares
        Fault -> share of calls; empty for none.
    down
        Services that answer nothing but 503, as ``sesv2``.
    """

    seed: int = 0
    shares: Mapping[Fault, float] = field(default_factory=dict)
    down: frozenset[str] = frozenset()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A process that was killed leaves its connections as it stood; any other error is one of the proxy's own.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Proxy:
    """Listens on a free port of 127.0.0.1.

    Parameters
    ----------
    kill
        Ends the process that holds a connection, by the port of its side; returns whether it did.
    """

    def __init__(self, kill: Callable[[int], bool] | None = None) -> None:
        self.plan = Plan()
        self.calls: Counter[str] = Counter()
        """Function -> calls made of the proxy, each attempt one."""
        self.struck: list[Struck] = []
        self._kill = kill or kill_owner
        self._upstream = ("127.0.0.1", 0)
        self._guard = threading.Lock()
        self._dice = random.Random(0)  # noqa: S311 - faults want to be repeated, not to be secret
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where functions are to send their calls."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Listen for as long as the block lasts."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def lead_to(self, endpoint: str) -> None:
        """Say where the local cloud is; before, every call is answered with 503."""
        parts = urlsplit(endpoint)
        self._upstream = (str(parts.hostname), int(parts.port or 80))

    def misbehave(self, plan: Plan) -> None:
        """Follow another plan from now on."""
        with self._guard:
            self.plan, self._dice = plan, random.Random(plan.seed)  # noqa: S311 - see above

    def _draw(self, function: str, service: str, action: str) -> str:
        with self._guard:
            self.calls[function] += 1
            if service in self.plan.down:
                fault = "down"
            else:
                drawn, fault = self._dice.random(), ""
                for one, share in self.plan.shares.items():
                    if drawn < share:
                        fault = one.value
                        break
                    drawn -= share
            if fault:
                self.struck.append(Struck(time.time(), fault, function, action))
            return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 - names that the base class asks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler

    def serve(self, call: BaseHTTPRequestHandler) -> None:
        """Hand one call on, or mistreat it."""
        body = call.rfile.read(int(call.headers.get("content-length") or 0))
        function, service, action = _about(call)
        fault = self._draw(function, service, action)
        peer = call.client_address[1]
        if fault == Fault.KILL_BEFORE and self._kill(peer):
            call.close_connection = True
            return
        if fault == Fault.THROTTLE:
            _refuse(call, service, 429 if service == "sesv2" else 400, _THROTTLED.get(service, "ThrottlingException"))
            return
        if fault in (Fault.ERROR, "down"):
            _refuse(call, service, 500 if fault == Fault.ERROR else 503, "InternalServerError")
            return
        if fault == Fault.DELAY:
            with self._guard:
                pause = self._dice.uniform(*_DELAY)
            time.sleep(pause)
        try:
            answer, content = self._hand_on(call, body)
        except OSError:
            call.close_connection = True
            return
        if fault == Fault.KILL_AFTER:
            self._kill(peer)
        if fault in (Fault.DROP, Fault.KILL_AFTER):
            call.close_connection = True
            with suppress(OSError):
                call.connection.shutdown(socket.SHUT_RDWR)
            return
        call.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP and name.lower() != "content-length":
                call.send_header(name, value)
        call.send_header("Content-Length", str(len(content)))
        call.end_headers()
        with suppress(OSError):
            call.wfile.write(content)

    def _hand_on(self, call: BaseHTTPRequestHandler, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            sent = {name: value for name, value in call.headers.items() if name.lower() not in _HOP}
            connection.request(call.command, call.path, body, sent)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


_THROTTLED = {"dynamodb": "ProvisionedThroughputExceededException", "sesv2": "TooManyRequestsException"}


def _about(call: BaseHTTPRequestHandler) -> tuple[str, str, str]:
    """Return function, service and action of a call."""
    agent = call.headers.get("user-agent", "")
    function = next((word[4:] for word in agent.split() if word.startswith("app/")), "")
    signed = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", call.headers.get("authorization", ""))
    service = {"ses": "sesv2"}.get(signed[1], signed[1]) if signed else ""
    return function, service, call.headers.get("x-amz-target", call.path).rpartition(".")[2]


def _refuse(call: BaseHTTPRequestHandler, service: str, status: int, code: str) -> None:
    content = json.dumps({"__type": code, "message": "by the chaos proxy"}).encode()
    call.send_response(status)
    call.send_header("Content-Type", "application/json" if service == "sesv2" else "application/x-amz-json-1.0")
    call.send_header("x-amzn-errortype", code)
    call.send_header("Content-Length", str(len(content)))
    call.end_headers()
    with suppress(OSError):
        call.wfile.write(content)


def kill_owner(port: int) -> bool:
    """End the process whose socket has the local ``port``, unless it is this one; return whether it was found.

    The kernel's own tables say who that is (proc(5): ``/proc/net/tcp``, ``/proc/<pid>/fd``), so that it is a process
    that has just called this proxy and no other.
    """
    inode = ""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01":
            inode = fields[9]
    if not inode:
        return False
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) == f"socket:[{inode}]":
                        os.kill(int(process.name), signal.SIGKILL)
                        return True
    return False
