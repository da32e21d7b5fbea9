"""Start and stop the emulator of one checkout, in one folder, on one free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = ROOT / ".venv-cloud" / "bin" / "python"
DEFAULT_HOME = ".localcloud"
ACCOUNT = "000000000000"
REGION = "eu-west-1"

START_SECONDS = 60.0
STOP_SECONDS = 10.0
PORTS_TRIED = 5


class LocalCloudError(Exception):
    """The local cloud cannot be started or reached; the message says what to do."""


@dataclass(frozen=True)
class LocalCloud:
    """The emulator of a checkout.

    Parameters
    ----------
    home
        Its folder: state, journal (``calls.jsonl``), log (``emulator.log``), outputs of the deployment
        (``outputs.json``). Two homes are two clouds.
    region
        The AWS region it plays.
    minute
        Seconds that a minute of a schedule lasts.
    environments
        Parallel execution environments a function may have.
    enforced
        Whether IAM policies are enforced: every function has the rights of its own role and no more.
    twice
        Share of events and of queues' batches that are delivered twice.
    functions_endpoint
        Where functions send their AWS calls: a proxy before the emulator; empty for the emulator itself.
    without
        Mends to leave out.
    """

    home: Path
    region: str = REGION
    minute: float = 5.0
    environments: int = max(2, os.cpu_count() or 2)
    enforced: bool = False
    twice: float = 0.0
    functions_endpoint: str = ""
    without: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        """Where the running emulator answers.

        Raises
        ------
        LocalCloudError
            It is not running.
        """
        if self.pid() is None:
            message = f"the local cloud in {self.home} is not running: make up"
            raise LocalCloudError(message)
        port = json.loads((self.home / "cloud.json").read_text(encoding="utf-8"))["port"]
        return f"http://127.0.0.1:{port}"

    @property
    def access_key_id(self) -> str:
        """A key id of this home's own, because the CDK remembers the account of a key id."""
        return "LOCAL" + hashlib.sha256(str(self.home).encode()).hexdigest()[:15].upper()

    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to speak to this cloud and to no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DEFAULT_ACCOUNT": ACCOUNT,
            "CDK_DEFAULT_REGION": self.region,
            # What a shell has from another account must not mix with the above.
            "AWS_SESSION_TOKEN": "",
        }

    def pid(self) -> int | None:
        """The emulator's process, or None. It holds a lock while it lives, so a reused id is never taken for it."""
        try:
            descriptor = os.open(self.home / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            written = os.read(descriptor, 32)
            return int(written) if written else None
        finally:
            os.close(descriptor)
        return None

    def start(self) -> bool:
        """Start the emulator and wait until it answers. Returns False when it was running already.

        Raises
        ------
        LocalCloudError
            It did not come up; the message holds the end of its log.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.pid() is not None:
                return False
            if not INTERPRETER.exists():
                message = ".venv-cloud is missing: make setup"
                raise LocalCloudError(message)
            self._forget()
            for _ in range(PORTS_TRIED):
                if self._launch(_free_port()):
                    return True
        message = f"the emulator did not start; the end of {self.home / 'emulator.log'}:\n{self._log_tail()}"
        raise LocalCloudError(message)

    def stop(self) -> bool:
        """End the emulator and its function processes, and nothing else. Returns False when it was not running."""
        with self._alone() if self.home.exists() else contextlib.nullcontext():
            pid = self.pid()
            if pid is None:
                return False
            # The emulator leads a process group of its own (start_new_session); its function processes are in it.
            for signal_number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal_number)
                if _until(lambda: self.pid() is None, STOP_SECONDS):
                    break
            # What outlived its leader is still of this group, and an id is not reused while its group has members.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            shutil.rmtree(self.home / "tmp", ignore_errors=True)
            return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One start or stop of this home at a time."""
        with (self.home / "start.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _forget(self) -> None:
        """A new emulator is an empty account: what an earlier one left is taken away."""
        for folder in ("state", "s3", "tmp"):
            shutil.rmtree(self.home / folder, ignore_errors=True)
        for name in ("outputs.json", "deployed", "cloud.json", "calls.jsonl"):
            (self.home / name).unlink(missing_ok=True)
        (self.home / "tmp").mkdir()

    def _launch(self, port: int) -> bool:
        # A clean environment: the functions inherit the emulator's, and must not see this shell's.
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",  # a function's folder is read-only on AWS
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": self.region,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
            "LOG_LEVEL": os.environ.get("LOCALCLOUD_LOG_LEVEL", "WARNING"),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": self.region,
            "S3_DATA_DIR": str(self.home / "s3"),
            "STATE_DIR": str(self.home / "state"),
            "LOCALCLOUD_HOME": str(self.home),
            "LOCALCLOUD_MINUTE": str(self.minute),
            "LOCALCLOUD_ENVIRONMENTS": str(self.environments),
            "LOCALCLOUD_WITHOUT": ",".join(self.without),
            "LOCALCLOUD_TWICE": str(self.twice),
        }
        if self.enforced:
            # Whoever has this home's own key is the account's root; functions have their roles' keys.
            environment |= {"AUTH": "true", "AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": "local"}
        if self.functions_endpoint:
            environment["AWS_ENDPOINT_URL"] = self.functions_endpoint
        with (self.home / "emulator.log").open("wb") as log:
            process = subprocess.Popen(
                [str(INTERPRETER), "-m", "tools.localcloud.emulator"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        described = {"port": port, "pid": process.pid, "started": time.time()}
        (self.home / "cloud.json").write_text(json.dumps(described), encoding="utf-8")
        _until(lambda: process.poll() is not None or _healthy(port), START_SECONDS)
        if process.poll() is None and _healthy(port):
            return True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False

    def _log_tail(self, lines: int = 20) -> str:
        text = (self.home / "emulator.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _until(happens: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; returns whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happens():
            return True
        time.sleep(0.05)
    return False
