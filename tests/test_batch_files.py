"""Many files: what is found, and where results go."""

from __future__ import annotations

from pathlib import Path

import pytest

import batch_tasks
from spartito.batch import run
from spartito.batch_files import Input, find_inputs, plan
from spartito.errors import ParameterError


def files(folder: Path, **contents: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.txt" for name in contents]
    for path, text in zip(paths, contents.values()):
        path.write_text(text)
    return paths


def jobs_of(paths, output, formats=("out",)):
    return plan([Input(p) for p in paths], formats=formats, ending="_x", output=output)


# -- what is found ------------------------------------------------------------------------------------------


def test_folders_are_searched_and_keep_their_sub_folders(tmp_path):
    files(tmp_path / "in" / "deep", b="1")
    files(tmp_path / "in", a="1", old_x="an earlier result")
    (tmp_path / "in" / "notes.md").write_text("no input")
    files(tmp_path / "in" / ".hidden", c="1")
    found = find_inputs([tmp_path / "in"], suffixes=[".txt"], ending="_x")
    assert [(i.path.name, str(i.folder)) for i in found] == [("a.txt", "."), ("b.txt", "deep")]


def test_several_folders_keep_their_own_names(tmp_path):
    files(tmp_path / "one", a="1")
    files(tmp_path / "two", a="2")
    found = find_inputs([tmp_path / "one", tmp_path / "two"], suffixes=[".txt"])
    jobs = plan(found, formats=["out"], ending="_x", output=tmp_path / "o")
    assert [j.outputs["out"] for j in jobs] == [tmp_path / "o/one/a_x.out", tmp_path / "o/two/a_x.out"]
    assert not any(j.problem for j in jobs)


def test_a_file_named_twice_comes_once(tmp_path):
    (path,) = files(tmp_path, a="1")
    assert len(find_inputs([path, tmp_path, path], suffixes=[".txt"])) == 1


def test_any_suffix_is_taken_when_named(tmp_path):
    assert [i.path.name for i in find_inputs([tmp_path / "strange.xyz"], suffixes=[".txt"])] == ["strange.xyz"]


def test_nothing_named():
    with pytest.raises(ParameterError, match="at least one"):
        find_inputs([], suffixes=[".txt"])


# -- where results go ---------------------------------------------------------------------------------------


def test_results_lie_beside_the_input_by_default(tmp_path):
    (path,) = files(tmp_path, song="1")
    (job,) = plan([Input(path)], formats=["mid", "pdf"], ending="_transcription")
    assert job.outputs == {n: tmp_path / f"song_transcription.{n}" for n in ("mid", "pdf")}


def test_output_with_a_suffix_is_a_file_for_one_input(tmp_path):
    a, b = files(tmp_path, a="1", b="2")
    (job,) = plan([Input(a)], formats=["mid"], ending="_x", output=tmp_path / "new.mid")
    assert job.outputs == {"mid": tmp_path / "new.mid"}
    with pytest.raises(ParameterError, match="one file"):
        plan([Input(a), Input(b)], formats=["mid"], ending="_x", output=tmp_path / "new.mid")
    with pytest.raises(ParameterError, match="pdf was asked for"):
        plan([Input(a)], formats=["pdf"], ending="_x", output=tmp_path / "new.mid")


@pytest.mark.parametrize("name", ["folder", "folder/", "v1.0", "there.is", "new.one/"])
def test_output_that_is_a_folder(tmp_path, name):
    (path,) = files(tmp_path, a="1")
    (tmp_path / "there.is").mkdir()
    (job,) = plan([Input(path)], formats=["mid"], ending="_x", output=f"{tmp_path}/{name}")
    assert job.outputs["mid"] == tmp_path / name / "a_x.mid"


@pytest.mark.parametrize("second", ["song.flac", "SONG.txt"])
def test_two_inputs_never_share_an_output(tmp_path, second):
    (first,) = files(tmp_path / "a", song="1")
    other = tmp_path / "b" / second
    other.parent.mkdir()
    other.write_text("2")
    jobs = jobs_of([first, other], tmp_path / "o")
    assert not jobs[0].problem and str(first) in jobs[1].problem
    assert [o.status for o in run(jobs, batch_tasks.copy)] == ["failed", "done"]
    assert (tmp_path / "o" / "song_x.out").read_text() == "1"


def test_the_input_is_never_overwritten(tmp_path):
    (path,) = files(tmp_path, a="mine")
    (job,) = plan([Input(path)], formats=["txt"], ending="", output=tmp_path)
    (outcome,) = run([job], batch_tasks.copy)
    assert outcome.status == "failed" and "overwrite the input" in outcome.message and path.read_text() == "mine"
