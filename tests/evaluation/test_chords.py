"""Scores of chords and keys, cases worked out by hand."""

import math

import pytest

pytest.importorskip("mir_eval")

from spartito.analysis.song import Chord
from spartito.evaluation.chords import evaluate_chords, key_score


def chords(text, length=2.0):
    return [Chord(length * i, length * (i + 1), name) for i, name in enumerate(text.split())]


def test_what_is_equal_scores_one():
    scores = evaluate_chords(chords("C:maj A:min7 N"), chords("C:maj A:min7 N"))
    assert scores == pytest.approx({"root": 1.0, "majmin": 1.0, "sevenths": 1.0, "seg": 1.0})


def test_the_share_of_the_time_counts():
    scores = evaluate_chords(chords("C:maj G:maj"), chords("C:maj G:min"))
    assert scores["root"] == pytest.approx(1.0)
    assert scores["majmin"] == pytest.approx(0.5)


def test_sevenths_count_only_there():
    scores = evaluate_chords(chords("C:maj7 G:maj"), chords("C:maj G:maj"))
    assert scores["majmin"] == pytest.approx(1.0)
    assert scores["sevenths"] == pytest.approx(0.5)


def test_what_is_neither_major_nor_minor_is_not_counted():
    scores = evaluate_chords(chords("C:sus4 C:sus4"), chords("C:maj G:maj"))
    assert math.isnan(scores["majmin"])
    assert scores["root"] == pytest.approx(0.5)


def test_a_shorter_estimate_is_filled_with_nothing():
    scores = evaluate_chords(chords("C:maj C:maj"), chords("C:maj"))
    assert scores["majmin"] == pytest.approx(0.5)
    assert evaluate_chords(chords("C:maj X"), chords("C:maj N"))["majmin"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("reference", "estimate", "score"),
    [
        ("C:maj", "C:maj", 1.0),
        ("C:maj", "G:maj", 0.5),
        ("C:maj", "A:min", 0.3),
        ("C:maj", "C:min", 0.2),
        ("Gb:maj", "F#:maj", 1.0),
        ("C:maj", "F#:maj", 0.0),
        ("C:maj", "", 0.0),
    ],
)
def test_keys(reference, estimate, score):
    assert key_score(reference, estimate) == pytest.approx(score)
