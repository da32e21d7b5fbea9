"""Money, numbers, tokens, requests and relay of the shared kernel."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, StrictStr, ValidationError
from stdnum.iso7064 import mod_37_36

from commerce import http, ids, money, outbox, relay, strict, telemetry
from commerce.access import GROUPS, ROUTES
from commerce.clock import parse, rfc3339
from commerce.errors import CommerceError, Forbidden, Invalid, Malformed, Unauthenticated
from commerce.events import StockAvailable

NOW = datetime(2026, 11, 23, 6, 7, 8, 123000, tzinfo=UTC)
NUMBERS = st.builds(
    ids.mint_order_number,
    st.datetimes(datetime(2026, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    st.integers(0, 2**22 - 1),
)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_allocation_loses_no_unit_and_keeps_proportion(amount: int, weights: list[int]) -> None:
    shares = money.allocate(amount, weights)
    assert sum(shares) == amount
    total = sum(weights)
    if total:
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share * total - amount * weight) <= total


def test_allocation_refuses_what_makes_no_sense() -> None:
    for weights in ([], [1, -1]):
        with pytest.raises(ValueError, match="weights"):
            money.allocate(1, weights)


def test_money_keeps_its_currency_and_shows_its_minor_units() -> None:
    assert str(money.Money(-1234, "GBP")) == "-12.34 GBP"
    assert str(money.Money(1234, "JPY")) == "1234 JPY"
    assert str(money.Money(1234, "KWD")) == "1.234 KWD"
    assert money.Money(1, "GBP") + money.Money(2, "GBP") - money.Money(5, "GBP") == money.Money(-2, "GBP")
    with pytest.raises(money.CurrencyMismatch):
        money.Money(1, "GBP") + money.Money(1, "CNY")


@given(NUMBERS)
def test_a_number_is_read_however_it_is_written(number: str) -> None:
    shown = ids.show_order_number(number)
    for written in (number, shown, shown.lower(), f" {shown.replace('-', ' ')} "):
        assert ids.read_order_number(written) == number


@given(NUMBERS, st.data())
def test_a_wrong_character_is_always_found(number: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([one for one in ids.ALPHABET if one != number[at]]))
    with pytest.raises(ids.MistypedNumber):
        ids.read_order_number(number[:at] + other + number[at + 1 :])


def test_swapped_neighbours_are_found_but_for_a_thousandth() -> None:
    swapped = missed = 0
    for n in range(300):
        number = ids.mint_order_number(NOW + timedelta(hours=n), n * 7919)
        for at in range(len(number) - 1):
            if number[at] != number[at + 1]:
                swapped += 1
                other = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
                try:
                    ids.read_order_number(other)
                    missed += 1
                except ids.MistypedNumber:
                    continue
    assert swapped > 2000
    assert missed / swapped < 0.005


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0606-4G0Y-ZZ4",
        "0606-4G0Y-ZZ400",
        "06064G0YZZ4é",
        "0606 4G0Y ZZ4A",
        "٠" * 12,
    ],
)
def test_what_cannot_be_a_number_is_refused(text: str) -> None:
    with pytest.raises(ids.MistypedNumber):
        ids.read_order_number(text)


def test_numbers_and_ids_sort_by_time() -> None:
    minted = [ids.mint_order_number(NOW + timedelta(seconds=n)) for n in range(50)]
    assert minted == sorted(minted)
    made = [ids.new_id("evt") for _ in range(3)]
    assert len(set(made)) == 3
    assert all(one[4 + 12] == "7" and one[4 + 16] in "89ab" for one in made)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1), timezones=st.just(UTC)))
def test_times_come_back_to_the_millisecond(moment: datetime) -> None:
    assert abs(parse(rfc3339(moment)) - moment) < timedelta(milliseconds=1)
    assert rfc3339(moment).endswith("Z")


def test_a_time_without_offset_is_no_time() -> None:
    with pytest.raises(ValueError, match="offset"):
        parse("2026-11-23T06:07:08")


def test_every_route_names_known_groups_or_says_what_opens_it() -> None:
    for key, route in ROUTES.items():
        assert key.split(" ")[0] in {"GET", "POST", "PUT", "DELETE"}
        assert route.groups <= set(GROUPS)
        assert bool(route.groups) != bool(route.open_to), key


@pytest.mark.parametrize("key", [key for key, route in ROUTES.items() if route.signed_in])
def test_a_route_lets_in_its_groups_and_no_other(key: str) -> None:
    for group in GROUPS:
        caller = http.Caller("sub", frozenset({group}))
        if group in ROUTES[key].groups:
            http.authorise(key, caller)
        else:
            with pytest.raises(Forbidden):
                http.authorise(key, caller)
    with pytest.raises(Unauthenticated):
        http.authorise(key, http.Caller("", frozenset(GROUPS)))


@pytest.mark.parametrize(
    "claim", ["[customer ops]", '["customer" "ops"]', ["customer", "ops"], "customer,ops", "customer ops"]
)
def test_groups_are_read_in_each_form_of_the_claim(claim: Any) -> None:
    context = {"authorizer": {"jwt": {"claims": {"sub": "s", "cognito:groups": claim}}}, "routeKey": "GET /orders"}
    assert http.Request({"requestContext": context}).caller == http.Caller("s", frozenset({"customer", "ops"}))


def test_a_cursor_goes_on_in_its_own_list_only() -> None:
    text = http.cursor({"pk": "A", "sk": "1"})
    assert http.read_cursor(text, "pk", "A") == {"pk": "A", "sk": "1"}
    assert http.read_cursor(None) is None
    for wrong in ("é", "e30=x", http.cursor({"pk": {"S": "A"}}), "bm9uc2Vuc2U"):
        with pytest.raises(Malformed):
            http.read_cursor(wrong)
    with pytest.raises(Malformed):
        http.read_cursor(text, "pk", "B")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", "", "٣"])
def test_a_page_has_a_sensible_size(limit: str) -> None:
    with pytest.raises(Invalid):
        http.page_size({"limit": limit})


def test_a_problem_says_its_type_and_fields() -> None:
    problem = Forbidden("not yours").problem()
    assert problem == {"type": "/problems/forbidden", "title": "Not yours to do", "status": 403, "detail": "not yours"}
    assert CommerceError().problem()["status"] == 500


class Bus:
    """Takes events until it is told to refuse some."""

    def __init__(self, refuse: Collection[int] = ()) -> None:
        self.taken: list[Any] = []
        self.refuse = refuse
        self.count = itertools.count()

    def put_events(self, **request: Any) -> dict[str, Any]:
        entries = request["Entries"]
        results = [
            {"ErrorCode": "InternalFailure"} if next(self.count) in self.refuse else {"EventId": "1"} for _ in entries
        ]
        self.taken += [entry for entry, result in zip(entries, results, strict=True) if "EventId" in result]
        return {"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results}


def stream(*counts: int) -> list[dict[str, Any]]:
    records = []
    for at, number in enumerate(counts):
        events = [StockAvailable(at=rfc3339(NOW), order_id="06064G0YZZ40") for _ in range(number)]
        image = {"pk": {"S": "x"}} | ({"outbox": {"S": outbox.pack(*events)}} if events else {})
        records.append({"eventID": f"e{at}", "dynamodb": {"SequenceNumber": str(at), "NewImage": image}})
    return records


def test_the_relay_publishes_all_events_of_a_batch() -> None:
    bus = Bus()
    assert relay.publish(stream(1, 0, 25, 2), cast("Any", bus), "commerce") is None
    assert len(bus.taken) == 28
    assert bus.taken[0]["Source"] == "commerce.inventory"
    assert bus.taken[0]["DetailType"] == "StockAvailable"
    details = [json.loads(entry["Detail"]) for entry in bus.taken]
    assert StockAvailable.model_validate(details[0]).order_id == "06064G0YZZ40"
    assert details[0]["id"] == "evt_e0_0"
    assert len({detail["id"] for detail in details}) == 28


@pytest.mark.parametrize(("refused", "sequence"), [({0}, "0"), ({1}, "2"), ({12}, "2"), ({26}, "3")])
def test_the_relay_reports_the_first_record_that_was_not_taken(refused: set[int], sequence: str) -> None:
    assert relay.publish(stream(1, 0, 25, 2), cast("Any", Bus(refused)), "commerce") == sequence


@pytest.mark.parametrize(("refused", "counted"), [((), 28), ({0}, 0), ({1}, 1), ({12}, 12), ({26}, 26)])
def test_the_relay_counts_what_was_taken_in_one_line(
    refused: Collection[int], counted: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "inventory")
    telemetry.metrics.cache_clear()
    relay.publish(stream(1, 0, 25, 2), cast("Any", Bus(refused)), "commerce")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [line["StockAvailable"] for line in lines] == ([[counted]] if counted else [])
    for line in lines:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == ("commerce", [["service"]])
        assert line["service"] == "inventory"


def test_a_field_at_fault_is_named_without_what_pydantic_calls_a_unions_members() -> None:
    class Body(BaseModel):
        address: dict[str, StrictStr | list[StrictStr] | None]

    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"address": {"lines": ["1 High Street", 7]}})
    assert [(one.field, one.code) for one in http.field_errors(refused.value)] == [("address.lines.1", "string-type")]


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=30), st.text(ids.ALPHABET, max_size=30))
def test_check_characters_are_those_of_the_standard(waybill: str, number: str) -> None:
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert ids.check_character(waybill, letters) == mod_37_36.calc_check_digit(waybill)
    assert ids.check_character(number, ids.ALPHABET) == mod_37_36.calc_check_digit(number, ids.ALPHABET)


@pytest.mark.parametrize(
    "text",
    ["NaN", '{"a": Infinity}', '"\\ud800"', "[" * 5000, b"\xff", "\ud800", b"\xef\xbb\xbf{}", "{'a': 1}", "1 2", ""],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict.read_json(text)


def test_an_answer_names_a_hundred_fields_at_fault_and_no_more() -> None:
    class Empty(BaseModel, extra="forbid"):
        pass

    with pytest.raises(ValidationError) as caught:
        Empty.model_validate({f"k{at}": at for at in range(30_000)})
    assert len(http.field_errors(caught.value)) == http.MOST_TOLD


def test_the_gateways_route_decides_and_not_the_path() -> None:
    api = http.Api("orders-api")
    api.route("GET /orders", lambda _: (200, {"served": "list"}))
    api.route("GET /guest/orders/{number}", lambda request: (200, {"served": request.path["number"]}))
    event = {
        "requestContext": {"routeKey": "GET /guest/orders/{number}", "http": {"method": "GET", "path": "/orders"}},
        "rawPath": "/orders",
        "pathParameters": {"number": "été"},
    }
    assert json.loads(api.handle(event, None)["body"]) == {"served": "été"}
    event["pathParameters"] = {"number": "\ud800"}
    assert api.handle(event, None)["statusCode"] == 400
