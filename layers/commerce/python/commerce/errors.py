"""The root of every context's exception tree and its one mapping to problem details.

Each class carries what RFC 9457 asks for (a stable ``type``, a ``title``, a ``status``), so that an
API maps errors by type in one place and a state machine catches them by class name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

PROBLEM_BASE = "/problems/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that was refused.

    Attributes
    ----------
    field
        Where it is, in dotted form with list indexes: ``lines.3.quantity``.
    code
        Stable and machine-readable: ``required``, ``unknown``, ``out-of-range``.
    message
        One English sentence for the developer of the front end.
    """

    field: str
    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "message": self.message}


class CommerceError(Exception):
    """Something that the platform refuses or cannot do, known by its type.

    Parameters
    ----------
    detail
        What happened this time, for a person; carries no personal data.
    fields
        The request's fields at fault, if any.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.fields = tuple(fields)

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body of this error."""
        body: dict[str, Any] = {
            "type": PROBLEM_BASE + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.fields:
            body["errors"] = [field.to_dict() for field in self.fields]
        return body

    def headers(self) -> Mapping[str, str]:
        """Return headers that belong to the answer besides its content type."""
        return {}


class Invalid(CommerceError):
    """The request is well-formed JSON but breaks a rule; ``fields`` says where."""

    status = 422
    slug = "invalid"
    title = "The request breaks a rule"


class Malformed(CommerceError):
    """The request cannot be read at all."""

    status = 400
    slug = "malformed"
    title = "The request cannot be read"


class Unauthenticated(CommerceError):
    """Nobody, or somebody whose proof does not hold."""

    status = 401
    slug = "unauthenticated"
    title = "Sign in first"


class Forbidden(CommerceError):
    """Somebody known, who may not do this."""

    status = 403
    slug = "forbidden"
    title = "Not yours to do"


class NotFound(CommerceError):
    """No such thing, or not the caller's: the two are not told apart."""

    status = 404
    slug = "not-found"
    title = "No such thing"


class Conflict(CommerceError):
    """The thing is not in a state that allows this."""

    status = 409
    slug = "conflict"
    title = "Not possible in this state"


class TooLarge(CommerceError):
    """The body is longer than the route takes."""

    status = 413
    slug = "too-large"
    title = "The request is too large"


class TooMany(CommerceError):
    """The caller does this too often; the same call may go through later.

    Parameters
    ----------
    seconds
        From now until it may.
    """

    status = 429
    slug = "too-many"
    title = "Too often; try again later"

    def __init__(self, detail: str = "", *, seconds: int = 1) -> None:
        super().__init__(detail)
        self.seconds = seconds

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.seconds)}


class Unavailable(CommerceError):
    """Something that the platform leans on does not answer now; try again."""

    status = 503
    slug = "unavailable"
    title = "Try again in a moment"

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "1"}
