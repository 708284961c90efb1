from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import NotesError
from spartito.notes.notes import (
    CONTROL_DTYPE,
    SUSTAIN,
    Notes,
    Track,
    _union,
    extend_by_pedal,
    merge,
    pedal_intervals,
)


def pedal_moves(*moves) -> np.ndarray:
    return np.array([(time, SUSTAIN, value) for time, value in moves], dtype=CONTROL_DTYPE)


def test_pedal_is_down_from_64_on():
    moves = pedal_moves((1, 63), (2, 64), (3, 100), (4, 63), (5, 127), (6, 0))
    assert pedal_intervals(moves, end=9).tolist() == [[2, 4], [5, 6]]


def test_a_pedal_never_raised_lasts_to_the_end():
    assert pedal_intervals(pedal_moves((2, 127)), end=9).tolist() == [[2, 9]]
    assert pedal_intervals(pedal_moves((2, 127)), end=1).tolist() == [], "no time at all"


def test_moves_at_one_time_and_other_controls():
    moves = pedal_moves((1, 127), (2, 0), (2, 127), (3, 0), (3, 127), (3, 0))
    assert pedal_intervals(moves, end=9).tolist() == [[1, 2], [2, 3]]
    moves["number"] = 7
    assert pedal_intervals(moves, end=9).shape == (0, 2)


def test_union():
    spans = np.array([[5, 6], [0, 2], [1, 3], [3, 4], [0.5, 0.7]])
    assert _union(spans).tolist() == [[0, 4], [5, 6]]
    assert _union(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("notes", "pedal", "ends"),
    [
        ([(0, 1, 60)], [[0.5, 3]], [3]),  # released under the pedal
        ([(0, 1, 60)], [[1, 3]], [3]),  # pedal down at the very release: down comes first
        ([(0, 1, 60)], [[0.5, 1]], [1]),  # pedal up at the release
        ([(0, 1, 60)], [[2, 3]], [1]),  # pedal later
        ([(0, 1, 60), (2, 2.5, 60)], [[0.5, 3]], [2, 3]),  # the key is struck again
        ([(0, 1, 60), (1, 2, 60)], [[0.5, 3]], [1, 3]),  # struck again without a gap
        ([(0, 1, 60), (2, 2.5, 61)], [[0.5, 3]], [3, 3]),  # another key
        ([(0, 2, 60), (1, 3, 60)], [], [1, 3]),  # overlap without a pedal
        ([(0, 1, 60), (0, 2, 60)], [[0.5, 3]], [3, 3]),  # struck twice at once: both stay
        ([(1, 1, 60)], [], [1]),  # no length: kept
        ([(0, 1, 60), (4, 5, 60)], [[0.5, 2], [4.5, 6]], [2, 6]),
    ],
)
def test_extend_by_pedal(notes, pedal, ends):
    onset, offset, pitch = np.array(notes, dtype=float).T
    piece = Notes.from_arrays(onset, offset, pitch)
    assert extend_by_pedal(piece.array, np.array(pedal, dtype=float).reshape(-1, 2)).tolist() == ends


def test_hands_share_the_pedal_other_instruments_do_not():
    tracks = (Track("right hand"), Track("left hand"), Track("bass", program=33), Track("kit", is_drum=True))
    notes = Notes.from_arrays([0, 0, 0, 0], [1, 1, 1, 1], [60, 48, 36, 38], track=[0, 1, 2, 3], tracks=tracks)
    notes = notes.with_pedal([[0.5, 2]])
    sounding = notes.sounding()
    by_pitch = dict(zip(sounding.pitch.tolist(), sounding.offset.tolist()))
    assert by_pitch == {60: 2, 48: 2, 36: 1, 38: 1}
    assert notes.pedal.tolist() == [[0.5, 2]] and notes.offset.tolist() == [1, 1, 1, 1]


def test_pedal_is_replaced_not_added():
    notes = Notes().with_pedal([[0, 1]]).with_pedal([[2, 3], [3, 4]])
    assert notes.pedal.tolist() == [[2, 4]]
    assert len(notes.tracks[0].controls) == 4


def test_order_columns_and_choice():
    notes = Notes.from_arrays([1, 0, 1], [2, 1, 3], [64, 60, 62], [1, 2, 3])
    assert notes.pitch.tolist() == [60, 62, 64] and notes.velocity.tolist() == [2, 3, 1]
    assert notes.between(0.5, 1.5).pitch.tolist() == [62, 64] and notes.duration == 3
    assert notes.select(notes.pitch > 61).velocity.tolist() == [3, 1]


def test_shifted_moves_everything_that_has_a_time():
    notes = Notes.from_arrays([0.0], [1.0], 60, tracks=(Track(lyrics=((0.5, "la"),)),), markers=((1.0, "A"),))
    moved = notes.with_pedal([[0, 1]]).shifted(0.25)
    assert (moved.onset[0], moved.offset[0]) == (0.25, 1.25)
    assert moved.pedal.tolist() == [[0.25, 1.25]]
    assert moved.tracks[0].lyrics == ((0.75, "la"),) and moved.markers == ((1.25, "A"),)
    assert notes.onset[0] == 0, "the original stays"


def test_merge_puts_tracks_side_by_side():
    a = Notes.from_arrays([0.0], [1.0], 60, title="A")
    both = merge([a, Notes.from_arrays([0.5], [1.0], 61, tracks=(Track("b"),))])
    assert [t.name for t in both.tracks] == ["piano", "b"] and both.array["track"].tolist() == [0, 1]
    assert both.title == "A"
    with pytest.raises(NotesError):
        merge([])


@pytest.mark.parametrize("bad", [{"onset": [np.nan]}, {"offset": [np.inf]}, {"track": 1}, {"track": -1}])
def test_impossible_notes(bad):
    with pytest.raises(NotesError):
        Notes.from_arrays(**{"onset": [0.0], "offset": [1.0], "pitch": 60} | bad)
