"""IAM on the local cloud: the mends it needs, and what the emulator's services do for somebody only if he may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration import localcloud_kit as kit
from tools.localcloud.server import ACCOUNT, REGION, LocalCloud

pytestmark = pytest.mark.integration

MENDS = ("task_token_right", "message_move_right", "mail_right", "loopback_is_private", "secret_by_arn")

ASKING = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    try:
        getattr(boto3.client(event["service"]), event["method"])(**event["arguments"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
"""

ANSWERING = """
import boto3

def handler(event, context):
    boto3.client("stepfunctions").send_task_success(taskToken=event["token"], output="{}")
"""

SILENT = "def handler(event, context):\n    return {'statusCode': 204}\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    made = LocalCloud(tmp_path_factory.mktemp("enforced"), enforced=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def unmended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The emulator as it is."""
    made = LocalCloud(tmp_path_factory.mktemp("unmended"), enforced=True, without=MENDS)
    made.start()
    yield made
    made.stop()


def role(cloud: LocalCloud, name: str, **rights: str) -> str:
    """Make a role that may do each action (``service__Action``) on its resource; return its ARN."""
    iam = kit.client(cloud, "iam")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "*"}, "Action": "sts:AssumeRole"}]}
    made: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    statements = [
        {"Effect": "Allow", "Action": action.replace("__", ":"), "Resource": on} for action, on in rights.items()
    ]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    return made


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def asked(cloud: LocalCloud, name: str, service: str, method: str, arguments: dict[str, Any], **rights: str) -> str:
    """What a function is told that has these rights and calls this."""
    kit.function(cloud, name, ASKING, role(cloud, f"{name}-role", **rights))
    told: str = kit.invoke(cloud, name, {"service": service, "method": method, "arguments": arguments})
    return told


# ---- mends ---------------------------------------------------------------------------------------------------------


def mailed(cloud: LocalCloud) -> str:
    kit.client(cloud, "sesv2").create_email_identity(EmailIdentity="shop@example.com")
    mail = {
        "FromEmailAddress": "The Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["ada@example.com"]},
        "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Ada"}}}},
    }
    may = {"ses__SendEmail": arn("ses", "identity/shop@example.com")}
    return asked(cloud, "mailing", "sesv2", "send_email", mail, **may)


def test_mail_is_sent_by_who_may_use_the_senders_identity(cloud: LocalCloud) -> None:
    assert mailed(cloud) == "done"


def test_without_the_mend_mail_is_decided_on_everything(unmended: LocalCloud) -> None:
    assert mailed(unmended).startswith("AccessDenied")


def counted(cloud: LocalCloud) -> str:
    url, queue = kit.queue(cloud, "tight")
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [only_tls]})
    kit.client(cloud, "sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    arguments = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    return asked(cloud, "counting", "sqs", "get_queue_attributes", arguments, sqs__GetQueueAttributes=queue)


def test_the_loopback_counts_as_private(cloud: LocalCloud) -> None:
    assert counted(cloud) == "done"


def test_without_the_mend_a_queue_that_wants_tls_is_closed(unmended: LocalCloud) -> None:
    assert counted(unmended) == "AccessDenied"


def redriven(cloud: LocalCloud) -> str:
    (_, dead), (_, source) = kit.queue(cloud, "given-back-dlq"), kit.queue(cloud, "given-back")
    arguments = {"SourceArn": dead, "DestinationArn": source}
    return asked(cloud, "redriving", "sqs", "start_message_move_task", arguments, sqs__StartMessageMoveTask=dead)


def test_a_redrive_is_decided_on_the_dead_letter_queue(cloud: LocalCloud) -> None:
    assert redriven(cloud) == "done"


def test_without_the_mend_a_redrive_is_decided_on_everything(unmended: LocalCloud) -> None:
    assert redriven(unmended) == "AccessDenied"


def answering(cloud: LocalCloud, machine: str, on: str) -> str:
    """How an execution ends whose function may answer its task on the machine ``on``."""
    function = kit.function(
        cloud, machine, ANSWERING, role(cloud, f"{machine}-role", states__SendTaskSuccess=arn("states", on))
    )
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {"FunctionName": function, "Payload": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 20,
        "End": True,
    }
    may = role(cloud, f"{machine}-machine", lambda__InvokeFunction=function)
    ended = kit.ended(cloud, kit.execution(cloud, machine, {"Wait": wait}, may))
    return str(ended.get("error") or ended["status"])


def test_a_task_is_answered_by_who_may_on_its_state_machine(cloud: LocalCloud) -> None:
    assert answering(cloud, "mine", "stateMachine:mine") == "SUCCEEDED"
    assert answering(cloud, "others", "stateMachine:mine") == "ClientError"


def test_without_the_mend_a_task_is_answered_by_who_may_on_all(unmended: LocalCloud) -> None:
    assert answering(unmended, "mine", "stateMachine:mine") == "ClientError"


def secret_by_reference(cloud: LocalCloud) -> str:
    resources = {
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "known", "SecretString": "x"}},
        "Parameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/known", "Type": "String", "Value": {"Fn::Join": ["", [{"Ref": "Secret"}]]}},
        },
    }
    assert stack(cloud, "secrets", resources) == "CREATE_COMPLETE"
    return str(kit.client(cloud, "ssm").get_parameter(Name="/known")["Parameter"]["Value"])


