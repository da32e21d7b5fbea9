"""Layers unpacked once. Used inside the emulator by the mend ``layer_unpacked_once``."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from pathlib import Path


def unpacked_once(archive: bytes) -> str:
    """Folder with the layer's content, shared by all workers (a layer is read-only on AWS, too)."""
    home = Path(os.environ["LOCALCLOUD_HOME"]) / "tmp" / "layers"
    folder = home / hashlib.sha256(archive).hexdigest()[:24]
    if not folder.exists():
        home.mkdir(parents=True, exist_ok=True)
        unpacking = Path(tempfile.mkdtemp(dir=home))
        with zipfile.ZipFile(io.BytesIO(archive)) as content:
            content.extractall(unpacking)
        try:
            unpacking.rename(folder)
        except OSError:
            # Another worker was first.
            shutil.rmtree(unpacking)
    return str(folder)
