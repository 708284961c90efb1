"""Restyling with the weights that ship: every direction, both engines, from a file to a file."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import spartito
from frame import run_cli, shipped
from restyling import as_set, piece, write_piece
from spartito.notes.phrases import rolls
from spartito.style.engines import ENGINES, GENRES, PAIRS, open_engine, pair_of
from spartito.style.transfer import prepare, restyled, source_beats

PAIR_MODELS = [f"genre-{a}-{b}" for a, b in PAIRS]
DIRECTIONS = [(a, b) for a in GENRES for b in GENRES if a != b]
pytestmark = pytest.mark.skipif(
    not all(shipped(name) for name in (*PAIR_MODELS, "idiom")), reason="the weights are not here"
)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_every_direction_changes_something_and_keeps_something(engine, source, target):
    notes = piece(8)
    result = restyled(notes, to=target, genre=source, engine=engine, keep="melody")
    tune = notes.select(result.piece.grid.rows[result.piece.melody])
    assert as_set(tune) <= as_set(result.notes)
    assert len(result.notes) > len(tune) and as_set(result.notes) != as_set(notes)
    assert result.candidates[0].chroma > 0.5 and 0 <= result.candidates[0].independent <= 1
    assert result.notes.tempo_map == notes.tempo_map


@pytest.mark.parametrize("engine", ENGINES)
def test_the_stronger_the_more(engine):
    notes = piece(16)
    song = prepare(notes, source_beats(notes)[0])
    source = rolls(song.notes, [0], steps=song.steps)[0, 1]
    changed = []
    for strength in (0.25, 0.5, 0.75, 1.0):
        result = restyled(notes, to="jazz", genre="pop", engine=engine, strength=strength)
        changed.append(int((rolls(result.candidates[0].written.notes, [0], steps=song.steps)[0, 1] != source).sum()))
    assert changed == sorted(changed) and changed[-1] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_seed_writes_the_same(engine):
    twice = [spartito.restyle(piece(8), to="pop", genre="jazz", engine=engine, candidates=2, seed=7) for _ in range(2)]
    assert np.array_equal(twice[0].array, twice[1].array)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "options", [{"bars": 1}, {"bars": 15}, {"bars": 4, "metre": (3, 4)}, {"bars": 3, "metre": (6, 8)}]
)
def test_pieces_of_other_lengths_and_metres(engine, options):
    assert len(spartito.restyle(piece(**options), to="jazz", genre="classic", engine=engine)) > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_three_notes(engine):
    assert len(spartito.restyle(piece(1).select([0, 1, 2]), to="jazz", genre="classic", engine=engine)) > 0


def test_a_model_of_the_list_is_an_engine():
    names = [info.name for info in spartito.list_models()]
    for pair, name in zip(PAIRS, PAIR_MODELS, strict=True):
        assert name in names
        model = spartito.load_model(name)
        assert model.generator(pair).pair == pair_of(*pair)
    assert spartito.load_model("idiom").name == "idiom" and "idiom" in names
    assert open_engine().name in ENGINES


def test_from_a_file_to_files(tmp_path, capfd):
    path = write_piece(tmp_path / "piece.mid", 8, drums=True)
    status, _, err = run_cli(
        *(capfd, "restyle", path, "--to", "jazz", "--strength", "0.7", "--keep", "melody", "-f", "mid,csv"),
        *("--candidates", "2", "-o", tmp_path / "out"),
    )
    assert status == 0, err
    notes = spartito.read_midi(tmp_path / "out" / "piece_restyle_jazz.mid")
    assert [track.is_drum for track in notes.tracks] == [False, False, True] and len(notes) > 32
