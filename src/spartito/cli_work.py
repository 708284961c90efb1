"""What the commands that work on files have in common: options, what to write, and the run over all files.

`work` plans, runs and reports; `formats_of` settles what is written. The options are those that every such command
understands alike.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from spartito.errors import MissingExtraError

__all__ = [
    "Composer",
    "Device",
    "DeviceOption",
    "Formats",
    "Inputs",
    "Jobs",
    "Json",
    "Key",
    "Metre",
    "Output",
    "Quiet",
    "SkipExisting",
    "Soundfont",
    "Tempo",
    "Title",
    "formats_of",
    "score_settings",
    "work",
]


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


# -- options that several commands share --------------------------------------------------------------------

Inputs = Annotated[list[str], typer.Argument(help="Files, or folders to search through.", metavar="FILE...")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Folder for the results, or a file for one input. Default: beside the input."),
]
Formats = Annotated[str | None, typer.Option("--formats", "-f", help="Which files to write, e.g. mid,pdf,wav.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Pass over inputs whose results are there.")]
Jobs = Annotated[str, typer.Option(help="Files worked on at once (processes of this machine), or 'ray'.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but failures.")]
Title = Annotated[str, typer.Option(help="Title; default: of the file's tags, else its name.")]
Composer = Annotated[str, typer.Option(help="Composer; default: of the file's tags.")]
Tempo = Annotated[
    float | None, typer.Option(min=20, max=400, help="Rough beats per minute, when the beats are found wrong.")
]
Metre = Annotated[str, typer.Option("--time-signature", help="Such as 3/4, when the metre is found wrong.")]
Key = Annotated[int | None, typer.Option(min=-7, max=7, help="Key signature in sharps (negative: flats).")]
Soundfont = Annotated[str | None, typer.Option(help="SoundFont to play on: a path (.sf2, .sf3) or a fetched name.")]


def score_settings(title, composer, tempo, time_signature: str, key, pedal: bool):
    from spartito.options import parse_signature
    from spartito.outputs import ScoreSettings

    metre = parse_signature(time_signature) if time_signature else None
    return ScoreSettings(title=title, composer=composer, tempo=tempo, time_signature=metre, key=key, pedal=pedal)


def formats_of(given, output, allowed, default, *, quiet: bool) -> tuple[str, ...]:
    """What to write: as asked for, or as the output's suffix says, or all that the installed extras allow."""
    from spartito.batch import names_a_file
    from spartito.console import complain
    from spartito.options import parse_choices
    from spartito.outputs import missing_extras

    if given is None and output is not None and names_a_file(output):
        given = Path(output).suffix
    formats = default if given is None else parse_choices(given, allowed, what="formats")
    for extra, names in missing_extras(formats).items():
        formats = tuple(name for name in formats if name not in names)
        if given is not None or not formats:
            raise MissingExtraError(f"the extra {extra!r}", extra=extra, purpose=f"writing {', '.join(names)}")
        if not quiet:
            complain(f"no {', '.join(names)} without the extra {extra!r}: pip install 'spartito[{extra}]'")
    return tuple(formats)


def work(
    inputs,
    task,
    *,
    suffixes,
    ending,
    formats,
    output,
    jobs,
    skip_existing,
    verb,
    as_json: bool,
    quiet: bool,
    name=None,
    earlier=(),
) -> None:
    """Plan, run, report; leave with status 1 when a file failed.

    `name(stem, format)` gives other names than `<stem><ending>.<format>`, `earlier` more endings of names that are
    outputs of ours.
    """
    from spartito import batch, console
    from spartito.options import parse_jobs

    workers = parse_jobs(jobs)
    found = batch.find_inputs(inputs, suffixes=suffixes, ending=(ending, *earlier) if earlier else ending)
    planned = batch.plan(found, formats=formats, ending=ending, output=output, name=name)
    ended: list[batch.Outcome] = []
    try:
        console.follow(
            lambda progress: batch.run(
                planned,
                task,
                workers=workers,
                skip_existing=skip_existing,
                progress=progress,
            ),
            planned,
            ended=ended,
            verb=verb,
            quiet=quiet,
            as_json=as_json,
        )
    finally:
        counts = console.summary(ended, total=len(planned), quiet=quiet, as_json=as_json)
    if counts["failed"]:
        raise typer.Exit(1)
