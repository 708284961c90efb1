"""How far a recording lies from concert pitch.

Peaks of a finely resolved spectrum are read off by parabolic interpolation, and the circular mean of their distance
to the nearest semitone, weighted by amplitude, is the tuning: only what is common to all notes survives the mean.
"""

from __future__ import annotations

import numpy as np

__all__ = ["estimate_tuning"]

SIZE = 8192  # samples at 16 kHz: 2 Hz lines, so that a peak at 200 Hz is placed within a few cents
LOW_HZ, HIGH_HZ = 150.0, 2_000.0  # where partials are resolved and string stiffness does not yet raise them
SPANS = 120  # spectra, spread evenly over the recording
CLEAR = 0.25  # least concentration of the peaks, 0 (anywhere) to 1 (all at one deviation), to believe the mean


def estimate_tuning(samples: np.ndarray, rate: int) -> float:
    """Deviation from A4 = 440 Hz in cents, -50..50, of mono `samples` (n,); 0 where no pitch is clear."""
    size = int(SIZE * rate / 16_000)
    if len(samples) < size:
        return 0.0
    starts = np.linspace(0, len(samples) - size, min(SPANS, 1 + len(samples) // size)).astype(int)
    pieces = samples[starts[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32)
    log = np.log(np.abs(np.fft.rfft(pieces)) + 1e-9)  # (spans, lines)
    low, high = int(LOW_HZ * size / rate), int(HIGH_HZ * size / rate)
    here = log[:, low:high]
    before, after = log[:, low - 1 : high - 1], log[:, low + 1 : high + 1]
    strong = here > np.maximum(here.max(axis=1, keepdims=True), np.median(here)) - 4.0  # within 35 dB of the loudest
    span, line = np.nonzero((here > before) & (here >= after) & strong)
    if len(span) == 0:
        return 0.0
    a, b, c = before[span, line], here[span, line], after[span, line]
    exact = line + low + 0.5 * (a - c) / (a - 2 * b + c - 1e-12)
    semitones = 12 * np.log2(exact * rate / size / 440.0)
    weight = np.exp(b - b.max())
    mean = np.sum(weight * np.exp(2j * np.pi * semitones)) / weight.sum()
    return float(100 * np.angle(mean) / (2 * np.pi)) if abs(mean) > CLEAR else 0.0
