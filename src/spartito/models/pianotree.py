"""PianoTree: two bars of piano music as a tree of steps and notes, and the other symbolic views of A2S.

A segment of eight beats is 32 steps of a quarter of a beat. Each step is a row of 16 slots: a start mark, up to 14
notes, an end mark, padding. A slot is a pitch (0..127, or a mark) and the five bits of its duration minus one, most
significant first. Beside it there are the piano-roll that the texture encoder reads (durations in steps, written where
notes begin) and three features of each step: how low its lowest note is, how many notes it has, and whether the lead
instrument begins a note.

Everything here works on many segments at once: notes are rows (segment, onset step, pitch, duration in steps).

Sources: Z. Wang, Y. Zhang et al., "PIANOTREE VAE: structured representation learning for polyphonic music", ISMIR
2020 (the representation); Z. Wang, D. Xu, G. Xia, Y. Shan, "Audio-to-symbolic arrangement via cross-modal music
representation learning", ICASSP 2022 (A2S). `compat` keeps what the published code of A2S does: notes of a step in the
order of the input, more than 14 an error, ten slots read back. By default they are sorted by pitch, a pitch stands
once in a step, the inner ones of a chord of more than 14 are left out, and all slots are read.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import NotesError, ParameterError

__all__ = ["encode", "features", "merged", "notes_of", "piano_roll", "roll_of"]

STEPS = 32  # of a quarter of a beat: eight beats
SLOTS = 16  # start, notes, end
PREDICTED = SLOTS - 1  # slots that a decoder fills: all but the start
MOST_NOTES = SLOTS - 2  # of one step
BITS = 5  # of a duration
LONGEST = 1 << BITS  # steps
PITCHES = 128
START, END, PAD = 128, 129, 130  # marks in the place of a pitch
NO_BIT = 2  # in the place of a duration bit, where there is none
COMPAT_SLOTS = 10  # that the original reads back
BASS_LOW, BASS_HIGH = 48, 60  # MIDI: sure to be bass at or below the first, not bass above the second


def encode(notes: np.ndarray, segments: int, *, compat: bool = False) -> np.ndarray:
    """PianoTree grids of notes.

    Parameters
    ----------
    notes : np.ndarray, shape=(n, 4), int
        Segment, onset step in it (0..31), MIDI pitch, duration in steps; longer than 32 is cut.
    segments : int
        How many grids to make.
    compat : bool
        Keep the order of `notes` inside a step and its repeated pitches, as the original does.

    Returns
    -------
    np.ndarray, shape=(segments, 32, 16, 6), int64

    Raises
    ------
    NotesError
        Notes outside the grid, or with `compat` more than 14 in a step.
    """
    notes = _checked(notes, segments)
    grid = np.full((segments * STEPS, SLOTS, 1 + BITS), NO_BIT, dtype=np.int64)
    grid[:, :, 0] = PAD
    grid[:, 0, 0] = START
    if not compat:
        notes = thinned(merged(notes))
    row = notes[:, 0] * STEPS + notes[:, 1]
    order = np.argsort(row, kind="stable")
    notes, row = notes[order], row[order]
    place, count = _places(row, segments * STEPS)
    if len(place) and place.max() >= MOST_NOTES:
        raise NotesError(
            f"{int(place.max()) + 1} notes begin at one step; a PianoTree of the original holds {MOST_NOTES}"
        )
    grid[row, 1 + place, 0] = notes[:, 2]
    grid[row, 1 + place, 1:] = bits_of(notes[:, 3])
    grid[np.arange(len(grid)), 1 + count, 0] = END
    return grid.reshape(segments, STEPS, SLOTS, 1 + BITS)


def notes_of(grid: np.ndarray, *, compat: bool = False) -> np.ndarray:
    """The notes of predicted grids (segments, 32, slots, 6), without a start slot, as `encode(...)[:, :, 1:]`.

    A step is read until its end mark. A start mark or padding among the notes, an index error in the original, is
    passed over. With `compat` only ten slots are read.

    Returns
    -------
    np.ndarray, shape=(n, 4), int64
        Segment, onset step, pitch, duration in steps; by segment, step and slot.
    """
    grid = np.asarray(grid)
    if grid.ndim != 4 or grid.shape[1] != STEPS or grid.shape[3] != 1 + BITS:
        raise ParameterError(f"grids have shape (segments, {STEPS}, slots, {1 + BITS}), not {grid.shape}")
    if compat:
        grid = grid[:, :, :COMPAT_SLOTS]
    pitch = grid[..., 0]
    going = np.logical_and.accumulate(pitch != END, axis=-1)
    segment, step, slot = np.nonzero(going & (pitch < PITCHES) & (pitch >= 0))
    found = grid[segment, step, slot]
    return np.column_stack([segment, step, found[:, 0], duration_of(found[:, 1:])]).astype(np.int64)


def piano_roll(notes: np.ndarray, segments: int) -> np.ndarray:
    """(segments, 32, 128) float32: duration in steps where a note begins, 0 elsewhere.

    Of two notes on a cell the later in `notes` stays. Durations are not cut at 32 steps or at the end of the segment.
    """
    notes = _checked(notes, segments)
    roll = np.zeros((segments, STEPS, PITCHES), dtype=np.float32)
    roll[notes[:, 0], notes[:, 1], notes[:, 2]] = notes[:, 3]
    return roll


def roll_of(grid: np.ndarray, *, compat: bool = False) -> np.ndarray:
    """(segments, 32, 128), the piano-roll of predicted grids (segments, 32, slots, 6): the next prompt."""
    return piano_roll(notes_of(grid, compat=compat), len(grid))


def features(piano: np.ndarray, lead: np.ndarray, segments: int) -> np.ndarray:
    """What the feature decoder learns to hear, per step.

    Parameters
    ----------
    piano, lead : np.ndarray, shape=(n, 4), int
        Notes of the accompaniment and of the lead instrument (POP909's BRIDGE).

    Returns
    -------
    np.ndarray, shape=(segments, 32, 3), float32
        Bass probability of the lowest piano note (1 up to C3, falling to 0 at C4), number of piano pitches / 14, and
        1 where the lead begins a note.
    """
    struck = piano_roll(piano, segments) > 0
    any_struck = struck.any(axis=-1)
    lowest = np.where(any_struck, struck.argmax(axis=-1), PITCHES)
    bass = np.clip((BASS_HIGH - lowest) / (BASS_HIGH - BASS_LOW), 0.0, 1.0)
    intensity = struck.sum(axis=-1) / MOST_NOTES
    rhythm = (piano_roll(lead, segments) > 0).any(axis=-1)
    return np.stack([bass, intensity, rhythm], axis=-1).astype(np.float32)


# -- parts -----------------------------------------------------------------------------------------------------


def bits_of(duration: np.ndarray) -> np.ndarray:
    """(..., 5) bits of duration - 1, the most significant first; durations in steps, cut to 1..32."""
    value = np.clip(np.asarray(duration, dtype=np.int64), 1, LONGEST) - 1
    return (value[..., None] >> np.arange(BITS - 1, -1, -1)) & 1


def duration_of(bits: np.ndarray) -> np.ndarray:
    """(...,) steps from (..., 5) bits; what is no bit counts as 0."""
    return 1 + ((np.asarray(bits) == 1) << np.arange(BITS - 1, -1, -1)).sum(axis=-1)


def merged(notes: np.ndarray) -> np.ndarray:
    """Notes (n, 4) sorted by segment, step and pitch; of equal ones the longest."""
    notes = notes[np.lexsort((-notes[:, 3], notes[:, 2], notes[:, 1], notes[:, 0]))]
    new = np.ones(len(notes), dtype=bool)
    new[1:] = (np.diff(notes[:, :3], axis=0) != 0).any(axis=1)
    return notes[new]


def thinned(notes: np.ndarray) -> np.ndarray:
    """`notes` ((n, 4), sorted) with at most 14 in a step: of a larger chord the seven lowest and the seven highest."""
    if len(notes) == 0:
        return notes
    row = notes[:, 0] * STEPS + notes[:, 1]
    place, count = _places(row, int(row[-1]) + 1)
    half = MOST_NOTES // 2
    return notes[(place < half) | (place >= count[row] - half)]


def _places(row: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Place of each element within its run of equal `row` ((n,), sorted), and (rows,) how many there are of each."""
    count = np.bincount(row, minlength=rows)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    return np.arange(len(row)) - first[row], count


def _checked(notes: np.ndarray, segments: int) -> np.ndarray:
    notes = np.asarray(notes, dtype=np.int64)
    if notes.ndim != 2 or notes.shape[1] != 4:
        raise NotesError(f"notes are rows of segment, step, pitch and duration, not of shape {notes.shape}")
    limits = np.array([segments, STEPS, PITCHES])
    if len(notes) and ((notes[:, :3] < 0) | (notes[:, :3] >= limits)).any():
        raise NotesError(f"notes lie outside {segments} segments of {STEPS} steps and {PITCHES} pitches")
    return notes
