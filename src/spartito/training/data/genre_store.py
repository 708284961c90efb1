"""The store of grid pieces that all jobs of genre transfer learn from and are measured on.

Job
    Hold pieces of one genre on the grid of sixteenths (`notes.phrases`), and cut them into phrases of four bars.
    Readers of sets give `GridPiece`s; `save_pieces` writes one file for each genre, split and set; `open_store` reads
    all of a genre and split, and `GenrePieces` finds their phrases and paints their rolls.

Layout
    `FOLDER/<genre>/<split>/<set>.npz`. Splits are by work, as everywhere (`data/splits.py`), but two tenths that would
    train are set apart as "judge": the independent classifiers learn from them, and no generator and no engine does.

Method
    All pieces of a split lie one behind the other on one long line of steps, so that windows of any pieces are found
    and painted by one search in a sorted array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from spartito.errors import NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.notes import Notes
from spartito.notes.phrases import (
    HIGHEST,
    LEFT_HAND,
    LOWEST,
    MIDDLE,
    PHRASE,
    RIGHT_HAND,
    STEPS_PER_BEAT,
    nearest_step,
    rolls,
)
from spartito.notes.tempo import TempoMap
from spartito.notes.two_hands import piano_in_two_hands
from spartito.style.engines import GENRES, PAIRS
from spartito.training.data.splits import TEST, VALIDATION, tenth_of

__all__ = [
    "BAR",
    "GENRES",
    "PAIRS",
    "SPLITS",
    "GenrePieces",
    "GridPiece",
    "bar_regions",
    "columns_of",
    "genre_split",
    "grid_piece",
    "on_steps",
    "open_store",
    "save_pieces",
    "tick_bars",
    "write_set",
]

SPLITS = ("train", "judge", "validation", "test")
JUDGE = (5, 6)  # tenths of the works that only the independent classifiers learn from
BAR = 16  # steps of a bar of 4/4
TUNE, ACCOMPANIMENT, UNKNOWN = 1, 0, -1  # values of `GridPiece.part`


def genre_split(work: str | int) -> str:
    """train, judge, validation or test: the split of a work by its name, or by its tenth."""
    tenth = tenth_of(work) if isinstance(work, str) else int(work)
    return {TEST: "test", VALIDATION: "validation", **dict.fromkeys(JUDGE, "judge")}.get(tenth, "train")


@dataclass(frozen=True, eq=False)
class GridPiece:
    """One piece on the grid of sixteenths. Rows are sorted by step, then pitch.

    Attributes
    ----------
    name, work : str
        `name` is unique in its set; versions of one composition share their `work`.
    notes : np.ndarray, shape=(k, 5), int
        Step of the onset (0 or more), duration in steps, MIDI pitch, velocity, hand (0 left, 1 right).
    place : np.ndarray, shape=(k,), float, steps
        Where the onset was played, before rounding.
    regions : np.ndarray, shape=(r, 2), int
        First step, on a downbeat, and step behind the last, of stretches in bars of 16 steps.
    tempo : float
        Quarter notes per minute, median; 0 when not known.
    part : np.ndarray, shape=(k,), int, optional
        1 in the tune, 0 in what accompanies it, -1 where the set does not say.
    chords : sequence of (step, Harte label)
        As annotated, each until the next; empty when the set has none.
    """

    name: str
    work: str
    notes: np.ndarray
    place: np.ndarray
    regions: np.ndarray
    tempo: float = 0.0
    part: np.ndarray | None = None
    chords: Sequence[tuple[int, str]] = ()

    @property
    def steps(self) -> int:
        """Length: up to the last release or the end of the last region."""
        ends = self.notes[:, 0] + self.notes[:, 1]
        return int(max(ends.max(initial=0), np.max(self.regions, initial=0)))


def on_steps(onset, offset, pitch, velocity, *, hand, part=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Notes at unrounded places in steps put on the grid.

    Both ends go to the nearest step, halves up; a note lasts a step at least; of two notes on one step and key the
    longer stays, in the tune if one of them was. Each argument is (k,); `hand` (0 left, 1 right) and `part` may be one
    value for all.

    Returns
    -------
    notes (m, 5) int, place (m,) float, part (m,) int
        Sorted by step, then pitch.
    """
    place, step, end = np.asarray(onset, dtype=np.float64), nearest_step(onset), nearest_step(offset)
    columns = (step, np.maximum(end - step, 1), pitch, velocity, hand, UNKNOWN if part is None else part)
    table = np.column_stack([np.broadcast_to(np.asarray(c, dtype=np.int64), step.shape) for c in columns])
    order = np.lexsort((-table[:, 1], table[:, 2], table[:, 0]))
    table, place = table[order], place[order]
    keep = np.ones(len(table), dtype=bool)
    keep[1:] = np.any(np.diff(table[:, [0, 2]], axis=0) != 0, axis=1)
    parts = np.maximum.reduceat(table[:, 5], np.flatnonzero(keep)) if len(table) else table[:, 5]
    return table[keep, :5], place[keep], parts


