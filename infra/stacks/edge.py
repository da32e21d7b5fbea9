"""The public HTTP API: the routes of `commerce.access`, exactly, each with its authoriser."""

from __future__ import annotations

import json
import re

from aws_cdk import CfnOutput, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from commerce.access import ROUTES
from infra.constructs.alarm import Alarms
from infra.constructs.metrics import P99, SUM, of_api
from infra.constructs.runtime import retention
from infra.names import Names
from infra.settings import Stage
from infra.troubles import Trouble

_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "routeKey": "$context.routeKey",
    "status": "$context.status",
    "latency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
    "authorizerError": "$context.authorizer.error",
    "responseLength": "$context.responseLength",
}
"""One line a request, without anything that names a person."""

_ERRORS = 2
"""Server errors of a period that wake nobody: a single one is a caller's bad luck, and is in the access log."""
_SLOW = 3000
"""Milliseconds."""
_ENOUGH = 100
"""Requests of a period below which the share of those refused says nothing."""

_SENT = ["authorization", "content-type", "idempotency-key", "if-none-match", "order-token"]


class EdgeStack(Stack):
    """The stack ``commerce-<stage>-edge``.

    Routes refer to the functions' aliases by name: a context deploys before or after, and alone.
    """

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, f"commerce-{stage.name}-edge", description="The public HTTP API")
        self._stage = stage
        self._names = Names(self, stage.name)
        self.alarms = Alarms(self, stage=stage, names=self._names)
        self._api = apigateway.HttpApi(
            self,
            "Api",
            api_name=self._names.of("api"),
            create_default_stage=False,
            cors_preflight=(
                apigateway.CorsPreflightOptions(
                    allow_origins=list(stage.cors_origins),
                    allow_methods=[
                        apigateway.CorsHttpMethod.GET,
                        apigateway.CorsHttpMethod.POST,
                        apigateway.CorsHttpMethod.PUT,
                    ],
                    allow_headers=_SENT,
                    expose_headers=["etag", "location", "retry-after"],
                )
                if stage.cors_origins
                else None
            ),
        )
        self._routes()
        self._default_stage()
        self._watch()
        self._names.publish("api-id", self._api.api_id)
        CfnOutput(self, "ApiId", value=self._api.api_id)
        CfnOutput(self, "ApiUrl", value=self._api.api_endpoint)

    def _routes(self) -> None:
        authorizer = apigateway.CfnAuthorizer(
            self,
            "SignedIn",
            api_id=self._api.api_id,
            name="signed-in",
            authorizer_type="JWT",
            identity_source=["$request.header.Authorization"],
            jwt_configuration=apigateway.CfnAuthorizer.JWTConfigurationProperty(
                issuer=self._names.published("issuer"),
                audience=Fn.split(",", self._names.published("audience")),
            ),
        )
        targets = {
            function: apigateway.CfnIntegration(
                self,
                f"{_title(function)}Integration",
                api_id=self._api.api_id,
                integration_type="AWS_PROXY",
                integration_uri=self._names.function_arn(function),
                payload_format_version="2.0",
            )
            for function in sorted({route.function for route in ROUTES.values()})
        }
        for key, route in ROUTES.items():
            apigateway.CfnRoute(
                self,
                f"{_title(key)}Route",
                api_id=self._api.api_id,
                route_key=key,
                target=f"integrations/{targets[route.function].ref}",
                authorization_type="JWT" if route.signed_in else "NONE",
                authorizer_id=authorizer.ref if route.signed_in else None,
            )

    def _default_stage(self) -> None:
        log = logs.LogGroup(
            self,
            "Access",
            log_group_name=f"/aws/vendedlogs/apis/{self._names.of('api')}",
            retention=retention(self._stage),
            removal_policy=RemovalPolicy.DESTROY,
        )
        apigateway.CfnStage(
            self,
            "Stage",
            api_id=self._api.api_id,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=self._stage.throttle_rate,
                throttling_burst_limit=self._stage.throttle_burst,
                # Six metrics a route at $0.30 a month each; the access log has route, status and latencies.
                detailed_metrics_enabled=False,
            ),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(_LOG)
            ),
        )

    def _watch(self) -> None:
        alarms, api_id = self.alarms, self._api.api_id
        alarms.raise_above(
            Trouble.API_ERRORS,
            "api",
            of_api(api_id, "5xx", SUM),
            _ERRORS,
            f"the API answered more than {_ERRORS} requests with a server error",
        )
        alarms.raise_above(
            Trouble.API_SLOW,
            "api",
            of_api(api_id, "Latency", P99),
            _SLOW,
            f"one request in a hundred takes more than {_SLOW / 1000:.0f} s",
            periods=3,
        )
        refused = cloudwatch.MathExpression(
            expression=f"IF(requests >= {_ENOUGH}, 100 * refused / requests, 0)",
            using_metrics={"requests": of_api(api_id, "Count", SUM), "refused": of_api(api_id, "4xx", SUM)},
            label="refused, in a hundred",
            period=Duration.seconds(self._stage.alarm_period),
        )
        alarms.raise_above(
            Trouble.API_REFUSALS, "api", refused, 50, "more requests are refused than answered", periods=3
        )
        alarms.wake()


def _title(text: str) -> str:
    return "".join(part.capitalize() for part in re.findall(r"[A-Za-z]+", text))
