"""``python -m tools.release deploy|destroy <stage>``: a stage of the platform on AWS, with this shell's credentials."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.build import BuildError, stage_all

ROOT = Path(__file__).resolve().parents[1]
LOCAL_STAGES = ("local", "test", "drill")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("deploy", "destroy"):
        print("usage: python -m tools.release deploy|destroy <stage>", file=sys.stderr)
        return 2
    command, stage = arguments
    if stage in LOCAL_STAGES:
        print(
            f"{command}: the stage {stage} is the local cloud's (make up); name one on AWS: STAGE=dev", file=sys.stderr
        )
        return 2
    if "AWS_ENDPOINT_URL" in os.environ:
        print(f"{command}: AWS_ENDPOINT_URL is set, so this would not reach AWS", file=sys.stderr)
        return 2
    try:
        # First, because it refuses without the Python that Lambda runs.
        stage_all("lambda")
    except BuildError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    cdk = [str(ROOT / "node_modules" / ".bin" / "cdk"), command, "--all", "--context", f"stage={stage}"]
    return subprocess.run(cdk, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
