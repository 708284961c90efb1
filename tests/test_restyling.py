"""Restyling with the weights that ship: every direction, both engines, from a file to a file."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import spartito
from frame import run_cli, shipped
from restyling import as_set, piece, write_piece
from spartito.notes.phrases import rolls
from spartito.style.engines import COMPING, CYCLEGAN, ENGINES, GENRES, IDIOM, PAIRS, USUAL, open_engine, pair_of
from spartito.style.transfer import prepare, restyled, source_beats

PAIR_MODELS = [f"genre-{a}-{b}" for a, b in PAIRS]
DIRECTIONS = [(a, b) for a in GENRES for b in GENRES if a != b]
NEEDED = {CYCLEGAN: PAIR_MODELS, IDIOM: ["idiom"], COMPING: ["comping"]}
HERE = [name for name in ENGINES if all(map(shipped, NEEDED[name]))]  # engines whose weights ship
JUDGED = all(map(shipped, PAIR_MODELS))  # the classifiers come with the pairs


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_every_direction_changes_something_and_keeps_something(engine, source, target):
    notes = piece(8)
    result = restyled(notes, to=target, genre=source, engine=engine, keep="melody")
    tune = notes.select(result.piece.grid.rows[result.piece.melody])
    assert as_set(tune) <= as_set(result.notes)
    assert len(result.notes) > len(tune) and as_set(result.notes) != as_set(notes)
    assert result.candidates[0].chroma > 0.5
    assert not JUDGED or 0 <= result.candidates[0].independent <= 1
    assert result.notes.tempo_map == notes.tempo_map


@pytest.mark.parametrize("engine", HERE)
def test_the_stronger_the_more(engine):
    notes = piece(8)
    song = prepare(notes, source_beats(notes)[0])
    source = rolls(song.notes, [0], steps=song.steps)[0, 1]
    changed = []
    for strength in (0.25, 0.5, 0.75, 1.0):
        result = restyled(notes, to="jazz", genre="pop", engine=engine, strength=strength)
        changed.append(int((rolls(result.candidates[0].written.notes, [0], steps=song.steps)[0, 1] != source).sum()))
    assert changed == sorted(changed) and changed[-1] > 0


@pytest.mark.parametrize("engine", HERE)
def test_the_same_seed_writes_the_same(engine):
    options = {"genre": "jazz", "engine": engine, "candidates": 2 if JUDGED else 1, "seed": 7}
    twice = [spartito.restyle(piece(8), to="pop", **options) for _ in range(2)]
    assert np.array_equal(twice[0].array, twice[1].array)


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize(
    "options", [{"bars": 1}, {"bars": 15}, {"bars": 4, "metre": (3, 4)}, {"bars": 3, "metre": (6, 8)}]
)
def test_pieces_of_other_lengths_and_metres(engine, options):
    assert len(spartito.restyle(piece(**options), to="jazz", genre="classic", engine=engine)) > 0


@pytest.mark.parametrize("engine", HERE)
def test_three_notes(engine):
    assert len(spartito.restyle(piece(1).select([0, 1, 2]), to="jazz", genre="classic", engine=engine)) > 0


@pytest.mark.skipif(CYCLEGAN not in HERE, reason="the weights are not here")
@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_of_the_list_is_an_engine(pair):
    name = "-".join(["genre", *pair])
    assert name in [info.name for info in spartito.list_models()]
    assert spartito.load_model(name).generator(pair).pair == pair_of(*pair)


@pytest.mark.parametrize("name", [name for name in HERE if name != CYCLEGAN])
def test_other_engines_are_models_of_the_list(name):
    assert name in [info.name for info in spartito.list_models()]
    assert spartito.load_model(name).name == name


@pytest.mark.skipif(not HERE, reason="the weights are not here")
def test_the_usual_engine_ships():
    assert USUAL in HERE and open_engine().name == USUAL


@pytest.mark.skipif(USUAL not in HERE, reason="the weights are not here")
def test_from_a_file_to_files(tmp_path, capfd):
    path = write_piece(tmp_path / "piece.mid", 8, drums=True)
    status, _, err = run_cli(
        *(capfd, "restyle", path, "--to", "jazz", "--strength", "0.7", "--keep", "melody", "-f", "mid,csv"),
        *("--candidates", "2" if JUDGED else "1", "-o", tmp_path / "out"),
    )
    assert status == 0, err
    notes = spartito.read_midi(tmp_path / "out" / "piece_restyle_jazz.mid")
    assert [track.is_drum for track in notes.tracks] == [False, False, True] and len(notes) > 32
