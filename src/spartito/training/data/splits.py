"""The one split of every set of MIDI files, used by all jobs.

POP909 is split by song number: 7 modulo 10 tests, 8 modulo 10 validates. Every other set is split by a hash of the
work, a tenth each; a work is the folder of a performance (as in ASAP) or the name of the file.
"""

from __future__ import annotations

import re
from pathlib import Path

from spartito.errors import ParameterError
from spartito.notes.midi import MIDI_SUFFIXES
from spartito.training.data.recordings import share_of

__all__ = ["list_midi", "split_of"]

POP909 = re.compile(r"POP909[/\\](?:.*[/\\])?(\d{3})[/\\]\1\.mid$")


def split_of(path: Path, root: Path) -> str:
    """train, validation or test: the split of a MIDI file below the root of its set."""
    pop = POP909.search(str(path))
    if pop:
        return {7: "test", 8: "validation"}.get(int(pop.group(1)) % 10, "train")
    relative = Path(path).relative_to(root)
    shared = len(relative.parts) > 1 and (path.parent / "midi_score.mid").exists()
    share = share_of(relative.parent.as_posix() if shared else relative.stem)
    return "test" if share < 0.1 else "validation" if share < 0.2 else "train"


def list_midi(root: Path, *, split: str = "train") -> list[Path]:
    """MIDI files of one split below `root`, performances only (ASAP's scores are not played by anyone).

    Raises ParameterError when there are none.
    """
    files = (path for path in Path(root).rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    chosen = sorted(p for p in files if p.name != "midi_score.mid" and split_of(p, Path(root)) == split)
    if not chosen:
        raise ParameterError(f"{root} holds no MIDI files for the {split} split")
    return chosen
