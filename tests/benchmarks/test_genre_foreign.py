"""The judges' sets are made beside a store, and described."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes
from spartito.training.data.genre_store import GridPiece, save_pieces


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


def test_a_set_is_made(tmp_path, capsys):
    from genre_foreign import main

    (tmp_path / "midi").mkdir()
    onset = 0.25 * np.arange(128)  # quavers at 120 a minute
    write_midi(Notes.from_arrays(onset, onset + 0.25, 60 + np.arange(128) % 7, 70), tmp_path / "midi" / "piece.mid")
    grid = np.column_stack([4 * np.arange(16), np.full(16, 4), np.full(16, 50), np.full(16, 64), np.zeros(16, int)])
    own = GridPiece("own", "own", grid, grid[:, 0].astype(float), np.array([[0, 64]]))
    for split in ("validation", "test"):
        save_pieces(tmp_path / "store" / "classic" / split / "own.npz", [own])
    counts = main([str(tmp_path / "store"), str(tmp_path / "out"), "--pianomidide", str(tmp_path / "midi")])
    assert sum(counts["pianomidide"].values()) == 1
    assert "| 1 | 4 | 32 |" in capsys.readouterr().out  # sixteen bars, eight quavers in each


def test_no_set_is_refused(tmp_path):
    from genre_foreign import main

    with pytest.raises(ParameterError, match="--pianomidide"):
        main([str(tmp_path), str(tmp_path)])
