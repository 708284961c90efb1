"""A song at a constant tempo: every beat is stretched to the same number of samples.

Job
    The arranger of the A2S paper hears segments of exactly eight beats, so its songs are brought to 99.4 beats a
    minute first, beat by beat: 13 312 samples at 22 050 Hz each. The small arrangers shipped here read their frames
    on a grid of beats instead and need none of this.

Method
    A phase vocoder whose columns are read at uneven places, 26 to a beat: magnitudes by linear interpolation between
    neighbouring spectra, phases by adding up how far each bin's phase moves from one spectrum to the next.

Sources
    M. Dolson, 'The phase vocoder: a tutorial' (Computer Music Journal 10(4), 1986); the settings are those of Z. Wang
    et al., 'Audio-to-symbolic arrangement via cross-modal music representation learning' (ICASSP 2022), whose program
    uses librosa's spectra.

Differences from the original
    The original adds up phases in float32 and never wraps them: after a song they are in the millions, where float32
    knows them only to a radian, and the treble becomes noise. Here they are float64 and wrapped. `float32_phase=True`
    gives the original's sound, which its weights learnt from. Columns are made in blocks, so that twenty minutes need
    no more memory than their samples; beats that coincide are one (the original divides by zero).
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError

__all__ = ["BEAT_SAMPLES", "PREROLL", "RATE", "SEGMENT_BEATS", "beat_segments", "beat_stretch"]

RATE = 22_050  # hertz
N_FFT, HOP = 2048, 512  # samples
BEAT = 13_230  # samples of a beat at 100 a minute
COLUMNS = -(-BEAT // HOP)  # 26 spectra to a beat
BEAT_SAMPLES = COLUMNS * HOP  # 13 312 samples that a stretched beat lasts
PREROLL = 1000  # samples of each segment before its downbeat
SEGMENT_BEATS = 8
BLOCK = 64 * COLUMNS  # columns made at once
CLOSEST = 1e-3  # s between beats, at least


def beat_stretch(
    samples: np.ndarray, times: np.ndarray, *, float32_phase: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a recording to `BEAT_SAMPLES` samples a beat.

    Parameters
    ----------
    samples : np.ndarray, shape=(n,), float32
        Mono, at `RATE`.
    times : np.ndarray, shape=(beats,), seconds
        Rising. What lies before the first beat becomes a beat of its own when it lasts more than a hop; what comes
        after the last (1000 samples of silence if nothing does) is the last beat.
    float32_phase : bool
        Add up phases as the original does.

    Returns
    -------
    stretched : np.ndarray, shape=(rows * BEAT_SAMPLES,), float32
    rows : np.ndarray, shape=(beats,), int
        Beat i begins at sample `rows[i] * BEAT_SAMPLES` of the stretched recording.
    """
    samples = np.asarray(samples, dtype=np.float32)
    times = np.asarray(times, dtype=np.float64)
    if len(times) == 0 or times[0] < 0 or np.any(np.diff(times) < CLOSEST):
        raise ParameterError("beats to stretch a recording by must rise, from 0 s on, by a millisecond at least")
    points = times * RATE
    rows = np.arange(len(times))
    if points[0] > HOP:
        points, rows = np.concatenate([[0.0], points]), rows + 1
    if len(samples) - 1 < points[-1] + PREROLL:
        samples = np.concatenate(
            [samples, np.zeros(int(np.ceil(points[-1] + PREROLL)) - len(samples), dtype=np.float32)]
        )
    places = _columns(np.append(points, len(samples)))  # (columns,), in hops
    return _vocoder(samples, places, float32_phase=float32_phase), rows


def _columns(points: np.ndarray) -> np.ndarray:
    """(26 * intervals,) where to read the spectra, in hops from the beginning; `points` are samples."""
    rate = np.diff(points) / BEAT
    first = points[:-1] / HOP
    step = (first + rate) - first  # rounded as `np.arange` does
    return (first[:, None] + np.arange(COLUMNS) * step[:, None]).ravel()


