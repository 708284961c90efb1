"""Rhythm and dynamics of arrangements, worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spartito.evaluation.expression import _clusters, evaluate_expression, rhythm_grid, rhythm_variety
from spartito.notes.notes import Notes, Track, merge


def with_intervals(*intervals, velocity=64):
    onset = np.concatenate([[1.0], 1.0 + np.cumsum(intervals)])
    return Notes.from_arrays(onset, onset + 0.1, 60, velocity)


def test_multiples_of_one_interval_are_a_perfect_grid():
    assert rhythm_grid(with_intervals(*[0.25, 0.5, 1.0, 0.75] * 3)) == pytest.approx(0.0, abs=1e-9)
    assert rhythm_grid(with_intervals(*[0.25] * 9)) == 0.0


def test_the_grid_is_the_best_of_the_intervals():
    # unit 0.25: 1, 1.5, 2.25 times: (0 + 0.5 + 0.25) / 3; unit 0.375: 0.667, 1, 1.5: (0.333 + 0 + 0.5) / 3;
    # unit 0.5625: 0.444, 0.667, 1: (0.444 + 0.333 + 0) / 3
    assert rhythm_grid(with_intervals(*[0.25, 0.375, 0.5625] * 3)) == pytest.approx(0.25)


def test_only_the_eight_most_frequent_intervals_count():
    frequent = [0.125 * k for k in range(1, 9)] * 2
    assert rhythm_grid(with_intervals(*frequent, 0.15)) == pytest.approx(0.0, abs=1e-9)
    assert rhythm_grid(with_intervals(*frequent[:15], 0.15, 0.15)) > 0.0  # a second is now the rarer one


def test_onsets_go_to_a_clock_of_five_milliseconds():
    late = np.tile([0.002, -0.002], 8) + np.arange(16)  # within half a tick of whole seconds
    assert rhythm_grid(Notes.from_arrays(late, late + 0.1, 60)) == 0.0
    assert rhythm_variety(Notes.from_arrays(late, late + 0.1, 60)) == 0.0


def test_notes_at_one_instant_are_one_onset_and_drums_none():
    plain = with_intervals(*[0.25, 0.5] * 5)
    chord = merge([plain, plain])
    drums = Notes(with_intervals(*[0.171, 0.332] * 8).array, tracks=(Track("drums", is_drum=True),))
    assert rhythm_grid(merge([chord, drums])) == rhythm_grid(plain) == pytest.approx(0.0, abs=1e-9)


def test_variety_is_the_entropy_of_runs_of_eight():
    assert rhythm_variety(with_intervals(*[0.5] * 20)) == 0.0
    # 0.5 and 1.0 in turn: 16 runs, half of which begin short and half long
    assert rhythm_variety(with_intervals(*[0.5, 1.0] * 11 + [0.5])) == pytest.approx(1.0)
    # all intervals different but sixteen kinds: every one of 9 runs is another
    assert rhythm_variety(with_intervals(*np.geomspace(0.07, 3.9, 16))) == pytest.approx(np.log2(9))


def test_variety_holds_intervals_between_bounds():
    assert rhythm_variety(with_intervals(*[0.01, 0.06, 0.03, 0.05] * 5)) == 0.0
    assert rhythm_variety(with_intervals(*[5.0, 60.0] * 5)) == 0.0


def test_clusters_are_the_best_there_are():
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=12), 2)
    for count in (1, 2, 3):
        found = _clusters(x, count)
        spread = sum(((x[found == k] - x[found == k].mean()) ** 2).sum() for k in range(count))
        order = np.sort(x)
        least = min(
            sum(((part - part.mean()) ** 2).sum() for part in np.split(order, cut))
            for cut in itertools.combinations(range(1, 12), count - 1)
        )
        assert spread == pytest.approx(least)
        assert (np.diff(found[np.argsort(x)]) >= 0).all() and set(found) == set(range(count))


def test_more_clusters_than_values():
    assert _clusters(np.array([3.0, 1.0, 3.0]), 16).tolist() == [1, 0, 1]


def test_dynamics():
    velocity = np.arange(101) % 101 + 20  # 20 to 120, evenly
    scores = evaluate_expression(with_intervals(*[0.5] * 100, velocity=velocity))
    assert scores["dynamics_range"] == pytest.approx(90.0)
    assert scores["dynamics_spread"] == pytest.approx(np.sqrt((101**2 - 1) / 12))
    assert evaluate_expression(with_intervals(*[0.5] * 100))["dynamics_range"] == 0.0


def test_what_cannot_be_told_is_missing():
    assert evaluate_expression(Notes()) == {}
    assert set(evaluate_expression(with_intervals(0.5, 1.0))) == {"dynamics_range", "dynamics_spread"}
