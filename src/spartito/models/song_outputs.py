"""What the numbers of the song analyzer mean: its outputs, their rates and their classes. No torch here."""

from __future__ import annotations

import numpy as np

from spartito.analysis.harte import QUALITIES as INTERVALS
from spartito.analysis.harte import encode

__all__ = [
    "FPS",
    "HIGHEST_VOICE",
    "LOWEST_VOICE",
    "MELODY_STRIDE",
    "OUTPUTS",
    "QUALITIES",
    "STRIDE",
    "chord_class",
]

FPS = 62.5  # frames a second of the `default` front end and of the beats
STRIDE = 8  # frames in a step of chords, bass and key: 7.8 steps a second; spectra come in whole steps
MELODY_STRIDE = 2  # frames in a step of the melody
LOWEST_VOICE, HIGHEST_VOICE = 40, 93  # E2 to A6: MIDI pitches that a leading voice may have
OUTPUTS = ("beat", "chord", "bass", "key", "melody")
QUALITIES = ("maj", "min", "7", "maj7", "min7", "dim", "hdim7", "aug", "sus2", "sus4")
"""Qualities of chords with a class of their own, in the order of the classes."""

_BITS = np.array([[i in INTERVALS[quality] for i in range(12)] for quality in QUALITIES])  # (qualities, 12)


def chord_class(label: str) -> int:
    """Class of a chord: 0 for none, else 1 + 12 · quality + root; other qualities go to the most similar one.

    Most similar: fewest pitch classes too many or missing, those from the second to the fifth counting double; of those
    the simplest. The bass says nothing of the quality.
    """
    root, bits, _ = encode(label.split("/")[0])
    if root < 0:
        return 0
    weight = np.where(np.isin(np.arange(12), range(2, 9)), 2, 1)
    distance = ((_BITS != bits.astype(bool)) * weight).sum(axis=1)
    return 1 + 12 * int(distance.argmin()) + root
