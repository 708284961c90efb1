"""A song and its piano cover, from two files to training data: every stage of one pair.

    song:  sound -> beats, chords, tune (`analyze`), what the transcriber hears of it (`listen`)   work/songs/SONG/
    cover: sound -> notes (`transcribe`), or notes as they are                                     work/covers/COVER.mid
    pair:  key and path (`align`) -> notes and pedal on the song's clock, in the song's key        work/pairs/PAIR/
           -> measures -> filters -> pieces (`pair_shards`)

Each stage is kept in the store and not done again while its files stay as they are: an interrupted run goes on, another
threshold costs nothing, a song with three covers is heard once. Songs and covers are named by their file with its path,
size and time of change, pairs by the two paths.

Source
    The order of stages and the filters on length, tempo and tune are those of J. Choi, K. Lee, 'Pop2Piano' (ICASSP
    2023, https://arxiv.org/abs/2211.00895) and its published program.

Differences
    - The cover goes to the song's key, not the song to the cover's: moving notes costs nothing, moving sound costs a
      phase vocoder. The price is a register up to six semitones from the one it was played in.
    - The tune is that of our analyzer, not pYIN in separated vocals; beats are ours, too.
    - Only bars that fit are kept, so that a pair whose cover leaves out a verse still serves with the rest.
    - Two filters more: how alike the two sides sound along the path, and how much of the song's beats fit. The tune
      alone lets a cover of another song pass whenever keys and chords are alike.
"""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from spartito.analysis.analyze import analyze
from spartito.analysis.beats import Beats, beats_from_tempo_map, pitched, with_beats
from spartito.analysis.song import Analysis
from spartito.audio.audio import Audio
from spartito.audio.io import read_mono
from spartito.errors import NotesError, ParameterError
from spartito.evaluation.melody import melody_accuracy
from spartito.files import atomic_path
from spartito.models.arranger_input import RATE, TRANSCRIBER, Heard, listen
from spartito.models.hub import load_model
from spartito.notes.midi import MIDI_SUFFIXES, read_midi, write_midi
from spartito.notes.notes import Notes
from spartito.notes.simplify import transpose_notes
from spartito.outputs import THREADS
from spartito.training.data.arrangements import packed, unpacked
from spartito.training.data.pair_alignment import Alignment, align
from spartito.training.data.pair_features import features_of_notes, features_of_sound
from spartito.training.data.pair_shards import half_beat_notes, parts_of, save_pieces, table_of, to_notes
from spartito.training.data.splits import TEST, VALIDATION, tenth_of
from spartito.training.data.states import read_state, write_state
from spartito.transcription import transcribe

__all__ = ["Filters", "Pair", "beats_that_fit", "objections", "prepare_pair", "sound_of", "warped"]

VERSION = 1  # of what is kept in `work`; another one makes everything anew
SPLITS = ("train", "validation", "test")
PACE_SPAN = 4.0  # s over which the pace of the cover is measured
LIKENESS_SPAN = 4.0  # s over which likeness is averaged
UNEVEN = 1.3  # a bar is left out where the pace is by more than this factor off the usual one
UNLIKE = 0.35  # or where the likeness is lower


@dataclass(frozen=True)
class Pair:
    """A line of a list; `composer` says who arranged it, if that is known."""

    song: Path
    cover: Path
    composer: str = ""

    @property
    def name(self) -> str:
        """The same for the same two paths, wherever in a list they stand."""
        return f"{self.cover.stem}-{_digest(f'{self.song.resolve()}|{self.cover.resolve()}')}"

    @property
    def split(self) -> str:
        """All covers of a song are in one split, by the hash of its name as everywhere (`data/splits.py`)."""
        return {TEST: "test", VALIDATION: "validation"}.get(tenth_of(self.song.stem), "train")


@dataclass(frozen=True)
class Filters:
    """What a pair must be like to be kept. Both ends of the length and the tune are those of the paper."""

    shortest: float = 0.83  # length of the cover beside that of the song, first to last sound
    longest: float = 1.2
    melody: float = 0.15  # melody chroma accuracy
    level: float = -50.0  # dBFS that the song's loudest tenth of a second reaches
    density: float = 0.5  # notes a second
    likeness: float = 0.5  # mean correlation of the two chromas along the path
    aligned: float = 0.6  # share of the song's beats that fit
    bars: int = 4  # in a row that fit, to be a piece

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ParameterError(f"the filter {name} is a number, not {value!r}")


