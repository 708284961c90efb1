"""Clefs and octave signs: keeping notes near their staff.

A staff far from its notes drowns in ledger lines. Each staff gets the clef (treble or bass) that needs the fewest
of them, changed only at bar lines and only when it pays (dynamic programming over the bars); runs of notes still
far above or below are put under an octave sign.
"""

from __future__ import annotations

import numpy as np

__all__ = ["choose_clefs", "octave_runs"]

TREBLE, BASS = "G", "F"
LINES = {TREBLE: (64, 77), BASS: (43, 57)}  # MIDI numbers of the lowest and highest line (E4 F5, G2 A3)
CLEF_CHANGE = 14.0  # ledger lines that justify a change of clef
SEMITONES_PER_LEDGER = 3.43  # two diatonic steps


def _ledgers(pitch: np.ndarray, clef: str) -> np.ndarray:
    """(n,) ledger lines each note needs."""
    low, high = LINES[clef]
    return np.maximum(np.maximum(low - pitch, pitch - high), 0) / SEMITONES_PER_LEDGER


def choose_clefs(bar: np.ndarray, pitch: np.ndarray, *, bars: int, default: str) -> list[str]:
    """Clef of each bar of one staff, from the bar numbers (n,) and MIDI numbers (n,) of its notes."""
    clefs = (TREBLE, BASS)
    cost = np.zeros((bars, 2))
    for k, clef in enumerate(clefs):
        lines = _ledgers(pitch.astype(float), clef)
        np.add.at(cost[:, k], bar, np.maximum(lines - 0.5, 0.0) ** 1.3)  # one ledger line disturbs nobody
    best = cost[0] + np.array([0.0 if c == default else 4.0 for c in clefs])
    back = np.zeros((bars, 2), dtype=np.int8)
    for b in range(1, bars):
        stay, go = best, best[::-1] + CLEF_CHANGE
        back[b] = np.where(go < stay, [1, 0], [0, 1])
        best = np.minimum(stay, go) + cost[b]
    path = [int(best.argmin())]
    for b in range(bars - 1, 0, -1):
        path.append(int(back[b, path[-1]]))
    return [clefs[k] for k in reversed(path)]


HIGH = 88  # E6: three ledger lines above the treble staff
VERY_HIGH = 92  # A flat 6: more than three
LOW = 34  # B flat 1
VERY_LOW = 31  # G1: more than three ledger lines below the bass staff
LEAST = 3  # chords that justify an octave sign


def octave_runs(onset: np.ndarray, pitch: np.ndarray, *, high: bool) -> list[tuple[int, int]]:
    """First and last onset of each run of chords to be written an octave lower (`high`) or higher.

    `onset` (n,) ticks, sorted; `pitch` (n,) MIDI numbers of one staff.
    """
    runs, run = [], []
    starts = np.flatnonzero(np.concatenate([[True], np.diff(onset) != 0])) if len(onset) else []
    nearest = np.minimum.reduceat(pitch, starts) if high and len(onset) else None
    farthest = np.maximum.reduceat(pitch, starts) if len(onset) else []
    if len(onset) and not high:
        nearest, farthest = np.maximum.reduceat(pitch, starts), np.minimum.reduceat(pitch, starts)
    for i, _start in enumerate(starts):
        inside = nearest[i] >= HIGH - 5 if high else nearest[i] <= LOW + 5
        if inside:
            run.append(i)
        if run and (not inside or i == len(starts) - 1):
            far = [i for i in run if (farthest[i] >= VERY_HIGH if high else farthest[i] <= VERY_LOW)]
            if len(far) >= LEAST:
                runs.append((int(onset[starts[far[0]]]), int(onset[starts[far[-1]]])))
            run = []
    return runs
