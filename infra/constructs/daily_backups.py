"""What is kept beside point-in-time recovery: a vault of daily backups."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_backup as backup
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.iam import allow
from infra.names import Names
from infra.settings import Stage

VAULT = "backups"

NIGHTLY = "cron(0 2 * * ? *)"
"""When backups begin, in UTC: when the fewest orders come."""


class DailyBackups(Construct):
    """A vault, a plan and what it covers: a backup of every table in use, each night, kept `Stage.backup_days`.

    They are for what point-in-time recovery does not give back: more than 35 days, and tables whose owner's rights
    were in the wrong hands (a vault's access is another permission than the tables').
    """

    def __init__(self, scope: Construct, *, stage: Stage, names: Names, tables: Sequence[str]) -> None:
        super().__init__(scope, "DailyBackups")
        name = names.of(VAULT)
        vault = backup.CfnBackupVault(self, "Vault", backup_vault_name=name)
        vault.apply_removal_policy(RemovalPolicy.RETAIN)
        plan = backup.CfnBackupPlan(
            self,
            "Plan",
            backup_plan=backup.CfnBackupPlan.BackupPlanResourceTypeProperty(
                backup_plan_name=name,
                backup_plan_rule=[
                    backup.CfnBackupPlan.BackupRuleResourceTypeProperty(
                        rule_name="nightly",
                        target_backup_vault=vault.ref,
                        schedule_expression=NIGHTLY,
                        lifecycle=backup.CfnBackupPlan.LifecycleResourceTypeProperty(
                            delete_after_days=stage.backup_days
                        ),
                    )
                ],
            ),
        )
        arns = [names.table_arn(context) for context in tables]
        on_tables = ["dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            inline_policies={
                "backup": iam.PolicyDocument(
                    statements=[
                        allow(on_tables, arns),
                        allow(["backup:CopyIntoBackupVault", "backup:DescribeBackupVault"], [names.vault_arn(VAULT)]),
                    ]
                )
            },
        )
        backup.CfnBackupSelection(
            self,
            "Tables",
            backup_plan_id=plan.attr_backup_plan_id,
            backup_selection=backup.CfnBackupSelection.BackupSelectionResourceTypeProperty(
                iam_role_arn=role.role_arn, selection_name=name, resources=arns
            ),
        )
