"""WJazzD: transcribed jazz solos with their beats, chords and bass notes.

Job
    Read a solo (`read_solo`) and the chord sequences of all solos (`chord_sequences`), and make piano pieces on the
    grid of the genre store of them (`grid_solo`, `write_wjazzd`): the solo in the right hand, transposed by octaves,
    over chords and bass lines as a jazz pianist plays them (`training.jazz_comping`).

The set
    `mcsv_melody/<Player>_<Title>_FINAL.csv` has a line per note of the solo (seconds, MIDI number, loudness),
    `mcsv_beat/..._beattrack.csv` one per beat (seconds, bar, beat, signature, chord, note of the bass). The tatum that
    a note was given is not used: an onset is placed between the beats where it was played, so that swing lies on the
    grid of four steps as in every other set. The note of the bass is not used either: on 42 % of the new chords only
    it is the root.

Source
    M. Pfleiderer, K. Frieler, J. Abeßer, W.-G. Zaddach, B. Burkhart (eds.), 'Inside the Jazzomat: new perspectives for
    jazz research' (Schott 2017); Weimar Jazz Database, ODbL 1.0.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.beats import extrapolated
from spartito.errors import NotesError
from spartito.notes.phrases import STEPS_PER_BEAT, nearest_step
from spartito.training.data.genre_store import GridPiece, bar_regions, on_steps, write_set
from spartito.training.data.jazz_chords import JazzChord, chord_label, parse_chord
from spartito.training.jazz_comping import Feel, accompaniment, rhythm_section_offbeat

__all__ = [
    "ChordSequence",
    "JazzChord",
    "Solo",
    "chord_sequences",
    "feel_of",
    "grid_solo",
    "lag_of",
    "list_solos",
    "offbeat_of",
    "on_beats",
    "parse_chord",
    "read_solo",
    "work_title",
    "write_wjazzd",
]


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


# -- pieces on the grid -----------------------------------------------------------------------------------------

LOWEST_SOLO = 66  # MIDI number above which nine in ten notes of the right hand shall lie
QUIET, LOUD = 58.0, 74.0  # dB that become the velocities 45 and 105
NEAR = 0.2  # beats: what lies so near to a beat is meant to be on it
LAG = (-0.05, 0.15)  # beats that a soloist is believed to play before or behind the band
SWUNG = (0.42, 0.8)  # beats: where the second quaver of a beat is looked for


def lag_of(solo: Solo) -> float:
    """How far behind the beats of the band the soloist plays, in beats: the median of what lies near a beat."""
    part = np.mod(extrapolated(solo.onset, solo.beats, np.arange(len(solo.beats))), 1.0)
    lag = 0.0
    for _ in range(4):  # the window moves with the median
        away = np.mod(part - lag + 0.5, 1.0) - 0.5
        near = away[np.abs(away) < NEAR]
        lag += float(np.median(near)) if len(near) else 0.0
    return float(np.clip(lag, *LAG))


def offbeat_of(solo: Solo, *, lag: float = 0.0) -> float:
    """Where the soloist plays the second quaver of a beat, in beats: 0.5 straight, 0.67 in triplets."""
    part = np.mod(extrapolated(solo.onset, solo.beats, np.arange(len(solo.beats))) - lag, 1.0)
    part = part[(part > SWUNG[0]) & (part < SWUNG[1])]
    return float(np.clip(np.median(part), 0.5, 0.7)) if len(part) else 0.6


def feel_of(solo: Solo) -> Feel:
    """How the band moves under a solo."""
    return Feel(solo.tempo, offbeat=rhythm_section_offbeat(solo.tempo, offbeat_of(solo, lag=lag_of(solo))))


def on_beats(solo: Solo) -> tuple[tuple[JazzChord | None, ...], np.ndarray, np.ndarray]:
    """A solo from its first downbeat on, without the lag behind the band.

    Returns
    -------
    chords : one per beat
    regions : (r, 2) int, steps
        Stretches in bars of four beats.
    tune : (k, 4) float
        Onset and release in beats, MIDI pitch, velocity.
    """
    first = int(np.argmax(solo.positions == 0))
    positions, lengths = solo.positions[first:], solo.lengths[first:]
    lag = lag_of(solo)
    place, stop = (
        extrapolated(t, solo.beats[first:], np.arange(len(positions))) - lag for t in (solo.onset, solo.offset)
    )
    inside = (place >= -0.125) & (place < len(positions))
    loudness = np.nan_to_num(solo.loudness[inside], nan=0.5 * (QUIET + LOUD))
    velocity = np.clip(np.round(np.interp(loudness, (QUIET, LOUD), (45, 105))), 1, 127)
    tune = np.column_stack([np.maximum(place[inside], -0.124), stop[inside], solo.pitch[inside], velocity])
    return solo.chords[first:], bar_regions(*_bars(positions, lengths)), tune


def grid_solo(solo: Solo, *, seed: int = 0) -> GridPiece:
    """The solo over its chords, for two hands, from its first downbeat on.

    The right hand plays the solo, octaves higher where it would lie among the chords, and without the lag behind the
    band, as both hands belong to one player. An inner note that the solo plays, too, or runs into, is left out.
    """
    chords, regions, tune = on_beats(solo)
    low = np.percentile(solo.pitch, 10)
    tune[:, 2] += 12 * max(0, int(np.ceil((LOWEST_SOLO - low) / 12)))

    rng = np.random.default_rng([seed, *solo.name.encode()])
    feel = feel_of(solo)
    under = [np.zeros((0, 4))]
    for start, end in regions // STEPS_PER_BEAT:
        played = accompaniment(chords[start:end], feel=feel, rng=rng)
        played[:, 0] += start
        under.append(played)
    under = np.concatenate(under)
    under[:, 1] += under[:, 0]  # lengths to ends
    under = under[~_covered(under, tune)]
    both = np.concatenate([tune, under])
    right = np.repeat([1, 0], [len(tune), len(under)])
    notes, exact, part = on_steps(
        both[:, 0] * STEPS_PER_BEAT,
        both[:, 1] * STEPS_PER_BEAT,
        both[:, 2],
        np.clip(np.round(both[:, 3]), 1, 127),
        hand=right,
        part=right,
    )
    notes[:, 0] = np.maximum(notes[:, 0], 0)
    changes = [i for i, chord in enumerate(chords) if i == 0 or chord != chords[i - 1]]
    labels = [(STEPS_PER_BEAT * i, chord_label(chords[i])) for i in changes]
    return GridPiece(solo.name, solo.work, notes, exact, regions, solo.tempo, part, labels)


def _bars(positions: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First step and length in steps of each bar; one that lacks beats counts as short as it is."""
    down = np.flatnonzero(positions == 0)
    counted = np.diff(np.append(down, len(positions)))
    # a signature that contradicts the beats that were marked is not believed
    length = np.where(counted == lengths[down], counted, 1)
    return STEPS_PER_BEAT * down, STEPS_PER_BEAT * length


