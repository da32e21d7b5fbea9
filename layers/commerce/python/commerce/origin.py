"""The way in: where a stage has an entry (CloudFront and its firewall), what did not come through it is refused.

The entry adds the header `HEADER` with a value that only it knows. The functions are not told the value but the SHA-256
digest of each value that is let in, as a variable of the API's stage, which API Gateway hands over with every event
(payload format 2.0, ``stageVariables``). A digest of 256 random bits opens nothing, so it is no secret: the check needs
no client, no call, no grant and no cache, and a rotation deploys no function.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from commerce.errors import Forbidden

HEADER = "origin-verify"
"""What the entry adds; a viewer's own header of that name is replaced by it."""

VARIABLE = "originDigests"
"""The stage variable: one or two digests in hexadecimal, with a comma between. Without it there is no entry."""


class NotThroughTheEntry(Forbidden):
    """The request came to the API past the entry."""

    slug = "not-through-the-entry"
    title = "Call the platform by its public address"


def digest(value: str) -> str:
    """Return what is told of a value of the header."""
    return hashlib.sha256(value.encode(errors="replace")).hexdigest()


def check(event: Mapping[str, Any]) -> None:
    """Refuse an event (payload format 2.0) that did not come through the entry, where there is one.

    Raises
    ------
    NotThroughTheEntry
        The header is missing, or has none of the values that are let in.
    """
    accepted = (event.get("stageVariables") or {}).get(VARIABLE)
    if accepted is None:
        return
    given = digest((event.get("headers") or {}).get(HEADER, ""))
    if not any([hmac.compare_digest(given, one) for one in accepted.split(",")]):  # noqa: C419 - all are compared
        raise NotThroughTheEntry
