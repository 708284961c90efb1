"""Swung eighths are written straight, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from spartito import to_score
from spartito.analysis.beats import Beats
from spartito.notes.notes import Notes
from spartito.score.swing import straightened, swing_of

BEATS = Beats(0.5 * np.arange(33), np.arange(33.0), np.arange(33) % 4)


def eighths(late, beats=range(16), more=()):
    """Two eighths in every beat, the second at `late`; `more` places in beats. Legato."""
    place = np.sort([*(b + p for b in beats for p in (0.0, late)), *more])
    end = np.append(place[1:], np.ceil(place[-1] + 0.01))
    return Notes.from_arrays(0.5 * place, 0.5 * end, 60 + np.arange(len(place)) % 12)


def test_how_far_it_swings():
    assert swing_of(eighths(2 / 3), BEATS) == pytest.approx(2 / 3)
    assert swing_of(eighths(0.58), BEATS) == pytest.approx(0.58)
    assert swing_of(eighths(0.5), BEATS) is None and swing_of(eighths(0.53), BEATS) is None
    assert swing_of(eighths(0.75), BEATS) is None  # dotted
    assert swing_of(eighths(2 / 3, beats=range(3)), BEATS) is None  # too few to tell
    assert swing_of(Notes(), BEATS) is None


def test_onsets_and_ends_are_put_straight():
    notes, swung = straightened(eighths(0.64), BEATS)
    assert swung
    assert notes.onset == pytest.approx(0.25 * np.arange(32))
    assert notes.offset == pytest.approx(0.25 * np.arange(1, 33))


def test_straight_notes_are_left_as_they_are():
    notes = eighths(0.51)
    assert straightened(notes, BEATS) == (notes, False)


def test_triplets_and_sixteenths_between_stay():
    triplet, sixteenths = [20 + 1 / 3, 20 + 2 / 3], [24.25, 24.5, 24.75]
    source = eighths(0.65, more=[20.0, *triplet, 24.0, *sixteenths])
    notes, swung = straightened(source, BEATS)
    assert swung
    for place in (*triplet, *sixteenths):
        assert np.abs(notes.onset - 0.5 * place).min() < 1e-9
    assert np.abs(notes.onset - 0.25).min() < 1e-9


def test_a_score_in_swing(tmp_path):
    pytest.importorskip("partitura")
    source = eighths(0.7)
    paths = []
    for swing in (True, False):
        to_score(source, BEATS, swing=swing).save(tmp_path / f"{swing}.musicxml")
        paths.append((tmp_path / f"{swing}.musicxml").read_text())
    written, played = paths
    assert '<direction placement="above">' in written and ">Swing</words>" in written and "Swing" not in played
    assert "<dot" not in written and "time-modification" not in written and written.count("<type>eighth") >= 32
    assert "<dot" in played or "time-modification" in played


def test_no_swing_no_word(tmp_path):
    pytest.importorskip("partitura")
    to_score(eighths(0.5), BEATS, swing=True).save(tmp_path / "straight.musicxml")
    assert "Swing" not in (tmp_path / "straight.musicxml").read_text()
