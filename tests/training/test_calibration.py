import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from spartito.training.calibration import fit_calibration, wanted_probability


def peaks(n=40_000, seed=0):
    """Peaks whose truth is known: probability = sigmoid(1.5 logit(height) + 0.3), 1.2 less above MIDI 84."""
    rng = np.random.default_rng(seed)
    pitch = rng.integers(30, 106, n)
    height = rng.uniform(0.05, 0.98, n)
    z = 1.5 * np.log(height / (1 - height)) + 0.3 - 1.2 * (pitch > 90)
    return height, pitch, rng.random(n) < 1 / (1 + np.exp(-z))


def test_recovers_slope_and_shift():
    height, pitch, played = peaks()
    found = fit_calibration(height, pitch, played, pitch[played])
    assert found.slope == pytest.approx(1.5, abs=0.1)
    assert found.shift[60 - 21] == pytest.approx(0.3, abs=0.15)
    assert found.shift[104 - 21] == pytest.approx(-0.9, abs=0.4)


def test_shift_never_rises_in_the_treble_and_rare_keys_inherit_doubt():
    height, pitch, played = peaks()
    few = pitch[played & (pitch <= 93)]  # nothing was played above MIDI 93
    found = fit_calibration(height, pitch, played | (pitch > 93), few)
    treble = found.shift[84 - 21 :]
    assert (np.diff(treble) <= 1e-9).all()
    assert found.shift[101 - 21] <= found.shift[93 - 21] - 0.5 + 1e-9


def test_heights_invert_the_calibration():
    height, pitch, played = peaks(4000)
    found = fit_calibration(height, pitch, played, pitch[played])
    wanted = wanted_probability(0.4)
    heights = found.heights(wanted)
    again = 1 / (1 + np.exp(-(found.slope * np.log(heights / (1 - heights)) + found.shift)))
    np.testing.assert_allclose(again, wanted, atol=1e-6)


def test_strictness_grows_only_above_midi_84():
    wanted = wanted_probability(0.4)
    np.testing.assert_allclose(wanted[: 84 - 21 + 1], 0.4)
    assert (np.diff(wanted[84 - 21 :]) > 0).all()
    assert wanted[-1] == pytest.approx(0.4 * 2 / 1.25)
    assert (wanted_probability(0.4, steepness=2.0) >= wanted).all()
