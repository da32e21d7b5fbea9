"""The public API is the route table, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from commerce.access import ROUTES
from tests.infra.templates import Synthesised, flat
from tools.localcloud.recorder import LOG_EVENT_BYTES
from tools.run.journal import ACCESS_LOG_BYTES

pytestmark = pytest.mark.infra


def test_every_route_of_the_table_is_there_once_and_no_other(synthesised: Synthesised) -> None:
    keys = Counter(route["Properties"]["RouteKey"] for _, _, route in synthesised.resources("AWS::ApiGatewayV2::Route"))
    assert keys == Counter(dict.fromkeys(ROUTES, 1))


def test_every_signed_in_route_has_the_authoriser_and_every_open_one_none(synthesised: Synthesised) -> None:
    [(_, authoriser, made)] = synthesised.resources("AWS::ApiGatewayV2::Authorizer")
    assert made["Properties"]["AuthorizerType"] == "JWT"
    for _, _, route in synthesised.resources("AWS::ApiGatewayV2::Route"):
        properties = route["Properties"]
        if ROUTES[properties["RouteKey"]].signed_in:
            assert (properties["AuthorizationType"], properties["AuthorizerId"]) == ("JWT", {"Ref": authoriser})
        else:
            assert properties["AuthorizationType"] == "NONE"
            assert "AuthorizerId" not in properties


def test_every_route_leads_to_the_alias_of_its_function_which_lets_the_api_in(synthesised: Synthesised) -> None:
    lets_in = set()
    for stack, _, permission in synthesised.resources("AWS::Lambda::Permission"):
        properties = permission["Properties"]
        if properties["Principal"] == "apigateway.amazonaws.com":
            alias = synthesised.refer(stack, properties["FunctionName"])
            let_in = synthesised.refer(stack, alias["Properties"]["FunctionName"])
            lets_in.add(let_in["Properties"]["FunctionName"])
            assert ":execute-api:" in flat(properties["SourceArn"])
    for stack, _, route in synthesised.resources("AWS::ApiGatewayV2::Route"):
        properties = route["Properties"]
        logical = flat(properties["Target"]).removeprefix("integrations/${").removesuffix("}")
        integration = synthesised.templates[stack]["Resources"][logical]["Properties"]
        function = f"commerce-{synthesised.stage.name}-{ROUTES[properties['RouteKey']].function}"
        assert flat(integration["IntegrationUri"]).endswith(f":function:{function}:live")
        assert integration["PayloadFormatVersion"] == "2.0"
        assert function in lets_in


def test_every_open_route_that_costs_a_write_or_a_key_s_use_is_throttled_for_itself(synthesised: Synthesised) -> None:
    [(stack, name, stage)] = synthesised.resources("AWS::ApiGatewayV2::Stage")
    settings = stage["Properties"]["RouteSettings"]
    free = {
        "GET /catalog/products",
        "GET /catalog/products/{sku}",
        "GET /openapi.json",
        "GET /reference",
        "GET /health",
    }
    assert settings.keys() == {key for key, route in ROUTES.items() if not route.signed_in} - free
    throttle = synthesised.stage.open_throttle
    for one in settings.values():
        assert (one["ThrottlingRateLimit"], one["ThrottlingBurstLimit"]) == (throttle.rate, throttle.burst)
    assert throttle.rate < synthesised.stage.throttle_rate
    resources = synthesised.templates[stack]["Resources"]
    routes = {logical for logical, made in resources.items() if made["Type"] == "AWS::ApiGatewayV2::Route"}
    assert routes <= set(resources[name]["DependsOn"]), "settings of a route that is not there are refused"


def test_the_api_is_throttled_and_logs_nothing_that_names_a_person(synthesised: Synthesised) -> None:
    [(_, _, stage)] = synthesised.resources("AWS::ApiGatewayV2::Stage")
    limits = stage["Properties"]["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] == synthesised.stage.throttle_rate
    assert limits["ThrottlingBurstLimit"] == synthesised.stage.throttle_burst
    line = stage["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in line
    for personal in ("claims", "sourceIp", "$context.path", "userAgent"):
        assert personal not in line


def test_a_line_of_the_access_log_is_as_long_as_is_reckoned(synthesised: Synthesised) -> None:
    [(_, _, stage)] = synthesised.resources("AWS::ApiGatewayV2::Stage")
    usual = {
        "requestId": "JKJaXmPLvHcESHA=",
        "requestTime": "25/Nov/2026:03:05:54 +0000",
        "routeKey": "POST /payments/callbacks/{provider}",
        "status": "202",
        "responseLatency": "1234",
        "integrationLatency": "1230",
        "responseLength": "1234",
    }
    line = re.sub(
        r"\$context\.([a-zA-Z.]+)",
        lambda found: usual.get(found[1], "-"),
        stage["Properties"]["AccessLogSettings"]["Format"],
    )
    assert len(line) + LOG_EVENT_BYTES == pytest.approx(ACCESS_LOG_BYTES, rel=0.1)
