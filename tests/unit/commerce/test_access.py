"""Who is let in, at every route, whatever groups the caller is in and whatever the claims look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations
from typing import Any

import pytest

from commerce import http
from commerce.access import GROUPS, ROUTES
from tests.objects import OWNERS, about, owner

pytestmark = pytest.mark.unit

SETS = [frozenset(some) for some in chain.from_iterable(combinations(GROUPS, n) for n in range(len(GROUPS) + 1))]
"""Every set of groups that a caller may be in."""

NOT_SIGNED_IN: Mapping[str, Any] = {
    "no context": {},
    "null": {"authorizer": None},
    "empty": {"authorizer": {}},
    "another authoriser": {"authorizer": {"lambda": {"sub": "s", "cognito:groups": "[ops]"}}},
    "IAM": {"authorizer": {"iam": {"userArn": "arn", "cognito:groups": "[ops]"}}},
    "no claims": {"authorizer": {"jwt": {}}},
    "null claims": {"authorizer": {"jwt": {"claims": None}}},
    "claims beside the token": {"authorizer": {"claims": {"sub": "s", "cognito:groups": "[ops]"}}},
    "groups of nobody": {"authorizer": {"jwt": {"claims": {"cognito:groups": f"[{' '.join(GROUPS)}]"}}}},
    "an empty subject": {"authorizer": {"jwt": {"claims": {"sub": "", "cognito:groups": f"[{' '.join(GROUPS)}]"}}}},
}

ODD_GROUPS: Mapping[str, Any] = {
    "another case": "[Customer OPS Warehouse]",
    "parts of names": "[custom op ware house]",
    "names run together": "[customer;ops]",
    "a path": "/customer/ops",
    "unknown": "[admins]",
    "a number": 5,
    "an object": {"customer": True},
    "scopes": None,
}


def answered(key: str, context: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the status of a call of ``key``, and whether its use case was reached."""
    reached = []

    def use(_: http.Request) -> http.Answer:
        reached.append(key)
        return 200, {}

    status, _, _ = http.respond(key, use, {"requestContext": {**context, "routeKey": key}})
    return status, bool(reached)


def signed_in(groups: Any) -> dict[str, Any]:
    return {"authorizer": {"jwt": {"claims": {"sub": "someone", "cognito:groups": groups}}}}


def forms(groups: frozenset[str]) -> Iterator[Any]:
    """Yield the forms that issuers and the gateway give the claim."""
    names = sorted(groups)
    yield names
    yield f"[{' '.join(names)}]"
    yield ",".join(names)


def test_every_route_is_about_something_whose_owner_is_known() -> None:
    assert {about(key) for key in ROUTES} == set(OWNERS), "tests/objects.py says whose each thing is"


def test_what_a_route_asks_for_fits_whose_the_thing_is() -> None:
    for key, route in ROUTES.items():
        if route.open_to:
            assert owner(key) == route.open_to, key
        else:
            assert owner(key) not in ("signature", "nobody"), key
        if owner(key) in ("buyer", "reader"):
            assert "customer" in route.groups, key
        if owner(key) == "groups":
            assert "customer" not in route.groups, f"{key}: whoever signs up is a customer"


@pytest.mark.parametrize("key", ROUTES)
def test_whoever_is_in_one_of_the_routes_groups_is_let_in_and_nobody_else(key: str) -> None:
    route = ROUTES[key]
    for groups in SETS:
        # Whoever signs up is a customer without being given a group.
        let_in = bool(route.open_to or (groups or {"customer"}) & route.groups)
        for claim in forms(groups):
            assert answered(key, signed_in(claim)) == ((200, True) if let_in else (403, False)), claim


@pytest.mark.parametrize("key", ROUTES)
def test_without_a_sign_in_only_open_routes_are_reached(key: str) -> None:
    for what, context in NOT_SIGNED_IN.items():
        assert answered(key, context) == ((200, True) if ROUTES[key].open_to else (401, False)), what


@pytest.mark.parametrize("key", [key for key, route in ROUTES.items() if route.signed_in])
def test_odd_groups_open_nothing(key: str) -> None:
    for what, claim in ODD_GROUPS.items():
        # No groups at all is a customer; a claim that holds anything else is believed to the letter.
        as_customer = claim is None and "customer" in ROUTES[key].groups
        assert answered(key, signed_in(claim)) == ((200, True) if as_customer else (403, False)), what
