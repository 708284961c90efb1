from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.notes import Notes
from spartito.notes.pianoroll import from_pianoroll, to_pianoroll


def test_cells_by_hand():
    notes = Notes.from_arrays([0.0, 0.2, 0.31], [0.2, 0.5, 0.32], [21, 21, 23], [10, 20, 30])
    roll = to_pianoroll(notes, fps=10, keys=3, kind="velocity")
    assert roll.T.tolist() == [[10, 10, 20, 20, 20], [0] * 5, [0, 0, 0, 30, 0]], "the shortest note has one frame"
    assert np.array_equal(to_pianoroll(notes, fps=10, keys=3), roll > 0)
    onsets = to_pianoroll(notes, fps=10, keys=3, kind="onset")
    assert np.argwhere(onsets).tolist() == [[0, 0], [2, 0], [3, 2]]


def test_overlaps_keep_the_key_on_and_the_later_velocity():
    notes = Notes.from_arrays([0.0, 0.1], [0.5, 0.3], 60, [10, 20])
    assert to_pianoroll(notes, fps=10, lowest=60, keys=1).ravel().tolist() == [True] * 5
    velocity = to_pianoroll(notes, fps=10, lowest=60, keys=1, kind="velocity")
    assert velocity.ravel().tolist() == [10, 20, 20, 10, 10]


def test_edges_of_time_and_keyboard():
    notes = Notes.from_arrays([-0.3, 0.2, 0.0, 9.0], [0.1, 2.0, 1.0, 9.5], [60, 61, 20, 62])
    roll = to_pianoroll(notes, fps=10, frames=5)
    assert roll.shape == (5, 88) and np.argwhere(roll).tolist() == [[0, 39], [2, 40], [3, 40], [4, 40]]
    assert np.argwhere(to_pianoroll(notes, fps=10, frames=5, kind="onset")).tolist() == [[2, 40]]
    assert to_pianoroll(Notes(), fps=10).shape == (0, 88)
    assert not to_pianoroll(Notes(), fps=10, frames=3, kind="velocity").any()


def test_pedal():
    notes = Notes.from_arrays([0.0], [0.1], 60).with_pedal([[0.0, 1.0]])
    assert to_pianoroll(notes, fps=10).sum() == 1 and to_pianoroll(notes, fps=10, sounding=True).sum() == 10


def test_round_trip():
    rng = np.random.default_rng(4)
    starts = np.cumsum(rng.integers(1, 9, (300, 88)), axis=0)  # on every key one note after another
    first, column = starts[:-1].ravel(), np.tile(np.arange(88), 299)
    length = np.minimum(rng.integers(1, 6, first.shape), (starts[1:] - starts[:-1]).ravel())
    notes = Notes.from_arrays(first / 50, (first + length) / 50, column + 21, rng.integers(1, 128, first.shape))
    velocity = to_pianoroll(notes, fps=50, kind="velocity")
    again = from_pianoroll(velocity, fps=50, onsets=to_pianoroll(notes, fps=50, kind="onset"))
    assert np.array_equal(again.array, notes.array)
    plain = from_pianoroll(velocity > 0, fps=50)
    assert len(plain) < len(notes), "without onsets, notes that touch are one"
    assert np.array_equal(to_pianoroll(plain, fps=50), velocity > 0)


@pytest.mark.parametrize(
    "options", [{"fps": 0}, {"fps": 10, "kind": "x"}, {"fps": 10, "keys": 0}, {"fps": 10, "frames": -1}]
)
def test_bad_options(options):
    with pytest.raises(ParameterError):
        to_pianoroll(Notes(), **options)


def test_absurd_length_and_shapes():
    with pytest.raises(ParameterError, match="too large"):
        to_pianoroll(Notes.from_arrays([0.0], [1e12], 60), fps=100)
    with pytest.raises(ParameterError):
        from_pianoroll(np.zeros(5), fps=10)
    with pytest.raises(ParameterError):
        from_pianoroll(np.zeros((5, 88)), fps=10, onsets=np.zeros((4, 88)))
