"""Addresses against the rules of every country."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commerce import address as subject
from commerce.address import LONGEST, MOST_LINES, CountryRule, Region, check_address, fold, rule_for

pytestmark = pytest.mark.unit

RULES = Path(subject.__file__).with_name("address_rules") / "rules.jsonl"
COUNTRIES = [line.split("\t")[0] for line in RULES.read_text(encoding="utf-8").splitlines()]
FIELDS = {"A": "lines", "D": "district", "C": "city", "S": "region", "Z": "postal_code"}
LONDON = {"country": "GB", "lines": ["10 Ludgate Hill"], "city": "London", "postal_code": "EC4M 7AA"}


def rule(country: str) -> CountryRule:
    found = rule_for(country)
    assert found is not None
    return found


def fields(address: object, **changed: object) -> dict[str, str]:
    """Return field -> code of what is refused."""
    assert isinstance(address, dict)
    return {error.field: error.code for error in check_address(address | changed)[1]}


def addresses_from_the_rule(country: str) -> list[dict[str, object]]:
    """Return an address for each postal code example of a country, in a region that has that code."""
    the_rule = rule(country)
    found: list[dict[str, object]] = []
    for code in the_rule.examples or ("",):
        regions = [region for region in the_rule.regions if not region.xrequire and not region.xzip]
        home = next((region.names[0] for region in regions if re.match(region.zip, code)), "")
        region = home or ("Anywhere" if not the_rule.regions else regions[0].names[0])
        if not home and the_rule.regions and any(region.zip for region in regions):
            continue
        found.append({"country": country, "lines": ["1 A Street"], "city": "B", "region": region, "postal_code": code})
    return found


def test_the_rules_are_of_all_countries() -> None:
    assert len(COUNTRIES) == 252
    assert {"GB", "CN", "US", "TW", "XK", "AQ"} <= set(COUNTRIES)
    assert all(set(rule(country).require) <= set(FIELDS) for country in COUNTRIES)


@pytest.mark.parametrize("country", COUNTRIES)
def test_an_address_with_the_rules_own_postal_code_passes(country: str) -> None:
    built = addresses_from_the_rule(country)
    assert built, "no example of the rule lies in a region of the rule"
    for address in built:
        assert fields(address) == {}


@pytest.mark.parametrize("country", COUNTRIES)
def test_each_required_field_is_missed(country: str) -> None:
    address = addresses_from_the_rule(country)[0]
    for letter in rule(country).require:
        name = FIELDS[letter]
        empty: object = [] if name == "lines" else ""
        assert fields(address, **{name: empty}) == {f"address.{name}": "required"}
        del_address = {key: value for key, value in address.items() if key != name}
        assert fields(del_address) == {f"address.{name}": "required"}


@pytest.mark.parametrize("country", [country for country in COUNTRIES if rule(country).zip])
def test_a_postal_code_of_nowhere_is_refused(country: str) -> None:
    address = addresses_from_the_rule(country)[0]
    assert fields(address, postal_code="!?") in ({}, {"address.postal_code": "required"})
    assert fields(address, postal_code="X") == {"address.postal_code": "pattern"}
    assert fields(address, postal_code=f"{address['postal_code']}0000") == {"address.postal_code": "pattern"}


@pytest.mark.parametrize("country", [country for country in COUNTRIES if rule(country).regions])
def test_every_spelling_means_one_region(country: str) -> None:
    the_rule = rule(country)
    spellings = [fold(name) for region in the_rule.regions for name in region.names]
    assert len(spellings) == len(set(spellings))
    for region in the_rule.regions:
        for name in region.names:
            assert the_rule.region(f" {name.upper()} ") is region


@pytest.mark.parametrize("country", COUNTRIES)
def test_no_pattern_takes_long_over_any_text(country: str) -> None:
    """Every quantifier stands on one character, so that no text can make a match backtrack."""
    the_rule = rule(country)
    for pattern in (the_rule.zip, *(region.zip for region in the_rule.regions)):
        assert not re.search(r"[*+]|\)\{|\{\d*,\}", pattern), pattern


def test_an_address_is_stored_trimmed_with_its_codes_in_capitals() -> None:
    address, errors = check_address(
        {
            "country": " gb",
            "lines": ["  10  Ludgate Hill ", "", "Flat\u00a02"],
            "city": "London ",
            "postal_code": "ec4m 7aa ",
        }
    )
    assert errors == []
    assert address.to_dict() == {
        "country": "GB", "lines": ["10 Ludgate Hill", "Flat 2"], "district": "", "city": "London", "region": "",
        "postal_code": "EC4M 7AA",
    }  # fmt: skip


@pytest.mark.parametrize("country", ["", "  ", None])
def test_a_missing_country_is_named(country: object) -> None:
    assert fields(LONDON, country=country) == {"address.country": "required"}


@pytest.mark.parametrize("country", ["UK", "ZZ", "GBR", "G", "..", "G\tB"[:1], "g1", "ES--ca"[:6]])
def test_an_unknown_country_is_named(country: str) -> None:
    assert set(fields(LONDON, country=country)) == {"address.country"}


def test_a_region_is_known_by_its_code_name_or_latin_name_whatever_its_case() -> None:
    harbin = {"country": "CN", "lines": ["中山路1号"], "city": "哈尔滨市", "postal_code": "150010"}
    for region in ("黑龙江省", "Heilongjiang Sheng", "heilongjiang  SHENG", "23"):
        assert fields(harbin, region=region) == {}
    assert fields(harbin, region="Bavaria") == {"address.region": "unknown"}
    quebec = {"country": "CA", "lines": ["1 rue A"], "city": "Montréal", "postal_code": "H3Z 2Y7"}
    assert fields(quebec, region="Québec") == fields(quebec, region="quebec") == fields(quebec, region="QC") == {}


def test_a_region_that_is_not_required_is_taken_as_it_is_written() -> None:
    assert fields(LONDON, region="Greater London") == {}
    dublin = {"country": "IE", "lines": ["1 Main Street"], "city": "Dublin", "postal_code": "d02 af30"}
    assert fields(dublin, region="County Dublin") == {}


def test_a_postal_code_of_another_region_is_refused() -> None:
    alaska = {"country": "US", "lines": ["1 Main Street"], "city": "Nome", "region": "AK", "postal_code": "99762"}
    assert fields(alaska) == {}
    assert fields(alaska, region="Alabama") == {"address.postal_code": "mismatch"}


def test_a_region_with_rules_of_its_own_replaces_the_countrys() -> None:
    def place(region: str, **given: object) -> dict[str, object]:
        return {"country": "CN", "lines": ["1"], "region": region} | given

    assert fields(place("香港", city="九龍")) == {}
    assert fields(place("香港", city="九龍", postal_code="999077")) == {}
    assert fields(place("香港", city="九龍", postal_code="150010")) == {"address.postal_code": "pattern"}
    assert fields(place("澳门")) == {}
    assert fields(place("台湾", city="台北市", postal_code="106")) == {}
    assert fields(place("北京市")) == {"address.city": "required", "address.postal_code": "required"}


@pytest.mark.parametrize(
    "code",
    [
        "ＥＣ４Ｍ ７ＡＡ",  # full width
        "EC4M ٧AA",  # Arabic-Indic seven
        "ЕС4М 7АА",  # Cyrillic
        "EC4M 7A\u212b",  # the Angstrom sign, which composes to a letter
        "G\u0131R 0AA",  # a dotless i, whose capital is I
    ],
)
def test_look_alikes_of_a_postal_code_are_refused(code: str) -> None:
    assert fields(LONDON, postal_code=code) == {"address.postal_code": "characters"}
    assert fields(LONDON, country="\uff27\uff22") == {"address.country": "characters"}


@pytest.mark.parametrize("bad", ["a\x00b", "a\nb", "a\x1bb", "a\u202eb", "a\u2028b", "a\ud800b", "a\u200bb"])
@pytest.mark.parametrize("name", ["city", "region", "district", "postal_code", "country"])
def test_characters_that_are_never_written_are_refused(name: str, bad: str) -> None:
    assert fields(LONDON, **{name: bad}) == {f"address.{name}": "characters"}
    assert fields(LONDON, lines=["1", bad]) == {"address.lines.1": "characters"}


def test_joiners_of_scripts_that_need_them_are_kept() -> None:
    address, errors = check_address(LONDON | {"city": "می\u200cدان"})
    assert errors == []
    assert address.city == "می\u200cدان"


@pytest.mark.parametrize("name", [name for name in LONGEST if name != "lines"])
def test_a_long_text_is_refused_before_anything_looks_at_it(name: str) -> None:
    assert fields(LONDON, **{name: "1" * 1_000_000}) == {f"address.{name}": "too-long"}
    assert fields(LONDON, **{name: " " * (LONGEST[name] + 1)}) == {f"address.{name}": "too-long"}


def test_lines_are_bounded_in_number_and_length() -> None:
    assert fields(LONDON, lines=["1"] * MOST_LINES) == {}
    assert fields(LONDON, lines=["1"] * (MOST_LINES + 1)) == {"address.lines": "too-long"}
    assert fields(LONDON, lines=["1", "2" * (LONGEST["lines"] + 1)]) == {"address.lines.1": "too-long"}


@pytest.mark.parametrize("wrong", [5, True, {"a": 1}, 1.5])
def test_a_field_of_another_type_is_refused(wrong: object) -> None:
    assert fields(LONDON, city=wrong) == {"address.city": "type"}
    assert fields(LONDON, lines=wrong) == {"address.lines": "type"}
    assert fields(LONDON, lines=[wrong]) == {"address.lines.0": "type"}
    assert fields(LONDON, lines="10 Ludgate Hill") == {"address.lines": "type"}


def test_a_field_that_says_nothing_is_missing() -> None:
    assert fields(LONDON, city=" . ") == {"address.city": "required"}
    assert fields(LONDON, lines=["-", ""]) == {"address.lines": "required"}


def test_all_that_is_wrong_is_named_at_once() -> None:
    wrong = {"country": "GB", "lines": ["a\x00"], "city": "", "postal_code": "12345"}
    assert fields(wrong) == {
        "address.lines.0": "characters",
        "address.city": "required",
        "address.postal_code": "pattern",
    }


def test_rules_are_handed_in() -> None:
    def rules(country: str) -> CountryRule | None:
        return CountryRule("D", "9", ("9",), (Region(("R",)),)) if country == "QQ" else None

    assert check_address({"country": "QQ", "district": "d", "postal_code": "9"}, rules)[1] == []
    assert [error.field for error in check_address(LONDON, rules)[1]] == ["address.country"]
    found = check_address({"country": "QQ"}, rules)[1]
    assert [error.to_dict() for error in found] == [
        {"field": "address.district", "code": "required", "message": "address.district is required in QQ."}
    ]


def test_importing_reads_no_rule() -> None:
    watch = (
        "import sys; opened = []; sys.addaudithook(lambda name, args: name == 'open' and opened.append(str(args[0])));"
        "import commerce.address as subject; print('before', *opened); subject.rule_for('GB'); print('after', *opened)"
    )
    layer = Path(subject.__file__).parents[1]
    before, after = subprocess.check_output([sys.executable, "-c", watch], cwd=layer, text=True).splitlines()  # noqa: S603 - our own line
    assert "address_rules" not in before
    assert "address_rules" in after


a_text = st.text(max_size=20)
anything = a_text | st.lists(a_text | st.integers(), max_size=6) | st.sampled_from([None, True, 5, {"a": 1}, "x" * 200])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "country": st.sampled_from(COUNTRIES) | st.text(max_size=4),
            "lines": anything,
            "city": anything,
            "region": anything,
            "district": anything,
            "postal_code": anything | st.from_regex(r"\A[A-Z0-9 -]{2,10}\Z"),
        },
    )
)
def test_whatever_is_sent_what_passes_is_clean_and_passes_again(sent: dict[str, object]) -> None:
    address, errors = check_address(sent)
    assert all(
        re.fullmatch(r"address\.(country|lines(\.\d)?|district|city|region|postal_code)", e.field) for e in errors
    )
    stored = address.to_dict()
    for text in (*stored.pop("lines"), *stored.values()):
        assert text == " ".join(text.split())
        assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)
    if not errors:
        assert check_address(address.to_dict()) == (address, [])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([country for country in COUNTRIES if rule(country).zip]), st.data())
def test_a_code_is_taken_exactly_if_the_countrys_pattern_is(country: str, data: st.DataObject) -> None:
    pattern = rule(country).zip
    code = data.draw(
        st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii")) | st.text("AZ019 -", max_size=9)
    )
    address = {"country": country, "lines": ["1"], "city": "B", "postal_code": code}
    wrong = fields(address)
    stored = " ".join(code.split()).upper()
    if any(char.isalnum() for char in stored):
        assert (wrong.get("address.postal_code") == "pattern") == (not re.fullmatch(pattern, stored))
