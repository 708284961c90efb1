"""Your own data: a folder of recordings, each beside a MIDI file or table of the same name.

    recital/prelude.flac   recital/prelude.mid
    recital/etude.wav      recital/etude.csv

Sub-folders named train, validation and test decide the split where they exist; elsewhere one composition in ten (by
its name, everything before the first double underscore) is for validation.
"""

from __future__ import annotations

from pathlib import Path

from spartito.audio.io import AUDIO_SUFFIXES
from spartito.errors import ParameterError
from spartito.notes.midi import MIDI_SUFFIXES
from spartito.training.data.recordings import Recording, share_of

__all__ = ["list_folder"]

TABLE_SUFFIXES = (".csv", ".tsv")
SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 0.1  # of the compositions


def list_folder(root: Path) -> list[Recording]:
    """Recordings below `root` with labels of the same name. Raises ParameterError when there are none."""
    recordings = []
    for audio in sorted(path for path in Path(root).rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        labels = [audio.with_suffix(suffix) for suffix in (*MIDI_SUFFIXES, *TABLE_SUFFIXES)]
        labels = next((path for path in labels if path.exists()), None)
        if labels is None:
            continue
        parts = audio.relative_to(root).with_suffix("").parts
        composition = parts[-1].split("__")[0]
        given = [part for part in parts[:-1] if part in SPLITS]
        split = given[0] if given else "validation" if share_of(composition) < VALIDATION_SHARE else "train"
        pedal_known = labels.suffix in MIDI_SUFFIXES
        recordings.append(Recording("-".join(parts), audio, labels, composition, split, pedal_known))
    if not recordings:
        raise ParameterError(f"{root} holds no recording beside a MIDI file or table of the same name")
    return recordings
