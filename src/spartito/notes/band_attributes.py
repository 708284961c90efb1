"""What a slider moves: six attributes of windows of any layout, measured, and brought to a normal distribution.

density      notes that begin, per bar, all tracks
duration     mean length of pitched notes, steps
pitch_range  highest less lowest pitch, semitones, of guitar and strings (of a piano: the right hand)
pitch        mean MIDI pitch at which they begin notes
syncopation  share of pitched notes off the beat whose track (of a piano: whose hand) is not struck on the next beat
voices       pitched tracks that sound, mean over steps

Where a window has no such note, the attribute is that of an empty window: 0, and `MIDDLE` for the pitch.

`NormalScale` maps each attribute to standard normal numbers by its rank among windows of reference, and back: the loss
that ties attributes to dimensions fights a prior less when both have one shape (rank-based normal scores, B. L. van der
Waerden, 1952). So a slider step is one standard deviation of the *ranked* attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.four_tracks import BAR, HOLD, SILENT, expanded
from spartito.notes.layouts import BAND, Layout
from spartito.notes.phrases import STEPS_PER_BEAT

__all__ = ["ATTRIBUTES", "NormalScale", "attributes", "chroma_similarity", "note_lengths", "syncopated"]

ATTRIBUTES = ("density", "duration", "pitch_range", "pitch", "syncopation", "voices")
MIDDLE = 60.0  # MIDI pitch of nothing
KNOTS = 101  # quantiles of a scale
WIDEST = 2.6  # deviations at the ends of a scale: half a per cent on either side


def note_lengths(states: np.ndarray) -> np.ndarray:
    """(w, T, tracks) int: steps that the note beginning in a cell lasts, 0 where none begins."""
    told = np.asarray(states) != HOLD
    steps = told.shape[1]
    place = np.arange(steps)[None, :, None]
    ahead = np.where(told, place, steps)
    after = np.minimum.accumulate(ahead[:, ::-1], axis=1)[:, ::-1]  # next cell that is told, itself included
    after = np.concatenate([after[:, 1:], np.full_like(after[:, :1], steps)], axis=1)
    return np.where(np.asarray(states) < SILENT, after - place, 0)


def attributes(states: np.ndarray, *, layout: Layout = BAND) -> np.ndarray:
    """(w, 6) float64: the attributes of windows of states (w, T, tracks), in the order of `ATTRIBUTES`."""
    states = np.asarray(states)
    if states.ndim != 3 or states.shape[1] % STEPS_PER_BEAT or states.shape[2] != len(layout):
        raise ParameterError(f"windows are (w, steps, {len(layout)}) of whole beats, not {states.shape}")
    begins = states < SILENT
    lengths, sounding = note_lengths(states), expanded(states)
    pitched = layout.pitched
    high = np.isin(np.arange(len(layout)), layout.upper)
    notes = (begins & pitched).sum(axis=(1, 2))
    upper = begins & high
    pitches = upper.sum(axis=(1, 2))
    pitch = states.astype(np.int64)
    top = np.where(upper, pitch, -1).max(axis=(1, 2))
    bottom = np.where(upper, pitch, SILENT).min(axis=(1, 2))
    return np.column_stack(
        [
            begins.sum(axis=(1, 2)) / (states.shape[1] / BAR),
            (lengths * pitched).sum(axis=(1, 2)) / np.maximum(notes, 1),
            np.where(pitches > 0, top - bottom, 0),
            np.where(pitches > 0, np.where(upper, pitch, 0).sum(axis=(1, 2)) / np.maximum(pitches, 1), MIDDLE),
            (syncopated(begins, layout) & pitched).sum(axis=(1, 2)) / np.maximum(notes, 1),
            (sounding[:, :, pitched] != SILENT).sum(axis=2).mean(axis=1),
        ]
    )


def syncopated(begins: np.ndarray, layout: Layout) -> np.ndarray:
    """(w, T, tracks) bool: a note begins off the beat, and none of its section on the beat that follows; the last beat
    has none."""
    steps = begins.shape[1]
    next_beat = (np.arange(steps) // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT
    struck = np.concatenate([begins, np.ones_like(begins[:, :1])], axis=1)
    struck = np.stack([struck[:, :, voices].any(axis=2) for voices in layout.members()], axis=2)
    struck = struck[:, np.minimum(next_beat, steps)][:, :, list(layout.sections)]
    return begins & ~struck & (np.arange(steps) % STEPS_PER_BEAT != 0)[None, :, None]


def chroma_similarity(reference: np.ndarray, estimate: np.ndarray, *, layout: Layout = BAND) -> np.ndarray:
    """(w,): cosine of the pitch classes that sound in two beats, from every beat on, mean over those in which either
    side sounds; nan where neither ever does. States (w, T, tracks), as `evaluation.style` has it of rolls."""
    a, b = (_chroma(np.asarray(states), layout) for states in (reference, estimate))
    size = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    cosine = np.divide((a * b).sum(axis=2), size, out=np.zeros_like(size), where=size > 0)
    counted = (a.any(axis=2) | b.any(axis=2)).sum(axis=1)
    return np.divide(cosine.sum(axis=1), counted, out=np.full(len(a), np.nan), where=counted > 0)


def _chroma(states: np.ndarray, layout: Layout) -> np.ndarray:
    """(w, beats, 12): steps of pitched tracks that sound in each pitch class, in a beat and the one after it."""
    sounding = expanded(states)[:, :, layout.pitched]
    beat = np.arange(states.shape[1]) // STEPS_PER_BEAT
    beats = int(beat[-1]) + 1
    place = (np.arange(len(states))[:, None] * beats + beat)[:, :, None] * 13
    key = place + np.where(sounding == SILENT, 12, sounding % 12)
    counts = np.bincount(key.ravel(), minlength=len(states) * beats * 13).reshape(-1, beats, 13)[:, :, :12]
    counts[:, :-1] += counts[:, 1:]
    return counts.astype(np.float64)


@dataclass(frozen=True, eq=False)
class NormalScale:
    """Attributes to standard normal numbers and back. `knots` (KNOTS, k): quantiles of each attribute, rising."""

    knots: np.ndarray

    @staticmethod
    def places() -> np.ndarray:
        """(KNOTS,) the normal number of each quantile."""
        end = NormalDist().cdf(WIDEST)
        return np.array([NormalDist().inv_cdf(q) for q in np.linspace(1 - end, end, KNOTS)])

    @classmethod
    def of(cls, values: np.ndarray) -> NormalScale:
        """From the attributes (n, k) of windows of reference. Ties are spread by a millionth of the range."""
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or len(values) < 2:
            raise ParameterError("a scale needs attributes of two windows at least")
        end = NormalDist().cdf(WIDEST)
        knots = np.quantile(values, np.linspace(1 - end, end, KNOTS), axis=0)
        spread = np.maximum(np.ptp(values, axis=0), 1e-6) * 1e-6
        return cls(knots + spread * np.linspace(0, 1, KNOTS)[:, None])

    def to_normal(self, values: np.ndarray) -> np.ndarray:
        """(n, k); a value that many windows share gets the middle of its ranks."""
        places, values = self.places(), np.asarray(values, dtype=np.float64)
        low = np.empty_like(values)
        for i, knots in enumerate(self.knots.T):
            slack = 2e-6 * max(np.ptp(knots), 1e-6)
            first, last = (np.interp(values[:, i] + side, knots, places) for side in (-slack, slack))
            low[:, i] = (first + last) / 2
        return low

    def from_normal(self, numbers: np.ndarray) -> np.ndarray:
        """(n, k)"""
        places, numbers = self.places(), np.asarray(numbers, dtype=np.float64)
        return np.column_stack([np.interp(numbers[:, i], places, knots) for i, knots in enumerate(self.knots.T)])

    def steps(self, values: np.ndarray, changes: Sequence[float]) -> np.ndarray:
        """(n, k): the values after slider steps `changes` (k,)."""
        return self.from_normal(self.to_normal(values) + np.asarray(changes))
