"""Many files, one after the other or side by side, so that no file can harm another.

`find_inputs` turns what a person names (files and folders) into files; `plan` gives each the paths of its
outputs and notices before any work what cannot go well; `run` does the work and yields an `Outcome` for each
file as it ends. A file that fails is an outcome like any other. When a run is interrupted, what is finished
stays and what is half done vanishes; with `skip_existing` the next run goes on from there.

`workers` above 1 takes that many processes of this machine; "ray" hands the files to a Ray cluster whose
machines see the same folders.
"""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from spartito.errors import MissingExtraError, ParameterError, SpartitoError

__all__ = ["Input", "Job", "Outcome", "Task", "find_inputs", "names_a_file", "plan", "run"]

DEBUG = "SPARTITO_DEBUG"  # environment variable; when set, unexpected errors come with their traceback
PATIENCE = 5.0  # seconds an interrupted worker has to tidy up before it is killed

Task = Callable[..., dict]  # task(source, outputs, progress=callable or None) -> details; picklable


@dataclass(frozen=True)
class Input:
    """A file to work on, and the sub-folder its outputs go to."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True)
class Job:
    """A file, the output of each format, and what stands against it (empty: nothing)."""

    source: Path
    outputs: dict[str, Path] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    status : "done", "skipped" or "failed"
    message : str
        Why it failed.
    warnings : tuple of str
        What the user should know though it went well.
    details : dict
        What the task returned.
    elapsed : float
        Seconds it took.
    """

    job: Job
    status: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    details: dict = field(default_factory=dict)
    elapsed: float = 0.0

    def as_dict(self) -> dict:
        """For JSON."""
        return {
            "source": str(self.job.source),
            "status": self.status,
            "outputs": {name: str(path) for name, path in self.job.outputs.items() if path.exists()},
            "message": self.message,
            "warnings": list(self.warnings),
            "elapsed": round(self.elapsed, 3),
            **self.details,
        }


# -- planning -----------------------------------------------------------------------------------------------


def find_inputs(
    names: Iterable[str | os.PathLike], *, suffixes: Iterable[str], ending: str | tuple[str, ...] = ""
) -> list[Input]:
    """The files meant by `names`: files as they are, folders searched through for `suffixes`.

    In a folder, hidden files are passed over, and so is what carries `ending` (such as "_transcription", or one of
    several) at the end of its name: earlier outputs. Sub-folders are kept for the outputs; with several folders each
    keeps its own name, too. No file comes twice.

    Raises
    ------
    ParameterError
        Nothing was named.
    """
    names = [Path(name) for name in names]
    if not names:
        raise ParameterError("no files: name at least one file or folder")
    suffixes = {suffix.lower() for suffix in suffixes}
    several = sum(name.is_dir() for name in names) > 1
    found: dict[Path, Input] = {}
    for name in names:
        if not name.is_dir():
            found.setdefault(_identity(name), Input(name))
            continue
        top = Path(name.resolve().name) if several else Path()
        empty = True
        for path in sorted(_walk(name)):
            if path.suffix.lower() in suffixes and not (ending and path.stem.endswith(ending)):
                found.setdefault(_identity(path), Input(path, top / path.parent.relative_to(name)))
                empty = False
        if empty:
            found.setdefault(_identity(name), Input(name))  # `plan` complains about it
    return list(found.values())


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in files if not name.startswith("."))


def _identity(path: Path) -> Path:
    return Path(os.path.normcase(os.path.abspath(path)))


