"""Many files: what is found, where results go, and that no file harms another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import batch_tasks
from spartito import batch
from spartito.batch import Input, find_inputs, plan, run
from spartito.errors import MissingExtraError, ParameterError


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


# -- running ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_file_never_stops_the_others(tmp_path, workers):
    paths = files(tmp_path, a="1", b="fail", c="bug", d="22")
    jobs = jobs_of([*paths, tmp_path / "missing.txt", tmp_path], tmp_path / "o")
    outcomes = {o.job.source.name: o for o in run(jobs, batch_tasks.copy, workers=workers)}
    assert {n: o.status for n, o in outcomes.items()} == {
        "a.txt": "done", "b.txt": "failed", "c.txt": "failed", "d.txt": "done", "missing.txt": "failed",
        tmp_path.name: "failed",
    }  # fmt: skip
    assert outcomes["b.txt"].message == "there is nothing to copy"
    assert "ZeroDivisionError" in outcomes["c.txt"].message and "report" in outcomes["c.txt"].message
    assert "no such file" in outcomes["missing.txt"].message
    assert outcomes["d.txt"].details == {"length": 2}
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["a_x.out", "d_x.out"]


def test_a_worker_that_dies_costs_only_its_own_file(tmp_path):
    jobs = jobs_of(files(tmp_path, a="1", b="die", c="3"), tmp_path / "o")
    status = {o.job.source.stem: o.status for o in run(jobs, batch_tasks.copy, workers=2)}
    assert status == {"a": "done", "b": "failed", "c": "done"}


def test_skip_existing_wants_all_outputs(tmp_path):
    jobs = jobs_of(files(tmp_path, a="1", b="2"), tmp_path / "o", formats=("p", "q"))
    assert [o.status for o in run(jobs, batch_tasks.copy)] == ["done", "done"]
    (tmp_path / "o" / "b_x.q").unlink()
    assert [o.status for o in run(jobs, batch_tasks.copy, skip_existing=True)] == ["skipped", "done"]
    assert (tmp_path / "o" / "b_x.q").read_text() == "2"


def test_progress_belongs_to_its_job(tmp_path):
    heard = []

    def task(source, outputs, *, progress):
        progress(0.5)
        return {}

    jobs = jobs_of(files(tmp_path, a="1", b="2"), tmp_path / "o")
    list(run(jobs, task, progress=lambda job, part: heard.append((job.source.stem, part))))
    assert heard == [("a", 0.5), ("b", 0.5)]


def test_bad_numbers_of_workers(tmp_path):
    for workers in (0, -1, "many"):
        with pytest.raises(ParameterError):
            list(run([], batch_tasks.copy, workers=workers))


def test_ray_missing_or_present(tmp_path):
    jobs = jobs_of(files(tmp_path, a="1", b="fail"), tmp_path / "o")
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"spartito\[ray\]"):
            list(run(jobs, batch_tasks.copy, workers="ray"))
    else:
        status = {o.job.source.stem: o.status for o in run(jobs, batch_tasks.copy, workers="ray")}
        assert status == {"a": "done", "b": "failed"}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_an_interrupted_run_keeps_what_is_finished_and_leaves_no_half(tmp_path, number, workers):
    files(tmp_path, quick="1", slow1="1", slow2="1", slow3="1")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import batch_tasks
        from spartito.batch import find_inputs, plan, run

        def stop(number, frame):
            raise KeyboardInterrupt

        if __name__ == "__main__":
            signal.signal(signal.SIGTERM, stop)
            found = find_inputs([{str(tmp_path)!r}], suffixes=[".txt"])
            jobs = plan(found, formats=["out"], ending="_x", output={str(tmp_path / "o")!r})
            try:
                for outcome in run(jobs, batch_tasks.linger, workers={workers}):
                    print(outcome.job.source.name, flush=True)
            except KeyboardInterrupt:
                sys.exit(130)
        """)
    )
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "quick.txt"
        until = time.monotonic() + 60
        while not list((tmp_path / "o").glob(".slow*")) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.stdout.close()
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["quick_x.out"]


def test_the_sweep_takes_only_temporary_files_of_its_jobs(tmp_path):
    (job,) = jobs_of(files(tmp_path, a="1"), tmp_path / "o")
    (tmp_path / "o").mkdir()
    for name in (".a_x.0123abcd.part.out", ".b_x.0123abcd.part.out", "a_x.out", ".a_x.out"):
        (tmp_path / "o" / name).write_text("")
    batch._sweep([job])
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [".a_x.out", ".b_x.0123abcd.part.out", "a_x.out"]
