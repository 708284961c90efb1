"""The one split of every set of MIDI files, used by all jobs: seven in ten train, number 7 of ten tests, 8 validates.

A song of POP909 has its number; every other work gets one from a hash of its name, so that the split is the same on
every machine and in every job. The works of ASAP are named by its `metadata.csv`, "composer/title"; elsewhere a file is
a work.
"""

from __future__ import annotations

import csv
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from spartito.errors import ParameterError
from spartito.notes.midi import MIDI_SUFFIXES

__all__ = ["TEST", "VALIDATION", "list_midi", "split_of", "tenth_of"]

TEST, VALIDATION = 7, 8
POP909 = re.compile(r"POP909[/\\](?:.*[/\\])?(\d{3})[/\\]\1\.mid$")


def tenth_of(work: str) -> int:
    """0..9, from the name of a work alone."""
    return int(hashlib.sha1(work.encode()).hexdigest(), 16) % 10


def split_of(path: Path, root: Path) -> str:
    """train, validation or test: the split of a MIDI file below the root of its set."""
    pop = POP909.search(str(path))
    if pop:
        tenth = int(pop.group(1)) % 10
    else:
        relative = Path(path).relative_to(root).as_posix()
        tenth = tenth_of(_works(Path(root)).get(relative, Path(relative).stem))
    return {TEST: "test", VALIDATION: "validation"}.get(tenth, "train")


@lru_cache(maxsize=4)
def _works(root: Path) -> dict[str, str]:
    """Names of works by file, where a table like ASAP's says them."""
    table = root / "metadata.csv"
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["midi_performance"]: f"{row['composer']}/{row['title']}" for row in rows if "midi_performance" in row}


def list_midi(root: Path, *, split: str = "train") -> list[Path]:
    """MIDI files of one split below `root`, performances only (ASAP's scores are not played by anyone).

    Raises ParameterError when there are none.
    """
    files = (path for path in Path(root).rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    chosen = sorted(p for p in files if p.name != "midi_score.mid" and split_of(p, Path(root)) == split)
    if not chosen:
        raise ParameterError(f"{root} holds no MIDI files for the {split} split")
    return chosen
