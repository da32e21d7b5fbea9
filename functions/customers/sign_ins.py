"""Sign-ins: of the platform's own user pool, or of another issuer, who has to delete them himself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commerce import aws
from customers.service import SignIns

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


class UserPool:
    """The platform's own user pool.

    Parameters
    ----------
    cognito
        Its client.
    pool
        The pool's id.
    """

    def __init__(self, cognito: CognitoIdentityProviderClient, pool: str) -> None:
        self._cognito = cognito
        self._pool = pool

    def delete(self, subject: str) -> None:
        """Delete the user whose ``sub`` is ``subject``, which AdminDeleteUser takes for a user's name."""
        if not 1 <= len(subject) <= 128:  # AdminDeleteUser's bounds: no user has such an id
            return
        try:
            self._cognito.admin_delete_user(UserPoolId=self._pool, Username=subject)
        except self._cognito.exceptions.UserNotFoundException:
            return  # gone before


class OtherIssuer:
    """Somebody else's: he hears `commerce.events.CustomerErased` and does it."""

    def delete(self, subject: str) -> None:
        """Do nothing."""


def sign_ins(pool: str) -> SignIns:
    """Return the sign-ins of the user pool ``pool``, or of another issuer if there is none."""
    return UserPool(aws.cognito(), pool) if pool else OtherIssuer()
