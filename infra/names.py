"""What everything is called, and ARNs made of names.

Stacks refer to one another by name and never by export, so that each deploys alone. What AWS names itself (key and
stream ARNs, the API's and the user pool's id) is published as an SSM parameter by the stack that makes it.
"""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.settings import Stage

CONTEXTS = ("orders", "inventory", "payments", "shipping", "notifications", "catalog", "customers")
"""Contexts with a table of their own."""

ALIAS = "live"
"""The alias of every function that everything integrates with."""

COMMERCE_BUS = "commerce"
CARRIERS_BUS = "carriers"


class Names:
    """Names and ARNs as seen from one stack.

    Parameters
    ----------
    scope
        Anything in the stack whose partition, region and account the ARNs have.
    stage
        Whose resources they are of; it knows which tables are restored ones.
    """

    def __init__(self, scope: Construct, stage: Stage) -> None:
        self._stack = Stack.of(scope)
        self._tables = stage.tables
        self.stage = stage.name

    @property
    def partition(self) -> str:
        return self._stack.partition

    def of(self, name: str) -> str:
        """Return the physical name of ``name``: function, queue, rule or state machine; of tables see `table`."""
        return f"commerce-{self.stage}-{name}"

    def table(self, context: str) -> str:
        """Return the name of the table that ``context`` uses: the one made for it, or one that was restored."""
        restored = self._tables.get(context)
        return self.of(f"{context}-{restored.generation}" if restored and restored.generation else context)

    def parameter(self, name: str) -> str:
        """Return the name of the SSM parameter ``name``."""
        return f"/commerce/{self.stage}/{name}"

    def publish(self, name: str, value: str) -> None:
        """Publish what AWS named for the other stacks."""
        title = "".join(part.capitalize() for part in name.replace("/", "-").split("-"))
        ssm.StringParameter(self._stack, f"{title}Parameter", parameter_name=self.parameter(name), string_value=value)

    def published(self, name: str) -> str:
        """Return what another stack published under ``name``, resolved when this one is deployed."""
        return ssm.StringParameter.value_for_string_parameter(self._stack, self.parameter(name))

    def function_arn(self, name: str) -> str:
        """Return the ARN of the alias of function ``name``."""
        return self._arn("lambda", "function", f"{self.of(name)}:{ALIAS}", ArnFormat.COLON_RESOURCE_NAME)

    def table_arn(self, context: str) -> str:
        return self._arn("dynamodb", "table", self.table(context))

    def queue_arn(self, name: str) -> str:
        return self._arn("sqs", self.of(name), None, ArnFormat.NO_RESOURCE_NAME)

    def bus_arn(self, bus: str) -> str:
        return self._arn("events", "event-bus", self.of(bus))

    def vault_arn(self, name: str) -> str:
        """Return the ARN of a vault of AWS Backup."""
        return self._arn("backup", "backup-vault", self.of(name), ArnFormat.COLON_RESOURCE_NAME)

    def machine_arn(self, name: str) -> str:
        return self._arn("states", "stateMachine", self.of(name), ArnFormat.COLON_RESOURCE_NAME)

    def topic_arn(self, name: str) -> str:
        return self._arn("sns", self.of(name), None, ArnFormat.NO_RESOURCE_NAME)

    def alarm_arn(self, name: str) -> str:
        """Return the ARN of the alarm ``name``, prefix included."""
        return self._arn("cloudwatch", "alarm", name, ArnFormat.COLON_RESOURCE_NAME)

    def identity_arn(self, address: str) -> str:
        """Return the ARN of the SES identity of ``address``."""
        return self._arn("ses", "identity", address)

    def user_pool_arn(self, pool_id: str) -> str:
        return self._arn("cognito-idp", "userpool", pool_id)

    def routes_arn(self, api_id: str) -> str:
        """Return the ARN that covers every route of the API ``api_id``."""
        return self._arn("execute-api", api_id, "*/*")

    def _arn(
        self, service: str, resource: str, name: str | None, form: ArnFormat = ArnFormat.SLASH_RESOURCE_NAME
    ) -> str:
        return self._stack.format_arn(service=service, resource=resource, resource_name=name, arn_format=form)