def grid_piece(
    name: str,
    work: str,
    notes: Notes,
    onset,
    offset,
    regions: np.ndarray,
    *,
    tempo: float,
    part=None,
    chords=(),
    hands: bool = True,
) -> GridPiece:
    """A piece of `notes` that lie at the places `onset`, `offset` ((k,) steps, not rounded).

    Everything is moved by whole bars so that nothing comes before step 0. Hands are those that tracks name, or found;
    without `hands`, which takes most of the time, the right one begins at middle C.
    """
    if hands:
        hand = np.where(piano_in_two_hands(notes).array["track"] == 0, RIGHT_HAND, LEFT_HAND)
    else:
        hand = np.where(notes.pitch >= MIDDLE, RIGHT_HAND, LEFT_HAND)
    if part is not None:
        hand = np.where(part == TUNE, RIGHT_HAND, hand)
    table, place, part = on_steps(onset, offset, notes.pitch, notes.velocity, hand=hand, part=part)
    shift = -min(0, int(table[:, 0].min(initial=0)) // BAR * BAR)
    table[:, 0] += shift
    chords = [(max(step + shift, 0), label) for step, label in chords]
    return GridPiece(name, work, table, place + shift, regions + shift, tempo, part, chords)


def tick_bars(clock: TempoMap, quarters: float) -> tuple[np.ndarray, np.ndarray]:
    """First step and length in steps of each bar by the signatures of a file, up to `quarters` quarter notes.

    A file without a signature is in 4/4; a length that is no whole number of steps counts as 0.
    """
    marks = [(s.tick / clock.ticks_per_quarter, s.quarters) for s in clock.time_signatures] or [(0.0, 4.0)]
    if marks[0][0] > 0:
        marks.insert(0, (0.0, 4.0))
    starts, lengths = [], []
    for (begin, size), (end, _) in zip(marks, [*marks[1:], (quarters, 0.0)], strict=True):
        count = int(np.ceil(max(end - begin, 0.0) / size - 1e-6))
        bars = begin + size * np.arange(count)
        starts.append(bars)
        lengths.append(np.diff(np.append(bars, end if end < quarters else begin + size * count)))
    start, length = (STEPS_PER_BEAT * np.concatenate(parts) for parts in (starts, lengths))
    whole = (np.abs(length - np.round(length)) < 1e-6) & (np.abs(start - np.round(start)) < 1e-6)
    return np.round(start).astype(np.int64), np.where(whole, np.round(length), 0).astype(np.int64)


def bar_regions(starts, lengths, *, bar: int = BAR, least: int = PHRASE) -> np.ndarray:
    """(r, 2) int: stretches in bars of `bar` steps, first step and step behind the last.

    Parameters
    ----------
    starts, lengths : (b,) int
        First step and length in steps of each bar, in order. Bars of `bar` steps count, and pairs of bars of half of
        it (2/4); any other, and a gap, ends a stretch.
    least : int
        Shortest stretch that is of use, in steps.
    """
    starts, lengths = np.asarray(starts, dtype=np.int64), np.asarray(lengths, dtype=np.int64)
    if len(starts) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    good = (lengths == bar) | (2 * lengths == bar)
    joined = good[1:] & (lengths[1:] == lengths[:-1]) & (starts[1:] == starts[:-1] + lengths[:-1])
    first = np.flatnonzero(np.concatenate([[True], ~joined]))
    last = np.append(first[1:], len(starts)) - 1
    spans = np.column_stack([starts[first], starts[last] + lengths[last]])[good[first]]
    spans[:, 1] -= np.mod(spans[:, 1] - spans[:, 0], bar)
    return spans[spans[:, 1] - spans[:, 0] >= least]


def write_set(
    store: Path, genre: str, name: str, pieces: Iterable[GridPiece], *, split: Callable[[str], str] | None = None
) -> dict[str, int]:
    """Write the pieces of a set to the files of their splits, in place of what was there of it; how many went to each.

    `split` gives the split of a work; `genre_split` if not given.
    """
    split = split or genre_split
    sorted_out: dict[str, list[GridPiece]] = {}
    for piece in pieces:
        if len(piece.regions) and len(piece.notes):
            sorted_out.setdefault(split(piece.work), []).append(piece)
    for empty in set(SPLITS) - sorted_out.keys():
        Path(store, genre, empty, f"{name}.npz").unlink(missing_ok=True)
    return {s: save_pieces(Path(store, genre, s, f"{name}.npz"), found) for s, found in sorted_out.items()}


# -- files ----------------------------------------------------------------------------------------------------


def save_pieces(path: Path, pieces: Iterable[GridPiece]) -> int:
    """Write pieces as one file of a store and give their number; those without a region or notes are passed over.

    Raises ParameterError when two pieces have one name, or none is left.
    """
    pieces = [piece for piece in pieces if len(piece.regions) and len(piece.notes)]
    names = [piece.name for piece in pieces]
    if not pieces:
        raise ParameterError(f"there is no piece in 4/4 to be written to {path}")
    if len(set(names)) < len(names):
        raise ParameterError(f"two pieces of {path} have the name {next(n for n in names if names.count(n) > 1)!r}")
    content = columns_of(pieces)
    if content["notes"][:, 0].min() < 0 or content["regions"][:, 1].min() < 0:
        raise ParameterError(f"a piece of {path} begins before step 0")
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)
    return len(pieces)


