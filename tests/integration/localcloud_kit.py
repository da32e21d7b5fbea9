"""What the tests of the local cloud share: clients, small functions, waiting."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from tools.localcloud.server import LocalCloud

T = TypeVar("T")

ROLE = "arn:aws:iam::000000000000:role/test"


def client(cloud: LocalCloud, service: str) -> Any:
    """A client of one service of this cloud."""
    environment = cloud.environment()
    return boto3.client(
        service,  # type: ignore[call-overload] # the name is a variable here
        endpoint_url=cloud.endpoint,
        region_name=cloud.region,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )


def archive(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return content.getvalue()


def function(cloud: LocalCloud, name: str, code: str, role: str = ROLE, **settings: Any) -> str:
    """A function whose module ``index`` has ``handler``; returns its ARN."""
    made = client(cloud, "lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive({"index.py": code})},
        Timeout=10,
        **settings,
    )
    return str(made["FunctionArn"])


def invoke(cloud: LocalCloud, name: str, event: object = None) -> Any:
    answer = client(cloud, "lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}).encode())
    return json.loads(answer["Payload"].read())


def execution(cloud: LocalCloud, name: str, states: dict[str, Any], role: str = ROLE) -> str:
    """Start a machine that begins with the first of ``states``; returns the execution's ARN."""
    machines = client(cloud, "stepfunctions")
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    made = machines.create_state_machine(name=name, roleArn=role, definition=json.dumps(definition))
    return str(machines.start_execution(stateMachineArn=made["stateMachineArn"], name=name)["executionArn"])


def until(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """Ask until the answer is true; returns the last answer, whatever it is."""
    end = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def ended(cloud: LocalCloud, arn: str, seconds: float = 10.0) -> dict[str, Any]:
    """The execution once it is over, or as it is after ``seconds``."""
    machines = client(cloud, "stepfunctions")
    until(lambda: machines.describe_execution(executionArn=arn)["status"] != "RUNNING", seconds)
    described: dict[str, Any] = machines.describe_execution(executionArn=arn)
    return described


def queue(cloud: LocalCloud, name: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    queues = client(cloud, "sqs")
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def taken(cloud: LocalCloud, url: str) -> list[Any]:
    """The messages in a queue, taken from it."""
    queues = client(cloud, "sqs")
    messages = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def journal(cloud: LocalCloud, **like: object) -> list[dict[str, Any]]:
    """The recorder's lines that have these values."""
    lines = [json.loads(line) for line in (cloud.home / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if like.items() <= line.items()]
