"""Mixing the stems of a made-up band, as differently as recordings sound.

Job
    Levels, rooms, equalisers, a compressor, a codec's low-pass, noise and clipping, all drawn at random.

Method
    The lead and the drums are set against the rest by their loudness while they sound (SoundFonts differ by more
    than mixes do). All filters have zero phase, rooms keep the direct sound where it is: nothing moves in time, so the
    labels stay true. The compressor looks at the level of 10 ms frames.
"""

from __future__ import annotations

import numpy as np

from spartito.training.data.bands import RATE

__all__ = ["mix_down", "mix_stems"]

FRAME = RATE // 100  # samples, 10 ms: how fine the compressor looks
PEAK = 0.97  # of full scale
GRAIN = 1 << 14  # samples
FAST = (2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 25, 27, 30, 32)  # numbers without a large prime factor


def mix_down(stems: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """(n,) float32 mono mix of `stems` ((2, n) each: lead, drums, rest) and what was done, for the record."""
    return _master(_balanced(stems, rng, mono=True), rng)


def mix_stems(stems: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """{"vocals", "accompaniment"}, (2, n) float32 each, as they sound in the mix, without what a master adds."""
    parts = _balanced(stems, rng, mono=False)
    n = max(part.shape[1] for part in parts.values())
    vocals = parts.pop("lead", np.zeros((2, n), dtype=np.float32))
    accompaniment = sum(parts.values(), np.zeros((2, n), dtype=np.float32))
    scale = 0.5 / max(np.abs(vocals + accompaniment).max(), 1e-6)
    return {"vocals": (vocals * scale).astype(np.float32), "accompaniment": (accompaniment * scale).astype(np.float32)}


def _balanced(stems: dict[str, np.ndarray], rng: np.random.Generator, *, mono: bool) -> dict[str, np.ndarray]:
    """Each stem in its room and colour, at its level: the rest at 0 dB, the lead and the drums around it."""
    parts = {}
    room = rng.uniform(0.3, 2.2)  # s to -60 dB; one room for all, heard more on some
    for name in ("rest", "lead", "drums"):
        if name not in stems:
            continue
        sound = stems[name].mean(axis=0, keepdims=True) if mono else stems[name]
        wet = rng.uniform(0.0, {"rest": 0.25, "lead": 0.35, "drums": 0.12}[name])
        sound = _filtered(sound, _curve(rng, tilt=2.0, bumps=2), room=room, wet=wet, rng=rng)
        level = {"rest": 0.0, "lead": rng.uniform(-4.0, 5.0), "drums": rng.uniform(-12.0, -1.0)}[name]
        parts[name] = sound * (10 ** (level / 20) * 0.1 / max(_loudness(sound), 1e-6))
    return parts


def _loudness(sound: np.ndarray) -> float:
    """Root mean square of the frames (0.1 s) that are within 30 dB of the loudest: while it sounds."""
    mono = sound.mean(axis=0)
    frames = mono[: len(mono) // (10 * FRAME) * 10 * FRAME].reshape(-1, 10 * FRAME)
    power = (frames**2).mean(axis=1) if len(frames) else np.zeros(1)
    return float(np.sqrt(power[power >= power.max() * 1e-3].mean()))


def _curve(rng: np.random.Generator, *, tilt: float, bumps: int):
    """A random equaliser: gain as a function of frequency, in Hz, by a tilt (dB per octave / 2) and broad bumps."""
    slope = rng.normal(0, tilt / 2)
    centres, widths = rng.uniform(6.5, 13.0, bumps).tolist(), rng.uniform(0.4, 1.5, bumps).tolist()
    gains = rng.normal(0, 3, bumps).tolist()

    def gain(frequency: np.ndarray) -> np.ndarray:
        octave = np.log2(np.maximum(frequency, 20.0))
        decibel = slope * (octave - 9.5)  # turns about 720 Hz
        for centre, width, height in zip(centres, widths, gains, strict=True):
            decibel = decibel + height * np.exp(-0.5 * ((octave - centre) / width) ** 2)
        return 10 ** (np.clip(decibel, -18, 12) / 20)

    return gain


def _fast_size(n: int) -> int:
    """A number of samples, at least `n`, whose Fourier transform is fast."""
    grain = GRAIN
    while FAST[-1] * grain < n:
        grain *= 2
    return next(factor * grain for factor in (1, *FAST) if factor * grain >= n)


def _filtered(sound: np.ndarray, gain, *, room: float = 0.0, wet: float = 0.0, rng=None) -> np.ndarray:
    """`sound` ((c, n)) through an equaliser of zero phase and a room of `room` seconds whose energy is `wet`."""
    n = sound.shape[1]
    tail = int(room * RATE) if wet > 0 else 0
    size = _fast_size(n + tail + RATE // 10)
    spectrum = np.fft.rfft(sound.astype(np.float32), size)
    frequency = np.fft.rfftfreq(size, 1 / RATE).astype(np.float32)
    response = gain(frequency)
    if wet > 0:
        time = np.arange(tail, dtype=np.float32) / RATE
        noise = rng.standard_normal((sound.shape[0], tail), dtype=np.float32) * np.exp(-6.9 * time / room)
        noise[:, : int(0.012 * RATE)] = 0.0  # the first wall is two metres away
        noise *= np.sqrt(wet / np.sum(noise**2, axis=1, keepdims=True))
        dull = 1.0 / (1.0 + (frequency / 5000.0) ** 2)  # air and walls swallow the highs
        response = response * (1.0 + np.fft.rfft(noise, size) * dull)
    return np.fft.irfft(spectrum * response, size)[:, :n].astype(np.float32)


def _master(parts: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """The mix through compressor, equaliser, low-pass, noise, soft clipping, at a random level."""
    mix = sum(parts.values())
    done: dict = {}
    if rng.random() < 0.7:
        done["compression"] = float(rng.uniform(1.3, 4.0))
        mix = _compressed(mix, done["compression"], release=float(rng.uniform(0.08, 0.4)))
    curve, edge = _curve(rng, tilt=1.5, bumps=3), None
    if rng.random() < 0.35:
        edge = float(np.exp(rng.uniform(np.log(5000), np.log(10500))))
        done["low_pass"] = round(edge)
    low = float(rng.uniform(20, 70))

    def gain(frequency):
        response = curve(frequency) / np.sqrt(1 + (low / np.maximum(frequency, 1.0)) ** 4)
        return response if edge is None else response * np.clip((edge + 400 - frequency) / 400, 0.0, 1.0)

    mix = _filtered(mix, gain)[0]
    mix *= 0.1 / max(_loudness(mix[None]), 1e-6)
    if rng.random() < 0.5:
        done["noise"] = float(rng.uniform(-65, -32))  # dB relative to the music
        mix = mix + _pink(len(mix), rng) * 0.1 * 10 ** (done["noise"] / 20)
    if rng.random() < 0.5:
        drive = float(rng.uniform(1.0, 4.0))
        done["drive"] = drive
        mix = np.tanh(mix * drive) / drive
    level = float(rng.uniform(-26.0, -13.0))
    mix = mix * (10 ** (level / 20) / max(_loudness(mix[None]), 1e-6))
    return (mix * min(1.0, PEAK / np.abs(mix).max())).astype(np.float32), done


def _compressed(sound: np.ndarray, ratio: float, *, release: float) -> np.ndarray:
    """`sound` ((c, n)) with what exceeds its own usual level brought down by `ratio`, the gain recovering slowly."""
    n = sound.shape[1]
    frames = -(-n // FRAME)
    padded = np.pad(sound.mean(axis=0), (0, frames * FRAME - n))
    level = 10 * np.log10((padded.reshape(frames, FRAME) ** 2).mean(axis=1) + 1e-9)
    over = np.maximum(level - np.percentile(level, 60) + 3.0, 0.0) * (1 - 1 / ratio)
    decay = np.exp(-np.arange(100) * 0.01 / release)
    smooth = np.convolve(over, decay / decay.sum())[:frames]
    gain = np.interp(np.arange(n), (np.arange(frames) + 0.5) * FRAME, -smooth)
    return sound * 10 ** (gain / 20).astype(np.float32)


def _pink(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) noise falling by 3 dB per octave, root mean square 1."""
    size = _fast_size(n)
    spectrum = np.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum /= np.sqrt(np.arange(len(spectrum)) + 10.0)
    noise = np.fft.irfft(spectrum, size)[:n]
    return noise / np.sqrt(np.mean(noise**2))
