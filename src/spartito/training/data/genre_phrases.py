"""Folders of MIDI files made into phrases for genre transfer: the published preparation, song by song.

Job
    `read_song` says of one MIDI file whether it qualifies and gives its notes on the grid; `write_mode` writes the
    training or test phrases of a genre as the published programs read them, `write_pair` the folders of a pair.
    `training/genre_commands.py` leads files through all steps and writes the report.

The published steps
    1. A tenth of the songs, drawn at random, is for testing; 2. a song qualifies when it has one time signature, 4/4,
    from its beginning; 3. those files are copied; 4. all tracks but drums become one roll of four steps a beat, the
    rest behind the last whole phrase is cut off, and keys 24 to 107 are kept; 5. the phrases of all songs are one
    boolean array; 6. each phrase that is not empty is one file, numbered by its place in that array.

Modes
    *strict* qualifies as published: a file that does not say its metre is refused, too. *lenient*, the default, takes a
    missing signature for 4/4, as MIDI does, and of a song with several keeps its regions in 4/4 (2/2 is one, 2/4 in
    pairs of bars); it refuses what is played freely, without regard to the beats of the file (`keeps_time`).
    With `compat`, phrases at the end are dropped until their number is a multiple of four, as a left-over of an earlier
    version did in the published program: a song under 16 bars is lost.

Differences
    - Songs are drawn with a seed and balanced with one, and drawn among those that qualify, so that a tenth of them is
      for testing; files with the same content count once, so that none is heard in training and in the test.
    - Rolls come from ticks, rounded to the nearest step, halves up, each note a step at least.
    - What is done is known by the content of files and the settings, never by dates: an interrupted run goes on.

Source
    G. Brunner, Y. Wang, R. Wattenhofer, S. Zhao, 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018) and the
    authors' program (github.com/sumuzhao/CycleGAN-Music-Style-Transfer); written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.beats import pitched
from spartito.errors import NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.midi import parse_midi, write_midi
from spartito.notes.notes import Notes
from spartito.notes.phrases import KEYS, LOWEST, PHRASE, STEPS_PER_BEAT, from_rolls, rolls
from spartito.notes.pianoroll import from_pianoroll
from spartito.notes.tempo import TempoMap
from spartito.training.data.genre_store import (
    BAR,
    GenrePieces,
    GridPiece,
    bar_regions,
    columns_of,
    grid_piece,
    tick_bars,
)
from spartito.training.data.states import read_state, write_state

__all__ = [
    "ORDER",
    "Refused",
    "Rules",
    "Song",
    "check_midi",
    "draw_test",
    "keep_song",
    "keeps_time",
    "load_phrases",
    "load_song",
    "open_published",
    "pair_name",
    "phrases_of",
    "qualify",
    "read_song",
    "write_mode",
    "write_pair",
]

VERSION = 2  # of what is kept of a song; another one makes everything anew
STEP = 60 / 80 / STEPS_PER_BEAT  # s: check MIDI files are written at 80 beats per minute, as published
LOUDNESS = 100  # velocity of their notes
TOGETHER = 0.15  # mean resultant; of jazz played to a click 0.3 and more, of free playing none
BY_CHANCE = 2.5  # deviations of the mean resultant of few onsets
TAILS = ("remove", "fill")
ORDER = ("jazz", "classic", "pop")  # the order of letters in published names of folders: JC, JP, CP, JCP


class Refused(NotesError):
    """A song that does not qualify; the message says why."""


@dataclass(frozen=True)
class Rules:
    """How songs are chosen and cut.

    Attributes
    ----------
    strict : bool
        Qualify as published.
    compat : bool
        Drop phrases until their number is a multiple of four.
    tail : "remove" or "fill"
        What becomes of a song's last steps that are no whole phrase: cut off, or filled with silence.
    """

    strict: bool = False
    compat: bool = False
    tail: str = "remove"

    def __post_init__(self):
        if self.tail not in TAILS:
            raise ParameterError(f"the tail is one of {', '.join(TAILS)}, not {self.tail!r}")

    def key(self, data: bytes) -> str:
        """A name for what these rules make of a file's content."""
        said = json.dumps([VERSION, asdict(self)])
        return hashlib.sha1(said.encode() + hashlib.sha1(data).digest()).hexdigest()[:16]


