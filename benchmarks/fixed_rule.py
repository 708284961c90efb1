"""The rule that every engine of `restyle` must beat: what anybody would write down on one page.

To jazz: eighths off the beat come late (swing), roots in the middle of chords become sevenths (major on tonic and
subdominant, else minor), fifths in the middle become ninths. From jazz: late eighths become even, and tones that are in
no triad go to the nearest one that is; for classical music, too, chords that stand are broken low-high-middle-high
(Alberti). The tune stays, the bass keeps its notes, and so does the density.
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.note_chords import QUALITIES, TONES, ChordTrack, chords_of
from spartito.notes.skyline import skyline

STEPS = 4  # per beat
EVEN, LATE = 2, 3  # steps in the beat of a straight and of a swung eighth
MAJOR = [QUALITIES.index(name) for name in ("maj", "maj7", "maj6")]
DOMINANT = 7  # semitones from tonic to dominant
FIFTH_TO_NINTH = -5  # semitones
ALBERTI = np.array([0, 2, 1, 2])  # lowest, highest, middle, highest of three notes
STANDS = 4  # steps at least for which a chord must be left alone to be broken


def fixed_rule(notes: np.ndarray, target: str, *, chords: ChordTrack | None = None) -> np.ndarray:
    """Notes (k, 5) of a piece in another genre, by the rule at the top."""
    notes = np.array(notes, dtype=np.int64).reshape(-1, 5)
    if len(notes) == 0:
        return notes
    beats = int((notes[:, 0] + notes[:, 1]).max()) // STEPS + 1
    chords = chords or chords_of(notes, beats)
    tune = np.zeros(len(notes), dtype=bool)
    tune[skyline(notes)] = True
    steps, place = np.unique(notes[:, 0], return_inverse=True)
    lowest = np.full(len(steps), 128)
    np.minimum.at(lowest, place, notes[:, 2])
    inner = ~tune & (notes[:, 2] > lowest[place])
    if target == "jazz":
        notes = swung(coloured(notes, inner, chords))
    else:
        notes = straight(plain(notes, ~tune, chords))
        if target == "classic":
            notes = broken(notes, tune)
    _, first = np.unique(notes[:, 0] * 128 + notes[:, 2], return_index=True)
    return notes[first]


def coloured(notes: np.ndarray, inner: np.ndarray, chords: ChordTrack) -> np.ndarray:
    """Roots among the `inner` notes (k,) as sevenths, fifths as ninths."""
    notes, beat = notes.copy(), notes[:, 0] // STEPS
    root, quality, key = chords.root[beat], chords.quality[beat], chords.keys[beat]
    above = (notes[:, 2] - root) % 12
    of_five = (key >= 0) & ((root - key % 12) % 12 == DOMINANT)
    seventh = np.where(np.isin(quality, MAJOR) & ~of_five, -1, -2)
    inner = inner & (root >= 0)
    notes[:, 2] += np.where(inner & (above == 0), seventh, 0) + np.where(inner & (above == 7), FIFTH_TO_NINTH, 0)
    return notes


def plain(notes: np.ndarray, accompaniment: np.ndarray, chords: ChordTrack) -> np.ndarray:
    """Notes of the `accompaniment` (k,) on the nearest tone of their triad, the lower of two."""
    notes, beat = notes.copy(), notes[:, 0] // STEPS
    triads = chords.simplified()
    root, tones = triads.root[beat], TONES[triads.quality[beat]]  # (k,), (k, 12) from the root
    above = (notes[:, 2] - root) % 12
    moves = np.array([0, -1, 1, -2, 2])
    fits = np.take_along_axis(tones, (above[:, None] + moves) % 12, axis=1)
    move = np.where(fits.any(axis=1), moves[fits.argmax(axis=1)], 0)
    notes[:, 2] += np.where(accompaniment & (root >= 0), move, 0)
    return notes


def swung(notes: np.ndarray) -> np.ndarray:
    """What begins or ends on the half of a beat does so at two thirds (the third sixteenth of the grid)."""
    return _moved(notes, EVEN, LATE)


def straight(notes: np.ndarray) -> np.ndarray:
    """Swung eighths on the half of the beat; beats with sixteenths stay."""
    return _moved(notes, LATE, EVEN)


def _moved(notes: np.ndarray, old: int, new: int) -> np.ndarray:
    """Onsets and releases at step `old` of those beats in which nothing else begins off the beat, at step `new`."""
    notes, begin, end = notes.copy(), notes[:, 0], notes[:, 0] + notes[:, 1]
    struck = np.zeros((int(end.max()) // STEPS + 1, STEPS), dtype=bool)
    struck[begin // STEPS, begin % STEPS] = True
    others = [step for step in range(1, STEPS) if step != old]
    free = struck[:, old] & ~struck[:, others].any(axis=1)
    begin, end = (np.where(free[t // STEPS] & (t % STEPS == old), t - old + new, t) for t in (begin, end))
    notes[:, 0], notes[:, 1] = begin, np.maximum(end - begin, 1)
    return notes


def broken(notes: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """Chords of three notes and more that stand for a beat, as figures of four notes; not the `tune` (k,)."""
    chords, kept = notes[~tune], notes[tune]
    if len(chords) == 0:
        return notes
    chords = chords[np.lexsort((chords[:, 2], chords[:, 0]))]
    first = np.flatnonzero(np.diff(chords[:, 0], prepend=-1))
    count = np.diff(np.append(first, len(chords)))
    length = np.minimum(np.diff(np.append(chords[first, 0], chords[-1, 0] + chords[-1, 1])), chords[first, 1])
    figures = (count >= 3) & (length >= STANDS)
    three = np.column_stack([first, first + count // 2, first + count - 1])[figures]  # rows: low, middle, high
    unit = np.where(length[figures] >= 2 * STANDS, 2, 1)
    made = chords[three[:, ALBERTI]].copy()  # (figures, 4 notes, 5)
    made[:, :, 0] += unit[:, None] * np.arange(4)
    made[:, :, 1] = unit[:, None]
    left = chords[~np.repeat(figures, count)]
    return np.concatenate([kept, left, made.reshape(-1, 5)])
