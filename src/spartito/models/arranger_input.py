"""What the shipped arranger hears: a recording as piano frames on the grid of its beats.

    samples -> concert pitch, reference level -> spectrum -> transcriber -> onset, frame, velocity of each key
                                                         -> level of each key's semitone
    beats   -> 16 cells per beat -> one segment of 8 beats per downbeat, after a quarter beat of pre-roll

The transcriber (`transcribe-free`) was made for the piano and stays as it is; what it says of a band is evidence, not
truth, and the arranger learns to read it. Onsets take the largest value of the frames in a cell, the others the mean;
a cell in which no frame begins takes the next one. Segments always span eight beats; what lies beyond the whole
bars in them is silenced (six beats are heard of 3/4, eight of 4/4 and 2/4).

The published A2S stretches the audio to a constant tempo instead and hears a mel spectrogram (`arranger_mel.py`);
sampling the curves spares the phase vocoder and its artefacts, and each recording is analysed once, not once per
overlapping segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spartito.analysis.beats import Beats
from spartito.audio.chunks import windows
from spartito.audio.features import BINS_PER_SEMITONE, LOG_FLOOR, bin_of_pitch
from spartito.audio.level import reference_gain
from spartito.errors import ParameterError

__all__ = ["Heard", "beat_cells", "beat_frames", "chord_vectors", "cut", "listen", "segments_of"]

TRANSCRIBER = "transcribe-free"
RATE = 16_000  # Hz
WINDOW = 2500  # frames of the transcriber at a time, 40 s
KEYS, LOWEST_KEY = 88, 21
CHANNELS = 4  # onset, frame, velocity, level
CELLS = 16  # per beat
PREROLL = 4  # cells: a quarter of a beat
BEATS = 8  # of a segment
SEGMENT = PREROLL + BEATS * CELLS  # 132 cells
LEVEL_MEAN, LEVEL_STD = -7.0, 2.0  # nepers: typical level of a semitone of music at the reference level
SILENCE = np.array([0.0, 0.0, 0.0, (np.log(LOG_FLOOR) - LEVEL_MEAN) / LEVEL_STD], dtype=np.float32)
IN_TUNE = 4.0  # cents: below it retuning would change nothing that can be measured
NO_BASS = 10  # compat: what the original made of the bass of a beat without chord


@dataclass(frozen=True, eq=False)
class Heard:
    """What the transcriber said of a recording.

    Attributes
    ----------
    values : np.ndarray, shape=(4, frames, 88), float16
        Probabilities of onset and frame, velocity / 127, and the standardised level of each key.
    fps : float
        Frames per second of the recording, as it is (not retuned).
    """

    values: np.ndarray
    fps: float


def listen(
    samples: np.ndarray,
    *,
    transcriber=None,
    tuning: float = 0.0,
    progress: Callable[[float], None] | None = None,
) -> Heard:
    """Run the transcriber over a recording.

    Parameters
    ----------
    samples : np.ndarray, shape=(n,), float32
        16 kHz mono, at any level and pitch.
    transcriber : Transcriber, optional
        An opened `transcribe-free`.
    tuning : float
        Cents by which the recording lies above A4 = 440 Hz.
    progress : callable, optional
        Called with the part done, 0..1.
    """
    if transcriber is None:
        from spartito.models.hub import load_model

        transcriber = load_model(TRANSCRIBER)
    samples = np.asarray(samples, dtype=np.float32)
    stretch = 1.0  # seconds of the recording per second of what the network hears
    if abs(tuning) >= IN_TUNE and len(samples):
        import soxr

        stretch = 2.0 ** (-tuning / 1200.0)  # a sharp recording is slowed down
        samples = soxr.resample(samples, RATE * stretch, RATE)
    transform, margin = transcriber.transform, transcriber.margin
    frames = transform.frames(len(samples))
    values = np.zeros((CHANNELS, frames, KEYS), dtype=np.float16)
    gain = reference_gain(samples, RATE)
    bins = np.rint(bin_of_pitch(LOWEST_KEY + np.arange(KEYS))).astype(np.int64)
    for first, spectrum in windows(samples, transform, frames=WINDOW, margin=margin, gain=gain):
        last = min(first + WINDOW, frames)
        inner = slice(margin, margin + last - first)
        values[3, first:last] = _levels(spectrum[inner], bins)
        if len(spectrum) % 2:  # the network takes frames in pairs
            spectrum = np.concatenate([spectrum, spectrum[-1:]])
        logits = transcriber.network({"spectrum": spectrum[None]})[0]  # (1, 4, frames, 88): onset, offset, frame, ...
        values[:3, first:last] = 1.0 / (1.0 + np.exp(-logits[0, [0, 2, 3], inner]))
        if progress is not None:
            progress(last / frames)
    return Heard(values, transform.fps / stretch)


def _levels(spectrum: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(frames, 88) standardised: the loudest of the three bins of each key's semitone."""
    around = [spectrum[:, bins + offset] for offset in range(-(BINS_PER_SEMITONE // 2), BINS_PER_SEMITONE // 2 + 1)]
    return (np.max(around, axis=0) - LEVEL_MEAN) / LEVEL_STD


# -- on the grid of beats ---------------------------------------------------------------------------------------


def segments_of(beats: Beats) -> tuple[np.ndarray, np.ndarray]:
    """One segment per downbeat.

    Returns
    -------
    rows : np.ndarray, shape=(n,), int
        Index of each downbeat among the beats.
    spans : np.ndarray, shape=(n,), int
        Beats of the whole bars that fit into eight beats from there.
    """
    rows = np.flatnonzero(beats.positions == 0)
    return rows, spans_of(rows, len(beats.times))


def spans_of(rows: np.ndarray, beats: int) -> np.ndarray:
    """(n,) beats of the whole bars within eight beats from each downbeat `rows` ((n,), of `beats` beats)."""
    bounds = np.append(rows, rows[-1] + bars_of(rows, beats)[-1])
    reached = bounds[np.searchsorted(bounds, rows + BEATS, side="right") - 1]
    return np.where(reached > rows, reached - rows, BEATS)


def bars_of(rows: np.ndarray, beats: int) -> np.ndarray:
    """(n,) beats of the bars that the downbeats `rows` open. The last has at least as many as the one before."""
    left = max(1, beats - rows[-1])
    last = max(left, rows[-1] - rows[-2]) if len(rows) > 1 else left
    return np.diff(np.append(rows, rows[-1] + last))


def beat_cells(heard: Heard, times: np.ndarray) -> np.ndarray:
    """The curves at 16 cells per beat, from one beat before the first to eight after the last.

    Parameters
    ----------
    times : np.ndarray, shape=(n,), seconds, rising
        The beats.

    Returns
    -------
    np.ndarray, shape=(4, 16 (n + 9), 88), float32
        Beat b begins at cell 16 (b + 1). Outside the recording there is silence.
    """
    times = np.asarray(times, dtype=np.float64)
    if len(times) < 2:
        raise ParameterError(f"at least two beats are needed to place a recording on a grid, not {len(times)}")
    first, last = times[1] - times[0], np.median(np.diff(times[-5:]))
    knots = np.concatenate([[times[0] - first], times, times[-1] + last * np.arange(1, BEATS + 2)])  # n + 10
    places = np.arange(CELLS * (len(times) + 9) + 1) / CELLS
    edges = np.interp(places, np.arange(len(knots)), knots)  # seconds
    frames = heard.values.shape[1]
    quiet = np.broadcast_to(SILENCE[:, None, None], (CHANNELS, 1, KEYS))
    padded = np.concatenate([quiet, heard.values.astype(np.float32), quiet], axis=1)
    index = np.clip(np.ceil(edges * heard.fps - 1e-6).astype(np.int64) + 1, 0, frames + 1)
    # reduceat joins from one index up to the next, and takes the value itself where the next is not larger
    onset = np.maximum.reduceat(padded[:1], index, axis=1)[:, :-1]
    others = np.add.reduceat(padded[1:], index, axis=1)[:, :-1]
    others /= np.maximum(1, np.diff(index)).astype(np.float32)[:, None]
    return np.concatenate([onset, others])


def cut(cells: np.ndarray, rows: np.ndarray, spans: np.ndarray | None = None) -> np.ndarray:
    """Segments (n, 4, 132, 88) of `cells` ((4, 16 (beats + 9), 88)) from the beats `rows`; silent after `spans`."""
    rows = np.asarray(rows, dtype=np.int64)
    index = (CELLS * (rows[:, None] + 1) - PREROLL) + np.arange(SEGMENT)  # (n, 132)
    frames = np.ascontiguousarray(cells[:, index].transpose(1, 0, 2, 3))
    if spans is not None:
        beyond = np.arange(SEGMENT) >= PREROLL + CELLS * np.asarray(spans)[:, None]
        np.copyto(frames, SILENCE[None, :, None, None].astype(frames.dtype), where=beyond[:, None, :, None])
    return frames


def beat_frames(heard: Heard, beats: Beats) -> np.ndarray:
    """(n, 4, 132, 88) float32: what the arranger hears of each segment of `segments_of(beats)`."""
    rows, spans = segments_of(beats)
    return cut(beat_cells(heard, beats.times), rows, spans)


# -- chords -----------------------------------------------------------------------------------------------------


def chord_vectors(
    table: np.ndarray, rows: np.ndarray, spans: np.ndarray | None = None, *, compat: bool = False
) -> np.ndarray:
    """The chords of segments as the networks read them.

    Parameters
    ----------
    table : np.ndarray, shape=(beats, 14), int
        Per beat: root (-1 none), 12 bits of absolute pitch classes, absolute bass (-1 none).
    rows : np.ndarray, shape=(n,), int
        The beats that segments begin with.
    spans : np.ndarray, shape=(n,), int, optional
        Beats that count; beyond there is no chord.
    compat : bool
        As the original: root -1 sets the last bit (bass B), the bass of a beat without chord is 10, and beats past
        the end have root and bass C. By default all of these are zero everywhere.

    Returns
    -------
    np.ndarray, shape=(n, 8, 36), float32
        12 roots | 12 pitch classes | 12 basses.
    """
    table, rows = np.asarray(table, dtype=np.int64), np.asarray(rows, dtype=np.int64)
    beyond = np.zeros((1, 14), dtype=np.int64)
    if not compat:
        beyond[0, [0, 13]] = -1
    index = np.minimum(rows[:, None] + np.arange(BEATS), len(table))  # (n, 8)
    if spans is not None and not compat:
        index = np.where(np.arange(BEATS) < np.asarray(spans)[:, None], index, len(table))
    chosen = np.concatenate([table, beyond])[index]
    return chord_bits(chosen, compat=compat)


def chord_bits(chords: np.ndarray, *, compat: bool = False) -> np.ndarray:
    """(..., 36) float32 of (..., 14) chords, see `chord_vectors`."""
    root, chroma, bass = chords[..., :1], chords[..., 1:13], chords[..., 13:]
    if compat:
        bass = np.where(bass < 0, NO_BASS, bass)
    bits = np.concatenate([np.arange(12) == root, chroma > 0, np.arange(12) == bass], axis=-1)
    if compat:
        bits[..., -1] |= root[..., 0] < 0
    return bits.astype(np.float32)