def objections(measures: dict, filters: Filters) -> list[str]:
    """Why a pair is not kept, one sentence for each filter it fails; empty if it is kept."""
    m, f = measures, filters
    least = (
        ("melody", f.melody, "the top line of the cover agrees with the tune {:.0%} of the time, {:.0%} is asked for"),
        ("level", f.level, "the song reaches {:.0f} dBFS, {:.0f} is asked for"),
        ("density", f.density, "the cover has {:.2f} notes a second, {:.2f} are asked for"),
        ("likeness", f.likeness, "song and cover are alike by {:.2f} along the path, {:.2f} is asked for"),
        ("aligned", f.aligned, "{:.0%} of the song's beats fit, {:.0%} are asked for"),
        ("pieces", 1, "{} runs of whole bars fit, {} is needed"),
    )
    reasons = [text.format(m[name], low) for name, low, text in least if not m[name] >= low]
    if not f.shortest <= m["length"] <= f.longest:
        reasons.insert(
            0, f"the cover is {m['length']:.3f} times as long as the song, {f.shortest} to {f.longest} is asked for"
        )
    if m["steady"]:
        reasons.insert(0, "no beat is heard in the song")
    return reasons


# -- one pair -----------------------------------------------------------------------------------------------------


def prepare_pair(pair: Pair, store: Path, *, filters: Filters, model: str = "transcribe") -> dict:
    """Do all stages of a pair that are not done yet, and keep its pieces or take them away.

    Returns
    -------
    dict
        `kept` (bool), `reasons` (list of str), `split`, `pieces` (list of str), and the measures.

    Raises
    ------
    SpartitoError
        One of the files cannot be read, or holds nothing.
    """
    folder = Path(store, "work", "pairs", pair.name)
    inputs = [str(VERSION), _identity(pair.song), f"{_identity(pair.cover)}-{model}"]
    state = read_state(folder / "measures.json")
    if state.get("inputs") != inputs:
        _remove_pieces(store, pair.name)
        state = {"inputs": inputs, "pieces": [], **_align(pair, Path(store, "work"), folder, model)}
        write_state(folder / "measures.json", state)
    measures = state["measures"]
    parts = [part for part in state["parts"] if part[2] >= filters.bars]
    measures = {**measures, "pieces": len(parts), "bars": sum(part[2] for part in parts)}
    reasons = objections(measures, filters)
    wanted = [] if reasons else parts
    if state["pieces"] != wanted:
        _remove_pieces(store, pair.name)
        write_state(folder / "measures.json", {**state, "pieces": []})
        if wanted:
            analysis, heard = _song(pair.song, Path(store, "work"))
            files = {"song": str(pair.song.resolve()), "cover": str(pair.cover.resolve())}
            meta = {**files, "composer": pair.composer, **measures}
            cover = read_midi(folder / "aligned.mid")
            spans = [(first, last) for first, last, _ in wanted]
            save_pieces(store, pair.split, pair.name, spans, heard=heard, analysis=analysis, cover=cover, meta=meta)
        write_state(folder / "measures.json", {**state, "pieces": wanted})
    names = [f"{pair.name}-{i + 1}" for i in range(len(wanted))]
    return {"kept": not reasons, "reasons": reasons, "split": pair.split, **measures, "pieces": names}


def _align(pair: Pair, work: Path, folder: Path, model: str) -> dict:
    """Measures of a pair and its parts: first beat, last beat, bars. Writes `alignment.npz` and `aligned.mid`."""
    analysis, heard = _song(pair.song, work)
    cover = _cover(pair.cover, work, model)
    song_features, cover_features = features_of_sound(heard), features_of_notes(cover)
    alignment = align(song_features, cover_features)
    with atomic_path(folder / "alignment.npz") as path, path.open("wb") as file:
        np.savez(file, **vars(alignment))
    aligned = warped(cover, alignment)
    if len(aligned):
        write_midi(with_beats(aligned, analysis.beats), folder / "aligned.mid")

    beats = analysis.beats.times
    fits = beats_that_fit(alignment, beats)
    parts = parts_of(fits, analysis.beats.positions, least=1)
    downs = analysis.beats.positions == 0
    spans = [np.subtract(*side.sounding()[::-1]) for side in (song_features, cover_features)]
    tune = Notes.from_arrays(*analysis.melody.T) if len(analysis.melody) else Notes()
    halves = to_notes(half_beat_notes(table_of(aligned.sounding()), beats), beats)
    pace = float(np.median(alignment.pace(beats, span=PACE_SPAN)))
    measures = {
        "length": float(spans[1] / max(spans[0], 1e-9)),
        "transposition": alignment.transposition,
        "clarity": alignment.clarity,
        "likeness": float(alignment.likeness_around(np.mean(alignment.song[[0, -1]]), span=np.inf)),
        "aligned": float(fits.mean()),
        "melody": melody_accuracy(tune, halves)["melody_chroma_accuracy"],
        "level": float(analysis.loudness.max(initial=-np.inf)),
        "density": len(aligned) / max(float(np.ptp(alignment.song)), 1e-9),
        "tempo": analysis.tempo,
        "pace": 1.0 / max(pace, 1e-9),
        "steady": analysis.steady,
    }
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in measures.items()}
    return {"measures": rounded, "parts": [(first, last, int(downs[first:last].sum())) for first, last in parts]}


