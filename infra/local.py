"""Where the local cloud falls short of AWS and the app has to give way; nothing else knows of it.

What a running emulator does differently is mended where it is started (``tools/localcloud``).
"""

from __future__ import annotations

import jsii
from aws_cdk import App, Aspects, CfnResource, CliCredentialsStackSynthesizer, IAspect
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import IConstruct

UNKNOWN_TYPES = frozenset(
    {
        "AWS::Backup::BackupSelection",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::EventSchemas::Registry",
        "AWS::EventSchemas::Schema",
        "AWS::Events::ApiDestination",
        "AWS::Events::Archive",
        "AWS::Events::Connection",
        "AWS::Events::EventBusPolicy",
        "AWS::Logs::QueryDefinition",
        "AWS::SES::Template",
        "AWS::WAFv2::WebACLAssociation",
    }
)
"""Resource types that the emulator does not know: it refuses a whole template that has one."""


def app() -> App:
    """Return an app whose stacks are deployed with the caller's own credentials.

    The emulator refuses assets that are published by the roles of the bootstrap stack when it enforces IAM.
    """
    return App(default_stack_synthesizer=CliCredentialsStackSynthesizer())


def adapt(app: App) -> None:
    """Take what the emulator does not know out of every stack of ``app``."""
    Aspects.of(app).add(_TakeOut())


@jsii.implements(IAspect)
class _TakeOut:
    def visit(self, node: IConstruct) -> None:
        scope = node.node.scope
        if isinstance(node, CfnResource) and scope is not None and (_unknown(node) or _computed(node)):
            scope.node.try_remove_child(node.node.id)


def _unknown(node: CfnResource) -> bool:
    return node.cfn_resource_type in UNKNOWN_TYPES


def _computed(node: CfnResource) -> bool:
    """Whether it is an alarm on an expression, which the emulator refuses like a type that it does not know."""
    return isinstance(node, cloudwatch.CfnAlarm) and node.metrics is not None
