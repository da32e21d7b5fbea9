"""Who may call what: every route of the route table, by everybody who may and everybody who may not.

The calls come out of `commerce.access.ROUTES` and `tests.objects.OWNERS`, so a new route is tried without a new test,
or fails `tests/unit/commerce/test_access.py` until somebody says whose the thing is that it is about.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from commerce.access import GROUPS, ROUTES, Route
from commerce.ids import mint_order_number
from tests.e2e.support import GB, Goods, Platform, Shop, says, until
from tests.objects import Owner, about, owner
from tools.client import Answer, Api, PlacedOrder, Provider, new_key

pytestmark = pytest.mark.e2e

SIGNED_IN = {key: route for key, route in ROUTES.items() if route.signed_in}
BAD_TOKENS = ("v1.e30.AAAA", "v2.a.b", "x" * 2000, "")
QUERIES = {"GET /slips": {"warehouse": GB}}
"""What a route cannot be called without."""


@dataclasses.dataclass(frozen=True)
class Victim:
    """What somebody has: a paid order of a customer with all that belongs to it, and one of a guest.

    Attributes
    ----------
    strangers
        Another guest's order: whoever tries holds its token.
    """

    order: PlacedOrder
    guest: PlacedOrder
    strangers: PlacedOrder
    payment: Mapping[str, Any]
    goods: Goods
    notice: str

    @property
    def things(self) -> dict[str, str]:
        """What a route is about (`tests.objects`) -> the path of the victim's."""
        return {
            "/orders/{number}": f"/orders/{self.order.number}",
            "/guest/orders/{number}": f"/guest/orders/{self.guest.number}",
            "/me/notifications/{id}": f"/me/notifications/{self.notice}",
            "/payments/callbacks/{provider}": "/payments/callbacks/sandbox",
            "/catalog/products/{sku}": f"/catalog/products/{self.goods.sku}",
            "/catalog/price-lists/{id}": "/catalog/price-lists/somebodys",
            "/slips/{id}": f"/slips/{self.order.id}-1",
            "/stock/{sku}": f"/stock/{self.goods.sku}",
            "/replenishments/{id}": f"/replenishments/rep_{self.goods.sku}",
            "/ops/queues/{name}": "/ops/queues/shipping-scans-dlq",
            "/ops/orders/{number}": f"/ops/orders/{self.order.number}",
            "/ops/customers/{id}": "/ops/customers/somebody",
        }

    def path(self, key: str) -> str:
        """Return the path of a route about what is the victim's."""
        path = key.split(" ")[1]
        thing = path[: path.rfind("}") + 1]
        return path.replace(thing, self.things[thing], 1) if thing else path


@pytest.fixture(scope="module")
def victim(platform: Platform) -> Iterator[Victim]:
    shop = Shop(platform)
    (goods,) = shop.goods({GB: 3})
    order, guest = shop.place((goods, 1)), shop.guest((goods, 1))
    strangers = shop.guest((goods, 1))
    payments = [shop.pay(one) for one in (order, guest, strangers)]
    for one in (order, guest, strangers):
        shop.slips(one)
    notices = until(lambda: shop.inbox(platform.english, order), len, "a notice")
    yield Victim(order, guest, strangers, payments[0], goods, notices[-1]["id"])
    for one in (order, guest, strangers):
        assert one.status == "paid", "something was done to what is another's"
        one.cancel()


def call(api: Api, key: str, path: str = "", **options: Any) -> Answer:
    """Call a route, about something that there is not unless ``path`` is given."""
    method, template = key.split(" ")
    number = mint_order_number(datetime.now(UTC))
    none = {"number": number, "id": f"{number}-1", "sku": "none", "name": "none-dlq", "provider": "none"}
    body = options.pop("body", {} if method in ("POST", "PUT") else None)
    return api.send(
        method, path or template.format_map(none), body, key=new_key(), query=QUERIES.get(key, {}), **options
    )


def customers(platform: Platform, key: str) -> tuple[Api, Api]:
    """Return a customer and one without a group who are not the victim; new ones where they ask to be erased."""
    if key == "POST /me/erasure":
        return platform.customer().api, platform.sign_in(f"leaver{new_key()[:8]}", [])
    return platform.chinese.api, platform.nobody


def paying(key: str, token: str) -> dict[str, Any]:
    """Return the body with which a payment is started, for the routes that do."""
    starts = key.startswith("POST ") and key.endswith("/payments")
    return {"body": {"provider": "sandbox", "order_token": token}} if starts else {}


