import numpy as np
import pytest

from spartito.audio.level import REFERENCE_DB, music_level, reference_gain

RATE = 16_000


def test_level_of_a_sine_ignores_pauses():
    sine = 0.1 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE).astype(np.float32)
    expected = 20 * np.log10(0.1 / np.sqrt(2))
    assert music_level(sine, RATE) == pytest.approx(expected, abs=0.01)
    with_pause = np.concatenate([sine, np.zeros(8 * RATE, dtype=np.float32)])
    assert music_level(with_pause, RATE) == pytest.approx(expected, abs=0.01)


def test_gain_to_the_reference_and_silence():
    noise = 0.003 * np.random.default_rng(0).standard_normal(RATE + 17).astype(np.float32)
    gain = reference_gain(noise, RATE)
    assert gain > 1 and gain.dtype == np.float32
    assert music_level(gain * noise, RATE) == pytest.approx(REFERENCE_DB, abs=0.01)
    assert reference_gain(np.zeros(RATE, dtype=np.float32), RATE) == 1
    assert music_level(np.zeros(0, dtype=np.float32), RATE) == -np.inf
