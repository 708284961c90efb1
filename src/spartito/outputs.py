"""One input, all the files asked for: the work behind `transcribe`, `score` and `synthesize` on the command line.

Each function takes a file and a table {format: path} and writes every path of it, the notes first and the
slowest last. Each output stands alone: one that cannot be made does not cost the others, and the complaints
are raised together at the end. What can be written, and which extra brings what it needs, is in `FORMATS`.
"""

from __future__ import annotations

import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from spartito.errors import NotesError, ParameterError, SpartitoError

__all__ = [
    "FORMATS",
    "SCORE_FORMATS",
    "SOUND_FORMATS",
    "TRANSCRIBE_DEFAULTS",
    "TRANSCRIBE_FORMATS",
    "Once",
    "PartlyFailed",
    "ScoreSettings",
    "SoundSettings",
    "TranscribeSettings",
    "missing_extras",
    "note_makers",
    "open_model",
    "score_file",
    "score_makers",
    "sound_makers",
    "synthesize_file",
    "transcribe_file",
    "write_all",
]

_SCORE, _PAGES = ("partitura", "scipy"), ("partitura", "scipy", "verovio")
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {  # format (= suffix): the extra it needs, and its packages
    "mid": ("", ()),
    "csv": ("", ()),
    "musicxml": ("score", _SCORE),
    "mxl": ("score", _SCORE),
    "svg": ("score", _PAGES),
    "pdf": ("score", (*_PAGES, "reportlab")),
    "png": ("plot", ("matplotlib",)),
    "wav": ("", ()),
    "flac": ("", ()),
    "ogg": ("", ()),
    "mp3": ("", ()),
    "json": ("", ()),  # these three hold what is known of a song
    "lab": ("", ()),
    "beats": ("", ()),
}
SCORE_FORMATS = ("musicxml", "mxl", "pdf", "svg", "mid")
SOUND_FORMATS = ("wav", "flac", "ogg", "mp3")
TRANSCRIBE_FORMATS = tuple(FORMATS)[:-3]
TRANSCRIBE_DEFAULTS = ("mid", "csv", "musicxml", "pdf", "png", "wav")
HEARING = 0.7  # of the progress bar belongs to listening, the rest to writing
PICTURE_RATE = 16000  # hertz of the sound behind the picture; its top key has 4.2 kHz

THREADS = "SPARTITO_THREADS"  # environment variable: CPU threads of a network; as many as there are when not set

Progress = Callable[[float], None]


class PartlyFailed(SpartitoError):
    """Some of the outputs of one input could not be made; `written` names those that were."""

    def __init__(self, message: str, *, written: tuple[Path, ...]):
        super().__init__(message)
        self.written = written


@dataclass(frozen=True)
class SoundSettings:
    """How notes are played; as in `synthesize`."""

    soundfont: str | None = None
    rate: int = 44100
    loudness: float = -18.0


@dataclass(frozen=True)
class ScoreSettings:
    """How a score is written; as in `to_score`. Empty title and composer: those of the file."""

    title: str = ""
    composer: str = ""
    tempo: float | None = None
    time_signature: tuple[int, int] | None = None
    key: int | None = None
    pedal: bool = True
    swing: bool = False


@dataclass(frozen=True)
class TranscribeSettings:
    """How a recording is heard; as in `transcribe`."""

    model: str = "transcribe"
    start: float | None = None
    end: float | None = None
    onset_threshold: float | None = None
    frame_threshold: float | None = None
    shortest: float = 0.02
    lowest: int = 21
    highest: int = 108
    high_notes: str = "calibrated"
    pedal: bool = False
    tuning: str | float | None = "auto"
    device: str = "auto"
    score: ScoreSettings = field(default_factory=ScoreSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)


