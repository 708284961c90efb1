"""Tasks for tests of batch runs: module functions, so that worker processes can import them."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from spartito.audio.io import AudioWarning
from spartito.batch import Grouped
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


# -- a task in three parts ----------------------------------------------------------------------------------


class Begun(NamedTuple):
    text: str
    share: float


def begin(source: Path, *, progress=None) -> Begun:
    """The input's text; as in `copy`, and "early" fails here."""
    text = source.read_text()
    if text == "early":
        raise NotesError("there is nothing to begin with")
    if text == "odd":
        warnings.warn("this is odd", AudioWarning, stacklevel=2)
    return Begun(text, 1.0 if text == "alone" else 1 / 3)


def together(begun, *, progress=None) -> list[str]:
    """What all were, with each; "middle" fails."""
    GROUPS.append([one.text for one in begun])
    if any(one.text == "middle" for one in begun):
        raise NotesError("there is nothing in the middle")
    if progress is not None:
        progress(0.5)
    return [one.text.upper() for one in begun]


def end(begun, result, outputs, *, progress=None) -> dict:
    if begun.text == "late":
        raise NotesError("there is no end")
    for path in outputs.values():
        with atomic_path(path) as temporary:
            temporary.write_text(result)
    return {"length": len(result)}


GROUPS: list[list[str]] = []
grouped = Grouped(begin, together, end)
