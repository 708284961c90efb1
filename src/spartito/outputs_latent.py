"""Files of the latent space: the work behind `blend`, `sample` and `edit` on the command line.

As in `outputs_style`, a task takes a file and a table {key: path} and writes every path of it. Keys of a blend are
"<number>.<format>" for its pieces, "morph.<format>" and "all.png" for the picture of all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from spartito.outputs import (
    SCORE_FORMATS,
    SOUND_FORMATS,
    Progress,
    ScoreSettings,
    SoundSettings,
    note_makers,
    score_makers,
    sound_makers,
    write_all,
)

__all__ = [
    "BLEND_FORMATS",
    "EDIT_FORMATS",
    "BlendFiles",
    "EditFiles",
    "SampleFiles",
    "blend_file",
    "blend_keys",
    "blend_name",
    "defaults_for",
    "edit_file",
    "sample_file",
    "sample_name",
]

EDIT_FORMATS = ("mid", "csv", *SCORE_FORMATS[:-1], "png", *SOUND_FORMATS)
BLEND_FORMATS = EDIT_FORMATS
PLAIN_DEFAULTS = ("mid", "png")
PIANO_DEFAULTS = ("mid", "musicxml", "pdf", "png")
PICTURE = "all"  # key of what shows all steps
WRITING = 0.8  # of the progress bar: where the notes are done and the files begin


@dataclass(frozen=True)
class EditFiles:
    """How a song is edited, as in `spartito.edit`, and written."""

    options: Mapping[str, object] = field(default_factory=dict)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


@dataclass(frozen=True)
class BlendFiles:
    """How two songs are blended, as in `spartito.blend`, and written."""

    second: Path
    options: Mapping[str, object] = field(default_factory=dict)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


@dataclass(frozen=True)
class SampleFiles:
    """What is drawn, as in `spartito.sample`, and written; `seeds` of each name."""

    seeds: Mapping[str, int]
    options: Mapping[str, object] = field(default_factory=dict)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


def defaults_for(sources, layout: str | None = None) -> tuple[str, ...]:
    """What is written when nobody says: of piano pieces a score, too."""
    from spartito.errors import SpartitoError
    from spartito.style.latent_song import is_piano
    from spartito.style.transfer import source_notes

    if layout is not None:
        return PIANO_DEFAULTS if layout == "piano" else PLAIN_DEFAULTS
    for source in sources:
        try:
            if not is_piano(source_notes(source)):
                return PLAIN_DEFAULTS
        except SpartitoError:  # whoever works on the file will say what is wrong with it
            continue
    return PIANO_DEFAULTS


# -- edit -----------------------------------------------------------------------------------------------------------


def edit_file(
    source: Path, outputs: Mapping[str, Path], *, settings: EditFiles, progress: Progress | None = None
) -> dict:
    """Edit a MIDI file (or a table of notes), and write notes, score, picture and sound.

    Raises
    ------
    PartlyFailed
        Some outputs could not be made; the others are there.
    SpartitoError
        The file cannot be read, or cannot be edited; nothing is written.
    """
    from spartito.style.latent import edited_song
    from spartito.style.transfer import source_notes

    notes = source_notes(source)
    named = _named(notes, settings.score, source.stem)
    result = edited_song(named, beats=_beats(named, settings.score), progress=_part(progress), **settings.options)
    song = result.song
    panels = {"source": song.states, "edited": result.states}
    picture = partial(
        _picture, panels, layout=song.layout, reference=song.states, bars=_window(song.states, result.states),
        title=result.notes.title,
    )  # fmt: skip
    makers = _makers(result.notes, settings, song.beats) | {"png": picture}
    write_all(outputs, makers, progress, begin=WRITING)
    return {"notes": len(result.notes), "seconds": round(result.notes.duration, 3), **result.report()}


def _window(before, after) -> tuple[int, int]:
    """First bar shown and how many: from shortly before the first change on."""
    import numpy as np

    from spartito.notes.four_tracks import BAR
    from spartito.render.plots_steps import MAX_BARS

    changed = np.flatnonzero((before != after).any(axis=1))
    bars = len(before) // BAR
    first = max(0, min(int(changed[0]) // BAR - 1, bars - MAX_BARS)) if len(changed) else 0
    return first, MAX_BARS


# -- blend ----------------------------------------------------------------------------------------------------------


def blend_keys(kinds: tuple[str, ...], *, steps: int, morph: bool) -> list[str]:
    """Keys of the outputs of `blend_file`."""
    pieces = [str(number + 1) for number in range(steps)] + ["morph"] * morph
    keys = [f"{piece}.{kind}" for piece in pieces for kind in kinds if kind != "png"]
    return keys + [f"{PICTURE}.png"] * ("png" in kinds)


def blend_name(stem: str, key: str, *, second: str, steps: int) -> str:
    """The file name of an output of `blend_file`: `a_to_b_03.mid`."""
    piece, _, kind = key.rpartition(".")
    digits = len(str(steps))
    tail = "" if piece == PICTURE else f"_{piece if piece == 'morph' else piece.zfill(digits)}"
    return f"{stem}_to_{second}{tail}.{kind}"


def blend_file(
    source: Path, outputs: Mapping[str, Path], *, settings: BlendFiles, progress: Progress | None = None
) -> dict:
    """Blend a MIDI file with a second one, and write all steps; errors as `edit_file`."""
    from spartito.notes.layouts import layout_of
    from spartito.style.latent import blended
    from spartito.style.transfer import source_notes

    songs = [_named(source_notes(path), ScoreSettings(), path.stem) for path in (source, settings.second)]
    pieces, morph, report = blended(*songs, progress=_part(progress), **settings.options)
    makers: dict[str, Callable[[Path], object]] = {}
    named = [(str(i + 1), piece) for i, piece in enumerate(pieces)] + ([("morph", morph)] if morph else [])
    for key, piece in named:
        makers |= {f"{key}.{kind}": make for kind, make in _makers(piece.notes, settings, None).items()}
    panels = {f"{piece.share:.2f}": piece.states for piece in pieces}
    if morph:
        panels["morph"] = morph.states
    title = f"{source.stem} to {settings.second.stem}"
    makers[f"{PICTURE}.png"] = partial(_picture, panels, layout=layout_of(report["layout"]), title=title)
    write_all(outputs, makers, progress, begin=WRITING)
    return {"to": str(settings.second), **report}


# -- sample ---------------------------------------------------------------------------------------------------------


def sample_name(genre: str, seed: int) -> str:
    """`sample_jazz_3`; of two genres `sample_jazz_pop_3`."""
    words = [word.partition(":")[0] for word in genre.replace(",", " ").split()]
    return "_".join(["sample", *words, str(seed)])


def sample_file(
    source: Path, outputs: Mapping[str, Path], *, settings: SampleFiles, progress: Progress | None = None
) -> dict:
    """Draw the piece whose name `source` is, and write it; errors as `edit_file`."""
    from spartito.notes.layouts import layout_of
    from spartito.style.latent import sampled

    piece = sampled(seed=settings.seeds[source.name], progress=_part(progress), **settings.options)[0]
    notes = replace(
        piece.notes,
        title=settings.score.title or piece.notes.title,
        composer=settings.score.composer or piece.notes.composer,
    )
    layout = layout_of(piece.details["layout"])
    picture = partial(_picture, {"": piece.states}, layout=layout, title=notes.title)
    write_all(outputs, _makers(notes, settings, None) | {"png": picture}, progress, begin=WRITING)
    return {"notes": len(notes), "seconds": round(notes.duration, 3), **piece.report()}


# -- common ---------------------------------------------------------------------------------------------------------


def _named(notes, score: ScoreSettings, stem: str):
    return replace(notes, title=score.title or notes.title or stem, composer=score.composer or notes.composer)


def _beats(notes, score: ScoreSettings):
    """Beats found with what is known of them; None when nothing is."""
    if score.tempo is None and score.time_signature is None:
        return None
    from spartito.analysis.beats import estimate_beats

    return estimate_beats(notes, tempo_hint=score.tempo, time_signature=score.time_signature)


def _part(progress: Progress | None) -> Progress | None:
    return None if progress is None else lambda part: progress(WRITING * part)


def _makers(notes, settings, beats) -> dict[str, Callable[[Path], object]]:
    makers = note_makers(notes) | sound_makers(notes, settings.sound)
    scores = score_makers(notes, settings.score, beats)
    return makers | {name: make for name, make in scores.items() if name != "mid"}


def _picture(panels, path: Path, *, layout, title: str, reference=None, bars: tuple[int, int] = (0, 16)) -> None:
    from spartito.render.plots_steps import plot_steps

    plot_steps(panels, path, layout=layout, reference=reference, first_bar=bars[0], bars=bars[1], title=title)
