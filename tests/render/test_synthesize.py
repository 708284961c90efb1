"""Sound from notes: in time, in tune, with dynamics, pedal and instruments, as loud as asked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from spartito.audio.audio import Audio
from spartito.errors import NotesError, ParameterError
from spartito.notes.notes import Notes, Track
from spartito.render import synthesize as module
from spartito.render.soundfont import SoundFontError
from spartito.render.synthesize import measure_loudness, normalise, synthesize

RATE = 22050
ENGINES = [
    pytest.param(
        "fluidsynth",
        marks=pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs the fluidsynth program"),
    ),
    "sampler",
]


def play(notes, engine, **options):
    return synthesize(notes, engine=engine, rate=RATE, **{"reverb": False, **options})


def level(audio: Audio, start: float, end: float) -> float:
    """Root mean square between two times in seconds."""
    part = audio.samples[:, int(start * audio.rate) : int(end * audio.rate)]
    return float(np.sqrt(np.mean(part.astype(np.float64) ** 2)))


def onsets_in(audio: Audio, near: np.ndarray, *, reach: float = 0.08) -> np.ndarray:
    """(n,) seconds: where the spectral flux rises fastest within `reach` of each time in `near`.

    Frames of 11.6 ms, every 1 ms, timed at their centre.
    """
    mono, hop, size = audio.mono(), audio.rate // 1000, 256
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(mono, size // 2), size)[::hop]
    spectrum = np.log1p(100 * np.abs(np.fft.rfft(frames * np.hanning(size))))
    lag = 6  # frames between compared spectra, about half a window
    flux = np.maximum(spectrum[lag:] - spectrum[:-lag], 0).sum(axis=1)
    times = (np.arange(len(flux)) + lag / 2) * hop / audio.rate
    found = []
    for time in near:
        window = np.flatnonzero(np.abs(times - time) < reach)
        found.append(times[window[np.argmax(flux[window])]])
    return np.array(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_notes_sound_when_they_are_struck(engine):
    rng = np.random.default_rng(3)
    onset = 0.25 + np.cumsum(rng.uniform(0.2, 0.5, 30))
    notes = Notes.from_arrays(onset, onset + 0.15, rng.integers(40, 90, 30), rng.integers(50, 110, 30))
    late = onsets_in(play(notes, engine), onset) - onset
    assert abs(np.median(late)) < 0.010
    assert np.percentile(np.abs(late), 90) < 0.015


@pytest.mark.parametrize("engine", ENGINES)
def test_pitch(engine):
    audio = play(Notes.from_arrays([0.0], [1.5], [69], 90), engine)
    mono = audio.mono()[RATE // 4 : RATE // 4 + RATE]
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    near = np.arange(len(spectrum))
    spectrum[(near < 400) | (near > 480)] = 0
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)  # bins of 1 Hz


@pytest.mark.parametrize("engine", ENGINES)
def test_dynamics(engine):
    """Velocity 40 against 100 is 16 dB by the General MIDI curve."""
    notes = Notes.from_arrays([0.0, 3.0], [1.0, 4.0], [60, 60], [40, 100])
    audio = play(notes, engine)
    decibels = 20 * np.log10(level(audio, 3.1, 3.9) / level(audio, 0.1, 0.9))
    assert decibels == pytest.approx(40 * np.log10(100 / 40), abs=1.5)


@pytest.mark.parametrize("engine", ENGINES)
def test_pedal_lets_a_note_ring(engine):
    dry = Notes.from_arrays([0.0, 4.0], [0.3, 4.5], [48, 90], [90, 40])
    wet = dry.with_pedal(np.array([[0.1, 3.0]]))
    dry, wet = (play(n, engine, loudness=None) for n in (dry, wet))
    assert level(wet, 1.5, 2.0) > 20 * level(dry, 1.5, 2.0)
    assert level(wet, 3.5, 3.9) < 0.1 * level(wet, 1.5, 2.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_both_hands_share_the_pedal(engine):
    """The pedal is written in the right hand; the left hand's note must ring on as well."""
    hands = (Track(name="right hand"), Track(name="left hand"))
    notes = Notes.from_arrays([0.0, 4.0], [0.3, 4.5], [48, 90], [90, 40], track=[1, 0], tracks=hands)
    dry, wet = (play(n, engine, loudness=None) for n in (notes, notes.with_pedal(np.array([[0.1, 3.0]]), track=0)))
    assert level(wet, 1.5, 2.0) > 20 * level(dry, 1.5, 2.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_instruments_and_drums(engine):
    def centroid(track):
        notes = Notes.from_arrays([0.0], [1.0], [42], 90, tracks=(track,))
        mono = play(notes, engine).mono()
        spectrum = np.abs(np.fft.rfft(mono))
        return (spectrum * np.fft.rfftfreq(len(mono), 1 / RATE)).sum() / spectrum.sum()

    piano, strings = centroid(Track(program=0)), centroid(Track(program=48))
    hi_hat = centroid(Track(program=0, is_drum=True))  # key 42 of the drum kit
    assert abs(piano - strings) > 20 and hi_hat > 3 * max(piano, strings)


@pytest.mark.parametrize("engine", ENGINES)
def test_more_tracks_than_midi_has_channels(engine):
    """Twenty instruments one after the other, and drums: each must be heard."""
    tracks = (*(Track(name=str(i), program=0) for i in range(20)), Track(name="drums", is_drum=True))
    onset = 2.0 * np.arange(21)
    notes = Notes.from_arrays(onset, onset + 0.5, [60] * 20 + [38], 90, track=np.arange(21), tracks=tracks)
    audio = play(notes, engine)
    levels = np.array([level(audio, t, t + 0.4) for t in onset])
    assert levels[:20].min() == pytest.approx(levels[:20].max(), rel=0.05) and levels[20] > 0.1 * levels[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_loudness_and_peak(engine):
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, 8, 200))
    notes = Notes.from_arrays(onset, onset + 1.0, rng.integers(30, 90, 200), 127, title="T", composer="C")
    audio = play(notes, engine, loudness=-23.0)
    assert measure_loudness(audio) == pytest.approx(-23.0, abs=0.05)
    assert (audio.title, audio.artist, audio.channels, audio.rate) == ("T", "C", 2, RATE)
    assert audio.duration >= notes.duration
    loud = play(notes, engine, loudness=0.0)
    assert np.abs(loud.samples).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    assert np.abs(play(notes, engine, loudness=None).samples).max() <= 0.8913


