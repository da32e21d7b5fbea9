"""The firewall before CloudFront, which AWS keeps in us-east-1 whatever region the platform is in."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, LegacyStackSynthesizer, Stack
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.names import Names
from infra.settings import Entry
from infra.settings import Stage as Settings

REGION = "us-east-1"

MANAGED = ("AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet")

HUGE = "^[0-9]{7,}$"
"""A Content-Length of a megabyte and more. What is below and still too long (`commerce.limits.LARGEST_BODY`) is the
function's to refuse: the firewall sees 64 KB of a body at most, and the longest real order is about as long."""


class FirewallStack(Stack):
    """The stack ``commerce-<stage>-firewall``; its template is small enough to need no bootstrapped region."""

    def __init__(self, scope: Construct, *, stage: Settings, entry: Entry) -> None:
        super().__init__(
            scope,
            f"commerce-{stage.name}-firewall",
            description="AWS WAF before CloudFront",
            env=Environment(region=REGION),
            synthesizer=LegacyStackSynthesizer(),
        )
        names = Names(self, stage)
        rules = [
            _rule("requests-per-address", 0, _rate(entry.requests_per_address), blocked=429),
            _rule("huge-body", 1, _huge_body(), blocked=413),
            *(_managed(name, priority) for priority, name in enumerate(MANAGED, 2)),
        ]
        acl = waf.CfnWebACL(
            self,
            "Firewall",
            name=names.of("firewall"),
            scope="CLOUDFRONT",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_counted(names.of("firewall")),
            rules=rules,
        )
        CfnOutput(self, "FirewallArn", value=acl.attr_arn)


def _rule(
    name: str, priority: int, statement: waf.CfnWebACL.StatementProperty, *, blocked: int
) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=statement,
        action=waf.CfnWebACL.RuleActionProperty(
            block=waf.CfnWebACL.BlockActionProperty(
                custom_response=waf.CfnWebACL.CustomResponseProperty(response_code=blocked)
            )
        ),
        visibility_config=_counted(name),
    )


def _rate(limit: int) -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
            aggregate_key_type="IP", evaluation_window_sec=300, limit=limit
        )
    )


def _huge_body() -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        regex_match_statement=waf.CfnWebACL.RegexMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(single_header={"Name": "content-length"}),
            regex_string=HUGE,
            text_transformations=[waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")],
        )
    )


def _managed(name: str, priority: int) -> waf.CfnWebACL.RuleProperty:
    # A body of more than 8 KB is an ordinary order, and a merchant's hundred products.
    only_counted = (
        [
            waf.CfnWebACL.RuleActionOverrideProperty(
                name="SizeRestrictions_BODY", action_to_use=waf.CfnWebACL.RuleActionProperty(count={})
            )
        ]
        if name == "AWSManagedRulesCommonRuleSet"
        else None
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=name, rule_action_overrides=only_counted
            )
        ),
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_counted(name),
    )


def _counted(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    """Count what a rule meets, and keep no requests: they hold addresses and tokens of persons."""
    return waf.CfnWebACL.VisibilityConfigProperty(
        metric_name=name, cloud_watch_metrics_enabled=True, sampled_requests_enabled=False
    )
