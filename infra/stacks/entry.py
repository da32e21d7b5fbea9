"""The entry: CloudFront before the API, which it tells by a secret header that a request came this way."""

from __future__ import annotations

from aws_cdk import CfnOutput, Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from commerce import origin
from infra.names import Names
from infra.settings import FIREWALL_ARN, ORIGIN_VERSION, Entry, Stage


class EntryStack(Stack):
    """The stack ``commerce-<stage>-entry``.

    The header's value and the firewall's ARN come from outside its own stacks: `tools.entry` publishes the version
    of the secret that is to be sent, and carries the ARN over from us-east-1. Nothing is cached, because no answer of
    the API's is for more than one caller but the catalogue's.
    """

    def __init__(self, scope: Construct, *, stage: Stage, entry: Entry) -> None:
        super().__init__(scope, f"commerce-{stage.name}-entry", description="CloudFront before the HTTP API")
        names = Names(self, stage)
        domain = entry.domain
        # A version, because CloudFormation looks at a secret again only when the reference to it changes.
        secret = SecretValue.secrets_manager(names.of("origin"), version_id=names.published(ORIGIN_VERSION))
        api = f"{names.published('api-id')}.execute-api.{self.region}.{self.url_suffix}"
        log = s3.Bucket(
            self,
            "Log",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            # CloudFront delivers its log as another account, by an access control list.
            object_ownership=s3.ObjectOwnership.OBJECT_WRITER,
            server_access_logs_prefix="access/",
            # Addresses are personal data: they show who attacks, and go when they are of no more use for that.
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(stage.log_retention_days))],
            removal_policy=RemovalPolicy.DESTROY,
        )
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=names.of("entry"),
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.HttpOrigin(
                    domain.api_name if domain else api,
                    protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                    origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                    # It may only stand in the distribution's settings, which whoever reads may read the secret.
                    custom_headers={origin.HEADER: secret.unsafe_unwrap()},
                ),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                response_headers_policy=cloudfront.ResponseHeadersPolicy.SECURITY_HEADERS,
            ),
            geo_restriction=cloudfront.GeoRestriction.denylist(*entry.embargoed) if entry.embargoed else None,
            domain_names=[domain.name] if domain else None,
            certificate=(
                certificates.Certificate.from_certificate_arn(self, "Certificate", domain.certificate)
                if domain
                else None
            ),
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            enable_logging=True,
            log_bucket=log,
            log_file_prefix="entry/",
            web_acl_id=names.published(FIREWALL_ARN),
        )
        CfnOutput(self, "EntryUrl", value=f"https://{domain.name if domain else distribution.domain_name}")
        CfnOutput(self, "OriginVersion", value=names.published(ORIGIN_VERSION))
