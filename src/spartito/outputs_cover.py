"""One song or several, all the files asked for: the work behind `cover` on the command line.

    song -> `begun_cover`: analysis, what the model hears
         -> `arranged_covers`: all songs of a group, all styles of a model at once
         -> `finished_cover`: score, sound, picture, and the files

Job
    `cover_task` joins the three for `batch.run`. Songs share a group where a model gains
    from it (`SongArranger.share`): Pop2Piano until a batch is full, the mode of A2S in which bar follows bar. Each
    comes out as it does alone. The keys of outputs are formats, with several variants "label.format".
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

from spartito import cover_variants
from spartito.arrangement import CoverWarning, Stopwatch, stored_analysis, transposed, wished
from spartito.batch import Grouped
from spartito.cover_arrangers import Piece
from spartito.cover_compat import compat_name
from spartito.cover_genre import with_chords_of
from spartito.cover_variants import Variant
from spartito.errors import NotesError, ParameterError
from spartito.notes.notes import Notes
from spartito.outputs import (
    PICTURE_RATE,
    SCORE_FORMATS,
    SOUND_FORMATS,
    Once,
    Progress,
    ScoreSettings,
    SoundSettings,
    note_makers,
    score_makers,
    sound_makers,
    write_all,
)
from spartito.outputs_songs import (
    ANALYSIS_FORMATS,
    AnalysisSettings,
    analysis_makers,
    analyzed,
    said_of,
    saved,
    share,
    warn_of_separation,
)
from spartito.outputs_style import SWINGING, RestyleSettings, open_style_engine
from spartito.outputs_style import check as check_style

__all__ = ["COVER_DEFAULTS", "COVER_FORMATS", "CoverSettings", "check"]
__all__ += ["cover_keys", "cover_name", "cover_task"]

COVER_FORMATS = ("mid", "csv", *SCORE_FORMATS[:-1], "png", *SOUND_FORMATS, *ANALYSIS_FORMATS)
COVER_DEFAULTS = ("mid", "csv", "musicxml", "pdf", "png", "wav", "json")
ANALYSING, HEARD, ARRANGING = 0.4, 0.5, 0.8  # of the progress bar: where each of these is done


@dataclass(frozen=True)
class CoverSettings:
    """How a song is arranged; as in `cover`. Several variants are written side by side, under keys "label.format"."""

    variants: tuple[Variant, ...] = (Variant(),)
    compat: bool = False
    analysis: str | None = None
    known: AnalysisSettings = field(default_factory=AnalysisSettings)
    original: str | None = None
    separate: str | None = None
    melody: str = "include"
    like: str | None = None
    controls: str | None = None
    hop: int | None = None
    difficulty: int | None = None
    density: float | None = None
    left_density: float | None = None
    transpose: int | str = 0
    genre: str | None = None
    genre_strength: float = 1.0
    genre_engine: str | None = None
    temperature: float = 0.0
    seed: int = 0
    mix: bool = False
    batch_size: int = 256
    device: str = "auto"
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


def check(settings: CoverSettings) -> None:
    """Complain of what no file could go well with: missing weights, a missing separator, a broken analysis."""
    for variant in settings.variants:
        wished(
            cover_variants.open_variant(variant, settings.device),
            melody=settings.melody,
            hop=settings.hop,
            style=variant.style,
            like=settings.like,
            controls=settings.controls,
            difficulty=settings.difficulty,
            temperature=settings.temperature,
        )
    if settings.genre is not None:
        check_style(RestyleSettings((settings.genre,), engine=settings.genre_engine, strength=settings.genre_strength))
    if settings.separate is not None or settings.mix:
        from spartito.analysis.separation import chosen_engine

        chosen_engine(settings.separate or "auto")
    if settings.analysis is not None:
        stored_analysis(settings.analysis)
    if settings.compat:
        given = {"difficulty": settings.difficulty, "density": settings.density, "hop": settings.hop}
        given |= {"left-density": settings.left_density, "transpose": settings.transpose or None}
        given |= {"genre": settings.genre}
        names = ", ".join(f"--{name}" for name, value in given.items() if value is not None)
        if names:
            raise ParameterError(f"{names}: not with --compat, which does what the published program does")


# -- names of files -----------------------------------------------------------------------------------------


def cover_keys(kinds: tuple[str, ...], settings: CoverSettings) -> list[str]:
    """Keys of the outputs of `cover_task`: formats, or "label.format" when there are several variants."""
    if len(settings.variants) == 1:
        return list(kinds)
    shared = [kind for kind in kinds if kind in ANALYSIS_FORMATS]
    return [
        *(f"{variant.label}.{kind}" for variant in settings.variants for kind in kinds if kind not in shared),
        *shared,
    ]


def cover_name(stem: str, key: str, *, settings: CoverSettings) -> str:
    """The file name of an output of `cover_task`; in compat mode of A2S as the original names it."""
    label, _, kind = key.rpartition(".")
    if kind in ANALYSIS_FORMATS:
        return f"{stem}_analysis.{kind}"
    variant = next(v for v in settings.variants if not label or v.label == label)
    if not settings.compat or cover_variants.open_variant(variant, settings.device).styles:  # those of Pop2Piano
        parts = [part for part in (settings.genre, label) if part]
        return f"{'_'.join([stem, 'cover', *parts])}.{kind}"
    if label:
        return f"model-{variant.model}-auto-{variant.auto}-alt-{variant.alt}.{kind}"
    return f"{compat_name(Path(variant.model).name, auto=variant.auto)}.{kind}"


# -- the work -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Begun:
    """A song that has been heard.

    Attributes
    ----------
    source : Path
    piece : Piece
    stems : Once
        Vocals and accompaniment, when somebody wants them.
    share : float
        The part of a group that the song fills.
    stages : dict of str to float
        Seconds that each stage took.
    """

    source: Path
    piece: Piece
    stems: Once
    share: float
    stages: dict[str, float]


def cover_task(settings: CoverSettings) -> Grouped:
    """The work on each file, for `batch.run`."""
    return Grouped(
        partial(begun_cover, settings=settings),
        partial(arranged_covers, settings=settings),
        partial(finished_cover, settings=settings),
    )


def begun_cover(source: Path, *, settings: CoverSettings, progress: Progress | None = None) -> Begun:
    """What is known of a song, and what its arrangers want to hear of it."""
    _warn_of_a_piano(source)
    stages: dict[str, float] = {}
    song, table = _song_of(source, settings, share(progress, 0.0, ANALYSING), stages)
    stems = Once(lambda: _stems(source, settings.separate or "auto", song.melody, stages))
    heard = stems()["accompaniment"] if settings.separate is not None else None
    piece = Piece(source, song, heard, table)
    watch = Stopwatch(share(progress, ANALYSING, HEARD), stages, {"listening": 1.0})
    arrangers = [cover_variants.open_variant(variant, settings.device) for variant in settings.variants]
    shares = [arranger.share(piece, watch) for arranger in arrangers]
    alone = heard is not None  # sound takes too much memory to wait with it for others
    return Begun(source, piece, stems, 1.0 if alone else sum(shares), stages)


def arranged_covers(
    group: Sequence[Begun], *, settings: CoverSettings, progress: Progress | None = None
) -> list[dict[Variant, Notes]]:
    """The notes of each song by variant: all songs and all styles of one model side by side."""
    from spartito import cover

    found: list[dict[Variant, Notes]] = [{} for _ in group]
    models = list(dict.fromkeys(replace(variant, style=None) for variant in settings.variants))
    for number, model in enumerate(models):
        jobs = list(product(range(len(group)), [v for v in settings.variants if replace(v, style=None) == model]))
        width, stages = (ARRANGING - HEARD) / len(models), {}
        begin = HEARD + number * width
        made = cover(
            [group[song].piece for song, _ in jobs],
            model=cover_variants.open_variant(model, settings.device),
            compat=settings.compat,
            hop=settings.hop,
            melody=settings.melody,
            style=[variant.style for _, variant in jobs],
            like=settings.like,
            controls=settings.controls,
            difficulty=settings.difficulty,
            density=settings.density,
            left_density=settings.left_density,
            transpose=settings.transpose,
            genre=settings.genre,
            genre_strength=settings.genre_strength,
            genre_engine=None if settings.genre is None else open_style_engine(settings.genre_engine, settings.device),
            temperature=settings.temperature,
            seed=settings.seed,
            batch_size=settings.batch_size,
            progress=share(progress, begin, begin + width),
            timings=stages,
        )
        for (song, variant), notes in zip(jobs, made, strict=True):
            found[song][variant] = notes
        for begun, (name, seconds) in product(group, stages.items()):
            begun.stages[name] = begun.stages.get(name, 0.0) + seconds / len(group)
    return found


def finished_cover(
    begun: Begun,
    arranged: Mapping[Variant, Notes],
    outputs: Mapping[str, Path],
    *,
    settings: CoverSettings,
    progress: Progress | None = None,
) -> dict:
    """Write the files of one song.

    Returns
    -------
    dict
        `notes`, `seconds` and what is known of the song; `stages`: the seconds each stage took; with several
        variants `variants`: the notes of each.
    """
    if not any(len(notes) for notes in arranged.values()):
        raise NotesError("nothing is heard in it that a piano could play: is it silent, or speech?")
    source, song, stages = begun.source, begun.piece.song, begun.stages
    makers, several = analysis_makers(song), len(settings.variants) > 1
    for variant in settings.variants:
        notes = arranged[variant]
        notes = replace(
            notes,
            title=settings.score.title or notes.title or source.stem,
            composer=settings.score.composer or notes.composer,
        )
        played = transposed(song, settings.transpose)
        if settings.genre is not None and len(notes):
            played = with_chords_of(notes, played)
        these = _cover_makers(source, notes, played, settings, begun.stems)
        makers |= {f"{variant.label}.{kind}": make for kind, make in these.items()} if several else these
    write_all(outputs, makers, progress, begin=ARRANGING, timings=stages)
    notes = arranged[settings.variants[0]]
    details = {"notes": len(notes), **said_of(song)}
    if settings.genre is not None:
        details |= {"genre": settings.genre, "genre_strength": settings.genre_strength}
    if several:
        details["variants"] = {variant.label: len(arranged[variant]) for variant in settings.variants}
    else:
        details |= {"playability": _playability(notes, song), "dynamics": _dynamics(notes)}
    return details | {"stages": {name: round(seconds, 3) for name, seconds in stages.items()}}


# -- parts --------------------------------------------------------------------------------------------------


def _song_of(source, settings: CoverSettings, progress: Progress | None, stages: dict):
    """The analysis to arrange by: stored (as the original's table, perhaps), or made of the song or the given mix."""
    started, table = time.perf_counter(), None
    if settings.analysis is None:
        song = analyzed(settings.original or source, settings.known, progress)
    else:
        song, table = stored_analysis(settings.analysis)
        if settings.known.given():
            raise ParameterError(
                f"{', '.join(settings.known.given())}: for a new analysis; correct {settings.analysis} by hand instead"
            )
        if settings.known.chords is not None:
            from spartito.analysis.song import read_lab

            song = replace(song, chords=read_lab(settings.known.chords))
    stages["analysis"] = time.perf_counter() - started
    return song, table


def _stems(source, engine: str, melody, stages: dict) -> dict:
    from spartito import separate
    from spartito.analysis.separation import chosen_engine

    started = time.perf_counter()
    engine = chosen_engine(engine)
    stems = separate(source, engine=engine, melody=melody if len(melody) else None)
    warn_of_separation(engine, told=len(melody) > 0)
    stages["separation"] = time.perf_counter() - started
    return stems


def _warn_of_a_piano(source: Path) -> None:
    from spartito.analysis.instrumentation import instrumentation

    if instrumentation(source) == "piano":
        warnings.warn(
            "this sounds like a piano alone, which needs no arrangement; to write down what is played: "
            f"spartito transcribe {source.name}",
            CoverWarning,
            stacklevel=2,
        )


def _cover_makers(source, notes, song, settings: CoverSettings, stems: Once) -> dict[str, Callable[[Path], object]]:
    def picture(path: Path) -> None:
        from spartito import Audio, plot_transcription
        from spartito.audio.io import read_mono

        sound = Audio(read_mono(source, rate=PICTURE_RATE), PICTURE_RATE)
        plot_transcription(notes, path, audio=sound, analysis=song)

    makers = note_makers(notes) | {"png": picture}
    written = replace(settings.score, swing=settings.genre == SWINGING)
    makers |= {name: make for name, make in score_makers(notes, written, song).items() if name != "mid"}
    if not settings.mix:
        return makers | sound_makers(notes, settings.sound)
    mixed = Once(lambda: _mixed(notes, settings.sound, stems))
    return makers | {name: lambda path: saved(mixed(), path) for name in SOUND_FORMATS}


def _mixed(notes, settings: SoundSettings, stems: Once):
    """Vocals of the song and the piano, second 0 on second 0."""
    from spartito import mix, synthesize

    vocals = stems()["vocals"]
    return mix(vocals, synthesize(notes, soundfont=settings.soundfont, rate=vocals.rate, loudness=settings.loudness))


def _playability(notes, song) -> dict:
    from spartito import playability

    return playability(notes, song.beats).to_dict()


def _dynamics(notes) -> dict[str, int]:
    """Velocities (MIDI) that all but the softest and the loudest twentieth of the notes keep to."""
    import numpy as np

    soft, loud = np.percentile(notes.velocity, [5, 95]).round().astype(int) if len(notes) else (0, 0)
    return {"soft": int(soft), "loud": int(loud)}
