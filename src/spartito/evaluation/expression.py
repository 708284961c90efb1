"""What the notes of an arrangement alone tell of its rhythm and its dynamics; no reference is needed.

Job
    Say how regular and how varied the rhythm is and how wide the dynamics are. There is no best value: a good
    arrangement is as far from a sequencer as from chance. What a human arrangement of the same song scores is the
    target.

Method
    Rhythm is seen in the intervals between onsets, one after the other; notes struck at the same instant are one
    onset, drums are left out. Onsets are put on the clock of the files that the original measures (5.2 ms).

    rhythm_grid     how far the eight most frequent intervals are from whole multiples of one of them, the one for
                    which they are nearest: mean distance as a share of it, 0 (all multiples) to 0.5. Intervals
                    are rounded to 0.1 ms before they are counted.
    rhythm_variety  intervals, held between 62.5 ms and 4 s, are sorted into sixteen kinds by the k-means of their
                    logarithms; the entropy, in bits, of all runs of eight kinds. It grows with the length of the
                    piece: at most the logarithm (base 2) of the number of runs. Compare like with like.
    dynamics_range  from the 5th to the 95th percentile of the velocities, MIDI units
    dynamics_spread standard deviation of the velocities, MIDI units

Sources
    Grid coherence and interval-pattern entropy: T.-Y. Chen, Y.-J. Joung, 'Etude: piano cover generation with a
    three-stage approach' (arXiv 2509.16522, 2025), with the settings of its published program; on its hundred human
    covers these functions give its published means, 0.042 and 10.13. Different: k-means of one dimension is solved
    exactly (H. Wang, M. Song, 'Ckmeans.1d.dp', The R Journal 3(2), 2011), after rounding the logarithms to 0.2 %, where
    the original runs Lloyd's iterations from random seeds; a piece with one kind of interval has grid and variety 0,
    where the original gives none. MIDI velocity as the measure of dynamics: C. E.
    Cancino-Chacón et al., 'Computational models of expressive music performance' (Frontiers in Digital Humanities 5,
    2018).
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import pitched
from spartito.notes.notes import Notes

__all__ = ["evaluate_expression", "rhythm_grid", "rhythm_variety"]

TICK = 1 / 192  # s: 96 ticks a quarter note at 120 beats a minute
FREQUENT = 8  # intervals that the grid is sought in
ROUNDING = 1e-4  # s
SHORTEST_UNIT = 0.01  # s; no grid is finer
BOUNDS = (0.0625, 4.0)  # s; intervals outside count as these
KINDS = 16  # of intervals
RUN = 8  # intervals
LOG_STEP = 0.002  # of the natural logarithm


def evaluate_expression(notes: Notes) -> dict[str, float]:
    """The measures at the top of this file; those that cannot be told, as there are too few notes, are missing."""
    velocity = pitched(notes).velocity.astype(np.float64)
    scores = {"rhythm_grid": rhythm_grid(notes), "rhythm_variety": rhythm_variety(notes)}
    if len(velocity):
        low, high = np.percentile(velocity, (5, 95))
        scores |= {"dynamics_range": float(high - low), "dynamics_spread": float(velocity.std())}
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def _intervals(notes: Notes) -> np.ndarray:
    """(n,) seconds from onset to onset."""
    return np.diff(np.unique(np.round(pitched(notes).onset / TICK))) * TICK


def rhythm_grid(notes: Notes) -> float:
    """Mean distance of the frequent intervals from a grid, 0..0.5 of its unit; nan for fewer than eight intervals."""
    rounded = np.round(_intervals(notes) / ROUNDING) * ROUNDING
    if len(rounded) < FREQUENT:
        return float("nan")
    values, first, counts = np.unique(rounded, return_index=True, return_counts=True)
    frequent = values[np.lexsort((first, -counts))[:FREQUENT]]  # of equally frequent ones those that come first
    units = frequent[frequent >= SHORTEST_UNIT]
    if len(units) == 0:
        return float("nan")
    ratio = frequent[None, :] / units[:, None]
    return float(np.abs(ratio - np.round(ratio)).mean(axis=1).min())


def rhythm_variety(notes: Notes) -> float:
    """Entropy of runs of eight intervals, in bits; nan for fewer than eight intervals."""
    intervals = _intervals(notes)
    if len(intervals) < RUN:
        return float("nan")
    logs = np.round(np.log(np.clip(intervals, *BOUNDS)) / LOG_STEP) * LOG_STEP
    kinds = _clusters(logs, KINDS)
    runs = np.lib.stride_tricks.sliding_window_view(kinds, RUN) @ KINDS ** np.arange(RUN)
    share = np.unique(runs, return_counts=True)[1] / len(runs)
    return float(-(share * np.log2(share)).sum() + 0.0)


def _clusters(x: np.ndarray, count: int) -> np.ndarray:
    """(n,) int: numbers of the clusters, in rising order, whose squared distances from their means are least.

    Clusters of numbers are stretches of their sorted values: the best last stretch of every beginning is found for one
    cluster, two, three and so on.
    """
    values, place, weight = np.unique(x, return_inverse=True, return_counts=True)
    count, m = min(count, len(values)), len(values)
    values = values - values.mean()
    w, s, q = (np.concatenate([[0.0], np.cumsum(weight * values**power)]) for power in range(3))
    begin, end = np.arange(m)[:, None], np.arange(1, m + 1)[None, :]  # a stretch is [begin, end)
    inside = np.maximum(w[end] - w[begin], 1.0)
    cost = np.where(begin < end, q[end] - q[begin] - (s[end] - s[begin]) ** 2 / inside, np.inf)
    best, starts = cost[0], [np.zeros(m, dtype=np.int64)]
    for _ in range(count - 1):
        total = np.concatenate([[np.inf], best[:-1]])[:, None] + cost  # (begin, end - 1)
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    edges, last = [], m
    for start in reversed(starts):
        last = int(start[last - 1])
        edges.append(last)
    return np.searchsorted(edges[-2::-1], np.arange(m), side="right")[place.ravel()]
