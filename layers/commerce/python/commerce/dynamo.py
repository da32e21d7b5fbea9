"""A DynamoDB table as the stores see it: plain items in, plain items out, conditions by name.

Numbers come back as ``int`` (the platform stores no fractions) and binaries as ``bytes``. A failed
condition is an exception of its own, so that no store needs to check before it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, Inexact, Rounded
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from commerce.errors import CommerceError, Invalid, Malformed, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Key = tuple[str, str]

OUTBOX = "outbox"
TRANSACTION_LIMIT = 100
"""Actions in one TransactWriteItems call (DynamoDB service quota)."""


class ConditionFailed(CommerceError):
    """A conditional write found the item otherwise.

    Attributes
    ----------
    item
        The item as it is, or None where there is none.
    """

    status = 409
    slug = "condition-failed"
    title = "The thing has changed meanwhile"

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item


class TransactionFailed(CommerceError):
    """A transaction was cancelled because a condition of it did not hold.

    Attributes
    ----------
    failed
        Index of each action whose condition failed -> the item as it is (None where there is none).
    """

    status = 409
    slug = "transaction-failed"
    title = "The thing has changed meanwhile"

    def __init__(self, failed: Mapping[int, Item | None]) -> None:
        super().__init__()
        self.failed = dict(failed)


class Contended(Unavailable):
    """Others write the same items at this moment; the same transaction may go through in a moment."""

    slug = "contended"


class Unstorable(Invalid):
    """What is to be written or read breaks a limit of DynamoDB: an empty or too long key, more than 38 digits."""

    slug = "unstorable"
    title = "A value is too long, too large or empty"


class BadPosition(Malformed):
    """A list cannot go on where it was asked to: the cursor was made up."""

    slug = "bad-cursor"
    title = "The cursor is not one of ours"


@dataclass(frozen=True)
class Change:
    """What an update does to an item.

    Attributes
    ----------
    set
        Attribute, or dotted path into its maps -> new value.
    first
        Attribute -> value to set only where there is none yet.
    add
        Attribute -> number to add.
    append
        Attribute -> values to add at the end of its list.
    remove
        Attributes to take away.
    when
        Condition; without one the item need not exist.
    outbox
        Events (JSON, see `commerce.outbox`) that this change causes. Without any, the events of the
        change before are taken off the item, so that the stream's filter lets nothing old pass.
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    first: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    remove: Sequence[str] = ()
    when: ConditionBase | None = None
    outbox: str | None = None


@dataclass(frozen=True)
class Put:
    """Write a whole item in a transaction."""

    item: Item
    when: ConditionBase | None = None


@dataclass(frozen=True)
class Update:
    """Change an item in a transaction."""

    key: Key
    change: Change


@dataclass(frozen=True)
class Check:
    """Only look whether a condition holds, in a transaction; ``table`` names another table than its own."""

    key: Key
    when: ConditionBase
    table: str = ""


@dataclass(frozen=True)
class Page:
    """One page of a query: its items and where the next one starts (None at the end)."""

    items: list[Item]
    next: Item | None