def missing_extras(formats) -> dict[str, list[str]]:
    """Extra -> those of `formats` that cannot be made because its packages are not installed."""
    missing: dict[str, list[str]] = {}
    for name in formats:
        extra, packages = FORMATS[name]
        if any(importlib.util.find_spec(package) is None for package in packages):
            missing.setdefault(extra, []).append(name)
    return missing


@lru_cache(maxsize=1)
def open_model(name: str, device: str):
    """The model of that name, kept for the next file. A worker of several takes its share of the threads."""
    from spartito import load_model

    return load_model(name, device=device, threads=int(os.environ.get(THREADS, 0)))


# -- the three jobs -----------------------------------------------------------------------------------------


def transcribe_file(
    source: Path, outputs: Mapping[str, Path], *, settings: TranscribeSettings, progress: Progress | None = None
) -> dict:
    """Hear `source` and write its notes, score, picture and sound.

    Returns
    -------
    dict
        `notes` (how many) and `seconds` (of music).

    Raises
    ------
    PartlyFailed
        Some outputs could not be made; the others are there.
    SpartitoError
        The recording cannot be read, or nothing is played in it; nothing is written.
    """
    from spartito import transcribe
    from spartito.analysis.beats import estimate_beats, with_beats
    from spartito.notes.two_hands import in_two_hands

    notes = transcribe(
        source,
        model=open_model(settings.model, settings.device),
        start=settings.start,
        end=settings.end,
        onset_threshold=settings.onset_threshold,
        frame_threshold=settings.frame_threshold,
        shortest=settings.shortest,
        lowest=settings.lowest,
        highest=settings.highest,
        high_notes=settings.high_notes,
        pedal=settings.pedal,
        tuning=settings.tuning,
        progress=None if progress is None else lambda part: progress(HEARING * part),
    )
    if len(notes) == 0:
        raise NotesError("no piano is heard in it: is it silent, or very soft? (a lower --onset-threshold hears more)")
    _warn_of_a_band(source)
    notes = replace(
        notes,
        title=settings.score.title or notes.title or source.stem,
        composer=settings.score.composer or notes.composer,
    )
    beats = None
    with suppress(SpartitoError):  # without bar lines (too few notes, say) the notes are still the notes
        beats = estimate_beats(notes, tempo_hint=settings.score.tempo, time_signature=settings.score.time_signature)
        notes = with_beats(notes, beats)
    notes = in_two_hands(notes)

    def picture(path: Path) -> None:
        from spartito import Audio, plot_transcription
        from spartito.audio.io import read_mono

        sound = Audio(read_mono(source, rate=PICTURE_RATE, end=settings.end), PICTURE_RATE)
        plot_transcription(notes, path, audio=sound)

    makers = score_makers(notes, settings.score, beats) | sound_makers(notes, settings.sound)
    makers |= note_makers(notes) | {"png": picture}  # here "mid" is the performance, not the written score
    write_all(outputs, makers, progress, begin=HEARING)
    return {"notes": len(notes), "seconds": round(notes.duration, 3)}


class TranscriptionWarning(UserWarning):
    """A recording can be transcribed, but is hardly what transcription is for."""


def _warn_of_a_band(source: Path) -> None:
    from spartito.analysis.instrumentation import instrumentation

    if instrumentation(source) == "band":
        warnings.warn(
            "this sounds like more than a piano, and everything in it is heard as piano notes; for a piano "
            f"arrangement: spartito cover {source.name}",
            TranscriptionWarning,
            stacklevel=2,
        )


