"""Fidelity of controls from covers whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times
from spartito.evaluation.controls import Trial, control_scores, measured_controls, rank_correlation
from spartito.notes.attributes import VECTOR
from spartito.notes.notes import Notes, Track
from spartito.notes.styles import Styles


def test_rank_correlation_by_hand():
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 400]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    # 1 - 6 (1 + 1) / (4 (16 - 1)): two neighbours changed places
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    # ranks 0.5 0.5 2.5 2.5 and 0 1 2 3
    assert rank_correlation([1, 1, 2, 2], [5, 6, 7, 8]) == pytest.approx(4 / np.sqrt(4 * 5))
    assert np.isnan(rank_correlation([1, 1], [2, 3]))


def test_figures_of_a_cover():
    beats = beats_from_times(0.5 * np.arange(33), np.arange(33) % 4, numerator=4, denominator=4)
    chords = [(beat, key) for beat in range(8) for key in (48, 52, 55)]  # two bars of blocks, then two of silence,
    tune = [(16 + beat, 60) for beat in range(4)]  # then a tune alone
    onset, pitch = (np.array(column) for column in zip(*chords, *tune))
    track = np.where(np.arange(len(onset)) < len(chords), 1, 0)
    notes = Notes.from_arrays(
        0.5 * onset, 0.5 * onset + 0.5, pitch, track=track, tracks=(Track(name="right hand"), Track(name="left hand"))
    )
    styles = Styles(("a", "b"), np.vstack([np.ones(len(VECTOR)), np.zeros(len(VECTOR))]), *np.ones((2, len(VECTOR))))
    figures = measured_controls(notes, beats, styles=styles)
    assert figures["density"] == pytest.approx((3 + 0.5) / 2)
    assert figures["register"] == pytest.approx(((48 + 52 + 55) / 3 + 60) / 2)
    assert (figures["block"], figures["walking"]) == (0.5, 0.0)
    assert figures["style"] == 1 + (figures["to style 2"] < figures["to style 1"])
    nothing = measured_controls(Notes(), beats)
    assert np.isnan(nothing["density"]) and nothing["block"] == 0


def test_scores_of_ordered_controls():
    # the second song is denser by itself, and both do what they are asked
    trials = [Trial("a", "density", level, {"density": float(level)}) for level in range(6)]
    trials += [Trial("b", "density", level, {"density": 10.0 + level}) for level in range(1, 6)]
    trials += [Trial("a", "register", level, {"register": 60.0}) for level in (1, 5)]
    trials += [Trial("a", "density", 3, {"density": np.nan})]  # nothing was written: left out
    scores = control_scores(trials)
    assert scores["density"]["within"] == pytest.approx(1.0)
    assert 0.4 < scores["density"]["correlation"] < 1.0
    assert scores["density"]["means"][0] == 0.0 and scores["density"]["means"][5] == 10.0
    assert np.isnan(scores["register"]["correlation"]) and np.isnan(scores["register"]["within"])


def test_scores_of_patterns_and_styles():
    def trial(level, song="a", **shares):
        return Trial(song, "pattern", level, {"block": 0.0, "broken": 0.0, **shares})

    trials = [trial(0, broken=0.75, block=0.25), trial(1, block=0.5), trial(2, broken=1.0), trial(0, "b", block=1.0)]
    trials += [
        Trial("a", "style", 2, {"style": 2, "to style 2": 1.0}),
        Trial("b", "style", 2, {"style": 1, "to style 2": 2.0}),
    ]
    trials += [Trial(song, "style", 0, {"style": 1, "to style 2": 1.5}) for song in "ab"]
    scores = control_scores(trials)
    assert scores["pattern"] == {"1": {"share": 0.5, "free": 0.25}, "2": {"share": 1.0, "free": 0.75}}
    assert scores["style"] == {"2": {"share": 0.5, "free": 0.0, "nearer": 0.5}}