class Table:
    """One table with keys ``pk`` and ``sk``.

    Parameters
    ----------
    client
        A low-level DynamoDB client.
    name
        The table's name.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client: Any = client
        self.name = name

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        """Return the item at ``key`` or None."""
        answer = self._client.get_item(TableName=self.name, Key=_key(key), ConsistentRead=consistent)
        found = answer.get("Item")
        return load(found) if found else None

    def get_many(self, keys: Sequence[Key], *, consistent: bool = False) -> dict[Key, Item]:
        """Return those of the items at ``keys`` that exist; any number of keys, each given once.

        Raises
        ------
        Contended
            The table still left keys unread after the client's retries.
        """
        found: dict[Key, Item] = {}
        left: list[Any] = [_key(key) for key in dict.fromkeys(keys)]
        rounds = 0
        while left:
            batch, left = left[:100], left[100:]
            answer = self._client.batch_get_item(
                RequestItems={self.name: {"Keys": batch, "ConsistentRead": consistent}}
            )
            for raw in answer["Responses"].get(self.name, []):
                item = load(raw)
                found[item["pk"], item["sk"]] = item
            unread = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            rounds = rounds + 1 if unread else 0
            if rounds > 5:
                raise Contended("the table is too busy to read")
            left += unread
        return found

    def put(self, item: Item, *, when: ConditionBase | None = None) -> None:
        """Write ``item``.

        Raises
        ------
        ConditionFailed
            ``when`` does not hold.
        """
        self._write(self._client.put_item, _put(self.name, item, when))

    def update(self, key: Key, change: Change) -> Item:
        """Change the item at ``key`` and return it as it is afterwards.

        Raises
        ------
        ConditionFailed
            ``change.when`` does not hold.
        """
        answer = self._write(self._client.update_item, {**_update(self.name, key, change), "ReturnValues": "ALL_NEW"})
        return load(answer["Attributes"])

    def delete(self, key: Key, *, when: ConditionBase | None = None) -> None:
        """Take the item at ``key`` away.

        Raises
        ------
        ConditionFailed
            ``when`` does not hold.
        """
        request = {"TableName": self.name, "Key": _key(key)}
        if when is not None:
            request |= _condition(when, _Names())
        self._write(self._client.delete_item, request)

    def put_many(self, items: Sequence[Item]) -> None:
        """Write items without conditions, in any order, not as one.

        Raises
        ------
        Contended
            The table still left items unwritten after several rounds.
        """
        left = [{"PutRequest": {"Item": _put(self.name, item, None)["Item"]}} for item in items]
        rounds = 0
        while left:
            batch, left = left[:25], left[25:]
            answer = self._client.batch_write_item(RequestItems={self.name: batch})
            unwritten = answer.get("UnprocessedItems", {}).get(self.name, [])
            rounds = rounds + 1 if unwritten else 0
            if rounds > 5:
                raise Contended("the table is too busy to write")
            left += unwritten

    def transact(self, actions: Sequence[Put | Update | Check], *, token: str | None = None) -> None:
        """Write all of ``actions`` or none (at most 100).

        Parameters
        ----------
        actions
            Each on another item.
        token
            Client request token: the same call within ten minutes has one effect.

        Raises
        ------
        TransactionFailed
            Conditions did not hold; says which.
        Contended
            Another transaction was at the same items.
        """
        requests = [_action(self.name, action) for action in actions]
        more = {"ClientRequestToken": token} if token else {}
        try:
            self._client.transact_write_items(TransactItems=requests, **more)
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = error.response.get("CancellationReasons", [])
            failed = {
                at: load(reason["Item"]) if reason.get("Item") else None
                for at, reason in enumerate(reasons)
                if reason.get("Code") == "ConditionalCheckFailed"
            }
            if failed:
                raise TransactionFailed(failed) from error
            if any(reason.get("Code") in _PASSING for reason in reasons):
                raise Contended from error
            raise
        except self._client.exceptions.TransactionInProgressException as error:
            raise Contended from error

    def query(
        self,
        key: ConditionBase,
        *,
        index: str | None = None,
        only: ConditionBase | None = None,
        limit: int | None = None,
        start: Item | None = None,
        newest_first: bool = False,
        consistent: bool = False,
    ) -> Page:
        """Return one page of the items that ``key`` names.

        Parameters
        ----------
        key
            Condition on the partition key, and on the sort key if wanted.
        index
            A secondary index; without one the table itself.
        only
            Filter applied after reading: it saves transfer, not read units.
        limit
            Items read at the most (before ``only``).
        start
            `Page.next` of the page before.

        Raises
        ------
        BadPosition
            ``start`` is no key of this table or index.
        """
        names = _Names()
        built = names.builder.build_expression(key, is_key_condition=True)
        names.take(built)
        if not all(1 <= len(one.get("S", "-").encode()) <= _KEY_BYTES[0] for one in names.values.values()):
            raise Unstorable(f"a key has 1 to {_KEY_BYTES[0]} bytes")
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": built.condition_expression,
            "ScanIndexForward": not newest_first,
        }
        if only is not None:
            filtered = names.builder.build_expression(only)
            names.take(filtered)
            request["FilterExpression"] = filtered.condition_expression
        request |= names.request()
        if index:
            request["IndexName"] = index
        else:
            request["ConsistentRead"] = consistent
        if limit is not None:
            request["Limit"] = limit
        if start is not None:
            request["ExclusiveStartKey"] = dump(start)
        try:
            answer = self._client.query(**request)
        except self._client.exceptions.ClientError as error:
            if start is not None and error.response["Error"]["Code"] == "ValidationException":
                raise BadPosition() from error
            raise
        last = answer.get("LastEvaluatedKey")
        return Page([load(raw) for raw in answer["Items"]], load(last) if last else None)

    def query_all(self, key: ConditionBase, **options: Any) -> Iterator[Item]:
        """Yield every item that ``key`` names, page by page."""
        start: Item | None = None
        while True:
            page = self.query(key, start=start, **options)
            yield from page.items
            if page.next is None:
                return
            start = page.next

    def _write(self, call: Any, request: dict[str, Any]) -> Any:
        if "ConditionExpression" in request:
            request = {**request, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        try:
            return call(**request)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            found = error.response.get("Item")
            raise ConditionFailed(load(found) if found else None) from error
        except self._client.exceptions.TransactionConflictException as error:
            raise Contended from error


_KEY_BYTES = (2048, 1024)
"""Of a partition key and a sort key at the most (DynamoDB service quota)."""

_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def dump(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``item`` in DynamoDB's typed JSON; attributes that are None are left out.

    Raises
    ------
    Unstorable
        A number has more than 38 digits.
    """
    return {name: _typed(value) for name, value in item.items() if value is not None}


