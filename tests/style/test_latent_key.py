"""Drawn windows in a key: which one, what is held back, what stays."""

from __future__ import annotations

import numpy as np

from spartito.notes.four_tracks import SILENT, STATES
from spartito.notes.layouts import BAND, PIANO
from spartito.style.latent_key import in_key, scale_of


def told(layout, *cells, steps=4):
    """Log-probabilities of one window in which all cells hold, except (step, track, {state: probability})."""
    found = np.full((1, steps, len(layout), STATES), 1e-9)
    found[..., STATES - 1] = 1.0
    for step, track, chances in cells:
        found[0, step, track] = 1e-9
        for state, chance in chances.items():
            found[0, step, track, state] = chance
    return np.log(found / found.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_scales():
    c_major, a_flat = np.zeros(12), np.zeros(12)
    c_major[[0, 2, 4, 5, 7, 9, 11]] = 1
    a_flat[[8, 10, 0, 1, 3, 5, 7]] = 1
    assert scale_of(np.stack([c_major, a_flat])).tolist() == [0, 8]


WHITE = [(step, 0, {60 + c: 0.9}) for step, c in enumerate((0, 2, 4, 5, 7, 9, 11))]


def test_a_pitch_outside_the_key_gives_way_to_one_inside():
    # nearly as probable as F sharp is G
    window = told(PIANO, *WHITE, (7, 1, {66: 0.5, 67: 0.45}), steps=8)
    assert window[0, 7, 1].argmax() == 66 and in_key(window, layout=PIANO)[0, 7, 1].argmax() == 67
    assert in_key(window, layout=PIANO, strength=0.05)[0, 7, 1].argmax() == 66


def test_notes_begin_as_before():
    window = told(PIANO, *WHITE, (7, 1, {66: 0.5, 67: 0.2, SILENT: 0.3}), steps=8)
    found = in_key(window, layout=PIANO)
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(found[..., SILENT:], window[..., SILENT:])
    np.testing.assert_allclose(np.exp(found[..., :SILENT]).sum(-1), np.exp(window[..., :SILENT]).sum(-1), atol=1e-5)


def test_drums_have_no_key():
    window = told(BAND, (0, 0, {37: 0.6, 38: 0.4}), (1, 1, {40: 0.9}), (2, 1, {36: 0.9}))
    found = in_key(window, layout=BAND, strength=3.0)
    np.testing.assert_array_equal(found[:, :, 0], window[:, :, 0])
    assert not np.array_equal(found[:, :, 1], window[:, :, 1])
