"""Pictures of states are written, cut, and complain."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from latent_songs import piano, song
from spartito.errors import NotesError, ParameterError
from spartito.notes.four_tracks import HOLD, SILENT
from spartito.notes.layouts import PIANO
from spartito.render.plots_steps import plot_steps
from spartito.style.latent_song import read_song


def test_pictures(tmp_path):
    states = read_song(song(4)).states
    other = states.copy()
    other[4, 3] = 90
    plot_steps({"source": states, "edited": other}, tmp_path / "a.png", reference=states, title="Song")
    plot_steps({str(i): states for i in range(40)}, tmp_path / "many.png", bars=2, first_bar=1)
    plot_steps({"": read_song(piano(2)).states}, tmp_path / "piano.svg", layout=PIANO)
    assert all((tmp_path / name).stat().st_size > 2000 for name in ("a.png", "many.png", "piano.svg"))


def test_complaints(tmp_path):
    empty = np.full((16, 4), HOLD, dtype=np.uint8)
    empty[0] = SILENT
    with pytest.raises(NotesError, match="no notes"):
        plot_steps({"a": empty}, tmp_path / "a.png")
    with pytest.raises(ParameterError, match="png"):
        plot_steps({"a": empty}, tmp_path / "a.gif")
