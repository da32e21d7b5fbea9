"""One buyer places so many orders in a window and no more; another buyer is not touched by it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.settings import STAGES
from tests.e2e.support import GB, Shop, order_body
from tools.client import new_key

pytestmark = pytest.mark.e2e


def test_a_buyer_who_places_too_many_orders_is_told_when_to_go_on(shop: Shop) -> None:
    pace = STAGES[shop.platform.deployment.stage].pace
    (one,) = shop.goods({GB: 1000})
    buyer, other = shop.platform.customer(), shop.platform.customer()
    body = order_body([(one, 1)])
    # To begin with a window, so that the orders of two cannot be taken for those of one.
    time.sleep(pace.seconds - time.time() % pace.seconds)
    keys = [new_key() for _ in range(pace.orders + 8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda key: buyer.api.send("POST", "/orders", body, key=key), keys))
    refused = [answer for answer in answers if answer.status == 429]
    taken = [answer for answer in answers if answer.status == 202]
    assert len(taken) + len(refused) == len(answers), [answer.status for answer in answers]
    assert refused, f"{len(answers)} orders took longer than a window of {pace.seconds} s"
    # A slow machine may have come into the next window with the last of them.
    assert len(taken) >= pace.orders
    assert {answer.body["type"] for answer in refused} == {"/problems/too-many-orders"}
    assert all(1 <= int(answer.headers["retry-after"]) <= pace.seconds for answer in refused)
    assert len(buyer.api.ask("GET", "/orders", query={"limit": "100"})["orders"]) == len(taken)
    assert other.api.send("POST", "/orders", body, key=new_key()).status == 202