def columns_of(pieces: Sequence[GridPiece]) -> dict[str, np.ndarray]:
    """The arrays of a file of a store (`GenrePieces` tells what they are)."""
    number = np.arange(len(pieces))
    parts = [np.full(len(p.notes), UNKNOWN) if p.part is None else p.part for p in pieces]
    chords = [(i, step, label) for i, p in enumerate(pieces) for step, label in p.chords]
    regions = np.concatenate([p.regions for p in pieces])
    return {
        "notes": np.concatenate([p.notes for p in pieces]).astype(np.int32),
        "place": np.concatenate([p.place for p in pieces]).astype(np.float32),
        "part": np.concatenate(parts).astype(np.int8),
        "piece": np.concatenate([[0], np.cumsum([len(p.notes) for p in pieces])]).astype(np.int32),
        "names": np.array([p.name for p in pieces]),
        "works": np.array([p.work for p in pieces]),
        "steps": np.array([p.steps for p in pieces], dtype=np.int32),
        "regions": np.column_stack([np.repeat(number, [len(p.regions) for p in pieces]), regions]).astype(np.int32),
        "tempo": np.array([p.tempo for p in pieces], dtype=np.float32),
        "chords": np.array([row[:2] for row in chords], dtype=np.int32).reshape(-1, 2),
        "labels": np.array([row[2] for row in chords], dtype=np.str_),
    }


def open_store(folder: Path, genre: str, split: str, *, sets: Sequence[str] | None = None) -> GenrePieces:
    """All pieces of a genre and split, or those of some sets. Raises ParameterError when there are none."""
    if split not in SPLITS:
        raise ParameterError(f"the split is one of {', '.join(SPLITS)}, not {split!r}")
    paths = sorted(Path(folder, genre, split).glob("*.npz"))
    paths = [path for path in paths if sets is None or path.stem in sets]
    if not paths:
        raise ParameterError(f"{folder} holds no pieces of {genre}/{split}" + (f" from {sets}" if sets else ""))
    return GenrePieces.of(genre, {path.stem: _load(path) for path in paths})


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as data:
            return dict(data)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise NotesError(f"{path} is no file of a store of genres: {error}") from error


