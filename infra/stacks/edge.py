"""The public HTTP API: the routes of `commerce.access`, exactly, each with its authoriser."""

from __future__ import annotations

import json
import re

from aws_cdk import CfnOutput, Duration, Fn, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from commerce import origin
from commerce.access import ROUTES, Route
from infra.constructs.alarm import Alarms
from infra.constructs.metrics import P99, SUM, of_api
from infra.constructs.runtime import log_group
from infra.names import Names
from infra.settings import ORIGIN_DIGESTS, Domain, Stage
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
        self._names = Names(self, stage)
        self.alarms = Alarms(self, stage=stage, names=self._names)
        domain = stage.entry.domain if stage.entry else None
        self._api = apigateway.HttpApi(
            self,
            "Api",
            api_name=self._names.of("api"),
            create_default_stage=False,
            disable_execute_api_endpoint=domain is not None,
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
        routes = self._routes()
        made = self._default_stage(routes)
        if domain:
            self._own_name(domain, made)
        self._watch()
        self._names.publish("api-id", self._api.api_id)
        if stage.entry:
            CfnOutput(self, "OriginSecretName", value=self._names.of("origin"))
        CfnOutput(self, "ApiId", value=self._api.api_id)
        CfnOutput(self, "ApiUrl", value=f"https://{domain.api_name}" if domain else self._api.api_endpoint)

    def _routes(self) -> list[apigateway.CfnRoute]:
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
        return [
            apigateway.CfnRoute(
                self,
                f"{_title(key)}Route",
                api_id=self._api.api_id,
                route_key=key,
                target=f"integrations/{targets[route.function].ref}",
                authorization_type="JWT" if route.signed_in else "NONE",
                authorizer_id=authorizer.ref if route.signed_in else None,
            )
            for key, route in ROUTES.items()
        ]

    def _default_stage(self, routes: list[apigateway.CfnRoute]) -> apigateway.CfnStage:
        name = f"/aws/vendedlogs/apis/{self._names.of('api')}"
        log = log_group(self, "Access", name, stage=self._stage, names=self._names)
        throttle = self._stage.open_throttle
        made = apigateway.CfnStage(
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
            route_settings={
                key: {
                    "ThrottlingRateLimit": throttle.rate,
                    "ThrottlingBurstLimit": throttle.burst,
                    "DetailedMetricsEnabled": True,
                }
                for key, route in ROUTES.items()
                if _open_and_dear(key, route)
            },
            # What the functions are told of the entry's secret header (`commerce.origin`).
            stage_variables=({origin.VARIABLE: self._names.published(ORIGIN_DIGESTS)} if self._stage.entry else None),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(_LOG)
            ),
        )
        for route in routes:  # settings of a route that is not there yet are refused
            made.add_resource_dependency(route)
        return made

    def _own_name(self, domain: Domain, stage: apigateway.CfnStage) -> None:
        certificate = certificates.Certificate.from_certificate_arn(self, "Certificate", domain.api_certificate)
        name = apigateway.DomainName(
            self,
            "Name",
            domain_name=domain.api_name,
            certificate=certificate,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        apigateway.CfnApiMapping(
            self, "Mapping", api_id=self._api.api_id, domain_name=name.name, stage=stage.stage_name
        ).add_resource_dependency(stage)
        CfnOutput(self, "ApiNameTarget", value=name.regional_domain_name)

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


def _open_and_dear(key: str, route: Route) -> bool:
    """Whether anybody may call it, and yet a call costs a write or the use of a key."""
    return not route.signed_in and (route.open_to != "nobody" or not key.startswith("GET "))


def _title(text: str) -> str:
    return "".join(part.capitalize() for part in re.findall(r"[A-Za-z]+", text))
