"""One song, all the files asked for: the work behind `analyze`, `separate` and `cover` on the command line.

As in `outputs`, each function takes a file and a table {format: path}, writes every path of it, and lets no output
cost another. Where several files have one format (two stems, several models), a key is "name.format".
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from spartito import cover_variants
from spartito.arrangement import CoverWarning, stored_analysis, transposed, wished
from spartito.cover_arrangers import Piece
from spartito.cover_compat import compat_name
from spartito.cover_genre import with_chords_of
from spartito.cover_variants import Variant
from spartito.errors import NotesError, ParameterError
from spartito.outputs import (
    PICTURE_RATE,
    SCORE_FORMATS,
    SOUND_FORMATS,
    THREADS,
    Once,
    Progress,
    ScoreSettings,
    SoundSettings,
    note_makers,
    score_makers,
    sound_makers,
    write_all,
)
from spartito.outputs_style import SWINGING, RestyleSettings, open_style_engine
from spartito.outputs_style import check as check_style

__all__ = [
    "ANALYSIS_FORMATS",
    "COVER_DEFAULTS",
    "COVER_FORMATS",
    "STEMS",
    "AnalysisSettings",
    "CoverSettings",
    "analyze_file",
    "check",
    "cover_file",
    "cover_keys",
    "cover_name",
    "open_listener",
    "separate_file",
    "stem_name",
]

ANALYSIS_FORMATS = ("json", "lab", "beats")
COVER_FORMATS = ("mid", "csv", *SCORE_FORMATS[:-1], "png", *SOUND_FORMATS, *ANALYSIS_FORMATS)
COVER_DEFAULTS = ("mid", "csv", "musicxml", "pdf", "png", "wav", "json")
STEMS = ("vocals", "accompaniment")
ANALYSING, ARRANGING = 0.4, 0.8  # of the progress bar: where the analysis and where the arrangement are done


@dataclass(frozen=True)
class AnalysisSettings:
    """What is known beforehand of a song; as in `analyze`."""

    engine: str = "spartito"
    tempo_hint: float | None = None
    time_signature: tuple[int, int] | None = None
    first_downbeat: float | None = None
    beats: str | None = None
    chords: str | None = None

    def given(self) -> list[str]:
        """Names of the options that would change an analysis."""
        names = ("tempo_hint", "time_signature", "first_downbeat", "beats")
        return ["--" + name.replace("_", "-") for name in names if getattr(self, name) is not None]


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


@lru_cache(maxsize=1)
def open_listener():
    """The network of `analyze`, kept for the next file."""
    from spartito import load_model

    return load_model("analyze", threads=int(os.environ.get(THREADS, 0)))


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
    """Keys of the outputs of `cover_file`: formats, or "label.format" when there are several variants."""
    if len(settings.variants) == 1:
        return list(kinds)
    shared = [kind for kind in kinds if kind in ANALYSIS_FORMATS]
    return [
        *(f"{variant.label}.{kind}" for variant in settings.variants for kind in kinds if kind not in shared),
        *shared,
    ]


def cover_name(stem: str, key: str, *, settings: CoverSettings) -> str:
    """The file name of an output of `cover_file`; in compat mode of A2S as the original names it."""
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


def stem_name(stem: str, key: str) -> str:
    """The file name of an output of `separate_file`: `song_vocals.wav` for "vocals.wav"."""
    return f"{stem}_{key}"


# -- the three jobs -----------------------------------------------------------------------------------------


def analyze_file(
    source: Path, outputs: Mapping[str, Path], *, settings: AnalysisSettings, progress: Progress | None = None
) -> dict:
    """Write what is known of a song; errors as `outputs.transcribe_file`."""
    song = _analyzed(source, settings, _share(progress, 0.0, 0.95))
    write_all(outputs, _analysis_makers(song), progress, begin=0.95)
    return _known(song)


def separate_file(
    source: Path,
    outputs: Mapping[str, Path],
    *,
    engine: str = "auto",
    analysis: bool = True,
    progress: Progress | None = None,
) -> dict:
    """Write vocals and accompaniment of a song; the keys of `outputs` are like "vocals.wav".

    With `analysis` the tune is heard first, for the built-in engine to follow.
    """
    from spartito import analyze, separate
    from spartito.analysis.separation import chosen_engine

    engine, melody = chosen_engine(engine), None
    if analysis and engine == "built-in":
        heard = analyze(source, model=open_listener(), progress=_share(progress, 0.0, 0.5)).melody
        melody = heard if len(heard) else None
    stems = separate(source, engine=engine, melody=melody, progress=_share(progress, 0.5, 0.9))
    _warn_of_separation(engine, told=melody is not None)
    makers = {f"{stem}.{kind}": partial(_saved, stems[stem]) for stem in STEMS for kind in SOUND_FORMATS}
    write_all(outputs, makers, progress, begin=0.9)
    return {"engine": engine, "seconds": round(stems["vocals"].duration, 3)}


def cover_file(
    source: Path, outputs: Mapping[str, Path], *, settings: CoverSettings, progress: Progress | None = None
) -> dict:
    """Arrange a song for piano and write notes, score, picture, sound and analysis.

    Returns
    -------
    dict
        `notes`, `seconds` and what is known of the song; `stages`: the seconds each stage took; with several
        variants `variants`: the notes of each.
    """
    from spartito import cover

    _warn_of_a_piano(source)
    stages: dict[str, float] = {}
    song, table = _song_of(source, settings, _share(progress, 0.0, ANALYSING), stages)
    stems = Once(lambda: _stems(source, settings.separate or "auto", song.melody, stages))
    heard = stems()["accompaniment"] if settings.separate is not None else None
    piece = Piece(source, song, heard, table)
    makers, arranged, details = _analysis_makers(song), {}, {}
    several = len(settings.variants) > 1
    for number, variant in enumerate(settings.variants):
        share = (ARRANGING - ANALYSING) / len(settings.variants)
        begin = ANALYSING + number * share
        notes = cover(
            piece,
            model=cover_variants.open_variant(variant, settings.device),
            compat=settings.compat,
            hop=settings.hop,
            melody=settings.melody,
            style=variant.style,
            like=settings.like,
            controls=settings.controls,
            difficulty=settings.difficulty,
            density=settings.density,
            left_density=settings.left_density,
            transpose=settings.transpose,
            genre=settings.genre,
            genre_strength=settings.genre_strength,
            genre_engine=_genre_engine(settings),
            temperature=settings.temperature,
            seed=settings.seed,
            batch_size=settings.batch_size,
            progress=_share(progress, begin, begin + share),
            timings=stages,
        )
        arranged[variant] = notes
        notes = replace(
            notes,
            title=settings.score.title or notes.title or source.stem,
            composer=settings.score.composer or notes.composer,
        )
        played = transposed(song, settings.transpose)
        if settings.genre is not None and len(notes):
            played = with_chords_of(notes, played)
        these = _cover_makers(source, notes, played, settings, stems)
        makers |= {f"{variant.label}.{kind}": make for kind, make in these.items()} if several else these
    if not any(len(notes) for notes in arranged.values()):
        raise NotesError("nothing is heard in it that a piano could play: is it silent, or speech?")
    write_all(outputs, makers, progress, begin=ARRANGING, timings=stages)
    notes = next(iter(arranged.values()))
    details = {"notes": len(notes), **_known(song)}
    if settings.genre is not None:
        details |= {"genre": settings.genre, "genre_strength": settings.genre_strength}
    if several:
        details["variants"] = {variant.label: len(notes) for variant, notes in arranged.items()}
    else:
        details |= {"playability": _playability(notes, song), "dynamics": _dynamics(notes)}
    return details | {"stages": {name: round(seconds, 3) for name, seconds in stages.items()}}


# -- parts --------------------------------------------------------------------------------------------------


def _share(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """`progress` for a stage that takes the bar from `begin` to `end`."""
    return None if progress is None else lambda part: progress(begin + (end - begin) * part)


def _analyzed(source, known: AnalysisSettings, progress: Progress | None):
    """The analysis of a recording; what is known beforehand wins over what is heard."""
    from spartito import analyze

    song = analyze(
        source,
        engine=known.engine,
        tempo_hint=known.tempo_hint,
        time_signature=known.time_signature,
        first_downbeat=known.first_downbeat,
        beats=known.beats,
        chords=known.chords,
        progress=progress,
        model=open_listener(),
    )
    for text in song.warnings:
        warnings.warn(text, CoverWarning, stacklevel=2)
    return song


def _song_of(source, settings: CoverSettings, progress: Progress | None, stages: dict):
    """The analysis to arrange by: stored (as the original's table, perhaps), or made of the song or the given mix."""
    started, table = time.perf_counter(), None
    if settings.analysis is None:
        song = _analyzed(settings.original or source, settings.known, progress)
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
    _warn_of_separation(engine, told=len(melody) > 0)
    stages["separation"] = time.perf_counter() - started
    return stems


def _warn_of_separation(engine: str, *, told: bool) -> None:
    from spartito.analysis.separation import quality_note

    note = quality_note(engine, told=told)
    if note:
        warnings.warn(note, CoverWarning, stacklevel=2)


def _warn_of_a_piano(source: Path) -> None:
    from spartito.analysis.instrumentation import instrumentation

    if instrumentation(source) == "piano":
        warnings.warn(
            "this sounds like a piano alone, which needs no arrangement; to write down what is played: "
            f"spartito transcribe {source.name}",
            CoverWarning,
            stacklevel=2,
        )


def _genre_engine(settings: CoverSettings):
    return None if settings.genre is None else open_style_engine(settings.genre_engine, settings.device)


def _known(song) -> dict:
    """What a line or a JSON document says of a song."""
    numerator, denominator = song.beats.signatures[0][1:]
    return {
        "seconds": round(song.duration, 3),
        "tempo": round(song.tempo, 1),
        "time_signature": f"{numerator}/{denominator}",
        "key": song.key,
        "beats_by": song.engine,
        "steady": bool(song.steady),
    }


def _analysis_makers(song) -> dict[str, Callable[[Path], object]]:
    return {"json": song.save, "lab": song.to_lab, "beats": song.to_beats}


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
    return makers | {name: lambda path: _saved(mixed(), path) for name in SOUND_FORMATS}


def _mixed(notes, settings: SoundSettings, stems: Once):
    """Vocals of the song and the piano, second 0 on second 0."""
    from spartito import mix, synthesize

    vocals = stems()["vocals"]
    return mix(vocals, synthesize(notes, soundfont=settings.soundfont, rate=vocals.rate, loudness=settings.loudness))


def _saved(audio, path: Path) -> None:
    from spartito import save_audio

    save_audio(audio, path)


def _playability(notes, song) -> dict:
    from spartito import playability

    return playability(notes, song.beats).to_dict()


def _dynamics(notes) -> dict[str, int]:
    """Velocities (MIDI) that all but the softest and the loudest twentieth of the notes keep to."""
    import numpy as np

    soft, loud = np.percentile(notes.velocity, [5, 95]).round().astype(int) if len(notes) else (0, 0)
    return {"soft": int(soft), "loud": int(loud)}
