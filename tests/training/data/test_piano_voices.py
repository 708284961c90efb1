"""Piano pieces as voices: from a store of genres to windows, and a training on them."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.errors import ParameterError
from spartito.notes.four_tracks import SILENT
from spartito.notes.layouts import PIANO
from spartito.training.data.band_store import open_bands
from spartito.training.data.genre_store import GridPiece, save_pieces
from spartito.training.data.piano_voices import write_piano


def piece(name, *, seed=0, bars=6, regions=None):
    """A tune in quarters over basses in halves."""
    rng = np.random.default_rng(seed)
    tune = [(s, 4, int(p), 80, 1) for s, p in zip(range(0, 16 * bars, 4), rng.integers(60, 80, 4 * bars))]
    bass = [(s, 8, int(p), 60, 0) for s, p in zip(range(0, 16 * bars, 8), rng.integers(36, 48, 2 * bars))]
    notes = np.array(sorted(tune + bass))
    where = np.array([[0, 16 * bars]] if regions is None else regions)
    return GridPiece(name, name, notes, notes[:, 0].astype(float), where, 100.0)


@pytest.fixture
def store(tmp_path):
    genres = tmp_path / "genres"
    for number, (genre, kind) in enumerate([("classic", "asap"), ("jazz", "wjazzd"), ("pop", "pop909")]):
        for i, split in enumerate(("train", "judge", "validation", "test")):
            seed = 10 * number + i
            save_pieces(genres / genre / split / f"{kind}.npz", [piece(f"{split}{seed}", seed=seed)])
    made = tmp_path / "made"
    assert write_piano(made, genres)["jazz"] == {"train": 2, "validation": 1, "test": 1}
    return made


def test_voices_of_every_genre_and_split(store):
    train = open_bands(store, "train")
    assert train.layout is PIANO and train.states.shape[1] == len(PIANO)
    assert train.tag_names.tolist() == ["classic", "jazz", "pop"]
    assert train.tags.sum(axis=0).tolist() == [2, 2, 2]
    assert train.names[0] == "classic/asap/train0" and train.licences.tolist()[:2] == ["NC", "NC"]
    assert open_bands(store, "train", licences=["free"]).tags.sum(axis=0).tolist() == [0, 2, 2]
    assert open_bands(store, "test").songs.tolist() == ["classic/test3", "jazz/test13", "pop/test23"]
    one = train.states[: train.piece[1]]
    assert (one[::4, 0] < SILENT).all() and (one[::8, 3] < SILENT).all() and (one[:, 1] >= SILENT).all()


def test_windows_need_notes_but_no_voice_does(store):
    bands = open_bands(store, "train")
    windows = bands.windows()
    assert len(windows) == 6 * 5
    up = bands.states_of(windows, transpose=np.full(len(windows), -5))
    same = bands.states_of(windows)
    np.testing.assert_array_equal(up[same < SILENT], same[same < SILENT] - 5)


def test_a_pause_of_more_than_a_bar_is_no_window(tmp_path):
    quiet = piece("quiet", bars=8)
    keep = (quiet.notes[:, 0] < 32) | (quiet.notes[:, 0] >= 52)  # 20 steps of silence
    quiet = GridPiece("quiet", "quiet", quiet.notes[keep], quiet.place[keep], quiet.regions)
    save_pieces(tmp_path / "g" / "pop" / "train" / "pop909.npz", [quiet])
    write_piano(tmp_path / "s", tmp_path / "g")
    assert open_bands(tmp_path / "s", "train").windows()[:, 1].tolist() == [0, 16, 48, 64, 80, 96]


def test_no_pieces(tmp_path):
    with pytest.raises(ParameterError, match="classic, jazz, pop"):
        write_piano(tmp_path / "s", tmp_path)
