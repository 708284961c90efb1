"""Attributes of bands by hand, and their normal scale."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.band_attributes import ATTRIBUTES, NormalScale, attributes, note_lengths
from spartito.notes.four_tracks import HOLD, SILENT


def window():
    """Eight steps: a drum on each beat, a bass held throughout, a guitar off the beat, no strings."""
    states = np.full((1, 8, 4), HOLD, dtype=np.uint8)
    states[0, 0] = 36, 40, SILENT, SILENT
    states[0, 4, 0] = 38
    states[0, 2, 2], states[0, 5, 2], states[0, 6, 2] = 60, 67, SILENT
    return states


def test_lengths_of_notes():
    lengths = note_lengths(window())[0]
    assert lengths[:, 0].tolist() == [4, 0, 0, 0, 4, 0, 0, 0]
    assert lengths[0, 1] == 8 and lengths[:, 3].max() == 0
    assert lengths[:, 2].tolist() == [0, 0, 3, 0, 0, 1, 0, 0]


def test_attributes_by_hand():
    found = dict(zip(ATTRIBUTES, attributes(window())[0]))
    assert found["density"] == 5 * 2  # in half a bar
    assert found["duration"] == pytest.approx((8 + 3 + 1) / 3)
    assert found["pitch_range"] == 7 and found["pitch"] == 63.5
    assert found["syncopation"] == pytest.approx(1 / 3)  # the note on step 2; after step 5 the window ends
    assert found["voices"] == pytest.approx(1 + 4 / 8)


def test_an_empty_window():
    empty = np.full((2, 8, 4), HOLD, dtype=np.uint8)
    empty[:, 0] = SILENT
    assert attributes(empty).tolist() == [[0, 0, 0, 60, 0, 0]] * 2
    with pytest.raises(ParameterError):
        attributes(empty[:, :7])


def test_scale_is_normal_and_goes_back():
    values = np.exp(np.random.default_rng(0).normal(size=(4000, 2)) * [1, 0.2])
    scale = NormalScale.of(values)
    normal = scale.to_normal(values)
    assert abs(normal.mean()) < 0.02 and normal.std() == pytest.approx(1, abs=0.02)
    assert np.all(np.diff(normal[np.argsort(values[:, 0]), 0]) >= 0)
    inside = np.abs(normal).max(axis=1) < 2.5
    np.testing.assert_allclose(scale.from_normal(normal)[inside], values[inside], rtol=1e-3)
    moved = scale.steps(values[:5], [1.0, 0.0])
    assert (moved[:, 0] > values[:5, 0]).all()
    np.testing.assert_allclose(scale.to_normal(moved)[:, 0] - normal[:5, 0], 1.0, atol=1e-3)


def test_values_that_many_share_get_the_middle_of_their_ranks():
    scale = NormalScale.of(np.repeat([[0.0], [1.0]], [500, 500], axis=0))
    low, high = scale.to_normal(np.array([[0.0], [1.0]]))[:, 0]
    assert low == pytest.approx(-high, abs=0.05) and high > 0.5
    constant = NormalScale.of(np.full((10, 1), 3.0))
    assert abs(constant.to_normal(np.array([[3.0]]))[0, 0]) < 0.1
    with pytest.raises(ParameterError):
        NormalScale.of(np.zeros((1, 3)))
