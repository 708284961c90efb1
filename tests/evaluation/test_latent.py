"""Figures of a latent space by hand: reconstruction, interpolation, components."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation import latent
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.layouts import PIANO


def window(*, bass=(40, HOLD, HOLD, SILENT)):
    states = np.full((1, 4, 4), HOLD, dtype=np.uint8)
    states[0, 0] = 36, bass[0], SILENT, SILENT
    states[0, :, 1] = bass
    return states


def test_a_perfect_copy():
    found = latent.reconstruction(window(), window())
    assert found["bass"]["accuracy"] == found["bass"]["note_f1"] == found["all"]["pitch_f1"] == 1
    assert np.isnan(found["strings"]["onset_accuracy"]) and found["strings"]["hold_baseline"] == 0.75
    assert found["all"]["hold_baseline"] == pytest.approx((3 + 2 + 3 + 3) / 16)
    assert latent.mean_of_tracks(found) == 1


def test_holding_alone_scores_the_baseline_and_no_onset():
    hold = np.full((1, 4, 4), HOLD)
    found = latent.reconstruction(window(), hold)
    for track in ("drums", "bass", "all"):
        assert found[track]["accuracy"] == found[track]["hold_baseline"]
        assert found[track]["onset_accuracy"] == found[track]["pitch_f1"] == found[track]["note_f1"] == 0
    assert found["strings"]["sounding"] == 1  # silent either way


def test_one_wrong_onset_spoils_its_note():
    found = latent.reconstruction(window(), window(bass=(41, HOLD, HOLD, SILENT)))["bass"]
    assert found["accuracy"] == 0.75 and found["sounding"] == 0.25 and found["onset_accuracy"] == 0


def test_lengths_of_notes_count():
    near = latent.reconstruction(window(), window(bass=(40, HOLD, SILENT, HOLD)))["bass"]
    far = latent.reconstruction(window(), window(bass=(40, SILENT, HOLD, HOLD)))["bass"]
    assert near["note_f1"] == 1 and far["note_f1"] == 0 and far["pitch_f1"] == 1
    more = latent.reconstruction(window(), window(bass=(40, HOLD, HOLD, 45)))["bass"]
    assert (more["note_precision"], more["note_recall"]) == (0.5, 1) and more["pitch_f1"] == pytest.approx(2 / 3)
    with pytest.raises(ParameterError):
        latent.reconstruction(window(), window()[:, :3])


def windows(n, seed):
    return np.random.default_rng(seed).integers(30, 130, (n, 32, 4)).astype(np.uint8)


def test_data_path_goes_from_first_to_second_evenly():
    first, second = windows(40, 0), windows(40, 1)
    path = latent.data_path(first, second, np.random.default_rng(2))
    np.testing.assert_array_equal(path[0], first)
    np.testing.assert_array_equal(path[-1], second)
    expected = latent.SHARES[:, None] * latent.hamming(first, second)
    np.testing.assert_allclose(latent.hamming(first, path).mean(axis=1), expected.mean(axis=1), atol=0.02)
    found = latent.interpolation(path, first, second)
    assert found["from_first"]["mean"][0] == 0 == found["to_second"]["mean"][-1]
    assert found["from_first"]["mean"][5] == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ParameterError):
        latent.interpolation(path[:3], first, second)


def test_share_of_monotone_paths():
    first, second = windows(2, 0), windows(2, 1)
    shares = np.array([0.0, 0.5, 1.0])
    path = np.stack([first, first, second])
    path[0, 1], path[1, 1] = second[1], first[1]  # the second pair goes away, back, away
    found = latent.interpolation(path, first, second, shares=shares)
    assert found["monotone"] == 0.5 and found["rising"] == 0.75


def test_rows_of_the_heat_map_by_hand():
    states = np.full((1, 32, 4), HOLD, dtype=np.uint8)
    states[0, 0] = 36, 40, SILENT, SILENT
    states[0, [4, 16, 20], 0] = 38, 36, 38
    states[0, [6, 16], 1] = 40, 47
    states[0, 8, 2] = 64
    rows = latent.heat_rows(states)
    assert rows["drums:note_count"] == 4 and rows["drums:kick_count"] == 2 and rows["drums:snare_count"] == 2
    assert rows["drums:kinds"] == 2 and rows["drums:groove"] == 1
    assert rows["bass:mean_abs_interval"] == 3.5 and rows["bass:repeated_share"] == 0.5
    assert rows["bass:pitch_range"] == 7 and rows["bass:pitch_classes"] == 2
    assert rows["bass:off_beat_share"] == pytest.approx(1 / 3) and rows["bass:mean_duration"] == pytest.approx(32 / 3)
    assert rows["guitar:chroma_with_bass"] == pytest.approx(2 / 3)  # E is two of three bass notes
    assert rows["strings:silent_share"] == 1 and np.isnan(rows["strings:pitch_mean"])
    assert rows["all:note_count"] == 8 and rows["bass:groove"] == pytest.approx(1 - 1 / 16)


def test_relative_change_and_smoothness():
    np.testing.assert_allclose(latent.relative_change(np.array([[1.0, 3.0], [0.0, 0.0]])), [[-0.5, 0.5], [0, 0]])
    unknown = latent.relative_change(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]))
    np.testing.assert_allclose(unknown, [[-0.5, np.nan, 0.5], [np.nan] * 3])
    around = np.cos(2 * np.pi * np.arange(16) / 16)
    found, chance = latent.smoothness(around)
    assert found == pytest.approx(np.cos(2 * np.pi / 16)) and chance < 0.01
    found, chance = latent.smoothness(np.tile([1.0, -1.0], 8))
    assert found == pytest.approx(-1) and chance > 0.9
    assert np.isnan(latent.smoothness(np.ones(8))[0])
    assert np.isnan(latent.smoothness(np.array([1.0, np.nan, 2.0, 3.0]))[0])
    assert np.isnan(latent.smoothness(np.array([1.0, 2.0, 3.0]))[0])  # one way round alone


def test_smoothness_of_several_rows_by_hand():
    rows = np.array([[1.0, 1, -1, -1], [3, 3, 3, 3], [np.nan, 1, 2, 3], [5, -5, -5, 5]])
    found, chance = latent.smoothness_of_all(rows)  # the first and the last count: both (1 - 1 + 1 - 1) / 4
    assert found == pytest.approx(0) and chance == pytest.approx(1 / 3, abs=0.05)  # the other two ways round have -1/2
    found, chance = latent.smoothness_of_all(np.tile(np.arange(5.0), (2, 1)))
    assert found == pytest.approx((2 + 0 + 0 + 2 - 4) / 10) and 1 / 12 < chance < 1


def test_rows_of_a_piano():
    states = np.full((1, 32, len(PIANO)), HOLD, dtype=np.uint8)
    states[0, 0] = 72
    states[0, 2, 0] = 74  # off the beat, and held over the next
    rows = latent.heat_rows(states, layout=PIANO)
    assert rows["rh1:note_count"] == 2 and rows["rh1:off_beat_share"] == rows["rh1:syncopation"] == 0.5
    assert rows["lh1:mean_duration"] == 32 and not any("kick" in name or "bass" in name for name in rows)
