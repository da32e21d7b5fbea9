"""What any route takes of a request, at most, and what contexts say alike of the same thing.

The limits of a context's own bodies stand in its contract. All of them, with what they are for and the tests at and
above each: ``docs/security.md``. API Gateway's own come first: 10,240 bytes of request line and headers, 10 MB of body,
30 s.
"""

from __future__ import annotations

LARGEST_BODY = 256 * 1024
"""Bytes of a body as sent; the largest real order (704 lines) takes about 60 KB."""

DEEPEST_JSON = 16
"""Lists and objects inside one another; an order needs four."""

LONGEST_KEY = 255
"""Characters of an Idempotency-Key."""

LONGEST_TOKEN = 1024
"""Characters of an order token."""

LONGEST_CURSOR = 1024
"""Characters of a query parameter ``cursor``."""

LONGEST_PARAMETER = 128
"""Characters of a path parameter, and of any other query parameter."""

MOST_A_PAGE = 100
"""Entries of a page of a list."""

MOST_EXPORTED = 10
"""Orders of a page of a person's own export: each comes whole, with all its lines."""

USUAL_PAGE = 25
"""Entries of a page when nobody says how many."""

MOST_LINES = 1000
"""Lines of an order, and so of a slip."""

MOST_PIECES = 10_000
"""Pieces of one line of an order: what is picked of it, and from where on no price begins."""

DEAREST = 1_000_000_000
"""Minor units of the price of one unit."""

LONGEST_NAME = 120
"""Characters of a person's name."""
