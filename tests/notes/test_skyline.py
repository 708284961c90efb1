"""The tune on top of a texture, on hand-made phrases."""

from __future__ import annotations

import numpy as np

from spartito.notes.skyline import skyline

A_BAR = [  # step, duration, pitch, velocity, hand
    (0, 4, 48, 60, 0),
    (0, 4, 76, 80, 1),
    (4, 2, 55, 60, 0),
    (4, 5, 77, 80, 1),  # held a step into the next note
    (8, 4, 74, 80, 1),
    (8, 4, 71, 80, 1),
    (12, 2, 60, 60, 0),  # alone in the rest of the tune, 14 semitones below it
    (14, 2, 72, 80, 1),
]


def test_the_top_line_without_what_shows_in_its_rests():
    notes = np.array(A_BAR)
    assert skyline(notes).tolist() == [1, 3, 4, 7]
    order = np.random.default_rng(0).permutation(len(notes))
    assert notes[order][skyline(notes[order])].tolist() == notes[[1, 3, 4, 7]].tolist()


def test_a_held_tune_covers_what_is_struck_under_it():
    notes = np.array([(0, 16, 72, 80, 1), (4, 2, 67, 60, 1), (8, 2, 64, 60, 1), (15, 2, 65, 60, 1)])
    assert skyline(notes).tolist() == [0, 3]  # the last begins in the last step of the first


def test_a_bass_alone_is_no_tune_and_nothing_has_none():
    assert len(skyline(np.array([(0, 4, 36, 60, 0), (4, 4, 43, 60, 0)]))) == 0
    assert len(skyline(np.zeros((0, 5), dtype=int))) == 0


def test_pieces_one_behind_the_other_are_found_as_each_alone():
    notes = np.array(A_BAR)
    later = notes + np.array([500, 0, -5, 0, 0])
    both = skyline(np.concatenate([notes, later]))
    assert both.tolist() == [*skyline(notes), *(len(notes) + skyline(later))]
