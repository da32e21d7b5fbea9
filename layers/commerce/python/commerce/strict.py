"""JSON from outside, read strictly."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json


def read_json(text: str | bytes) -> Any:
    """Return what ``text`` says, if it is what RFC 8259 calls JSON.

    Python's own reader takes more: NaN and infinities, half a surrogate pair, which no table, queue or log can hold,
    and other encodings than UTF-8. It also leaves deep nesting to the stack.

    Raises
    ------
    ValueError
        It is not.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except TypeError as error:  # what it says of a str that cannot be encoded
        raise ValueError("no text") from error