def beats_that_fit(alignment: Alignment, beats: np.ndarray) -> np.ndarray:
    """(n,) bool: beats that the cover plays at about its usual pace, and like the song."""
    middle = beats + 0.5 * np.diff(beats, append=2 * beats[-1] - beats[-2])
    pace = alignment.pace(middle, span=PACE_SPAN)
    inside = (middle >= alignment.song[0]) & (middle <= alignment.song[-1])
    if not inside.any():
        return inside
    even = np.abs(np.log(np.maximum(pace, 1e-9) / np.median(pace[inside]))) <= np.log(UNEVEN)
    return inside & even & (alignment.likeness_around(middle, span=LIKENESS_SPAN) >= UNLIKE)


def warped(cover: Notes, alignment: Alignment) -> Notes:
    """The cover at the times and in the key of the song: notes, pedal, all that is timed; unmatched notes go."""
    array = cover.array[alignment.inside(cover.onset)].copy()
    for name in ("onset", "offset"):
        array[name] = alignment.to_song(array[name])
    array = array[array["offset"] > array["onset"]]

    def moved(events):  # those outside go to its ends, so that a pedal pressed before is down, and one held comes up
        events = events.copy()
        events["time"] = alignment.to_song(events["time"])
        return events

    tracks = tuple(replace(t, controls=moved(t.controls), bends=moved(t.bends), lyrics=()) for t in cover.tracks)
    cover = Notes(array, tracks=tracks, title=cover.title, composer=cover.composer)
    return transpose_notes(cover, alignment.transposition)


# -- its two sides ------------------------------------------------------------------------------------------------


def _song(path: Path, work: Path) -> tuple[Analysis, Heard]:
    """What a song is made of and what is heard in it, from the store or from its sound."""
    folder = work / "songs" / _identity(path)
    if not (folder / "heard.npz").exists():
        samples, beats = sound_of(path)
        analysis = analyze(Audio(samples[None], RATE), beats=beats, model=_model("analyze"))
        heard = listen(samples, transcriber=_model(TRANSCRIBER), tuning=analysis.tuning)
        analysis.save(folder / "analysis.json")
        with atomic_path(folder / "heard.npz") as target, target.open("wb") as file:
            np.savez(file, values=packed(heard.values), fps=heard.fps)
    analysis = Analysis.load(folder / "analysis.json")
    with np.load(folder / "heard.npz") as data:
        return analysis, Heard(unpacked(data["values"]), float(data["fps"]))


def sound_of(path: Path, *, rate: int = RATE) -> tuple[np.ndarray, Beats | None]:
    """(n,) float32 at `rate` Hz, and the beats that a MIDI file brings if they are those of its notes."""
    if path.suffix.lower() not in MIDI_SUFFIXES:
        return read_mono(path, rate=rate), None
    import soxr

    from spartito.render.synthesize import synthesize

    notes = read_midi(path)
    audio = synthesize(notes)
    return soxr.resample(audio.mono(), audio.rate, rate), beats_from_tempo_map(notes)


def _cover(path: Path, work: Path, model: str) -> Notes:
    """The notes of a cover, drums left out."""
    if path.suffix.lower() in MIDI_SUFFIXES:
        notes = pitched(read_midi(path))
    else:
        kept = work / "covers" / f"{_identity(path)}-{Path(model).name}.mid"
        if not kept.exists():
            write_midi(transcribe(path, model=_model(model)), kept)
        notes = read_midi(kept)
    if len(notes) == 0:
        raise NotesError(f"{path} holds no notes")
    return notes


@lru_cache(maxsize=4)
def _model(name: str):
    """A model, kept for the next pair. A worker of several takes its share of the threads."""
    return load_model(name, threads=int(os.environ.get(THREADS, 0)))


# -- the store ----------------------------------------------------------------------------------------------------


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()[:8]


def _identity(path: Path) -> str:
    """A name for a file as it is now. Raises NotesError when it is not there."""
    try:
        state = path.stat()
    except OSError as error:
        raise NotesError(f"{path} cannot be read: {error.strerror or error}") from error
    return f"{path.stem}-{_digest(f'{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{VERSION}')}"


def _remove_pieces(store: Path, name: str) -> None:
    for split in SPLITS:
        for folder in (Path(store, *parts, split) for parts in ((), ("labels",), ("hands",), ("mel",))):
            for path in folder.glob(f"{glob.escape(name)}-[0-9]*.np[yz]"):
                path.unlink(missing_ok=True)
