"""Which files a run works on, and where the results of each go.

`find_inputs` turns what a person names (files and folders) into files; `plan` gives each the paths of its outputs and
notices before any work what cannot go well. `batch.run` does what is planned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spartito.errors import ParameterError

__all__ = ["Input", "Job", "find_inputs", "names_a_file", "plan"]


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
