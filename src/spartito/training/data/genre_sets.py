"""ASAP and POP909 as pieces for genre transfer: classical and pop.

Classical
    The performances of ASAP by their annotated beats, and its scores, which are metronomic. A bar counts by its time
    signature: 4/4, 2/2 (whose beats are halves: two quarters each), 2/4 in pairs; bars of another length than their
    signature says (a pick-up, a first ending) end a region. Keys are released when the player releases them: what the
    pedal holds is not in the roll, as it is not in the other sets.

Pop
    POP909: melody, bridge and piano together, by the song's own beats, in bars of four. Songs whose notes do not lie on
    their beats are left out (`pop909.agrees`), as are those that divide the beat in three.

Sources and licences: see `asap.py` (CC BY-NC-SA 4.0) and `pop909.py` (MIT, arrangements of commercial songs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spartito.analysis.beats import extrapolated, pitched
from spartito.errors import NotesError
from spartito.notes.midi import read_midi
from spartito.notes.notes import Notes
from spartito.notes.phrases import STEPS_PER_BEAT, nearest_step
from spartito.training.data.asap import AsapBeats, asap_rows, asap_work, read_asap_beats
from spartito.training.data.genre_store import (
    ACCOMPANIMENT,
    TUNE,
    GridPiece,
    bar_regions,
    genre_split,
    grid_piece,
)
from spartito.training.data.pop909 import PopSong, agrees, beat_places, list_songs, read_song

__all__ = ["asap_bars", "asap_piece", "asap_pieces", "is_ternary", "pop909_piece", "pop909_pieces", "pop909_split"]

METRES = ("4/4", "2/2", "2/4")  # whose bars make a region
NEAR = 1 / 24  # of a beat: so near to a third or a quarter of the beat an onset divides it in three or in four
REPEATS = re.compile(r"_(no_)?repeat$")  # how ASAP names a work that is played with or without its repeats
TWINS = {"018": "017"}  # songs of POP909 that are one song under two numbers (found by `duplicates.melody_runs`)
TERNARY = 0.1  # share of onsets on thirds from which on a song divides its beats in three


# -- classical ------------------------------------------------------------------------------------------------


def asap_pieces(folder: Path, *, scores: bool = False) -> Iterator[GridPiece]:
    """The performances of ASAP, or its scores, each once, as far as they hold bars of 4/4."""
    folder = Path(folder)
    fields = ("midi_score", "midi_score_annotations") if scores else ("midi_performance", "performance_annotations")
    rows = asap_rows(folder)
    known, done = {asap_work(row)[0] for row in rows}, set()
    for row in rows:
        file, table = (row[name] for name in fields)
        if file in done or not (folder / file).is_file() or not (folder / table).is_file():
            continue
        done.add(file)
        said = read_asap_beats(folder / table)
        if len(asap_bars(said)[1]):
            work = asap_work(row)[0]
            plain = REPEATS.sub("", work)
            name = Path(file).with_suffix("").as_posix()
            notes = pitched(read_midi(folder / file))
            yield asap_piece(notes, said, name=name, work=plain if plain in known else work)


def asap_piece(notes: Notes, said: AsapBeats, *, name: str, work: str) -> GridPiece:
    """One performance or score by its annotated beats."""
    steps, regions = asap_bars(said)
    beats = np.unique(said.beats)
    onset, offset = (extrapolated(times, beats, steps) for times in (notes.onset, notes.offset))
    tempo = 60 * np.median(np.diff(steps) / np.diff(beats)) / STEPS_PER_BEAT
    return grid_piece(name, work, notes, onset, offset, regions, tempo=float(tempo))


def asap_bars(said: AsapBeats) -> tuple[np.ndarray, np.ndarray]:
    """(b,) step of each annotated beat, and (r, 2) regions of 4/4.

    A beat is as long as its bar says: of as many beats as are usual between two downbeats under its signature.
    """
    beats = np.unique(said.beats)
    down = np.flatnonzero(np.isin(beats, said.downbeats))
    times, names = zip(*said.metres, strict=True) if said.metres else ((0.0,), ("4/4",))
    metre = np.maximum(np.searchsorted(times, beats + 1e-4, side="right") - 1, 0)  # of each beat
    gaps, under = np.diff(down), metre[down[:-1]]
    length = np.full(len(names), STEPS_PER_BEAT, dtype=np.int64)  # steps of a beat under each signature
    for i, name in enumerate(names):
        numerator, denominator = map(int, name.split("/"))
        usual = np.bincount(gaps[under == i]).argmax() if (under == i).any() else numerator
        whole = STEPS_PER_BEAT * 4 * numerator / denominator / max(usual, 1)
        length[i] = whole if whole == int(whole) > 0 else STEPS_PER_BEAT
    steps = np.concatenate([[0], np.cumsum(length[metre])[:-1]])
    starts = steps[down]
    bars = np.diff(np.append(starts, steps[-1] + length[metre[-1]]))
    counts = np.isin(np.array(names)[metre[down]], METRES)
    return steps, bar_regions(starts, np.where(counts, bars, 0))


# -- pop ------------------------------------------------------------------------------------------------------


def pop909_split(work: str) -> str:
    """The split of a song by its number."""
    return genre_split(int(work) % 10)


def pop909_pieces(root: Path) -> Iterator[GridPiece]:
    """The songs of POP909 that are in bars of four, at least in part, and lie on their beats."""
    for folder in list_songs(root):
        try:
            song = read_song(folder)
        except (NotesError, OSError):  # a file or a track is missing
            continue
        if agrees(song) and not is_ternary(song):
            yield pop909_piece(song)


def is_ternary(song: PopSong) -> bool:
    """Whether the song divides its beats in three, so that a bar of four of them is no 4/4."""
    part = np.mod(beat_places(np.concatenate([song.melody[:, 0], song.piano[:, 0]]), song.beats), 1.0)
    thirds = np.mean(np.abs(part[:, None] - np.array([1 / 3, 2 / 3])).min(axis=1) < NEAR)
    quarters = np.mean(np.abs(part[:, None] - np.array([1 / 4, 3 / 4])).min(axis=1) < NEAR)
    return bool(thirds > max(quarters, TERNARY))


def pop909_piece(song: PopSong) -> GridPiece:
    """A song of POP909: melody, bridge and piano, the melody as tune."""
    tables = [song.melody, song.bridge, song.piano]
    part = np.repeat([TUNE, ACCOMPANIMENT, ACCOMPANIMENT], [len(t) for t in tables])
    table = np.concatenate(tables)
    order = np.lexsort((table[:, 2], table[:, 0]))
    table, part = table[order], part[order]
    onset, offset = (STEPS_PER_BEAT * beat_places(table[:, i], song.beats) for i in (0, 1))
    starts = STEPS_PER_BEAT * song.downbeats
    chords = [
        (int(step), label)
        for step, (_, _, label) in zip(
            nearest_step(STEPS_PER_BEAT * beat_places([c[0] for c in song.chords], song.beats)), song.chords
        )
    ]
    return grid_piece(
        song.name,
        TWINS.get(song.name, song.name),
        Notes.from_arrays(*table.T),
        onset,
        offset,
        bar_regions(starts, STEPS_PER_BEAT * song.bar_lengths[song.downbeats]),
        tempo=float(60 / np.median(np.diff(song.beats))),
        part=part,
        chords=chords,
    )
