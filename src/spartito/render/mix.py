"""Vocals over the piano.

Job
    `mix`: the singer of the recording and the new piano as one piece of sound, each sample of the voice where it was in
    the recording.

Method
    Second 0 of the voice, of the piano and of the result are the same second of the song: nothing is moved, only
    resampled (soxr, linear phase), so the voice stays aligned to the sample and the piano to its notes. Levels go by
    loudness: the voice is brought to the loudness of the piano plus `vocal_level`, measured with the gates of
    BS.1770-4, so that pauses do not count; a voice that is hardly there is raised by 20 dB at most, not blown up to
    noise. The sum is brought to the loudness asked for, and a limiter that looks ahead holds its peaks below -1 dBFS.

Source
    Loudness and gates: Recommendation ITU-R BS.1770-4 (2015). The limiter (the lowest gain needed within the
    look-ahead, smoothed by a window of the same length, so that the gain is down before the peak comes) follows
    D. Giannoulis, M. Massberg, J. D. Reiss, 'Digital dynamic range compressor design' (JAES 60(6), 2012).
"""

from __future__ import annotations

import math

import numpy as np

from spartito.audio.audio import Audio
from spartito.errors import AudioError, ParameterError
from spartito.render.synthesize import PEAK_LIMIT, measure_loudness

__all__ = ["limit", "mix"]

LOUDNESS = -16.0  # LUFS, what streaming services play at, near enough
MOST_LEVEL = 24.0  # LU that the voice may be set apart from the piano
MOST_GAIN = 20.0  # dB by which a soft voice is raised at most
LOOK_AHEAD = 0.005  # seconds
BLOCK = 1 << 18  # samples limited at once (6 s), to bound memory


def mix(
    vocals: Audio,
    piano: Audio,
    *,
    vocal_level: float = 0.0,
    loudness: float = LOUDNESS,
    rate: int | None = None,
) -> Audio:
    """Vocals and piano, aligned and balanced; stereo, as long as the longer of the two.

    Parameters
    ----------
    vocals, piano : Audio
        Second 0 of both is second 0 of the song; mono, stereo or more channels (the first two count), any rates.
    vocal_level : float
        Loudness of the voice over that of the piano, LU (-24 to 24).
    loudness : float
        LUFS of the result (-70 to 0); peaks are limited to -1 dBFS.
    rate : int, optional
        Hertz of the result; that of the vocals when not given.
    """
    if not -MOST_LEVEL <= vocal_level <= MOST_LEVEL:
        raise ParameterError(f"vocal_level is -{MOST_LEVEL:g} to {MOST_LEVEL:g} LU over the piano, not {vocal_level}")
    if not -70.0 < loudness <= 0.0:
        raise ParameterError(f"loudness is between -70 and 0 LUFS, not {loudness}")
    if rate is not None and not rate > 0:
        raise ParameterError(f"a sample rate must be positive, not {rate}")
    rate = vocals.rate if rate is None else rate
    voice, keys = _stereo(vocals, rate), _stereo(piano, rate)
    length = max(voice.shape[1], keys.shape[1])
    if length == 0:
        raise AudioError("there is nothing to mix: vocals and piano have no samples")
    own, other = measure_loudness(Audio(voice, rate)), measure_loudness(Audio(keys, rate))
    gain = 0.0
    if math.isfinite(own) and math.isfinite(other):
        gain = min(other + vocal_level - own, MOST_GAIN)
    out = np.zeros((2, length), dtype=np.float32)
    out[:, : keys.shape[1]] += keys
    out[:, : voice.shape[1]] += voice * np.float32(10 ** (gain / 20))
    level = measure_loudness(Audio(out, rate))
    if math.isfinite(level):
        out *= np.float32(10 ** ((loudness - level) / 20))
    limit(out, rate)
    return Audio(out, rate, title=vocals.title or piano.title, artist=vocals.artist or piano.artist)


def _stereo(audio: Audio, rate: int) -> np.ndarray:
    """(2, n) float32 at `rate`."""
    samples = audio.samples[:2]
    if audio.rate != rate:
        import soxr

        samples = soxr.resample(samples.T, audio.rate, rate, quality="HQ").T
    return np.broadcast_to(samples, (2, samples.shape[1])) if len(samples) == 1 else samples


def limit(samples: np.ndarray, rate: int, *, ceiling: float = PEAK_LIMIT) -> None:
    """Hold the peaks of `samples` (channels, n) at `ceiling`, in place, both channels alike."""
    reach = max(round(LOOK_AHEAD * rate), 1)
    n = samples.shape[1]
    needed = np.ones(n + 2 * reach, dtype=np.float32)  # gain each sample needs, with a margin on either side
    for first in range(0, n, BLOCK):
        peak = np.abs(samples[:, first : first + BLOCK]).max(axis=0)
        needed[reach + first : reach + first + len(peak)] = np.minimum(ceiling / np.maximum(peak, 1e-9), 1.0)
    loud = needed < 1.0
    if not loud.any():
        return
    # only where a peak is near does anything change
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    starts, stops = edges[::2] - 2 * reach, edges[1::2] + 2 * reach
    apart = np.concatenate([[True], starts[1:] > np.maximum.accumulate(stops)[:-1]])
    window = np.hanning(2 * reach + 1)
    window /= window.sum()
    ends = np.append(np.flatnonzero(apart)[1:] - 1, len(stops) - 1)
    for start, stop in zip(starts[apart], np.maximum.accumulate(stops)[ends]):
        start, stop = max(int(start), 0), min(int(stop), len(needed))
        padded = np.pad(needed[start:stop], 2 * reach, constant_values=1.0)
        lowest = _running_minimum(padded, reach)  # over `reach` on either side
        gain = np.convolve(lowest, window, mode="same")[2 * reach : -2 * reach]
        first, last = max(start - reach, 0), min(stop - reach, n)
        part = gain[first + reach - start : last + reach - start]
        samples[:, first:last] *= np.minimum(part, 1.0).astype(np.float32)


def _running_minimum(x: np.ndarray, reach: int) -> np.ndarray:
    """Minimum of `x` (n,) over `reach` samples on either side of each, by van Herk's two passes."""
    width = 2 * reach + 1
    n = len(x)
    padded = np.concatenate([np.ones(reach, x.dtype), x, np.ones(reach + (-(n + 2 * reach)) % width, x.dtype)])
    blocks = padded.reshape(-1, width)
    forward = np.minimum.accumulate(blocks, axis=1).ravel()
    backward = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(backward[:n], forward[width - 1 : width - 1 + n])
