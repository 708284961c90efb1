"""One song, all the files asked for: the work behind `analyze` and `separate` on the command line.

As in `outputs`, each function takes a file and a table {format: path}, writes every path of it, and lets no output
cost another. Where several files have one format (two stems), a key is "name.format". `cover` has `outputs_cover`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from spartito.arrangement import CoverWarning
from spartito.outputs import SOUND_FORMATS, THREADS, Progress, write_all

__all__ = [
    "ANALYSIS_FORMATS",
    "STEMS",
    "AnalysisSettings",
    "analysis_makers",
    "analyze_file",
    "analyzed",
    "open_listener",
    "said_of",
    "saved",
    "separate_file",
    "share",
    "stem_name",
    "warn_of_separation",
]

ANALYSIS_FORMATS = ("json", "lab", "beats")
STEMS = ("vocals", "accompaniment")


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


@lru_cache(maxsize=1)
def open_listener():
    """The network of `analyze`, kept for the next file."""
    from spartito import load_model

    return load_model("analyze", threads=int(os.environ.get(THREADS, 0)))


def stem_name(stem: str, key: str) -> str:
    """The file name of an output of `separate_file`: `song_vocals.wav` for "vocals.wav"."""
    return f"{stem}_{key}"


# -- the two jobs -------------------------------------------------------------------------------------------


def analyze_file(
    source: Path, outputs: Mapping[str, Path], *, settings: AnalysisSettings, progress: Progress | None = None
) -> dict:
    """Write what is known of a song; errors as `outputs.transcribe_file`."""
    song = analyzed(source, settings, share(progress, 0.0, 0.95))
    write_all(outputs, analysis_makers(song), progress, begin=0.95)
    return said_of(song)


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
        heard = analyze(source, model=open_listener(), progress=share(progress, 0.0, 0.5)).melody
        melody = heard if len(heard) else None
    stems = separate(source, engine=engine, melody=melody, progress=share(progress, 0.5, 0.9))
    warn_of_separation(engine, told=melody is not None)
    makers = {f"{stem}.{kind}": partial(saved, stems[stem]) for stem in STEMS for kind in SOUND_FORMATS}
    write_all(outputs, makers, progress, begin=0.9)
    return {"engine": engine, "seconds": round(stems["vocals"].duration, 3)}


# -- parts, those of `cover` too -----------------------------------------------------------------------------


def share(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """`progress` for a stage that takes the bar from `begin` to `end`."""
    return None if progress is None else lambda part: progress(begin + (end - begin) * part)


def analyzed(source, known: AnalysisSettings, progress: Progress | None):
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


def warn_of_separation(engine: str, *, told: bool) -> None:
    from spartito.analysis.separation import quality_note

    note = quality_note(engine, told=told)
    if note:
        warnings.warn(note, CoverWarning, stacklevel=2)


def said_of(song) -> dict:
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


def analysis_makers(song) -> dict[str, Callable[[Path], object]]:
    return {"json": song.save, "lab": song.to_lab, "beats": song.to_beats}


def saved(audio, path: Path) -> None:
    from spartito import save_audio

    save_audio(audio, path)
