"""`restyle` on the command line: what it writes, where, what it says; and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spartito
from frame import run_cli
from restyling import FakeEngine, as_set, judged, piece, write_piece
from spartito import outputs_style
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track


def third(notes):
    """A third over every note of the right hand."""
    more = notes[notes[:, 4] == 1].copy()
    more[:, 2] += 4
    return np.concatenate([notes, more])


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    judged(monkeypatch)
    fake = FakeEngine(third)
    monkeypatch.setattr(outputs_style, "open_style_engine", lambda name, device: fake)
    return fake


def test_all_the_files(capfd, tmp_path):
    path = write_piece(tmp_path / "piece.mid", 4, drums=True)
    status, out, err = run_cli(capfd, "restyle", path, "--to", "jazz", "-o", tmp_path / "out")
    assert status == 0, err
    kinds = ("mid", "csv", "musicxml", "pdf", "png", "wav")
    for kind in kinds:
        assert (tmp_path / "out" / f"piece_restyle_jazz.{kind}").stat().st_size > 100
    assert "piece_restyle_jazz" in out and "52 notes" in out
    notes = spartito.read_midi(tmp_path / "out" / "piece_restyle_jazz.mid")
    assert len(notes) == 4 * 7 + 16 + 8 and [t.is_drum for t in notes.tracks] == [False, False, True]
    assert "<harmony" in (tmp_path / "out" / "piece_restyle_jazz.musicxml").read_text()  # chord symbols


def test_options_reach_the_engine(capfd, tmp_path, engine):
    path = write_piece(tmp_path / "piece.mid", 4)
    status, *_ = run_cli(
        *(capfd, "restyle", path, "--to", "jazz", "--from", "classic", "--strength", "0.7", "--keep", "melody"),
        *("--candidates", "2", "--seed", "3", "-f", "mid", "--time-signature", "2/4"),
    )
    assert status == 0
    ((song, wish),) = engine.asked
    assert (wish.source, wish.strength, wish.keep, wish.candidates, wish.seed) == ("classic", 0.7, ("melody",), 2, 3)
    assert song.positions.max() == 1 and not song.four


def test_several_genres_and_a_folder(capfd, tmp_path):
    for name in ("a", "b"):
        write_piece(tmp_path / "in" / f"{name}.mid", 2)
    run_cli(capfd, "restyle", tmp_path / "in", "--to", "jazz,classic", "-f", "mid,csv", "-o", tmp_path / "out", "-q")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(f"{n}_restyle_{g}.{k}" for n in "ab" for g in ("jazz", "classic") for k in ("mid", "csv"))
    # earlier results beside the input are no input
    run_cli(capfd, "restyle", tmp_path / "in", "--to", "jazz", "-f", "mid", "-q")
    status, out, _ = run_cli(
        capfd, "restyle", tmp_path / "in", "--to", "jazz", "-f", "mid", "--skip-existing", "--json"
    )
    assert status == 0 and json.loads(out)["skipped"] == 2 and len(json.loads(out)["files"]) == 2


def test_json_lists_all_candidates(capfd, tmp_path):
    path = write_piece(tmp_path / "piece.mid", 4)
    status, out, _ = run_cli(
        capfd, "restyle", path, "--to", "jazz,classic", "--candidates", "3", "-f", "mid", "--json", "-o", tmp_path
    )
    assert status == 0
    (told,) = json.loads(out)["files"]
    assert set(told["variants"]) == {"jazz", "classic"}
    jazz = told["variants"]["jazz"]
    assert (jazz["from"], jazz["to"], jazz["heard"]["pop"], jazz["beats_by"]) == ("pop", "jazz", 0.7, "file")
    assert sorted(c["number"] for c in jazz["candidates"]) == [0, 1, 2]
    assert all(0 <= c["independent"] <= 1 for c in jazz["candidates"])


def test_strength_zero_writes_the_source(capfd, tmp_path):
    path = write_piece(tmp_path / "piece.mid", 4, tracks=True, drums=True)
    status, *_ = run_cli(
        capfd, "restyle", path, "--to", "jazz", "--strength", "0", "-f", "mid,png", "-o", tmp_path / "o"
    )
    assert status == 0
    before, after = (spartito.read_midi(p) for p in (path, tmp_path / "o" / "piece_restyle_jazz.mid"))
    assert as_set(before, tracks=True) == as_set(after, tracks=True)
    assert before.tempo_map == after.tempo_map and [t.name for t in before.tracks] == [t.name for t in after.tracks]


def test_one_file_as_output_and_the_same_genre(capfd, tmp_path):
    path = write_piece(tmp_path / "piece.mid", 2)
    status, _, err = run_cli(capfd, "restyle", path, "--to", "pop", "--from", "pop", "-o", tmp_path / "x.mid")
    assert status == 0 and "it stays as it is" in err and (tmp_path / "x.mid").exists()


def test_tables_are_read_too(capfd, tmp_path):
    spartito.write_csv(piece(2), tmp_path / "piece.csv")
    status, _, err = run_cli(capfd, "restyle", tmp_path / "piece.csv", "--to", "jazz", "-f", "mid")
    assert status == 0, err
    assert (tmp_path / "piece_restyle_jazz.mid").exists()


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ([], 2, "--to"),
        (["--to", "metal"], 2, "classic, jazz, pop"),
        (["--to", "jazz", "--from", "metal"], 2, "metal"),
        (["--to", "jazz", "--strength", "2"], 2, "strength"),
        (["--to", "jazz", "--keep", "chords"], 2, "melody, bass"),
        (["--to", "jazz", "--candidates", "0"], 2, "candidates"),
        (["--to", "jazz", "--drums", "louder"], 2, "drums"),
        (["--to", "jazz", "-f", "gif"], 2, "formats"),
    ],
)
def test_what_was_not_understood(capfd, tmp_path, options, status, text):
    path = write_piece(tmp_path / "piece.mid", 2)
    found, out, err = run_cli(capfd, "restyle", path, *options)
    assert found == status and text in err and "Traceback" not in err + out
    assert [p.name for p in tmp_path.iterdir()] == ["piece.mid"]


def test_bad_files_cost_the_others_nothing(capfd, tmp_path):
    folder = tmp_path / "in"
    write_piece(folder / "good.mid", 2)
    (folder / "broken.mid").write_bytes(b"no MIDI at all")
    (folder / "empty.mid").write_bytes(b"")
    write_midi(Notes(), folder / "silent.mid")
    drums = Notes.from_arrays([0.0, 0.5], [0.1, 0.6], [36, 38], tracks=(Track(is_drum=True, channel=9),))
    write_midi(drums, folder / "drums.mid")
    status, out, err = run_cli(capfd, "restyle", folder, "--to", "jazz", "-f", "mid", "-o", tmp_path / "out")
    assert status == 1 and "1 done, 4 failed" in out + err and "Traceback" not in out + err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_restyle_jazz.mid"]
    status, _, err = run_cli(capfd, "restyle", tmp_path / "nowhere.mid", "--to", "jazz")
    assert status == 1 and "no such file" in err


def test_an_output_that_cannot_be_written(capfd, tmp_path):
    path = write_piece(tmp_path / "piece.mid", 2)
    (tmp_path / "out").write_text("a file where a folder should be")
    status, _, err = run_cli(capfd, "restyle", path, "--to", "jazz", "-f", "mid", "-o", tmp_path / "out/")
    assert status == 1 and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "piece.mid"]


def test_a_missing_model_stops_before_any_file(capfd, tmp_path, monkeypatch):
    monkeypatch.undo()  # the real engines
    path = write_piece(tmp_path / "piece.mid", 2)
    status, _, err = run_cli(capfd, "restyle", path, "--to", "jazz", "--engine", "nobody")
    assert status == 1 and "no model 'nobody'" in err
    status, _, err = run_cli(capfd, "restyle", path, "--to", "jazz", "--engine", "transcribe")
    assert status == 2 and "restyles nothing" in err
