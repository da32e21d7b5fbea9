"""The public HTTP API: the routes of `commerce.access`, exactly, each with its authoriser."""

from __future__ import annotations

import json
import re

from aws_cdk import CfnOutput, Fn, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from constructs import Construct

from commerce.access import ROUTES
from infra.constructs.alarm import PERIOD, raise_when
from infra.constructs.runtime import log_group
from infra.names import Names
from infra.settings import Stage

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

_SENT = ["authorization", "content-type", "idempotency-key", "if-none-match", "order-token"]


class EdgeStack(Stack):
    """The stack ``commerce-<stage>-edge``.

    Routes refer to the functions' aliases by name: a context deploys before or after, and alone.
    """

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, f"commerce-{stage.name}-edge", description="The public HTTP API")
        self._stage = stage
        self._names = Names(self, stage)
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
        name = f"/aws/vendedlogs/apis/{self._names.of('api')}"
        log = log_group(self, "Access", name, stage=self._stage, names=self._names)
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
        raise_when(
            self,
            "ServerErrors",
            self._api.metric_server_error(period=PERIOD),
            0,
            "the API answered with a server error: see its access log",
            stage=self._stage,
            names=self._names,
        )


def _title(text: str) -> str:
    return "".join(part.capitalize() for part in re.findall(r"[A-Za-z]+", text))
