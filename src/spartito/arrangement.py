"""Any song becomes a piano arrangement whose bars lie on those of the recording.

    song -> analysis (beats, chords, tune) -> what is heard at each beat -> arranger -> grid -> notes in seconds
         -> as easy or as dense as asked for -> hands -> dynamics, pedal, timing -> tempo map

Second 0 of the result is second 0 of the recording. An arranger answers for each bar on a grid of sixteenths
(`cover_grid`); what leads from there to the notes of a pianist is the work of `notes.simplify`, `notes.two_hands` and
`render.perform`. `compat=True` goes the way of the published program, its habits included (`cover_compat`).
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from spartito.analysis.beats import START_TOLERANCE, with_beats
from spartito.analysis.harte import encode
from spartito.analysis.harte import transpose as transpose_chord
from spartito.analysis.song import Analysis, Chord, read_lab
from spartito.audio.audio import Audio
from spartito.cover_chords import block_chords
from spartito.cover_grid import SongGrid, on_grid, place, served_beats, song_grid, to_notes, with_tune
from spartito.errors import ModelError, ParameterError
from spartito.models.pianotree import notes_of
from spartito.notes.notes import Notes
from spartito.notes.tempo import KeySignature

__all__ = [
    "CHORDS",
    "MELODY",
    "CoverWarning",
    "Stopwatch",
    "cover",
    "mono_at",
    "open_arranger",
    "song_analysis",
    "stored_analysis",
    "transposed",
    "variant_name",
]

CHORDS = "chords"  # the arranger that needs no weights
MELODY = ("include", "omit")
LISTENING_RATE = 16_000  # hertz, of the transcriber
BATCH = 256  # segments arranged at once
STAGES = {"analysis": 0.5, "separation": 0.1, "listening": 0.25, "arranging": 0.1, "notes": 0.05}  # of the work


class CoverWarning(UserWarning):
    """A song can be arranged, but not quite as it was asked for."""


@dataclass
class Stopwatch:
    """Seconds of each stage into `timings`, and how far the whole has come to `progress`."""

    progress: Callable[[float], None] | None = None
    timings: dict[str, float] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=lambda: STAGES)
    _done: float = 0.0

    def __call__(self, stage: str, work: Callable[[Callable[[float], None]], object]):
        """Do `work(progress)` as that stage and give its result."""
        begin, share = time.perf_counter(), self.stages.get(stage, 0.0)
        result = work(lambda part: self._tell(self._done + share * part))
        self.timings[stage] = self.timings.get(stage, 0.0) + time.perf_counter() - begin
        self._done = min(1.0, self._done + share)
        self._tell(self._done)
        return result

    def _tell(self, part: float) -> None:
        if self.progress is not None:
            self.progress(part)


def cover(
    source: str | os.PathLike | Audio,
    *,
    model="a2s",
    analysis: Analysis | str | os.PathLike | None = None,
    original: str | os.PathLike | Audio | None = None,
    separate: str | None = None,
    auto: bool = False,
    alt: bool = False,
    compat: bool = False,
    hop: int | None = None,
    melody: str = "include",
    difficulty: int | None = None,
    density: float | None = None,
    left_density: float | None = None,
    transpose: int | str = 0,
    chords: tuple[Chord, ...] | str | os.PathLike | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    perform: bool = True,
    batch_size: int = BATCH,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    timings: dict[str, float] | None = None,
) -> Notes:
    """A piano arrangement of a song.

    Parameters
    ----------
    source : path or Audio
        The song, or its accompaniment alone.
    model : str, path or Arranger
        A name of `spartito models`, a folder, a hub id, a loaded arranger (or the pair that `open_arranger` gives), or
        "chords": block chords and the tune, from the analysis alone.
    analysis : Analysis or path, optional
        What is known of the song: the result of `analyze`, its JSON file, or a table (.npy) of the original program.
        Analysed when not given.
    original : path or Audio, optional
        The whole song, when `source` is its accompaniment: only the analysis listens to it.
    separate : str, optional
        Take the vocals away first, by this engine ("auto", "built-in", "demucs"). Default: hear the whole song.
    auto : bool
        Each bar knows the one before (a model of stage 3b, `<model>-auto`, after one of stage 3a).
    alt : bool
        The other weights of stage 3a, `<model>-alt`.
    compat : bool
        As the published program does it; see `cover_compat`. Difficulty, density and transposition do not exist there.
    hop : 1 or 2, optional
        Bars that each prediction serves: 1 (default) or 2.
    melody : "include" or "omit"
        Whether the piano plays the sung tune (that of the analysis, over what the arranger writes), or accompanies it.
    difficulty : 1..5, optional
        How hard to play; as the arranger wrote it when not given.
    density, left_density : 0..1, optional
        Share of the notes (of the left hand's notes) to keep.
    transpose : int or "easy"
        Semitones, or to the nearest key with few accidentals.
    chords : path or Chords, optional
        Other harmonies for the same song (a .lab file), for arrangers that look at chords.
    temperature : float
        0: the likeliest notes; towards 1 the arranger takes chances, which `seed` draws.
    perform : bool
        Dynamics, pedal and a player's timing; without it all notes have one velocity and lie on the grid.
    batch_size : int
        Segments arranged at once; less needs less memory.
    device : "auto", "cpu", "cuda" or "mps"
    progress : callable, optional
        Called with the part done, 0..1.
    timings : dict, optional
        Filled with the seconds of each stage.

    Returns
    -------
    Notes
        Tracks "right hand" and "left hand" on the song's own beats; with `compat` one track at 60 beats a minute.

    Raises
    ------
    AudioError, NotesError, ParameterError, ModelError, DeviceError, MissingExtraError
    """
    _check(melody=melody, transpose=transpose, temperature=temperature, batch_size=batch_size, hop=hop)
    watch = Stopwatch(progress, {} if timings is None else timings)
    arranger, first = open_arranger(model, auto=auto, alt=alt, device=device)
    if compat and arranger == CHORDS:
        raise ParameterError("compat is for models of the published program; block chords have no such thing")
    if compat:
        unused = {"difficulty": difficulty, "density": density, "left_density": left_density, "hop": hop}
        unused |= {"transpose": transpose or None, "temperature": temperature or None}
        if any(value is not None for value in unused.values()):
            names = ", ".join(name for name, value in unused.items() if value is not None)
            raise ParameterError(f"{names}: not with compat, which does what the published program does")
        from spartito.cover_compat import cover_compat

        return cover_compat(
            source, arranger, first, analysis=analysis, original=original, batch_size=batch_size, watch=watch
        )
    song = song_analysis(analysis, source if original is None else original, watch)
    if chords is not None:
        song = replace(song, chords=chords if isinstance(chords, tuple) else read_lab(chords))
        if arranger != CHORDS and not arranger.has_chords:
            warnings.warn(f"{arranger.kind} does not look at chords: they change nothing", CoverWarning, stacklevel=2)
    heard = source if separate is None else _accompaniment(source, separate, watch)
    grid = song_grid(song)
    if arranger == CHORDS:
        placed = watch("arranging", lambda _: block_chords(song, grid, melody=melody == "include"))
    else:
        rows = _predictions(heard, song, grid, arranger, first, watch, melody=melody, temperature=temperature,
                            seed=seed, batch_size=batch_size)  # fmt: skip
        placed = place(rows, grid.starts, served_beats(grid.lengths, hop=hop or 1))
        if melody == "include":  # the tune is better known from the analysis than from the arranger
            placed = with_tune(placed, on_grid(song.melody, grid))
    return watch(
        "notes",
        lambda _: _finished(
            to_notes(placed, grid.beats.times, analysis=song),
            song,
            clock=song.beats if np.sum(song.beats.times > START_TOLERANCE) >= 2 else grid.beats,
            source=source,
            difficulty=difficulty,
            density=density,
            left_density=left_density,
            transpose=transpose,
            perform=perform,
            seed=seed,
        ),
    )


def _check(*, melody, transpose, temperature, batch_size, hop) -> None:
    if melody not in MELODY:
        raise ParameterError(f"the melody is one of {', '.join(MELODY)}, not {melody!r}")
    if isinstance(transpose, str) and transpose != "easy":
        raise ParameterError(f"transpose is a number of semitones or 'easy', not {transpose!r}")
    if not isinstance(transpose, str) and not (transpose == int(transpose) and abs(transpose) <= 24):
        raise ParameterError(f"transpose lies within 24 semitones up or down, not at {transpose}")
    if not 0.0 <= temperature <= 5.0:
        raise ParameterError(f"the temperature lies between 0 and 5, not at {temperature}")
    if batch_size < 1:
        raise ParameterError(f"at least one segment is arranged at once, not {batch_size}")
    if hop not in (None, 1, 2):
        raise ParameterError(f"a prediction can serve 1 or 2 bars (hop), not {hop}")


# -- models -------------------------------------------------------------------------------------------------


def variant_name(model: str | os.PathLike, *, auto: bool = False, alt: bool = False) -> str:
    """Name (or folder) of the weights of one way to use `model`: `a2s`, `a2s-auto` (stage 3b), `a2s-alt`."""
    return f"{os.fspath(model)}{'-auto' if auto else '-alt' if alt else ''}"


def open_arranger(model, *, auto: bool = False, alt: bool = False, device: str = "auto", threads: int = 0):
    """The arranger of that name and, with `auto`, the one that arranges the first bar (else None).

    Raises ParameterError for combinations that do not exist, ModelError when weights are missing.
    """
    if not isinstance(model, str | os.PathLike):
        if auto or alt:
            raise ParameterError("auto and alt choose weights by name: give the name of a model")
        return model if isinstance(model, tuple) else (model, None)
    if str(model) == CHORDS:
        if auto or alt:
            raise ParameterError("block chords have no other weights: leave auto and alt out")
        return CHORDS, None
    kind = Path(model).name
    if auto and kind.startswith("supervised"):
        raise ParameterError(f"{kind} does not know the bar before: auto goes with a2s and a2s-nochd")
    if alt and not (kind == "a2s" or (kind.startswith("a2s-") and "nochd" not in kind)):
        raise ParameterError(f"there are no alternative weights for {kind}: alt goes with a2s")
    opened = _open(variant_name(model, alt=alt), device, threads)
    if not auto:
        return opened, None
    return _open(variant_name(model, auto=True), device, threads), opened


def _open(name: str, device: str, threads: int):
    from spartito.models.hub import find_model, load_model

    info = find_model(name)
    if info.job != "arrangement":
        raise ModelError(f"{info.name} is a model for {info.job!r}; cover needs one for 'arrangement'")
    return load_model(name, device=device, threads=threads)


# -- stages -------------------------------------------------------------------------------------------------


def stored_analysis(path: str | os.PathLike) -> Analysis:
    """A song's analysis from its JSON file, or from a table (.npy) of the original program."""
    if Path(path).suffix.lower() == ".npy":
        from spartito.cover_compat import analysis_of_table, read_table

        return analysis_of_table(read_table(path))
    return Analysis.load(path)


def song_analysis(given, source, watch: Stopwatch) -> Analysis:
    """The analysis as it is given, from a file, or made now."""
    if given is not None:
        return given if isinstance(given, Analysis) else stored_analysis(given)
    from spartito.analysis.analyze import analyze

    return watch("analysis", lambda progress: analyze(source, progress=progress))


def _accompaniment(source, engine: str, watch: Stopwatch) -> Audio:
    from spartito.analysis.separation import separate

    return watch("separation", lambda progress: separate(source, engine=engine, progress=progress))["accompaniment"]


def mono_at(source: str | os.PathLike | Audio, rate: int) -> np.ndarray:
    """(n,) float32 samples of a recording at `rate` hertz."""
    if not isinstance(source, Audio):
        from spartito.audio.io import read_mono

        return read_mono(source, rate=rate)
    import soxr

    mono = np.nan_to_num(source.mono())
    return mono if source.rate == rate else soxr.resample(mono, source.rate, rate)


def _predictions(source, song: Analysis, grid: SongGrid, arranger, first, watch, *, melody, **options) -> np.ndarray:
    """(n, 4) notes on the grid: segment, step, pitch, length in steps."""
    from spartito.models.arranger_input import beat_frames, chord_vectors, listen, segments_of

    if arranger.input == "mel":
        inputs = watch("listening", lambda _: stretched_mel(source, grid))
    else:
        samples = mono_at(source, LISTENING_RATE)
        inputs = watch("listening", lambda progress: listen(samples, tuning=song.tuning, progress=progress))
        inputs = watch("listening", lambda _: beat_frames(inputs, grid.beats))
    vectors = chord_vectors(replace(song, beats=grid.beats).chord_rows(), *segments_of(grid.beats))
    if first is None:
        work = lambda _: arranger.arrange(inputs, vectors, melody=melody, **options)  # noqa: E731
    else:
        from spartito.models.arranger_runtime import Song, arrange_autoregressive

        songs = [Song(inputs, vectors, grid.lengths)]
        options.pop("batch_size")  # one segment after the other
        work = lambda _: arrange_autoregressive(  # noqa: E731
            songs, model=arranger, first_model=first, melody=melody, **options
        )[0]
    return notes_of(watch("arranging", work))


def stretched_mel(source, grid: SongGrid) -> np.ndarray:
    """(segments, 229, 153): what a paper-size arranger hears, from a song stretched to a constant tempo."""
    from spartito.audio.stretch import RATE, beat_segments, beat_stretch
    from spartito.models.arranger_mel import log_mel

    samples, times = mono_at(source, RATE), grid.beats.times
    silence = max(0, int(np.ceil(-times[0] * RATE)))
    samples = np.concatenate([np.zeros(silence, dtype=np.float32), samples])
    stretched, rows = beat_stretch(samples, times + silence / RATE)
    return log_mel(beat_segments(stretched, rows[grid.starts]))


def _finished(
    notes: Notes,
    song: Analysis,
    *,
    clock,
    source,
    difficulty,
    density,
    left_density,
    transpose,
    perform: bool,
    seed: int,
) -> Notes:
    """The arrangement as a pianist plays it; bar lines are those of `clock` (Beats)."""
    from spartito.notes.simplify import easy_key, simplify
    from spartito.notes.two_hands import in_two_hands

    semitones = easy_key(song.key) if transpose == "easy" else int(transpose)
    if len(notes):
        notes = simplify(
            notes, song, difficulty=difficulty, density=density, left_density=left_density, transpose=semitones
        )
        notes = in_two_hands(notes)
        if perform:
            from spartito.render.perform import perform as play

            notes = play(notes, transposed(song, semitones), seed=seed)
        array = notes.array.copy()
        array["onset"] = np.clip(array["onset"], 0.0, song.duration - 0.01)
        array["offset"] = np.clip(array["offset"], array["onset"] + 0.01, song.duration)
        notes = notes.with_array(array)
    notes = replace(with_beats(notes, clock), **_names(source))
    if song.key:
        keys = (_key_signature(transposed(song, semitones).key),)
        notes = replace(notes, tempo_map=replace(notes.tempo_map, key_signatures=keys))
    return notes


def _names(source) -> dict[str, str]:
    if isinstance(source, Audio):
        return {"title": source.title, "composer": source.artist}
    from spartito.audio.io import audio_info

    tags = audio_info(source)
    return {"title": tags.title, "composer": tags.artist}


def transposed(song: Analysis, semitones: int | str) -> Analysis:
    """The analysis of the same song in another key ("easy": the nearest one with few accidentals)."""
    if semitones == "easy":
        from spartito.notes.simplify import easy_key

        semitones = easy_key(song.key)
    if semitones == 0:
        return song
    key = transpose_chord(song.key, semitones) if song.key else ""
    labels = tuple(replace(c, label=transpose_chord(c.label, semitones, key=key)) for c in song.chords)
    return replace(song, chords=labels, key=key, melody=song.melody + np.array([0.0, 0.0, semitones]))


def _key_signature(key: str) -> KeySignature:
    root, bits, _ = encode(key)
    minor = bool(bits[3])
    major = (root + 3) % 12 if minor else root  # the relative major
    fifths = (major * 7 + 5) % 12 - 5  # -5 (Db) to 6 (F#)
    return KeySignature(0, int(fifths), int(minor))
