"""A cover on the beats of its song, cut into pieces that a model can learn from.

Job
    Notes that were put on the song's clock (`pair_alignment`) go to the grids of its beats, and the bars that fit
    become *pieces*: runs of whole bars, each stored like any recording of the arranger's store (`arrangements.add`),
    with its labels beside it.

What is kept of a piece
    STORE/SPLIT/NAME-1.npy, .npz     what is heard, and the notes in quarter beats: `arrangements.open_pieces` reads it
    STORE/labels/SPLIT/NAME-1.npz    the fields of `data/bands.py` that make sense here (`beats` s of the song,
                                     `position`, `melody_q`, `bridge_q`, `piano_q` with velocities), `half_beats`
                                     (n, 4): onset, offset, pitch, velocity in half beats, and `meta` (JSON)

    Notes of the cover on top of their step, with the pitch class that the song's voice sings there, are its melody;
    all others its piano. `half_beats` are the targets of the Pop2Piano paper, as long as the pedal lets them sound;
    `pop2piano_rows` writes them in its language.

Source
    Half beats: J. Choi, K. Lee, 'Pop2Piano' (ICASSP 2023): nearest half beat, at least one, one note for each onset and
    key (there the first stays, here the longest). Quarter beats: `pop909.on_grid`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spartito.analysis.song import Analysis
from spartito.files import atomic_path
from spartito.models.arranger_input import Heard, bars_of, beat_cells
from spartito.models.pop2piano_tokens import SEGMENT, encode
from spartito.notes.notes import Notes
from spartito.training.data.arrangements import MELODY, PIANO, add
from spartito.training.data.pop909 import STEPS, beat_places, on_grid, seconds_of

__all__ = ["half_beat_notes", "is_tune", "parts_of", "pop2piano_rows", "save_pieces", "to_notes"]

HALVES = 2  # of a beat


def table_of(notes: Notes) -> np.ndarray:
    """(n, 4) onset s, offset s, pitch, velocity."""
    return np.column_stack([notes.onset, notes.offset, notes.pitch, notes.velocity]).astype(np.float64)


def half_beat_notes(table: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """(n, 4) int of `table` ((n, 4), seconds) on the half beats of `beats`: onset, offset, pitch, velocity.

    Steps count from the first beat; notes that begin outside are left out.
    """
    onset, offset = (np.floor(HALVES * beat_places(table[:, i], beats) + 0.5).astype(np.int64) for i in (0, 1))
    rows = np.column_stack([onset, np.maximum(offset, onset + 1), table[:, 2:].astype(np.int64)])
    rows = rows[(onset >= 0) & (onset < HALVES * len(beats))]
    rows = rows[np.lexsort((-rows[:, 1], rows[:, 2], rows[:, 0]))]
    again = (np.diff(rows[:, 0]) == 0) & (np.diff(rows[:, 2]) == 0)
    rows = rows[np.concatenate([[True], ~again])] if len(rows) else rows
    return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]


def to_notes(rows: np.ndarray, beats: np.ndarray) -> Notes:
    """The sound of `half_beat_notes` at the times of the beats."""
    onset, offset = (seconds_of(rows[:, i] / HALVES, beats) for i in (0, 1))
    return Notes.from_arrays(onset, offset, rows[:, 2], rows[:, 3])


def pop2piano_rows(rows: np.ndarray, beats: np.ndarray) -> list[np.ndarray]:
    """For the four beats from each of `beats` (numbers) on the row of tokens that Pop2Piano learns, with its end."""
    begin = HALVES * np.asarray(beats, dtype=np.int64)
    first, last = (np.searchsorted(rows[:, 0], edge) for edge in (begin, begin + SEGMENT))
    return [encode(rows[a:b, :3] - [step, step, 0]) for a, b, step in zip(first, last, begin, strict=True)]


def is_tune(grid: np.ndarray, beats: np.ndarray, melody: np.ndarray) -> np.ndarray:
    """(n,) bool: the notes of `grid` ((n, 5), see `on_grid`) that play `melody` ((m, 3): onset s, offset s, pitch)."""
    if len(grid) == 0 or len(melody) == 0:
        return np.zeros(len(grid), dtype=bool)
    step = STEPS * grid[:, 0] + grid[:, 1]
    top = np.diff(step, append=step[-1] + 1) > 0  # sorted by step, then pitch
    middle = seconds_of((step + 0.5) / STEPS, beats)
    sung = np.maximum(np.searchsorted(melody[:, 0], middle, side="right") - 1, 0)
    sounds = (melody[sung, 0] <= middle) & (middle < melody[sung, 1])
    return top & sounds & ((grid[:, 3] - np.rint(melody[sung, 2]).astype(np.int64)) % 12 == 0)


def parts_of(fits: np.ndarray, positions: np.ndarray, *, least: int) -> list[tuple[int, int]]:
    """First and last beat (the last not included) of all runs of `least` or more bars whose beats all fit.

    `fits` and `positions` (beats,); 0 is a downbeat. Beats before the first downbeat belong to no bar.
    """
    downs = np.flatnonzero(np.asarray(positions) == 0)
    if len(downs) == 0:
        return []
    good = np.logical_and.reduceat(np.asarray(fits, dtype=bool), downs)
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)  # bars
    bounds = np.append(downs, len(positions))
    return [(int(bounds[a]), int(bounds[b])) for a, b in edges if b - a >= least]


def save_pieces(
    store: Path,
    split: str,
    name: str,
    parts: list[tuple[int, int]],
    *,
    heard: Heard,
    analysis: Analysis,
    cover: Notes,
    meta: dict,
) -> list[str]:
    """Write the pieces of a pair; returns their names. `cover` is on the song's clock and in its key."""
    beats, chords = analysis.beats.times, analysis.chord_rows()
    quarters = on_grid(table_of(cover), beats)
    halves = half_beat_notes(table_of(cover.sounding()), beats)
    tune = is_tune(quarters, beats, analysis.melody)
    names = []
    for number, (first, last) in enumerate(parts, start=1):
        piece, times = f"{name}-{number}", beats[first:last]
        positions = analysis.beats.positions[first:last]
        rows = np.flatnonzero(positions == 0)
        inside = (quarters[:, 0] >= first) & (quarters[:, 0] < last)
        here = quarters[inside] - np.array([first, 0, 0, 0, 0])
        track = np.where(tune[inside], MELODY, PIANO)
        notes = np.column_stack([STEPS * here[:, 0] + here[:, 1], track, here[:, 3], here[:, 2]])
        half = halves[(halves[:, 0] >= HALVES * first) & (halves[:, 0] < HALVES * last)]
        add(
            Path(store, split),
            piece,
            beat_cells(heard, times),
            rows=rows,
            beats=len(times),
            chords=chords[first:last],
            notes=notes,
            lead=bool(len(analysis.melody)),
        )
        with atomic_path(Path(store, "labels", split, f"{piece}.npz")) as path, path.open("wb") as file:
            np.savez(
                file,
                beats=times,
                position=positions,
                bar_length=np.repeat(bars_of(rows, len(times)), np.diff(np.append(rows, len(times)))),
                melody_q=here[track == MELODY],
                bridge_q=here[:0],
                piano_q=here[track == PIANO],
                half_beats=half - np.array([HALVES * first, HALVES * first, 0, 0]),
                meta=np.array(json.dumps({**meta, "part": number, "first_beat": first})),
            )
        names.append(piece)
    return names
