"""The SoundFont player in numpy, against hand-made waves and against fluidsynth."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest

from spartito.notes.notes import CONTROL_DTYPE, Notes, Track
from spartito.render.sampler import SoundFont, play
from spartito.render.soundfont import SoundFontError, default_soundfont
from spartito.render.synthesize import synthesize

RATE = 8000
PERIOD = 32  # samples: 250 Hz, the loop of the hand-made SoundFont


def write_soundfont(path, *, zone=()):
    """A SoundFont of one preset and one looped sine of 250 Hz on key 60; `zone` adds generators."""
    sine = np.round(16000 * np.sin(2 * np.pi * np.arange(4 * PERIOD) / PERIOD)).astype("<i2")

    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    generators = [*zone, (54, 1), (53, 0)]
    tables = {
        b"phdr": struct.pack("<20sHHH12x", b"Sine", 0, 0, 0) + struct.pack("<20sHHH12x", b"EOP", 0, 0, 1),
        b"pbag": struct.pack("<4H", 0, 0, 1, 0),
        b"pmod": bytes(10),
        b"pgen": struct.pack("<Hh", 41, 0) + bytes(4),
        b"inst": struct.pack("<20sH", b"Sine", 0) + struct.pack("<20sH", b"EOI", 1),
        b"ibag": struct.pack("<4H", 0, 0, len(generators), 0),
        b"imod": bytes(10),
        b"igen": b"".join(struct.pack("<Hh", *g) for g in generators) + bytes(4),
        b"shdr": struct.pack("<20s5IBbHH", b"Sine", 0, 4 * PERIOD, 0, 4 * PERIOD, RATE, 60, 0, 0, 1) + bytes(46),
    }
    body = b"sfbk"
    body += chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)))
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", sine.tobytes() + bytes(92)))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(name, data) for name, data in tables.items()))
    path.write_bytes(chunk(b"RIFF", body))
    return SoundFont(path)


def middle(sound):
    """The left channel between 0.2 and 0.8 s."""
    return sound[0, int(0.2 * RATE) : int(0.8 * RATE)]


def hertz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 16))
    return np.argmax(spectrum) * RATE / (1 << 16)


@pytest.mark.parametrize(("key", "expected"), [(60, 250.0), (72, 500.0), (48, 125.0), (67, 250 * 2 ** (7 / 12))])
def test_a_looped_sine_at_every_pitch(tmp_path, key, expected):
    sound = play(Notes.from_arrays([0.0], [1.0], [key], 127), write_soundfont(tmp_path / "a.sf2"), rate=RATE)
    assert hertz(middle(sound)) == pytest.approx(expected, rel=1e-3)
    level = 16000 / 32768 * np.sqrt(0.5) * (100 / 127) ** 2  # centre of the stereo image, volume 100
    assert np.abs(middle(sound)).max() == pytest.approx(level, rel=0.01)
    assert np.abs(sound[:, int(1.01 * RATE) :]).max() < 1e-3  # released at 1 s


def test_tuning_attenuation_and_pan(tmp_path):
    zone = [(17, -500), (48, 100), (51, 12), (52, 50)]  # left, 10 dB, +12 semitones, +50 cents
    sound = play(Notes.from_arrays([0.0], [1.0], [60], 127), write_soundfont(tmp_path / "a.sf2", zone=zone), rate=RATE)
    assert hertz(middle(sound)) == pytest.approx(500 * 2 ** (50 / 1200), rel=1e-3)
    level = 16000 / 32768 * 10 ** (-0.4 * 10 / 20) * (100 / 127) ** 2
    assert np.abs(middle(sound)).max() == pytest.approx(level, rel=0.01)
    assert np.abs(sound[1]).max() < 1e-6


def test_decay_and_release(tmp_path):
    zone = [(36, 0), (37, 200), (38, 0)]  # decay of 100 dB in 1 s down to -20 dB, release of 100 dB in 1 s
    sound = play(Notes.from_arrays([0.0], [1.0], [60], 127), write_soundfont(tmp_path / "a.sf2", zone=zone), rate=RATE)

    def peak(second):
        return 20 * np.log10(np.abs(sound[0, int(second * RATE) : int(second * RATE) + PERIOD]).max())

    assert peak(0.1) - peak(0.0) == pytest.approx(-10, abs=0.5)
    assert peak(0.9) - peak(0.0) == pytest.approx(-20, abs=0.5)
    assert peak(1.3) - peak(0.9) == pytest.approx(-30, abs=0.5)


def test_filter(tmp_path):
    """Two octaves above a two-pole cut-off: 24 dB softer. 6000 cents are 261.6 Hz."""
    open_, closed = (
        play(
            Notes.from_arrays([0.0], [1.0], [84], 127),
            write_soundfont(tmp_path / f"{cents}.sf2", zone=[(8, cents)]),
            rate=RATE,
        )
        for cents in (13500, 5921)
    )  # key 84 is 1000 Hz, 5921 cents are 250 Hz
    decibels = 20 * np.log10(np.abs(middle(closed)).max() / np.abs(middle(open_)).max())
    assert decibels == pytest.approx(-24.1, abs=0.7)


def test_velocity_and_volume(tmp_path):
    font = write_soundfont(tmp_path / "a.sf2")
    controls = np.array([(0.0, 7, 127), (0.0, 11, 64)], dtype=CONTROL_DTYPE)
    loud = play(Notes.from_arrays([0.0], [1.0], [60], 127, tracks=(Track(controls=controls[:1]),)), font, rate=RATE)
    soft = play(Notes.from_arrays([0.0], [1.0], [60], 64, tracks=(Track(controls=controls),)), font, rate=RATE)
    assert middle(soft).max() / middle(loud).max() == pytest.approx((64 / 127) ** 4, rel=0.01)


def test_damaged_files(tmp_path):
    whole = default_soundfont().read_bytes()
    for name, data in {"cut": whole[:100_000], "text": b"Allegro", "head": whole[:12], "empty": b""}.items():
        path = tmp_path / f"{name}.sf2"
        path.write_bytes(data)
        with pytest.raises(SoundFontError, match=name):
            SoundFont(path)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs the fluidsynth program")
def test_the_default_piano_sounds_like_fluidsynth():
    """Over the whole keyboard, loudness within 1 dB of fluidsynth and the same balance of the two channels."""
    keys = np.arange(21, 106, 7)
    onset = 3.0 * np.arange(len(keys))
    notes = Notes.from_arrays(onset, onset + 2.0, keys, 80)
    levels = []
    for engine in ("fluidsynth", "sampler"):
        audio = synthesize(notes, engine=engine, rate=22050, reverb=False)
        parts = [audio.samples[:, int((t + 0.05) * 22050) : int((t + 1.5) * 22050)] for t in onset]
        levels.append([20 * np.log10(np.sqrt((part**2).mean(axis=1))) for part in parts])
    assert np.abs(np.subtract(*levels)).max() < 1.0
