"""`spartito train genre`: folders of MIDI files through all steps, with a report."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from spartito.cli import app
from spartito.errors import ParameterError
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature
from spartito.training import genre_commands
from spartito.training.data.genre_phrases import Rules, load_phrases, open_published, pair_name
from spartito.training.data.genre_store import SPLITS, open_store
from spartito.training.genre_commands import parse_folders, prepare_folders, prepare_sets, summary


def quiet(text):
    pass


def write(path, *, bars=8, pitch=60, metre=(4, 4), drums=False):
    """A note on each beat, of a beat."""
    onset = 0.5 * np.arange(4 * bars)
    clock = TempoMap.constant(120, time_signatures=(TimeSignature(0, *metre),) if metre else ())
    path.parent.mkdir(parents=True, exist_ok=True)
    track = Track("piano", is_drum=drums)
    write_midi(Notes.from_arrays(onset, onset + 0.5, pitch, tracks=(track,), tempo_map=clock), path)


@pytest.fixture
def folders(tmp_path):
    """Jazz: ten songs of two phrases; classic: one good, one that says no metre, and some that are of no use."""
    for i in range(10):
        write(tmp_path / "jazz" / f"{i}.mid", pitch=50 + i)
    good = tmp_path / "classic" / "sub" / "good.mid"
    write(good, bars=17)
    write(tmp_path / "classic" / "silent.mid", metre=None)
    write(tmp_path / "classic" / "waltz.mid", metre=(3, 4))
    write(tmp_path / "classic" / "kit.mid", drums=True)
    (tmp_path / "classic" / "copy.mid").write_bytes(good.read_bytes())
    (tmp_path / "classic" / "broken.mid").write_bytes(b"MThd")
    return {"jazz": [tmp_path / "jazz"], "classic": [tmp_path / "classic"]}


def reasons(content, genre="classic"):
    return {row["file"]: row["refused"] for row in content["genres"][genre]["files"]}


def test_all_steps_and_a_report_of_every_file(folders, tmp_path):
    content = prepare_folders(folders, tmp_path / "out", report=quiet)
    told = reasons(content)
    assert told["copy.mid"] == "" and told["silent.mid"] == ""
    assert told["sub/good.mid"] == "it is the same as copy.mid"
    assert "3/4" in told["waltz.mid"] and "drums" in told["kit.mid"] and "cut short" in told["broken.mid"]
    jazz, classic = content["genres"]["jazz"], content["genres"]["classic"]
    assert jazz["phrases"] == {"train": 18, "test": 2} and jazz["songs"] == 10
    assert sum(classic["phrases"].values()) == 6 and classic["songs"] == 2
    assert content["pairs"]["JC"] == {
        mode: min(classic["phrases"][mode], jazz["phrases"][mode]) for mode in ("train", "test")
    }
    assert len(load_phrases(tmp_path / "out" / "JC_J" / "train")) == content["pairs"]["JC"]["train"]
    assert len(load_phrases(tmp_path / "out" / "JC_C" / "test")) == content["pairs"]["JC"]["test"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == content
    text = (tmp_path / "out" / "report.txt").read_text()
    assert "waltz.mid: it is in 3/4" in text and "10 of 10 songs" in text
    assert "4 refused, the first" in summary(content)
    index = json.loads((tmp_path / "out" / "genres" / "classic" / "midis_clean.json").read_text())
    assert sorted(index) == ["copy.mid", "silent.mid"] and index["copy.mid"]["time_signature"] == "4/4"
    strict = prepare_folders(folders, tmp_path / "strict", rules=Rules(strict=True), report=quiet)
    assert "no time signature" in reasons(strict)["silent.mid"]


def test_no_song_is_in_training_and_test(folders, tmp_path):
    prepare_folders(folders, tmp_path / "out", report=quiet)
    train, test = (load_phrases(tmp_path / "out" / "genres" / "jazz" / mode) for mode in ("train", "test"))
    keys = [set(np.flatnonzero(part.any(axis=(0, 1))).tolist()) for part in (train, test)]
    assert len(keys[0]) == 9 and len(keys[1]) == 1 and not keys[0] & keys[1]


def test_the_songs_are_in_the_store_with_their_onsets(folders, tmp_path):
    prepare_folders(folders, tmp_path / "out", report=quiet)
    test = open_store(tmp_path / "out", "jazz", "test")
    rolls = test.rolls(test.windows(hop=64))
    assert len(test) == 1 and rolls.shape == (2, 2, 64, 84)
    assert rolls[:, 0].sum() == 32 and rolls[:, 1].sum() == 128  # a note on each beat, sounding all the time


def test_songs_that_are_played_freely_are_told(tmp_path):
    onset = np.cumsum(np.random.default_rng(0).uniform(0.1, 0.6, 100))
    (tmp_path / "jazz").mkdir()
    clock = TempoMap.constant(120, time_signatures=(TimeSignature(0, 4, 4),))
    write_midi(Notes.from_arrays(onset, onset + 0.1, 60, tempo_map=clock), tmp_path / "jazz" / "free.mid")
    write(tmp_path / "jazz" / "even.mid")
    content = prepare_folders({"jazz": [tmp_path / "jazz"]}, tmp_path / "out", report=quiet)
    assert reasons(content, "jazz")["free.mid"].startswith("it is played freely")
    content = prepare_folders({"jazz": [tmp_path / "jazz"]}, tmp_path / "out", rules=Rules(strict=True), report=quiet)
    assert reasons(content, "jazz")["free.mid"] == ""  # as published
    assert "1 are played freely, not on the beats of their file: free.mid" in summary(content)


def test_published_phrases_are_pieces_as_they_are(folders, tmp_path):
    # two notes far apart: no onset in every bar
    notes = Notes.from_arrays([0.0, 9.0], [1.0, 9.5], [40, 41], tempo_map=TempoMap.constant(120))
    write_midi(notes, tmp_path / "jazz" / "long.mid")
    prepare_folders(folders, tmp_path / "out", rules=Rules(tail="fill"), report=quiet)
    phrases = load_phrases(tmp_path / "out" / "genres" / "jazz" / "train")
    pieces = open_published(tmp_path / "out", "jazz", "train")
    windows = pieces.windows(hop=64)
    assert len(windows) == len(pieces) == len(phrases)
    assert (pieces.rolls(windows)[:, 1] == phrases).all()
    side = open_published(tmp_path / "out", "classic", "test", pair=("classic", "jazz"))
    assert len(side) == len(load_phrases(tmp_path / "out" / "JC_C" / "test"))
    with pytest.raises(ParameterError, match="no phrases"):
        open_published(tmp_path / "out", "pop", "train")


def test_three_genres_have_a_mixed_folder(folders, tmp_path):
    write(tmp_path / "pop" / "a.mid")
    write(tmp_path / "pop" / "b.mid", bars=12)
    content = prepare_folders(folders | {"pop": [tmp_path / "pop"]}, tmp_path / "out", share=0.0, report=quiet)
    assert sorted(content["pairs"]) == ["CP", "JC", "JCP_mixed", "JP"]
    assert content["pairs"]["JCP_mixed"] == {"train": 5}
    assert len(list((tmp_path / "out" / "JCP_mixed").glob("*.npy"))) == 15


def test_an_interrupted_run_goes_on(folders, tmp_path, monkeypatch):
    work, done = genre_commands.keep_song, []

    def until_interrupted(path, *args, **options):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(path.name)
        return work(path, *args, **options)

    monkeypatch.setattr(genre_commands, "keep_song", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_folders(folders, tmp_path / "out", report=quiet)
    monkeypatch.undo()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").rglob("*.npz")}
    assert len(kept) == 4
    for path in (tmp_path / "jazz").iterdir():
        os.utime(path, (0, 0))  # the date says nothing
    content = prepare_folders(folders, tmp_path / "out", report=quiet)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert content == prepare_folders(folders, tmp_path / "whole", report=quiet)


def test_a_changed_file_is_done_again(folders, tmp_path):
    before = prepare_folders(folders, tmp_path / "out", report=quiet)["genres"]["jazz"]["phrases"]
    for path in (tmp_path / "jazz").iterdir():
        write(path, bars=4, pitch=40)
    after = prepare_folders(folders, tmp_path / "out", report=quiet)["genres"]["jazz"]
    assert before == {"train": 18, "test": 2} and sum(after["phrases"].values()) == 1  # now all are one and the same
    assert len(load_phrases(tmp_path / "out" / "genres" / "jazz" / "train")) == 1


def test_folders_are_named_as_genres_or_told():
    assert pair_name(["classic", "jazz"]) == "JC" and pair_name(["pop", "jazz", "classic"]) == "JCP"
    assert pair_name(["rock", "pop"]) == "PR"


def test_what_prepare_takes(tmp_path):
    for name in ("jazz", "rock", "other"):
        (tmp_path / name).mkdir()
    told = parse_folders([str(tmp_path / "rock"), f"jazz={tmp_path / 'other'}", str(tmp_path / "jazz")])
    assert told == {"jazz": [tmp_path / "other", tmp_path / "jazz"], "rock": [tmp_path / "rock"]}
    with pytest.raises(ParameterError, match="no folder"):
        parse_folders(["jazz=elsewhere"])
    with pytest.raises(ParameterError, match="first letters"):
        parse_folders([str(tmp_path / "rock"), f"reggae={tmp_path / 'other'}"])
    with pytest.raises(ParameterError, match="letters and figures"):
        parse_folders([f"../jazz={tmp_path / 'other'}"])


def invoke(*words):
    return CliRunner().invoke(app, ["train", "genre", *map(str, words)])


def test_the_command(folders, tmp_path):
    result = invoke(tmp_path / "out", "--prepare", tmp_path / "jazz", "--prepare", f"classic={tmp_path / 'classic'}")
    assert result.exit_code == 0, result.output
    assert "jazz: 10 of 10 songs; 18 phrases for training, 2 for testing" in result.output
    assert "classic: 2 of 6 songs" in result.output and "JC:" in result.output


def test_bad_input_is_said_in_a_line(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    write(tmp_path / "drums" / "a.mid", drums=True)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.mid").write_bytes(b"no MIDI")
    for words, status, said in (
        ([tmp_path / "out"], 2, "give --prepare"),
        ([tmp_path / "out", "--prepare", tmp_path / "empty"], 2, "no MIDI files"),
        ([tmp_path / "out", "--prepare", tmp_path / "drums"], 2, "no song of drums qualifies"),
        ([tmp_path / "out", "--prepare", tmp_path / "damaged"], 2, "no song of damaged qualifies"),
        ([tmp_path / "file", "--prepare", tmp_path / "jazz"], 1, "cannot write"),
        ([tmp_path / "out", "--prepare", tmp_path / "jazz", "--share", "1.5"], 2, "share"),
        ([tmp_path / "out", "--prepare", tmp_path / "jazz", "--tail", "keep"], 2, "remove, fill"),
        ([tmp_path / "out", "--prepare", tmp_path / "jazz", "--jobs", "0"], 2, "--jobs"),
        ([tmp_path / "out", "--asap", tmp_path / "jazz"], 1, "no ASAP folder"),
        ([tmp_path / "out", "--pop909", tmp_path / "jazz"], 2, "no songs of POP909"),
    ):
        result = invoke(*words)
        assert result.exit_code == status and said in " ".join(result.output.split()), (words, result.output)
    assert "a.mid: is not a MIDI file" in (tmp_path / "out" / "report.txt").read_text()


def test_the_sets_of_our_models_go_to_the_store(tmp_path):
    (tmp_path / "ASAP").mkdir()
    lines = ["composer,title,midi_score,midi_score_annotations,midi_performance,performance_annotations"]
    lines.append("Bach,Air,score.mid,score.txt,played.mid,played.txt")
    (tmp_path / "ASAP" / "metadata.csv").write_text("\n".join(lines) + "\n")
    for name in ("score", "played"):
        write(tmp_path / "ASAP" / f"{name}.mid")
        beats = [(0.5 * i, "db,4/4" if i == 0 else "db" if i % 4 == 0 else "b") for i in range(32)]
        (tmp_path / "ASAP" / f"{name}.txt").write_text("".join(f"{t}\t{t}\t{kind}\n" for t, kind in beats))
    counts = prepare_sets(tmp_path / "out", asap=tmp_path / "ASAP", report=quiet)
    assert list(counts) == ["asap-scores", "asap"] and [list(c.values()) for c in counts.values()] == [[1], [1]]
    (split,) = counts["asap"]
    pieces = open_store(tmp_path / "out", "classic", split)
    cells = ["0" if name != split else "1 / 1 / 2" for name in SPLITS]
    assert f"| classic | asap | {' | '.join(cells)} |" in invoke(tmp_path / "out").output
    assert sorted(pieces.sets.tolist()) == ["asap", "asap-scores"] and len(pieces.windows(hop=64)) == 4
