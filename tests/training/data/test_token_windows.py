"""Windows of token songs: hands, tiling, notes of a window, easier versions."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.models.cover_tokens import LEFT, RIGHT
from spartito.training.data import arrangements, token_windows
from spartito.training.data.arrangements import BRIDGE, MELODY, PIANO

BEATS = 12


def tables() -> list[np.ndarray]:
    """Beat, step, duration, pitch, velocity of three bars: a tune on the beats, one bridge note, chords in C."""
    melody = [[beat, 0, 3, 72 + beat % 5, 90] for beat in range(BEATS)]
    piano = [[beat, 0, 4, pitch, 70] for beat in range(0, BEATS, 2) for pitch in (36, 43, 72)]
    return [np.array(melody), np.array([[1, 2, 2, 67, 60]]), np.array(piano)]


@pytest.fixture
def store(tmp_path):
    """A store of the arranger and bands with one recording, `001-0`, in `train`."""
    bands, folder = tmp_path / "bands" / "train", tmp_path / "store" / "train"
    bands.mkdir(parents=True), folder.mkdir(parents=True)
    positions = np.arange(BEATS) % 4
    labels = dict(zip(("melody_q", "bridge_q", "piano_q"), tables()))
    np.savez(bands / "001-0.npz", beats=np.arange(BEATS) * 0.5, position=positions, **labels)
    arrangements.add(
        folder,
        "001-0",
        np.zeros((4, 16 * (BEATS + 9), 88), dtype=np.float32),
        rows=np.flatnonzero(positions == 0),
        beats=BEATS,
        chords=np.zeros((BEATS, 14), dtype=np.int64),
        notes=np.zeros((0, 4), dtype=np.int64),
    )
    return tmp_path / "bands", tmp_path / "store"


def test_hands_of_a_recording():
    notes = token_windows.handed(tables(), np.arange(BEATS) * 0.5)
    assert (notes[:, 0] == np.sort(notes[:, 0])).all() and len(notes) == 12 + 1 + 18
    assert (notes[notes[:, 5] == MELODY, 4] == RIGHT).all()
    assert (notes[notes[:, 2] < 50, 4] == LEFT).all()
    assert notes[notes[:, 5] == BRIDGE].tolist() == [[6, 2, 67, 60, RIGHT, BRIDGE]]


def test_a_store_is_prepared_once_and_opened(store):
    bands, folder = store
    assert token_windows.prepare_hands(bands, folder, splits=["train"]) == 1
    assert token_windows.prepare_hands(bands, folder, splits=["train"]) == 0
    (song,) = token_windows.open_songs(folder, "train", styles={"001": 4}, levels=(1, 2))
    assert song.rows.tolist() == [0, 4, 8] and song.lengths.tolist() == [8, 8, 4]
    assert song.tiling.tolist() == [True, False, True] and song.style == 4
    assert song.counts.tolist() == [8 + 1 + 12, 8 + 12, 4 + 6]
    easy, medium, low = (song.easier[key] for key in ((1, True), (2, True), (2, False)))
    assert 0 < len(easy) < len(medium) <= len(song.notes) and low[:, 2].max() == 72
    assert token_windows.open_songs(folder, "train")[0].style == 0
    with pytest.raises(ParameterError, match="prepare-tokens"):
        token_windows.open_songs(folder, "validation")


def test_notes_of_a_window(store):
    bands, folder = store
    token_windows.prepare_hands(bands, folder, splits=["train"])
    (song,) = token_windows.open_songs(folder, "train", levels=(1,))
    notes = token_windows.notes_between(song, 0, 8)
    # at beat 0 the tune and the chord both strike 72: the longer one stays
    assert notes[:, [0, 1, 2]].tolist() == [[0, 4, 36], [0, 4, 43], [0, 4, 72], [4, 3, 73], [6, 2, 67]]
    silent = token_windows.notes_between(song, 0, 8, melody=False)
    assert silent[:, 2].tolist() == [36, 43, 72, 67]
    moved = token_windows.notes_between(song, 4, 8, shift=3)
    assert moved[:, [0, 2]].tolist() == [[0, 76], [2, 70]]
    low = token_windows.notes_between(song, 0, 1, shift=-16)
    assert low[:, 2].tolist() == [27, 56]  # 36 - 16 lies below the keyboard
    assert len(token_windows.notes_between(song, 0, 8, level=1)) <= len(notes)
    assert PIANO in song.notes[:, 5]
