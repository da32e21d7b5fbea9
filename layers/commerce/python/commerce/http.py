"""HTTP entry of every context: the routes of one function, their callers, and problems by type.

A context's ``api.py`` builds one `Api` and registers its routes; a handler parses with `body`, calls
one use case and returns what it says. The gateway has done the routing; validation is done with the
context's own pydantic models.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from commerce import origin, telemetry
from commerce.access import ROUTES
from commerce.errors import CommerceError, FieldError, Forbidden, Invalid, Malformed, TooLarge, Unauthenticated
from commerce.limits import (
    DEEPEST_JSON,
    LARGEST_BODY,
    LONGEST_CURSOR,
    LONGEST_KEY,
    LONGEST_PARAMETER,
    MOST_A_PAGE,
    USUAL_PAGE,
)
from commerce.strict import read_json

T = TypeVar("T", bound=BaseModel)
Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
Use = Callable[["Request"], Answer]

MOST_TOLD = 100
"""Fields at fault that an answer names: a body has room for tens of thousands, and each is compared with each."""

_KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")

_MEMBERS = frozenset({"str", "list[str]"})
"""What pydantic calls the members of a union in an error's location; no field has such a name."""


class IdempotencyKeyMissing(Malformed):
    """A route that has one effect per key was called without one."""

    slug = "idempotency-key-missing"
    title = "This route needs the header Idempotency-Key"


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes
    ----------
    subject
        The issuer's ``sub`` claim; empty for an open route.
    groups
        The platform's groups the caller is in.
    """

    subject: str
    groups: frozenset[str]


@dataclass(frozen=True)
class Operation:
    """What the API reference says of a route (`tools.openapi`).

    Attributes
    ----------
    summary
        One sentence.
    request, response
        Models of the bodies, if there are any.
    status
        Of the answer when all is well.
    query
        Query parameter -> description.
    headers
        Request header -> (description, required).
    refused
        Statuses that it refuses with besides those that follow from its method, path and callers.
    most
        Entries of a page, of a list; where it is fewer than usual, that many come unasked.
    """

    summary: str
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    query: Mapping[str, str] | None = None
    headers: Mapping[str, tuple[str, bool]] | None = None
    refused: tuple[int, ...] = ()
    most: int = MOST_A_PAGE


class Request:
    """One call as a route's function sees it."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event
        self.route: str = event["requestContext"].get("routeKey", event.get("routeKey", ""))

    @property
    def path(self) -> Mapping[str, str]:
        """Path parameters, URL-decoded by the gateway.

        Raises
        ------
        Malformed
            One is longer than any name of ours, has control characters or is no text.
        """
        return _plain(self._event.get("pathParameters") or {})

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters; a repeated one has its values joined by commas.

        Raises
        ------
        Malformed
            One is longer than any value of ours, has control characters or is no text.
        """
        return _plain(self._event.get("queryStringParameters") or {})

    def header(self, name: str) -> str | None:
        """Return a header, whatever the case of its name."""
        headers = self._event.get("headers") or {}
        found = headers.get(name.lower())
        if found is None:
            found = next((value for key, value in headers.items() if key.lower() == name.lower()), None)
        return found

    @property
    def raw_body(self) -> bytes:
        """The body as sent.

        Raises
        ------
        TooLarge
            It is longer than `commerce.limits.LARGEST_BODY`; it is not decoded then.
        Malformed
            It is said to be base64, and is not, or has a character that is half of one.
        """
        text = self._event.get("body") or ""
        encoded = bool(self._event.get("isBase64Encoded"))
        if len(text) > (-(-LARGEST_BODY // 3) * 4 if encoded else LARGEST_BODY):
            raise _too_large()
        try:
            raw = base64.b64decode(text, validate=True) if encoded else text.encode()
        except ValueError as error:
            raise Malformed("the body cannot be read") from error
        if len(raw) > LARGEST_BODY:
            raise _too_large()
        return raw

    def body(self, model: type[T]) -> T:
        """Return the JSON body as ``model``.

        Raises
        ------
        Malformed
            It is not a JSON object, or nested deeper than `commerce.limits.DEEPEST_JSON`.
        Invalid
            A field is missing or wrong; the error names each.
        """
        try:
            data = read_json(self.raw_body)
        except ValueError as error:
            raise Malformed("the body is not JSON") from error
        if not isinstance(data, dict):
            raise Malformed("the body is not a JSON object")
        if _deeper(data, DEEPEST_JSON):
            raise Malformed(fields=[FieldError("body", "too-deep", f"at most {DEEPEST_JSON} levels")])
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise Invalid(fields=field_errors(error)) from error

    @property
    def caller(self) -> Caller:
        """Who calls, by the claims that the authoriser verified."""
        context = self._event["requestContext"].get("authorizer") or {}
        claims = (context.get("jwt") or {}).get("claims") or {}
        # Whoever signs up is a customer; groups are given to those who work for the platform or its merchants.
        groups = _groups(claims) or frozenset({"customer"} if claims.get("sub") else ())
        return Caller(claims.get("sub", ""), groups)

    @property
    def by_staff(self) -> bool:
        """Whether the caller is let in as one of the staff: by a group of the route's other than ``customer``."""
        return bool(self.caller.groups & (ROUTES[self.route].groups - {"customer"}))

    @property
    def idempotency_key(self) -> str:
        """The header ``Idempotency-Key``: 1 to 255 visible ASCII characters.

        Raises
        ------
        IdempotencyKeyMissing
            It is not there.
        Malformed
            It is there but empty, too long or has other characters.
        """
        key = self.header("Idempotency-Key")
        if key is None:
            raise IdempotencyKeyMissing
        if not _KEY.fullmatch(key):
            message = f"takes 1 to {LONGEST_KEY} visible ASCII characters"
            raise Malformed(fields=[FieldError("Idempotency-Key", "out-of-range", message)])
        return key


