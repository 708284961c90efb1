"""`blend`, `sample` and `edit` on the command line: what they write, where, what they say; and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spartito
from frame import run_cli
from latent_songs import FakeLatent, piano, song
from spartito.errors import ModelError
from spartito.notes.layouts import PIANO
from spartito.notes.midi import write_midi
from spartito.style import latent


@pytest.fixture(autouse=True)
def models(monkeypatch):
    def opened(name, device="auto", threads=0):
        known = {"latent": FakeLatent(), "latent-16": FakeLatent(16), "latent-piano": FakeLatent(layout=PIANO)}
        if name not in known:
            raise ModelError(f"there is no model {name!r}")
        return known[name]

    monkeypatch.setattr(latent, "open_space", opened)


@pytest.fixture
def files(tmp_path):
    write_midi(song(4), tmp_path / "a.mid")
    write_midi(song(6, bpm=90, key=3), tmp_path / "b.mid")
    write_midi(piano(4), tmp_path / "p.mid")
    (tmp_path / "broken.mid").write_bytes(b"MThd nothing of the kind")
    return tmp_path


def test_blend_writes_all_steps_and_a_picture(capfd, files):
    status, out, err = run_cli(
        capfd, "blend", files / "a.mid", files / "b.mid", "--steps", 4, "--morph", "-o", files / "out", "--json"
    )
    assert status == 0, err
    names = sorted(p.name for p in (files / "out").iterdir())
    assert names == ["a_to_b.png", *(f"a_to_b_{i}.mid" for i in range(1, 5)), "a_to_b_morph.mid"]
    (told,) = json.loads(out)["files"]
    assert told["interval"] == -3 and len(told["steps"]) == 4 and told["morph"]["notes"] > 0
    first = spartito.read_midi(files / "out" / "a_to_b_1.mid")
    assert np.array_equal(first.array, spartito.read_midi(files / "a.mid").array)


def test_blend_beside_the_first_and_its_complaints(capfd, files):
    status, *_ = run_cli(capfd, "blend", files / "a.mid", files / "b.mid", "--steps", 12, "-f", "mid", "-q")
    assert status == 0 and (files / "a_to_b" / "a_to_b_03.mid").exists()
    for arguments, words in (
        (("a.mid", "broken.mid"), "broken.mid"),
        (("a.mid", "none.mid"), "no such file"),
        (("a.mid", "p.mid"), "--layout"),
    ):
        status, _, err = run_cli(capfd, "blend", *(files / name for name in arguments), "-o", files / "out")
        assert status == 1 and words in err and "Traceback" not in err
        assert not (files / "out").exists()
    status, _, err = run_cli(capfd, "blend", files / "a.mid", files / "b.mid", "-o", files / "x.mid")
    assert status == 2 and "folder" in err


def test_sample(capfd, files):
    status, _, err = run_cli(
        capfd, "sample", "--genre", "jazz", "--bars", 16, "--seed", 3, "--count", 2, "-o", files / "out"
    )
    assert status == 0, err
    assert sorted(p.name for p in (files / "out").iterdir()) == [
        "sample_jazz_3.mid", "sample_jazz_3.png", "sample_jazz_4.mid", "sample_jazz_4.png",
    ]  # fmt: skip
    one = files / "one.mid"
    status, *_ = run_cli(capfd, "sample", "--genre", "jazz:0.5,pop:0.5", "--bars", 2, "-o", one, "-q")
    assert status == 0 and len(spartito.read_midi(one))
    status, _, err = run_cli(capfd, "sample", "--genre", "polka", "-o", files / "none")
    assert status == 2 and "jazz, pop" in err and not (files / "none").exists()
    status, _, err = run_cli(capfd, "sample", "--count", 2, "-f", "mid", "-o", one)
    assert status == 2 and "one file" in err


def test_a_sampled_piano_piece_has_a_score(capfd, files):
    pytest.importorskip("partitura")
    status, _, err = run_cli(capfd, "sample", "--piano", "--bars", 4, "-f", "mid,musicxml", "-o", files / "out")
    assert status == 0, err
    assert (files / "out" / "sample_0.musicxml").stat().st_size > 500


def test_a_piano_model_draws_for_a_piano(capfd, files):
    status, _, err = run_cli(capfd, "sample", "--model", "latent-piano", "--bars", 4, "-o", files / "out")
    assert status == 0, err
    assert (files / "out" / "sample_0.png").exists()


def test_edit(capfd, files):
    status, out, err = run_cli(
        *(capfd, "edit", files / "a.mid", files / "broken.mid", "--density", "+1", "--keep", "drums,bass"),
        *("--bars", "2-3", "-o", files / "out", "--json"),
    )
    assert status == 1 and "broken.mid" in err  # and the other is done
    done = json.loads(out)["files"][0]
    assert done["status"] == "done" and done["sliders"]["asked"] == {"density": 1.0}
    assert sorted(p.name for p in (files / "out").iterdir()) == ["a_edit.mid", "a_edit.png"]
    before, after = (spartito.read_midi(p).array for p in (files / "a.mid", files / "out" / "a_edit.mid"))
    for track in (0, 1, 4):
        assert np.array_equal(before[before["track"] == track], after[after["track"] == track])


def test_an_edited_piano_piece_has_a_score(capfd, files):
    pytest.importorskip("partitura")
    status, _, err = run_cli(capfd, "edit", files / "p.mid", "--density", "-1", "-f", "mid,musicxml")
    assert status == 0, err
    assert (files / "p_edit.musicxml").exists()


def test_edit_complains(capfd, files):
    song_file = files / "a.mid"
    for arguments, status_, words in (
        ((), 2, "nothing is asked for"),
        (("--density", "9"), 2, "density"),
        (("--genre", "polka"), 1, "jazz, pop"),
        (("--density", "1", "--keep", "tuba"), 1, "drums, bass"),
        (("--density", "1", "--bars", "9-2"), 2, "bars"),
        (("--density", "1", "--model", "unheard"), 1, "no model"),
        (("--density", "1", "-o", song_file / "below"), 1, "a file, not a folder"),
    ):
        status, _, err = run_cli(capfd, "edit", song_file, *arguments, *("-f", "mid"))
        assert status == status_ and words in err and "Traceback" not in err, (arguments, err)
    assert not (files / "a_edit.mid").exists()
