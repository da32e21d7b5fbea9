"""What somebody would send who wants to do harm, or whose program is broken.

``FUZZ_EXAMPLES`` (`make fuzz`) sets how many examples each test draws, at random; without it a few are drawn,
the same in every run.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))

Path = tuple[str | int, ...]
Mutation = tuple[Path, str, Any]
"""Where in a JSON value, what is done there, and with what."""


def bounded(examples: int) -> settings:
    """Return how long a test looks: for ``examples`` in a usual run."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        # The stage is the same for all examples on purpose: it starts each from the same items.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


HUGE = 10**400
TEXTS: tuple[str, ...] = (
    "", " ",
    "\x00", "a\x00b", "\ud800", "x\udfff", "\ufeff", "\u202e", "💥" * 50, "A" * 5000, "a" * 2100, "../..", "%00",
    "#", "${jndi:ldap://x}", "'; DROP TABLE orders; --", "<script>", "NaN", "null", "-1", "1e999", "__proto__",
    "2026-11-24T08:00:10.128Z", "9999-12-31T23:59:59.999-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z",
    "2026-11-24T08:00:10", "2026-W48-2T00:00:00Z", "0000-00-00T00:00:00.000Z", "9999-99-99T99:99:99.999Z", "๐๑๒",
)  # fmt: skip
NUMBERS: tuple[float | int, ...] = (
    0, -0.0, -1, 1, 2, 1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 2**31, 2**53 + 1, 2**63, -(2**63),
    2**64, 10**38, HUGE, -HUGE,
)  # fmt: skip
NESTED: Any = json.loads("[" * 200 + "]" * 200)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"": ""}, {"a": {"b": [1]}}, NESTED, [1] * 1001)

hostile_texts = st.sampled_from(TEXTS) | st.text(max_size=40)
hostile = st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.sampled_from(OTHERS), st.text(max_size=20))

RAW: tuple[str, ...] = (
    "", " ", "null", "true", "0", '""', '"order"', "[]", "{}", "{", "}", "[1,",
    "{'a': 1}", '{"a":}', "\x00", "\ufeff{}",
    "\ufeff", "NaN", "Infinity", "-", "1e999", "1" * 5000, '{"a":' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 50_000,
    "[" * 900 + "]" * 900, '{"a":1}{"a":1}', "{}\n{}", '"\\ud800"', '{"\\ud800":"\\ud800"}', "\ud800", "%7B%7D",
    "a=1&b=2", "<xml/>", "{" + ",".join(f'"k{at}":{at}' for at in range(20_000)) + "}",
)  # fmt: skip
"""Bodies that are no JSON, or no object, or strange ones."""

ENCODED: tuple[str, ...] = (
    "!", "=", "e30", "e30=", "e30===", "/w==", "H4sIAAAAAAAAA6uuBQBDv6ajAgAAAA==", "//57AH0A", "e30=\n", "é",
)  # fmt: skip
"""Bodies that claim to be base64: some are not, some hold bytes that are no text (gzip, UTF-16), one is fine."""


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the place of every value within ``value``, itself first."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield from paths(one, (*at, name))


def each_mutation(value: Any) -> Iterator[Mutation]:
    """Yield every change of one place of ``value``: none, one more, one twice, and each hostile value near its type."""
    for path in paths(value):
        here = value
        for step in path:
            here = here[step]
        yield path, "take", None
        if isinstance(here, dict | list):
            yield path, "add", "unheard_of"
            yield path, "twice", None
        near: tuple[Any, ...] = (
            TEXTS if isinstance(here, str) else NUMBERS if isinstance(here, int) and not isinstance(here, bool) else ()
        )
        for given in (*near, *(OTHERS if not near else OTHERS[:5]), 1, "1"):
            yield path, "set", given


def mutations(value: Any) -> st.SearchStrategy[Mutation]:
    """Return changes of one place of ``value``, which `each_mutation` need not know."""
    return st.one_of(
        st.sampled_from(list(each_mutation(value))),
        st.tuples(st.sampled_from(list(paths(value))), st.sampled_from(("set", "add")), hostile),
    )


def mutated(value: Any, changes: Sequence[Mutation]) -> Any:
    """Return ``value`` after ``changes``; one whose place is gone by then changes nothing."""
    holder = [copy.deepcopy(value)]
    for path, what, given in changes:
        _change(holder, (0, *path), what, given)
    return holder[0] if holder else None


def _change(holder: Any, path: Path, what: str, given: Any) -> None:
    for step in path[:-1]:
        try:
            holder = holder[step]
        except (LookupError, TypeError):
            return
    last: Any = path[-1]
    try:
        here = holder[last]
    except (LookupError, TypeError):
        return
    if not isinstance(holder, dict | list):
        return
    match what, here:
        case "take", _:
            del holder[last]
        case "add", dict():
            here[given if isinstance(given, str) else "unheard_of"] = copy.deepcopy(given)
        case (("add" | "twice"), list()):
            here.extend(copy.deepcopy(here if what == "twice" else [given]))
        case _:
            holder[last] = copy.deepcopy(given)


def texts_of(value: Any) -> st.SearchStrategy[str]:
    """Return JSON texts near ``value``: it with one to three changes, a name of it twice, or nothing like it."""
    near = st.lists(mutations(value), min_size=1, max_size=3).map(lambda changes: json.dumps(mutated(value, changes)))
    return st.one_of(near, near, near, st.sampled_from(RAW), hostile.map(lambda other: _twice(value, other)))


def _twice(value: Any, other: Any) -> str:
    """Return an object that names each of its members twice, the second time with another value."""
    text = json.dumps(value)
    if not isinstance(value, dict) or not value:
        return text
    again = ",".join(f"{json.dumps(name)}:{json.dumps(other)}" for name in value)
    return text[:-1] + "," + again + "}"
