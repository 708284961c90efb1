"""Is this a piano alone, or more than that? For a warning with the right command, no more.

Job
    A solo piano given to `cover` is wanted as `transcribe` writes it, and a band given to `transcribe` as `cover` does.

Method
    Drums, voices, strings and distortion fill the highest octave; a piano hardly does. The one figure is the mean
    over loud frames, in decibels, of the energy between 5 and 8 kHz over that between 250 Hz and 2 kHz. Between the
    two thresholds nothing is said, nor of a bright sound whose top comes and goes with its body: some SoundFonts
    have such pianos, while drums and voices go their own ways. Dull recordings of other instruments (a muffled
    flute, a telephone) are taken for a piano now and then.

Measured by `benchmarks/instrumentation.py`, thresholds chosen on other pianos and bands: of 42 real recordings of a
piano (MAPS ENST) 41 are called a piano and one a band; of 90 rendered bands (test and validation) 79 are called a band,
3 a piano, 8 neither; of nine short real recordings the piano is called one, drums, an orchestra, a vibraphone trio and
three songs are called a band, and nothing is said of a string quartet and a trumpet.
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
ONE = 0.75  # correlation from which top and body may be one bright instrument
START, PART = 20.0, 16.0  # seconds: the part of a recording that is looked at; its beginning if it is short


def _energies(samples: np.ndarray) -> np.ndarray:
    """(frames, 2): energy of body and top in the loud frames of mono `samples` ((n,) at 16 kHz); maybe none."""
    if len(samples) < SIZE:
        return np.zeros((0, 2))
    pieces = np.lib.stride_tricks.sliding_window_view(samples, SIZE)[::HOP]
    power = np.abs(np.fft.rfft(pieces * np.hanning(SIZE).astype(np.float32), axis=1)) ** 2
    total = power.sum(axis=1)
    loud = total > LOUD * np.percentile(total, 95)
    if np.percentile(total, 95) <= 0 or loud.sum() < LEAST:
        return np.zeros((0, 2))
    frequency = np.fft.rfftfreq(SIZE, 1 / RATE)
    energy = [power[loud][:, (frequency >= low) & (frequency < high)].sum(axis=1) for low, high in (BODY, TOP)]
    return np.column_stack(energy) + 1e-12 * total[loud, None]


def brightness(samples: np.ndarray) -> float:
    """Decibels of the top over the body of mono `samples` ((n,) at 16 kHz); NaN when there is too little sound."""
    energy = _energies(samples)
    return float(np.mean(10 * np.log10(energy[:, 1] / energy[:, 0]))) if len(energy) else float("nan")


def unity(samples: np.ndarray) -> float:
    """Correlation of the levels of top and body: near 1 when both come from one instrument; NaN as above."""
    energy = np.log(_energies(samples))
    return float(np.corrcoef(energy.T)[0, 1]) if len(energy) and energy.std(axis=0).min() > 0 else float("nan")


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
    if level < PIANO:
        return "piano"
    return "band" if level > BAND and not unity(samples) > ONE else ""


def _start(duration: float) -> int:
    """Seconds before the part that is looked at."""
    return int(min(START, max(0.0, duration / 2 - PART / 2)))
