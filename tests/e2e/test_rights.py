"""What the roles may do: enough, no more than is made use of, and a right that is missing is noticed by name.

The rest of the suite plays with IAM enforced (`tools.localcloud.rights`); here is looked at what it asked for.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import httpx
import pytest

from tests.e2e.support import GB, Goods, Platform, Shop, until
from tools import iam
from tools.client import Refused, TooLate, new_key

pytestmark = [pytest.mark.e2e, pytest.mark.after_all]

SUITE = Path(__file__).parent


@cache
def journal() -> Path:
    return Path(os.environ["LOCALCLOUD_HOME"]) / "calls.jsonl"


@pytest.fixture(scope="module")
def seen(platform: Platform) -> tuple[list[iam.Right], list[iam.Right]]:
    """What was allowed and refused before anything was planted, in the order in which it was first asked for."""
    allowed, refused = iam.decisions(journal(), platform.deployment.stage)
    assert allowed, "IAM is not enforced on this cloud: --enforced"
    return allowed, refused


def test_every_function_has_the_rights_that_it_asks_for(seen: tuple[list[iam.Right], list[iam.Right]]) -> None:
    assert [str(right) for right in seen[1]] == []


def test_no_role_has_a_right_that_nothing_makes_use_of(
    request: pytest.FixtureRequest, platform: Platform, seen: tuple[list[iam.Right], list[iam.Right]]
) -> None:
    played = {item.path for item in request.session.items}
    if not played.issuperset(SUITE.glob("test_*.py")):
        pytest.skip("only the whole suite makes use of everything")
    rights = iam.granted(platform.deployment)
    assert [str(right) for right in iam.unused(rights, seen[0])] == []
    assert iam.needless(rights) == [], "an entry of tools.iam.UNSEEN explains nothing"


# ---- planted -------------------------------------------------------------------------------------------------------


def refused(platform: Platform, who: str, action: str) -> bool:
    return (who, action) in {(one.who, one.action) for one in iam.decisions(journal(), platform.deployment.stage)[1]}


@pytest.mark.parametrize(
    ("path", "who", "action"),
    [
        ("/ops/queues", "orders-ops", "sqs:ListQueues"),
        ("/orders/{number}", "orders-api", "dynamodb:GetItem"),
        ("/orders/{number}/payments", "payments-api", "dynamodb:GetItem"),
        ("/orders/{number}/shipments", "shipping-api", "dynamodb:Query"),
    ],
)
def test_a_missing_right_is_noticed(
    platform: Platform, seen: tuple[list[iam.Right], list[iam.Right]], path: str, who: str, action: str
) -> None:
    api = platform.staff["ops"]
    orders = platform.english.api.ask("GET", "/orders", query={"limit": "100"})["orders"]
    ways = (path.format(number=order["number"]) for order in orders)
    path = next(way for way in ways if api.send("GET", way).status == 200)
    with iam.without(platform.deployment, who, action):
        assert api.send("GET", path).status == 500
    assert refused(platform, who, action), f"the journal does not say that {who} misses {action}"
    assert api.send("GET", path).status == 200


@pytest.mark.skipif("IAM_PLANT" not in os.environ, reason="takes minutes: make iam")
def test_a_right_that_anybody_misses_is_noticed(
    platform: Platform, seen: tuple[list[iam.Right], list[iam.Right]]
) -> None:
    """Each role loses the first right that it made use of, until that is asked for."""
    unnoticed = []
    for who in sorted(iam.roles(platform.deployment)):
        mine = [one for one in seen[0] if one.who == who and not refused(platform, who, one.action)]
        right = next(iter(mine), None)
        if right is None:
            assert who == "reference", f"{who} made use of no right"
            continue
        with iam.without(platform.deployment, who, right.action):
            stir(platform)
            try:
                until(partial(refused, platform, who, right.action), bool, str(right), within=40)
            except TooLate:
                unnoticed.append(str(right))
    assert unnoticed == []


def stir(platform: Platform) -> None:
    """Begin, in the background, whatever reaches every function; half of it fails, because a right is missing."""
    for doing in acts(platform):
        threading.Thread(target=_whatever_comes, args=(doing,), daemon=True).start()


def _whatever_comes(doing: Callable[[], object]) -> None:
    with suppress(Refused, TooLate, httpx.HTTPError, AssertionError, KeyError):
        doing()


def acts(platform: Platform) -> Iterator[Callable[[], object]]:
    shop = Shop(platform)
    goods, wanted = (Goods(f"R{new_key()[:12]}", 100) for _ in range(2))

    def one_that_arrives() -> None:
        platform.put_products([goods, wanted])
        platform.receive(GB, {goods.sku: 3})
        platform.await_offers([goods, wanted])
        shop.complete(shop.place((goods, 1)))

    def one_of_a_guest_that_is_cancelled() -> None:
        platform.await_offers([goods, wanted])
        order = shop.guest((goods, 1))
        shop.pay(order)
        shop.wait(order, "paid")
        shop.slips(order)
        order.cancel()

    def one_that_is_short() -> None:
        platform.await_offers([goods, wanted])
        order = shop.place((wanted, 1))
        shop.wait(order, "awaiting_stock")
        order.cancel()

    def one_that_had_left() -> None:
        task = {"order_id": platform.english.api.ask("GET", "/orders")["orders"][0]["number"].replace("-", "")}
        name = f"commerce-{platform.deployment.stage}-orders-resume:live"
        platform.deployment.client("lambda").invoke(FunctionName=name, Payload=json.dumps(task))

    yield one_that_arrives
    yield one_of_a_guest_that_is_cancelled
    yield one_that_is_short
    yield one_that_had_left
    yield lambda: platform.customer()
    for path in ("/orders", "/me", "/me/notifications"):
        yield lambda path=path: platform.english.api.send("GET", path)
    for path in ("/ops/queues", "/ops/orders", f"/stock/{goods.sku}", "/replenishments"):
        yield lambda path=path: platform.staff["ops"].send("GET", path)
    yield lambda: platform.staff["ops"].send("GET", "/slips", query={"warehouse": GB})
    yield lambda: platform.api.send("GET", "/catalog/products")
    yield lambda: platform.api.send("POST", "/payments/callbacks/sandbox", {}, key=new_key())
