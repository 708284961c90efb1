"""Kinds of cells, expectations, and the choice of states: cases by hand."""

from __future__ import annotations

import numpy as np
import pytest

from latent_songs import FakeLatent, song
from spartito.errors import ParameterError
from spartito.notes.four_tracks import HOLD, SILENT, STATES
from spartito.notes.layouts import BAND
from spartito.style.latent_cells import BEGINS, QUIET, SOUNDS, Chances, chances, drawn, edited, kinds, mixed, overlapped
from spartito.style.latent_song import read_song


def certain(states: np.ndarray, *, share: float = 0.9) -> Chances:
    """Expectations of a model that knows these states (T, V)."""
    kind = np.full((*states.shape, 3), (1 - share) / 2, dtype=np.float32)
    np.put_along_axis(kind, kinds(states)[..., None], share, axis=-1)
    pitch = np.full((*states.shape, 128), 0.1 / 127, dtype=np.float32)
    t, v = np.nonzero(states < SILENT)
    pitch[t, v, states[t, v]] = 0.9
    return Chances(kind, pitch, np.zeros(states.shape, dtype=bool))


def states_of(*columns) -> np.ndarray:
    """Cells of four tracks from lists of states; further tracks are silent."""
    states = np.full((len(columns[0]), 4), HOLD, dtype=np.uint8)
    states[0] = SILENT
    for track, column in enumerate(columns):
        states[:, track] = column
    return states


def test_silence_follows_from_the_states_step_by_step():
    window = np.full((1, 3, 1, STATES), 1e-9)
    window[0, :, 0, SILENT], window[0, :, 0, HOLD], window[0, :, 0, 60] = (
        (0.5, 0.2, 0.0),
        (0.1, 0.5, 0.9),
        (0.4, 0.3, 0.1),
    )
    found = chances(np.log(window + 1e-12), np.array([0]), 3)
    # first: a hold is silent; then 0.2 + 0.5 * 0.6; then 0 + 0.9 * 0.5
    assert np.allclose(found.kind[:, 0], [[0.6, 0.0, 0.4], [0.5, 0.2, 0.3], [0.45, 0.45, 0.1]], atol=1e-4)
    assert np.allclose(found.pitch[:, 0, 60], 1.0, atol=1e-4)
    assert found.goes_on[:, 0].tolist() == [False, True, True]
    with pytest.raises(ParameterError, match="130"):
        chances(np.zeros((1, 3, 1, 12)), np.array([0]), 3)


def test_overlaps_are_averaged_without_first_steps():
    parts = np.array([[1.0, 1, 1, 1], [9, 5, 5, 5]])[..., None]
    assert overlapped(parts, [0, 2], 6)[:, 0].tolist() == [1, 1, 1, 3, 5, 5]
    assert overlapped(parts, [0, 4], 8)[:, 0].tolist() == [1, 1, 1, 1, 9, 5, 5, 5]


def test_kinds():
    states = states_of([SILENT, 60, HOLD, SILENT, HOLD, 62])
    assert kinds(states)[:, 0].tolist() == [QUIET, BEGINS, SOUNDS, QUIET, QUIET, BEGINS]


def test_an_edit_of_nothing_changes_nothing():
    source = read_song(song(4)).states
    model = FakeLatent()
    told = chances(model.decode(np.zeros((3, 12))), np.array([0, 16, 32]), len(source))
    assert np.array_equal(edited(source, told, told, layout=BAND), source)
    harmony = np.random.default_rng(0).random((len(source), 12))
    assert np.array_equal(edited(source, told, told, layout=BAND, harmony=harmony, weight=0.01), source)


def test_what_is_expected_now_happens_and_what_is_locked_does_not():
    source = states_of([SILENT] * 1 + [HOLD] * 7, [40, HOLD, HOLD, HOLD, 43, HOLD, HOLD, HOLD])
    before, after = certain(source), certain(source)
    after.kind[2, 1], after.pitch[2, 1, 47] = (0.05, 0.05, 0.9), 5.0
    after.kind[4, 1] = (0.05, 0.9, 0.05)
    found = edited(source, before, after, layout=BAND)
    assert found[:, 1].tolist() == [40, HOLD, 47, HOLD, HOLD, HOLD, HOLD, HOLD]
    free = np.ones(source.shape, dtype=bool)
    free[4, 1] = False
    assert edited(source, before, after, layout=BAND, free=free)[4, 1] == 43
    assert np.array_equal(found[:, [0, 2, 3]], source[:, [0, 2, 3]])
    # how far the source is preferred decides
    after.kind[2, 1] = (0.05, 0.6, 0.35)
    assert edited(source, before, after, layout=BAND, weight=4.0)[2, 1] == HOLD


def test_a_pitch_moves_when_another_becomes_likelier():
    source = states_of([SILENT] + [HOLD] * 3, [40, HOLD, 43, HOLD])
    before, after = certain(source), certain(source)
    after.pitch[2, 1] = 0.1 / 127
    after.pitch[2, 1, 45] = 0.45
    after.pitch[2, 1, 46] = 0.47
    assert edited(source, before, after, layout=BAND)[2, 1] == 46
    harmony = np.zeros((4, 12))
    harmony[:, [9, 4]] = 1.0  # an A belongs to it, a B flat does not
    assert edited(source, before, after, layout=BAND, harmony=harmony)[2, 1] == 45


def test_a_note_new_in_a_silence_ends_when_the_model_says():
    source = states_of([SILENT] + [HOLD] * 7)
    before, after = certain(source), certain(source)
    after.kind[2, 2] = (0.05, 0.05, 0.9)
    after.pitch[2, 2, 64] = 9.0
    after.goes_on[3:5, 2] = True
    assert edited(source, before, after, layout=BAND)[:, 2].tolist() == [
        SILENT,
        HOLD,
        64,
        HOLD,
        HOLD,
        SILENT,
        HOLD,
        HOLD,
    ]


def test_a_blend_has_its_songs_at_its_ends_and_what_both_do_between():
    a = states_of([36, HOLD, 36, HOLD], [40, HOLD, HOLD, HOLD])
    b = states_of([36, HOLD, 38, HOLD], [45, HOLD, 47, HOLD])
    model = certain(b, share=0.4)
    for share, ends in ((0.0, a), (1.0, b)):
        assert np.array_equal(mixed(a, b, model, share, layout=BAND), ends)
    between = mixed(a, b, model, np.full(4, 0.5), layout=BAND)
    assert between[0, 0] == 36 and between[1, 0] == HOLD and between[2, 0] in (36, 38)
    half = mixed(a, b, model, np.array([0.0, 0, 1, 1]), layout=BAND)
    assert half[:, 1].tolist() == [40, HOLD, 47, HOLD]


def test_plain_decoding():
    scores = np.full((3, 1, STATES), -9.0)
    scores[0, 0, HOLD], scores[1, 0, 60], scores[2, 0, HOLD], scores[2, 0, 64] = 0.0, 0.0, -0.1, -0.5
    assert drawn(scores)[:, 0].tolist() == [SILENT, 60, HOLD]  # nothing to hold at first
    assert drawn(scores, hold_bias=-1)[:, 0].tolist() == [SILENT, 60, 64]
    varied = {drawn(scores, temperature=1.0, seed=s)[2, 0] for s in range(40)}
    assert {HOLD, 64} <= varied