@pytest.mark.parametrize("key", SIGNED_IN)
def test_nobody_calls_without_a_sign_in(platform: Platform, victim: Victim, key: str) -> None:
    head, claims, mac = platform.english.api.token.split(".")
    forged = f"{head}.{claims}.{mac[:-8]}{'A' * 8}"
    for bad in (platform.api, platform.api.signed_in("nonsense"), platform.api.signed_in(forged)):
        assert call(bad, key, victim.path(key)).status == 401


@pytest.mark.parametrize(("key", "route"), SIGNED_IN.items())
def test_only_the_routes_groups_are_let_in(platform: Platform, victim: Victim, key: str, route: Route) -> None:
    proof = {"Order-Token": victim.strangers.token} if key.endswith("/claim") else None
    customer, nobody = customers(platform, key)
    for group in GROUPS:
        if group in route.groups:
            answer = call(customer if group == "customer" else platform.staff[group], key, headers=proof)
            assert answer.status < 500, (group, answer)
            assert answer.status not in (401, 403), (group, answer)
        else:
            answer = call(platform.staff[group], key, victim.path(key), headers=proof)
            assert says(answer) == (403, "forbidden"), (group, answer)
    # Whoever signs up is a customer without being given a group.
    assert (call(nobody, key, headers=proof).status == 403) == ("customer" not in route.groups)


@pytest.mark.parametrize("key", [key for key in ROUTES if key.startswith("GET ")])
def test_whoever_may_see_a_thing_sees_it(platform: Platform, victim: Victim, key: str) -> None:
    route = ROUTES[key]
    if route.signed_in:
        callers = [platform.english.api if group == "customer" else platform.staff[group] for group in route.groups]
    else:
        callers = [platform.api]
    proof = {"Order-Token": victim.guest.token} if route.open_to == "order-token" else {}
    for api in callers:
        answer = call(api, key, victim.path(key), headers=proof)
        assert answer.status == 200, answer


# ---- whose it is ---------------------------------------------------------------------------------------------------


def of_a_buyer(platform: Platform, victim: Victim, key: str) -> None:
    """For another customer there is no such order: with nothing, with an order token of his own, with both."""
    path, of_guest = victim.path(key), victim.path(key).replace(victim.order.number, victim.guest.number)
    for stranger in (platform.chinese.api, platform.nobody):
        none = call(stranger, key, **paying(key, victim.order.token))
        for one in (path, of_guest):
            for token in (victim.order.token, victim.guest.token, victim.strangers.token):
                answer = call(stranger, key, one, **paying(key, token))
                assert answer.status == 404, answer
                assert answer.body["type"] == none.body["type"], "whether an order exists is told"
            his_own = {"Order-Token": victim.strangers.token}
            answer = call(stranger, key, one, headers=his_own, **paying(key, victim.strangers.token))
            assert answer.status == 404, answer


def of_a_reader(platform: Platform, victim: Victim, key: str) -> None:
    """For another customer there is no such notice."""
    for stranger in (platform.chinese.api, platform.nobody):
        none, answer = call(stranger, key), call(stranger, key, victim.path(key))
        assert answer.status == 404, answer
        assert answer.body["type"] == none.body["type"], "whether a notice exists is told"
    assert call(platform.english.api, key, victim.path(key)).status == 200


def of_the_caller(platform: Platform, victim: Victim, key: str) -> None:
    """What a stranger is answered, and what he is shown, has nothing of the victim in it."""
    for stranger in customers(platform, key):
        told = str(call(stranger, key).body)
        for secret in (victim.order.number, victim.order.id, platform.english.email, "Lovelace"):
            assert secret not in told, told
    assert platform.english.api.ask("GET", "/me")["name"] == "Ada Lovelace"


def of_a_merchant(platform: Platform, victim: Victim, key: str) -> None:
    """Whoever acts for another merchant, or for none yet, changes nothing of these products."""
    product = {
        "sku": victim.goods.sku,
        "merchant_id": platform.merchant,
        "title": {"en": "Mine now"},
        "tax_rate_bp": 0,
        "tax_inclusive": True,
    }
    price = {"sku": victim.goods.sku, "unit_price": 1}
    list_of_prices = {
        "currency": "GBP",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2036-01-01T00:00:00Z",
        "entries": [price],
    }
    rival = platform.sign_in("rival" + new_key()[:6], ["merchant"])
    if about(key) == "/catalog/price-lists/{id}":
        bodies: list[dict[str, Any]] = [list_of_prices]
    else:
        bodies = [{"products": [product]}, {"products": [{**product, "merchant_id": f"mer_rival{platform.run}"}]}]
    for body in bodies:
        answer = call(rival, key, victim.path(key), body=body)
        assert says(answer) == (403, "not-your-merchant"), answer
    shown = platform.api.ask("GET", f"/catalog/products/{victim.goods.sku}")
    assert shown["title"]["en"] != "Mine now"
    assert 1 not in [one["unit_price"] for offer in shown["offers"] for one in offer["prices"]]