# -- one song -------------------------------------------------------------------------------------------------


def facts_of(notes: Notes) -> dict:
    """What step 2 looks at: first time signature (beats from the beginning), their number, the metre, the tempo; and
    whether the notes keep to those beats, as those of a free performance do not."""
    clock = notes.tempo_map
    marks = clock.time_signatures
    return {
        "first_beat": marks[0].tick / clock.ticks_per_quarter if marks else 0.0,
        "time_signatures": len(marks),
        "time_signature": f"{marks[0].numerator}/{marks[0].denominator}" if len(marks) == 1 else None,
        "tempo": round(60e6 / float(clock.changes[0, 1]), 3),
        "on_the_beat": keeps_time(STEPS_PER_BEAT * clock.seconds_to_quarters(pitched(notes).onset)),
    }


def keeps_time(place: np.ndarray) -> bool:
    """Whether onsets at `place` ((n,) steps) keep to the beats of their file, however loosely; free ones do not.

    Their phases within a beat, half or quarter of one then have a common direction (mean resultant above `TOGETHER`).
    """
    turns = np.exp(2j * np.pi * np.asarray(place)[None] / np.array([[4.0], [2.0], [1.0]]))
    common = np.abs(turns.mean(axis=1)).max() if len(place) else 0.0
    return bool(common > max(TOGETHER, min(BY_CHANCE / np.sqrt(max(len(place), 1)), 0.9)))


def qualify(notes: Notes, *, strict: bool) -> None:
    """Raise `Refused` when a file is out of the question: steps 2 and 4a."""
    if len(notes) == 0:
        raise Refused("it holds no notes")
    if len(pitched(notes)) == 0:
        raise Refused("it holds drums only")
    if not strict:
        return
    facts = facts_of(notes)
    if facts["time_signatures"] == 0:
        raise Refused("it says no time signature")
    if facts["first_beat"] > 0:
        raise Refused(f"its first time signature comes {facts['first_beat']:g} beats after the beginning")
    if facts["time_signatures"] > 1:
        raise Refused(f"it has {facts['time_signatures']} time signatures")
    if facts["time_signature"] != "4/4":
        raise Refused(f"it is in {facts['time_signature']}, not in 4/4")


def read_song(data: bytes, *, name: str, rules: Rules) -> GridPiece:
    """One MIDI file on the grid of its own ticks, with the regions that phrases are cut from.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Of the song, also taken as its work.

    Raises
    ------
    Refused
        It does not qualify, or nothing is left of it.
    NotesError
        It is damaged, or no MIDI file.
    """
    notes = parse_midi(data)
    qualify(notes, strict=rules.strict)
    notes = pitched(notes)
    clock = notes.tempo_map
    # rounded, so that a tick half-way between two steps is exactly there after its way over seconds
    onset, offset = (
        np.round(STEPS_PER_BEAT * clock.seconds_to_quarters(times), 6) for times in (notes.onset, notes.offset)
    )
    if not rules.strict and not keeps_time(onset):
        raise Refused("it is played freely, not on the beats of its file: its bars are none")
    end = int(np.ceil(offset.max()))
    regions = [(0, end)] if rules.strict else _regions(clock, end)
    kept = [span for first, last in regions if len(span := _cut(first, last, rules))]
    if not kept:
        raise Refused(_too_short(regions, rules))
    tempo = 60e6 / float(clock.changes[0, 1])
    return grid_piece(name, name, notes, onset, offset, np.array(kept), tempo=tempo, hands=False)


def _regions(clock: TempoMap, end: int) -> list[tuple[int, int]]:
    """Stretches in bars of 4/4 up to step `end`, by the time signatures. Raises `Refused` when there is no such bar."""
    found = bar_regions(*tick_bars(clock, end / STEPS_PER_BEAT), least=1)
    if not len(found):
        said = ", ".join(sorted({f"{m.numerator}/{m.denominator}" for m in clock.time_signatures}))
        raise Refused(f"it is in {said}: no bar of it is in 4/4")
    return [tuple(region) for region in found.tolist()]


