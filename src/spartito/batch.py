"""Many files, one after the other or side by side, so that no file can harm another.

`batch_files` turns what a person names into jobs; `run` does the work and yields an `Outcome` for each file as it
ends. A file that fails is an outcome like any other. When a run is interrupted, what is finished
stays and what is half done vanishes; with `skip_existing` the next run goes on from there.

`workers` above 1 takes that many processes of this machine; "ray" hands the files to a Ray cluster whose
machines see the same folders.

A `Grouped` task has a part that costs less for several files than for one after the other. One process gathers files
until they fill it; several processes, which share nothing, do each file by itself.
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
from dataclasses import dataclass, field, replace
from pathlib import Path

from spartito.batch_files import Input, Job, find_inputs, names_a_file, plan
from spartito.errors import MissingExtraError, ParameterError, SpartitoError

__all__ = ["Grouped", "Input", "Job", "Outcome", "Task", "find_inputs", "names_a_file", "plan", "run"]

DEBUG = "SPARTITO_DEBUG"  # environment variable; when set, unexpected errors come with their traceback
GROUP = 16  # files of a group at most
PATIENCE = 5.0  # seconds an interrupted worker has to tidy up before it is killed

Task = Callable[..., dict]  # task(source, outputs, progress=callable or None) -> details; picklable


@dataclass(frozen=True)
class Grouped:
    """A task whose middle part is done for several files at once.

    Attributes
    ----------
    begin : callable
        `begin(source, progress=...)` -> what is known of one file; its `share` says which part of a group it fills, 1
        when it gains nothing from company.
    together : callable
        `together(begun, progress=...)` -> a result for each of them.
    end : callable
        `end(begun, result, outputs, progress=...)` -> details.
    """

    begin: Callable[..., object]
    together: Callable[..., list]
    end: Callable[..., dict]

    def __call__(self, source: Path, outputs, *, progress: Callable[[float], None] | None = None) -> dict:
        """All of it for one file."""
        begun = self.begin(source, progress=progress)
        (result,) = self.together([begun], progress=progress)
        return self.end(begun, result, outputs, progress=progress)


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
        there are several workers; or a `Grouped` of such.
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
        tell = lambda job: None if progress is None else lambda part: progress(job, part)  # noqa: E731
        if isinstance(task, Grouped):
            yield from _in_groups(todo, task, tell)
        else:
            for job in todo:
                yield _do(job, task, tell(job))
    else:
        yield from _with_processes(todo, task, min(workers, len(todo)))


def _do(job: Job, task: Task, progress: Callable[[float], None] | None = None) -> Outcome:
    """One job."""
    return _tried(lambda: task(job.source, job.outputs, progress=progress)).outcome(job)


@dataclass(frozen=True)
class _Tried:
    """What came of some work: its result, or why there is none."""

    result: object
    message: str
    warnings: tuple[str, ...]
    elapsed: float

    def after(self, *earlier: _Tried) -> _Tried:
        """The same, with what was said in earlier parts and the time they took."""
        told = dict.fromkeys(text for part in (*earlier, self) for text in part.warnings)
        return replace(self, warnings=tuple(told), elapsed=self.elapsed + sum(part.elapsed for part in earlier))

    def outcome(self, job: Job) -> Outcome:
        status, details = ("failed", {}) if self.message else ("done", self.result or {})
        return Outcome(job, status, self.message, self.warnings, details, self.elapsed)


def _tried(work: Callable[[], object]) -> _Tried:
    """Whatever `work` raises, short of an interruption, becomes a message."""
    begin = time.perf_counter()
    result, message = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = work()
        except SpartitoError as error:
            message = str(error)
        except MemoryError:
            message = "there is not enough memory for it: try a part of it (--start, --end)"
        except OSError as error:
            message = f"{error.strerror or error} ({error.filename or 'while reading or writing'})"
        except Exception as error:  # a bug of ours must not cost the other files
            message = f"unexpected {type(error).__name__}: {error} (please report this)"
            if os.environ.get(DEBUG):
                traceback.print_exc(file=sys.stderr)
    own = dict.fromkeys(str(w.message) for w in caught if w.category.__module__.startswith("spartito"))
    return _Tried(result, message, tuple(own), time.perf_counter() - begin)


# -- groups -------------------------------------------------------------------------------------------------


def _in_groups(jobs: Sequence[Job], task: Grouped, tell: Callable[[Job], object]) -> Iterator[Outcome]:
    """A file that fails is out before its group is full; the others wait for company, then all are done."""
    group: list[tuple[Job, _Tried]] = []
    for job in jobs:
        begun = _tried(lambda job=job: task.begin(job.source, progress=tell(job)))
        if begun.message:
            yield begun.outcome(job)
        else:
            group.append((job, begun))
        if len(group) == GROUP or sum(begun.result.share for _, begun in group) >= 1.0:
            yield from _together(group, task, tell)
            group = []
    yield from _together(group, task, tell)


def _together(group: Sequence[tuple[Job, _Tried]], task: Grouped, tell: Callable[[Job], object]) -> Iterator[Outcome]:
    """The outcomes of a group. What it cannot do together, for want of memory, say, each file does by itself."""
    if not group:
        return
    begun = [of_one.result for _, of_one in group]
    whole = _tried(lambda: task.together(begun, progress=tell(group[-1][0])))
    if not whole.message:
        made = [replace(whole, result=result, elapsed=whole.elapsed / len(group)) for result in whole.result]
    elif len(group) == 1:
        made = [whole]
    else:
        made = [
            _tried(lambda state=state, job=job: task.together([state], progress=tell(job))[0])
            for state, (job, _) in zip(begun, group, strict=True)
        ]
    for (job, before), own in zip(group, made, strict=True):
        if not own.message:
            ended = _tried(lambda: task.end(before.result, own.result, job.outputs, progress=tell(job)))  # noqa: B023
            own = ended.after(own)
        yield own.after(before).outcome(job)


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
