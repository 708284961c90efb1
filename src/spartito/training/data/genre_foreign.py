"""Sets that no generator and no engine learns from: they train and test the judge of the evaluation.

Job
    `write_foreign` makes `STORE/<genre>/<split>/<set>.npz` of one set, in the format and by the quantisation of the
    genre store. There is no split "judge"; those works train.

Sets
    classic: *PianoMidiDe*, piano pieces entered step by step by B. Krueger (www.piano-midi.de, CC BY-SA; the repository
    they came through states no licence). The ticks are metrical.
    jazz: *DisklavierJazz*, jazz played to a click, solo or in a trio (github RobertBoganKang/midi_files, no licence:
    evaluation only). The ticks are the grid where bass and drums, or the piano that plays alone, lie on the beats:
    judged for every bar by the mean direction of the onsets' phases (`SYNCHRONOUS`). Piano and bass become one piano
    part. Piano rolls and what occurs twice are left out.
    pop: *MultitrackGenres*, the tags of `POP_TAGS` (mostly unclear licences: evaluation only): songs with a bass and
    a piano or guitar, and a tune if one is found, reduced to two hands of at most `VOICES` keys at once.

Timing
    Files whose notes lie exactly on their ticks would be told apart by that alone. Their onsets get deviations as they
    were measured in ASAP, 0.154 steps in all (from the mean resultants of the phases of its performances, 0.451, and
    scores, 0.719), most of it common to the notes of a chord. The same for classic and pop.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spartito.errors import NotesError, ParameterError
from spartito.notes.midi import read_midi
from spartito.notes.notes import Notes
from spartito.notes.phrases import STEPS_PER_BEAT, nearest_step
from spartito.training.data.duplicates import is_version_of, melody_runs
from spartito.training.data.genre_store import (
    GridPiece,
    bar_regions,
    genre_split,
    on_steps,
    open_store,
    tick_bars,
    write_set,
)
from spartito.training.data.wjazzd import work_title

__all__ = [
    "FOREIGN",
    "disklavier_pieces",
    "multitrack_pop_pieces",
    "piano_midi_pieces",
    "reduced",
    "synchronous_bars",
    "thinned",
    "with_deviations",
    "write_foreign",
]

CHORD_DEVIATION, NOTE_DEVIATION = 0.13, 0.08  # steps; together 0.154
SYNCHRONOUS = 0.4  # mean resultant of the phases of drums and bass in a bar's surroundings; by chance about 0.1
SYNCHRONOUS_ALONE = 0.3  # of a piano alone, which plays more between the beats
AROUND = 4  # bars before and after that decide about a bar
METRICAL = 0.9  # share of onsets on sixteenths or triplets from which on ticks are a grid
NEAR = 0.1  # steps
POP_TAGS = ("karaoke_pop", "film_tv_pop", "pop_rock", "children")
VOICES = 6  # keys that two hands hold at once
ENOUGH = 50  # notes of a track that takes part
SINGLE = 0.85  # share of onsets without company that makes a tune
MIDDLE_C = 60
ROLL = re.compile(r"\[|^''")  # names of piano rolls: what is played is ragtime and stride of 1900 to 1930, by machine


# -- the grid of a file -----------------------------------------------------------------------------------------


def on_grid_share(place: np.ndarray) -> float:
    """Share of onsets (steps) on a sixteenth or a triplet of quavers or crotchets."""
    slots = np.minimum(np.abs(place - np.round(place)), np.abs(place * 0.75 - np.round(place * 0.75)) / 0.75)
    return float(np.mean(slots < NEAR)) if len(place) else 0.0


def synchronous_bars(place: np.ndarray, starts: np.ndarray, *, least: float) -> np.ndarray:
    """(b,) bool: bars in whose surroundings the onsets at `place` (steps) lie on the beats."""
    wave = np.exp(2j * np.pi * place / STEPS_PER_BEAT)
    bar = np.searchsorted(starts, place + 0.5, side="right") - 1
    inside = (bar >= 0) & (bar < len(starts))
    window = np.ones(2 * AROUND + 1)
    real, imaginary, many = (
        np.convolve(np.bincount(bar[inside], weights=w[inside], minlength=len(starts)), window)[AROUND:-AROUND]
        for w in (wave.real, wave.imag, np.ones(len(place)))
    )
    # the direction must be that of the beat, not only common to all
    return (real / np.maximum(many, 1) >= least) & (np.abs(imaginary) < real)


def with_deviations(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exact places (steps) as a person plays them: notes at one place move together, and a little each."""
    _, chord = np.unique(np.round(place, 3), return_inverse=True)
    common = rng.normal(0.0, CHORD_DEVIATION, chord.max(initial=-1) + 1)
    return place + common[chord] + rng.normal(0.0, NOTE_DEVIATION, len(place))


