"""Piano recordings made from MIDI: what to do when annotated recordings are few.

Excerpts of piano MIDI are played on every SoundFont given, each time on another 'piano': a random preset, velocity
curve, loudness, tuning of the whole instrument and of single strings (fifteen MIDI channels, each bent by a few
cents of its own, share the keys), tempo, key, room and background noise. The notes that were sent are the labels.

FluidSynth renders many excerpts in one call, one after the other with silence between, because loading a large
SoundFont takes longer than playing a minute of music.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spartito.audio.io import read_mono
from spartito.errors import MissingExtraError
from spartito.notes.midi import write_midi
from spartito.notes.notes import BEND_DTYPE, CONTROL_DTYPE, SUSTAIN, Notes, Track

__all__ = ["Piano", "add_noise", "add_room", "excerpt", "play", "random_piano"]

RATE = 16_000  # Hz, of the result
RENDER_RATE = 32_000  # Hz: FluidSynth does not filter before resampling, so render above and let soxr filter
LATENCY = -0.003  # s; with it the spectral flux of an attack lies where it lies in MAPS, 8 ms before the label
GAP = 4.0  # s of silence between excerpts of one call: the longest decay that matters
CHANNELS = tuple(c for c in range(16) if c != 9)  # channel 9 is the drums
BEND_RANGE_CENTS = 200.0  # General MIDI's default


@dataclass(frozen=True)
class Piano:
    """One instrument, its player's touch, and its room."""

    soundfont: Path
    program: int
    velocity_gamma: float  # exponent of the touch curve, 1 leaves velocities as they are
    velocity_scale: float
    tuning_cents: np.ndarray  # (15,) of each channel, that is of the keys that share it
    seconds_per_second: float  # > 1 plays slower
    semitones: int
    reverberation: float  # seconds to -60 dB, 0 for none
    wet: float  # energy of the room relative to the direct sound
    noise_db: float  # below the music's level; inf for none


def random_piano(
    soundfonts: Sequence[Path], rng: np.random.Generator, *, semitones: int = 5, room: bool = True
) -> Piano:
    """A piano nobody has heard before. `semitones` is the widest transposition."""
    wet = float(rng.uniform(0.02, 0.4)) if room and rng.random() < 0.6 else 0.0
    return Piano(
        soundfont=Path(soundfonts[rng.integers(len(soundfonts))]),
        program=int(rng.choice([0, 1, 2, 3], p=[0.55, 0.3, 0.05, 0.1])),
        velocity_gamma=float(np.exp(rng.uniform(-0.4, 0.4))),
        velocity_scale=float(rng.uniform(0.75, 1.1)),
        tuning_cents=rng.uniform(-20, 20) + rng.normal(0, 4, len(CHANNELS)),
        seconds_per_second=float(np.exp(rng.uniform(-0.2, 0.2))),
        semitones=int(rng.integers(-semitones, semitones + 1)),
        reverberation=float(rng.uniform(0.3, 1.6)) if wet else 0.0,
        wet=wet,
        noise_db=float(rng.uniform(25, 60)) if rng.random() < 0.6 else np.inf,
    )


def excerpt(notes: Notes, seconds: float, rng: np.random.Generator) -> Notes:
    """A random part of a piece that starts with a note, moved to begin at 0.3 s."""
    latest = max(0.0, notes.duration - seconds)
    start = rng.uniform(0.0, latest)
    part = notes.between(start, start + seconds)
    if len(part) == 0:
        part = notes.between(notes.onset[0], notes.onset[0] + seconds)
    return part.shifted(0.3 - part.onset[0])


def touched(notes: Notes, piano: Piano) -> Notes:
    """`notes` as this piano's player plays them: tempo, key and touch. Keys off the keyboard are left out."""
    array = notes.array.copy()
    array["pitch"] += piano.semitones
    array["velocity"] = _touch(array["velocity"], piano)
    array["onset"] *= piano.seconds_per_second
    array["offset"] *= piano.seconds_per_second
    array["offset"] = np.maximum(array["offset"], array["onset"] + 0.02)
    pedal = np.clip(notes.pedal, 0.0, notes.duration)
    pedal = pedal[pedal[:, 1] > pedal[:, 0]] * piano.seconds_per_second
    array["track"] = 0
    array = array[(array["pitch"] >= 21) & (array["pitch"] <= 108)]
    return Notes(array).with_pedal(pedal)


def _touch(velocity: np.ndarray, piano: Piano) -> np.ndarray:
    curved = 127.0 * piano.velocity_scale * (velocity / 127.0) ** piano.velocity_gamma
    return np.clip(np.rint(curved), 5, 127)  # softer than 5 is not heard: a label without sound


