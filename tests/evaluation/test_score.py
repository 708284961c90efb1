"""Errors of scores, on hand-made ones."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation.score import SCORE_NOTE_DTYPE, evaluate_score, match_performance


def table(n=8, **changes):
    """A bar and more of quarters in 4/4, C major, upper staff."""
    out = np.zeros(n, dtype=SCORE_NOTE_DTYPE)
    out["index"], out["pitch"] = np.arange(n), 60 + np.arange(n)
    out["onset"], out["duration"] = np.arange(n), 1.0
    out["in_bar"] = out["onset"] % 4
    out["staff"], out["numerator"], out["denominator"] = 1, 4, 4
    for name, value in changes.items():
        out[name] = value
    return out


MATCH = np.arange(8)


def test_the_same_score_has_no_error():
    assert set(evaluate_score(table(), table(), MATCH).values()) == {0.0}


def test_each_error_is_seen_alone():
    for column, value, error in (
        ("staff", [2, 2, 1, 1, 1, 1, 1, 1], "staff"),
        ("fifths", [1, 1, 0, 0, 0, 0, 0, 0], "key"),
        ("denominator", [2, 2, 4, 4, 4, 4, 4, 4], "metre"),
        ("in_bar", [0.5, 1.5, 2, 3, 0, 1, 2, 3], "onset_in_bar"),
    ):
        result = evaluate_score(table(), table(**{column: value}), MATCH)
        assert result.pop(error) == 0.25
        assert set(result.values()) == {0.0}, column


def test_enharmonic_keys_are_equal():
    assert evaluate_score(table(fifths=6), table(fifths=-6), MATCH)["key"] == 0


def test_lengths():
    estimate = table(duration=[1, 1, 1, 1, 1, 1, 0.5, 1.5])
    assert evaluate_score(table(), estimate, MATCH)["duration"] == 0.25


def test_another_beat_level():
    half = table(onset=np.arange(8) / 2, in_bar=(np.arange(8) / 2) % 4, duration=0.5)
    result = evaluate_score(table(), half, MATCH)
    assert result["duration"] == 1 and result["duration_any_level"] == 0
    assert result["onset_in_bar"] == 7 / 8 and result["onset_any_level"] == 0


def test_missing_notes():
    assert evaluate_score(table(), table()[:6], MATCH)["missing"] == 0.25


def test_matching():
    beats = np.array([0.0, 1.0, 2.1, 3.0])
    performed = np.array([0.02, 1.05, 1.5, 2.05, 2.9])
    pitch = np.array([60, 60, 61, 60, 62])
    reference = np.array([0.0, 0.5, 0.75, 1.0])  # seconds of a score at another tempo, beats every half
    match = match_performance(performed, pitch, beats, reference, np.array([60, 60, 61, 60]), np.arange(4) / 2)
    assert match.tolist() == [0, 1, 2, 3, -1]
    with pytest.raises(ParameterError, match="same beats"):
        match_performance(performed, pitch, beats, reference, pitch[:4], np.arange(3))
    with pytest.raises(ParameterError, match="no note"):
        evaluate_score(table(), table(), np.full(8, -1))
