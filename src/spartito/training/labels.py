"""Hard training targets of the seed family: what is on in each 32 ms frame.

Two published schemes, exactly:

- `magenta_labels`: any presence in a frame counts; an onset lasts 32 ms and therefore usually two frames, so
  does an offset; velocities are relative to the loudest note of the recording. Onsets are rounded down: notes
  decoded from such targets are 16 ms early on average (`decode_onsets_frames(half_frame_shift=True)`).
- `jongwook_labels`: times are rounded to the nearest frame; an onset is one frame, the offset the one
frame after
  the last; velocities are v / 128 on all frames of a note. A note whose two times round to one frame
  loses its onset to its offset mark (0.02 % of the notes of MAPS), as in the original.

Both take notes as they sound: the sustain pedal is applied first. Source: C. Hawthorne et al., "Onsets and
Frames", ISMIR 2018, and its implementations in magenta and jongwook/onsets-and-frames.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from spartito.notes.notes import Notes

__all__ = ["Labels", "jongwook_labels", "magenta_frame_weights", "magenta_labels"]

KEYS = 88
LOWEST_PITCH = 21  # MIDI number of A0, key index 0
HOP_SECONDS = 512 / 16000  # one frame
EVENT_SECONDS = 0.032  # how long magenta's onset and offset last
ONSET_WEIGHT = 5.0  # of an onset frame in the frame loss of 2018
ON_GRID = 1e-6  # frames: times this close to a frame border lie on it
ONSET, SUSTAINED, RELEASED = 3, 2, 1  # jongwook's bytes


@dataclass(frozen=True)
class Labels:
    """Targets of one recording, each (frames, 88), key index k = MIDI number k + 21.

    Attributes
    ----------
    onset, offset, frame : np.ndarray of bool
    velocity : np.ndarray of float32
        0..1, where the scheme defines it, 0 elsewhere.
    """

    onset: np.ndarray
    offset: np.ndarray
    frame: np.ndarray
    velocity: np.ndarray


def magenta_labels(
    notes: Notes,
    *,
    frames: int,
    seconds: float | None = None,
    loudest: int | None = None,
    hop_seconds: float = HOP_SECONDS,
) -> Labels:
    """Targets of magenta: floor and ceiling, two-frame events.

    Parameters
    ----------
    notes : Notes
        The pedal is applied here. Keys outside A0..C8 are left out with a warning.
    frames : int
        Length of the result.
    seconds : float, optional
        Length of the piece; no offset is marked later than 32 ms before it. The last release when not given.
    loudest : int, optional
        Velocity that counts as 1: the loudest of the recording when `notes` are an excerpt of it.
    hop_seconds : float
        Seconds per frame.
    """
    array = _playable(notes)
    keys = array["pitch"] - LOWEST_PITCH
    start, end = array["onset"], array["offset"]
    if seconds is None:
        seconds = float(end.max()) if len(end) else 0.0
    release = np.minimum(end, seconds - EVENT_SECONDS)
    onset, offset, frame = (np.zeros((frames, KEYS), dtype=bool) for _ in range(3))
    velocity = np.zeros((frames, KEYS), dtype=np.float32)
    struck = _outward(start, np.minimum(end, start + EVENT_SECONDS), hop_seconds)
    _paint(onset, *struck, keys, np.ones(len(keys), dtype=bool))
    _paint(frame, *_outward(start, end, hop_seconds), keys, np.ones(len(keys), dtype=bool))
    released = _outward(release, release + EVENT_SECONDS, hop_seconds)
    _paint(offset, *released, keys, np.ones(len(keys), dtype=bool))
    if len(keys):
        _paint(velocity, *struck, keys, array["velocity"] / (loudest or array["velocity"].max()))
    return Labels(onset, offset, frame, velocity)


def magenta_frame_weights(
    notes: Notes, *, frames: int, hop_seconds: float = HOP_SECONDS, onset_weight: float = ONSET_WEIGHT
) -> np.ndarray:
    """(frames, 88) float32 weights of the frame loss in the model of 2018.

    `onset_weight` on the onset frames of a note, then `onset_weight` / 1, / 2, / 3 ... on its further frames
    (below 1 from the sixth on), 1 elsewhere.
    """
    array = _playable(notes)
    keys = array["pitch"] - LOWEST_PITCH
    start, end = array["onset"], array["offset"]
    weights = np.ones((frames, KEYS), dtype=np.float32)
    first, after_onset = _outward(start, np.minimum(end, start + EVENT_SECONDS), hop_seconds)
    _, after = _outward(start, end, hop_seconds)
    cell, owner = _cells(first, np.maximum(after, after_onset), frames)
    since = cell - after_onset[owner] + 1  # 1 on the first frame after the onset
    weights[cell, keys[owner]] = onset_weight / np.maximum(since, 1)
    return weights


def jongwook_labels(notes: Notes, *, frames: int, hop_seconds: float = HOP_SECONDS) -> Labels:
    """Targets of jongwook: nearest frames, one-frame events. Parameters as in `magenta_labels`."""
    array = _playable(notes)
    keys = array["pitch"] - LOWEST_PITCH
    first = np.rint(array["onset"] / hop_seconds).astype(np.int64)
    release = np.rint(array["offset"] / hop_seconds).astype(np.int64)
    code = np.zeros((frames, KEYS), dtype=np.uint8)
    cell, owner = _cells(first, release + 1, frames)  # with the frame after the last one
    mark = np.where(cell == first[owner], ONSET, SUSTAINED)
    code[cell, keys[owner]] = np.where(cell >= release[owner], RELEASED, mark)  # the last to write wins
    velocity = np.zeros((frames, KEYS), dtype=np.float32)
    _paint(velocity, first, release, keys, array["velocity"] / 128)
    return Labels(code == ONSET, code == RELEASED, code > RELEASED, velocity)


# -- parts ----------------------------------------------------------------------------------------------


def _playable(notes: Notes) -> np.ndarray:
    """The notes of a piano's 88 keys as they sound, in order of onset."""
    array = notes.sounding().array
    inside = (array["pitch"] >= LOWEST_PITCH) & (array["pitch"] < LOWEST_PITCH + KEYS)
    if not inside.all():
        count = int((~inside).sum())
        warnings.warn(f"{count} notes lie outside the piano's 88 keys and are left out", stacklevel=3)
    return array[inside]


def _outward(start: np.ndarray, end: np.ndarray, hop_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """First frame and one past the last of all frames touched, at least one."""
    first = np.floor(start / hop_seconds + ON_GRID).astype(np.int64)
    after = np.ceil(end / hop_seconds - ON_GRID).astype(np.int64)
    return first, np.maximum(after, first + 1)


def _cells(first: np.ndarray, after: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame and index of its note for every frame that notes fill, note by note, inside 0..frames - 1."""
    low, high = np.clip(first, 0, frames), np.clip(after, 0, frames)
    lengths = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    begun = np.cumsum(lengths) - lengths
    return low[owner] + np.arange(len(owner)) - begun[owner], owner


def _paint(roll: np.ndarray, first, after, keys, values) -> None:
    cell, owner = _cells(first, after, len(roll))
    roll[cell, keys[owner]] = values[owner]
