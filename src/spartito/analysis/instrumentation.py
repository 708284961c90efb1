"""Is this a piano alone, or more than that? For a warning with the right command, no more.

Job
    A solo piano given to `cover` is wanted as `transcribe` writes it, and a band given to `transcribe` as `cover` does.

Method
    Drums, voices, strings and distortion fill the highest octave; a piano hardly does. The one figure is the mean over
    loud frames, in decibels, of the energy between 5 and 8 kHz over that between 250 Hz and 2 kHz. Between the two
    thresholds nothing is said. Dull recordings of other instruments (a muffled flute, a telephone) are taken for a
    piano now and then, and a single trumpet for a band.

Measured by `benchmarks/instrumentation.py`, thresholds chosen on other pianos and bands: of 42 real recordings of a
piano (MAPS ENST) 41 are called a piano and one a band; of 90 rendered bands (test and validation) 84 are called a
band, 3 a piano, 3 neither; of eight short real recordings the piano is called one, and drums, strings, an orchestra, a
vibraphone trio, a trumpet and two songs are called a band.
"""

from __future__ import annotations

import os

import numpy as np

from spartito.audio.audio import Audio

__all__ = ["PART", "brightness", "instrumentation"]

RATE = 16_000  # hertz
SIZE, HOP = 1024, 256  # samples of a spectrum and between two
BODY, TOP = (250.0, 2_000.0), (5_000.0, 7_900.0)  # hertz
LOUD = 1e-3  # of the loud frames' energy (30 dB below): softer frames do not count
LEAST = 20  # loud frames, a third of a second
PIANO, BAND = -49.0, -44.0  # decibels: a piano below, a band above
START, PART = 20.0, 16.0  # seconds: the part of a recording that is looked at; its beginning if it is short


def brightness(samples: np.ndarray) -> float:
    """Decibels of the top over the body of mono `samples` ((n,) at 16 kHz); NaN when there is too little sound."""
    if len(samples) < SIZE:
        return float("nan")
    pieces = np.lib.stride_tricks.sliding_window_view(samples, SIZE)[::HOP]
    power = np.abs(np.fft.rfft(pieces * np.hanning(SIZE).astype(np.float32), axis=1)) ** 2
    total = power.sum(axis=1)
    loud = total > LOUD * np.percentile(total, 95)
    if np.percentile(total, 95) <= 0 or loud.sum() < LEAST:
        return float("nan")
    frequency = np.fft.rfftfreq(SIZE, 1 / RATE)
    energy = [power[loud][:, (frequency >= low) & (frequency < high)].sum(axis=1) for low, high in (BODY, TOP)]
    floor = 1e-12 * total[loud]
    return float(np.mean(10 * np.log10((energy[1] + floor) / (energy[0] + floor))))


def instrumentation(source: str | os.PathLike | Audio) -> str:
    """ "piano", "band" (anything more or other), or "" when it cannot be told.

    Recordings at less than 16 kHz have no top to judge by.
    """
    from spartito.audio.io import audio_info, read_mono

    if isinstance(source, Audio):
        import soxr

        if source.rate < RATE:
            return ""
        mono = np.nan_to_num(source.mono())
        mono = mono[_start(source.duration) * source.rate :][: int(PART * source.rate)]
        samples = mono if source.rate == RATE else soxr.resample(mono, source.rate, RATE)
    else:
        info = audio_info(source)
        if info.rate < RATE:
            return ""
        start = _start(info.duration)
        samples = read_mono(source, rate=RATE, start=start or None, end=start + PART)
    level = brightness(samples)
    return "piano" if level < PIANO else "band" if level > BAND else ""


def _start(duration: float) -> int:
    """Seconds before the part that is looked at."""
    return int(min(START, max(0.0, duration / 2 - PART / 2)))