def test_bs1770_reference_levels():
    """A full-scale sine of 997 Hz: -3.01 LUFS in one channel, 0.00 in both; silence does not count."""
    t = np.arange(5 * 48000) / 48000
    sine = np.sin(2 * np.pi * 997 * t)
    assert measure_loudness(Audio(sine, 48000)) == pytest.approx(-3.01, abs=0.02)
    assert measure_loudness(Audio(np.stack([sine, sine]), 48000)) == pytest.approx(0.0, abs=0.02)
    gaps = np.concatenate([0.1 * sine, np.zeros_like(sine), np.zeros_like(sine)])
    assert measure_loudness(Audio(gaps, 48000)) == pytest.approx(-23.01, abs=0.2)
    low = Audio(np.sin(2 * np.pi * 20 * t), 48000)
    assert measure_loudness(low) < -15  # the high-pass of the K-weighting
    assert measure_loudness(Audio(np.zeros(48000), 48000)) == -np.inf
    assert measure_loudness(Audio(np.ones(10), 48000)) < 0


def test_silence_stays_silence():
    silent = Audio(np.zeros((2, 1000)), 8000)
    assert not normalise(silent, loudness=-18.0).samples.any()


def test_bad_requests(monkeypatch, tmp_path):
    one = Notes.from_arrays([0.0], [1.0], [60])
    with pytest.raises(NotesError, match="no notes to play"):
        synthesize(Notes())
    with pytest.raises(ParameterError, match="engine"):
        synthesize(one, engine="organ")
    with pytest.raises(ParameterError, match="sample rate"):
        synthesize(one, rate=100)
    with pytest.raises(ParameterError, match="loudness"):
        synthesize(one, loudness=6.0)
    with pytest.raises(SoundFontError, match="no SoundFont"):
        synthesize(one, soundfont="no such thing")
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF\x40\0\0\0sfbk" + b"\xee" * 64)
    for engine in ("fluidsynth", "sampler") if shutil.which("fluidsynth") else ("sampler",):
        with pytest.raises(SoundFontError, match=r"broken\.sf2"):
            synthesize(one, soundfont=broken, engine=engine)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(SoundFontError, match="not installed"):
        synthesize(one, engine="fluidsynth")
    assert synthesize(one, rate=RATE).duration >= 1.0  # "auto" falls back
