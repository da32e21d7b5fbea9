"""What holds state: tables, buses, keys, secrets and the user pool. Everything else can be made again at any time."""

from __future__ import annotations

from aws_cdk import ArnFormat, CfnOutput, Stack
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_ses as ses
from constructs import Construct

from commerce.access import GROUPS
from infra.constructs.alarm import Alarms
from infra.constructs.daily_backups import DailyBackups
from infra.constructs.metrics import THROTTLES
from infra.constructs.runtime import stateful_removal
from infra.names import CARRIERS_BUS, COMMERCE_BUS, Names
from infra.settings import Stage
from infra.tables import TABLES, Table, restored_stream
from infra.troubles import Trouble

THROTTLED_TOO_OFTEN = 10
"""Throttled reads or writes of a period: fewer are a table that is growing, and the SDK tries them again."""


class DataStack(Stack):
    """The stack ``commerce-<stage>-data``."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, f"commerce-{stage.name}-data", description="Tables, buses, keys and the user pool")
        self._stage = stage
        self._names = Names(self, stage)
        self._removal = stateful_removal(stage)
        self._alarms = Alarms(self, stage=stage, names=self._names)
        for context, table in TABLES.items():
            restored = stage.tables.get(context)
            if restored is None or restored.imported:
                self._table(context, table)
            elif table.publishes:
                # What the restoring tool made is only referred to: it has told the table's stream.
                self._names.publish(
                    f"streams/{context}", self._names.published(restored_stream(stage.name, self._names.table(context)))
                )
            self._names.publish(f"tables/{context}", self._names.table(context))
            CfnOutput(self, f"{context.capitalize()}TableName", value=self._names.table(context))
            self._watch(context, table)
        if stage.backup_days:
            DailyBackups(self, stage=stage, names=self._names, tables=list(TABLES))
        self._bus(COMMERCE_BUS)
        self._bus(CARRIERS_BUS, [self._partner(carrier, account) for carrier, account in stage.partners.items()])
        self._keys()
        self._secrets()
        ses.EmailIdentity(self, "Sender", identity=ses.Identity.email(stage.sender))
        if stage.issuer is None:
            self._user_pool()
        else:
            self._names.publish("issuer", stage.issuer.url)
            self._names.publish("audience", ",".join(stage.issuer.audience))

    def _table(self, context: str, table: Table) -> None:
        made = dynamodb.TableV2(
            self,
            f"{context.capitalize()}Table",
            table_name=self._names.table(context),
            partition_key=_text("pk"),
            sort_key=_text("sk"),
            billing=dynamodb.Billing.on_demand(),
            dynamo_stream=dynamodb.StreamViewType.NEW_IMAGE if table.publishes else None,
            global_secondary_indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=name,
                    partition_key=_text(index.partition),
                    sort_key=_text(index.sort),
                    projection_type=(
                        dynamodb.ProjectionType.INCLUDE if index.includes else dynamodb.ProjectionType.KEYS_ONLY
                    ),
                    non_key_attributes=list(index.includes) or None,
                )
                for name, index in table.indexes.items()
            ],
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="ttl",
            deletion_protection=self._stage.stateful_retained,
            removal_policy=self._removal,
        )
        if table.publishes and made.table_stream_arn is not None:
            self._names.publish(f"streams/{context}", made.table_stream_arn)

    def _watch(self, context: str, table: Table) -> None:
        of = self._alarms.metrics
        for metric in THROTTLES:
            kind = metric.removesuffix("Events")
            for name, throttled in (
                (context, of.table(context, metric)),
                *((f"{context}-{index}", of.index(context, index, metric)) for index in table.indexes),
            ):
                self._alarms.raise_above(
                    Trouble.TABLE_THROTTLED,
                    f"{name}-{kind.removesuffix('Throttle').lower()}",
                    throttled,
                    THROTTLED_TOO_OFTEN,
                    f"{self._names.table(context)} is asked for more than it can do at once",
                )

    def _bus(self, bus: str, statements: list[iam.PolicyStatement] | None = None) -> None:
        made = events.CfnEventBus(
            self,
            f"{bus.capitalize()}Bus",
            name=self._names.of(bus),
            policy=iam.PolicyDocument(statements=statements).to_json() if statements else None,
        )
        made.apply_removal_policy(self._removal)
        archive = events.CfnArchive(
            self,
            f"{bus.capitalize()}Archive",
            archive_name=self._names.of(bus),
            source_arn=self._names.bus_arn(bus),
            description=f"Every event of the bus {bus}, for make reconcile",
            retention_days=self._stage.archive_days,
            # What is replayed is on the bus again; it is not kept again.
            event_pattern={"replay-name": [{"exists": False}]},
        )
        archive.apply_removal_policy(self._removal)
        archive.add_resource_dependency(made)
        CfnOutput(self, f"{bus.capitalize()}BusName", value=self._names.of(bus))

    def _partner(self, carrier: str, account: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid=f"Carrier{carrier.capitalize()}",
            principals=[iam.AccountPrincipal(account)],
            actions=["events:PutEvents"],
            resources=[self._names.bus_arn(CARRIERS_BUS)],
            conditions={"StringEquals": {"events:source": f"carrier.{carrier}"}},
        )

    def _keys(self) -> None:
        data = kms.Key(
            self,
            "DataKey",
            alias=self._names.of("data"),
            description="Wraps the data key of every person",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        mac = kms.Key(
            self,
            "MacKey",
            alias=self._names.of("mac"),
            description="Vouches for order tokens",
            key_spec=kms.KeySpec.HMAC_256,
            key_usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
            removal_policy=self._removal,
        )
        log = kms.Key(
            self,
            "LogKey",
            alias=self._names.of("logs"),
            description="Encrypts every log group",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        groups = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/*/{self._names.of('*')}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        log.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self.region}.{self.url_suffix}")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],  # in a key's policy: this key
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        )
        self._names.publish("log-key-arn", log.key_arn)
        self._names.publish("data-key-arn", data.key_arn)
        self._names.publish("mac-key-arn", mac.key_arn)

    def _secrets(self) -> None:
        sandbox = secrets.Secret(
            self,
            "SandboxCallbackKey",
            secret_name=self._names.of("sandbox-callback-key"),
            description="Signs the callbacks of the payment provider sandbox",
            generate_secret_string=secrets.SecretStringGenerator(password_length=48, exclude_punctuation=True),
            removal_policy=self._removal,
        )
        self._names.publish("sandbox-secret-arn", sandbox.secret_arn)
        CfnOutput(self, "SandboxSecretArn", value=sandbox.secret_arn)

    def _user_pool(self) -> None:
        pool = cognito.UserPool(
            self,
            "Users",
            user_pool_name=self._names.of("users"),
            sign_in_aliases=cognito.SignInAliases(email=True),
            self_sign_up_enabled=True,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_symbols=True, require_uppercase=True
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=self._stage.stateful_retained,
            removal_policy=self._removal,
        )
        client = pool.add_client(
            "Shop",
            user_pool_client_name=self._names.of("shop"),
            auth_flows=cognito.AuthFlow(
                user_srp=True,
                user_password=self._stage.password_sign_in,
                admin_user_password=self._stage.password_sign_in,
            ),
            prevent_user_existence_errors=True,
            disable_o_auth=True,
        )
        for group in GROUPS:
            cognito.CfnUserPoolGroup(
                self, f"{group.capitalize()}Group", user_pool_id=pool.user_pool_id, group_name=group
            )
        issuer = f"https://cognito-idp.{self.region}.{self.url_suffix}/{pool.user_pool_id}"
        self._names.publish("issuer", issuer)
        self._names.publish("audience", client.user_pool_client_id)
        self._names.publish("user-pool-id", pool.user_pool_id)
        CfnOutput(self, "UserPoolId", value=pool.user_pool_id)
        CfnOutput(self, "UserPoolClientId", value=client.user_pool_client_id)


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
