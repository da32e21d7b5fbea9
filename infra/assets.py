"""Where the code that is deployed lies, staged and compiled for its target before the app is synthesised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Assets:
    """A folder of staged code: ``layers/<name>/python`` and ``functions/<context>/<context>``."""

    root: Path

    def layer(self, name: str) -> Path:
        """Return the folder that becomes layer ``name``."""
        return self.root / "layers" / name

    def context(self, name: str) -> Path:
        """Return the folder that becomes the code of a context's functions."""
        return self.root / "functions" / name
