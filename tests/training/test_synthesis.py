import shutil

import numpy as np
import pytest

from spartito.notes.notes import Notes
from spartito.render.soundfont import default_soundfont, soundfonts_at_hand
from spartito.training.synthesis import (
    RATE,
    Piano,
    add_noise,
    add_room,
    excerpt,
    play,
    random_piano,
    same_soundfont,
    touched,
)

needs_fluidsynth = pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="the program fluidsynth is not here")
RNG = np.random.default_rng


def piano(**changes) -> Piano:
    plain = {
        "soundfont": default_soundfont(), "program": 0, "velocity_gamma": 1.0, "velocity_scale": 1.0,
        "tuning_cents": np.zeros(15), "seconds_per_second": 1.0, "semitones": 0, "reverberation": 0.0, "wet": 0.0,
        "noise_db": np.inf,
    }  # fmt: skip
    return Piano(**(plain | changes))


def test_touch_changes_tempo_key_and_velocity():
    notes = Notes.from_arrays([1.0, 2.0], [1.5, 2.5], [60, 107], [64, 127]).with_pedal([[1.0, 2.0]])
    played = touched(notes, piano(seconds_per_second=1.5, semitones=2, velocity_scale=0.5))
    assert played.pitch.tolist() == [62]  # 109 is off the keyboard
    assert played.onset[0] == pytest.approx(1.5) and played.offset[0] == pytest.approx(2.25)
    assert played.velocity[0] == 32
    np.testing.assert_allclose(played.pedal, [[1.5, 3.0]])


def test_pedal_outside_an_excerpt_is_left_out():
    notes = Notes.from_arrays(np.arange(0.0, 60.0), np.arange(0.0, 60.0) + 0.5, 60).with_pedal([[0, 3], [20, 50]])
    part = touched(excerpt(notes, 10.0, RNG(4)), piano())
    assert part.onset[0] == pytest.approx(0.3)
    assert part.pedal.size == 0 or (part.pedal.min() >= 0 and part.pedal.max() <= part.duration)


def test_room_keeps_the_attack_and_adds_a_tail():
    click = np.zeros(RATE, dtype=np.float32)
    click[100] = 1.0
    wet = add_room(click, seconds=0.8, wet=0.2, rng=RNG(0))
    assert wet[100] == pytest.approx(1.0, abs=1e-3) and abs(wet[:100]).max() < 1e-5
    assert np.sum(wet[101:] ** 2) == pytest.approx(0.2, rel=0.05)
    assert np.sum(wet[400:4000] ** 2) > 10 * np.sum(wet[8000:11600] ** 2)
    assert add_room(click, seconds=0.0, wet=0.0, rng=RNG(0)) is click


def test_noise_has_the_level_asked_for():
    tone = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    noise = add_noise(tone, below_db=20.0, rng=RNG(0)) - tone
    assert 20 * np.log10(np.std(tone) / np.std(noise)) == pytest.approx(20.0, abs=0.2)


def test_pianos_differ_and_can_share_a_soundfont():
    rng = RNG(1)
    many = [random_piano([default_soundfont()], rng) for _ in range(20)]
    assert len({p.velocity_gamma for p in many}) == 20 and {p.semitones for p in many} <= set(range(-5, 6))
    assert {p.program for p in same_soundfont(many, many[0])} == {many[0].program}
    assert default_soundfont() in soundfonts_at_hand()


@needs_fluidsynth
def test_each_excerpt_sounds_when_its_notes_say():
    pieces = [Notes.from_arrays([0.3, 1.3], [0.8, 1.8], [60, 64], 100), Notes.from_arrays([0.5], [1.0], [72], 90)]
    sounds = play(pieces, [piano(), piano()], RNG(0))
    assert len(sounds) == 2
    for notes, sound in zip(pieces, sounds, strict=True):
        energy = np.convolve(sound**2, np.ones(80) / 80, mode="same")
        started = np.flatnonzero(energy > 0.02 * energy.max())[0] / RATE
        assert started == pytest.approx(notes.onset[0], abs=0.02)


@needs_fluidsynth
def test_strings_are_mistuned_by_channel():
    """MIDI 60 sounds on channel 0, 61 on channel 1: only the second is bent."""
    cents = np.zeros(15)
    cents[1] = 40.0
    notes = [Notes.from_arrays([0.3], [2.3], [pitch], 100) for pitch in (60, 61)]
    sharp = []
    for tuning in (np.zeros(15), cents):
        sounds = play(notes, [piano(tuning_cents=tuning)] * 2, RNG(0))
        for pitch, sound in zip((60, 61), sounds, strict=True):
            part = sound[int(0.8 * RATE) : int(1.8 * RATE)]
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * RATE))
            hertz = 440 * 2 ** ((pitch - 69) / 12)
            near = slice(int(8 * hertz * 0.96), int(8 * hertz * 1.04))
            sharp.append(1200 * np.log2((near.start + spectrum[near].argmax()) / 8 / hertz))
    assert sharp[2] - sharp[0] == pytest.approx(0, abs=3)
    assert sharp[3] - sharp[1] == pytest.approx(40, abs=5)
