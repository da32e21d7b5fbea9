"""The entry: CloudFront and its firewall before the API, which answers nothing that did not come through them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from commerce import origin
from commerce.access import ROUTES
from infra.settings import STAGES, Domain, Entry, Stage
from tests.infra.templates import ROOT, Synthesised, flat

pytestmark = pytest.mark.infra

DOMAIN = Domain(
    "shop.example",
    "arn:aws:acm:us-east-1:111122223333:certificate/shop",
    "api.shop.example",
    "arn:aws:acm:eu-west-1:111122223333:certificate/api",
)

REFUSALS = """
import importlib, json, os, sys
found = {}
for key, (handler, variables, event) in json.load(sys.stdin).items():
    os.environ.update(variables)
    module, _, name = handler.rpartition(".")
    found[key] = getattr(importlib.import_module(module), name)(event, None)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def named(synthesise: Callable[[Stage], Synthesised]) -> Synthesised:
    """A stage whose entry has a domain."""
    return synthesise(replace(STAGES["prod"], name="named", entry=Entry(requests_per_address=99, domain=DOMAIN)))


def distribution(synthesised: Synthesised) -> dict[str, Any]:
    [(_, _, made)] = synthesised.resources("AWS::CloudFront::Distribution")
    found: dict[str, Any] = made["Properties"]["DistributionConfig"]
    return found


def from_parameter(synthesised: Synthesised, stack: str, value: dict[str, str]) -> str:
    found: str = synthesised.templates[stack]["Parameters"][value["Ref"]]["Default"]
    return found


def test_every_route_of_every_function_refuses_what_came_past_the_entry(prod: Synthesised) -> None:
    functions = prod.named("AWS::Lambda::Function", "FunctionName")
    asked = {}
    for key, route in ROUTES.items():
        method, path = key.split(" ")
        path = path.replace("{", "").replace("}", "")
        event = {
            "version": "2.0",
            "routeKey": key,
            "rawPath": path,
            "headers": {origin.HEADER: "not the value"},
            "stageVariables": {origin.VARIABLE: origin.digest("the value")},
            "requestContext": {"http": {"method": method, "path": path}, "routeKey": key, "stage": "$default"},
        }
        made = functions[route.function]
        variables = {name: flat(value) for name, value in made["Environment"]["Variables"].items()}
        asked[key] = made["Handler"], variables, event
    path = [str(ROOT / "functions"), str(ROOT / "layers" / "commerce" / "python")]
    around = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", REFUSALS],
        input=json.dumps(asked),
        env=around,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers.keys() == ROUTES.keys()
    for key, answer in answers.items():
        assert answer["statusCode"] == 403, key
        assert json.loads(answer["body"])["type"] == "/problems/not-through-the-entry", key


def test_the_api_tells_its_functions_what_to_let_in_exactly_where_there_is_an_entry(
    synthesise: Callable[[Stage], Synthesised],
) -> None:
    for name, stage in STAGES.items():
        synthesised = synthesise(stage)
        [(stack, _, made)] = synthesised.resources("AWS::ApiGatewayV2::Stage")
        if stage.entry is None:
            assert "StageVariables" not in made["Properties"], name
            continue
        [(variable, value)] = made["Properties"]["StageVariables"].items()
        assert variable == origin.VARIABLE
        assert from_parameter(synthesised, stack, value) == f"/commerce/{name}/origin-digests"


def test_cloudfront_sends_a_version_of_the_secret_that_is_in_no_template(prod: Synthesised) -> None:
    [only] = distribution(prod)["Origins"]
    [header] = only["OriginCustomHeaders"]
    assert header["HeaderName"] == origin.HEADER
    separator, parts = header["HeaderValue"]["Fn::Join"]
    [version] = [part for part in parts if isinstance(part, dict)]
    assert from_parameter(prod, "entry", version) == "/commerce/prod/origin-version"
    assert separator.join(part if isinstance(part, str) else "V" for part in parts) == (
        "{{resolve:secretsmanager:commerce-prod-origin:SecretString:::V}}"
    )


