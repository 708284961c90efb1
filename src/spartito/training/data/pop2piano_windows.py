"""Windows of four beats, heard as Pop2Piano hears them, beside what a pianist plays there.

    STORE/labels/SPLIT/NAME.npz (`train pairs`) or STORE/SPLIT/NAME.npz with .flac (`train bands`)
        -> notes on half beats; the song's sound, cut at every beat -> STORE/mel/SPLIT/NAME.npy

Job
    `open_windows` gives the pieces of a store, ready to draw windows from. A window may begin on any beat, since those
    of `cover` begin wherever the first beat of a song is heard. Spectrograms are made once, of the file that the labels
    name, and kept in float16 (windows, frames, 512), memory-mapped: 50 kB a beat, so 25 MB for a song of four minutes.
    They are made anew when the labels are newer.

What is heard
    As in `cover`: windows of a piece are padded with silence to its longest one before the spectrogram. The end of the
    last beat is where a beat of the same length ends.

What is played
    `half_beats` of a pair. Of a band its melody, where it can be heard, bridge and piano. Notes belong to the window
    that they begin in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spartito.errors import ParameterError, SpartitoError
from spartito.files import atomic_path
from spartito.models.pop2piano_input import HOP, MEL_BANDS, RATE, cut, half_beats, log_mel
from spartito.models.pop2piano_tokens import SEGMENT
from spartito.training.data.pair_shards import HALVES, half_beat_notes, pop2piano_rows
from spartito.training.data.pairs import sound_of
from spartito.training.data.pop909 import TRACKS

__all__ = ["BEATS", "WindowedPiece", "labels_of", "open_windows"]

BEATS = SEGMENT // HALVES  # of a window
AT_ONCE = 64  # windows whose spectra are made together: some 20 MB
FOLDER = "mel"


@dataclass(frozen=True, eq=False)
class WindowedPiece:
    """A piece and its windows; window i begins on its beat i.

    Attributes
    ----------
    composer : str
        Who arranged it; empty if nobody says.
    mel : np.ndarray, shape=(windows, frames, 512), float16, memory-mapped
    notes : np.ndarray, shape=(k, 4), int
        Onset and offset in half beats from the first beat, pitch, velocity; by onset.
    """

    name: str
    composer: str
    mel: np.ndarray
    notes: np.ndarray

    def __len__(self) -> int:
        return len(self.mel)

    def tokens(self, windows: np.ndarray) -> list[np.ndarray]:
        """What is played in each of the windows (numbers), as tokens with their end."""
        return pop2piano_rows(self.notes, windows)


def open_windows(store: Path, split: str, *, report: Callable[[str], None] = print) -> list[WindowedPiece]:
    """The pieces of a split; spectrograms that are not there yet are made. What cannot be heard is reported, left out.

    Raises ParameterError when the store has none.
    """
    paths = labels_of(store, split)
    if not paths:
        raise ParameterError(
            f"{store} holds no pieces ({split}): make some with  spartito train pairs  (or train bands)"
        )
    pieces = []
    for path in paths:
        audio, composer, beats, notes = _labels(path)
        if len(beats) < BEATS:
            continue
        try:
            mel = _heard(audio, beats, kept=Path(store, FOLDER, split, f"{path.stem}.npy"), newer_than=path)
            pieces.append(WindowedPiece(path.stem, composer, mel, notes))
        except SpartitoError as error:
            report(f"{path.stem} is left out: {error}")
    _sound.cache_clear()
    if not pieces:
        raise ParameterError(f"{store}: no song of the {len(paths)} pieces for {split} can be heard for four beats")
    return pieces


def labels_of(store: Path, split: str) -> list[Path]:
    """The labels of a split, in a store of pairs or of bands."""
    folder = Path(store, "labels", split)
    found = sorted((folder if folder.is_dir() else Path(store, split)).glob("*.npz"))
    return [path for path in found if not path.name.startswith(".")]


def _labels(path: Path) -> tuple[Path, str, np.ndarray, np.ndarray]:
    """Sound, composer, beats (seconds) and notes of a piece."""
    with np.load(path) as data:
        missing = {"beats", "meta"} - set(data.files)
        if missing:
            raise ParameterError(f"{path} lacks {' and '.join(sorted(missing))}: it is no piece of `train pairs`")
        meta, beats = json.loads(str(data["meta"])), data["beats"]
        if "half_beats" in data.files:
            return Path(meta["song"]), meta.get("composer", ""), beats, data["half_beats"]
        tracks = TRACKS if meta.get("lead") is not None else TRACKS[1:]
        table = np.concatenate([data[track] for track in tracks])
        return path.with_suffix(".flac"), "", beats, half_beat_notes(table, beats)


def _heard(audio: Path, beats: np.ndarray, *, kept: Path, newer_than: Path) -> np.ndarray:
    """(windows, frames, 512) of a piece, from the store or from its song."""
    if not kept.exists() or kept.stat().st_mtime_ns < newer_than.stat().st_mtime_ns:
        samples = _sound(audio)
        edges = (half_beats(beats)[::HALVES] * RATE).astype(np.int64)  # one more than there are beats
        begin, end = edges[:-BEATS], edges[BEATS:]
        longest = int(np.max(end - begin))
        mel = np.empty((len(begin), 1 + longest // HOP, MEL_BANDS), dtype=np.float16)
        for i in range(0, len(begin), AT_ONCE):
            mel[i : i + AT_ONCE] = log_mel(cut(samples, begin[i : i + AT_ONCE], end[i : i + AT_ONCE], length=longest))
        with atomic_path(kept) as target, target.open("wb") as file:
            np.save(file, mel)
    return np.load(kept, mmap_mode="r")


@lru_cache(maxsize=1)  # pieces of one song follow one another
def _sound(path: Path) -> np.ndarray:
    return sound_of(path, rate=RATE)[0]
