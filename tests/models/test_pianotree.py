"""PianoTree by hand: what a grid holds, what comes back, and the habits of the original."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.models.pianotree import (
    END,
    PAD,
    START,
    bits_of,
    duration_of,
    encode,
    features,
    notes_of,
    piano_roll,
    roll_of,
)

NOTES = np.array(
    [  # segment, step, pitch, duration
        [0, 0, 67, 4],
        [0, 0, 48, 32],
        [0, 31, 60, 40],
        [1, 5, 72, 1],
    ]
)


def test_a_grid_has_a_start_notes_by_pitch_an_end_and_padding():
    grid = encode(NOTES, 2)
    assert grid.shape == (2, 32, 16, 6) and grid.dtype == np.int64
    assert grid[0, 0, 0].tolist() == [START, 2, 2, 2, 2, 2]
    assert grid[0, 0, 1].tolist() == [48, 1, 1, 1, 1, 1]  # 32 steps
    assert grid[0, 0, 2].tolist() == [67, 0, 0, 0, 1, 1]  # 4 steps
    assert grid[0, 0, 3].tolist() == [END, 2, 2, 2, 2, 2]
    assert (grid[0, 0, 4:] == [PAD, 2, 2, 2, 2, 2]).all()
    assert grid[0, 31, 1].tolist() == [60, 1, 1, 1, 1, 1]  # cut at 32
    assert grid[1, 0, 1].tolist() == [END, 2, 2, 2, 2, 2]  # an empty step
    assert (grid[..., 0] != PAD).sum() == 2 * 64 + len(NOTES)


def test_compat_keeps_the_order_of_the_input():
    assert encode(NOTES, 2, compat=True)[0, 0, 1:4, 0].tolist() == [67, 48, END]


def test_notes_come_back():
    back = notes_of(encode(NOTES, 2)[:, :, 1:])
    assert back.tolist() == [[0, 0, 48, 32], [0, 0, 67, 4], [0, 31, 60, 32], [1, 5, 72, 1]]


def test_any_notes_come_back():
    rng = np.random.default_rng(0)
    cells = rng.choice(3 * 32 * 88, 400, replace=False)
    notes = np.column_stack([cells // (32 * 88), cells // 88 % 32, 21 + cells % 88, rng.integers(1, 33, 400)])
    notes = notes[np.lexsort((notes[:, 2], notes[:, 1], notes[:, 0]))]
    np.testing.assert_array_equal(notes_of(encode(notes, 3)[:, :, 1:]), notes)


def test_a_pitch_stands_once_in_a_step_and_the_longer_stays():
    twice = np.array([[0, 3, 60, 2], [0, 3, 60, 9]])
    assert notes_of(encode(twice, 1)[:, :, 1:]).tolist() == [[0, 3, 60, 9]]
    assert len(notes_of(encode(twice, 1, compat=True)[:, :, 1:])) == 2


def test_of_more_than_fourteen_notes_the_outer_ones_stay_and_compat_refuses():
    chord = np.array([[0, 2, pitch, 1] for pitch in range(40, 56)])  # 16 notes
    kept = notes_of(encode(chord, 1)[:, :, 1:])[:, 2]
    assert kept.tolist() == [*range(40, 47), *range(49, 56)]
    with pytest.raises(NotesError, match="16 notes"):
        encode(chord, 1, compat=True)


def test_compat_reads_ten_slots_and_a_start_mark_is_passed_over():
    grid = np.full((1, 32, 15, 6), 0, dtype=np.int64)
    grid[..., 0] = END
    grid[0, 4, :12, 0] = np.arange(50, 62)
    assert len(notes_of(grid)) == 12
    assert len(notes_of(grid, compat=True)) == 10
    grid[0, 4, 1, 0] = START
    assert notes_of(grid)[:2, 2].tolist() == [50, 52]


def test_what_stands_behind_an_end_mark_is_not_read():
    grid = np.zeros((1, 32, 15, 6), dtype=np.int64)
    grid[..., 0] = END
    grid[0, 0, 1:, 0] = 60
    assert len(notes_of(grid)) == 0


def test_bits_are_the_most_significant_first():
    assert bits_of(np.array([1, 2, 17, 32, 99])).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ]
    np.testing.assert_array_equal(duration_of(bits_of(np.arange(1, 33))), np.arange(1, 33))


def test_a_piano_roll_holds_durations_where_notes_begin():
    roll = piano_roll(NOTES, 2)
    assert roll.shape == (2, 32, 128) and roll.dtype == np.float32
    assert roll[0, 31, 60] == 40  # not cut, unlike PianoTree
    assert roll[1, 5, 72] == 1 and (roll > 0).sum() == 4
    later = piano_roll(np.array([[0, 0, 60, 9], [0, 0, 60, 2]]), 1)
    assert later[0, 0, 60] == 2
    np.testing.assert_array_equal(roll_of(encode(NOTES, 2)[:, :, 1:]), np.minimum(roll, 32))


def test_features_by_hand():
    piano = np.array([[0, 0, 48, 1], [0, 0, 60, 1], [0, 1, 54, 1], [0, 2, 61, 1]])
    lead = np.array([[0, 3, 80, 1]])
    found = features(piano, lead, 1)
    assert found.shape == (1, 32, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[0, :5, 0], [1.0, 0.5, 0.0, 0.0, 0.0])  # (60 - 54) / 12
    np.testing.assert_allclose(found[0, :5, 1], [2 / 14, 1 / 14, 1 / 14, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[0, :5, 2], [0, 0, 0, 1, 0])


def test_what_lies_outside_is_refused():
    for wrong in ([[1, 0, 60, 1]], [[0, 32, 60, 1]], [[0, 0, 128, 1]], [[0, -1, 60, 1]]):
        with pytest.raises(NotesError, match="outside"):
            encode(np.array(wrong), 1)
    with pytest.raises(NotesError, match="rows of"):
        piano_roll(np.zeros((2, 3)), 1)
    with pytest.raises(ParameterError, match="shape"):
        notes_of(np.zeros((32, 15, 6)))


def test_nothing_is_a_grid_of_empty_steps():
    nothing = np.zeros((0, 4), dtype=np.int64)
    assert (encode(nothing, 1)[0, :, 1, 0] == END).all()
    assert len(notes_of(encode(nothing, 1)[:, :, 1:])) == 0
    assert features(nothing, nothing, 1).sum() == 0
