"""From notes to sound, on the instruments of a SoundFont.

The program `fluidsynth` plays best (it knows pedal, dynamics and every controller) and is taken when it is
there. Otherwise the player in `spartito.render.sampler` takes its place, which is simpler: no reverb, no pitch
bend, and the pedal written into the lengths of the notes.

The result has the loudness asked for in LUFS (Recommendation ITU-R BS.1770-4, 2015, with its two gates) unless
its peak would pass -1 dBFS, in which case it is softer. Second 0 of the sound is second 0 of the notes.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from spartito.audio.audio import Audio
from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import SUSTAIN, Notes
from spartito.render.sampler import SoundFont, play
from spartito.render.soundfont import SoundFontError, find_soundfont

__all__ = ["ENGINES", "measure_loudness", "normalise", "synthesize"]

ENGINES = ("auto", "fluidsynth", "sampler")
PEAK_LIMIT = 10 ** (-1 / 20)  # -1 dBFS
MAX_LOUDNESS = 0.0  # LUFS
MIN_RATE, MAX_RATE = 8000, 96000  # hertz; what FluidSynth renders
POLYPHONY = 1024  # voices; a long pedal keeps hundreds of stereo notes alive
CHANNELS = 15  # MIDI channels for pitched instruments
SILENCE = 1e-4  # of the peak (-80 dB); quieter endings are cut
FADE = 0.02  # seconds, so that the end does not click


def synthesize(
    notes: Notes,
    *,
    soundfont=None,
    rate: int = 44100,
    engine: str = "auto",
    loudness: float | None = -18.0,
    reverb: bool = True,
) -> Audio:
    """Play `notes` with their pedal, instruments and drums: stereo sound.

    Parameters
    ----------
    notes : Notes
    soundfont : str or Path, optional
        The path of an .sf2 or .sf3 file, or the name of one (see `spartito.render.soundfont`).
    rate : int
        Hertz, 8000 to 96000.
    engine : {"auto", "fluidsynth", "sampler"}
        "auto" is fluidsynth when that program is installed.
    loudness : float or None
        LUFS; None leaves the level as the SoundFont has it (never above -1 dBFS).
    reverb : bool
        A little room; fluidsynth only.

    Raises
    ------
    NotesError
        There are no notes.
    ParameterError
        An engine, rate or loudness that does not exist.
    SoundFontError
        No such SoundFont, or the engine cannot play it.
    """
    if len(notes) == 0:
        raise NotesError("there are no notes to play")
    if engine not in ENGINES:
        raise ParameterError(f"engine is one of {', '.join(ENGINES)}, not {engine!r}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ParameterError(f"a sample rate between {MIN_RATE} and {MAX_RATE} Hz is needed, not {rate}")
    if loudness is not None and not -70.0 < loudness <= MAX_LOUDNESS:
        raise ParameterError(f"loudness is between -70 and {MAX_LOUDNESS:g} LUFS, not {loudness}")
    font = find_soundfont(soundfont)
    if engine == "auto":
        engine = "fluidsynth" if shutil.which("fluidsynth") else "symusic"
    if engine == "fluidsynth":
        samples = _sum(_fluidsynth(part, font, rate, reverb) for part in _ensembles(_share_pedal(notes)))
    else:
        samples = play(notes, SoundFont(font), rate=rate)
    samples = _cut_ending(samples, notes, rate)
    audio = Audio(samples, rate, title=notes.title, artist=notes.composer)
    audio.samples[:] *= _gain_to(audio, loudness)  # in place: an hour is 1.3 GB
    return audio


def normalise(audio: Audio, *, loudness: float | None) -> Audio:
    """`audio` at `loudness` LUFS, or as near as its peak can come to that below -1 dBFS. Silence stays."""
    gain = _gain_to(audio, loudness)
    return audio if gain == 1.0 else replace(audio, samples=audio.samples * gain)


def _gain_to(audio: Audio, loudness: float | None) -> np.float32:
    """The factor by which `normalise` makes `audio` louder."""
    peak = _peak(audio.samples)
    if peak == 0.0:
        return np.float32(1.0)
    gain = PEAK_LIMIT / peak
    if loudness is None:
        gain = min(gain, 1.0)
    else:
        measured = measure_loudness(audio)
        if math.isfinite(measured):
            gain = min(gain, 10 ** ((loudness - measured) / 20))
    return np.float32(gain)


def _peak(samples: np.ndarray) -> float:
    """The largest magnitude, found without a second array of that size."""
    return max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))


# -- engines ------------------------------------------------------------------------------------------------


def _fluidsynth(notes: Notes, font: Path, rate: int, reverb: bool) -> np.ndarray:
    """(2, n) float32, not normalised, played by the fluidsynth program."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise SoundFontError("the program fluidsynth is not installed; use engine='sampler', or install it")
    with tempfile.TemporaryDirectory(prefix="spartito-") as folder:
        midi, sound = Path(folder) / "notes.mid", Path(folder) / "sound.raw"
        write_midi(notes, midi)
        # Raw 32-bit floats: no clipping at any gain, and no 4 GB limit as in WAV.
        command = [program, "-n", "-i", "-q", "-T", "raw", "-O", "float", "-F", str(sound), "-r", str(rate)]
        command += ["-g", "1", "-C", "0", "-R", str(int(reverb)), "-o", f"synth.polyphony={POLYPHONY}"]
        # Without this, fluidsynth answers a damaged SoundFont by playing the system's default one.
        command += ["-o", "synth.default-soundfont=", str(font.resolve()), str(midi)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        samples = np.fromfile(sound, dtype=np.float32) if sound.exists() else np.zeros(0, dtype=np.float32)
    words = done.stderr.decode("utf-8", "replace")
    if done.returncode or "Failed to load" in words or not samples.any():
        reason = words.strip().splitlines()[-1] if words.strip() else "it played nothing"
        raise SoundFontError(f"fluidsynth cannot play these notes with {font.name}: {reason}")
    return samples[: len(samples) // 2 * 2].reshape(-1, 2).T


def _sum(parts) -> np.ndarray:
    """The sum of arrays of shape (2, n) with different n, each beginning at time 0."""
    total = np.zeros((2, 0), dtype=np.float32)
    for part in parts:
        longer, shorter = (part, total) if part.shape[1] > total.shape[1] else (total, part)
        longer[:, : shorter.shape[1]] += shorter
        total = longer
    return total


def _share_pedal(notes: Notes) -> Notes:
    """Give both hands of one instrument the same pedal: each track is a MIDI channel, the pedal belongs to one."""
    tracks = list(notes.tracks)
    for program in {t.program for t in tracks if not t.is_drum}:
        members = [i for i, t in enumerate(tracks) if t.program == program and not t.is_drum]
        if len(members) < 2:
            continue
        alone = replace(notes, tracks=tuple(tracks[i] for i in members), array=notes.array[:0])
        pedal = alone.pedal
        if len(pedal) == 0:
            continue
        for i in members:
            others = tracks[i].controls[tracks[i].controls["number"] != SUSTAIN]
            moved = Notes(tracks=(replace(tracks[i], controls=others),)).with_pedal(pedal)
            tracks[i] = moved.tracks[0]
    return replace(notes, tracks=tuple(tracks))


def _ensembles(notes: Notes) -> list[Notes]:
    """`notes` in parts that fit the 16 MIDI channels: the drums go with the first 15 pitched tracks."""
    pitched = [i for i, t in enumerate(notes.tracks) if not t.is_drum]
    drums = [i for i, t in enumerate(notes.tracks) if t.is_drum]
    if len(pitched) <= CHANNELS:
        return [notes]
    groups = [pitched[i : i + CHANNELS] for i in range(0, len(pitched), CHANNELS)]
    groups[0] += drums
    parts = []
    for group in groups:
        array = notes.array[np.isin(notes.array["track"], group)]
        if len(array):
            array["track"] = np.searchsorted(sorted(group), array["track"])
            parts.append(replace(notes, array=array, tracks=tuple(notes.tracks[i] for i in sorted(group))))
    return parts


def _cut_ending(samples: np.ndarray, notes: Notes, rate: int) -> np.ndarray:
    """Without the silence after the last note has died away, and without a click at the end."""
    threshold, end = SILENCE * _peak(samples), 0
    fade = max(round(FADE * rate), 1)
    for first in reversed(range(0, samples.shape[1], rate)):  # second by second, from the back
        loud = np.flatnonzero(np.abs(samples[:, first : first + rate]).max(axis=0) > threshold)
        if len(loud):
            end = first + int(loud[-1]) + 1 + fade
            break
    n = max(end, math.ceil(notes.duration * rate), 1)
    if n > samples.shape[1]:
        samples = np.pad(samples, ((0, 0), (0, n - samples.shape[1])))
    samples = samples[:, :n]
    samples[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[-n:]
    return samples


# -- loudness -----------------------------------------------------------------------------------------------

BLOCK = 0.4  # seconds, measured every 0.1 s (BS.1770-4)
STEP = 0.1  # seconds
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
OFFSET = -0.691  # dB, makes a full-scale 997 Hz sine in one channel -3.01 LUFS
FILTER_RATE = 48000  # hertz, of the coefficients below (BS.1770-4, tables 1 and 2)
SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (1.0, -1.69065929318241, 0.73248077421585),
)
HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
MINUTE = 600  # steps of 0.1 s transformed at once, to bound memory


def measure_loudness(audio: Audio) -> float:
    """Integrated loudness in LUFS after BS.1770-4; -inf for silence.

    The K-weighting is applied to the power spectrum of each 0.1 s (Parseval) instead of to the samples, which
    differs from the filter by less than 0.1 dB on music. All channels weigh the same (true for mono, stereo).
    """
    step = max(round(STEP * audio.rate), 1)
    samples = audio.samples
    if samples.shape[1] < 4 * step:
        samples = np.pad(samples, ((0, 0), (0, 4 * step - samples.shape[1])))
    n = samples.shape[1] // step
    frequency = np.minimum(np.fft.rfftfreq(step, 1 / audio.rate), FILTER_RATE / 2)  # (bins,) hertz
    weight = _gain(SHELF, frequency) * _gain(HIGH_PASS, frequency)  # (bins,) power
    weight *= np.where((np.arange(len(weight)) == 0) | (2 * np.arange(len(weight)) == step), 1.0, 2.0) / step**2
    power = np.zeros(n)  # mean square of each step, summed over channels
    for first in range(0, n, MINUTE):
        last = min(first + MINUTE, n)
        pieces = samples[:, first * step : last * step].reshape(samples.shape[0], last - first, step)
        power[first:last] = ((np.abs(np.fft.rfft(pieces)) ** 2) @ weight).sum(axis=0)
    width = round(BLOCK / STEP)
    blocks = np.convolve(power, np.full(width, 1 / width), mode="valid")  # (n - 3,)
    with np.errstate(divide="ignore"):
        blocks = blocks[OFFSET + 10 * np.log10(blocks) > ABSOLUTE_GATE]
        if len(blocks) == 0:
            return -math.inf
        gate = 10 * np.log10(blocks.mean()) + RELATIVE_GATE
        return float(OFFSET + 10 * np.log10(blocks[10 * np.log10(blocks) > gate].mean()))


def _gain(filter_, frequency: np.ndarray) -> np.ndarray:
    """Power gain of a digital filter (numerator, denominator) at each frequency in hertz."""
    z = np.exp(-2j * np.pi * frequency / FILTER_RATE)
    numerator, denominator = (c[0] + c[1] * z + c[2] * z**2 for c in filter_)
    return np.abs(numerator / denominator) ** 2