class Api:
    """The routes of one function.

    Parameters
    ----------
    function
        Name in the route table: only routes given to it there can be registered.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._routes: dict[str, Use] = {}

    def route(self, key: str, use: Use) -> None:
        """Serve route ``key`` (``POST /orders``) by ``use``, which returns status, body and headers."""
        if ROUTES[key].function != self._function:
            raise ValueError(f"{key} belongs to {ROUTES[key].function}")
        self._routes[key] = use

    def handle(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one call of the HTTP API (payload format 2.0)."""
        return serve(event, self._routes)


def serve(event: Mapping[str, Any], routes: Mapping[str, Use]) -> dict[str, Any]:
    """Answer one call by the route that the gateway has matched: its ``routeKey`` is one of the route table's.

    No second router reads the path: it could take another route than the one whose callers the gateway let in, or
    none (`docs/decisions/2026-11-25-hostile-input.md`).
    """
    key = event["requestContext"]["routeKey"]
    status, headers, text = respond(key, routes[key], event)
    return {"statusCode": status, "headers": dict(headers), "body": text or "", "isBase64Encoded": False}


def refusal(error: CommerceError) -> dict[str, Any]:
    """Return the answer to a call that is refused before any of `Api` or `serve` is at work."""
    headers = {**error.headers(), "Content-Type": "application/problem+json"}
    return {"statusCode": error.status, "headers": headers, "body": json.dumps(error.problem())}


def respond(key: str, use: Use, event: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str | None]:
    """Let the caller in or not, run the use case, and translate its answer or its error.

    Returns
    -------
    tuple
        Status, headers and body; a `CommerceError` is a problem by its type, anything else a logged 500.
    """
    try:
        origin.check(event)
        request = Request(event)
        authorise(key, request.caller)
        answer = use(request)
    except CommerceError as error:
        if error.status >= 500:
            telemetry.logger().exception("request failed")
        answer = error.status, error.problem(), error.headers()
    except Exception:  # noqa: BLE001 - the edge: a caller gets an answer, and the API's 5xx alarm sees it
        telemetry.logger().exception("unknown error")
        answer = 500, CommerceError().problem()
    status, body = answer[0], answer[1]
    headers = dict(answer[2]) if len(answer) == 3 else {}
    if body is None:
        return status, headers, None
    headers["Content-Type"] = "application/problem+json" if status >= 400 else "application/json"
    return status, headers, json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def authorise(key: str, caller: Caller) -> None:
    """Refuse a caller whom the route table does not let in.

    Raises
    ------
    Unauthenticated
        The route needs a sign-in and there is none.
    Forbidden
        The caller is in none of the route's groups.
    """
    route = ROUTES[key]
    if not route.signed_in:
        return
    if not caller.subject:
        raise Unauthenticated()
    if not caller.groups & route.groups:
        raise Forbidden(f"this needs one of the groups {', '.join(sorted(route.groups))}")


