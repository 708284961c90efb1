"""ASAP: piano performances as MIDI, aligned with their scores.

`metadata.csv` lists the performances; beside each performance and each score lies a table of its beats. Only the MIDI
files are used here, not the recordings of MAESTRO that the table also names.

Source: F. Foscarin, A. McLeod, P. Rigaux, F. Jacquemard, M. Sakai, 'ASAP: a dataset of aligned scores and performances
for piano transcription' (ISMIR 2020); CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.errors import NotesError
from spartito.training.data.splits import tenth_of

__all__ = ["AsapBeats", "asap_rows", "asap_work", "read_asap_beats"]


@dataclass(frozen=True, eq=False)
class AsapBeats:
    """Annotations of one performance or score.

    Attributes
    ----------
    beats, downbeats : np.ndarray, shapes (b,), (d,), seconds
        Downbeats are beats, too.
    metres : list of (seconds, text)
        Time signatures such as "3/4", each from its time on.
    keys : list of (seconds, int)
        Key signatures in sharps (negative: flats).
    """

    beats: np.ndarray
    downbeats: np.ndarray
    metres: list[tuple[float, str]]
    keys: list[tuple[float, int]]


def asap_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of `metadata.csv`. Raises NotesError when it is not there."""
    table = Path(folder) / "metadata.csv"
    if not table.is_file():
        raise NotesError(f"{folder} is no ASAP folder: it holds no metadata.csv")
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def asap_work(row: dict) -> tuple[str, int]:
    """Name of the work of a row and its tenth, 0..9 (see `splits`)."""
    work = f"{row['composer']}/{row['title']}"
    return work, tenth_of(work)


def read_asap_beats(path: Path) -> AsapBeats:
    """The table of beats beside a performance or a score.

    Each line holds a time twice and a label: "b" or "db" (beat, downbeat), then, where they change, the time signature
    and the key signature.
    """
    beats, downbeats, metres, keys = [], [], [], []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        at, _, label = line.split("\t")
        kind, metre, key = (*label.split(","), "", "")[:3]
        beats.append(float(at))
        if kind == "db":
            downbeats.append(float(at))
        if metre:
            metres.append((float(at), metre))
        if key:
            keys.append((float(at), int(key)))
    return AsapBeats(np.array(beats), np.array(downbeats), metres, keys)
