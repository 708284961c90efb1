"""PiJAMA: solo jazz piano, transcribed from recordings, put on the grid of its tracked beats.

Job
    `write_pijama` makes `STORE/jazz/<split>/pijama.npz`: of each performance the stretches that are played in time, in
    four, by the beats that `training.jazz_beats` finds.

The set
    `{live,studio}/<Pianist>/<Album>/<Title>.midi`; `pijama.csv` names pianist, album, title, the seconds in which the
    music is, and how well two transcriptions of it agree. No beats, no tempo. Works are titles without what stands in
    brackets or behind a dash, as in `wjazzd`, so that a standard falls into one split whoever plays it; of one pianist
    each work is taken once, as recordings come on more than one album.

What is kept
    Bars of four beats in which the attacks lie on the beats and their halves, straight or swung, far better than by
    chance (`FIT`), the beats are even (`EVEN`) and the downbeat is sure (`SURE`), at least `LEAST` of them in a row, of
    pieces whose harmony moves in fours rather than in threes (`FOUR`). Ballads out of time and waltzes go.

Source
    D. Edwards, S. Dixon, E. Benetos, 'PiJAMA: Piano Jazz with Automatic MIDI Annotations' (TISMIR 6(1), 2023); CC BY-NC
    3.0, transcribed from commercial recordings by the model of Q. Kong et al. (2021).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from spartito.analysis.beats import extrapolated
from spartito.errors import NotesError
from spartito.notes.midi import read_midi
from spartito.notes.notes import Notes
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.training.data.genre_store import BAR, GridPiece, bar_regions, on_steps, write_set
from spartito.training.data.wjazzd import work_title
from spartito.training.jazz_beats import JazzBeats, track_jazz

__all__ = ["list_performances", "pijama_piece", "steady_regions", "write_pijama"]

AGREEMENT = 0.75  # of two transcriptions, below which a recording was not understood
FIT = 0.3  # see JazzBeats.fit
EVEN = 0.04  # share of a beat, see JazzBeats.even
SURE = 0.15  # see JazzBeats.sure
FOUR = 3.0  # see JazzBeats.four
LEAST = 8  # bars in a row
MOST = 160  # bars of one performance, so that long ones do not outweigh the others
MIDDLE_C = 60  # from which on a note is given to the right hand
FASTEST = 290.0  # beats per minute: quicker beats are halves of the true ones
PERFORMANCES = 1800  # that are looked at
EVERY = 75  # performances after which the files are written again


def list_performances(folder: Path) -> list[dict[str, str]]:
    """Rows of `pijama.csv` whose file is there, in an order in which any beginning is spread over all albums.

    The row gets the entries "path" and "work". Raises NotesError when there are none.
    """
    folder = Path(folder)
    table = folder / "pijama.csv"
    if not table.is_file():
        raise NotesError(f"{folder} is no PiJAMA folder: it holds no pijama.csv")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    albums: dict[tuple[str, str], list[dict[str, str]]] = {}
    seen = set()
    for row in sorted(rows, key=lambda row: hashlib.sha1(row["midi_filepath"].encode()).hexdigest()):
        path = folder / Path(row["midi_filepath"]).relative_to("data/midi")
        work = work_title(row["title"]) or Path(row["midi_filepath"]).stem
        if float(row["agreement"] or 0) < AGREEMENT or (row["artist"], work) in seen or not path.is_file():
            continue
        seen.add((row["artist"], work))
        albums.setdefault((row["artist"], row["album"]), []).append({**row, "path": str(path), "work": work})
    if not albums:
        raise NotesError(f"{folder} holds none of the files that its pijama.csv names")
    return [row for turn in zip_longest(*albums.values()) for row in turn if row is not None]


def steady_regions(beats: JazzBeats) -> np.ndarray:
    """(r, 2) int, steps of the grid of `beats` (step 0 is the first of them): bars that can be trusted."""
    down = np.flatnonzero(beats.positions == 0)
    if len(down) < LEAST + 1 or beats.four < FOUR or 60.0 / np.median(np.diff(beats.times)) > FASTEST:
        return np.zeros((0, 2), dtype=np.int64)
    good = (beats.fit >= FIT) & (beats.even <= EVEN) & (beats.sure >= SURE)
    lengths = np.diff(down)
    worst = np.minimum.reduceat(good, down)[:-1]
    regions = bar_regions(STEPS_PER_BEAT * down[:-1], np.where(worst, STEPS_PER_BEAT * lengths, 0), least=LEAST * BAR)
    regions = regions[np.argsort(regions[:, 0] - regions[:, 1], kind="stable")]  # longest first
    used = np.cumsum(regions[:, 1] - regions[:, 0])
    regions[:, 1] -= np.clip(used - MOST * BAR, 0, regions[:, 1] - regions[:, 0])
    regions = regions[regions[:, 1] - regions[:, 0] >= LEAST * BAR]
    return regions[np.argsort(regions[:, 0])]


def pijama_piece(notes: Notes, *, name: str, work: str) -> GridPiece | None:
    """The performance on its tracked beats; None where nothing of it is in time."""
    try:
        beats = track_jazz(notes)
    except NotesError:  # too short
        return None
    regions = steady_regions(beats)
    if not len(regions):
        return None
    numbers = STEPS_PER_BEAT * np.arange(len(beats.times))
    onset, offset = (extrapolated(times, beats.times, numbers) for times in (notes.onset, notes.offset))
    near = (onset >= regions[0, 0] - BAR) & (onset < regions[-1, 1]) & (onset > -0.5)
    table, place, part = on_steps(
        onset[near],
        offset[near],
        notes.pitch[near],
        notes.velocity[near],
        hand=(notes.pitch[near] >= MIDDLE_C).astype(int),
    )
    return GridPiece(name, work, table, place, regions, float(60.0 / np.median(np.diff(beats.times))), part)


def _pieces(folder: Path, performances: int) -> Iterator[GridPiece | None]:
    for row in list_performances(folder)[:performances]:
        notes = read_midi(Path(row["path"]))
        notes = notes.between(float(row["performance_start_sec"]), float(row["performance_end_sec"]))
        yield pijama_piece(notes, name=f"{row['artist']}/{row['album']}/{row['title']}", work=row["work"])


def write_pijama(
    folder: Path,
    store: Path,
    *,
    performances: int = PERFORMANCES,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, int]:
    """Make `STORE/jazz/<split>/pijama.npz` of the first `performances`; gives the pieces of each split.

    The files are written every `EVERY` performances, so that what is done can be used; a later call begins anew.
    """
    kept: dict[str, GridPiece] = {}
    for number, piece in enumerate(_pieces(folder, performances), start=1):
        if piece is not None:
            kept.setdefault(piece.name, piece)
        if number % EVERY == 0:
            write_set(store, "jazz", "pijama", kept.values())
            bars = sum(int(np.diff(p.regions).sum()) for p in kept.values()) // BAR
            report(f"{number} performances, {len(kept)} kept, {bars} bars")
    return write_set(store, "jazz", "pijama", kept.values())
