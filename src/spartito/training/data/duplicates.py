"""Is this the same composition? So that no test piece is heard in training under another name.

A piece is reduced to the highest note of each attack (notes within 50 ms count as one attack), and that line to its
runs of ten pitches. Two versions of a composition, by other hands or from another edition, share many runs; two
different compositions share next to none. Transposed versions are found too, since runs are kept as intervals.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spartito.notes.notes import Notes

__all__ = ["is_version_of", "melody_runs"]

ATTACK = 0.05  # s
RUN = 10  # pitches
SHARED = 0.05  # of the shorter piece's runs, from which on two pieces are versions of one composition


def melody_runs(notes: Notes) -> set[bytes]:
    """All runs of ten successive top notes, as the nine intervals between them."""
    onset = notes.onset
    if len(onset) == 0:
        return set()
    attack = np.concatenate([[0], np.cumsum(np.diff(onset) > ATTACK)])
    top = np.zeros(attack[-1] + 1, dtype=np.int16)
    np.maximum.at(top, attack, notes.pitch)
    if len(top) < RUN:
        return set()
    intervals = np.diff(top).astype(np.int8)
    runs = np.lib.stride_tricks.sliding_window_view(intervals, RUN - 1)
    return {run.tobytes() for run in runs if np.count_nonzero(run) > RUN // 2}  # not repeated notes


def is_version_of(runs: set[bytes], others: Iterable[set[bytes]]) -> bool:
    """Whether `runs` and one of `others` come from one composition."""
    return any(len(runs & other) > max(2, SHARED * min(len(runs), len(other))) for other in others if runs and other)
