"""Scores of beats and bars, cases worked out by hand."""

import numpy as np
import pytest

pytest.importorskip("mir_eval")

from spartito.analysis.song import beats_of
from spartito.evaluation.beats import beat_f1, evaluate_beats


def grid(count, *, period=0.5, size=4, start=1.0, first=0):
    return beats_of(start + period * np.arange(count), (np.arange(count) + first) % size)


def test_what_is_equal_scores_one():
    scores = evaluate_beats(grid(40), grid(40))
    assert scores == pytest.approx({"beat_f1": 1.0, "downbeat_f1": 1.0, "cmlt": 1.0, "amlt": 1.0, "metre": 1.0})


def test_half_the_beats():
    scores = evaluate_beats(grid(40), grid(20, period=1.0))
    assert scores["beat_f1"] == pytest.approx(2 / 3)  # all right, half of them missing
    assert scores["cmlt"] == 0.0
    assert scores["amlt"] > 0.9  # another metrical level


def test_bars_in_the_wrong_place():
    scores = evaluate_beats(grid(40), grid(40, first=2))
    assert scores["beat_f1"] == 1.0
    assert scores["downbeat_f1"] == 0.0


def test_bars_of_the_wrong_length():
    assert evaluate_beats(grid(40), grid(40, size=3))["metre"] == 0.0


def test_seventy_milliseconds_are_near_enough():
    times = np.arange(1.0, 11.0)
    assert beat_f1(times, times + 0.069) == 1.0
    assert beat_f1(times, times + 0.071) == 0.0


def test_nothing_against_something():
    assert beat_f1([], []) == 1.0
    assert beat_f1([1.0], []) == beat_f1([], [1.0]) == 0.0
