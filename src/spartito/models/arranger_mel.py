"""The spectrogram of the published A2S: 107,496 samples at 22,050 Hz become 229 mel bands by 153 frames.

    22,050 -> 16,000 Hz -> magnitudes (2048 points, hop 512, / sqrt(2048)) -> 229 HTK bands of peak 1 -> ln, from 1e-5

It differs from the front ends of Onsets and Frames in `audio/features.py` by its scaling and its filters of equal
height; the transcriber inside A2S was tuned to it. In training the pitch can be moved without the tempo: the audio is
taken to have another rate, resampled, and its magnitudes are read at another speed.

Source: the A2S paper (see `arranger.py`) and its program; the resampler is the windowed sinc of J. O. Smith, "Digital
audio resampling" (https://ccrma.stanford.edu/~jos/resample/), with the Hann window and the sizes that torchaudio has
by default (six zero crossings, roll-off 0.99), so that both agree.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spartito.errors import ParameterError

__all__ = ["AUDIO_RATE", "SEGMENT_SAMPLES", "SHIFT_RATES", "log_mel", "resampled"]

AUDIO_RATE = 22_050  # Hz, of the segments
MODEL_RATE = 16_000  # Hz, of the spectrogram
BEAT_SAMPLES, PREROLL_SAMPLES = 13_312, 1_000
SEGMENT_SAMPLES = 8 * BEAT_SAMPLES + PREROLL_SAMPLES
POINTS, HOP = 2048, 512  # samples
BANDS, LOWEST_HZ = 229, 30.0
FLOOR = 1e-5
CROSSINGS, ROLL_OFF = 6, 0.99
SHIFT_RATES = {  # semitones: rate (Hz) the audio is taken to have, near 22050 * 2^(s/12), with large common factors
    -6: 15582,
    -5: 16520,
    -4: 17500,
    -3: 18550,
    -2: 19650,
    -1: 20825,
    0: 22050,
    1: 23373,
    2: 24750,
    3: 26215,
    4: 27783,
    5: 29430,
}


def log_mel(segments: np.ndarray | Tensor, *, shift: int = 0) -> np.ndarray | Tensor:
    """(n, 107496) samples at 22,050 Hz -> (n, 229, 153 or 154) float32, of the kind that came in.

    shift : semitones -6 .. 5 by which the pitch is moved
    """
    if shift not in SHIFT_RATES:
        raise ParameterError(f"audio is moved by {min(SHIFT_RATES)} .. {max(SHIFT_RATES)} semitones, not {shift}")
    given = segments if isinstance(segments, Tensor) else torch.from_numpy(np.asarray(segments, dtype=np.float32))
    samples = given.float()
    if shift:
        samples = resampled(samples, SHIFT_RATES[shift], AUDIO_RATE)
    samples = resampled(samples, AUDIO_RATE, MODEL_RATE)
    window = torch.hann_window(POINTS, device=samples.device)
    spectrum = torch.stft(samples, POINTS, HOP, window=window, normalized=True, pad_mode="reflect", return_complex=True)
    magnitude = spectrum.abs()  # (n, 1025, frames)
    if shift:
        magnitude = _read_at(magnitude, AUDIO_RATE / SHIFT_RATES[shift])
    bank = torch.from_numpy(_bank()).to(magnitude.device)
    result = (bank @ magnitude).clamp(min=FLOOR).log()
    return result if isinstance(segments, Tensor) else result.numpy()


def resampled(samples: Tensor, rate: int, target: int) -> Tensor:
    """(n, samples) at `rate` -> (n, ceil(samples * target / rate)) at `target` Hz."""
    common = math.gcd(rate, target)
    rate, target = rate // common, target // common
    kernels, reach = _sinc(rate, target)
    padded = F.pad(samples, (reach, reach + rate))
    result = F.conv1d(padded[:, None], kernels[:, None].to(samples.device), stride=rate)  # (n, target, blocks)
    return result.transpose(1, 2).flatten(1)[:, : -(-target * samples.shape[1] // rate)]


@lru_cache(maxsize=16)
def _sinc(rate: int, target: int) -> tuple[Tensor, int]:
    """(target, taps) filters, one per phase, and the samples that they reach to either side of a block."""
    cutoff = min(rate, target) * ROLL_OFF
    reach = math.ceil(CROSSINGS * rate / cutoff)
    taps = np.arange(-reach, reach + rate) / rate
    phase = -np.arange(target) / target
    t = np.clip((phase[:, None] + taps) * cutoff, -CROSSINGS, CROSSINGS)
    kernels = np.sinc(t) * np.cos(t * np.pi / CROSSINGS / 2) ** 2 * cutoff / rate
    return torch.from_numpy(kernels.astype(np.float32)), reach


def _read_at(magnitude: Tensor, speed: float) -> Tensor:
    """Magnitudes (n, bins, frames) at 0, speed, 2 speed ... by linear interpolation; zero after the end."""
    frames = magnitude.shape[-1]
    places = torch.arange(0, frames, speed, dtype=torch.float64)
    low = places.long()
    part = (places - low).to(magnitude.dtype).to(magnitude.device)
    padded = F.pad(magnitude, (0, 2))
    return (1 - part) * padded[..., low] + part * padded[..., low + 1]


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(229, 1025) float32 triangles of height 1 on HTK's mel scale, 30 .. 8000 Hz."""
    mel = np.linspace(*(2595.0 * np.log10(1.0 + hz / 700.0) for hz in (LOWEST_HZ, MODEL_RATE / 2)), BANDS + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    slopes = edges[:, None] - np.linspace(0.0, MODEL_RATE / 2, POINTS // 2 + 1)
    widths = np.diff(edges)
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
