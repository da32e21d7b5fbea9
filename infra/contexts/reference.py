"""What the platform says of itself: its API reference and whether it is up."""

from __future__ import annotations

from infra.contexts.context import ContextStack


class ReferenceStack(ContextStack):
    """See `ContextStack`; there is no table."""

    context = "reference"

    def build(self) -> None:
        self.function("reference", "reference.api.handler")
