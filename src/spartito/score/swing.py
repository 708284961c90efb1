"""Swung eighths on paper: straight ones, and the word over the first bar.

Job
    A score of swing music shows plain eighths and says 'Swing'; written as they are played, they would be triplets or
    dotted notes throughout. `straightened` gives the notes as they are written.

Method
    A beat swings when something begins late in its second half's stead and nothing on its other quarters. How late, is
    the median over the piece; where it hardly differs from the middle nothing swings. Time runs evenly from the beat to
    its late eighth and from there to the next beat, so that ends of notes move along with what begins.
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import Beats
from spartito.notes.notes import Notes
from spartito.notes.roles import Grid

__all__ = ["straightened", "swing_of"]

ON_BEAT = 0.1  # of a beat: so early or so late a note still counts as on it
LATE = (0.42, 0.74)  # of a beat, where its second eighth may lie, swung or not; three quarters are a dotted eighth
LEAST = 0.545  # of a beat from which a second eighth is late; players who play straight lie below
FEW = 4  # beats that must swing


def swing_of(notes: Notes, beats: Beats) -> float | None:
    """Where in the beat the late eighths of a piece lie (2/3 for triplets); None when it does not swing."""
    late = _late_eighths(Grid.of(beats), notes.onset)[1]
    return float(np.median(late)) if len(late) >= FEW and np.median(late) >= LEAST else None


def straightened(notes: Notes, beats: Beats) -> tuple[Notes, bool]:
    """The notes with their swung eighths in the middle of the beat, and whether there were any."""
    late = swing_of(notes, beats)
    if late is None:
        return notes, False
    grid = Grid.of(beats)
    beat, place = _late_eighths(grid, notes.onset)
    swung = place >= (0.5 + late) / 2
    beat, place = beat[swung], place[swung]
    whole = np.arange(min(beat.min(), 0), max(beat.max(), len(beats.times)) + 2)
    played, written = np.append(whole, beat + place), np.append(whole, beat + 0.5)
    order = np.argsort(played)
    array = notes.array.copy()
    for name in ("onset", "offset"):
        where = grid.place(array[name])
        moved = np.interp(where, played[order], written[order], left=np.nan, right=np.nan)
        array[name] = np.where(np.isnan(moved), array[name], grid.seconds(moved))
    array["offset"] = np.maximum(array["offset"], array["onset"])
    return notes.with_array(array), True


def _late_eighths(grid: Grid, onset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) beats of two eighths, and (m,) where in them the second one begins, mean of its notes."""
    if grid.three or len(onset) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    where = grid.place(onset)
    beat = np.floor(where + ON_BEAT).astype(np.int64)
    part = where - beat
    first = int(beat.min())
    second = (part >= LATE[0]) & (part <= LATE[1])
    other = (part > ON_BEAT) & ~second
    size = int(beat.max()) - first + 1
    count = np.bincount(beat[second] - first, minlength=size)
    total = np.bincount(beat[second] - first, weights=part[second], minlength=size)
    plain = np.flatnonzero((count > 0) & (np.bincount(beat[other] - first, minlength=size) == 0))
    return plain + first, total[plain] / count[plain]
