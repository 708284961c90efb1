"""Excerpts of a store of genres, for the benchmarks: on the grid, as notes in seconds, as phrases of four bars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats, with_beats
from spartito.notes.notes import Notes
from spartito.notes.phrases import HIGHEST, KEYS, LOWEST, PHRASE, STEPS_PER_BEAT, gridded, rolls
from spartito.notes.skyline import skyline
from spartito.notes.two_hands import hand_tracks
from spartito.training.data.genre_store import BAR, GenrePieces, open_store
from spartito.training.genre_profiles import evenly

__all__ = ["Excerpt", "cut", "excerpts", "in_hands", "phrases_of", "whole"]

TEMPO = 110.0  # quarter notes per minute where the set does not say
LEAD = 1.0  # seconds before the first beat


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Some bars of a piece: on the grid (k, 5) from step 0, a downbeat, and as notes in seconds with their beats."""

    name: str
    genre: str
    steps: int
    grid: np.ndarray
    notes: Notes
    beats: Beats

    def on_grid(self, notes: Notes) -> np.ndarray:
        """(k, 5) of other notes on the same beats."""
        array = notes.array.copy()
        array["onset"] = np.maximum(array["onset"], self.beats.times[0])  # or a beat would be added in front
        array["offset"] = np.maximum(array["offset"], array["onset"])
        table = gridded(Notes(array, tracks=notes.tracks), self.beats).notes
        return table[table[:, 0] < self.steps]

    def played(self, grid: np.ndarray) -> Notes:
        """Notes on the grid in seconds, a hand a track."""
        step = float(np.diff(self.beats.times).mean()) / STEPS_PER_BEAT
        onset = self.beats.times[0] + grid[:, 0] * step
        return in_hands(onset, onset + (grid[:, 1] - 0.1) * step, grid)

    def phrases(self, grid: np.ndarray) -> np.ndarray:
        """(n, 2, 64, 84) of notes on the grid."""
        return rolls(grid, np.arange(0, self.steps - PHRASE + 1, PHRASE))

    def tune(self) -> np.ndarray:
        """(n, 64, 84) bool: onsets of the tune of the excerpt in each phrase."""
        out = np.zeros((self.steps, KEYS), dtype=bool)
        line = self.grid[skyline(self.grid)]
        line = line[(line[:, 2] >= LOWEST) & (line[:, 2] <= HIGHEST)]
        out[line[:, 0], line[:, 2] - LOWEST] = True
        return out[: self.steps // PHRASE * PHRASE].reshape(-1, PHRASE, KEYS)


def cut(pieces: GenrePieces, piece: int, start: int, steps: int) -> Excerpt:
    """The notes that begin in some steps of a piece."""
    first, last = pieces.piece[piece], pieces.piece[piece + 1]
    table, place = pieces.notes[first:last].copy(), pieces.place[first:last] - start
    here = (table[:, 0] >= start) & (table[:, 0] < start + steps)
    table, place = table[here], np.maximum(place[here].astype(np.float64), 0.0)
    table[:, 0] -= start
    table[:, 1] = np.minimum(table[:, 1], steps - table[:, 0])
    tempo = float(pieces.tempo[piece]) or TEMPO
    step = 60.0 / tempo / STEPS_PER_BEAT  # seconds
    count = np.arange(steps // STEPS_PER_BEAT + 1)
    beats = Beats(LEAD + count * step * STEPS_PER_BEAT, count, count % 4)
    onset = LEAD + place * step
    notes = with_beats(in_hands(onset, onset + (table[:, 1] - 0.1) * step, table), beats)
    name = f"{pieces.sets[piece]}/{pieces.names[piece]}@{start // BAR}"
    return Excerpt(name, pieces.genre, steps, table, notes, beats)


def in_hands(onset: np.ndarray, offset: np.ndarray, grid: np.ndarray) -> Notes:
    """Notes of the grid (k, 5) at these seconds, a hand a track."""
    track = np.where(grid[:, 4] == 1, 0, 1)
    return Notes.from_arrays(onset, offset, grid[:, 2], grid[:, 3], track=track, tracks=hand_tracks())


def excerpts(store: Path, genre: str, count: int, bars: int, *, split: str = "test") -> list[Excerpt]:
    """`count` stretches of a split: of every set alike, of as many works as possible."""
    pieces = open_store(store, genre, split)
    windows = pieces.windows(hop=BAR * bars, steps=BAR * bars)
    chosen = evenly(pieces.sets[windows[:, 0]], pieces.works[windows[:, 0]], count)
    return [cut(pieces, piece, start, BAR * bars) for piece, start in windows[chosen].tolist()]


def whole(store: Path, genre: str, count: int, *, bars: int = 64, split: str = "test") -> list[Excerpt]:
    """The longest stretches in 4/4 of `count` works of a split, up to so many bars."""
    pieces = open_store(store, genre, split)
    regions = pieces.regions[np.argsort(pieces.regions[:, 1] - pieces.regions[:, 2], kind="stable")]
    _, first = np.unique(pieces.works[regions[:, 0]], return_index=True)
    regions = regions[np.sort(first)]
    regions = regions[evenly(pieces.sets[regions[:, 0]], pieces.works[regions[:, 0]], count)]
    return [cut(pieces, p, a, min(b - a, BAR * bars) // PHRASE * PHRASE) for p, a, b in regions.tolist()]


def phrases_of(store: Path, genre: str, split: str, count: int) -> np.ndarray:
    """(n, 2, 64, 84) phrases, spread over sets and works."""
    pieces = open_store(store, genre, split)
    windows = pieces.windows(hop=PHRASE)
    return pieces.rolls(windows[evenly(pieces.sets[windows[:, 0]], pieces.works[windows[:, 0]], count)])