def _cut(first: int, last: int, rules: Rules) -> tuple[int, ...]:
    """A region in whole phrases, or () when there is none (step 4b and d)."""
    length = last - first
    phrases = -(-length // PHRASE) if rules.tail == "fill" else length // PHRASE
    if rules.compat:
        phrases -= phrases % 4
    return (first, first + phrases * PHRASE) if phrases > 0 else ()


def _too_short(regions, rules: Rules) -> str:
    bars = max((last - first for first, last in regions), default=0) / BAR
    if rules.compat:
        return f"its longest stretch in 4/4 has {bars:g} bars: phrases are kept by fours, which takes 16"
    return f"its longest stretch in 4/4 has {bars:g} bars: a phrase takes 4"


def phrases_of(piece: GridPiece) -> np.ndarray:
    """(n, 64, 84) bool: the phrases of a song, one behind the other, what sounds (step 4)."""
    starts = np.concatenate([np.arange(first, last, PHRASE) for first, last in piece.regions])
    return rolls(piece.notes, starts)[:, 1] > 0


def check_midi(phrases: np.ndarray, path: Path) -> None:
    """Write (n, 64, 84) phrases one behind the other as MIDI, to be looked at and listened to."""
    roll = phrases.reshape(-1, KEYS)
    write_midi(from_pianoroll(roll, fps=1 / STEP, lowest=LOWEST, velocity=LOUDNESS), path)


# -- songs that are done ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Song:
    """A file and what was made of it: `key` names its content and the rules, `phrases` is how many it gave."""

    name: str
    path: Path
    key: str
    facts: dict
    refused: str = ""
    phrases: int = 0


def keep_song(path: Path, work: Path, *, name: str, rules: Rules) -> Song:
    """Read a file, or what is known of its content already, and keep what was found in the folder `work`."""
    data = Path(path).read_bytes()
    key = rules.key(data)
    said = work / f"{key}.json"
    found = read_state(said)
    if not found:
        found = {"facts": {}, "refused": "", "phrases": 0}
        try:
            found["facts"] = facts_of(parse_midi(data))
            piece = read_song(data, name=name, rules=rules)
            found["phrases"] = int(np.diff(piece.regions).sum()) // PHRASE
            fields = {field: getattr(piece, field) for field in ("notes", "place", "regions", "tempo")}
            with atomic_path(work / f"{key}.npz") as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **fields)
        except NotesError as error:
            found["refused"] = str(error)
        write_state(said, found)
    return Song(name, Path(path), key, **found)


def load_song(song: Song, work: Path) -> GridPiece:
    """The piece of a song that was kept."""
    with np.load(work / f"{song.key}.npz") as data:
        return GridPiece(song.name, song.name, data["notes"], data["place"], data["regions"], float(data["tempo"]))


def draw_test(names: Sequence[str], *, share: float, seed: int) -> set[str]:
    """The songs for testing (step 1): a random share, one of two at least; the same for the same names."""
    names = sorted(names)
    count = max(round(share * len(names)), 1 if share > 0 and len(names) > 1 else 0)
    return {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}


# -- files of the published programs ----------------------------------------------------------------------------


def write_mode(songs: Sequence[Song], work: Path, folder: Path, *, genre: str, mode: str, cap: int = 0) -> int:
    """Write the phrases of the songs of a genre and mode ("train" or "test"), steps 3 to 6; how many are not empty.

    In `folder`: `<genre>_<mode>_piano.npy`, (N, 64, 84, 1) bool; `<mode>/<genre>_piano_<mode>_<k>.npy`, (64, 84, 1)
    each, without the empty ones and at most `cap` if that is not 0; `clean/<mode>/`, the files as they were; and
    `midi/<mode>/`, what was made of them. Nothing is done when all of that is there already.
    """
    state, stamp = folder / f"{mode}.json", _stamp([cap, *([song.name, song.key] for song in songs)])
    array, singles = folder / f"{genre}_{mode}_piano.npy", folder / mode
    known = read_state(state)
    if known.get("stamp") == stamp and array.is_file() and len(list(singles.glob("*.npy"))) == known["phrases"]:
        return known["phrases"]
    _clear([state, *singles.glob(f"{genre}_piano_{mode}_*.npy")])
    blocks = [np.zeros((0, PHRASE, KEYS), dtype=bool)]
    for song in songs:
        blocks.append(phrases_of(load_song(song, work)))
        _place(song.path, folder / "clean" / mode / song.name, link=False)
        name = song.name if song.name.lower().endswith(".mid") else f"{song.name}.mid"
        check_midi(blocks[-1], folder / "midi" / mode / name)
    phrases = np.concatenate(blocks)[..., None]
    _save(array, phrases)
    kept = np.flatnonzero(phrases.any(axis=(1, 2, 3)))[: cap or None]
    for k in kept:
        _save(singles / f"{genre}_piano_{mode}_{k + 1}.npy", phrases[k])
    write_state(state, {"stamp": stamp, "phrases": len(kept), "in all": len(phrases)})
    return len(kept)


