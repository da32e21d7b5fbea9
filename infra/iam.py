"""The statements of function roles: which actions on which of the platform's resources, never more."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from infra.names import Names


def allow(actions: Sequence[str], resources: Sequence[str]) -> iam.PolicyStatement:
    """Return a statement that allows ``actions`` on ``resources``."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources))


def on_table(names: Names, context: str, *operations: str) -> iam.PolicyStatement:
    """Allow DynamoDB ``operations`` (``GetItem``; transactions consist of them) on the table of ``context``."""
    return allow([f"dynamodb:{one}" for one in operations], [names.table_arn(context)])


def on_index(names: Names, context: str, index: str) -> iam.PolicyStatement:
    """Allow queries of one index of the table of ``context``."""
    return allow(["dynamodb:Query"], [f"{names.table_arn(context)}/index/{index}"])


def on_key(arn: str, *operations: str) -> iam.PolicyStatement:
    """Allow KMS ``operations`` on the key ``arn``."""
    return allow([f"kms:{one}" for one in operations], [arn])


def on_machine(names: Names, machine: str, *operations: str) -> iam.PolicyStatement:
    """Allow Step Functions ``operations`` on a state machine; its task tokens go by the machine's ARN too."""
    return allow([f"states:{one}" for one in operations], [names.machine_arn(machine)])


def put_events(names: Names, bus: str) -> iam.PolicyStatement:
    """Allow putting events on ``bus``."""
    return allow(["events:PutEvents"], [names.bus_arn(bus)])


def consume(queue_arn: str) -> iam.PolicyStatement:
    """Allow what an event source mapping does with its queue."""
    return allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [queue_arn])


def send(queue_arn: str) -> iam.PolicyStatement:
    """Allow sending to a queue."""
    return allow(["sqs:SendMessage"], [queue_arn])


def read_stream(stream_arn: str) -> iam.PolicyStatement:
    """Allow what an event source mapping does with a table's stream."""
    return allow(
        ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"],
        [stream_arn],
    )


TRACING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
"""X-Ray's actions know no resource: they are allowed on ``*``."""
