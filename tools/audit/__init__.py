"""The auditor: reads every table and says what does not balance.

It shares no code with the handlers: it knows the tables' names, the items as their stores document them, and the names
of the events, and works everything else out again.
"""

from tools.audit.auditor import INVARIANTS, audit
from tools.audit.books import Finding, Tables

__all__ = ["INVARIANTS", "Finding", "Tables", "audit"]