def plan(
    inputs: Sequence[Input],
    *,
    formats: Sequence[str],
    ending: str = "",
    output: str | os.PathLike | None = None,
    name: Callable[[str, str], str] | None = None,
) -> list[Job]:
    """The jobs of `inputs`: `<stem><ending>.<format>` each, in one folder or as one file.

    Parameters
    ----------
    formats : sequence of str
        Suffixes without their dot.
    output : path, optional
        A folder, or, for one input and one format, the file to write (it has that format as its suffix and is
        no folder). Without it outputs lie beside their input.
    name : callable, optional
        Gives the file name for the stem of an input and a format, when it is another than that.

    Raises
    ------
    ParameterError
        One file is asked for and there are several inputs or formats.
    """
    if output is not None and names_a_file(output):
        suffix = Path(output).suffix[1:].lower()
        if len(inputs) != 1 or inputs[0].path.is_dir():
            raise ParameterError(f"{output} is one file; give a folder for the results of several inputs")
        if list(formats) != [suffix]:
            raise ParameterError(f"{output} would be a .{suffix} file, but {', '.join(formats)} was asked for")
        return [_checked(Job(inputs[0].path, {suffix: Path(output)}))]
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    name = name or (lambda stem, kind: f"{stem}{ending}.{kind}")
    for item in inputs:
        folder = item.path.parent if output is None else Path(output) / item.folder
        outputs = {kind: folder / name(item.path.stem, kind) for kind in formats}
        rival = next((taken[key] for key in map(_fold, outputs.values()) if key in taken), None)
        if rival is not None:
            problem = f"its results would overwrite those of {rival}: rename one, or use another -o"
            jobs.append(Job(item.path, problem=problem))
            continue
        taken |= {_fold(path): item.path for path in outputs.values()}
        jobs.append(_checked(Job(item.path, outputs)))
    return jobs


def names_a_file(output: str | os.PathLike) -> bool:
    """Whether `output` names a file: it has a suffix that begins with a letter, and is no folder."""
    text = os.fspath(output)
    return Path(text).suffix[1:2].isalpha() and not text.endswith(("/", os.sep)) and not Path(text).is_dir()


def _fold(path: Path) -> Path:
    return Path(os.path.abspath(path).casefold())  # disks of macOS and Windows do not tell capitals apart


def _checked(job: Job) -> Job:
    """The job with what can be said against it before any work."""
    problem = ""
    if job.source.is_dir():
        problem = "this folder holds no file of a kind that can be read here"
    elif not job.source.exists():
        problem = "there is no such file"
    elif any(_identity(path) == _identity(job.source) for path in job.outputs.values()):
        problem = "the result would overwrite the input: use another -o"
    return Job(job.source, job.outputs, problem) if problem else job


# -- running ------------------------------------------------------------------------------------------------


def run(
    jobs: Sequence[Job],
    task: Task,
    *,
    workers: int | str = 1,
    skip_existing: bool = False,
    progress: Callable[[Job, float], None] | None = None,
) -> Iterator[Outcome]:
    """Do `jobs`, yielding each outcome as it comes.

    Parameters
    ----------
    task : callable
        `task(source, outputs, progress=...)`, a function of a module (or a `functools.partial` of one) when
        there are several workers.
    workers : int or "ray"
        Processes.
    skip_existing : bool
        Pass over jobs whose outputs are all there.
    progress : callable, optional
        Called with a job and the part of it that is done (0..1); with one worker only.

    Raises
    ------
    ParameterError
        No such number of workers.
    MissingExtraError
        "ray" without ray.
    """
    if workers != "ray" and not (isinstance(workers, int) and workers >= 1):
        raise ParameterError(f"jobs are a number from 1 on, or 'ray', not {workers!r}")
    todo = []
    for job in jobs:
        if job.problem:
            yield Outcome(job, "failed", job.problem)
        elif skip_existing and all(path.is_file() for path in job.outputs.values()):
            yield Outcome(job, "skipped")
        else:
            todo.append(job)
    if workers == "ray":
        yield from _with_ray(todo, task)
    elif workers == 1 or len(todo) < 2:
        for job in todo:
            yield _do(job, task, None if progress is None else lambda part, job=job: progress(job, part))
    else:
        yield from _with_processes(todo, task, min(workers, len(todo)))


