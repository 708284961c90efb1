import numpy as np
import pytest

from spartito.audio.tuning import estimate_tuning

RATE = 16_000


def chords(cents: float) -> np.ndarray:
    """Three seconds of decaying chords with five partials, `cents` above concert pitch."""
    time = np.arange(RATE) / RATE
    parts = []
    for chord in ((48, 64, 67), (53, 69, 72), (55, 71, 74)):
        hertz = [440 * 2 ** ((pitch - 69 + cents / 100) / 12) for pitch in chord]
        tones = sum(np.sin(2 * np.pi * f * k * time) / k for f in hertz for k in range(1, 6))
        parts.append(tones * np.exp(-2 * time))
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("cents", [-45, -20, 0, 7, 31, 45])
def test_finds_the_tuning(cents):
    assert estimate_tuning(chords(cents), RATE) == pytest.approx(cents, abs=4)


def test_noise_silence_and_crumbs_have_no_tuning():
    noise = np.random.default_rng(1).standard_normal(3 * RATE).astype(np.float32)
    assert estimate_tuning(noise, RATE) == 0.0
    assert estimate_tuning(np.zeros(3 * RATE, dtype=np.float32), RATE) == 0.0
    assert estimate_tuning(chords(20)[:100], RATE) == 0.0
