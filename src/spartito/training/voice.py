"""A voice out of formulas: something that sings a melody on vowels, with consonants, for recordings made up.

Job
    `sing` gives the sound of a melody as a singer with a random throat would sing it: without words, but with the
    traits by which voices differ from the instruments of a SoundFont (formants that change from note to note, gliding
    pitch, vibrato, breath, hisses and stops between the notes).

Method
    The source-filter model. The source is a pulse train with all partials below the Nyquist frequency, in closed form
    (Dirichlet kernel of the running phase), and noise. The filter is a cascade of resonances, the formants of a vowel
    per note, applied to the spectrum of short frames. Vowels begin on the note and consonants before it, as singers
    place them.

Sources
    G. Fant, 'Acoustic theory of speech production' (1960), the source-filter model; J. Sundberg, 'The science of the
    singing voice' (1987), vibrato, singer's formant, placing of consonants; the formants are rounded from the means of
    G. E. Peterson, H. L. Barney, 'Control methods used in a study of the vowels' (JASA 24, 1952).
"""

from __future__ import annotations

import numpy as np

from spartito.training.data.bands import RATE

__all__ = ["VOWELS", "sing"]

# Formants 1-4 in Hz of an adult man; a shorter throat multiplies them
VOWELS = {
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3600),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3300),
    "ae": (660, 1720, 2410, 3400),
    "schwa": (500, 1500, 2500, 3500),
}
NASAL = (250, 1100, 2200, 3200)  # Hz, of m and n, roughly
BANDWIDTHS = (70.0, 90.0, 130.0, 200.0)  # Hz
CONTROL = 0.005  # s: how often pitch and loudness are looked at
FRAME, HOP = 1024, 256  # samples of the filter's frames
GLIDE = 0.035  # s from note to note
ATTACK, RELEASE = 0.025, 0.07  # s
PHRASE = 0.15  # s: a longer rest lets the singer begin anew
THROATS = {"test": (1.0, 1.08)}  # lengths of throat (as factors of the formants) that training does not hear
TRAINING_THROATS = ((0.86, 1.0), (1.08, 1.22))


