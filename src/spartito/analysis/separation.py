"""Vocals and accompaniment of a recording.

Job
    `separate`: a recording in, two recordings out, "vocals" and "accompaniment", of the same rate, channels and
    length, which sum to the input sample by sample.

Method
    The engine `demucs` is a trained network and by far the better one; it is an extra. The built-in engine has no
    weights of its own. It makes one soft mask for the short-time spectrum out of what sets a singer apart:

    - *pitch*: a singer leads. The salience of every fundamental frequency (a sum over harmonics, less what lies
      between them) in each window gives each pitch a probability; the mask passes the harmonics of the
      likely ones. A `melody` that is known (`Analysis.melody`) says where to look, and when nobody sings;
    - *centre*: singers are mixed to the middle. Left and right are alike there in level and phase (stereo only);
    - *no drum*: long in time and narrow in frequency against short and wide (median filters);
    - *register*: nobody sings below 120 Hz.

    The accompaniment is the rest. Work goes in blocks of a minute that are cross-faded, so an hour needs little memory.

    Not taken: what repeats as accompaniment (REPET-SIM). On rendered bands it made the vocals 2 dB worse: tunes repeat
    with their chords.

Source
    Centre: C. Avendano, 'Frequency-domain source identification and manipulation in stereo mixes' (WASPAA 2003). Drums:
    D. FitzGerald, 'Harmonic/percussive separation using median filtering' (DAFx 2010); here nested medians of three
    stand for long ones. Repetition: Z. Rafii, B. Pardo, 'Music/voice separation using the similarity matrix' (ISMIR
    2012). Pitch: the lead's harmonics as a soft mask after J.-L. Durrieu, B. David, G. Richard, 'A musically motivated
    mid-level representation for pitch estimation and musical audio source separation' (IEEE JSTSP 5(6), 2011), found by
    the harmonic sum of A. Klapuri (ISMIR 2006). Network: S. Rouard, F. Massa, A. Défossez, 'Hybrid transformers for
    music source separation' (ICASSP 2023), package `demucs`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spartito.audio.audio import Audio
from spartito.audio.io import load_audio
from spartito.errors import AudioError, MissingExtraError, ModelError, ParameterError

__all__ = [
    "ENGINES",
    "GOOD_SDR",
    "VOCAL_SDR",
    "VOCAL_SDR_TOLD",
    "MaskConfig",
    "SeparationWarning",
    "chosen_engine",
    "quality_note",
    "separate",
    "vocal_mask",
]

ENGINES = ("auto", "built-in", "demucs")
DEMUCS_MODEL = "htdemucs"
GOOD_SDR = 3.0  # dB below which the voice is not fit to be put over a piano without a warning
VOCAL_SDR = 1.5  # dB, SI-SDR of the vocals of rendered bands: benchmarks/separation.py (-3.4: nothing done)
VOCAL_SDR_TOLD = 3.05  # dB, the same with the melody that the shipped `analyze` hears
SINGERS = 1.0  # dB that figures on rendered voices must be better by: singers are harder. A guess, on the safe side
WINDOW = 0.093  # seconds of a spectrum: harmonics of a low voice apart, vibrato still followed
OVERLAP = 4  # spectra per window
LEAD = OVERLAP // 2  # spectra before the one around sample 0, so that each sample lies in as many windows
STEADY = 0.05  # seconds over which a pitch is looked for, beside the window
BLOCK, FADE = 60.0, 2.0  # seconds worked on at once, and of the cross-fade between blocks
Progress = Callable[[float], None]


class SeparationWarning(UserWarning):
    """A recording was separated, but not by the engine that was hoped for."""


@dataclass(frozen=True)
class MaskConfig:
    """What the built-in engine believes. Found by search on 12 rendered bands of the validation split."""

    lowest: float = 45.0  # MIDI numbers a voice can sing (A2 to C6)
    highest: float = 84.0
    step: float = 0.25  # semitones between candidates
    harmonics: int = 6  # for the salience
    fading: float = 0.9  # weight of each harmonic against the one below it
    between: float = 0.8  # weight of what lies half-way between harmonics, taken off
    certainty: float = 8.0  # how strongly salience becomes probability
    width: float = 2.3  # bins, of a harmonic in the mask
    spread: float = 0.08  # of the width, more for each higher harmonic: they move farther
    known: float = 8.0  # nats in favour of the known melody
    near: float = 1.0  # semitones around it
    idle: float = 0.4  # of the mask where the known melody rests: it may have been missed
    floor: float = 0.15  # of the pitch mask between harmonics
    low: float = 120.0  # hertz, of a voice
    high: float = 8000.0
    centre: float = 0.5  # exponents of the masks
    harmonic: float = 1.0


DEFAULT_MASK = MaskConfig()


def chosen_engine(engine: str = "auto") -> str:
    """ "built-in" or "demucs": what `separate` takes for `engine`. "auto" is demucs where that package is installed."""
    if engine not in ENGINES:
        raise ParameterError(f"engine is one of {', '.join(ENGINES)}, not {engine!r}")
    if engine != "auto":
        return engine
    from importlib.util import find_spec

    return "demucs" if find_spec("demucs") is not None else "built-in"


def quality_note(engine: str = "auto", *, told: bool = False) -> str:
    """One line to say when the voice `engine` brings out (`told`: with a melody) is poor; empty when good enough."""
    figure = VOCAL_SDR_TOLD if told else VOCAL_SDR
    if chosen_engine(engine) == "demucs" or figure >= GOOD_SDR + SINGERS:
        return ""
    return (
        f"the built-in separation reaches {figure:.1f} dB for vocals on rendered songs, and singers are harder (below "
        f"{GOOD_SDR:g} dB other instruments are clearly heard with the voice); for a cleaner voice: "
        "pip install 'spartito[demucs]', then --engine demucs"
    )


def separate(
    source: str | os.PathLike | Audio,
    *,
    engine: str = "auto",
    melody: np.ndarray | None = None,
    progress: Progress | None = None,
) -> dict[str, Audio]:
    """Vocals and accompaniment of a recording.

    Parameters
    ----------
    source : path or Audio
        Any rate; mono or stereo (of more channels the first two).
    engine : {"auto", "built-in", "demucs"}
        "auto" is demucs where that package is installed and has its weights.
    melody : np.ndarray, shape=(n, 3), optional
        Onset s, offset s, MIDI pitch of the voice, as in `Analysis.melody`; makes the built-in engine better.
    progress : callable, optional
        Called with the part done, 0..1.

    Returns
    -------
    dict
        "vocals" and "accompaniment", which sum to the input.

    Raises
    ------
    AudioError, ParameterError
    MissingExtraError
        demucs was asked for and is not installed (extra `demucs`).
    ModelError
        The weights of demucs are not here and cannot be fetched.
    """
    wanted, engine = engine, chosen_engine(engine)
    audio = source if isinstance(source, Audio) else load_audio(source)
    if audio.samples.shape[1] == 0:
        raise AudioError("there is nothing to separate: the recording has no samples")
    samples = audio.samples[:2]
    vocals = None
    if engine == "demucs":
        try:
            vocals = _by_demucs(samples, audio.rate)
        except ModelError as error:
            if wanted != "auto":
                raise
            warnings.warn(f"{error}; the built-in engine takes over", SeparationWarning, stacklevel=2)
    if vocals is None:
        vocals = _by_masks(samples, audio.rate, melody, progress)
    parts = {"vocals": vocals, "accompaniment": samples - vocals}
    return {name: Audio(part, audio.rate, title=audio.title, artist=audio.artist) for name, part in parts.items()}


# -- the built-in engine ------------------------------------------------------------------------------------


def _by_masks(samples: np.ndarray, rate: int, melody, progress: Progress | None) -> np.ndarray:
    """(channels, n) float32 vocals, block by block."""
    n = samples.shape[1]
    block, fade = round(BLOCK * rate), round(FADE * rate)
    vocals = np.zeros_like(samples)
    starts = range(0, max(n - fade, 1), block)
    for start in starts:
        stop = min(start + block + fade, n)
        part = _masked(samples[:, start:stop], rate, melody, start / rate)
        if start:
            ramp = np.linspace(0.0, 1.0, min(fade, stop - start), dtype=np.float32)
            part[:, : len(ramp)] *= ramp
            vocals[:, start : start + len(ramp)] *= 1.0 - ramp
        vocals[:, start:stop] += part
        if progress is not None:
            progress(stop / n)
    return vocals


def _masked(samples: np.ndarray, rate: int, melody, begin: float) -> np.ndarray:
    """(channels, n) float32 vocals of a block that begins at `begin` seconds of the recording."""
    size = 1 << max(round(np.log2(WINDOW * rate)), 4)
    spectrum = _spectra(samples, size)
    spectrum *= vocal_mask(spectrum, rate, melody=melody, begin=begin)
    return _sound(spectrum, size, samples.shape[1])


def vocal_mask(
    spectrum: np.ndarray,
    rate: int,
    *,
    melody: np.ndarray | None = None,
    begin: float = 0.0,
    config: MaskConfig = DEFAULT_MASK,
) -> np.ndarray:
    """(frames, bins) 0..1: how much of each point of `spectrum` (channels, frames, bins) is voice."""
    bins = spectrum.shape[2]
    size = 2 * (bins - 1)
    frequency = np.arange(bins, dtype=np.float32) * (rate / size)
    magnitude = np.abs(spectrum).mean(axis=0)
    last = int(np.searchsorted(frequency, config.high))  # nothing is looked at above
    mask = np.zeros(magnitude.shape, dtype=np.float32)
    low = magnitude[:, :last]
    part = _pitch_mask(low, frequency[:last], rate / (size // OVERLAP), melody, begin, config)
    part *= _harmonic_mask(low) ** config.harmonic
    if len(spectrum) == 2 and config.centre > 0:
        part *= _centre_mask(spectrum[:, :, :last]) ** config.centre
    mask[:, :last] = part * (frequency[:last] > config.low)
    return mask


def _pitch_mask(magnitude, frequency, fps: float, melody, begin: float, config: MaskConfig) -> np.ndarray:
    """(frames, bins) share of the harmonics of likely fundamentals."""
    pitch = np.arange(config.lowest, config.highest, config.step)
    fundamental = 440.0 * 2 ** ((pitch - 69) / 12)  # (candidates,) hertz
    spacing = frequency[1]
    reach = min(int(config.harmonics * fundamental[-1] / spacing) + 2, len(frequency))
    sharp = magnitude[:, :reach] - _smooth(magnitude[:, :reach], round(340 / spacing))
    salience = np.maximum(sharp, 0) @ _comb(fundamental, reach, spacing, config)
    salience = _smooth(salience.T, 2 * round(STEADY * fps / 2) + 1).T
    scale = np.median(salience.max(axis=1)) + 1e-12
    evidence = np.clip(config.certainty * salience / scale, -20.0, 40.0)
    gain = np.ones(len(magnitude), dtype=np.float32)
    if melody is not None and len(melody):
        time = begin + (np.arange(len(magnitude)) - LEAD) / fps
        note = np.maximum(np.searchsorted(melody[:, 0], time, side="right") - 1, 0)
        sung = (time >= melody[note, 0]) & (time < melody[note, 1])
        away = np.abs(pitch[None, :] - melody[note, 2][:, None])
        evidence += config.known * (sung[:, None] & (away <= config.near))
        gain = np.where(_smooth(sung[None].astype(np.float32), max(round(0.2 * fps), 1))[0] > 0.2, 1.0, config.idle)
    odds = np.exp(evidence - evidence.max(axis=1, keepdims=True)).astype(np.float32)
    odds /= odds.sum(axis=1, keepdims=True)
    number = np.maximum(np.round(frequency[None, :] / fundamental[:, None]), 1)
    distance = (frequency[None, :] - number * fundamental[:, None]) / spacing  # bins from the nearest harmonic
    width = config.width * (1 + config.spread * (number - 1))
    shape = np.exp(-0.5 * (distance / width) ** 2).astype(np.float32)  # (candidates, bins)
    return (config.floor + (1 - config.floor) * (odds @ shape)) * gain[:, None].astype(np.float32)


def _comb(fundamental: np.ndarray, bins: int, spacing: float, config: MaskConfig) -> np.ndarray:
    """(bins, candidates) weights: harmonics of each fundamental, less what lies between them."""
    weights = np.zeros((bins, len(fundamental)), dtype=np.float32)
    columns = np.arange(len(fundamental))
    for number in range(1, config.harmonics + 1):
        for place, sign in ((number, 1.0), (number - 0.5, -config.between)):
            exact = place * fundamental / spacing
            below = np.floor(exact).astype(np.int64)
            inside = below < bins - 1
            share = (exact - below)[inside]
            weight = sign * config.fading ** (number - 1)
            np.add.at(weights, (below[inside], columns[inside]), weight * (1 - share))
            np.add.at(weights, (below[inside] + 1, columns[inside]), weight * share)
    return weights / np.sqrt(np.abs(weights).sum(axis=0) + 1e-9)


def _harmonic_mask(magnitude: np.ndarray) -> np.ndarray:
    """(frames, bins) near 1 where sound is long and narrow, near 0 where it is short and wide."""
    long = _nested_median(magnitude, 0, 1)  # no longer: a singer glides
    wide = _nested_median(magnitude, 1, 3)
    return long**2 / (long**2 + wide**2 + 1e-12)


def _nested_median(x: np.ndarray, axis: int, levels: int) -> np.ndarray:
    """Medians of three, of three medians, and so on, along `axis`: about a median over 3 ** levels."""
    for level in range(levels):
        reach = 3**level
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(2)]
        y = np.pad(x, pad, mode="edge")
        a, c = (y[: -2 * reach], y[2 * reach :]) if axis == 0 else (y[:, : -2 * reach], y[:, 2 * reach :])
        x = _median_of_three(a, x, c)
    return x


def _median_of_three(a, b, c) -> np.ndarray:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _centre_mask(spectrum: np.ndarray) -> np.ndarray:
    """(frames, bins) 1 where left and right are alike in level and phase, 0 where they are not."""
    left, right = spectrum
    cross = _smooth((left * right.conj()).real, 3)
    power = _smooth(np.abs(left) ** 2 + np.abs(right) ** 2, 3)
    return np.clip(2 * cross / (power + 1e-12), 0.0, 1.0)


# -- spectra ------------------------------------------------------------------------------------------------


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    """Mean over `width` (odd) neighbours along the last axis; fewer at the ends."""
    reach = width // 2
    if reach == 0:
        return x
    total = np.cumsum(np.pad(x, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    place = np.arange(x.shape[1])
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, x.shape[1])
    return ((total[:, last] - total[:, first]) / (last - first)).astype(np.float32)


def _window(size: int) -> np.ndarray:
    """(size,) periodic Hann."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _spectra(samples: np.ndarray, size: int) -> np.ndarray:
    """(channels, frames, size // 2 + 1) complex64, `OVERLAP` frames per `size` samples, the frame `LEAD` around 0."""
    hop = size // OVERLAP
    frames = -(-samples.shape[1] // hop) + 2 * LEAD + 1
    padded = np.zeros((len(samples), (frames - 1) * hop + size), dtype=np.float32)
    padded[:, size : size + samples.shape[1]] = samples
    pieces = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]
    window = _window(size)
    out = np.empty((len(samples), frames, size // 2 + 1), dtype=np.complex64)
    for first in range(0, frames, 256):  # a few seconds at a time: less memory
        out[:, first : first + 256] = np.fft.rfft(pieces[:, first : first + 256] * window, axis=2)
    return out


def _sound(spectra: np.ndarray, size: int, n: int) -> np.ndarray:
    """(channels, n) float32 of `spectra`; the inverse of `_spectra`."""
    hop = size // OVERLAP
    channels, frames, _ = spectra.shape
    out = np.zeros((channels, (frames - 1) * hop + size), dtype=np.float32)
    window = _window(size)
    window = window / (float((window.astype(np.float64) ** 2).sum()) / hop)
    for first in range(0, frames, 256):
        pieces = np.fft.irfft(spectra[:, first : first + 256], n=size, axis=2).astype(np.float32) * window
        count = pieces.shape[1]
        for shift in range(OVERLAP):
            begin = (first + shift) * hop
            quarter = pieces[:, :, shift * hop : (shift + 1) * hop]
            out[:, begin : begin + count * hop] += quarter.reshape(channels, count * hop)
    return out[:, size : size + n]


# -- demucs -------------------------------------------------------------------------------------------------


def _by_demucs(samples: np.ndarray, rate: int) -> np.ndarray:
    """(channels, n) float32 vocals by the network of that package, at its own rate and back."""
    try:
        from demucs.apply import apply_model
        from demucs.pretrained import get_model
    except ImportError as error:
        raise MissingExtraError("demucs", extra="demucs", purpose="separation with --engine demucs") from error
    import soxr
    import torch  # comes with demucs

    try:
        model = get_model(DEMUCS_MODEL)
    except Exception as error:  # urllib, torch.hub and demucs each have their own
        raise ModelError(
            f"the weights of demucs ({DEMUCS_MODEL}) are not on this machine and could not be fetched ({error}); "
            "connect to the internet once, or choose the engine built-in"
        ) from error
    model.eval()
    sound = np.broadcast_to(samples, (2, samples.shape[1])) if len(samples) == 1 else samples
    given = soxr.resample(sound.T, rate, model.samplerate, quality="HQ").T if rate != model.samplerate else sound
    given = torch.from_numpy(np.ascontiguousarray(given, dtype=np.float32))
    # the network expects sound of mean 0 and deviation 1
    mean, deviation = given.mean(), given.std() + 1e-8
    with torch.no_grad():
        stems = apply_model(model, ((given - mean) / deviation)[None], split=True, overlap=0.25)[0]
    vocals = (stems[model.sources.index("vocals")] * deviation).numpy()
    if rate != model.samplerate:
        vocals = soxr.resample(vocals.T, model.samplerate, rate, quality="HQ").T
    n = samples.shape[1]
    vocals = np.pad(vocals, ((0, 0), (0, max(n - vocals.shape[1], 0))))[:, :n]
    return np.ascontiguousarray(vocals.mean(axis=0, keepdims=True) if len(samples) == 1 else vocals, dtype=np.float32)
