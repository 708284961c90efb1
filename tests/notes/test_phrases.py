"""Grids and phrases: by hand, and there and back."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.notes.notes import Notes, Track
from spartito.notes.phrases import (
    KEYS,
    LOWEST,
    PHRASE,
    by_quarters,
    from_rolls,
    gridded,
    nearest_step,
    rolls,
)


def beats_of(count, *, seconds=0.5, start=0.0, bar=4, length=1.0, metre=(4, 4), pickup=0):
    number = np.arange(count)
    return Beats(start + seconds * number, length * (number - pickup), (number - pickup) % bar, ((0, *metre),))


def random_notes(rng, count, steps):
    notes = np.zeros((count, 5), dtype=np.int64)
    notes[:, 0], notes[:, 1] = rng.integers(0, steps, count), rng.integers(1, 9, count)
    notes[:, 2], notes[:, 3] = rng.integers(20, 112, count), 64
    notes[:, 4] = notes[:, 2] >= 60
    return notes


# -- rolls --------------------------------------------------------------------------------------------------


def test_a_note_begins_once_and_sounds_for_its_length():
    roll = rolls(np.array([[2, 3, 60, 80, 1]]), [0])
    assert roll.shape == (1, 2, PHRASE, KEYS) and roll.dtype == np.uint8
    assert np.argwhere(roll[0, 0]).tolist() == [[2, 60 - LOWEST]]
    assert np.argwhere(roll[0, 1]).tolist() == [[2, 36], [3, 36], [4, 36]]


def test_a_note_held_into_a_window_sounds_without_beginning():
    roll = rolls(np.array([[14, 4, 60, 80, 1]]), [0, 16], steps=16)
    assert roll[0, 0].sum() == 1 and roll[0, 1].sum() == 2
    assert roll[1, 0].sum() == 0 and np.flatnonzero(roll[1, 1, :, 36]).tolist() == [0, 1]


def test_pitches_outside_and_windows_beyond_the_piece():
    notes = np.array([[0, 1, 23, 80, 0], [0, 1, 24, 80, 0], [0, 1, 107, 80, 1], [0, 1, 108, 80, 1]])
    roll = rolls(notes, [-16, 0, 640], steps=16)
    assert np.flatnonzero(roll[1, 0, 0]).tolist() == [0, 83]
    assert roll[0].sum() == roll[2].sum() == 0
    assert rolls(notes, []).shape == (0, 2, PHRASE, KEYS)
    assert rolls(np.zeros((0, 5)), [0]).sum() == 0


def test_windows_are_parts_of_the_whole():
    notes = random_notes(np.random.default_rng(1), 300, 200)
    whole = rolls(notes, [0], steps=208)[0]
    starts = [0, 16, 37, 144]
    parts = rolls(notes, starts)
    for start, part in zip(starts, parts, strict=True):
        assert np.array_equal(part, whole[:, start : start + PHRASE])


def test_there_and_back():
    rng = np.random.default_rng(2)
    notes = random_notes(rng, 400, 120)
    onset, act = rolls(notes, [0], steps=136)[0]
    back = from_rolls(onset, act)
    again = rolls(back, [0], steps=136)[0]
    assert np.array_equal(again[0], onset) and np.array_equal(again[1], act)


def test_repeated_notes_stay_apart_and_runs_without_onset_are_notes():
    onset, act = np.zeros((8, KEYS)), np.zeros((8, KEYS))
    act[0:6, 36] = 1
    onset[0, 36] = onset[2, 36] = 1
    act[4:7, 40] = 1  # no onset
    onset[7, 50] = 1  # does not sound: an onset is enough
    expected = [[0, 2, 60, 64, 1], [2, 4, 60, 64, 1], [4, 3, 64, 64, 1], [7, 1, 74, 64, 1]]
    assert from_rolls(onset, act).tolist() == expected
    assert from_rolls(None, act).tolist() == [[0, 6, 60, 64, 1], [4, 3, 64, 64, 1]]


def test_what_is_held_into_a_window_can_be_left_out():
    onset, act = np.zeros((8, KEYS)), np.zeros((8, KEYS))
    act[0:4, 10] = 1
    onset[2, 10] = 1  # struck again
    act[0:2, 20] = onset[0, 20] = 1
    act[0:2, 20] = 1
    assert from_rolls(onset, act)[:, [0, 1, 2]].tolist() == [[0, 2, 34], [0, 2, 44], [2, 2, 34]]
    assert from_rolls(onset, act, held_in=True)[:, [0, 1, 2]].tolist() == [[0, 2, 44], [2, 2, 34]]


def test_rolls_of_another_shape_are_refused():
    with pytest.raises(ParameterError, match="rolls are"):
        from_rolls(np.zeros((8, 88)), np.zeros((8, 88)))
    with pytest.raises(ParameterError, match="both alike"):
        from_rolls(np.zeros((9, KEYS)), np.zeros((8, KEYS)))


# -- pieces -------------------------------------------------------------------------------------------------


def test_halves_are_rounded_up():
    assert nearest_step([-0.5, 0.49, 0.5, 1.5, 2.5]).tolist() == [0, 0, 1, 2, 3]


def test_a_piece_on_its_grid():
    # beats of half a second: a step is 0.125 s; the swung eighth at 2/3 of a beat goes to step 3
    notes = Notes.from_arrays([0.01, 0.333, 0.5, 0.5], [0.5, 0.34, 1.0, 1.55], [48, 60, 64, 72], [10, 20, 30, 140])
    piece = gridded(notes, beats_of(8))
    assert piece.notes[:, :4].tolist() == [[0, 4, 48, 10], [3, 1, 60, 20], [4, 4, 64, 30], [4, 8, 72, 127]]
    assert piece.rows.tolist() == [0, 1, 2, 3]
    assert piece.place == pytest.approx([0.08, 2.664, 4.0, 4.0])
    assert piece.stop == pytest.approx([4.0, 2.72, 8.0, 12.4])
    assert piece.seconds(piece.place) == pytest.approx(notes.onset)
    assert piece.steps == 12 and piece.beats == 3
    assert piece.downbeats.tolist() == [0, 16]
    assert piece.notes[0, 4] == 0 and piece.notes[3, 4] == 1


def test_drums_are_left_out_and_rows_point_at_the_source():
    notes = Notes.from_arrays(
        [0.0, 0.0, 0.5], [0.1, 0.4, 0.9], [36, 60, 62], track=[1, 0, 0], tracks=(Track(), Track(is_drum=True))
    )
    piece = gridded(notes, beats_of(4))
    assert piece.rows.tolist() == [1, 2] and notes.pitch[piece.rows].tolist() == [60, 62]


def test_hands_that_are_named_are_kept():
    tracks = (Track(name="right hand"), Track(name="left hand"))
    notes = Notes.from_arrays([0.0, 0.0], [0.5, 0.5], [40, 80], track=[0, 1], tracks=tracks)
    assert gridded(notes, beats_of(4)).notes[:, [2, 4]].tolist() == [[40, 1], [80, 0]]


def test_beats_are_added_before_the_first():
    notes = Notes.from_arrays([0.0, 1.3], [0.5, 2.0], [60, 62])
    piece = gridded(notes, beats_of(8, start=1.2))  # 2.4 beats too late: three more
    assert piece.notes[:, 0].tolist() == [2, 13]  # 0.6 beats, and 3.2
    assert piece.downbeats.tolist() == [12, 28]
    assert piece.grid.beats.positions[:4].tolist() == [1, 2, 3, 0]
    assert piece.seconds(piece.place) == pytest.approx(notes.onset)


def test_no_notes():
    piece = gridded(Notes(), beats_of(4))
    assert piece.notes.shape == (0, 5) and piece.steps == 0


# -- other metres -------------------------------------------------------------------------------------------


def test_quarters_stay_as_they_are():
    beats = beats_of(8)
    assert by_quarters(beats) is beats


def test_half_notes_become_quarters():
    quarters = by_quarters(beats_of(4, seconds=1.0, bar=2, length=2.0, metre=(2, 2)))
    assert quarters.times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert quarters.positions.tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_six_eight_has_three_quarters_and_a_pickup_stays_one():
    quarters = by_quarters(beats_of(5, seconds=0.75, bar=2, length=1.5, metre=(6, 8), pickup=1))
    # beats at -1.5, 0, 1.5, 3, 4.5 quarters: quarter beats from -2 on, downbeats at 0 and 3
    assert quarters.quarters.tolist() == [-2, -1, 0, 1, 2, 3, 4, 5]
    assert quarters.positions.tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    assert quarters.times == pytest.approx(0.75 + 0.5 * quarters.quarters)


def test_nine_eight_has_bars_of_four_and_five():
    quarters = by_quarters(beats_of(7, seconds=0.75, bar=3, length=1.5, metre=(9, 8)))
    assert np.flatnonzero(quarters.positions == 0).tolist() == [0, 4, 9]
