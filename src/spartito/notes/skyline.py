"""The tune of a piece on the grid: the line on top, without the accompaniment that shows in its rests.

Job
    For engines that keep a tune and write another accompaniment, and for what they learn from: which notes of a piano
    texture are its tune. Hands are not needed, so that pieces of unknown hands are treated alike.

Method
    A note is on top when nothing higher is struck with it, or held over it for more than one step more (of a legato
    line the old note often ends a step late). Of these, notes are left out that lie below `LOWEST_TUNE`, or more than
    `DIP` under the mean of the top notes within two bars: a bass or a broken chord heard through the rests of the tune.

Source
    The top line as melody: A. L. Uitdenbogerd and J. Zobel, 'Manipulation of music for melody matching' (ACM Multimedia
    1998). `notes.roles` finds it on notes in seconds whose hands are known; this does on steps, for many at once.
"""

from __future__ import annotations

import numpy as np

__all__ = ["skyline"]

OVERLAP = 1  # steps that a higher note may be held into the next one
DIP = 10  # semitones under the mean of the line: no tune stays there for a note or two
AROUND = 32  # steps on both sides, two bars of 4/4, that make the mean
LOWEST_TUNE = 48  # MIDI number, C3: no tune on top of a piano texture lies lower


def skyline(notes: np.ndarray) -> np.ndarray:
    """(m,) int: the rows of `notes` that are the tune, in the order of time.

    `notes` (k, 5) int: step, duration in steps, MIDI pitch, velocity, hand; in any order. Pieces may lie one behind the
    other on the line of steps when at least `AROUND` steps of silence are between them.
    """
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 5)
    if len(notes) == 0:
        return np.zeros(0, dtype=np.int64)
    start, length, pitch = notes[:, 0] - notes[:, 0].min(), np.maximum(notes[:, 1], 1), notes[:, 2]
    steps = int((start + length).max()) + 1
    struck, held = np.full(steps, -1), np.full(steps, -1)
    np.maximum.at(struck, start, pitch)
    after = np.maximum(length - 1 - OVERLAP, 0)  # steps behind the first through which it lies over others
    row = np.repeat(np.arange(len(notes)), after)
    step = start[row] + 1 + np.arange(after.sum()) - np.repeat(np.cumsum(after) - after, after)
    np.maximum.at(held, step, pitch[row])
    on_top = np.flatnonzero((pitch == struck[start]) & (pitch > held[start]))
    mean = _local_mean(start[on_top], pitch[on_top], steps)
    found = on_top[(pitch[on_top] >= LOWEST_TUNE) & (pitch[on_top] >= mean - DIP)]
    found = found[np.argsort(start[found], kind="stable")]
    return found[np.diff(start[found], prepend=-1) != 0]  # one of notes that are told twice


def _local_mean(start: np.ndarray, pitch: np.ndarray, steps: int) -> np.ndarray:
    """(m,) mean pitch of the notes within `AROUND` steps of each."""
    total, count = (
        np.concatenate([[0.0], np.cumsum(np.bincount(start, weights=w, minlength=steps))])
        for w in (pitch.astype(np.float64), np.ones(len(pitch)))
    )
    low, high = np.maximum(start - AROUND, 0), np.minimum(start + AROUND + 1, steps)
    return (total[high] - total[low]) / (count[high] - count[low])
