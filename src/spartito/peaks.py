"""From regressed curves to notes.

The network answers, 62.5 times a second and for every key, how near an onset and an offset are (1 at the event,
falling to 0 at 50 ms distance), whether the key sounds, and how fast it was struck. A note begins at a local
maximum of the onset curve above the key's threshold; the time of the event is read off between frames from the
slopes on both sides, which for a triangle is exact (Q. Kong et al., TASLP 2021, section III-C). It ends where the
key stops sounding, refined by the offset curve, at a clear offset peak before that, or where the key is struck again.

Everything is computed for all keys at once; no loop runs over frames or notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.notes.notes import NOTE_DTYPE

__all__ = ["PeakSettings", "notes_from_curves", "peak_frames"]

LOWEST_KEY = 21  # MIDI number of column 0


@dataclass(frozen=True)
class PeakSettings:
    """Thresholds of the decoder; each model carries its own, fitted on validation pieces."""

    onset: float | np.ndarray = 0.4
    """Least height of an onset peak; one number, or (88,) one a key."""
    frame: float = 0.4
    """Below it a key has stopped sounding."""
    offset: float = 0.5
    """From it on an offset peak ends a note that still sounds."""
    refine: int = 3
    """Frames around the end of sounding within which the offset curve gives the exact time."""
    merge: float = 0.03
    """Seconds: two onsets of a key nearer than this are one; no hand repeats faster."""
    shortest: float = 0.02
    """Seconds: shorter notes are lengthened to it."""


def peak_frames(curve: np.ndarray, threshold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local maxima of `curve` ((frames, keys)) of at least `threshold`.

    Returns frame (n,), key (n,), and time (n,) in frames with a fraction, sorted by key, then frame.
    """
    padded = np.pad(curve, ((1, 1), (0, 0)), constant_values=-1.0)
    before, here, after = padded[:-2], padded[1:-1], padded[2:]
    key, frame = np.nonzero(((here >= before) & (here > after) & (here >= threshold)).T)
    a, b, c = (np.maximum(x[frame, key], 0.0) for x in (before, here, after))
    a, c = np.where(frame == 0, c, a), np.where(frame == len(curve) - 1, a, c)  # no slope beyond the edges
    spread = np.maximum(b - np.minimum(a, c), 1e-9)
    shift = np.clip((c - a) / (2.0 * spread), -0.5, 0.5)  # exact for a triangle sampled on both slopes
    return frame, key, frame + shift


def notes_from_curves(
    onset: np.ndarray,
    offset: np.ndarray,
    frame: np.ndarray,
    velocity: np.ndarray,
    *,
    fps: float,
    settings: PeakSettings | None = None,
) -> np.ndarray:
    """Notes of a recording.

    Parameters
    ----------
    onset, offset, frame, velocity : np.ndarray, shape=(frames, 88)
        Probabilities in 0..1; velocity is MIDI velocity / 127.
    fps : float
        Frames per second.

    Returns
    -------
    np.ndarray, shape=(n,), dtype=NOTE_DTYPE
        Sorted by onset. `confidence` is the height of the onset peak.
    """
    settings = settings or PeakSettings()
    t, k, exact = peak_frames(onset, settings.onset)
    keep = _strongest_of_neighbours(exact, k, onset[t, k], settings.merge * fps)
    t, k, exact = t[keep], k[keep], exact[keep]
    frames = len(onset)
    following = np.full(len(t), float(frames))  # the next onset of the same key
    same = k[1:] == k[:-1]
    following[:-1][same] = exact[1:][same]

    silent = _first_from(frame < settings.frame)  # (frames + 1, 88)
    end_frame = silent[np.minimum(t + 2, frames), k]
    peak_t, peak_k, peak_exact = peak_frames(offset, min(0.1, settings.offset))
    exact_offset = np.full(offset.shape, np.nan)
    exact_offset[peak_t, peak_k] = peak_exact
    clear = np.zeros(offset.shape, dtype=bool)
    strong = offset[peak_t, peak_k] >= settings.offset
    clear[peak_t[strong], peak_k[strong]] = True
    end_peak = _first_from(clear)[np.minimum(t + 2, frames), k]

    end = np.minimum(end_frame, end_peak)
    near = np.clip(end[:, None] + np.arange(-settings.refine, settings.refine + 1), 0, frames - 1)  # (n, 2r + 1)
    heights = np.where(np.isnan(exact_offset[near, k[:, None]]), -1.0, offset[near, k[:, None]])
    best = near[np.arange(len(near)), heights.argmax(axis=1)] if len(near) else np.zeros(0, int)
    refined = exact_offset[best, k]
    finish = np.where(np.isnan(refined), end - 0.5, refined)
    finish = np.where(end >= frames, frames, finish)
    finish = np.minimum(finish, following)

    notes = np.zeros(len(t), dtype=NOTE_DTYPE)
    notes["onset"] = np.maximum(exact, 0.0) / fps
    notes["offset"] = np.maximum(finish / fps, notes["onset"] + settings.shortest)
    notes["pitch"] = k + LOWEST_KEY
    loudness = np.nan_to_num(velocity[t, k], nan=0.5)
    notes["velocity"] = np.clip(np.rint(loudness * 127.0), 1, 127)
    notes["confidence"] = np.clip(onset[t, k], 0.0, 1.0)
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


def _first_from(condition: np.ndarray) -> np.ndarray:
    """(frames + 1, keys): for each frame the first frame from it on where `condition` holds, else `frames`."""
    frames = len(condition)
    index = np.where(condition, np.arange(frames)[:, None], frames)
    index = np.vstack([index, np.full((1, condition.shape[1]), frames)])
    return np.minimum.accumulate(index[::-1], axis=0)[::-1]


def _strongest_of_neighbours(time: np.ndarray, key: np.ndarray, height: np.ndarray, distance: float) -> np.ndarray:
    """Mask of the peaks to keep: of two successive ones of a key nearer than `distance` the higher."""
    if len(time) == 0:
        return np.zeros(0, dtype=bool)
    near = (np.diff(time) < distance) & (key[1:] == key[:-1])
    lower_than_next = np.append(near & (height[:-1] < height[1:]), False)
    not_above_last = np.insert(near & (height[1:] <= height[:-1]), 0, False)
    return ~(lower_than_next | not_above_last)
