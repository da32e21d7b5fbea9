"""``python -m tools.release deploy|destroy|rotate <stage>``: a stage on AWS, with this shell's credentials.

``rotate`` makes a new value of the secret header between CloudFront and the API. The API takes it and the one before,
then CloudFront sends it: nothing is refused meanwhile. After a leak: twice, so that the leaked value is neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from infra.settings import STAGES
from tools import entry
from tools.build import BuildError, stage_all

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("deploy", "destroy", "rotate")
LOCAL_STAGES = ("local", "test", "drill")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        print(f"usage: python -m tools.release {'|'.join(COMMANDS)} <stage>", file=sys.stderr)
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
    behind_entry = stage in STAGES and STAGES[stage].entry is not None
    if command == "rotate" and not behind_entry:
        print(f"rotate: the stage {stage} has no entry", file=sys.stderr)
        return 2
    try:
        # First, because it refuses without the Python that Lambda runs.
        stage_all("lambda")
    except BuildError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    match command:
        case "deploy":
            return deploy(stage, behind_entry=behind_entry)
        case "rotate":
            return rotate(stage)
    return destroy(stage, behind_entry=behind_entry)


def deploy(stage: str, *, behind_entry: bool) -> int:
    """Deploy every stack; the firewall first, because its ARN has to be carried to the stage's own region."""
    if behind_entry:
        outputs = ROOT / "build" / f"firewall-{stage}.json"
        outputs.parent.mkdir(exist_ok=True)
        firewall = f"commerce-{stage}-firewall"
        status = _cdk("deploy", stage, firewall, "--exclusively", "--outputs-file", str(outputs))
        if status:
            return status
        arn = json.loads(outputs.read_text(encoding="utf-8"))[firewall]["FirewallArn"]
        entry.carry(_client("ssm"), stage, arn)
        entry.publish(_client("secretsmanager"), _client("ssm"), stage)
    return _cdk("deploy", stage, "--all")


def rotate(stage: str) -> int:
    """Make a new value of the origin header and have it let in, then sent."""
    stacks = _client("cloudformation").describe_stacks(StackName=f"commerce-{stage}-entry")["Stacks"]
    [sent] = [one["OutputValue"] for one in stacks[0]["Outputs"] if one["OutputKey"] == "OriginVersion"]
    if not entry.rotate(_client("secretsmanager"), stage, sent):
        print("rotate: the value before is not sent yet; only deploying")
    entry.publish(_client("secretsmanager"), _client("ssm"), stage)
    # In this order: the stacks say so, and each waits for the one before.
    return _cdk("deploy", stage, f"commerce-{stage}-edge", "--exclusively") or _cdk(
        "deploy", stage, f"commerce-{stage}-entry", "--exclusively"
    )


def destroy(stage: str, *, behind_entry: bool) -> int:
    """Take every stack away, and what was published for them."""
    status = _cdk("destroy", stage, "--all")
    if status == 0 and behind_entry:
        entry.forget(_client("secretsmanager"), _client("ssm"), stage)
    return status


def _cdk(command: str, stage: str, *arguments: str) -> int:
    cdk = [str(ROOT / "node_modules" / ".bin" / "cdk"), command, *arguments, "--context", f"stage={stage}"]
    return subprocess.run(cdk, cwd=ROOT, check=False).returncode


def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