def _covered(under: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """(k,) bool: notes of the accompaniment at or above the lowest note of the solo that sounds with them."""
    if len(under) == 0 or len(tune) == 0:
        return np.zeros(len(under), dtype=bool)
    begin, end = nearest_step(tune[:, 0] * 4), nearest_step(tune[:, 1] * 4)
    size = int(max(end.max(), (under[:, 1] * 4).max())) + 2
    floor = np.full(size, 128.0)
    many = np.maximum(end - begin, 1)
    at = np.repeat(np.maximum(begin, 0), many) + np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    np.minimum.at(floor, np.minimum(at, size - 1), np.repeat(tune[:, 2], many))
    start = np.clip(nearest_step(under[:, 0] * 4), 0, size - 2)
    stop = np.clip(nearest_step(under[:, 1] * 4), start + 1, size - 1)
    lowest = np.minimum.reduceat(floor, np.column_stack([start, stop]).ravel())[::2]
    return under[:, 2] >= lowest


def write_wjazzd(folder: Path, store: Path, *, seed: int = 0) -> dict[str, int]:
    """Make `STORE/jazz/<split>/wjazzd.npz` of the database in `folder`; gives the pieces of each split."""
    pieces = (grid_solo(read_solo(path), seed=seed) for path in list_solos(folder))
    return write_set(store, "jazz", "wjazzd", pieces)
