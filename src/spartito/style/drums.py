"""Drums of a restyled piece: passed through, left out, or a plain groove of the target genre in their place.

The grooves are the basic ones that drummers learn first: the swing ride with the hi-hat on two and four for jazz, the
rock beat in eighths for pop. Classical piano music has none. They are a fixed table, nothing is learned here; the jazz
ride strikes its off-beats at two thirds of the beat, between the steps of the grid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.notes.notes import NOTE_DTYPE, Notes, Track
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.style.engines import StylePiece

__all__ = ["DRUMS", "GROOVES", "with_drums"]

DRUMS = ("keep", "drop", "genre")
KICK, SNARE, CLOSED_HAT, PEDAL_HAT, RIDE = 36, 38, 42, 44, 51  # General MIDI
SWING = 2 / 3  # of a beat
LENGTH = 0.1  # seconds; a stroke has no length of its own
SPREAD = 4  # velocity, deviation from stroke to stroke
GROOVES = {  # (beat in a bar of four, key, velocity); other bars take what fits into them
    "classic": (),
    "jazz": (
        *((beat, RIDE, 70 + 10 * (beat % 2)) for beat in range(4)),
        *((beat + SWING, RIDE, 58) for beat in (1, 3)),
        *((beat, PEDAL_HAT, 66) for beat in (1, 3)),
        *((beat, KICK, 34) for beat in range(4)),  # feathered
    ),
    "pop": (
        *((beat / 2, CLOSED_HAT, 72 - 12 * (beat % 2)) for beat in range(8)),
        *((beat, KICK, 92) for beat in (0, 2, 2.5)),
        *((beat, SNARE, 90) for beat in (1, 3)),
    ),
}


def with_drums(notes: Notes, drums: str, target: str, piece: StylePiece, *, seed: int = 0) -> Notes:
    """`notes`, which hold the drums of the source, as `drums` asks for (one of `DRUMS`)."""
    if drums == "keep":
        return notes
    pitched = [i for i, track in enumerate(notes.tracks) if not track.is_drum]
    array = notes.array[np.isin(notes.array["track"], pitched)].copy()
    number = np.zeros(len(notes.tracks), dtype=np.int16)
    number[pitched] = np.arange(len(pitched))
    array["track"] = number[array["track"]]
    tracks = tuple(notes.tracks[i] for i in pitched)
    strokes = _groove(GROOVES[target], piece, seed=seed) if drums == "genre" else np.zeros(0, dtype=NOTE_DTYPE)
    if len(strokes):
        strokes["track"] = len(tracks)
        array, tracks = np.concatenate([array, strokes]), (*tracks, Track(name="drums", is_drum=True, channel=9))
    return replace(notes, array=array, tracks=tracks)


def _groove(groove, piece: StylePiece, *, seed: int) -> np.ndarray:
    """NOTE_DTYPE: the groove over all bars from the one in which the first note begins."""
    table = np.array(groove, dtype=np.float64).reshape(-1, 3)
    positions = piece.positions
    down = np.flatnonzero(positions == 0)
    length = np.diff(np.append(down, len(positions)))
    played = down + length > piece.notes[0, 0] / STEPS_PER_BEAT
    down, length = down[played], length[played]
    bar, row = (index.ravel() for index in np.indices((len(down), len(table))))
    fits = table[row, 0] < length[bar]
    bar, row = bar[fits], row[fits]
    strokes = np.zeros(len(bar), dtype=NOTE_DTYPE)
    strokes["onset"] = piece.grid.grid.seconds(down[bar] + table[row, 0])
    strokes["offset"] = strokes["onset"] + LENGTH
    strokes["pitch"] = table[row, 1]
    jitter = np.random.default_rng(seed).normal(0.0, SPREAD, len(bar))
    strokes["velocity"] = np.clip(np.round(table[row, 2] + jitter), 1, 127)
    strokes["confidence"] = 1.0
    return strokes[strokes["onset"] >= 0]