def of_a_token_holder(platform: Platform, victim: Victim, key: str) -> None:
    """Without the token nobody is anybody; with that of another order there is no such order."""
    api = platform.chinese.api if ROUTES[key].signed_in else platform.api
    path = victim.path(key).replace(victim.order.number, victim.guest.number)
    body = {"body": {"provider": "sandbox"}} if paying(key, "") else {}
    without = call(api, key, path, **body)
    assert without.status == 401, without
    for bad in BAD_TOKENS:
        answer = call(api, key, path, headers={"Order-Token": bad}, **body)
        assert answer.status == 401, (bad, answer)
    for other in (victim.strangers.token, victim.order.token):
        answer = call(api, key, path, headers={"Order-Token": other}, **body)
        assert answer.status == 404, answer


def of_a_signer(platform: Platform, victim: Victim, key: str) -> None:
    """A callback with another key, with none, or altered after it was signed is nobody's."""
    assert says(Provider(platform.api, "x" * 48).call_back(victim.payment, "declined")) == (401, "bad-signature")
    assert says(call(platform.api, key, victim.path(key))) == (401, "bad-signature")
    assert says(call(platform.staff["finance"], key, victim.path(key))) == (401, "bad-signature")


def of_the_platform(platform: Platform, victim: Victim, key: str) -> None:
    """Whoever is let in by group meets what anybody of the group meets: it is nobody's own."""
    if key.startswith("GET "):
        seen = [call(platform.staff[group], key, victim.path(key)).body.keys() for group in sorted(ROUTES[key].groups)]
        assert all(one == seen[0] for one in seen), seen
    assert "customer" not in ROUTES[key].groups


def public(platform: Platform, victim: Victim, key: str) -> None:
    """What is public says the same to everybody."""
    if key.startswith("GET "):
        told = [
            call(api, key, victim.path(key)).status for api in (platform.api, platform.nobody, platform.staff["ops"])
        ]
        assert told == [200, 200, 200]


TRIALS: Mapping[Owner, Callable[[Platform, Victim, str], None]] = {
    "buyer": of_a_buyer,
    "reader": of_a_reader,
    "caller": of_the_caller,
    "merchant": of_a_merchant,
    "order-token": of_a_token_holder,
    "signature": of_a_signer,
    "groups": of_the_platform,
    "nobody": public,
}


def test_there_is_a_trial_for_every_kind_of_owner() -> None:
    assert set(TRIALS) == set(get_args(Owner))


@pytest.mark.parametrize("key", ROUTES)
def test_nobody_meets_what_is_anothers(platform: Platform, victim: Victim, key: str) -> None:
    TRIALS[owner(key)](platform, victim, key)


def test_a_token_is_the_buyers_and_there_while_it_is_to_be_paid(shop: Shop) -> None:
    (goods,) = shop.goods({GB: 1})
    order, platform = shop.place((goods, 1)), shop.platform
    path = f"/orders/{order.number}"
    for group in ("support", "ops"):
        shown = platform.staff[group].ask("GET", path)
        assert shown["number"] == order.number
        assert "order_token" not in shown
    assert platform.english.api.ask("GET", path)["order_token"]
    shop.pay(order)
    shop.wait(order, "paid")
    assert "order_token" not in platform.english.api.ask("GET", path)


def test_what_is_open_is_open(platform: Platform) -> None:
    described = platform.api.ask("GET", "/openapi.json")
    paths = {f"{method.upper()} {path}" for path, of in described["paths"].items() for method in of}
    assert paths == set(ROUTES)
    assert "html" in platform.api.send("GET", "/reference").headers["content-type"]
    assert platform.api.send("GET", "/nothing").status == 404
    listed = platform.api.ask("GET", "/catalog/products", query={"limit": "5"})["products"]
    assert len(listed) == 5
    shown = platform.api.ask("GET", f"/catalog/products/{listed[0]['sku']}")
    assert shown["sku"] == listed[0]["sku"]
