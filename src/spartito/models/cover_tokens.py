"""The language of token covers: windows of a song, what is heard of them, and notes as compound tokens.

Windows
    A window writes a *core* of two bars (of one when two exceed eight beats; longer bars are cut) and hears four beats
    before it and all up to twelve beats behind its first: 64 steps of a quarter of a beat. Cores tile the song.

Tokens
    One token is one note: its position (step of the core, 0..31), hand, pitch (key, 0..87), duration (index into
    `DURATIONS`) and velocity (one of eight levels); the last token is END. Position never falls, and keys rise at one
    position: in other words the *cell*, 88 * position + key, rises from token to token. So every sequence with rising
    cells is well-formed and nothing else is: the grammar mask is "cells above the last". There are no offsets that
    could be missing, and no state that could be left open.

Source
    One step of the decoder per note, with a head per field: W.-Y. Hsiao, J.-Y. Liu, Y.-C. Yeh, Y.-H. Yang, 'Compound
    Word Transformer' (AAAI 2021, arXiv:2101.02402). The position is absolute in the window there and here; that it is a
    step of the encoder's own grid, and the order by cells, are ours.
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.models.arranger_input import BEATS, CELLS, SILENCE, bars_of, chord_bits

__all__ = [
    "AHEAD",
    "CORE",
    "DURATIONS",
    "END",
    "FRAMES",
    "KEYS",
    "LEFT",
    "LOWEST_KEY",
    "RIGHT",
    "STEPS",
    "VELOCITIES",
    "WINDOW",
    "cells_of",
    "decode",
    "encode",
    "is_well_formed",
    "tiles",
    "window_chords",
    "window_frames",
    "window_metre",
    "windows_of",
]

STEPS = 4  # of a beat
CORE = BEATS * STEPS  # steps at most that a window writes
AHEAD = 16  # steps heard before the core
WINDOW = 64  # steps heard
WINDOW_BEATS = WINDOW // STEPS
FRAMES_PER_STEP = CELLS // STEPS
MARGIN = FRAMES_PER_STEP  # frames on each side of a window, for the convolution that reads it
FRAMES = WINDOW * FRAMES_PER_STEP + 2 * MARGIN  # 264
KEYS, LOWEST_KEY = 88, 21
LEFT, RIGHT = 0, 1
END = CORE  # the position of the mark that closes a window
DURATIONS = np.array([1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32])  # steps
VELOCITIES = np.array([48, 64, 74, 80, 86, 93, 103, 118])  # MIDI; the eighths of the velocities of POP909
LONGEST_BAR = 12  # beats, that the flags of metre tell apart


# -- windows of a song ------------------------------------------------------------------------------------------


def windows_of(beats: Beats) -> tuple[np.ndarray, np.ndarray]:
    """Cores that tile a song from its first beat to its last: (n,) first beats and (n,) lengths in beats."""
    count = len(beats.times)
    starts = np.union1d([0], np.flatnonzero(beats.positions == 0))
    return tiles(starts, bars_of(starts, count))


def tiles(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cores from bars that follow each other: two together where they fit into eight beats, long ones cut evenly.

    `starts` and `lengths` (bars,) in beats, and so is what comes back, (n,) each.
    """
    rows, sizes = [], []
    joined = True  # whether the last core is complete
    for start, length in zip(np.asarray(starts).tolist(), np.asarray(lengths).tolist()):
        if not joined and sizes[-1] + length <= BEATS:
            sizes[-1] += length
            joined = True
            continue
        parts = [len(part) for part in np.array_split(np.arange(length), -(-length // BEATS))]
        rows += [start + sum(parts[:i]) for i in range(len(parts))]
        sizes += parts
        joined = len(parts) > 1
    return np.array(rows, dtype=np.int64), np.array(sizes, dtype=np.int64)


def window_frames(cells: np.ndarray, rows: np.ndarray, *, quiet: np.ndarray = SILENCE) -> np.ndarray:
    """What is heard of windows whose cores begin at beats `rows` ((n,)).

    Parameters
    ----------
    cells : np.ndarray, shape=(4, 16 (beats + 9), 88)
        As `arranger_input.beat_cells` gives them.
    quiet : np.ndarray, shape=(4,)
        What stands where `cells` do not reach.

    Returns
    -------
    np.ndarray, shape=(n, 4, 264, 88), of the type of `cells`
    """
    first = CELLS * (np.asarray(rows, dtype=np.int64) + 1) - AHEAD * FRAMES_PER_STEP - MARGIN
    index = first[:, None] + np.arange(FRAMES)  # (n, 264)
    there = (index >= 0) & (index < cells.shape[1])
    frames = np.ascontiguousarray(cells[:, np.where(there, index, 0)].transpose(1, 0, 2, 3))
    np.copyto(frames, quiet[None, :, None, None].astype(frames.dtype), where=~there[:, None, :, None])
    return frames


def window_chords(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, 16, 36) float32: the chords of the sixteen beats of windows; zeros beyond the song.

    `table` (beats, 14) as for `arranger_input.chord_vectors`.
    """
    index, there = _beats_of_windows(rows, len(table))
    return chord_bits(np.asarray(table, dtype=np.int64)[index]) * there[..., None].astype(np.float32)


def window_metre(positions: np.ndarray, rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(n, 16, 3) int64 of the beats of windows: place in the bar, beats of the bar (0 unknown), 1 in the core.

    `positions` (beats,) are places in the bar, 0 a downbeat. Beyond the song place and length are 0.
    """
    positions = np.asarray(positions, dtype=np.int64)
    starts = np.union1d([0], np.flatnonzero(positions == 0))
    bars = np.repeat(bars_of(starts, len(positions)), np.diff(np.append(starts, len(positions))))
    index, there = _beats_of_windows(rows, len(positions))
    beat = np.arange(WINDOW_BEATS) - AHEAD // STEPS
    core = (beat >= 0) & (beat < np.asarray(lengths)[:, None])
    place = np.minimum(positions[index], LONGEST_BAR - 1) * there
    return np.stack([place, np.minimum(bars[index], LONGEST_BAR) * there, core], axis=-1)


def _beats_of_windows(rows: np.ndarray, beats: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 16) numbers of beats, kept within the song, and whether they are in it."""
    index = np.asarray(rows, dtype=np.int64)[:, None] + np.arange(WINDOW_BEATS) - AHEAD // STEPS
    return np.clip(index, 0, max(0, beats - 1)), (index >= 0) & (index < beats)


# -- notes as tokens --------------------------------------------------------------------------------------------


def encode(notes: np.ndarray) -> np.ndarray:
    """Tokens of the notes of one core.

    Parameters
    ----------
    notes : np.ndarray, shape=(k, 5), int
        Step in the core, duration in steps, MIDI pitch, velocity 1-127, hand (`LEFT` or `RIGHT`), in any order. Of
        notes that strike one key at one step the longest stays. Durations and velocities become the nearest there are.

    Returns
    -------
    np.ndarray, shape=(m + 1, 5), int64
        Position, hand, key, duration, velocity; the last row is (END, 0, 0, 0, 0).
    """
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 5)
    step, duration, pitch, velocity, hand = notes.T
    key = pitch - LOWEST_KEY
    if len(notes) and not (0 <= step.min() and step.max() < CORE and 0 <= key.min() and key.max() < KEYS):
        raise ParameterError(f"notes of a window begin at steps 0 to {CORE - 1} on the 88 keys of a piano")
    order = np.lexsort((-duration, key, step))
    first = np.ones(len(notes), dtype=bool)
    first[1:] = np.diff((KEYS * step + key)[order]) > 0
    order = order[first]
    tokens = np.column_stack([step, hand, key, nearest_duration(duration), nearest_velocity(velocity)])[order]
    return np.concatenate([tokens, [[END, 0, 0, 0, 0]]])


def decode(tokens: np.ndarray) -> np.ndarray:
    """(m, 5) notes as `encode` takes them, of the tokens (.., 5) before the first END."""
    tokens = np.asarray(tokens, dtype=np.int64).reshape(-1, 5)
    ends = np.flatnonzero(tokens[:, 0] == END)
    position, hand, key, duration, velocity = tokens[: ends[0] if len(ends) else None].T
    return np.column_stack([position, DURATIONS[duration], LOWEST_KEY + key, VELOCITIES[velocity], hand])


def cells_of(tokens: np.ndarray) -> np.ndarray:
    """(...) cells of tokens (..., 5): 88 * position + key. That of END is `CORE * KEYS`."""
    return KEYS * tokens[..., 0] + tokens[..., 2]


def is_well_formed(tokens: np.ndarray) -> bool:
    """Whether (m, 5) tokens follow the grammar: fields in range, cells rising, closed by END and by nothing else."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or tokens.shape[1] != 5 or len(tokens) == 0 or (tokens < 0).any():
        return False
    limits = np.array([CORE, 2, KEYS, len(DURATIONS), len(VELOCITIES)])
    closed = tokens[-1, 0] == END and not tokens[-1, 1:].any()
    return bool(closed and (tokens[:-1] < limits).all() and (np.diff(cells_of(tokens)) > 0).all())


def nearest_duration(steps: np.ndarray) -> np.ndarray:
    """Index of the duration nearest in ratio; of two equally near the shorter."""
    ratio = np.log(np.maximum(np.asarray(steps), 1)[..., None]) - np.log(DURATIONS)
    return np.abs(ratio).argmin(axis=-1)


def nearest_velocity(velocity: np.ndarray) -> np.ndarray:
    """Index of the nearest level."""
    return np.abs(np.asarray(velocity)[..., None] - VELOCITIES).argmin(axis=-1)
