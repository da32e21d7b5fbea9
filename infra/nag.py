"""cdk-nag: the AwsSolutions and Serverless packs on every stack, and the rules that are acknowledged, with reasons.

The packs of two standards only report: ``docs/operations/compliance.md`` answers every rule that finds something.

What a rule cannot tell apart is told apart in ``tests/infra``: which routes are open, which actions are allowed on
``*``, which queues are dead-letter queues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks, NagPack, NIST80053R5Checks, PCIDSS321Checks, ServerlessChecks

ACKNOWLEDGED: dict[str, str] = {
    "AwsSolutions-APIG4": "Open routes are open in the route table: guests' order tokens, signed callbacks, catalogue.",
    "AwsSolutions-CFR4": "Without a domain of its own an entry has CloudFront's certificate; a Domain takes TLS 1.2.",
    "AwsSolutions-COG2": "Buyers choose a second factor themselves; requiring one is a decision of the shop, not ours.",
    "AwsSolutions-COG8": "The plus tier costs 4 times the essentials a monthly user; a stage can name another issuer.",
    "AwsSolutions-IAM5[Resource::*]": (
        "X-Ray's actions, Step Functions' log delivery and sqs:ListQueues know no narrower resource."
    ),
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:commerce-{stage}-*]": (
        "orders-ops shows and redrives the queues of every context, also of those that are deployed after it."
    ),
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:commerce-{stage}-*-dlq]": (
        "As above, for what only dead-letter queues are read and emptied by."
    ),
    "AwsSolutions-L1": "The runtime is Python 3.13, which the layers are built for; 3.14 is a release of its own.",
    "AwsSolutions-SF1": "An execution's history holds every event; a log of all of them would cost more than the run.",
    "AwsSolutions-SMG4": "The key is shared with the provider: a rotation takes both sides at once.",
    "AwsSolutions-SQS3": "Dead-letter queues of rules, streams and asynchronous invocations have none themselves.",
    "Serverless-LambdaDLQ": "Only asynchronously invoked functions fail without a caller; they have a destination.",
    "Serverless-LambdaEventSourceMappingDestination": "An SQS mapping knows no destination: its queue has a DLQ.",
    "Serverless-LambdaLatestVersion": "See AwsSolutions-L1.",
    "Serverless-LambdaStarPermissions": "See AwsSolutions-IAM5.",
    "Serverless-LambdaTracing": "Functions follow their caller's sampling; Lambda's own traces most calls.",
    "Serverless-SQSRedrivePolicy": "See AwsSolutions-SQS3.",
}
"""Rule (and finding) -> why it is not followed; whatever is not in here stops the synthesis."""


def check(app: App, stage: str) -> None:
    """Have every stack of ``app`` checked when it is synthesised."""
    validations = Validations.of(app)
    validations.add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    validations.acknowledge(
        *(Acknowledgment(id=rule.replace("{stage}", stage), reason=reason) for rule, reason in ACKNOWLEDGED.items())
    )


REPORTED: tuple[type[NagPack], ...] = (NIST80053R5Checks, PCIDSS321Checks)
"""NIST 800-53 revision 5 and PCI DSS 3.2.1; cdk-nag has no pack of PCI DSS 4.0."""


@dataclass(frozen=True)
class Finding:
    """What a rule of a standard has against a resource.

    Attributes
    ----------
    pack
        Name of the pack, the standard's.
    rule
        Name of the rule, which several packs may have.
    resource
        Path of the construct.
    says
        What is missing, and the controls of the standard that ask for it.
    """

    pack: str
    rule: str
    resource: str
    says: str


def findings(app: App) -> Iterator[Finding]:
    """Yield what the packs that only report find in ``app``, whatever is acknowledged for the others."""
    for pack in REPORTED:
        for violation in pack(app).validate_scope(app).violations:
            for resource in violation.violating_resources:
                name, _, rule = violation.rule_name.rpartition("-")
                path = resource._values["construct_path"]  # noqa: SLF001 - aws-cdk-lib gives it no other name yet
                yield Finding(name, rule, path, violation.description.replace("\xa0", " "))
