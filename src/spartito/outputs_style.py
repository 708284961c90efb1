"""One piece, all the files asked for: the work behind `restyle` on the command line.

As in `outputs_songs`, a task takes a file and a table {format: path} and writes every path of it; where a piece is put
into several genres, a key is "genre.format".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from spartito.outputs import (
    SCORE_FORMATS,
    SOUND_FORMATS,
    THREADS,
    Progress,
    ScoreSettings,
    SoundSettings,
    note_makers,
    score_makers,
    sound_makers,
    write_all,
)
from spartito.style.engines import GENRES

__all__ = [
    "ENDINGS",
    "RESTYLE_DEFAULTS",
    "RESTYLE_FORMATS",
    "SWINGING",
    "RestyleSettings",
    "check",
    "open_style_engine",
    "restyle_file",
    "restyle_keys",
    "restyle_name",
]

RESTYLE_FORMATS = ("mid", "csv", *SCORE_FORMATS[:-1], "png", *SOUND_FORMATS)
RESTYLE_DEFAULTS = ("mid", "csv", "musicxml", "pdf", "png", "wav")
ENDINGS = tuple(f"_restyle_{genre}" for genre in GENRES)
SWINGING = "jazz"  # the genre whose eighths are written straight
WRITING = 0.5  # of the progress bar: where the notes are done and the files begin


@dataclass(frozen=True)
class RestyleSettings:
    """How a piece is restyled; as in `restyle`. Several targets are written side by side."""

    to: tuple[str, ...]
    genre: str | None = None
    engine: str | None = None
    strength: float = 1.0
    keep: tuple[str, ...] = ()
    candidates: int = 1
    drums: str = "keep"
    keep_tracks: bool | None = None
    seed: int = 0
    device: str = "auto"
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


@lru_cache(maxsize=2)
def open_style_engine(name: str | None, device: str):
    """The engine of that name, kept for the next file and the next genre."""
    from spartito.style.engines import open_engine

    return open_engine(name, device=device, threads=int(os.environ.get(THREADS, 0)))


def check(settings: RestyleSettings) -> None:
    """Complain of what no file could go well with: genres there are not, missing weights."""
    from spartito.style.transfer import check_options

    for target in settings.to:
        check_options(
            to=target,
            genre=settings.genre,
            strength=settings.strength,
            candidates=settings.candidates,
            drums=settings.drums,
        )
    engine = open_style_engine(settings.engine, settings.device)
    for target in settings.to:
        engine.check(target, settings.genre)


def restyle_keys(kinds: tuple[str, ...], settings: RestyleSettings) -> list[str]:
    """Keys of the outputs of `restyle_file`: formats, or "genre.format" when there are several targets."""
    if len(settings.to) == 1:
        return list(kinds)
    return [f"{target}.{kind}" for target in settings.to for kind in kinds]


def restyle_name(stem: str, key: str, *, settings: RestyleSettings) -> str:
    """The file name of an output of `restyle_file`: `piece_restyle_jazz.mid`."""
    target, _, kind = key.rpartition(".")
    return f"{stem}_restyle_{target or settings.to[0]}.{kind}"


def restyle_file(
    source: Path, outputs: Mapping[str, Path], *, settings: RestyleSettings, progress: Progress | None = None
) -> dict:
    """Put a MIDI file (or a table of notes) into other genres, and write notes, score, picture and sound.

    Returns
    -------
    dict
        `notes`, `seconds` and what was found and chosen (`Restyled.report`); with several targets `variants`: the same
        of each.

    Raises
    ------
    PartlyFailed
        Some outputs could not be made; the others are there.
    SpartitoError
        The file cannot be read, or holds nothing to restyle; nothing is written.
    """
    from spartito.style.transfer import restyled, source_notes

    notes = source_notes(source)
    notes = replace(
        notes,
        title=settings.score.title or notes.title or source.stem,
        composer=settings.score.composer or notes.composer,
    )
    beats = _told_beats(notes, settings.score)
    several = len(settings.to) > 1
    makers, details = {}, {}
    for number, target in enumerate(settings.to):
        result = restyled(
            notes,
            to=target,
            genre=settings.genre,
            engine=open_style_engine(settings.engine, settings.device),
            strength=settings.strength,
            keep=settings.keep,
            candidates=settings.candidates,
            drums=settings.drums,
            keep_tracks=settings.keep_tracks,
            analysis=beats,
            seed=settings.seed,
            progress=_share(progress, number, len(settings.to)),
        )
        these = _makers(result, settings)
        makers |= {f"{target}.{kind}": make for kind, make in these.items()} if several else these
        details[target] = _details(result)
    write_all(outputs, makers, progress, begin=WRITING)
    if not several:
        return details[settings.to[0]]
    return {name: details[settings.to[0]][name] for name in ("notes", "seconds")} | {"variants": details}


def _told_beats(notes, score: ScoreSettings):
    """Beats found with what is known of them; None when nothing is."""
    if score.tempo is None and score.time_signature is None:
        return None
    from spartito.analysis.beats import estimate_beats

    return estimate_beats(notes, tempo_hint=score.tempo, time_signature=score.time_signature)


def _share(progress: Progress | None, number: int, count: int) -> Progress | None:
    """`progress` for the one of `count` targets."""
    return None if progress is None else lambda part: progress(WRITING * (number + part) / count)


def _details(result) -> dict:
    notes = result.notes
    return {"notes": len(notes), "seconds": round(notes.duration, 3), **result.report()}


def _makers(result, settings: RestyleSettings) -> dict[str, Callable[[Path], object]]:
    notes = result.notes
    makers = note_makers(notes) | sound_makers(notes, settings.sound) | {"png": partial(_picture, result)}
    scores = score_makers(
        notes, replace(settings.score, swing=result.target == SWINGING), result if result.chords else result.beats
    )
    return makers | {name: make for name, make in scores.items() if name != "mid"}


def _picture(result, path: Path) -> None:
    """Source and result side by side; of an unchanged piece its notes alone."""
    from spartito.render.plots_style import plot_versions

    if result.piece is None:
        from spartito import plot_transcription

        plot_transcription(result.notes, path)
        return
    chosen = result.candidates[0]
    likeness = {} if chosen.likeness != chosen.likeness else {"result": chosen.likeness}  # nan: nobody was asked
    plot_versions(
        {"source": result.piece.notes, "result": chosen.written.notes},
        path,
        first=int(result.piece.grid.downbeats[0]),
        target=result.target,
        probability=likeness,
        title=result.notes.title,
    )
