"""Profiles of genres, and rows drawn evenly."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.training.data.genre_store import GENRES, GridPiece, save_pieces
from spartito.training.genre_profiles import evenly, main


def test_every_set_and_work_comes_before_any_again():
    sets = np.array(["a"] * 6 + ["b"] * 2)
    works = np.array(["x", "x", "x", "x", "y", "z", "u", "u"])
    for count, most in ((2, {"a": 1, "b": 1}), (4, {"a": 2, "b": 2}), (5, {"a": 3, "b": 2})):
        chosen = evenly(sets, works, count)
        assert {name: int((sets[chosen] == name).sum()) for name in "ab"} == most
    assert set(works[evenly(sets, works, 5)]) == {"x", "y", "z", "u"}
    assert sorted(evenly(sets, works, 100)) == list(range(8))


def test_profiles_of_a_store(tmp_path):
    for genre, interval in zip(GENRES, (3, 4, 5)):
        step = 4 * np.arange(16)
        pitch = 60 + interval * (np.arange(16) % 2)
        notes = np.column_stack([step, 0 * step + 4, pitch, 0 * step + 80, 0 * step + 1])
        save_pieces(
            tmp_path / genre / "train" / "made.npz", [GridPiece("p", "w", notes, 1.0 * step, np.array([[0, 64]]))]
        )
    main([str(tmp_path), "-o", str(tmp_path / "out")])
    with np.load(tmp_path / "out" / "profiles.npz") as found:
        assert set(found.files) == set(GENRES)
        # fifteen neighbours a beat apart, up as often as down but for one
        assert found["jazz"][4, 20 + 4] == pytest.approx(8 / 15, abs=1e-3)
        assert found["jazz"][4, 20 - 4] == pytest.approx(7 / 15, abs=1e-3)
