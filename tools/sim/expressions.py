"""DynamoDB's expressions: conditions, filters, key conditions and updates, on items in DynamoDB's JSON.

Grammar and meaning are those of the developer guide ("Expressions in DynamoDB"); what the platform does not use is
refused loudly. An expression is parsed once for all its uses, because its names and values are placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

Value = dict[str, Any]
"""An attribute value in DynamoDB's JSON: ``{"S": "text"}``."""

Item = dict[str, Value]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),.+-]|[#:]?[A-Za-z_][A-Za-z0-9_]*)")

Test = Callable[[Item, "Placeholders"], bool]
Operand = Callable[[Item, "Placeholders"], Value | None]


class NotUnderstood(ValueError):
    """An expression that DynamoDB would refuse, or that the platform has not used so far."""


class Placeholders:
    """Names and values of one request."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._names = request.get("ExpressionAttributeNames", {})
        self.values = request.get("ExpressionAttributeValues", {})

    def name(self, text: str) -> str:
        return str(self._names[text]) if text.startswith("#") else text


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if not found:
                raise NotUnderstood(text)
            self._tokens.append(found[1])
            at = found.end()
        self._at = 0
        self._text = text

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next
        if wanted and token.upper() != wanted:
            raise NotUnderstood(f"{self._text}: {token!r} instead of {wanted!r}")
        self._at += 1
        return token

    def took(self, wanted: str) -> bool:
        if self.next.upper() == wanted:
            self._at += 1
            return True
        return False

    def end(self) -> None:
        if self.next:
            raise NotUnderstood(f"{self._text}: {self.next!r} is left over")

    # conditions

    def condition(self) -> Test:
        tests = [self._both()]
        while self.took("OR"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda item, given: any(test(item, given) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self.took("AND"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda item, given: all(test(item, given) for test in tests)

    def _one(self) -> Test:
        if self.took("NOT"):
            inner = self._one()
            return lambda item, given: not inner(item, given)
        if self.took("("):
            inner = self.condition()
            self.take(")")
            return inner
        name = self.next.lower()
        if name in _FUNCTIONS:
            self.take()
            self.take("(")
            operands = [self.operand()]
            while self.took(","):
                operands.append(self.operand())
            self.take(")")
            function = _FUNCTIONS[name]
            return lambda item, given: function(*(operand(item, given) for operand in operands))
        return self._comparison(self.operand())

    def _comparison(self, left: Operand) -> Test:
        if self.took("BETWEEN"):
            low = self.operand()
            self.take("AND")
            high = self.operand()
            return lambda item, given: (
                _compare(">=", left(item, given), low(item, given))
                and _compare("<=", left(item, given), high(item, given))
            )
        if self.took("IN"):
            self.take("(")
            among = [self.operand()]
            while self.took(","):
                among.append(self.operand())
            self.take(")")
            return lambda item, given: any(_compare("=", left(item, given), one(item, given)) for one in among)
        sign = self.take()
        if sign not in ("=", "<>", "<", "<=", ">", ">="):
            raise NotUnderstood(f"{self._text}: {sign!r} is no comparison")
        right = self.operand()
        return lambda item, given: _compare(sign, left(item, given), right(item, given))

    # operands

    def operand(self) -> Operand:
        token = self.take()
        if token.startswith(":"):
            return lambda _, given: given.values[token]
        if token.lower() == "if_not_exists":
            self.take("(")
            path = self.operand()
            self.take(",")
            otherwise = self.operand()
            self.take(")")
            return lambda item, given: path(item, given) or otherwise(item, given)
        if token.lower() == "list_append":
            self.take("(")
            first = self.operand()
            self.take(",")
            second = self.operand()
            self.take(")")
            return lambda item, given: {"L": [*_list(first(item, given)), *_list(second(item, given))]}
        parts = self._path(token)
        return lambda item, given: _get(item, [given.name(part) for part in parts])

    def path(self) -> list[str]:
        return self._path(self.take())

    def _path(self, first: str) -> list[str]:
        parts = [first]
        while self.took("."):
            parts.append(self.take())
        return parts


@cache
def condition(text: str) -> Test:
    """Return the test that a condition expression means."""
    parser = _Parser(text)
    test = parser.condition()
    parser.end()
    return test


Change = Callable[[Item, Item, "Placeholders"], None]
"""What one action of an update does: the item before, the item to change, the placeholders."""


@cache
def update(text: str) -> tuple[Change, ...]:
    """Return the actions that an update expression means."""
    parser = _Parser(text)
    changes: list[Change] = []
    while parser.next:
        action = {"SET": _set, "REMOVE": _remove, "ADD": _add}.get(parser.take().upper())
        if action is None:
            raise NotUnderstood(text)
        changes.append(action(parser))
        while parser.took(","):
            changes.append(action(parser))
    return tuple(changes)


def _set(parser: _Parser) -> Change:
    path = parser.path()
    parser.take("=")
    operand = parser.operand()

    def change(before: Item, item: Item, given: Placeholders) -> None:
        value = operand(before, given)
        if value is None:
            raise NotUnderstood("a SET of an attribute that is not there")
        _put(item, [given.name(part) for part in path], value)

    return change


def _remove(parser: _Parser) -> Change:
    path = parser.path()

    def change(_: Item, item: Item, given: Placeholders) -> None:
        *where, last = [given.name(part) for part in path]
        into = _get(item, where) if where else {"M": item}
        if into is not None:
            into["M"].pop(last, None)

    return change


def _add(parser: _Parser) -> Change:
    path = parser.path()
    by = parser.take()

    def change(before: Item, item: Item, given: Placeholders) -> None:
        names = [given.name(part) for part in path]
        old = _get(before, names) or {"N": "0"}
        _put(item, names, {"N": str(Decimal(old["N"]) + Decimal(given.values[by]["N"]))})

    return change


def _get(item: Item, names: list[str]) -> Value | None:
    value: Any = {"M": item}
    for name in names:
        if "M" not in value or name not in value["M"]:
            return None
        value = value["M"][name]
    found: Value = value
    return found


def _put(item: Item, names: list[str], value: Value) -> None:
    into: Any = item
    for name in names[:-1]:
        # A map on the way is copied: the item before the change shares it.
        into[name] = {"M": dict(into[name]["M"])}
        into = into[name]["M"]
    into[names[-1]] = value


def _plain(value: Value) -> tuple[str, Any]:
    [(kind, content)] = value.items()
    return kind, Decimal(content) if kind == "N" else content


def _compare(sign: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return sign == "<>" and left is not right
    (kind, one), (other_kind, other) = _plain(left), _plain(right)
    if kind != other_kind:
        return sign == "<>"
    if sign in ("=", "<>"):
        return bool((one == other) == (sign == "="))
    if kind == "S":
        one, other = one.encode(), other.encode()
    return bool(
        one < other if sign == "<" else one <= other if sign == "<=" else one > other if sign == ">" else one >= other
    )


def _contains(container: Value | None, wanted: Value | None) -> bool:
    if container is None or wanted is None:
        return False
    kind, content = _plain(container)
    if kind == "L":
        return wanted in content
    return kind == "S" and wanted.get("S", "\0") in content


def _begins(value: Value | None, start: Value | None) -> bool:
    return value is not None and start is not None and "S" in value and str(value["S"]).startswith(start["S"])


def _list(value: Value | None) -> list[Value]:
    if value is None or "L" not in value:
        raise NotUnderstood("list_append takes lists")
    found: list[Value] = value["L"]
    return found


_FUNCTIONS: Mapping[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "begins_with": _begins,
    "contains": _contains,
}