def play(excerpts: Sequence[Notes], pianos: Sequence[Piano], rng: np.random.Generator) -> list[np.ndarray]:
    """Sound of each excerpt on its piano, all on the same SoundFont: list of (n,) float32 at 16 kHz.

    The excerpts must come from `touched`. Raises MissingExtraError where there is no FluidSynth.
    """
    if shutil.which("fluidsynth") is None:
        raise MissingExtraError("the fluidsynth program", extra="train", purpose="making training audio from MIDI")
    ends = np.cumsum([notes.duration + GAP for notes in excerpts])
    starts = np.concatenate([[0.0], ends[:-1]]) + 0.1
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "session.mid"), Path(folder, "session.wav")
        write_midi(_session(excerpts, pianos, starts), midi)
        gain = "0.5"
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", gain, "-r", str(RENDER_RATE)]
        command += ["-F", str(wav), "-T", "wav", str(pianos[0].soundfont), str(midi)]
        subprocess.run(command, check=True, capture_output=True)
        sound = read_mono(wav, rate=RATE)
    parts = []
    for start, end, piano in zip(starts, ends, pianos, strict=True):
        first = int((start + LATENCY) * RATE)
        part = sound[first : int((end - 1.0) * RATE)].copy()
        part = add_room(part, seconds=piano.reverberation, wet=piano.wet, rng=rng)
        parts.append(add_noise(part, below_db=piano.noise_db, rng=rng))
    return parts


def _session(excerpts, pianos, starts) -> Notes:
    """All excerpts one after the other; track c holds the notes of channel c with its program and bend changes."""
    arrays, controls, bends = [], [], []
    for notes, piano, start in zip(excerpts, pianos, starts, strict=True):
        array = notes.array.copy()
        array["track"] = array["pitch"] % len(CHANNELS)
        array["onset"] += start
        array["offset"] += start
        arrays.append(array)
        pedal = notes.tracks[0].controls.copy()
        pedal["time"] += start
        up = np.array([(start + notes.duration + GAP / 2, SUSTAIN, 0)], dtype=CONTROL_DTYPE)
        controls.append(np.concatenate([pedal, up]))
        bends.append(np.rint(piano.tuning_cents / BEND_RANGE_CENTS * 8192))
    controls = np.concatenate(controls)
    tracks = []
    for channel in range(len(CHANNELS)):
        bend = np.zeros(len(bends), dtype=BEND_DTYPE)
        bend["time"] = starts
        bend["value"] = [b[channel] for b in bends]
        tracks.append(Track(name=f"strings {channel}", program=pianos[0].program, controls=controls, bends=bend))
    return Notes(np.concatenate(arrays), tracks=tuple(tracks))


def add_room(sound: np.ndarray, *, seconds: float, wet: float, rng: np.random.Generator) -> np.ndarray:
    """Reverberation by an exponentially decaying noise of `seconds` to -60 dB, starting after 15 ms."""
    if wet <= 0 or seconds <= 0:
        return sound
    n = int(seconds * RATE)
    time = np.arange(n) / RATE
    response = rng.standard_normal(n) * np.exp(-6.9 * time / seconds)
    response[: int(0.015 * RATE)] = 0.0
    response = np.convolve(response, [0.5, 0.5])[:n]  # air and walls dull the tail
    response *= np.sqrt(wet / np.sum(response**2))
    size = 1 << int(np.ceil(np.log2(len(sound) + n)))
    tail = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response.astype(np.float32), size), size)
    return (sound + tail[: len(sound)]).astype(np.float32)


def add_noise(sound: np.ndarray, *, below_db: float, rng: np.random.Generator) -> np.ndarray:
    """Noise falling by 3 dB per octave (pink), `below_db` under the root mean square of `sound`."""
    if not np.isfinite(below_db):
        return sound
    n = len(sound)
    spectrum = np.fft.rfft(rng.standard_normal(n).astype(np.float32))
    spectrum /= np.sqrt(np.arange(len(spectrum)) + 10.0)
    noise = np.fft.irfft(spectrum, n)
    level = np.sqrt(np.mean(sound**2)) * 10 ** (-below_db / 20)
    return (sound + noise * (level / np.sqrt(np.mean(noise**2)))).astype(np.float32)


def same_soundfont(pianos: Sequence[Piano], piano: Piano) -> list[Piano]:
    """`pianos` moved to the SoundFont and preset of `piano`, so that one call can play them all."""
    return [replace(p, soundfont=piano.soundfont, program=piano.program) for p in pianos]
