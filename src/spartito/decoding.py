"""From what a network hears in each frame to notes: the published rules of Onsets and Frames.

Three rules on maps of (frames, 88) probabilities, key index k = MIDI number k + 21:

- `decode_onsets_frames`, the reference rule (magenta): a note begins where its onset fires, lasts while
its frame
  is on, and ends at once where its key is struck again.
- the same with `frames="viterbi"`: the frame map is the cheapest path of two states per key instead of a
  threshold (the later versions of magenta).
- `decode_jongwook`, for parity with jongwook/onsets-and-frames only: a note lasts as long as its frame is
on, even
  through a new stroke of the same key. On perfect labels this alone costs 12 points of note-with-offset F1.

Source: C. Hawthorne et al., "Onsets and Frames: dual-objective piano transcription", ISMIR 2018.
Different from the originals: velocities are always 1..127, whatever the network says (NaN and negative
count as softest), and nothing here loops over frames but the Viterbi recursion.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.notes import Notes

__all__ = ["decode_jongwook", "decode_onsets_frames", "jongwook_intervals", "midi_velocity", "viterbi_frames"]

KEYS = 88
LOWEST_PITCH = 21  # MIDI number of A0, key index 0
HOP_SECONDS = 512 / 16000  # one frame of the seed family
THRESHOLD = 0.5
VELOCITY_SCALE, VELOCITY_BIAS = 80, 10  # MIDI velocity = int(80 v + 10), v in 0..1 (Hawthorne 2018)
DEFAULT_VELOCITY = 64  # when the network has no velocity head
VITERBI_ALPHA = 0.5  # weight of onsets against frames
SMALLEST_PROBABILITY = 1e-7  # inside logarithms, as in the loss


def decode_onsets_frames(
    onset: np.ndarray,
    frame: np.ndarray,
    velocity: np.ndarray | None = None,
    *,
    offset: np.ndarray | None = None,
    onset_threshold: float = THRESHOLD,
    frame_threshold: float = THRESHOLD,
    offset_threshold: float = THRESHOLD,
    frames: str = "threshold",
    half_frame_shift: bool = False,
    hop_seconds: float = HOP_SECONDS,
) -> Notes:
    """Notes by the reference rule.

    Parameters
    ----------
    onset, frame : np.ndarray, shape=(frames, 88)
        Probabilities.
    velocity : np.ndarray, shape=(frames, 88), optional
        Loudness, nominally 0..1, read in the first frame of each onset; MIDI velocity is int(80 v + 10).
    offset : np.ndarray, shape=(frames, 88), optional
        Probabilities. When given, a frame in which the offset fires is off. The published systems leave
        it out.
    onset_threshold, frame_threshold, offset_threshold : float
        An output fires above its threshold.
    frames : "threshold" or "viterbi"
        How the frame map is made; "viterbi" ignores `frame_threshold`.
    half_frame_shift : bool
        Add half a frame to all times. For weights trained on labels whose onsets are rounded down
        (magenta): they are 16 ms early on average.
    hop_seconds : float
        Seconds per frame.

    Returns
    -------
    Notes
        `confidence` is the onset probability in the first frame.

    Raises
    ------
    ParameterError
        When the maps differ in shape or are not (frames, 88).
    """
    onset, frame = _maps(onset, frame)
    struck = onset > onset_threshold
    if frames == "viterbi":
        sounding = viterbi_frames(onset, frame) | struck
    elif frames == "threshold":
        sounding = (frame > frame_threshold) | struck
    else:
        raise ParameterError(f"frames is 'threshold' or 'viterbi', not {frames!r}")
    if offset is not None:
        sounding &= ~(_maps(onset, offset)[1] > offset_threshold)

    # A stroke begins a note unless the note it belongs to sounds already.
    start = struck & sounding & ~(_before(struck) & _before(sounding))
    first, keys = np.nonzero(start)
    after = _next(~sounding | start, first, keys)
    times = np.stack([first, after]) * hop_seconds + (hop_seconds / 2 if half_frame_shift else 0.0)
    if velocity is None:
        loudness = DEFAULT_VELOCITY
    else:
        loudness = midi_velocity(_maps(onset, velocity)[1][first, keys])
    confidence = np.clip(onset[first, keys], 0, 1)
    return Notes.from_arrays(*times, keys + LOWEST_PITCH, loudness, confidence=confidence)


def decode_jongwook(
    onset: np.ndarray,
    frame: np.ndarray,
    velocity: np.ndarray,
    *,
    onset_threshold: float = THRESHOLD,
    frame_threshold: float = THRESHOLD,
    hop_seconds: float = HOP_SECONDS,
) -> Notes:
    """Notes by jongwook's rule, from maps as in `decode_onsets_frames`; MIDI velocity is int(127 v)."""
    keys, intervals, loudness = jongwook_intervals(
        onset, frame, velocity, onset_threshold=onset_threshold, frame_threshold=frame_threshold
    )
    loudness = np.clip((127 * _finite(loudness)).astype(np.int64), 1, 127)
    confidence = np.clip(np.asarray(onset)[intervals[:, 0], keys], 0, 1)
    return Notes.from_arrays(
        intervals[:, 0] * hop_seconds,
        intervals[:, 1] * hop_seconds,
        keys + LOWEST_PITCH,
        loudness,
        confidence=confidence,
    )