def test_a_secret_is_referred_to_by_its_arn(cloud: LocalCloud) -> None:
    found = kit.client(cloud, "secretsmanager")
    assert secret_by_reference(cloud) == found.describe_secret(SecretId="known")["ARN"]


def test_without_the_mend_a_secret_is_referred_to_by_its_name(unmended: LocalCloud) -> None:
    assert secret_by_reference(unmended) == "known"


# ---- what is done for somebody -------------------------------------------------------------------------------------


def stack(cloud: LocalCloud, name: str, resources: dict[str, Any]) -> str:
    """Create a stack and return how that ended."""
    stacks = kit.client(cloud, "cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))

    def status() -> str:
        now: str = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return "" if now.endswith("IN_PROGRESS") else now

    return kit.until(status)


def refusals(cloud: LocalCloud, by: str) -> list[tuple[str, str]]:
    return [(one["action"], one["resource"]) for one in kit.journal(cloud, kind="right", by=by, allowed=False)]


def test_a_state_machine_calls_what_its_role_may(cloud: LocalCloud) -> None:
    function = kit.function(cloud, "called", SILENT, role(cloud, "called"))
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    states = {"Call": {**task, "Arguments": {"FunctionName": function, "Payload": {}}}}
    for name, on, end in (("may", function, "SUCCEEDED"), ("may-not", f"{function}-other", "FAILED")):
        execution = kit.execution(cloud, name, states, role(cloud, name, lambda__InvokeFunction=on))
        ended = kit.ended(cloud, execution)
        assert ended["status"] == end
    assert ended["error"] == "Lambda.AWSLambdaException"
    assert refusals(cloud, "may-not") == [("lambda:InvokeFunction", function)]


def test_a_rule_delivers_where_it_may(cloud: LocalCloud) -> None:
    events, states = kit.client(cloud, "events"), kit.client(cloud, "stepfunctions")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    machine = states.create_state_machine(name="started", roleArn=role(cloud, "idle"), definition=definition)
    machine = machine["stateMachineArn"]
    url, closed = kit.queue(cloud, "closed")
    function = kit.function(cloud, "uncalled", SILENT, role(cloud, "uncalled"))
    starter = role(cloud, "starter", states__StartExecution=f"{machine}-other")
    rule = events.put_rule(Name="everywhere", EventPattern=json.dumps({"source": ["test"]}))["RuleArn"]
    targets = [
        {"Id": "machine", "Arn": machine, "RoleArn": starter},
        {"Id": "queue", "Arn": closed},
        {"Id": "function", "Arn": function},
    ]
    events.put_targets(Rule="everywhere", Targets=targets)
    event = {"Source": "test", "DetailType": "Something", "Detail": "{}"}

    events.put_events(Entries=[event])
    wanted = [("states:StartExecution", machine), ("sqs:SendMessage", closed), ("lambda:InvokeFunction", function)]
    assert kit.until(lambda: len(refusals(cloud, "everywhere")) == len(wanted))
    assert sorted(refusals(cloud, "everywhere")) == sorted(wanted)
    assert states.list_executions(stateMachineArn=machine)["executions"] == []
    assert kit.taken(cloud, url) == []

    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": closed,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    kit.client(cloud, "sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_events(Entries=[event])
    assert kit.until(lambda: kit.taken(cloud, url))


def test_the_api_calls_what_lets_it(cloud: LocalCloud) -> None:
    function = kit.function(cloud, "behind", SILENT, role(cloud, "behind"))
    gateway = kit.client(cloud, "apigatewayv2")
    api = gateway.create_api(Name="front", ProtocolType="HTTP")["ApiId"]
    proxy = {"IntegrationType": "AWS_PROXY", "IntegrationUri": function, "PayloadFormatVersion": "2.0"}
    target = gateway.create_integration(ApiId=api, **proxy)["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="GET /thing", Target=f"integrations/{target}")
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    address = f"{cloud.endpoint}/_aws/execute-api/{api}/thing"
    assert httpx.get(address, timeout=20).status_code == 500
    assert refusals(cloud, "api") == [("lambda:InvokeFunction", function)]
    kit.client(cloud, "lambda").add_permission(
        FunctionName="behind",
        StatementId="front",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=arn("execute-api", f"{api}/*/*"),
    )
    assert httpx.get(address, timeout=20).status_code == 204


@pytest.mark.parametrize("missing", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"])
def test_a_mapping_is_made_for_who_may_take_from_its_queue(cloud: LocalCloud, missing: str) -> None:
    name = missing.partition(":")[2].lower()
    _, queue = kit.queue(cloud, name)
    rights = {"sqs__ReceiveMessage": queue, "sqs__DeleteMessage": queue, "sqs__GetQueueAttributes": queue}
    kit.function(cloud, name, SILENT, role(cloud, name, **{**rights, missing.replace(":", "__"): f"{queue}-other"}))
    kit.function(cloud, f"{name}-may", SILENT, role(cloud, f"{name}-may", **rights))
    mapping = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": queue}}
    for function, end in ((name, "ROLLBACK_COMPLETE"), (f"{name}-may", "CREATE_COMPLETE")):
        properties = {**mapping["Properties"], "FunctionName": function}  # type: ignore[dict-item]
        assert stack(cloud, function, {"Mapping": {**mapping, "Properties": properties}}) == end
    assert refusals(cloud, name) == [(missing, queue)]
