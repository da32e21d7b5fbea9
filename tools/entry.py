"""What a stage's entry needs that no stack of it can know: the secret header's value, and the firewall's ARN.

The value lives in the secret ``commerce-<stage>-origin`` and is made here, because nothing in a template can tell its
digest. For the stacks are published (names in `infra.settings`): the digests of the current value and the one before
it, which the API lets in, and the version of the secret that CloudFront is to send.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from commerce.origin import digest
from infra.settings import FIREWALL_ARN, ORIGIN_DIGESTS, ORIGIN_VERSION

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

_BYTES = 32


def secret_name(stage: str) -> str:
    """Return the name of the secret."""
    return f"commerce-{stage}-origin"


def value(manager: SecretsManagerClient, stage: str) -> str:
    """Return what the entry sends."""
    return manager.get_secret_value(SecretId=secret_name(stage))["SecretString"]


def publish(manager: SecretsManagerClient, parameters: SSMClient, stage: str) -> None:
    """Make the value if there is none yet, and tell the stacks what to let in and what to send."""
    name = secret_name(stage)
    try:
        current = manager.get_secret_value(SecretId=name)
    except manager.exceptions.ResourceNotFoundException:
        manager.create_secret(
            Name=name, SecretString=secrets.token_urlsafe(_BYTES), Description="What the entry adds to a request"
        )
        current = manager.get_secret_value(SecretId=name)
    accepted = [digest(current["SecretString"])]
    try:
        before = manager.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")
        accepted.append(digest(before["SecretString"]))
    except manager.exceptions.ResourceNotFoundException:
        pass  # it was never rotated
    _put(parameters, stage, ORIGIN_DIGESTS, ",".join(accepted))
    _put(parameters, stage, ORIGIN_VERSION, current["VersionId"])


def rotate(manager: SecretsManagerClient, stage: str, sent: str) -> bool:
    """Make a new value, unless the one before is not sent yet.

    Parameters
    ----------
    sent
        Version of the secret that CloudFront sends (output ``OriginVersion`` of the entry's stack).

    Returns
    -------
    bool
        False: a rotation was broken off before CloudFront was told, and only has to be deployed. To make another value
        then would leave nobody who lets in what CloudFront still sends.
    """
    if manager.get_secret_value(SecretId=secret_name(stage))["VersionId"] != sent:
        return False
    manager.put_secret_value(SecretId=secret_name(stage), SecretString=secrets.token_urlsafe(_BYTES))
    return True


def carry(parameters: SSMClient, stage: str, firewall: str) -> None:
    """Tell the stacks of the stage's region the ARN of the firewall, which is in another."""
    _put(parameters, stage, FIREWALL_ARN, firewall)


def forget(manager: SecretsManagerClient, parameters: SSMClient, stage: str) -> None:
    """Take away what `publish` and `carry` made, when a stage is destroyed."""
    manager.delete_secret(SecretId=secret_name(stage), ForceDeleteWithoutRecovery=True)
    parameters.delete_parameters(Names=[_name(stage, one) for one in (ORIGIN_DIGESTS, ORIGIN_VERSION, FIREWALL_ARN)])


def _put(parameters: SSMClient, stage: str, name: str, text: str) -> None:
    parameters.put_parameter(Name=_name(stage, name), Value=text, Type="String", Overwrite=True)


def _name(stage: str, name: str) -> str:
    return f"/commerce/{stage}/{name}"
