import json
import os

import numpy as np
import pytest

from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.errors import ParameterError
from spartito.models.pop2piano_input import RATE, segments
from spartito.models.pop2piano_tokens import encode
from spartito.training.data.pop2piano_windows import BEATS, open_windows

TIMES = 0.25 + 0.5 * np.arange(9)  # seconds


def write_song(path, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, 6 * RATE).astype(np.float32)
    save_audio(Audio(samples[None], RATE), path)
    return samples


def write_labels(path, *, beats=TIMES, meta=None, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, beats=beats, meta=np.array(json.dumps(meta or {})), **fields)


def pair(store, *, song="song.flac", name="one-1", split="train", composer="ann"):
    notes = np.array([[0, 2, 60, 80], [3, 9, 64, 80], [7, 30, 67, 70], [16, 17, 72, 70]])
    meta = {"song": str(store / song), "composer": composer}
    write_labels(store / "labels" / split / f"{name}.npz", meta=meta, half_beats=notes)


def test_a_window_from_every_beat_is_heard_as_by_cover_and_played_as_by_the_pianist(tmp_path):
    samples = write_song(tmp_path / "song.flac")
    pair(tmp_path)
    (piece,) = open_windows(tmp_path, "train")
    assert piece.name == "one-1" and piece.composer == "ann"
    assert len(piece) == len(TIMES) - BEATS + 1 == 6 and piece.mel.dtype == np.float16
    for first in (0, 1):
        heard = segments(samples, TIMES[first:]).features[:2]
        found = piece.mel[[first, first + 4]]
        assert found.shape == heard.shape == (2, 44, 512)
        assert np.abs(found - heard).mean() < 0.02  # sixteen bits, and FLAC's
    written = piece.tokens(np.array([0, 2, 5]))
    assert written[0].tolist() == encode(np.array([[0, 2, 60], [3, 9, 64], [7, 30, 67]])).tolist()
    assert written[1].tolist() == encode(np.array([[3, 26, 67]])).tolist()
    assert written[2].tolist() == encode(np.array([[6, 7, 72]])).tolist()


def test_spectra_are_made_once_and_again_for_other_labels(tmp_path):
    write_song(tmp_path / "song.flac")
    pair(tmp_path)
    open_windows(tmp_path, "train")
    (tmp_path / "song.flac").unlink()
    (piece,) = open_windows(tmp_path, "train")
    assert len(piece) == 6
    labels = tmp_path / "labels" / "train" / "one-1.npz"
    os.utime(labels, (labels.stat().st_atime, labels.stat().st_mtime + 100))
    said = []
    with pytest.raises(ParameterError, match="no song of the 1 pieces for train can be heard"):
        open_windows(tmp_path, "train", report=said.append)
    assert len(said) == 1 and "one-1 is left out" in said[0] and "song.flac" in said[0]


@pytest.mark.parametrize("lead, first", [("voice", [[1, 4, 60]]), (None, [])])
def test_bands_are_pieces_whose_melody_counts_where_it_is_heard(tmp_path, lead, first):
    (tmp_path / "train").mkdir()
    write_song(tmp_path / "train" / "001-0.flac")
    tables = {"melody": [[0.5, 1.26, 60, 80]], "bridge": [[1.25, 2.2, 50, 70]], "piano": [[0.25, 0.7, 40, 60]]}
    fields = {name: np.array(rows) for name, rows in tables.items()}
    write_labels(tmp_path / "train" / "001-0.npz", meta={"lead": lead}, **fields)
    (piece,) = open_windows(tmp_path, "train")
    expected = sorted([*first, [0, 2, 40], [4, 8, 50]])
    assert piece.notes[:, :3].tolist() == expected and piece.composer == ""
    assert piece.tokens(np.array([0]))[0].tolist() == encode(np.array(expected)).tolist()


def test_short_pieces_have_no_window(tmp_path):
    write_song(tmp_path / "song.flac")
    pair(tmp_path)
    write_labels(
        tmp_path / "labels" / "train" / "short-1.npz",
        beats=TIMES[:3],
        meta={"song": str(tmp_path / "song.flac")},
        half_beats=np.zeros((0, 4), dtype=np.int64),
    )
    assert [piece.name for piece in open_windows(tmp_path, "train")] == ["one-1"]


def test_what_is_no_store_is_said(tmp_path):
    with pytest.raises(ParameterError, match=r"holds no pieces \(train\): .* train pairs"):
        open_windows(tmp_path, "train")
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train" / "001-0.npz", rows=np.zeros(3))  # as of the arranger's store
    with pytest.raises(ParameterError, match="lacks beats and meta"):
        open_windows(tmp_path, "train")
