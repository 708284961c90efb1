"""Pieces on the grid, their phrases and rolls, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import NotesError, ParameterError
from spartito.notes.notes import Notes
from spartito.training.data.genre_store import (
    SPLITS,
    GridPiece,
    bar_regions,
    genre_split,
    grid_piece,
    on_steps,
    open_store,
    save_pieces,
    write_set,
)


def piece(name: str, rows, regions, *, work: str = "", **fields) -> GridPiece:
    """Rows of (step, duration, pitch)."""
    rows = np.array(sorted(rows)).reshape(-1, 3)
    notes = np.column_stack([rows, np.full(len(rows), 80), rows[:, 2] >= 60])
    return GridPiece(name, work or name, notes, rows[:, 0] + 0.25, np.array(regions), **fields)


def every_bar(bars: int, *, pitch: int = 60, first: int = 0):
    return [(first + 16 * bar, 4, pitch) for bar in range(bars)]


def test_both_ends_go_to_the_nearest_step():
    notes, place, part = on_steps(
        [2.5, 0.4, 7.67], [2.6, 3.49, 9.5], [62, 60, 64], [70, 80, 90], hand=[1, 0, 1], part=[0, 1, -1]
    )
    assert notes.tolist() == [[0, 3, 60, 80, 0], [3, 1, 62, 70, 1], [8, 2, 64, 90, 1]]  # 3..3 lasts a step all the same
    assert place.tolist() == [0.4, 2.5, 7.67] and part.tolist() == [1, 0, -1]


def test_of_two_notes_on_one_key_the_longer_stays_and_the_tune_is_tune():
    notes, place, part = on_steps([4.1, 3.9, 4.0], [5, 9, 9], [60, 60, 61], [50, 60, 70], hand=1, part=[1, 0, 0])
    assert notes.tolist() == [[4, 5, 60, 60, 1], [4, 5, 61, 70, 1]]
    assert place.tolist() == [3.9, 4.0] and part.tolist() == [1, 0]


def test_no_notes():
    notes, place, part = on_steps([], [], [], [], hand=0)
    assert notes.shape == (0, 5) and len(place) == len(part) == 0


def test_a_piece_begins_on_a_bar_and_hands_are_found():
    notes = Notes.from_arrays([0.0, 0.0, 1.0], [1.0, 1.0, 2.0], [36, 76, 79])
    made = grid_piece(
        "a", "w", notes, [-3.0, -3.0, 1.0], [1.0, 1.0, 4.0], np.array([[0, 64]]), tempo=90, chords=[(-4, "C")]
    )
    assert made.notes[:, [0, 1, 2, 4]].tolist() == [[13, 4, 36, 0], [13, 4, 76, 1], [17, 3, 79, 1]]
    assert made.place.tolist() == [13, 13, 17] and made.regions.tolist() == [[16, 80]]
    assert made.chords == [(12, "C")] and made.steps == 80


def test_hands_need_not_be_found():
    notes = Notes.from_arrays([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [59, 60, 62])
    made = grid_piece("a", "w", notes, np.zeros(3), np.full(3, 4.0), np.array([[0, 64]]), tempo=90, hands=False)
    assert made.notes[:, 4].tolist() == [0, 1, 1]


def test_regions_are_runs_of_bars_of_sixteen_steps():
    # 4 bars of 4/4, one of 3/4, then 9 of 2/4 (four pairs, the ninth is left over)
    lengths = [16] * 4 + [12] + [8] * 9
    starts = np.concatenate([[4], 4 + np.cumsum(lengths)[:-1]])
    assert bar_regions(starts, lengths).tolist() == [[4, 68], [80, 144]]
    assert bar_regions(starts, lengths, least=80).tolist() == []
    assert bar_regions([0, 16, 40, 56, 72, 88], [16] * 6).tolist() == [[40, 104]]  # a gap ends a region
    assert bar_regions([], []).shape == (0, 2)


def test_splits_are_by_work():
    assert [genre_split(tenth) for tenth in range(10)] == ["train"] * 5 + ["judge"] * 2 + [
        "test",
        "validation",
        "train",
    ]
    assert genre_split("Bach/Fugue_bwv_846") == genre_split("Bach/Fugue_bwv_846") in SPLITS


def test_a_store_comes_back_as_it_was_written(tmp_path):
    first = piece(
        "a", every_bar(6), [[0, 96]], tempo=100.0, part=np.array([1, 0, 1, 0, 1, 0]), chords=[(0, "C"), (32, "G:7")]
    )
    second = piece("b", every_bar(5, first=8), [[8, 88]])
    other = piece("c", every_bar(4), [[0, 64]], chords=[(16, "N")])
    nothing = piece("d", every_bar(4), np.zeros((0, 2), dtype=int))
    assert save_pieces(tmp_path / "jazz" / "train" / "one.npz", [first, second, nothing]) == 2
    assert save_pieces(tmp_path / "jazz" / "train" / "two.npz", [other]) == 1
    pieces = open_store(tmp_path, "jazz", "train")
    assert pieces.names.tolist() == ["a", "b", "c"] and pieces.sets.tolist() == ["one", "one", "two"]
    assert pieces.regions.tolist() == [[0, 0, 96], [1, 8, 88], [2, 0, 64]]
    assert pieces.chords.tolist() == [[0, 0], [0, 32], [2, 16]] and pieces.labels.tolist() == ["C", "G:7", "N"]
    assert pieces.notes_of(1).tolist() == second.notes.tolist() and pieces.steps.tolist() == [96, 88, 64]
    assert pieces.part.tolist() == [1, 0, 1, 0, 1, 0] + [-1] * 9 and np.allclose(
        pieces.place, pieces.notes[:, 0] + 0.25
    )
    assert open_store(tmp_path, "jazz", "train", sets=["two"]).names.tolist() == ["c"]


def test_windows_have_an_onset_in_every_bar(tmp_path):
    # bars 0-5 of the first piece are struck, bar 6 is not, 7-10 are, the one of bar 8 out of the roll's keys
    rows = [*every_bar(6), *every_bar(4, first=7 * 16)]
    rows[7] = (8 * 16, 4, 20)
    save_pieces(
        tmp_path / "pop" / "test" / "a.npz", [piece("a", rows, [[0, 176]]), piece("b", every_bar(5), [[16, 80]])]
    )
    pieces = open_store(tmp_path, "pop", "test")
    assert pieces.windows().tolist() == [[0, 0], [0, 16], [0, 32], [1, 16]]
    assert pieces.windows(hop=64).tolist() == [[0, 0], [1, 16]]
    assert pieces.windows(steps=80).tolist() == [[0, 0], [0, 16]]


def test_rolls_hold_onsets_and_what_sounds(tmp_path):
    rows = [(0, 70, 60), (10, 2, 24), (12, 1, 107), (12, 1, 108), (60, 8, 62), (63, 1, 61), (64, 1, 60)]
    rows += [(70, 4, 23)]
    save_pieces(
        tmp_path / "pop" / "test" / "a.npz", [piece("z", [(0, 500, 40)], [[0, 64]]), piece("a", rows, [[0, 128]])]
    )
    pieces = open_store(tmp_path, "pop", "test")
    roll = pieces.rolls(np.array([[1, 0], [1, 64]]))
    assert roll.shape == (2, 2, 64, 84) and roll.dtype == np.uint8
    assert np.argwhere(roll[0, 0]).tolist() == [[0, 36], [10, 0], [12, 83], [60, 38], [63, 37]]
    assert roll[0, 1].sum() == 64 + 2 + 1 + 4 + 1
    assert np.argwhere(roll[1, 0]).tolist() == [[0, 36]]  # struck again while it sounds; 62 is held in, 23 lies below
    assert np.argwhere(roll[1, 1]).tolist() == [[s, k] for s in range(6) for k in ((36, 38) if s < 4 else (36,))]


def test_rolls_move_each_window_by_its_own_interval(tmp_path):
    save_pieces(tmp_path / "pop" / "test" / "a.npz", [piece("a", [*every_bar(4), (8, 2, 108)], [[0, 64]])])
    pieces = open_store(tmp_path, "pop", "test")
    windows = np.zeros((2, 2), dtype=int)
    up, down = pieces.rolls(windows, transpose=np.array([5, -1]))[:, 0]
    assert np.argwhere(up)[:, 1].tolist() == [41] * 4
    assert np.argwhere(down).tolist() == [[0, 35], [8, 83], [16, 35], [32, 35], [48, 35]]  # 108 comes into reach
    assert (pieces.rolls(windows, transpose=5)[0, 0] == up).all()
    assert pieces.rolls(np.zeros((0, 2), dtype=int)).shape == (0, 2, 64, 84)


def test_a_work_counts_once_however_often_it_was_played(tmp_path):
    pieces = [piece("a1", every_bar(4), [[0, 64]], work="a"), piece("a2", every_bar(4), [[0, 64]], work="a")]
    save_pieces(tmp_path / "classic" / "train" / "s.npz", [*pieces, piece("b", every_bar(5), [[0, 80]])])
    store = open_store(tmp_path, "classic", "train")
    windows = store.windows()
    assert store.weights(windows).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3])  # b has two windows


def test_a_set_goes_to_its_splits_in_place_of_what_was_there(tmp_path):
    works = {genre_split(name): name for name in map(str, range(100))}
    pieces = [piece(name, every_bar(4), [[0, 64]]) for name in works.values()]
    assert write_set(tmp_path, "jazz", "s", pieces) == dict.fromkeys(works, 1)
    assert write_set(tmp_path, "jazz", "s", pieces, split=lambda work: "test") == {"test": 4}
    assert [path.parent.name for path in (tmp_path / "jazz").glob("*/s.npz")] == ["test"]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "no piece in 4/4"),
        ([piece("a", every_bar(4), [[0, 64]])] * 2, "two pieces"),
        ([piece("a", every_bar(4, first=-16), [[0, 64]])], "before step 0"),
    ],
)
def test_what_cannot_be_written(tmp_path, pieces, words):
    with pytest.raises(ParameterError, match=words):
        save_pieces(tmp_path / "a.npz", pieces)
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_none(tmp_path):
    with pytest.raises(ParameterError, match="no pieces of jazz/train"):
        open_store(tmp_path, "jazz", "train")
    with pytest.raises(ParameterError, match="the split"):
        open_store(tmp_path, "jazz", "dev")
    (tmp_path / "jazz" / "train").mkdir(parents=True)
    (tmp_path / "jazz" / "train" / "a.npz").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(NotesError, match=r"a\.npz"):
        open_store(tmp_path, "jazz", "train")