def pair_name(genres: Sequence[str]) -> str:
    """Published name of a pair or three: first letters in the order J, C, P."""
    known = sorted(genres, key=lambda genre: ORDER.index(genre) if genre in ORDER else len(ORDER))
    return "".join(genre[0].upper() for genre in known)


def write_pair(sides: Sequence[Path], folders: Sequence[Path], *, seed: int, first: bool = False) -> int:
    """Put equally many phrases of each of several genres into folders, in place of others; how many of each.

    Parameters
    ----------
    sides : folders of single phrases, one for each genre
    folders : where those of each go; all may be one
    first : take the first of the larger genre, as published, instead of drawing at random
    """
    found = [_phrase_files(side) for side in sides]
    least = min(map(len, found))
    wanted: dict[Path, dict[str, Path]] = {folder: {} for folder in folders}
    for number, (paths, folder) in enumerate(zip(found, folders)):
        drawn = np.random.default_rng([seed, number]).permutation(len(paths))[:least]
        chosen = range(least) if first else sorted(drawn)
        wanted[folder] |= {paths[i].name: paths[i] for i in chosen}
    for folder, files in wanted.items():
        there = {path.name for path in _phrase_files(folder)}
        _clear(folder / name for name in there - files.keys())
        for name, path in files.items():
            if name not in there or not _same(path, folder / name):
                _place(path, folder / name, link=True)
    return least


def load_phrases(folder: Path) -> np.ndarray:
    """(n, 64, 84) bool: the single phrases of a folder, by number. Raises ParameterError when there are none."""
    paths = _phrase_files(folder)
    if not paths:
        raise ParameterError(f"{folder} holds no phrases (files as jazz_piano_train_1.npy)")
    return np.stack([np.load(path)[..., 0] > 0 for path in paths])


def open_published(output: Path, genre: str, mode: str, *, pair: Sequence[str] = ()) -> GenrePieces:
    """The single phrases of a genre as pieces of a store, each for itself and as it is: the published training data.

    Parameters
    ----------
    output : folder of `spartito train genre --prepare`
    mode : "train" or "test"
    pair : genres of the pair whose balanced side is wanted; all phrases of the genre if not given

    Raises ParameterError when there are none.
    """
    name = f"{pair_name(pair)}_{genre[0].upper()}" if pair else str(Path("genres", genre))
    folder = Path(output, name, mode)
    phrases = load_phrases(folder)
    names = [path.stem for path in _phrase_files(folder)]
    whole = np.array([[0, PHRASE]])
    tables = (from_rolls(None, phrase) for phrase in phrases)
    pieces = [GridPiece(n, n, notes, notes[:, 0].astype(float), whole) for n, notes in zip(names, tables)]
    return GenrePieces.of(genre, {"published": columns_of(pieces)}, every_bar=False)


def _phrase_files(folder: Path) -> list[Path]:
    """Files of single phrases by name, then number: what stands behind their last underscore."""
    paths = (path for path in Path(folder).glob("*_*.npy") if path.stem.rpartition("_")[2].isdecimal())
    return sorted(paths, key=lambda path: (path.stem.rpartition("_")[0], int(path.stem.rpartition("_")[2])))


# -- small things -----------------------------------------------------------------------------------------------


def _place(source: Path, target: Path, *, link: bool) -> None:
    """The same file at another place: a copy, or a link where the disk knows them."""
    with atomic_path(target) as temporary:
        if link:
            with suppress(OSError):
                os.link(source, temporary)
        if not temporary.exists():
            shutil.copyfile(source, temporary)


def _same(path: Path, other: Path) -> bool:
    return os.path.samefile(path, other) or path.read_bytes() == other.read_bytes()


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _clear(paths) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _stamp(said) -> str:
    return hashlib.sha1(json.dumps([VERSION, said]).encode()).hexdigest()
