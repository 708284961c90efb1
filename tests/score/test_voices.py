"""Voices of a staff and written lengths."""

from __future__ import annotations

import numpy as np

from spartito.notes.quantize import TICKS as Q
from spartito.score.voices import separate_voices, written_ends


def test_a_line_is_one_voice():
    onset = np.arange(8) * Q
    assert separate_voices(onset, onset + Q, np.arange(60, 68)).tolist() == [0] * 8


def test_chords_are_one_voice():
    onset = np.repeat(np.arange(4) * Q, 3)
    assert separate_voices(onset, onset + Q, np.tile([60, 64, 67], 4)).tolist() == [0] * 12


def test_held_note_under_a_moving_line():
    onset = np.array([0, 0, Q, 2 * Q, 3 * Q])
    end = np.array([4 * Q, Q, 2 * Q, 3 * Q, 4 * Q])
    pitch = np.array([55, 72, 74, 76, 77])
    assert separate_voices(onset, end, pitch).tolist() == [1, 0, 0, 0, 0]


def test_held_note_over_a_moving_line():
    onset = np.array([0, 0, Q, 2 * Q, 3 * Q])
    end = np.array([Q, 4 * Q, 2 * Q, 3 * Q, 4 * Q])
    pitch = np.array([55, 72, 57, 59, 60])
    assert separate_voices(onset, end, pitch).tolist() == [1, 0, 1, 1, 1]


def ends(onset, end, finish=8 * Q, bar=100):
    """Written ends; `bar` quarters to a measure, by default one that never ends."""
    onset = np.array(onset)
    bar_end = (onset // (bar * Q) + 1) * bar * Q
    return written_ends(onset, np.array(end), np.append(onset[1:], finish), beat=Q, bar_end=bar_end).tolist()


def test_small_gaps_are_filled_and_large_ones_rest():
    # a legato line, keys released a little early
    assert ends([0, Q, 2 * Q], [0.8 * Q, 1.9 * Q, 2.9 * Q], 3 * Q) == [Q, 2 * Q, 3 * Q]
    # detached eighths stay eighths
    assert ends([0, Q // 2, Q], [0.2 * Q, 0.7 * Q, 1.2 * Q], 1.5 * Q) == [Q // 2, Q, 1.5 * Q]
    # a short note followed by three beats of silence
    assert ends([0, 4 * Q], [0.9 * Q, 4.9 * Q], 5 * Q) == [Q, 5 * Q]
    # a note held into the next is cut there
    assert ends([0, Q], [1.4 * Q, 2 * Q], 2 * Q) == [Q, 2 * Q]


def test_what_is_let_go_by_the_bar_line_is_not_tied_over_it():
    # three quarters to the bar, chords on the second, released just before or just after the bar line
    assert ends([Q, 4 * Q], [2.9 * Q, 6.2 * Q], 7 * Q, bar=3) == [3 * Q, 6 * Q]
    # held on into the next bar
    assert ends([Q, 4 * Q], [3.9 * Q, 5.9 * Q], 6 * Q, bar=3) == [4 * Q, 6 * Q]
    # the next chord comes a sixteenth after the bar line: no crumb of rest
    assert ends([Q, 3.25 * Q], [2.9 * Q, 5.9 * Q], 6 * Q, bar=3) == [3.25 * Q, 6 * Q]


def test_nothing():
    assert len(separate_voices(np.zeros(0), np.zeros(0), np.zeros(0))) == 0