def sing(melody: np.ndarray, duration: float, rng: np.random.Generator, *, split: str = "train") -> np.ndarray:
    """(n,) float32 at 22 050 Hz of `melody` ((k, 4): onset s, offset s, MIDI pitch, velocity), one note at a time.

    Of `split` "test" the singer has a throat that no singer of the training has.
    """
    n = round(duration * RATE)
    melody = melody[(melody[:, 1] > 0) & (melody[:, 0] < duration)]
    if len(melody) == 0:
        return np.zeros(n, dtype=np.float32)
    melody = melody[np.argsort(melody[:, 0], kind="stable")].copy()
    melody[:, 1] = np.maximum(np.minimum(melody[:, 1], np.append(melody[1:, 0], np.inf)), melody[:, 0] + 0.03)
    span = THROATS.get(split) or TRAINING_THROATS[rng.integers(len(TRAINING_THROATS))]
    throat = rng.uniform(*span)
    kind = _consonants(melody, rng)

    time = np.arange(-(-n // HOP) + 4) * HOP / RATE  # of the frames
    control = np.arange(0.0, duration + CONTROL, CONTROL)
    samples = np.arange(n) / RATE
    pitch = np.interp(samples, control, _pitch(melody, control, rng))
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    loudness = np.interp(samples, control, _loudness(melody, kind, control, rng)).astype(np.float32)
    voiced = _pulses(frequency) * loudness
    breath = np.diff(rng.standard_normal(n + 1)).astype(np.float32) * loudness * rng.uniform(0.02, 0.15)
    sound = _filtered(voiced + breath, _throat(melody, kind, time, throat, rng))
    sound *= 0.1 / max(float(np.sqrt(np.mean(sound[loudness > 0.1] ** 2))) if (loudness > 0.1).any() else 0.0, 1e-6)
    hiss = rng.standard_normal(n).astype(np.float32) * np.interp(samples, control, _hiss(melody, kind, control))
    return (sound + _filtered(hiss.astype(np.float32), _hissing(time, rng)) * rng.uniform(0.2, 0.7)).astype(np.float32)


NONE, FRICATIVE, PLOSIVE, NASAL_SOUND = range(4)


def _consonants(melody: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(k,) what comes before each note; nothing where a syllable is drawn out over several notes."""
    kind = rng.choice(4, size=len(melody), p=[0.35, 0.25, 0.2, 0.2])
    gap = melody[:, 0] - np.concatenate([[-np.inf], melody[:-1, 1]])
    kind[(kind == NONE) & (gap > PHRASE) & (rng.random(len(kind)) < 0.5)] = PLOSIVE
    return kind


def _pitch(melody: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(t,) MIDI pitch: the notes with glides, scoops, vibrato and the wavering of a voice."""
    note = np.clip(np.searchsorted(melody[:, 0], time, side="right") - 1, 0, None)
    since = np.maximum(time - melody[note, 0], 0.0)
    length = (melody[:, 1] - melody[:, 0])[note]
    scoop = np.where(rng.random(len(melody)) < rng.uniform(0.1, 0.5), rng.uniform(0.3, 2.0, len(melody)), 0.0)
    step = melody[note, 2] - scoop[note] * np.exp(-since / 0.04)
    width = max(int(GLIDE / CONTROL), 1)
    # the glide is over soon after the note begins, so the smoothing looks more back than forward
    step = np.convolve(np.pad(step, (width // 2, width - width // 2 - 1), mode="edge"), np.ones(width) / width, "valid")
    rate, depth, delay = rng.uniform(4.8, 6.5), rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.35)
    swell = np.clip((since - delay) / 0.25, 0, 1) * (length > 0.4)
    wobble = np.cumsum(2 * np.pi * CONTROL * rate * (1 + 0.08 * _slow(len(time), 0.2, rng)))
    return step + depth * swell * np.sin(wobble) + 0.08 * _slow(len(time), 0.1, rng) + 0.1 * _slow(len(time), 0.8, rng)


def _slow(n: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) noise of unit variance that changes within about `seconds`."""
    width = max(int(seconds / CONTROL), 1)
    return np.convolve(rng.standard_normal(n + width - 1), np.ones(width) / np.sqrt(width), "valid")


def _loudness(melody: np.ndarray, kind: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(t,) amplitude of the vowels: 0 in rests, a dip before a consonant."""
    onset, offset = melody[:, 0].copy(), melody[:, 1].copy()
    gap = np.append(onset[1:], np.inf) - offset
    following = np.append(kind[1:], PLOSIVE)
    closes = np.select([following == FRICATIVE, following == PLOSIVE], [0.07, 0.05], 0.0)  # s the voice is off before
    offset = np.where(gap < PHRASE, offset - np.maximum(closes - np.maximum(gap, 0), 0), offset)
    offset = np.maximum(offset, onset + 0.5 * (melody[:, 1] - melody[:, 0]))
    onset -= np.where(kind == NASAL_SOUND, 0.05, 0.0)
    note = np.clip(np.searchsorted(onset, time, side="right") - 1, 0, None)
    rise = np.clip((time - onset[note]) / ATTACK, 0, 1)
    fall = np.clip((offset[note] + RELEASE / 2 - time) / RELEASE, 0, 1)
    level = (melody[note, 3] / 100.0) ** 1.5 * (1 + 0.1 * _slow(len(time), 0.15, rng))
    previous = np.where(note > 0, np.clip((offset[note - 1] + RELEASE / 2 - time) / RELEASE, 0, 1), 0.0)
    return np.maximum(np.minimum(rise, fall), np.where(note > 0, previous, 0.0) * (1 - rise)) * np.maximum(level, 0.05)


def _hiss(melody: np.ndarray, kind: np.ndarray, time: np.ndarray) -> np.ndarray:
    """(t,) amplitude of the noise of fricatives (up to the note) and plosives (a burst just before it)."""
    nearest = np.clip(np.searchsorted(melody[:, 0], time), 0, len(melody) - 1)  # the note that comes
    ahead = melody[nearest, 0] - time
    hiss = np.where(kind[nearest] == FRICATIVE, np.clip(1 - np.abs(ahead - 0.05) / 0.05, 0, 1), 0.0)
    burst = np.where(kind[nearest] == PLOSIVE, (np.abs(ahead - 0.008) < 0.008) * 0.8, 0.0)
    return (hiss + burst) * (ahead >= 0) * 0.1


def _pulses(frequency: np.ndarray) -> np.ndarray:
    """(n,) pulses at `frequency` ((n,) Hz), every partial below the Nyquist frequency equally strong."""
    half = np.cumsum(frequency / RATE) * np.pi
    partials = np.floor(0.5 * RATE / frequency)
    below = np.sin(half)
    safe = np.abs(below) > 1e-4
    kernel = np.sin((2 * partials + 1) * half) / np.where(safe, below, 1.0)
    return ((np.where(safe, kernel, 2 * partials + 1) - 1) / np.sqrt(2 * partials)).astype(np.float32)


def _throat(melody, kind, time: np.ndarray, throat: float, rng: np.random.Generator) -> np.ndarray:
    """(frames, bins) gain of the throat: the formants of each note's vowel, gliding, and the slope of the source."""
    table = np.array([VOWELS[v] for v in VOWELS], dtype=np.float64)
    vowel = rng.integers(len(table), size=len(melody))
    held = (kind == NONE) & (rng.random(len(kind)) < 0.6)  # a syllable that goes on keeps its vowel
    index = np.maximum.accumulate(np.where(held, 0, np.arange(len(kind))))
    note = np.clip(np.searchsorted(melody[:, 0] - 0.02, time, side="right") - 1, 0, None)
    formants = table[vowel[index]][note]
    nasal = (kind[note] == NASAL_SOUND) & (time < melody[note, 0] + 0.02)
    formants = np.where(nasal[:, None], np.array(NASAL, dtype=np.float64), formants) * throat
    formants = np.stack([np.convolve(np.pad(f, 2, mode="edge"), np.ones(5) / 5, "valid") for f in formants.T])
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)[None, :]
    slope = rng.uniform(0.8, 1.4)  # of the source and the lips together, in powers of the frequency
    gain = (1.0 + (bins / 300.0) ** 2) ** (-slope / 2)
    for centre, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        ratio = bins / centre[:, None]
        gain = gain / np.sqrt((1 - ratio**2) ** 2 + (ratio * bandwidth / centre[:, None]) ** 2)
    # the product of resonances falls too steeply above the last; higher formants lift it
    lift = (1.0 + (bins / (formants[3][:, None] * 0.9)) ** 2) ** 3
    return (gain * np.minimum(lift, 3000.0)).astype(np.float32)


def _hissing(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(frames, bins) gain of consonants' noise: a band that wanders between sh and s."""
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)[None, :]
    knots = np.arange(0.0, time[-1] + 1.0, 0.5)  # s
    centre = np.interp(time, knots, rng.uniform(2500, 8000, len(knots)))
    return np.exp(-0.5 * ((bins - centre[:, None]) / 1500.0) ** 2).astype(np.float32)


def _filtered(sound: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """`sound` ((n,)) through a gain per frame and frequency, by overlapping windowed frames; nothing moves in time."""
    n = len(sound)
    window = np.sqrt(np.hanning(FRAME + 1)[:-1]).astype(np.float32)
    count = len(gain)
    padded = np.zeros((count - 1) * HOP + FRAME, dtype=np.float32)
    stop = min(n, len(padded) - FRAME // 2)
    padded[FRAME // 2 : FRAME // 2 + stop] = sound[:stop]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * window
    frames = np.fft.irfft(np.fft.rfft(frames, axis=1) * gain, axis=1).astype(np.float32) * window
    total = np.zeros(((count - 1) + FRAME // HOP) * HOP, dtype=np.float32).reshape(-1, HOP)
    for k in range(FRAME // HOP):  # four overlapping sets of frames
        total[k : k + count] += frames[:, k * HOP : (k + 1) * HOP]
    total = total.ravel()[FRAME // 2 : FRAME // 2 + n] / 2.0  # squared windows at a quarter's distance add up to 2
    return np.pad(total, (0, n - len(total)))
