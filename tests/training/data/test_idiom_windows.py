"""Pieces of a store as lines and tokens, and the windows cut from them."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.idiom_tokens import BEYOND, HEARD, ROOT, notes_of
from spartito.training.data.genre_store import GridPiece, save_pieces
from spartito.training.data.idiom_windows import notes_between, open_idiom, prepare_idiom, window_starts


def a_piece(name: str, bars: int = 8, *, up: int = 0) -> GridPiece:
    """A tune in quarters over C major chords in halves."""
    rows = []
    for step in range(0, 16 * bars, 4):
        rows.append((step, 4, 76 + up + step // 4 % 3, 80, 1))
        if step % 8 == 0:
            rows += [(step, 8, 48 + up, 60, 0), (step, 8, 52 + up, 60, 0), (step, 8, 55 + up, 60, 0)]
    notes = np.array(sorted(rows, key=lambda row: (row[0], row[2])))
    return GridPiece(name, name, notes, notes[:, 0].astype(float), np.array([[0, 16 * bars]]))


@pytest.fixture
def prepared(tmp_path):
    store = tmp_path / "store"
    save_pieces(store / "pop" / "train" / "own.npz", [a_piece("one"), a_piece("two", 6, up=2)])
    told = []
    assert prepare_idiom(store, tmp_path / "cache", splits=("train",), report=told.append) == 1
    assert prepare_idiom(store, tmp_path / "cache", splits=("train",), report=told.append) == 0  # it is there
    assert told == ["pop/train/own: 12 windows"]
    return open_idiom(tmp_path / "cache", "train")[0]


def test_pieces_lie_one_behind_the_other(prepared):
    assert len(prepared.rows) == 128 + HEARD + 96 + HEARD
    assert prepared.windows.tolist() == [*range(0, 97, 16), *range(128 + HEARD, 128 + HEARD + 65, 16)]
    assert prepared.works == 2 and prepared.weights.sum() == pytest.approx(1.0)
    assert prepared.weights[:7] == pytest.approx(1 / 14)
    assert set(prepared.rows[:128, ROOT]) == {0} and set(prepared.rows[208:304, ROOT]) == {2}
    assert prepared.rows[128:208, BEYOND].all() and not prepared.rows[:128, BEYOND].any()


def test_the_notes_of_a_window(prepared):
    tokens, tune = notes_between(prepared, 208 + 16)
    assert (notes_of(tokens[tune])[:, 0] == np.arange(0, 64, 4)).all()
    assert notes_of(tokens[~tune])[:3, 2].tolist() == [50, 54, 57]
    tokens, _ = notes_between(prepared, 96)  # two bars of the first piece, then nothing of the second
    assert tokens[:, 0].max() == 28


def test_a_window_has_an_accompaniment_in_each_bar():
    notes = np.array([(16 * bar, 4, 50, 60, 0) for bar in range(8) if bar != 5])
    assert window_starts(notes, 128, reaches_end=True).tolist() == [0, 16, 96]
    assert window_starts(notes, 128, reaches_end=False).tolist() == [0, 16]
    many = np.repeat(notes, 60, axis=0)
    assert window_starts(many, 128, reaches_end=True).tolist() == [96]


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(ParameterError, match="holds nothing of the split"):
        open_idiom(tmp_path, "train")
