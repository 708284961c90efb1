"""The bars of two songs side by side, before they are blended.

Bars are aligned from the first downbeat on; a pick-up keeps a bar of its own in front. Of two songs of different length
the shorter repeats when it is a loop (16 bars at most); of two longer ones the common length is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spartito.notes.four_tracks import BAR, SILENT, expanded, held, transposed
from spartito.style.latent_notes import Segments, segments_among
from spartito.style.latent_song import LatentSong

__all__ = ["LOOP", "Material", "aligned", "aligned_lengths", "chroma_of", "in_key"]

LOOP = 16  # bars up to which a song is a loop, which repeats
FASTEST_QUARTER = 0.05  # seconds: no bar of a file is faster, whatever its clock says


@dataclass(frozen=True, eq=False)
class Material:
    """A song over the aligned bars of a blend.

    Attributes
    ----------
    song : LatentSong
    states : np.ndarray, shape=(T, V), uint8
    cells : np.ndarray, shape=(k, 5), int
        Notes as in `Band.notes`, counted in aligned cells; a note of a loop comes as often as the loop.
    rows : np.ndarray, shape=(k,), int
        Row of each among the notes of the song's band.
    place, stop : np.ndarray, shape=(k,), aligned cells, as played
    segments : Segments
    quarter : np.ndarray, shape=(bars,), seconds of a quarter note in each bar
    copies : tuple of (first cell of the song, first aligned cell, cells)
    """

    song: LatentSong
    states: np.ndarray
    cells: np.ndarray
    rows: np.ndarray
    place: np.ndarray
    stop: np.ndarray
    segments: Segments
    quarter: np.ndarray
    copies: tuple[tuple[int, int, int], ...]


def chroma_of(song: LatentSong) -> np.ndarray:
    """(12,) how long each pitch class sounds."""
    table = song.band.notes[song.layout.pitched[song.band.notes[:, 4]]]
    return np.bincount(table[:, 2] % 12, weights=table[:, 1], minlength=12)


def aligned_lengths(a: LatentSong, b: LatentSong, rule: str) -> tuple[int, int]:
    """Cells of a pick-up bar in front (0 or 16), and of all that follows."""
    front = BAR if a.lead or b.lead else 0
    lengths = [song.steps - (BAR if song.lead else 0) for song in (a, b)]
    short, long = max(min(lengths), BAR), max(*lengths, BAR)
    repeat = rule == "longest" or (rule == "auto" and short <= LOOP * BAR)
    return front, long if repeat else short


def aligned(song: LatentSong, front: int, length: int) -> Material:
    own = BAR if song.lead else 0  # cells of its pick-up bar
    body = max(song.steps - own, 1)
    copies = [(0, 0, own)] if own else []
    copies += [(own, front + start, min(body, length - start)) for start in range(0, length, body)]
    index = np.full(front + length, -1)
    for begin, at, cells in copies:
        index[at : at + cells] = begin + np.arange(cells)
    sounding = np.where(index[:, None] < 0, SILENT, expanded(song.states)[index])
    begins = (index[:, None] >= 0) & (song.states < SILENT)[index]
    jump = np.diff(index, prepend=-2) != 1  # what is held over a jump is struck again
    states = held(sounding.astype(np.uint8), attack=begins | (jump[:, None] & (sounding < SILENT)))
    table = song.band.notes
    cell = table[:, 0] + song.lead
    parts, rows = [], []
    for begin, at, cells in copies:
        inside = np.flatnonzero((cell >= begin) & (cell < begin + cells))
        part = table[inside].copy()
        part[:, 0] = cell[inside] - begin + at
        part[:, 1] = np.minimum(part[:, 1], front + length - part[:, 0])
        parts.append(part)
        rows.append(inside)
    cells_, rows_ = np.concatenate(parts), np.concatenate(rows)
    moved = cells_[:, 0] - table[rows_, 0]
    place, stop = song.band.place[rows_] + moved, song.band.stop[rows_] + moved
    lines = song.seconds(BAR * np.arange(song.bars + 1))
    quarter = np.maximum(np.diff(lines) / 4, FASTEST_QUARTER)
    of_bar = index[::BAR] // BAR
    quarter = quarter[np.where(of_bar < 0, 0, np.minimum(of_bar, len(quarter) - 1))]
    segments = segments_among(states, cells_, np.zeros(len(cells_)))
    return Material(song, states, cells_, rows_, place, stop, segments, quarter, tuple(copies))


def in_key(material: Material, interval: int) -> Material:
    if interval == 0:
        return material
    layout = material.song.layout
    cells = material.cells.copy()
    pitched = layout.pitched[cells[:, 4]]
    cells[pitched, 2] = np.clip(cells[pitched, 2] + interval, 0, 127)
    states = transposed(material.states, interval, layout=layout)
    return replace(material, cells=cells, states=states, segments=segments_among(states, cells, np.zeros(len(cells))))
