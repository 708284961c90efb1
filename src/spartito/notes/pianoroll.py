"""Piano rolls: notes as a grid of time frames by keys, and back.

Frame f stands at f/fps seconds. A note fills every frame from the one nearest its onset up to, not including, the
one nearest its offset, and at least one. The label rolls of the published systems, whose rules
of rounding differ, are in `training/labels.py`; this one is for plots, comparisons and models of our own.

Vectorised: each note adds one at its first frame and takes one away behind its last, and a running sum over time
gives the roll.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.notes import Notes

__all__ = ["from_pianoroll", "to_pianoroll"]

KINDS = ("frame", "onset", "velocity")
MAX_CELLS = 1 << 31  # 2 GB of one byte: a day at 100 frames per second has 0.8 thousand million cells


def to_pianoroll(
    notes: Notes,
    *,
    fps: float,
    lowest: int = 21,
    keys: int = 88,
    sounding: bool = False,
    kind: str = "frame",
    frames: int | None = None,
) -> np.ndarray:
    """The roll of `notes`, shape=(frames, keys).

    Parameters
    ----------
    fps : float
        Frames per second.
    lowest, keys : int
        MIDI number of the first column, number of columns. Notes outside are left out.
    sounding : bool
        Notes as long as the pedal lets them sound, instead of as long as the key is held.
    kind : 'frame' (bool, the note is on), 'onset' (bool, its first frame only), 'velocity' (uint8, 0 where no
        note is on; of notes on one key the one that began last).
    frames : int, optional
        Length of the roll; by default up to the last offset. Notes beyond are cut.

    Raises
    ------
    ParameterError
        An option outside its domain, or a roll of more than two thousand million cells.
    """
    if kind not in KINDS:
        raise ParameterError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if not fps > 0 or keys <= 0 or (frames is not None and frames < 0):
        raise ParameterError(f"fps and keys must be positive, not {fps} and {keys}; frames not negative")
    array = (notes.sounding() if sounding else notes).array
    first = np.floor(array["onset"] * fps + 0.5)  # frames; floats, as absurd times overflow integers
    stop = np.maximum(np.floor(array["offset"] * fps + 0.5), first + 1)
    total = int(stop.max(initial=0)) if frames is None else int(frames)
    total = max(total, 0)
    if total * keys > MAX_CELLS:
        raise ParameterError(f"a roll of {total} frames by {keys} keys is too large; ask for fewer frames per second")
    column = array["pitch"].astype(np.int64) - lowest
    inside = (column >= 0) & (column < keys) & (stop > 0) & (first < total)
    column, velocity = column[inside], array["velocity"][inside]
    begun = first[inside] >= 0  # a note that began before time 0 has no onset in the roll
    first = np.maximum(first[inside], 0).astype(np.int64)
    stop = np.minimum(stop[inside], total).astype(np.int64)

    if kind == "onset":
        roll = np.zeros((total, keys), dtype=bool)
        roll[first[begun], column[begun]] = True
        return roll
    if kind == "frame":
        change = np.zeros((total + 1, keys), dtype=np.int16)
        np.add.at(change, (first, column), 1)
        np.add.at(change, (stop, column), -1)
        np.cumsum(change, axis=0, out=change)
        return change[:-1] > 0
    # Every cell of every note, in the order of onsets: of several values for one cell the last stays.
    length = stop - first
    start = np.cumsum(length) - length
    row = np.arange(length.sum()) - np.repeat(start - first, length)
    roll = np.zeros((total, keys), dtype=np.uint8)
    roll[row, np.repeat(column, length)] = np.repeat(np.clip(velocity, 1, 127), length)
    return roll


def from_pianoroll(roll, *, fps: float, lowest: int = 21, onsets=None, velocity: int = 64) -> Notes:
    """Notes of a roll (frames, keys): one for each unbroken run of cells above zero.

    Parameters
    ----------
    roll : np.ndarray, shape=(frames, keys)
        bool, or velocities (of which the first cell of a note counts).
    onsets : np.ndarray, shape=(frames, keys), optional
        Where given, a run is cut at each onset inside it, so that repeated notes come apart.
    velocity : int
        Of notes from a bool roll.
    """
    roll = np.asarray(roll)
    if roll.ndim != 2 or not fps > 0:
        raise ParameterError(f"a roll is (frames, keys) at a positive frame rate, not {roll.shape} at {fps}")
    on = np.pad(roll > 0, ((1, 1), (0, 0)))
    begins = on[1:] & ~on[:-1]  # (frames + 1, keys)
    ends = ~on[1:] & on[:-1]  # the frame after the last
    if onsets is not None:
        onsets = np.asarray(onsets) > 0
        if onsets.shape != roll.shape:
            raise ParameterError(f"onsets {onsets.shape} and roll {roll.shape} must have one shape")
        cut = np.zeros_like(begins)
        cut[:-1] = onsets & on[1:-1]
        ends |= cut & ~begins
        begins |= cut
    column, first = np.nonzero(begins.T)  # ordered by key, then time, so that begins and ends pair up
    stop = np.nonzero(ends.T)[1]
    loud = velocity if roll.dtype == bool else np.clip(roll[first, column].astype(np.int64), 1, 127)
    return Notes.from_arrays(first / fps, stop / fps, column + lowest, loud)
