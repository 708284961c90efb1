"""What Pop2Piano hears: a song cut at every fourth beat, each piece as a spectrogram of its own length.

    beats (B) -> half beats (2B + 1) -> segments of 8 -> 22,050 Hz samples, padded to the longest -> ln of 512 mel bands

Job
    The processing of the published program, given the beats, in numpy alone. The model takes the spectrogram as it is,
    so that every number counts: band edges, floor, where the samples are cut.

Traps
    - The grid goes on for one beat after the last, in the tempo of the last interval, and for 13 steps more where
      notes may end. It stays in float64: in float32 a cut can move by a sample, and a frame at an edge by 9 nats. The
      lines through the beats are computed in the order of the original, as a cut on a whole sample would else be lost.
    - Segments of a song are padded with silence before the spectrogram, and the model hears that silence. Padding
      between songs is masked.

Source
    J. Choi, K. Lee, 'Pop2Piano: pop audio-based piano cover generation' (ICASSP 2023, https://arxiv.org/abs/2211.00895)
    and the behaviour of its program. It resamples by librosa's "kaiser_best", which needs resampy; here soxr does it.
    The lower 470 bands differ by 4e-5 on average, the 40 above 9.9 kHz by up to 8 nats, as its filter ends elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spartito.audio.features import mel_bank
from spartito.errors import AudioError, ParameterError
from spartito.models.pop2piano_tokens import LIMIT, SEGMENT

__all__ = ["MEL_BANDS", "RATE", "Segments", "continued", "cut", "half_beats", "log_mel", "segments"]

RATE = 22_050  # Hz
SIZE, HOP = 4096, 1024  # samples
MEL_BANDS, LOWEST_HZ, HIGHEST_HZ = 512, 10.0, 11_025.0
FLOOR = 1e-6  # of the power in a band
AT_ONCE = 512  # frames whose spectra are held at a time: 33 MB


@dataclass(frozen=True, eq=False)
class Segments:
    """A song as the model takes it.

    Attributes
    ----------
    features : np.ndarray, shape=(n, frames, 512), float32
    start : float
        Second of the recording at which the first segment begins.
    steps : np.ndarray, shape=(2B + 14,), seconds from `start`, float64
        The half beats; segment i begins at number 8 i, and notes may end up to number 8 i + 12.
    """

    features: np.ndarray
    start: float
    steps: np.ndarray

    @classmethod
    def none(cls) -> Segments:
        """Of a song without sound."""
        return cls(np.zeros((0, 0, MEL_BANDS), dtype=np.float32), 0.0, np.zeros(0))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def times(self) -> np.ndarray:
        """(n,) second of the recording at which each segment begins."""
        return self.start + self.steps[: SEGMENT * len(self) : SEGMENT]

    def seconds(self, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Onsets and offsets in the recording of decoded notes ((k, 4), `pop2piano_tokens.decode`)."""
        return self.start + self.steps[notes[:, 1]], self.start + self.steps[notes[:, 2]]


# -- the grid -----------------------------------------------------------------------------------------------


def half_beats(beats: np.ndarray) -> np.ndarray:
    """(2B + 1,) seconds of the half beats of (B,) beats, the last two beyond the last beat."""
    beats = np.asarray(beats, dtype=np.float64)
    if beats.ndim != 1 or len(beats) < 2:
        raise ParameterError(f"two beats or more are needed, not {beats.size}")
    return _through(beats, 0.5 * np.arange(2 * len(beats) + 1))


def continued(grid: np.ndarray) -> np.ndarray:
    """(S + 13,) seconds from the first of (S,) half beats, going on in their last tempo."""
    from_first = grid - grid[0]
    return _through(from_first, np.arange(len(grid) + LIMIT + 1.0))


def _through(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Straight lines through `values` at 0, 1, 2 ..., read at `places` >= 0, beyond the end too."""
    below = np.clip(np.ceil(places).astype(np.int64) - 1, 0, len(values) - 2)
    return (values[below + 1] - values[below]) * (places - below) + values[below]


# -- the pieces ---------------------------------------------------------------------------------------------


def segments(samples: np.ndarray, beats: np.ndarray) -> Segments:
    """A song (mono samples at 22,050 Hz) cut at every fourth of its beats (seconds, rising, from 0 on).

    Raises AudioError when the recording ends before the second beat, ParameterError without two beats.
    """
    if np.ndim(samples) != 1:
        raise ParameterError(f"mono samples (n,) are needed, not {np.shape(samples)}")
    grid = half_beats(beats)
    steps = continued(grid)
    heard = np.asarray(samples)[int(grid[0] * RATE) : int(grid[-1] * RATE)]
    if grid[0] < 0 or len(heard) < 1 or (np.diff(grid) <= 0).any():
        raise AudioError(f"the beats ({grid[0]:.2f} s ...) do not lie in the recording ({len(samples) / RATE:.2f} s)")
    first = np.arange(0, len(grid), SEGMENT)
    cuts = (steps * RATE).astype(np.int64)  # truncates, as the original does
    begin, end = cuts[first], cuts[np.minimum(first + SEGMENT, len(grid))]
    pieces = cut(heard, begin, end, length=int(np.max(end - begin)))
    return Segments(log_mel(pieces), float(grid[0]), steps)


def cut(samples: np.ndarray, begin: np.ndarray, end: np.ndarray, *, length: int) -> np.ndarray:
    """(n, length) float32: the samples from `begin` (n,) up to `end` (n,), and silence after them."""
    index = begin[:, None] + np.arange(length)
    inside = (index < end[:, None]) & (index < len(samples))
    return np.where(inside, samples[np.minimum(index, len(samples) - 1)], 0.0).astype(np.float32)


def log_mel(pieces: np.ndarray) -> np.ndarray:
    """(n, samples) at 22,050 Hz -> (n, 1 + samples // 1024, 512) float32, natural logarithm of the power in each band.

    Frames are centred on multiples of the hop, the ends reflected. The spectrum is made in float64: in float32 what
    is loud blurs the faintest bands.
    """
    half = SIZE // 2
    padded = np.pad(pieces, ((0, 0), (half, half)), mode="reflect")
    frames = 1 + pieces.shape[1] // HOP
    result = np.empty((len(pieces), frames, MEL_BANDS), dtype=np.float32)
    rows = max(1, AT_ONCE // frames)
    for i in range(0, len(pieces), rows):
        view = np.lib.stride_tricks.sliding_window_view(padded[i : i + rows], SIZE, axis=1)[:, ::HOP]
        spectrum = np.fft.rfft(view * _window())
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        result[i : i + rows] = np.log(np.maximum(power @ _bank(), FLOOR))
    return result


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(SIZE) / SIZE)  # Hann, periodic


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(2049, 512) float32 filters of height 1 on HTK's mel scale."""
    return mel_bank(bins=MEL_BANDS, size=SIZE, rate=RATE, low=LOWEST_HZ, high=HIGHEST_HZ, unit_area=False).T