def _do(job: Job, task: Task, progress: Callable[[float], None] | None = None) -> Outcome:
    """One job; whatever it raises, short of an interruption, becomes its outcome."""
    begin = time.perf_counter()
    details, message, status = {}, "", "done"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            details = task(job.source, job.outputs, progress=progress)
        except SpartitoError as error:
            status, message = "failed", str(error)
        except MemoryError:
            status, message = "failed", "there is not enough memory for it: try a part of it (--start, --end)"
        except OSError as error:
            status, message = (
                "failed",
                f"{error.strerror or error} ({error.filename or 'while reading or writing'})",
            )
        except Exception as error:  # a bug of ours must not cost the other files
            status, message = "failed", f"unexpected {type(error).__name__}: {error} (please report this)"
            if os.environ.get(DEBUG):
                traceback.print_exc(file=sys.stderr)
    own = dict.fromkeys(str(w.message) for w in caught if w.category.__module__.startswith("spartito"))
    return Outcome(job, status, message, tuple(own), details or {}, time.perf_counter() - begin)


# -- processes ----------------------------------------------------------------------------------------------


def _with_processes(jobs: Sequence[Job], task: Task, workers: int) -> Iterator[Outcome]:
    """Outcomes from a pool. When a worker dies (out of memory, say) nobody knows at which job, so those that
    are left get a process each, one after the other, and only the guilty one fails."""
    lost = []
    with _pool(workers, jobs) as pool:
        futures = {pool.submit(_do_apart, job, task): job for job in jobs}
        for future, outcome in _as_they_come(futures):
            if outcome is None:
                lost.append(futures[future])
            else:
                yield outcome
    _sweep(lost)
    for job in lost:
        with _pool(1, [job]) as pool:
            for _, outcome in _as_they_come({pool.submit(_do_apart, job, task): job}):
                died = "its process ended without a word; was there too little memory? (fewer --jobs help)"
                yield outcome or Outcome(job, "failed", died)
        _sweep([job])


def _as_they_come(futures: dict[Future, Job]) -> Iterator[tuple[Future, Outcome | None]]:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)  # wakes up for Ctrl-C on Windows
        for future in done:
            try:
                yield future, future.result()
            except BrokenProcessPool:
                yield future, None


@contextmanager
def _pool(workers: int, jobs: Sequence[Job]) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes; when the block is left by an exception they are told to stop and to tidy up."""
    context = multiprocessing.get_context("spawn")  # forking a process with threads in it may deadlock
    before = set(multiprocessing.active_children())
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children = set(multiprocessing.active_children()) - before
        for child in children:
            child.terminate()
        for child in children:
            child.join(PATIENCE)
            if child.is_alive():
                child.kill()
                child.join()
        _sweep(jobs)
        raise
    pool.shutdown()


def _start_worker(threads: int) -> None:
    """Leave Ctrl-C to the main process, and make its `terminate` run the clean-up that an exception runs."""
    os.environ.setdefault("SPARTITO_THREADS", str(threads))  # of the network, see `outputs.open_model`
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)


def _do_apart(job: Job, task: Task) -> Outcome:
    try:
        return _do(job, task)
    except SystemExit:  # from `_stop`; the pool would take it for a result and begin the next job
        os._exit(1)


def _stop(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _sweep(jobs: Iterable[Job]) -> None:
    """Remove the temporary files that a killed process left behind (their names are those of `atomic_path`)."""
    for path in (path for job in jobs for path in job.outputs.values()):
        for left in path.parent.glob(f".{glob.escape(path.stem[:100])}.*.part{path.suffix}"):
            with suppress(OSError):
                left.unlink()


# -- Ray ----------------------------------------------------------------------------------------------------


def _with_ray(jobs: Sequence[Job], task: Task) -> Iterator[Outcome]:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", extra="ray", purpose="--jobs ray") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    remote = ray.remote(_do)
    waiting = {remote.remote(job, task): job for job in jobs}
    try:
        while waiting:
            done, _ = ray.wait(list(waiting))
            for reference in done:
                job = waiting.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield Outcome(job, "failed", f"its worker was lost: {error}")
    except BaseException:
        for reference in waiting:
            ray.cancel(reference)
        raise
