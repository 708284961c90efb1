"""A store of made-up bands: recordings of songs of POP909 with everything that is known about them.

A folder per split; in it, for song NNN and its v-th excerpt, `NNN-v.flac` (mono, 22 050 Hz) and `NNN-v.npz` with the
labels in the time and the key of that recording. `training/bands.py` makes the recordings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.audio.audio import Audio
from spartito.audio.io import read_mono, save_audio
from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.training.data.pop909 import TRACKS, PopSong, on_grid

__all__ = ["RATE", "Band", "labels_of", "open_bands", "save_band"]

RATE = 22_050  # Hz


@dataclass(frozen=True, eq=False)
class Band:
    """One recording of a store and its labels.

    Attributes
    ----------
    beats, positions, bar_lengths : np.ndarray, shape=(b,)
        Seconds; place in the bar (0 is a downbeat); beats of that bar.
    chords : tuple of (seconds, seconds, label)
        Without gaps from 0 to the end.
    key : str
        "C:maj", "A:min"; of the longest part of the recording.
    melody, bridge, piano : np.ndarray, shape=(n, 4), float64
        Onset and offset in seconds, MIDI pitch, velocity. The melody in the octave that sounds.
    melody_q, bridge_q, piano_q : np.ndarray, shape=(n, 5), int
        Index into `beats`, step 0-3, duration in steps, pitch, velocity.
    meta : dict
        What was drawn when it was made (SoundFonts, instruments, patterns, transposition ...).
    """

    name: str
    audio: Path
    beats: np.ndarray
    positions: np.ndarray
    bar_lengths: np.ndarray
    chords: tuple[tuple[float, float, str], ...]
    key: str
    melody: np.ndarray
    bridge: np.ndarray
    piano: np.ndarray
    melody_q: np.ndarray
    bridge_q: np.ndarray
    piano_q: np.ndarray
    meta: dict

    @property
    def duration(self) -> float:
        """Seconds of the recording."""
        return self.chords[-1][1]

    def samples(self, rate: int = RATE) -> np.ndarray:
        """(n,) float32 at `rate` Hz."""
        return read_mono(self.audio, rate=rate)


def open_bands(folder: Path, names: Iterable[str] | None = None) -> list[Band]:
    """The recordings of one split of a store, all or those named, in the order of their names."""
    wanted = set(names) if names is not None else None
    bands = []
    for path in sorted(Path(folder).glob("*.npz")):
        audio = path.with_suffix(".flac")
        if path.name.startswith(".") or (wanted is not None and path.stem not in wanted) or not audio.exists():
            continue
        with np.load(path) as data:
            chords = zip(data["chord_start"].tolist(), data["chord_end"].tolist(), data["chord_label"].tolist())
            notes = {name: data[name] for track in TRACKS for name in (track, f"{track}_q")}
            bands.append(
                Band(
                    path.stem,
                    audio,
                    data["beats"],
                    data["position"],
                    data["bar_length"],
                    tuple(chords),
                    str(data["key"]),
                    meta=json.loads(str(data["meta"])),
                    **notes,
                )
            )
    if not bands:
        raise ParameterError(f"{folder} holds no bands: make some with  spartito train bands")
    return bands


def labels_of(song: PopSong, duration: float, *, octave: int = 0) -> dict[str, np.ndarray]:
    """The fields of the labels of a recording that begins at second 0 of `song` and lasts `duration` seconds.

    `octave`: semitones by which the lead sings above the written melody. A note belongs to the recording when it begins
    in it, and to the grid when it also lies on its beats.
    """
    here = (song.beats >= 0) & (song.beats < duration)
    beats = song.beats[here]
    fields = {"beats": beats, "position": song.positions[here], "bar_length": song.bar_lengths[here]}
    chords = _contiguous(song.chords, duration)
    fields["chord_start"] = np.array([c[0] for c in chords])
    fields["chord_end"] = np.array([c[1] for c in chords])
    fields["chord_label"] = np.array([c[2] for c in chords])
    spans = [(min(end, duration) - max(start, 0.0), label) for start, end, label in song.keys]
    inside = [span for span in spans if span[0] > 0]
    fields["key"] = np.array(max(inside)[1] if inside else "")
    for name in TRACKS:
        table = getattr(song, name)
        table = table[(table[:, 0] >= 0) & (table[:, 0] < duration)].copy()
        if name == "melody":
            table[:, 2] += octave
        grid = on_grid(table, beats)
        table[:, 1] = np.minimum(table[:, 1], duration)
        fields[name] = table
        fields[f"{name}_q"] = grid[(grid[:, 0] >= 0) & (grid[:, 0] < len(beats))]
    return fields


def _contiguous(chords, duration: float) -> list[tuple[float, float, str]]:
    """`chords` inside the recording, equal neighbours joined, gaps filled by N."""
    filled: list[tuple[float, float, str]] = []
    now = 0.0
    for start, end, label in [*chords, (duration, duration + 1.0, "N")]:
        start, end = max(start, now), min(end, duration)
        if start > now + 1e-3:
            filled.append((now, start, "N"))
            now = start
        if end > now:
            filled.append((now, end, label))
            now = end
    joined: list[tuple[float, float, str]] = []
    for span in filled:
        if joined and joined[-1][2] == span[2]:
            joined[-1] = (joined[-1][0], span[1], span[2])
        else:
            joined.append(span)
    joined[-1] = (joined[-1][0], duration, joined[-1][2])
    return joined


def save_band(folder: Path, name: str, samples: np.ndarray, labels: dict[str, np.ndarray], meta: dict) -> None:
    """Write one recording ((n,) float32 at RATE) and its labels; the labels come last, as a sign that all is there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_audio(Audio(samples[None], RATE), folder / f"{name}.flac")
    with atomic_path(folder / f"{name}.npz") as path, path.open("wb") as file:
        np.savez_compressed(file, **labels, meta=np.array(json.dumps(meta)))