def _places(notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and releases in steps by the ticks of the file."""
    clock = notes.tempo_map
    return tuple(STEPS_PER_BEAT * clock.seconds_to_quarters(times) for times in (notes.onset, notes.offset))


def _piece(name, work, notes: Notes, place, stop, regions, *, hand=None, part=None) -> GridPiece:
    hand = (notes.pitch >= MIDDLE_C).astype(int) if hand is None else hand
    place, stop = np.maximum(place, -0.49), np.maximum(stop, place)
    table, exact, part = on_steps(place, stop, notes.pitch, notes.velocity, hand=hand, part=part)
    quarters = place[-1] / STEPS_PER_BEAT if len(place) else 0.0
    tempo = 60.0 * quarters / max(float(notes.onset[-1]), 1e-9) if len(place) else 0.0
    return GridPiece(name, work, table, exact, regions, tempo, part)


# -- classic ----------------------------------------------------------------------------------------------------


def piano_midi_pieces(folder: Path) -> Iterator[GridPiece]:
    """PianoMidiDe: pieces, or parts of pieces, in 4/4, 2/2 or 2/4."""
    folder = Path(folder)
    for path in _files(folder):
        notes = read_midi(path)
        place, stop = _places(notes)
        starts, lengths = tick_bars(notes.tempo_map, place.max(initial=0.0) / STEPS_PER_BEAT + 0.25)
        regions = bar_regions(starts, lengths)
        if not len(regions) or on_grid_share(place) < METRICAL:
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        moved = with_deviations(place, _generator(name))
        yield _piece(name, name, notes, moved, stop + moved - place, regions)


# -- jazz -------------------------------------------------------------------------------------------------------


def disklavier_pieces(folder: Path) -> Iterator[GridPiece]:
    """DisklavierJazz: stretches that are synchronous with the ticks, of files in 4/4 throughout."""
    folder, seen = Path(folder), set()
    for path in _files(folder / "jazz"):
        if ROLL.search(path.name):
            continue
        notes = read_midi(path)
        if any((s.numerator, s.denominator) != (4, 4) for s in notes.tempo_map.time_signatures):
            continue
        programs = np.array([-1 if t.is_drum else t.program for t in notes.tracks])[notes.array["track"]]
        bass = (programs >= 32) & (programs < 40)
        piano = (programs >= 0) & (programs < 8)
        digest = hashlib.sha1(notes.pitch[piano].astype(np.int16).tobytes()).hexdigest()
        if piano.sum() < 4 * ENOUGH or digest in seen:
            continue
        seen.add(digest)
        place, stop = _places(notes)
        band = bass | (programs < 0)
        alone = band.sum() < 4 * ENOUGH
        starts, lengths = tick_bars(notes.tempo_map, place.max() / STEPS_PER_BEAT + 0.25)
        witnesses = place[piano if alone else band]
        good = synchronous_bars(witnesses, starts, least=SYNCHRONOUS_ALONE if alone else SYNCHRONOUS)
        regions = bar_regions(starts, np.where(good, lengths, 0))
        if len(regions):
            kept = piano | bass
            title = re.sub(r"^Jazz Trio - | ?\d+$|-\d+$", "", path.stem.strip())
            name = path.stem
            yield _piece(
                name,
                work_title(title) or name,
                notes.select(kept),
                place[kept],
                stop[kept],
                regions,
                hand=((notes.pitch >= MIDDLE_C) & ~bass)[kept].astype(int),
            )


# -- pop --------------------------------------------------------------------------------------------------------


def multitrack_pop_pieces(folder: Path) -> Iterator[GridPiece]:
    """MultitrackGenres: songs of the pop tags for piano, as far as they are in bars of four."""
    folder = Path(folder)
    seen = set()
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["genre"] in POP_TAGS]
    for row in sorted(rows, key=lambda row: row["file"]):
        path = folder / row["file"]
        try:
            notes = read_midi(path)
        except NotesError:
            continue
        place, stop = _places(notes)
        taken = reduced(notes, place)
        if taken is None or on_grid_share(place[taken[0]]) < METRICAL:
            continue
        rows_taken, tune = taken
        digest = hashlib.sha1(notes.pitch[rows_taken].astype(np.int16).tobytes()).hexdigest()
        starts, lengths = tick_bars(notes.tempo_map, place[rows_taken].max() / STEPS_PER_BEAT + 0.25)
        regions = bar_regions(starts, lengths)
        if digest in seen or not len(regions):
            continue
        seen.add(digest)
        name = Path(row["file"]).with_suffix("").as_posix()
        picked = notes.select(rows_taken)
        array = picked.array.copy()
        lift = 12 * int(np.clip(np.round((72 - np.median(array["pitch"][tune])) / 12), -1, 2)) if tune.any() else 0
        array["pitch"][tune] = np.clip(array["pitch"][tune] + lift, 0, 127)
        place, stop = place[rows_taken], stop[rows_taken]
        keep = thinned(nearest_step(place), nearest_step(stop), array["pitch"].astype(np.int64), tune)
        array, place, stop, tune = array[keep], place[keep], stop[keep], tune[keep]
        moved = with_deviations(place, _generator(name))
        part = tune.astype(int) if tune.any() else None
        picked = Notes(array, picked.tracks, picked.tempo_map)
        hand = tune | (array["pitch"] >= MIDDLE_C)
        work = work_title(re.sub(r"[_\d]+$", "", Path(row["file"]).stem.replace("_", " "))) or name
        yield _piece(name, work, picked, moved, stop + moved - place, regions, hand=hand.astype(int), part=part)


def reduced(notes: Notes, place: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows of the notes that a pianist would play of a song, and which of them (bool) are the tune.

    The bass (programs 32 to 39) and the busiest keyboard or guitar (0 to 31) that plays chords, and the busiest single
    line in the middle or upper register among the others; a track called melody, vocal, voice or lead comes first.
    None where bass or chords are missing.
    """
    counts = np.bincount(notes.array["track"], minlength=len(notes.tracks))
    best: dict[str, tuple[float, int]] = {}
    for number, track in enumerate(notes.tracks):
        if track.is_drum or counts[number] < ENOUGH:
            continue
        mine = notes.array["track"] == number
        # alone: no other note of the track on the same step
        _, company = np.unique(nearest_step(place[mine]), return_counts=True)
        single = float(np.mean(company == 1))
        height = float(np.median(notes.pitch[mine]))
        called = re.search(r"melod|vocal|voice|lead|sing", track.name.lower()) is not None
        if 32 <= track.program < 40:
            role, score = "bass", counts[number]
        elif single >= SINGLE and 55 <= height <= 90 and track.program < 112:
            role, score = "tune", counts[number] * (10.0 if called else 1.0)
        elif track.program < 32:
            role, score = "chords", counts[number] * (1.0 - single)
        else:
            continue
        best[role] = max(best.get(role, (0.0, -1)), (float(score), number))
    if "bass" not in best or "chords" not in best:
        return None
    chosen = [number for _, number in best.values()]
    rows = np.flatnonzero(np.isin(notes.array["track"], chosen))
    return rows, notes.array["track"][rows] == best.get("tune", (0.0, -2))[1]


def thinned(begin: np.ndarray, end: np.ndarray, pitch: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """(k,) bool: at most `VOICES` keys at a time, each key once on a step.

    The tune, the lowest and the highest note of a step stay; of the others those in the middle go first. Notes that
    are held count, so a stroke under a full chord may lose notes.
    """
    order = np.lexsort((~tune, pitch, begin))
    keep = np.ones(len(begin), dtype=bool)
    again = (np.diff(begin[order]) == 0) & (np.diff(pitch[order]) == 0)
    keep[order[1:][again]] = False
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((pitch[rows], begin[rows]))]
    first = np.flatnonzero(np.diff(begin[rows], prepend=-(10**9)))
    group = np.cumsum(np.diff(begin[rows], prepend=-(10**9)) != 0) - 1
    size = np.diff(np.append(first, len(rows)))
    rank = np.arange(len(rows)) - first[group]
    # how far inside the stroke a note lies: outer notes have 0
    inside = np.minimum(rank, size[group] - 1 - rank) - 2 * tune[rows]
    ends = np.maximum(end[rows], begin[rows] + 1)
    # strokes that still sound: notes begun before a stroke less notes ended by then
    sounding = np.searchsorted(begin[rows], begin[rows][first]) - np.searchsorted(
        np.sort(ends), begin[rows][first], "right"
    )
    room = np.maximum(VOICES - np.maximum(sounding, 0), 3)[group]
    order = np.lexsort((inside, group))
    place_in_order = np.arange(len(rows)) - first[group[order]]
    dropped = order[place_in_order >= room[order]]
    keep[rows[dropped]] = False
    return keep


# -- writing ----------------------------------------------------------------------------------------------------

FOREIGN: dict[str, tuple[str, Callable[[Path], Iterator[GridPiece]]]] = {
    "pianomidide": ("classic", piano_midi_pieces),
    "disklavierjazz": ("jazz", disklavier_pieces),
    "multitrack-pop": ("pop", multitrack_pop_pieces),
}
"""Genre and reader of each set."""


def write_foreign(name: str, folder: Path, store: Path, *, held_out: Path | None = None) -> dict[str, int]:
    """Make `STORE/<genre>/<split>/<name>.npz` of the set in `folder`; gives the pieces of each split.

    Parameters
    ----------
    held_out : Path, optional
        A genre store. Compositions that its validation or test splits hold are left out of train and validation here,
        so that the judge does not know by heart what it will judge.
    """
    if name not in FOREIGN:
        raise ParameterError(f"{name!r} is not one of the foreign sets {', '.join(FOREIGN)}")
    genre, read = FOREIGN[name]
    works, runs = _known(held_out, genre) if held_out else (set(), [])

    def split(work: str) -> str:
        own = genre_split(work)
        return "train" if own == "judge" else own

    def known(piece: GridPiece) -> bool:
        return split(piece.work) != "test" and (piece.work in works or is_version_of(_runs(piece.notes), runs))

    counts = write_set(store, genre, name, (p for p in read(Path(folder)) if not known(p)), split=split)
    if not counts:
        raise NotesError(f"{folder} holds nothing of {name} in 4/4")
    return counts


def _known(store: Path, genre: str) -> tuple[set[str], list[set[bytes]]]:
    """Works of the validation and test splits of a store, and their runs of melody."""
    works, runs = set(), []
    for split in ("validation", "test"):
        held = open_store(store, genre, split)
        works |= set(held.works.tolist())
        if genre != "jazz":  # improvisations share no runs; standards are known by their titles
            runs += [_runs(held.notes_of(i)) for i in range(len(held))]
    return works, runs


def _runs(notes: np.ndarray) -> set[bytes]:
    """Runs of melody of grid notes; a step lasts longer than an attack."""
    return melody_runs(Notes.from_arrays(0.1 * notes[:, 0], 0.1 * (notes[:, 0] + notes[:, 1]), notes[:, 2]))


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    if not found:
        raise NotesError(f"{folder} holds no MIDI files")
    return found


def _generator(name: str) -> np.random.Generator:
    """Random numbers of one piece, the same on every machine."""
    return np.random.default_rng(list(hashlib.sha1(name.encode()).digest()[:8]))