def test_cloudfront_passes_everything_on_by_tls_and_keeps_nothing(prod: Synthesised) -> None:
    config = distribution(prod)
    behaviour = config["DefaultCacheBehavior"]
    assert "CacheBehaviors" not in config
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    assert set(behaviour["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/: CachingDisabled, AllViewerExceptHostHeader
    assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    [only] = config["Origins"]
    assert only["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert only["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]
    assert config["Restrictions"]["GeoRestriction"] == {"RestrictionType": "blacklist", "Locations": ["KP"]}
    assert from_parameter(prod, "entry", config["WebACLId"]) == "/commerce/prod/firewall-arn"


def test_without_a_domain_cloudfront_calls_the_api_by_its_default_endpoint(prod: Synthesised) -> None:
    [only] = distribution(prod)["Origins"]
    assert ".execute-api." in flat(only["DomainName"])
    [(_, _, api)] = prod.resources("AWS::ApiGatewayV2::Api")
    assert api["Properties"].get("DisableExecuteApiEndpoint", False) is False


def test_with_a_domain_the_default_endpoint_is_off_and_cloudfront_calls_the_api_by_its_own_name(
    named: Synthesised,
) -> None:
    config = distribution(named)
    assert [one["DomainName"] for one in config["Origins"]] == ["api.shop.example"]
    assert config["Aliases"] == ["shop.example"]
    assert config["ViewerCertificate"]["AcmCertificateArn"] == DOMAIN.certificate
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    [(_, _, api)] = named.resources("AWS::ApiGatewayV2::Api")
    assert api["Properties"]["DisableExecuteApiEndpoint"] is True
    [(_, _, name)] = named.resources("AWS::ApiGatewayV2::DomainName")
    assert name["Properties"]["DomainName"] == "api.shop.example"
    assert [one["CertificateArn"] for one in name["Properties"]["DomainNameConfigurations"]] == [DOMAIN.api_certificate]
    [(_, _, mapping)] = named.resources("AWS::ApiGatewayV2::ApiMapping")
    assert mapping["Properties"]["Stage"] == "$default"
    [(_, _, stage)] = named.resources("AWS::ApiGatewayV2::Stage")
    assert origin.VARIABLE in stage["Properties"]["StageVariables"], "a domain's name can be found out"


def test_the_firewall_counts_each_address_and_refuses_what_is_huge(named: Synthesised) -> None:
    [(stack, _, acl)] = named.resources("AWS::WAFv2::WebACL")
    properties = acl["Properties"]
    assert (stack, properties["Scope"], properties["DefaultAction"]) == ("firewall", "CLOUDFRONT", {"Allow": {}})
    rules = {rule["Name"]: rule for rule in properties["Rules"]}
    assert [rule["Priority"] for rule in properties["Rules"]] == list(range(len(rules)))
    rate = rules["requests-per-address"]
    assert rate["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 300,
        "Limit": 99,
    }
    assert rate["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429
    huge = rules["huge-body"]
    assert huge["Statement"]["RegexMatchStatement"]["FieldToMatch"] == {"SingleHeader": {"Name": "content-length"}}
    assert huge["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 413


def test_the_firewall_has_aws_s_rules_and_lets_long_orders_pass(prod: Synthesised) -> None:
    [(_, _, acl)] = prod.resources("AWS::WAFv2::WebACL")
    managed = {
        rule["Name"]: (rule["OverrideAction"], rule["Statement"]["ManagedRuleGroupStatement"])
        for rule in acl["Properties"]["Rules"]
        if "ManagedRuleGroupStatement" in rule["Statement"]
    }
    assert managed.keys() == {"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
    assert all(override == {"None": {}} for override, _ in managed.values())
    assert managed["AWSManagedRulesCommonRuleSet"][1]["RuleActionOverrides"] == [
        {"ActionToUse": {"Count": {}}, "Name": "SizeRestrictions_BODY"}
    ]
    assert "RuleActionOverrides" not in managed["AWSManagedRulesKnownBadInputsRuleSet"][1]
    for rule in (acl["Properties"], *acl["Properties"]["Rules"]):
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False, "samples hold addresses and tokens"


def test_a_stage_without_an_entry_has_neither_and_stays_in_its_region(
    synthesise: Callable[[Stage], Synthesised],
) -> None:
    for name in ("local", "test", "dev"):
        synthesised = synthesise(STAGES[name])
        assert {"entry", "firewall"} & synthesised.templates.keys() == set()
