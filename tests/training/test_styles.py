"""Styles found in songs: hands and order of an arrangement, reduced versions, clusters that are always the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from spartito.errors import ParameterError
from spartito.notes.attributes import EDGES, VECTOR, controls_of_windows, windows_of_piece
from spartito.notes.styles import Styles
from spartito.training.cli import app
from spartito.training.data.pop909 import QuantisedSong
from spartito.training.styles import fit_styles, k_means, limits, reduced, song_notes

EMPTY = np.zeros((0, 5), dtype=np.int64)


def song(melody=EMPTY, bridge=EMPTY, piano=EMPTY):
    parts = [np.array(part, dtype=np.int64).reshape(-1, 5) for part in (melody, bridge, piano)]
    return QuantisedSong("001", *parts, None, np.array([1, 5]), None, 0.5 * np.arange(12), None)


def test_arrangement_of_a_song_with_hands():
    melody = [[1, 0, 4, 52, 90]]  # low, and still the right hand's
    piano = [[0, 2, 2, 40, 70], [1, 0, 8, 52, 70], [1, 0, 4, 76, 60], [1, 0, 4, 40, 60]]
    notes = song_notes(song(melody, piano=piano))
    # steps from the first downbeat; of the two notes on E3 the longer one stays
    assert notes.tolist()[0] == [-2, 2, 40, 70, 0]
    assert [row[:4] for row in notes.tolist()[1:]] == [[0, 4, 40, 60], [0, 8, 52, 70], [0, 4, 76, 60]]
    assert notes[-1, 4] == 1
    alone = song_notes(song(melody))
    assert alone.tolist() == [[0, 4, 52, 90, 1]]
    assert song_notes(song()).shape == (0, 5)


def test_reduced_versions_have_their_level():
    rng = np.random.default_rng(3)
    left = [
        [2 * i, 2, key, 70, 0] for i in range(64) for key in {36 + int(rng.integers(12)), 48 + int(rng.integers(8))}
    ]
    right = [[i, 1, key, 80, 1] for i in range(2, 128) for key in (64, 67, 70 + int(rng.integers(9)))]
    notes = np.array(left + right)
    notes = notes[np.lexsort((notes[:, 2], notes[:, 0]))]
    positions = (np.arange(34) - 2) % 4
    counts = [len(notes)]
    for level in (4, 3, 2, 1):
        made = reduced(notes, positions, level)
        counts.append(len(made))
        inner = made[made[:, 0] >= 8] - np.array([8, 0, 0, 0, 0])  # from the first downbeat on
        levels = controls_of_windows(*windows_of_piece(inner, 120))[:, 5]
        assert (levels <= level).all() and (levels > 0).all()
        # the first steps stay where they were
        assert made[0, 0] == 0 and made[:, 0].max() < 128
    assert counts == sorted(counts, reverse=True) and counts[-1] < counts[0] / 4
    assert reduced(EMPTY, positions, 1).shape == (0, 5)


def test_k_means_finds_what_lies_together():
    rng = np.random.default_rng(1)
    points = np.concatenate(
        [place + 0.1 * rng.standard_normal((size, 2)) for place, size in ((0, 5), (4, 20), (8, 10))]
    )
    centres, member = k_means(points, 3)
    assert np.bincount(member).tolist() == [20, 10, 5]  # the largest first
    assert centres[0] == pytest.approx(points[5:25].mean(axis=0))
    again, _ = k_means(points, 3)
    assert np.array_equal(centres, again)
    with pytest.raises(ParameterError, match="3 clusters"):
        k_means(points[:2], 3)


def test_styles_of_two_kinds_of_songs():
    rng = np.random.default_rng(2)
    vectors = 1 + 0.005 * rng.standard_normal((40, len(VECTOR)))
    vectors[:15, VECTOR.index("density")] += 3
    styles = fit_styles(vectors, count=2)
    assert styles.names == ("sparse", "dense")
    assert [styles.nearest(vector) for vector in vectors] == [2] * 15 + [1] * 25


def test_limits_are_quintiles_of_windows_with_notes():
    values = np.append(np.arange(101.0), np.nan)
    edges = limits([{name: values for name in EDGES}])
    assert edges["density"] == (20.0, 40.0, 60.0, 80.0)


def test_the_command(tmp_path, monkeypatch):
    notes = [[4 * i, 2, 60 + i, 80, 1] for i in range(8)]
    easy = [(f"{i:03d}", np.array(notes)) for i in range(3)]
    busy = [(f"{i + 3:03d}", np.array([[i, 2, 50 + k, 80, 0] for i in range(32) for k in (0, 4, 7)])) for i in range(2)]
    monkeypatch.setattr("spartito.training.styles.pop_songs", lambda root, report: iter(easy + busy))
    output = tmp_path / "styles.json"
    result = CliRunner().invoke(app, ["styles", str(tmp_path), "-o", str(output), "--count", "2"])
    assert result.exit_code == 0 and "limits of density" in result.stdout
    written = json.loads(output.read_text())
    assert written["songs"] == {"000": 1, "001": 1, "002": 1, "003": 2, "004": 2}
    assert len(Styles.from_dict(written["styles"])) == 2
