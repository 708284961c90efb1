"""Melody chroma accuracy on lines worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.evaluation.melody import FPS, melody_accuracy
from spartito.notes.notes import Notes

pytest.importorskip("mir_eval")


def notes(*rows):
    """Rows of first frame, frames, pitch."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Notes.from_arrays(table[:, 0] / FPS, (table[:, 0] + table[:, 1]) / FPS, table[:, 2])


def scores(reference, estimate):
    found = melody_accuracy(reference, estimate)
    return found["melody_chroma_accuracy"], found["melody_pitch_accuracy"]


TUNE = notes((0, 40, 60), (40, 40, 64), (100, 20, 67))  # 100 frames with voice


def test_a_line_equals_itself_and_its_octaves_in_chroma_only():
    assert scores(TUNE, TUNE) == (1.0, 1.0)
    assert scores(TUNE, notes((0, 40, 72), (40, 40, 52), (100, 20, 67))) == (1.0, 0.2)


def test_the_highest_key_counts_whatever_lies_below():
    below = notes((0, 120, 48), (0, 40, 60), (40, 40, 64), (100, 20, 67))
    assert scores(TUNE, below) == (1.0, 1.0)
    above = notes((0, 40, 60), (40, 40, 64), (100, 20, 67), (20, 40, 81))  # wrong in frames 20 to 59
    assert scores(TUNE, above) == (0.6, 0.6)


def test_silence_is_wrong_and_where_nobody_sings_anything_goes():
    assert scores(TUNE, notes((0, 40, 60))) == (0.4, 0.4)
    assert scores(TUNE, notes((0, 40, 60), (40, 40, 64), (80, 20, 90), (100, 20, 67), (120, 500, 50))) == (1.0, 1.0)
    assert scores(TUNE, Notes()) == (0.0, 0.0)
    assert scores(Notes(), TUNE) == (0.0, 0.0)


def test_a_frame_lasts_until_the_next():
    late = Notes.from_arrays([0.9 / FPS], [10.9 / FPS], [60])  # frames 0 to 9, not 1 to 10
    assert scores(notes((0, 10, 60)), late) == (1.0, 1.0)


def test_a_curve_of_another_rate_with_gaps_and_cents():
    times = np.arange(0, 100) / 100
    hertz = np.full(100, 440.0 * 2 ** (0.4 / 12))  # 40 cents sharp: still A
    hertz[50:] = 440.0 * 2 ** (0.6 / 12)  # 60 cents: no longer
    curve = np.column_stack([times, hertz])
    chroma, pitch = scores(curve, notes((0, 100, 57)))
    assert chroma == pytest.approx(0.5, abs=0.02) and pitch == 0.0
    curve[25:50, 1], curve[50:75, 1], curve[75:, 1] = np.nan, 0.0, -440.0  # no voice in three ways
    assert scores(curve, notes((0, 100, 69))) == (1.0, 1.0)
    assert scores(np.delete(curve, np.arange(25, 75), axis=0)[:26], notes((0, 12, 69)))[0] > 0.9


def test_what_is_no_curve():
    for wrong in (np.zeros((3, 3)), np.zeros((0, 2)), np.array([[1.0, 440.0], [0.5, 440.0]])):
        with pytest.raises(ParameterError, match="pitch curve"):
            melody_accuracy(wrong, TUNE)