def _typed(value: Any) -> Any:
    try:
        return TypeSerializer().serialize(value)
    except (Inexact, Rounded) as error:
        raise Unstorable("a number of more than 38 digits") from error


def load(raw: Mapping[str, Any]) -> Item:
    """Return the plain form of an item in DynamoDB's typed JSON (also a stream record's image)."""
    deserialise = TypeDeserializer().deserialize
    return {name: _plain(deserialise(value)) for name, value in raw.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, Binary):
        binary: Any = value  # its __bytes__ is missing in the stubs
        return bytes(binary)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


class _Names:
    """Placeholders for one request: conditions and updates must not use the same ones."""

    def __init__(self) -> None:
        self.builder = ConditionExpressionBuilder()
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def take(self, built: Any) -> None:
        self.names |= built.attribute_name_placeholders
        self.values |= {name: _typed(value) for name, value in built.attribute_value_placeholders.items()}

    def name(self, path: str) -> str:
        """Return placeholders for an attribute, or for a path into its maps: ``shipments.7K4Q-1.status``."""
        placeholders = []
        for attribute in path.split("."):
            placeholders.append(f"#a{len(self.names)}")
            self.names[placeholders[-1]] = attribute
        return ".".join(placeholders)

    def value(self, value: Any) -> str:
        placeholder = f":a{len(self.values)}"
        self.values[placeholder] = _typed(value)
        return placeholder

    def request(self) -> dict[str, Any]:
        request: dict[str, Any] = {}
        if self.names:
            request["ExpressionAttributeNames"] = self.names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


def _key(key: Key) -> dict[str, Any]:
    for text, most in zip(key, _KEY_BYTES, strict=True):
        if not 1 <= len(text.encode()) <= most:
            raise Unstorable(f"a key has 1 to {most} bytes")
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _condition(when: ConditionBase, names: _Names) -> dict[str, Any]:
    built = names.builder.build_expression(when)
    names.take(built)
    return {"ConditionExpression": built.condition_expression, **names.request()}


def _put(table: str, item: Item, when: ConditionBase | None) -> dict[str, Any]:
    request: dict[str, Any] = {"TableName": table, "Item": {**dump(item), **_key((item["pk"], item["sk"]))}}
    if when is not None:
        request |= _condition(when, _Names())
    return request


def _update(table: str, key: Key, change: Change) -> dict[str, Any]:
    names = _Names()
    sets = [f"{names.name(at)} = {names.value(value)}" for at, value in change.set.items()]
    for at, value in change.first.items():
        placeholder = names.name(at)
        sets.append(f"{placeholder} = if_not_exists({placeholder}, {names.value(value)})")
    for at, values in change.append.items():
        placeholder = names.name(at)
        sets.append(
            f"{placeholder} = list_append(if_not_exists({placeholder}, {names.value([])}), {names.value(list(values))})"
        )
    removed = list(change.remove)
    if change.outbox is None:
        removed.append(OUTBOX)
    else:
        sets.append(f"{names.name(OUTBOX)} = {names.value(change.outbox)}")
    clauses = ["SET " + ", ".join(sets)] if sets else []
    if removed:
        clauses.append("REMOVE " + ", ".join(names.name(at) for at in removed))
    if change.add:
        clauses.append("ADD " + ", ".join(f"{names.name(at)} {names.value(by)}" for at, by in change.add.items()))
    request: dict[str, Any] = {"TableName": table, "Key": _key(key), "UpdateExpression": " ".join(clauses)}
    if change.when is not None:
        built = names.builder.build_expression(change.when)
        names.take(built)
        request["ConditionExpression"] = built.condition_expression
    return request | names.request()


def _action(table: str, action: Put | Update | Check) -> dict[str, Any]:
    if isinstance(action, Put):
        verb, request = "Put", _put(table, action.item, action.when)
    elif isinstance(action, Update):
        verb, request = "Update", _update(table, action.key, action.change)
    else:
        verb = "ConditionCheck"
        request = {"TableName": action.table or table, "Key": _key(action.key), **_condition(action.when, _Names())}
    if "ConditionExpression" in request:
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {verb: request}