def jongwook_intervals(
    onset: np.ndarray,
    frame: np.ndarray,
    velocity: np.ndarray,
    *,
    onset_threshold: float = THRESHOLD,
    frame_threshold: float = THRESHOLD,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What jongwook's rule finds, before any conversion: key index (n,), frames (n, 2), mean velocity (n,).

    The order is that of time, then key. A note is from a rising edge of the onset map until neither onset nor
    frame is on; its velocity is the mean over those of its frames in which the onset is on.
    """
    onset, frame = _maps(onset, frame)
    velocity = _maps(onset, velocity)[1].astype(np.float64)
    struck = onset > onset_threshold
    sounding = struck | (frame > frame_threshold)
    first, keys = np.nonzero(struck & ~_before(struck))
    after = _next(~sounding, first, keys)

    # Sums over stretches of each key's column; one spare row makes `after` a valid index.
    rows = len(onset) + 1
    edges = np.column_stack([keys * rows + first, keys * rows + after]).ravel()

    def total(values):
        column = np.vstack([values, np.zeros((1, KEYS))]).T.ravel()
        return np.add.reduceat(column, edges)[::2] if len(edges) else np.zeros(0)

    loudness = total(np.where(struck, velocity, 0.0)) / np.maximum(total(struck.astype(np.float64)), 1)
    return keys, np.column_stack([first, after]), loudness


def viterbi_frames(onset: np.ndarray, frame: np.ndarray, *, alpha: float = VITERBI_ALPHA) -> np.ndarray:
    """(frames, 88) bool, whether each key sounds, on the cheapest path per key through off and on.

    A frame costs (1 - alpha) times the negative logarithm of its frame probability, plus alpha times that
    of an onset where the path steps from off to on, and of no onset everywhere else.
    """
    onset, frame = _maps(onset, frame)
    if len(onset) == 0:
        return np.zeros((0, KEYS), dtype=bool)
    tiny = SMALLEST_PROBABILITY
    onset = np.clip(_finite(onset).astype(np.float64), tiny, 1 - tiny)
    frame = np.clip(_finite(frame).astype(np.float64), tiny, 1 - tiny)
    off, on = -(1 - alpha) * np.log(1 - frame), -(1 - alpha) * np.log(frame)  # (frames, 88)
    still, strike = -alpha * np.log(1 - onset), -alpha * np.log(onset)
    cost_off, cost_on = off[0] + still[0], on[0] + strike[0]  # (88,) cheapest way to be here
    off_from_on = np.zeros(onset.shape, dtype=bool)
    on_from_on = np.zeros(onset.shape, dtype=bool)
    for i in range(1, len(onset)):
        off_from_on[i] = cost_on < cost_off
        leave = np.minimum(cost_on, cost_off) + still[i]
        enter, stay = cost_off + strike[i], cost_on + still[i]
        on_from_on[i] = stay < enter
        cost_off, cost_on = off[i] + leave, on[i] + np.minimum(enter, stay)
    path = np.zeros(onset.shape, dtype=bool)
    path[-1] = cost_on < cost_off
    for i in range(len(onset) - 1, 0, -1):
        path[i - 1] = np.where(path[i], on_from_on[i], off_from_on[i])
    return path


def midi_velocity(loudness: np.ndarray) -> np.ndarray:
    """(n,) MIDI velocities 10..90 of a network's `loudness` (n,), nominally 0..1, else clipped."""
    loudness = np.clip(_finite(loudness).astype(np.float64), 0, 1)
    return (VELOCITY_SCALE * loudness + VELOCITY_BIAS).astype(np.int64)


# -- parts ----------------------------------------------------------------------------------------------


def _maps(onset: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    onset, other = np.asarray(onset), np.asarray(other)
    if onset.ndim != 2 or onset.shape[1] != KEYS or other.shape != onset.shape:
        raise ParameterError(f"maps of one shape (frames, {KEYS}) are needed, not {onset.shape} and {other.shape}")
    return onset, other


def _finite(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(values), nan=0.0, posinf=1.0, neginf=0.0)


def _before(on: np.ndarray) -> np.ndarray:
    """The map one frame earlier; before the first frame all is off."""
    return np.vstack([np.zeros((1, on.shape[1]), dtype=bool), on[:-1]])


def _next(end: np.ndarray, first: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(n,) the first frame after `first` (n,) in which `end` ((frames, 88) bool) is on for that key; one past
    the last frame when there is none."""
    rows = len(end) + 1
    column = np.vstack([end, np.ones((1, end.shape[1]), dtype=bool)]).T.ravel()  # key-major
    ends = np.flatnonzero(column)
    return ends[np.searchsorted(ends, keys * rows + first, side="right")] - keys * rows
