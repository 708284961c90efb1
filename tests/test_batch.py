"""Many files: that no file harms another."""

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
from spartito.batch import run
from spartito.batch_files import Input, plan
from spartito.errors import MissingExtraError, ParameterError


def files(folder: Path, **contents: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.txt" for name in contents]
    for path, text in zip(paths, contents.values()):
        path.write_text(text)
    return paths


def jobs_of(paths, output, formats=("out",)):
    return plan([Input(p) for p in paths], formats=formats, ending="_x", output=output)


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


# -- groups -------------------------------------------------------------------------------------------------


@pytest.fixture
def groups():
    batch_tasks.GROUPS.clear()
    return batch_tasks.GROUPS


def grouped(tmp_path, workers=1, progress=None, **contents):
    """The outcomes by name, in the order they came."""
    jobs = jobs_of(files(tmp_path, **contents), tmp_path / "o")
    return {o.job.source.stem: o for o in run(jobs, batch_tasks.grouped, workers=workers, progress=progress)}


def test_a_group_is_what_fills_it(tmp_path, groups):
    found = grouped(tmp_path, a="1", b="2", c="3", d="4", e="alone", f="6")
    assert groups == [["1", "2", "3"], ["4", "alone"], ["6"]]
    assert [o.status for o in found.values()] == ["done"] * 6 and list(found) == list("abcdef")
    assert (tmp_path / "o" / "e_x.out").read_text() == "ALONE" and found["e"].details == {"length": 5}


def test_a_group_has_a_limit(tmp_path, groups, monkeypatch):
    monkeypatch.setattr(batch, "GROUP", 2)
    grouped(tmp_path, a="1", b="2", c="3")
    assert groups == [["1", "2"], ["3"]]


def test_a_failure_in_a_group_is_that_of_one_file(tmp_path, groups):
    found = grouped(tmp_path, a="early", b="odd", c="middle", d="late")
    assert groups == [["odd", "middle", "late"], ["odd"], ["middle"], ["late"]]  # together, then each by itself
    assert {name: (o.status, o.message) for name, o in found.items()} == {
        "a": ("failed", "there is nothing to begin with"),
        "b": ("done", ""),
        "c": ("failed", "there is nothing in the middle"),
        "d": ("failed", "there is no end"),
    }
    assert {name: o.warnings for name, o in found.items()} == {"a": (), "b": ("this is odd",), "c": (), "d": ()}
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["b_x.out"]


def test_one_file_that_fails_is_not_tried_twice(tmp_path, groups):
    assert grouped(tmp_path, c="middle")["c"].message == "there is nothing in the middle"
    assert groups == [["middle"]]


def test_several_workers_do_each_file_by_itself(tmp_path, groups):
    found = grouped(tmp_path, workers=2, a="1", b="middle", c="odd")
    assert {name: o.status for name, o in found.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert groups == [] and found["c"].warnings == ("this is odd",)


def test_an_interrupted_group_leaves_nothing_of_it(tmp_path, groups):
    def stop(job, part):
        if len(groups) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grouped(tmp_path, progress=stop, a="1", b="2", c="3", d="4", e="5")
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["a_x.out", "b_x.out", "c_x.out"]
    jobs = jobs_of([tmp_path / f"{name}.txt" for name in "abcde"], tmp_path / "o")
    again = [o.status for o in run(jobs, batch_tasks.grouped, skip_existing=True)]
    assert again == ["skipped"] * 3 + ["done"] * 2
