"""``python -m tools.localcloud up|down|status|env|during``: see ``docs/operations/local-cloud.md``."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.localcloud.deploy import deploy, environment
from tools.localcloud.server import DEFAULT_HOME, ROOT, LocalCloud, LocalCloudError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.localcloud", description="A cloud on one's own machine.")
    parser.add_argument("command", choices=["up", "down", "status", "env", "during"])
    parser.add_argument("--home", type=Path, default=Path(DEFAULT_HOME), help="folder of this cloud in the checkout")
    parser.add_argument("--stage", default="local", help="whose settings are deployed")
    parser.add_argument("--enforced", action="store_true", help="IAM policies are enforced")
    parser.epilog = "during takes a command after --, runs it on a cloud of its own and stops that afterwards"
    end = arguments.index("--") if "--" in arguments else len(arguments)
    asked, wanted = parser.parse_args(arguments[:end]), arguments[end + 1 :]
    cloud = LocalCloud(ROOT / asked.home, enforced=asked.enforced)
    try:
        match asked.command:
            case "up":
                up(cloud, asked.stage)
            case "down":
                print("stopped" if cloud.stop() else "not running")
            case "status":
                return status(cloud)
            case "env":
                for name, value in cloud.environment().items():
                    print(f"export {name}={shlex.quote(value)}")
            case "during":
                return during(cloud, asked.stage, wanted)
    except LocalCloudError as error:
        print(f"local cloud: {error}", file=sys.stderr)
        return 1
    return 0


def up(cloud: LocalCloud, stage: str) -> None:
    """Start and deploy, whatever of it is not done yet."""
    begun = time.monotonic()
    started = cloud.start()
    print(
        f"local cloud: {'started' if started else 'running'} at {cloud.endpoint}, log {_short(cloud, 'emulator.log')}"
    )
    changed = deploy(cloud, stage)
    took = time.monotonic() - begun
    print(
        f"local cloud: {'deployed' if changed else 'nothing to deploy'} ({took:.0f} s), {_short(cloud, 'outputs.json')}"
    )


def during(cloud: LocalCloud, stage: str, command: list[str]) -> int:
    """Run a command while a cloud of its own is up, and stop the cloud whatever happens."""
    if not command:
        print("local cloud: during needs a command", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cloud.stop()
    try:
        up(cloud, stage)
        there = {**environment(cloud), "LOCALCLOUD_HOME": str(cloud.home), "LOCALCLOUD_STAGE": stage}
        return subprocess.run(command, cwd=ROOT, env=there, check=False).returncode
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        cloud.stop()


def status(cloud: LocalCloud) -> int:
    """Say whether it runs; the exit status is 0 when it does, as of systemctl."""
    pid = cloud.pid()
    if pid is None:
        print("not running")
        return 3
    print(
        f"running at {cloud.endpoint}, process {pid}, {'deployed' if (cloud.home / 'deployed').exists() else 'empty'}"
    )
    return 0


def _short(cloud: LocalCloud, name: str) -> str:
    return os.path.relpath(cloud.home / name, ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
