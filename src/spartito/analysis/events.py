"""Chords of a performance as events, and what can be said of each: the input of beat tracking.

Onsets closer than a spread chord are one event. Each event is described by numbers that tell strong places from
weak ones: intervals to its neighbours, size, loudness and register against its surroundings, how long it is held,
whether it is the bass of its neighbourhood, whether the harmony changes there, whether the pedal does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.notes.notes import Notes
from spartito.notes.quantize import chord_groups

__all__ = ["FEATURES", "Events", "find_events"]

FEATURES = (
    "interval before",  # natural logarithm of seconds
    "interval after",
    "two intervals before",
    "two intervals after",
    "notes",  # logarithm of their number
    "loudest against neighbours",  # MIDI velocity / 16
    "sum of loudness",  # logarithm
    "lowest pitch",  # octaves from C3
    "highest pitch",  # octaves from C5
    "lowest against neighbours",  # octaves
    "highest against neighbours",
    "longest",  # logarithm of seconds
    "shortest",
    "length of the lowest",
    "bass within half a second",  # 0 or 1
    "bass within a second and a half",
    "change of harmony, half a second",  # 0..1
    "change of harmony, one second",
    "change of harmony, two seconds",
    "pedal",  # 1 when it goes down at or just after the event
    "pedal known",  # 1 when the performance uses the pedal at all
    "lowest held on",  # 1 when it lasts beyond the next event
)
NEIGHBOURS = 4.0  # seconds on either side that an event is compared with
SHORTEST, LONGEST = 0.03, 4.0  # seconds; intervals and lengths are clipped to these


@dataclass(frozen=True, eq=False)
class Events:
    """Chords of a performance in order.

    Attributes
    ----------
    times : np.ndarray, shape=(m,), seconds
    group : np.ndarray, shape=(n,), int
        Number of the event each note belongs to.
    features : np.ndarray, shape=(m, len(FEATURES)), float32
    """

    times: np.ndarray
    group: np.ndarray
    features: np.ndarray


def find_events(notes: Notes) -> Events:
    """Events of `notes`, which must hold at least one note."""
    group = chord_groups(notes.onset)
    count = np.bincount(group)
    m = len(count)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    time = np.bincount(group, weights=notes.onset) / count
    pitch, velocity = notes.pitch.astype(float), notes.velocity.astype(float)
    length = np.clip(notes.offset - notes.onset, SHORTEST, LONGEST)
    low = np.minimum.reduceat(pitch, first)
    high = np.maximum.reduceat(pitch, first)
    loud = np.maximum.reduceat(velocity, first)
    total = np.log(np.add.reduceat(velocity, first) / 64)
    longest = np.maximum.reduceat(length, first)
    shortest = np.minimum.reduceat(length, first)
    low_length = np.maximum.reduceat(np.where(pitch == low[group], length, 0.0), first)

    def interval(k):
        gap = np.full(m, LONGEST)
        if m > k:
            gap[:-k] = time[k:] - time[:-k]
        return np.log(np.clip(gap, SHORTEST, LONGEST))

    after, after2 = interval(1), interval(2)
    before = np.concatenate([[np.log(LONGEST)], after[:-1]])
    before2 = np.concatenate([[np.log(LONGEST)] * min(2, m), after2[:-2]])[:m]
    pedal = notes.pedal
    down = pedal[:, 0] if len(pedal) else np.zeros(0)
    following = np.searchsorted(down, time - 0.06)
    wait = down[np.minimum(following, len(down) - 1)] - time if len(down) else np.full(m, 9.0)
    pedalled = ((wait > -0.06) & (wait < 0.3)).astype(float)
    columns = [
        before,
        after,
        before2,
        after2,
        np.log(count),
        (loud - _local_mean(time, loud)) / 16,
        total,
        (low - 48) / 12,
        (high - 72) / 12,
        (low - _local_mean(time, low)) / 12,
        (high - _local_mean(time, high)) / 12,
        np.log(longest),
        np.log(shortest),
        np.log(low_length),
        (low <= _local_minimum(time, low, 0.5)).astype(float),
        (low <= _local_minimum(time, low, 1.5)).astype(float),
        *(_harmony_change(time, notes, group, m, span) for span in (0.5, 1.0, 2.0)),
        pedalled,
        np.full(m, float(len(down) > 0)),
        (low_length > np.exp(after) + 0.05).astype(float),
    ]
    return Events(time, group, np.column_stack(columns).astype(np.float32))


def _local_mean(time: np.ndarray, value: np.ndarray) -> np.ndarray:
    lo = np.searchsorted(time, time - NEIGHBOURS)
    hi = np.searchsorted(time, time + NEIGHBOURS, side="right")
    sums = np.concatenate([[0.0], np.cumsum(value)])
    return (sums[hi] - sums[lo]) / (hi - lo)


def _local_minimum(time: np.ndarray, value: np.ndarray, reach: float) -> np.ndarray:
    """Minimum of `value` within `reach` seconds, by a table of minima over powers of two."""
    lo = np.searchsorted(time, time - reach)
    hi = np.searchsorted(time, time + reach, side="right")
    table = [value]
    while 2 ** len(table) <= int((hi - lo).max()):
        step = 2 ** (len(table) - 1)
        table.append(np.minimum(table[-1][:-step], table[-1][step:]))
    level = np.floor(np.log2(np.maximum(hi - lo, 1))).astype(int)
    out = np.empty(len(value))
    for k, minima in enumerate(table):
        mine = level == k
        out[mine] = np.minimum(minima[lo[mine]], minima[hi[mine] - 2**k])
    return out


def _harmony_change(time: np.ndarray, notes: Notes, group: np.ndarray, m: int, span: float) -> np.ndarray:
    """(m,) 1 minus the cosine between the pitch classes struck in the `span` seconds before and after."""
    weight = np.sqrt(np.clip(notes.offset - notes.onset, SHORTEST, 2.0))
    chroma = np.zeros((m + 1, 12))
    np.add.at(chroma, (group + 1, notes.pitch % 12), weight)
    sums = np.cumsum(chroma, axis=0)
    here = np.arange(m)
    lo = np.searchsorted(time, time - span)
    hi = np.searchsorted(time, time + span, side="left")
    before = sums[here] - sums[lo]
    after = sums[np.maximum(hi, here + 1)] - sums[here]
    norm = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return 1 - np.sum(before * after, axis=1) / np.maximum(norm, 1e-6)
