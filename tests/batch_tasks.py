"""Tasks for tests of batch runs: module functions, so that worker processes can import them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spartito.errors import NotesError
from spartito.files import atomic_path


def copy(source: Path, outputs, *, progress=None) -> dict:
    """Write the input's text to every output; an input that says "fail" fails, one that says "die" ends its process."""
    text = source.read_text()
    if text == "die":
        os._exit(7)
    if text == "fail":
        raise NotesError("there is nothing to copy")
    if text == "bug":
        raise ZeroDivisionError("one over none")
    for path in outputs.values():
        with atomic_path(path) as temporary:
            temporary.write_text(text)
    return {"length": len(text)}


def linger(source: Path, outputs, *, progress=None) -> dict:
    """Stay half-way through writing until stopped; inputs named quick do not."""
    for path in outputs.values():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            if not source.name.startswith("quick"):
                time.sleep(120)
    return {}