def score_file(
    source: Path, outputs: Mapping[str, Path], *, settings: ScoreSettings, progress: Progress | None = None
) -> dict:
    """Write the score of a MIDI file, of a table of notes, or of a MusicXML file; errors as `transcribe_file`.

    MusicXML stays as it is, but for a title and composer that are given.
    """
    from spartito import load_notes, load_score
    from spartito.loading import XML_SUFFIXES

    if source.suffix.lower() in XML_SUFFIXES:
        given = {"--tempo": settings.tempo, "--time-signature": settings.time_signature, "--key": settings.key}
        given = [name for name, value in given.items() if value is not None]
        if given:
            raise ParameterError(f"{', '.join(given)}: for MIDI files and tables; {source.name} is written already")
        score = load_score(source).named(title=settings.title, composer=settings.composer)
        makers, details = {name: score.save for name in SCORE_FORMATS}, {}
    else:
        notes = load_notes(source)
        notes = replace(
            notes,
            title=settings.title or notes.title or source.stem,
            composer=settings.composer or notes.composer,
        )
        makers = score_makers(notes, settings)
        details = {"notes": len(notes), "seconds": round(notes.duration, 3)}
    write_all(outputs, makers, progress)
    return details


def synthesize_file(
    source: Path, outputs: Mapping[str, Path], *, settings: SoundSettings, progress: Progress | None = None
) -> dict:
    """Play a MIDI file or a table of notes into sound files; errors as `transcribe_file`."""
    from spartito import load_notes

    notes = load_notes(source)
    write_all(outputs, sound_makers(notes, settings), progress)
    return {"notes": len(notes), "seconds": round(notes.duration, 3)}


# -- writing ------------------------------------------------------------------------------------------------


def note_makers(notes) -> dict[str, Callable[[Path], object]]:
    from spartito import write_csv, write_midi

    return {"mid": lambda path: write_midi(notes, path), "csv": lambda path: write_csv(notes, path)}


def score_makers(notes, settings: ScoreSettings, analysis=None) -> dict[str, Callable[[Path], object]]:
    made = Once(lambda: _score(notes, settings, analysis))
    return {name: lambda path: made().save(path) for name in SCORE_FORMATS}


def _score(notes, settings: ScoreSettings, analysis):
    from spartito import to_score

    return to_score(
        notes,
        analysis,
        title=settings.title or None,
        composer=settings.composer or None,
        tempo_hint=settings.tempo,
        time_signature=settings.time_signature,
        key=settings.key,
        pedal=settings.pedal,
        swing=settings.swing,
    )


def sound_makers(notes, settings: SoundSettings) -> dict[str, Callable[[Path], object]]:
    from spartito import save_audio, synthesize

    made = Once(lambda: synthesize(notes, soundfont=settings.soundfont, rate=settings.rate, loudness=settings.loudness))
    return {name: lambda path: save_audio(made(), path) for name in SOUND_FORMATS}


class Once:
    """A result that several outputs share: made when first asked for. A complaint is kept, too."""

    def __init__(self, make: Callable[[], object]):
        self._make, self._result, self._error = make, None, None

    def __call__(self):
        if self._error is None and self._result is None:
            try:
                self._result = self._make()
            except SpartitoError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        return self._result


def write_all(
    outputs: Mapping[str, Path], makers, progress: Progress | None, *, begin: float = 0.0, timings: dict | None = None
) -> None:
    """Make every output; raise what went wrong once all have been tried. `timings` is filled with their seconds."""
    unknown = [name for name in outputs if name not in makers]
    if unknown:
        raise ParameterError(f"{', '.join(unknown)} cannot be made here; what can: {', '.join(makers)}")
    written, complaints = [], []
    order = sorted(outputs, key=lambda name: list(FORMATS).index(name.rpartition(".")[2]))
    for done, name in enumerate(order, start=1):
        started = time.perf_counter()
        try:
            makers[name](outputs[name])
            written.append(outputs[name])
        except SpartitoError as error:
            complaints.append(error)
        if timings is not None:
            timings[name] = time.perf_counter() - started
        if progress is not None:
            progress(begin + (1 - begin) * done / len(order))
    if len(complaints) == 1 and not written:
        raise complaints[0]
    if complaints:
        message = "; ".join(dict.fromkeys(str(error) for error in complaints))
        if written:
            message += f" (written: {', '.join(path.name for path in written)})"
        raise PartlyFailed(message, written=tuple(written))
