"""An API held against its own OpenAPI document, by schemathesis: generated calls, every answer checked.

Cases are drawn from the document, some in its terms and some against them; real ids and bodies are put in, so that not
only refusals are seen, and each is made by one of several callers. It knows nothing of the platform: what it is told is
a document, somewhere to send to, and who there is.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Known:
    """What is really there, for one route.

    Attributes
    ----------
    values
        Name of a path or query parameter, or of a field anywhere in a body -> values to put there.
    query
        Query parameters that the route needs.
    body
        A body that the route takes.
    """

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class Conformance:
    """Calls of one API and what was wrong with their answers.

    Parameters
    ----------
    document
        OpenAPI 3.1.
    http
        Where calls go; its base URL is the API's.

    Attributes
    ----------
    seen
        Route and status -> how often it was answered.
    """

    def __init__(self, document: Mapping[str, Any], http: httpx.Client) -> None:
        self._schema = schemathesis.openapi.from_dict(dict(document))
        self._http = http
        self.seen: Counter[tuple[str, int]] = Counter()

    def check(self, route: str, callers: Sequence[Headers], known: Known, examples: int, *, random: bool) -> None:
        """Make calls of ``route`` (``GET /orders/{number}``) and check each answer.

        Parameters
        ----------
        callers
            Headers that say who calls; each is drawn about as often. The first makes a call that is in order.
        examples
            Calls in the document's terms, and as many against them.
        random
            Draw others in each run.

        Raises
        ------
        AssertionError, schemathesis.core.failures.FailureGroup
            An answer is a server error, or not what the document says.
        """
        method, path = route.split(" ", 1)
        operation = self._schema[path][method]
        right = operation.Case(
            path_parameters={name: known.values[name][0] for name in re.findall(r"{(\w+)}", path)},
            query=dict(known.query),
            headers={"Idempotency-Key": str(uuid.uuid4())},
            body=NOT_SET if known.body is None else known.body,
            media_type=None if known.body is None else "application/json",
        )
        self._send(route, right, callers[0])
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            bounded = settings(
                max_examples=examples,
                derandomize=not random,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            try:
                bounded(
                    given(operation.as_strategy(generation_mode=mode), st.sampled_from(callers), st.randoms())(
                        lambda case, caller, dice: self._call(route, case, caller, known, dice)
                    )
                )()
            except Unsatisfiable:  # nothing can be said against its terms, for there are none
                if mode is GenerationMode.POSITIVE:
                    raise

    def _call(self, route: str, case: Any, caller: Headers, known: Known, dice: Any) -> None:
        for where in (case.path_parameters, case.query):
            for name in where or ():
                if name in known.values and dice.random() < 0.8:
                    where[name] = dice.choice(known.values[name])
        if known.body is not None and dice.random() < 0.3:
            case.body = known.body
        elif isinstance(case.body, dict | list):
            case.body = _with(case.body, known.values, dice)
        self._send(route, case, caller)

    def _send(self, route: str, case: Any, caller: Headers) -> None:
        asked = requests.Request(**_arguments(case, str(self._http.base_url), caller)).prepare()
        content = asked.body.encode() if isinstance(asked.body, str) else asked.body
        try:
            answer = self._http.request(
                asked.method or "", asked.url or "", headers=dict(asked.headers), content=content
            )
        except httpx.LocalProtocolError:
            return  # a header that HTTP cannot carry: nothing was sent
        answer.elapsed = timedelta()  # schemathesis reads it, httpx sets it for what came over a wire only
        self.seen[route, answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as error:
            told = "; ".join(f"{one.title}: {one.message}" for one in error.exceptions)
            raise AssertionError(
                f"{asked.method} {asked.url} {content!r}: {answer.status_code} {answer.text[:500]}: {told}"
            ) from error


def _arguments(case: Any, base: str, caller: Headers) -> dict[str, Any]:
    made = case.as_transport_kwargs(base_url=base)
    made["headers"] = {**(made.get("headers") or {}), **caller}
    return {
        name: made[name] for name in ("method", "url", "headers", "params", "data", "json", "cookies") if name in made
    }


def _with(value: Any, known: Mapping[str, Sequence[Any]], dice: Any) -> Any:
    """Return a body with real values in the fields that have a name of ``known``, most of the time."""
    if isinstance(value, dict):
        return {
            name: dice.choice(known[name])
            if name in known and not isinstance(one, dict | list) and dice.random() < 0.8
            else _with(one, known, dice)
            for name, one in value.items()
        }
    return [_with(one, known, dice) for one in value] if isinstance(value, list) else value