def field_errors(error: ValidationError) -> list[FieldError]:
    """Return pydantic's errors as the platform's, with dotted field names.

    Of a value that fits no member of a union only the nearest miss is told: a list of texts with a number in it is
    wrong at the number, and not because it is no text. After `MOST_TOLD` it is enough.
    """
    found = [
        FieldError(_field(one["loc"]), _code(one["type"]), one["msg"])
        for one in error.errors(include_url=False, include_input=False, include_context=False)[:MOST_TOLD]
    ]
    return [one for one in found if not any(other.field.startswith(f"{one.field}.") for other in found)]


def _plain(parameters: Mapping[str, str]) -> Mapping[str, str]:
    # Names and ids go into keys of items, which take no lone surrogates; none has control characters.
    for name, value in parameters.items():
        most = LONGEST_CURSOR if name == "cursor" else LONGEST_PARAMETER
        if len(value) > most:
            raise Malformed(fields=[FieldError(name[:LONGEST_PARAMETER], "too-long", f"at most {most} characters")])
        if not value.isprintable():
            raise Malformed(f"{name} has characters that cannot be printed")
    return parameters


def _too_large() -> TooLarge:
    return TooLarge(fields=[FieldError("body", "too-long", f"at most {LARGEST_BODY} bytes")])


def _deeper(data: object, most: int) -> bool:
    """Return whether lists and objects stand inside one another more than ``most`` levels deep."""
    level: list[object] = [data]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in _MEMBERS) or "body"


def cursor(position: Mapping[str, Any] | None) -> str | None:
    """Return where a list goes on, as an opaque text."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(text: str | None, partition: str = "pk", scope: str | None = None) -> dict[str, Any] | None:
    """Return the position that `cursor` packed.

    Parameters
    ----------
    text
        The query parameter, or None for the first page.
    partition, scope
        The position must lie in this partition, so that no cursor leads into another's list.

    Raises
    ------
    Malformed
        It is not one of ours, or of another list.
    """
    if not text:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        position = read_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError as error:
        raise Malformed("the cursor is not one of ours") from error
    flat = isinstance(position, dict) and position and all(isinstance(one, str) for one in position.values())
    if not flat or (scope is not None and position.get(partition) != scope):
        raise Malformed("the cursor is of another list")
    return dict(position)


def page_size(query: Mapping[str, str], most: int = MOST_A_PAGE, usual: int = USUAL_PAGE) -> int:
    """Return the query parameter ``limit``, between 1 and ``most``.

    Raises
    ------
    Invalid
        It is no such number.
    """
    text = query.get("limit", str(usual))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise Invalid(fields=[FieldError("limit", "out-of-range", f"a number from 1 to {most}")])
    return int(text)


def with_etag(request: Request, version: object, body: Any) -> Answer:
    """Answer a polled thing: 304 without a body when the caller has this version already."""
    tag = f'"{version}"'
    given = request.header("If-None-Match") or ""
    if tag in [one.strip().removeprefix("W/") for one in given.split(",")]:
        return 304, None, {"ETag": tag}
    return 200, body, {"ETag": tag, "Cache-Control": "private, no-cache"}


def _groups(claims: Mapping[str, Any]) -> frozenset[str]:
    # API Gateway hands a list claim over as the text "[customer ops]".
    claim = claims.get("cognito:groups") or claims.get("groups") or ()
    names = claim if isinstance(claim, list) else re.split(r"[\s,]+", str(claim).strip("[]")) if claim else ()
    return frozenset(str(name).strip('"') for name in names if name)


def _code(kind: str) -> str:
    return {"missing": "required", "extra_forbidden": "unknown-field"}.get(kind, kind.replace("_", "-"))
