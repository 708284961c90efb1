import csv
import json
import pickle
import re
from functools import partial

import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from pair_files import Ears, music, write_cover
from spartito.errors import ParameterError
from spartito.training import pair_commands
from spartito.training.cli import app
from spartito.training.data.arrangements import open_pieces
from spartito.training.data.pairs import Filters, Pair
from spartito.training.pair_commands import prepare_pairs, read_pairs, summary


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A song with a good cover, a cover of another song, a broken one, and one that is not there."""
    ears = Ears(monkeypatch)
    notes = ears.song(tmp_path / "song.wav")
    write_cover(notes, tmp_path / "good.mid", lead=1.0)
    write_cover(music(1), tmp_path / "wrong.mid")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    lines = ["song,cover,composer", "song.wav,broken.mid,", "song.wav,good.mid,Ann", "song.wav,wrong.mid,"]
    lines += ["song.wav,missing.mid,", "broken.wav,good.mid,", "song.wav,good.mid,twice"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def quiet(text):
    pass


def test_a_list_is_read_beside_itself(folder):
    pairs = read_pairs(folder / "list.csv")
    assert [pair.cover.name for pair in pairs] == ["broken.mid", "good.mid", "wrong.mid", "missing.mid", "good.mid"]
    assert pairs[1].song == folder / "song.wav" and pairs[1].composer == "Ann"  # the pair that comes twice counts once
    assert len({pair.name for pair in pairs}) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "columns song and cover"),
        ("song,piano\na,b\n", "columns song and cover"),
        ("song,cover\n", "holds no pairs"),
        ("song,cover\n\n , \n", "holds no pairs"),
        ("song,cover\na.mp3,b.mid\nc.mp3,\n", "line 3: a pair needs"),
        ("song,cover\na.mp3,b\xff\x00.mid\n", "no list of pairs"),
    ],
)
def test_a_list_that_is_none(tmp_path, text, words):
    (tmp_path / "list.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ParameterError, match=words):
        read_pairs(tmp_path / "list.csv")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read"):
        read_pairs(tmp_path / "list.csv")


def test_bad_files_are_told_and_stop_nothing(folder):
    store = folder / "store"
    rows = prepare_pairs(read_pairs(folder / "list.csv"), store, report=quiet)
    assert [row["status"] for row in rows] == ["failed", "kept", "dropped", "failed", "failed"]
    assert "missing.mid" in rows[3]["reasons"][0] and "broken.wav" in rows[4]["reasons"][0]
    assert len(open_pieces(store / rows[1]["split"])) == 1
    report = json.loads((store / "report.json").read_text())
    assert report["counts"] == {"kept": 1, "dropped": 1, "failed": 3, "not reached": 0}
    assert report["filters"]["melody"] == 0.15 and [row["name"] for row in report["pairs"]] == [r["name"] for r in rows]
    with (store / "report.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["status"] for row in table] == [row["status"] for row in rows]
    assert table[1]["transposition"] == "0" and float(table[2]["aligned"]) < 0.6
    assert "beats fit" in table[2]["reasons"]
    text = summary(rows)
    assert (
        text.startswith("5 pairs: 1 kept, 1 dropped, 3 failed")
        and "broken" in text
        and f"{rows[1]['bars']} bars" in text
    )


def test_an_interrupted_run_reports_and_goes_on(folder, monkeypatch):
    store, pairs = folder / "store", read_pairs(folder / "list.csv")[1:3]
    work, done = pair_commands.prepare_pair, []

    def until_interrupted(pair, store, **options):
        if done:
            raise KeyboardInterrupt
        done.append(pair.name)
        return work(pair, store, **options)

    monkeypatch.setattr(pair_commands, "prepare_pair", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_pairs(pairs, store, report=quiet)
    report = json.loads((store / "report.json").read_text())
    assert [row["status"] for row in report["pairs"]] == ["kept", "not reached"]
    monkeypatch.setattr(pair_commands, "prepare_pair", work)
    assert [row["status"] for row in prepare_pairs(pairs, store, report=quiet)] == ["kept", "dropped"]


def test_the_work_can_be_handed_to_another_process(tmp_path):
    pair = Pair(tmp_path / "a.mp3", tmp_path / "b.mid")
    task = partial(pair_commands._task, pairs={pair.name: pair}, store=tmp_path, filters=Filters(), model="transcribe")
    assert pickle.loads(pickle.dumps(task)).keywords["pairs"] == {pair.name: pair}


def run(*arguments):
    return CliRunner().invoke(app, ["pairs", *(str(a) for a in arguments)])


def test_the_command(folder):
    result = run(folder / "list.csv", folder / "store")
    assert result.exit_code == 1  # there are files that could not be read
    assert "2/5 good-" in result.output and "5 pairs: 1 kept" in result.output
    (folder / "list.csv").write_text("song,cover\nsong.wav,good.mid\n")
    result = run(folder / "list.csv", folder / "store", "--set", "melody=2")
    assert result.exit_code == 0 and re.search(r"dropped: the top line .* 200% is asked for", result.output)


@pytest.mark.parametrize(
    "options", [["--jobs", "0"], ["--jobs", "many"], ["--set", "beauty=1"], ["--set", "melody=much"]]
)
def test_options_out_of_their_domain(folder, options):
    result = run(folder / "list.csv", folder / "store", *options)
    assert result.exit_code != 0 and isinstance(result.exception, ParameterError)
    assert not (folder / "store").exists()