# -- pieces and their phrases ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GenrePieces:
    """Pieces of one genre and split, one behind the other.

    Attributes
    ----------
    notes : np.ndarray, shape=(N, 5), int
        As `GridPiece.notes`; steps count from the beginning of the piece.
    place, part : np.ndarray, shape=(N,)
    piece : np.ndarray, shape=(pieces + 1,), int
        Piece i holds the notes `piece[i]:piece[i + 1]`.
    names, works, sets, steps, tempo : np.ndarray, shape=(pieces,)
    regions : np.ndarray, shape=(r, 3), int
        Piece, first step, step behind the last.
    chords, labels : np.ndarray, shapes (c, 2) int, (c,) str
        Piece and first step of each annotated chord, and its Harte label.
    every_bar : bool
        Whether a phrase needs an onset in every bar, or one at all.
    """

    genre: str
    notes: np.ndarray
    place: np.ndarray
    part: np.ndarray
    piece: np.ndarray
    names: np.ndarray
    works: np.ndarray
    sets: np.ndarray
    steps: np.ndarray
    regions: np.ndarray
    tempo: np.ndarray
    chords: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    every_bar: bool = True

    @classmethod
    def of(cls, genre: str, sets: dict[str, dict[str, np.ndarray]], **fields) -> GenrePieces:
        """From the arrays of several sets (`columns_of`) by their names."""
        contents = list(sets.values())
        counts = [len(content["names"]) for content in contents]
        before = np.cumsum([0, *counts])

        def joined(name):
            return np.concatenate([content[name] for content in contents])

        def numbered(name):  # pieces of later sets count on
            rows = joined(name).astype(np.int64)
            rows[:, 0] += np.repeat(before[:-1], [len(content[name]) for content in contents])
            return rows

        sizes = np.concatenate([np.diff(content["piece"]) for content in contents])
        return cls(
            genre=genre,
            notes=joined("notes").astype(np.int64),
            piece=np.concatenate([[0], np.cumsum(sizes)]),
            sets=np.repeat(list(sets), counts),
            steps=joined("steps").astype(np.int64),
            regions=numbered("regions"),
            chords=numbered("chords"),
            **{name: joined(name) for name in ("place", "part", "names", "works", "tempo", "labels")},
            **fields,
        )

    def __len__(self) -> int:
        return len(self.names)

    def notes_of(self, piece: int) -> np.ndarray:
        """(k, 5) int: the notes of one piece."""
        return self.notes[self.piece[piece] : self.piece[piece + 1]]

    @cached_property
    def _begin(self) -> np.ndarray:
        """(pieces,) step on the long line where each piece begins; a phrase of silence lies between two."""
        return np.concatenate([[0], np.cumsum(self.steps + PHRASE)[:-1]]).astype(np.int64)

    @cached_property
    def _line(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) onset, offset on the long line, and the latest offset up to each note."""
        onset = self.notes[:, 0] + np.repeat(self._begin, np.diff(self.piece))
        offset = onset + self.notes[:, 1]
        return onset, offset, np.maximum.accumulate(offset)

    def windows(self, *, hop: int = BAR, steps: int = PHRASE) -> np.ndarray:
        """(w, 2) int, piece and first step: phrases of `steps` inside the regions, with an onset in every bar
        (see `every_bar`).

        `hop` in steps from one to the next, counted from the beginning of the region.
        """
        piece, first, last = self.regions.T.astype(np.int64)
        many = np.maximum((last - first - steps) // hop + 1, 0)
        row = np.repeat(np.arange(len(many)), many)
        number = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        found = np.column_stack([piece[row], first[row] + hop * number])

        heard = (self.notes[:, 2] >= LOWEST) & (self.notes[:, 2] <= HIGHEST)
        struck = np.zeros(int(self._begin[-1] + self.steps[-1]) + PHRASE + 1, dtype=np.int64)
        struck[self._line[0][heard] + 1] = 1
        struck = np.cumsum(struck)  # steps with an onset before each step
        bars = (self._begin[found[:, 0]] + found[:, 1])[:, None] + np.arange(0, steps + 1, BAR)
        busy = np.diff(struck[bars], axis=1) > 0
        return found[busy.all(axis=1) if self.every_bar else busy.any(axis=1)]

    def rolls(self, windows: np.ndarray, *, transpose=0, steps: int = PHRASE) -> np.ndarray:
        """(w, 2, steps, 84) uint8: onsets and sounding keys of the windows (see `notes.phrases.rolls`).

        `transpose` in semitones, one for all windows or (w,).
        """
        onset, offset, latest = self._line
        start = self._begin[windows[:, 0]] + windows[:, 1]
        low = np.searchsorted(latest, start, side="right")  # all before have ended
        many = np.maximum(np.searchsorted(onset, start + steps) - low, 0)
        window = np.repeat(np.arange(len(start)), many)
        row = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many - low, many)
        window, row = (x[offset[row] > start[window]] for x in (window, row))
        # the windows one behind the other, with a step between in which a held note may begin
        at = np.maximum(onset[row] - start[window], -1)
        end = np.minimum(offset[row] - start[window], steps)
        shift = np.broadcast_to(transpose, start.shape)[window]
        table = self.notes[row]
        table[:, 0], table[:, 1] = window * (steps + 1) + 1 + at, end - at
        table[:, 2] += shift
        table = table[np.argsort(table[:, 0], kind="stable")]
        return rolls(table, np.arange(len(start)) * (steps + 1) + 1, steps=steps)

    def weights(self, windows: np.ndarray) -> np.ndarray:
        """(w,) float, sum 1: chances that make every work count once, however many versions of it there are."""
        _, work, versions = np.unique(self.works, return_inverse=True, return_counts=True)
        weight = 1.0 / versions[work][windows[:, 0]]
        return weight / weight.sum()
