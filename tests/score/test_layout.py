"""Clefs and octave signs."""

from __future__ import annotations

import numpy as np

from spartito.score.layout import choose_clefs, octave_runs


def clefs(bars, default):
    bar = np.concatenate([[i] * len(b) for i, b in enumerate(bars)]).astype(int)
    return "".join(choose_clefs(bar, np.concatenate(bars).astype(int), bars=len(bars), default=default))


def test_usual_registers_keep_their_clefs():
    assert clefs([[72, 76, 67]] * 4, "G") == "GGGG"
    assert clefs([[48, 52, 43]] * 4, "F") == "FFFF"


def test_a_long_high_passage_changes_the_clef_and_one_high_bar_does_not():
    low, high = [43, 48, 50], [72, 76, 79, 76, 72, 76, 79, 76]
    assert clefs([low, high, high, high, high, low, low], "F") == "FGGGGFF"
    assert clefs([low, [64], low], "F") == "FFF"


def test_silence_keeps_the_default():
    assert choose_clefs(np.zeros(0, int), np.zeros(0, int), bars=3, default="F") == ["F"] * 3


def test_octave_signs():
    onset = np.arange(10) * 24
    pitch = np.array([72, 74, 93, 95, 96, 98, 95, 76, 74, 72])
    assert octave_runs(onset, pitch, high=True) == [(48, 144)]
    assert octave_runs(onset, np.full(10, 72), high=True) == []
    assert octave_runs(onset, np.array([40, 30, 29, 28, 27, 40, 40, 40, 40, 40]), high=False) == [(24, 96)]
    assert octave_runs(np.zeros(0, int), np.zeros(0, int), high=True) == []