def _vocoder(samples: np.ndarray, places: np.ndarray, *, float32_phase: bool) -> np.ndarray:
    """(columns * HOP,) float32: the spectra of `samples` read at `places` ((columns,), in hops), as sound again."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
    last = max(0, (len(samples) - N_FFT) // HOP)  # the last whole spectrum; after it there is silence
    advance = np.linspace(0.0, np.pi * HOP, N_FFT // 2 + 1)  # radians a bin's phase moves in a hop
    phase = np.angle(_spectra(samples, 0, 1, window, last)[0])
    phase = phase.astype(np.float32 if float32_phase else np.float64)
    total = len(places) * HOP
    sound = np.zeros(total + N_FFT, dtype=np.float32)
    weight = np.zeros(total + N_FFT, dtype=np.float32)
    for begin in range(0, len(places), BLOCK):
        read = places[begin : begin + BLOCK]
        left = read.astype(np.int64)
        low = int(left.min())
        spectra = _spectra(samples, low, int(left.max()) + 2, window, last)  # (spectra, bins)
        magnitude, angle = np.abs(spectra), np.angle(spectra)
        left -= low
        part = (read % 1.0).astype(np.float32)[:, None]
        loud = (1 - part) * magnitude[left] + part * magnitude[left + 1]  # (columns, bins)
        turn = angle[left + 1] - angle[left] - advance
        turn += advance - 2 * np.pi * np.round(turn / (2 * np.pi))
        phases, phase = _added_up(phase, turn)
        columns = loud * np.exp(1j * phases.astype(np.float32 if float32_phase else np.float64))
        pieces = np.fft.irfft(columns, N_FFT, axis=1).astype(np.float32) * window
        _overlap_add(sound, pieces, begin)
        _overlap_add(weight, np.broadcast_to(window * window, pieces.shape), begin)
    heard = weight > np.finfo(np.float32).tiny
    sound[heard] /= weight[heard]
    return sound[:total]


def _spectra(samples: np.ndarray, begin: int, end: int, window: np.ndarray, last: int) -> np.ndarray:
    """(end - begin, bins) complex64: the spectra number `begin` to `end`; those after `last` are silent."""
    spectra = np.zeros((end - begin, N_FFT // 2 + 1), dtype=np.complex64)
    inside = min(end, last + 1)
    if inside > begin:
        part = samples[begin * HOP : (inside - 1) * HOP + N_FFT]
        part = np.pad(part, (0, (inside - 1 - begin) * HOP + N_FFT - len(part)))
        pieces = np.lib.stride_tricks.sliding_window_view(part, N_FFT)[::HOP]
        spectra[: inside - begin] = np.fft.rfft(pieces * window, axis=1)
    return spectra


def _added_up(phase: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phases (columns, bins) of a block, and the one after it (bins,), in the precision of `phase` (bins,)."""
    if phase.dtype == np.float64:
        sums = np.cumsum(turn, axis=0)
        phases = phase + np.concatenate([np.zeros((1, turn.shape[1])), sums[:-1]])
        return phases % (2 * np.pi), (phase + sums[-1]) % (2 * np.pi)
    phases = np.empty(turn.shape, dtype=np.float32)
    phase = phase.copy()
    for i, step in enumerate(turn):  # each sum is rounded before the next: what the original's sound consists of
        phases[i] = phase
        np.add(phase, step, out=phase, casting="unsafe")
    return phases, phase


def _overlap_add(target: np.ndarray, pieces: np.ndarray, begin: int) -> None:
    """Add `pieces` ((columns, N_FFT)) to `target`, the first at column `begin`, each a hop after the one before."""
    for quarter in range(N_FFT // HOP):
        part = pieces[:, quarter * HOP : (quarter + 1) * HOP]
        start = (begin + quarter) * HOP
        target[start : start + part.size] += part.reshape(-1)


def beat_segments(stretched: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(segments, 107 496) float32: eight beats from each of `rows` on, with 1000 samples before; silence outside."""
    size = SEGMENT_BEATS * BEAT_SAMPLES
    padded = np.pad(stretched, (PREROLL, size))
    starts = np.asarray(rows, dtype=np.int64) * BEAT_SAMPLES
    if len(starts) and (starts.min() < 0 or starts.max() > len(stretched)):
        raise ParameterError("a segment begins outside the stretched recording")
    windows = np.lib.stride_tricks.sliding_window_view(padded, PREROLL + size)
    return windows[starts]
