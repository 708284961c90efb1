"""WJazzD: transcribed jazz solos with their beats, chords and bass notes.

Job
    Read a solo (`read_solo`), the names of its chords (`parse_chord`), the chord sequences of all solos
    (`chord_sequences`), and make piano pieces on the grid of the genre store of them (`grid_solo`, `write_wjazzd`): the
    solo in the right hand, transposed by octaves, over chords and bass lines as a jazz pianist plays them
    (`training.jazz_comping`).

The set
    `mcsv_melody/<Player>_<Title>_FINAL.csv` has a line per note of the solo (seconds, MIDI number, loudness),
    `mcsv_beat/..._beattrack.csv` one per beat (seconds, bar, beat, signature, chord, note of the bass). The tatum a note
    was given is not used: an onset is placed between the beats where it was played, so that swing lies on the grid of
    four steps as in every other set.

    Names of chords: root (`C`, `F#`, `Bb`), kind (`-` minor, `j7` major seventh, `7`, `6`, `m7b5`, `o` diminished, `+`
    augmented, `sus`, `7alt`, none: major), degrees with their sign behind them (`79b13b` = 7, flat 9, flat 13), bass
    (`/Eb`); `NC` is no chord.

Source
    M. Pfleiderer, K. Frieler, J. Abeßer, W.-G. Zaddach, B. Burkhart (eds.), 'Inside the Jazzomat: new perspectives for
    jazz research' (Schott 2017); Weimar Jazz Database, ODbL 1.0.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spartito.analysis.harte import pitch_class
from spartito.errors import NotesError, ParameterError

__all__ = ["ChordSequence", "JazzChord", "Solo", "chord_sequences", "list_solos", "parse_chord", "read_solo"]

NO_CHORD = ("NC", "")
KINDS = {  # as written: quality (a word of `analysis.harte`) and degrees beyond it, semitones above the root
    "": ("maj", ()),
    "j7": ("maj7", ()),
    "6": ("maj6", ()),
    "7": ("7", ()),
    "7alt": ("7", (13, 15, 20)),
    "-": ("min", ()),
    "-7": ("min7", ()),
    "-6": ("min6", ()),
    "-j7": ("minmaj7", ()),
    "m7b5": ("hdim7", ()),
    "o": ("dim", ()),
    "o7": ("dim7", ()),
    "sus": ("sus4", ()),
    "sus7": ("sus4", (10,)),
    "+": ("aug", ()),
    "+7": ("7", (20,)),
    "+j7": ("maj7", (20,)),
}
DEGREES = {"9": 14, "9b": 13, "9#": 15, "11": 17, "11#": 18, "13": 21, "13b": 20}
_NAME = re.compile(
    r"([A-G][b#]?)(m7b5|-j7|-7|-6|-|j7|7alt|7|6|sus7|sus|\+j7|\+7|\+|o7|o|)((?:(?:9|11|13)[b#]?)*)(?:/([A-G][b#]?))?$"
)
_DEGREE = re.compile(r"(?:9|11|13)[b#]?")


@dataclass(frozen=True)
class JazzChord:
    """A chord as the database names it."""

    root: int  # pitch class 0..11
    quality: (
        str  # a word of `analysis.harte`: maj, min, dim, aug, sus4, maj7, min7, 7, hdim7, dim7, minmaj7, maj6, min6
    )
    tensions: tuple[int, ...] = ()  # semitones above the root that the name adds: 13 flat nine .. 21 thirteen; 10
    bass: int = -1  # pitch class of a bass that is not the root; -1 without


@lru_cache(maxsize=4096)
def parse_chord(name: str) -> JazzChord | None:
    """The chord of a name, None for `NC`. Raises ParameterError for what is no name of a chord."""
    if name.strip() in NO_CHORD:
        return None
    match = _NAME.match(name.strip())
    if match is None:
        raise ParameterError(f"{name!r} is not a chord of the database: write it like C-7, Bbj7, F79b or Am7b5/Eb")
    root, kind, degrees, bass = match.groups()
    quality, tensions = KINDS[kind]
    added = tuple(DEGREES[text] for text in _DEGREE.findall(degrees))
    low = pitch_class(bass) if bass else -1
    root = pitch_class(root)
    return JazzChord(root, quality, tuple(sorted({*tensions, *added})), -1 if low == root else low)


@dataclass(frozen=True, eq=False)
class Solo:
    """One solo; n notes, b beats.

    Attributes
    ----------
    name, work : str
        Player and title; the title alone, in small letters without signs ("bodyandsoul").
    onset, offset : np.ndarray, shape=(n,), seconds
    pitch : np.ndarray, shape=(n,), MIDI number
    loudness : np.ndarray, shape=(n,), decibels
    beats : np.ndarray, shape=(b,), seconds
    positions : np.ndarray, shape=(b,)
        Beat in the bar, 0 = downbeat.
    lengths : np.ndarray, shape=(b,)
        Beats in the bar by the signature.
    chords : tuple of JazzChord or None, one per beat
    bass : np.ndarray, shape=(b,), MIDI number
        The note the bass plays on the beat; -1 where none was heard.
    """

    name: str
    work: str
    onset: np.ndarray
    offset: np.ndarray
    pitch: np.ndarray
    loudness: np.ndarray
    beats: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    chords: tuple[JazzChord | None, ...]
    bass: np.ndarray

    @property
    def tempo(self) -> float:
        """Beats per minute, median."""
        return float(60.0 / np.median(np.diff(self.beats)))


@dataclass(frozen=True, eq=False)
class ChordSequence:
    """The chords of one solo, beat by beat; each array (b,)."""

    work: str
    name: str
    roots: np.ndarray  # pitch class 0..11, -1 no chord
    qualities: np.ndarray  # words of `analysis.harte`, "N" for no chord
    positions: np.ndarray  # beat in the bar, 0 = downbeat
    lengths: np.ndarray  # beats in the bar


def work_title(title: str) -> str:
    """A title as all sets of jazz name their works: small letters and figures only, without what stands in brackets
    or behind a dash ("Oleo - Live at ...", "Stardust-1")."""
    title = re.sub(r"\(.*?\)|\[.*?\]|\s-\s.*$|-\d+$", "", title)
    return re.sub(r"[^a-z0-9]", "", title.lower())


def list_solos(folder: Path) -> list[Path]:
    """Tables of the notes of all solos. Raises NotesError when there are none."""
    files = sorted((Path(folder) / "mcsv_melody").glob("*_FINAL.csv"))
    if not files:
        raise NotesError(f"{folder} is no folder of the Weimar Jazz Database: it holds no mcsv_melody/*_FINAL.csv")
    return files


def read_solo(path: Path) -> Solo:
    """The solo of one table of notes, with the table of beats that belongs to it."""
    path = Path(path)
    notes = _rows(path)
    beats = _rows(path.parents[1] / "mcsv_beat" / f"{path.stem}_beattrack.csv")
    name = path.stem.removesuffix("_FINAL")
    times = _column(beats, "onset")
    keep = np.concatenate([[True], np.diff(times) > 0])
    beats = [row for row, kept in zip(beats, keep, strict=True) if kept]
    onset = _column(notes, "onset")
    return Solo(
        name=name,
        work=work_title(name.partition("_")[2]),
        onset=onset,
        offset=onset + _column(notes, "duration"),
        pitch=_column(notes, "pitch").astype(np.int64),
        loudness=_column(notes, "loud_median"),
        beats=times[keep],
        positions=_column(beats, "beat").astype(np.int64) - 1,
        lengths=np.array([int(row["signature"].strip("'\"").partition("/")[0]) for row in beats]),
        chords=tuple(parse_chord(row["chord"]) for row in beats),
        bass=_column(beats, "bass", missing=-1).astype(np.int64),
    )


def chord_sequences(folder: Path) -> list[ChordSequence]:
    """The chords of all solos, sorted by name."""
    return [_sequence(path) for path in list_solos(folder)]


def _sequence(path: Path) -> ChordSequence:
    solo = read_solo(path)
    roots = np.array([-1 if chord is None else chord.root for chord in solo.chords])
    qualities = np.array(["N" if chord is None else chord.quality for chord in solo.chords])
    return ChordSequence(solo.work, solo.name, roots, qualities, solo.positions, solo.lengths)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise NotesError(f"{path.name} is missing in {path.parent}")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _column(rows: list[dict[str, str]], name: str, *, missing: float = np.nan) -> np.ndarray:
    """(rows,) numbers of one column; `missing` where it says nothing."""
    texts = (row.get(name) or "" for row in rows)
    return np.array([missing if text in ("", "NA", "nan") else float(text) for text in texts], dtype=np.float64)
