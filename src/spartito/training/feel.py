"""Statistics of swing, pushes and accents from the store of genres: what `style.feel` goes by.

    spartito train harmony STORE -o statistics.safetensors

Late eighths are looked for where beats are sure: in the solos of the Weimar Jazz Database, the songs of POP909 and the
performances of ASAP, all annotated by hand. Pushes and accents are counted in PiJAMA, too, whose beats were tracked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spartito.notes.skyline import skyline
from spartito.style.engines import GENRES
from spartito.style.feel import BAR, HALF, PARTS, TEMPI, FeelStatistics, part_of
from spartito.training.data.genre_store import TUNE, UNKNOWN, GenrePieces, open_store

__all__ = ["feel_statistics", "late_eighths", "learn_feel"]

STEPS = 4  # of a beat
TIMED = {"classic": ("asap",), "jazz": ("wjazzd",), "pop": ("pop909",)}  # beats set by hand
PLAYED = {"classic": ("asap-scores",), "jazz": ("wjazzd", "pijama"), "pop": ("pop909",)}
STRESSED = {"classic": ("asap",), "jazz": ("pijama", "wjazzd"), "pop": ("pop909",)}
VOICED = ("wjazzd",)  # only the tune was played by anyone
EARLY, LATEST = 1.5, 3.4  # steps between which the second of two notes in a beat is an eighth
FIRST = 0.6  # steps by which the first may miss the beat
LEAST = 10  # such beats that a piece must have
QUARTER = 75  # percentile of the pieces of a tempo
NEAR = 0.12  # of log tempo: how far pieces count for a tempo
PIECES = 400  # of each set

Report = Callable[[str], None]


def late_eighths(place: np.ndarray) -> np.ndarray:
    """(m,) steps: where in its beat the second of two notes is, for the unrounded onsets of a tune (sorted)."""
    beat = np.floor((place + FIRST) / STEPS).astype(np.int64)
    inside = place - STEPS * beat
    two = np.flatnonzero((beat[1:] == beat[:-1]) & (np.abs(inside[:-1]) < FIRST))
    count = np.bincount(beat - beat.min()) if len(beat) else beat
    two = two[count[beat[two] - beat.min()] == 2] if len(beat) else two
    late = inside[two + 1]
    return late[(late > EARLY) & (late < LATEST)]


def _tune(pieces: GenrePieces, i: int) -> np.ndarray:
    """(k,) bool: the tune of a piece."""
    rows = slice(pieces.piece[i], pieces.piece[i + 1])
    part = pieces.part[rows]
    if not (part == UNKNOWN).all():
        return part == TUNE
    tune = np.zeros(len(part), dtype=bool)
    tune[skyline(pieces.notes[rows])] = True
    return tune


def _late_by_tempo(pieces: GenrePieces) -> np.ndarray:
    """(7,) steps at each of `TEMPI`."""
    rows = []
    for i in range(min(len(pieces), PIECES)):
        place = np.sort(pieces.place[pieces.piece[i] : pieces.piece[i + 1]][_tune(pieces, i)])
        found = late_eighths(place)
        if len(found) >= LEAST:
            rows.append((pieces.tempo[i], np.median(found)))
    tempo, late = np.array(rows).reshape(-1, 2).T
    out = []
    for aim in TEMPI:
        far = np.abs(np.log(tempo / aim))
        near = far <= max(NEAR, np.partition(far, min(15, len(far) - 1))[min(15, len(far) - 1)])
        out.append(np.percentile(late[near], QUARTER))
    return np.array(out)


def _stretches(pieces: GenrePieces) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Of each stretch in 4/4: its notes (k, 5) counted from its beginning, their parts (k,), its steps.

    Only what somebody played: of voiced solos the tune.
    """
    for i in range(min(len(pieces), PIECES)):
        notes = pieces.notes[pieces.piece[i] : pieces.piece[i + 1]]
        part = part_of(notes, _tune(pieces, i))
        if str(pieces.sets[i]) in VOICED:
            part = np.where(part == 0, 0, -1)
        for _, first, last in pieces.regions[pieces.regions[:, 0] == i]:
            inside = (notes[:, 0] >= first) & (notes[:, 0] < last) & (part >= 0)
            yield notes[inside] - np.array([first, 0, 0, 0, 0]), part[inside], int(last - first)


def _pushes(pieces: GenrePieces) -> np.ndarray:
    """(3 parts, 4 beats of the bar, 2): arrivals on the beat, and half a beat before."""
    counts = np.zeros((len(PARTS), 4, 2))
    for notes, part, steps in _stretches(pieces):
        step, length = notes[:, 0], notes[:, 1]
        on, early = np.zeros((2, len(PARTS), steps // STEPS + 2), dtype=bool)
        beat = step // STEPS
        on[part[step % STEPS == 0], beat[step % STEPS == 0]] = True
        held = (step % STEPS >= HALF) & (step + length > STEPS * (beat + 1))
        early[part[held], beat[held] + 1] = True
        early &= ~on
        for p in range(len(PARTS)):
            counts[p, :, 0] += np.bincount(np.flatnonzero(on[p]) % 4, minlength=4)
            counts[p, :, 1] += np.bincount(np.flatnonzero(early[p]) % 4, minlength=4)
    return counts


def _accents(pieces: GenrePieces) -> np.ndarray:
    """(3 parts, 16, 2): velocities above the mean of their bar and part, added up, and how many."""
    sums = np.zeros((len(PARTS), BAR, 2))
    for notes, part, steps in _stretches(pieces):
        loud = notes[:, 3].astype(np.float64)
        group = part * (steps // BAR + 1) + notes[:, 0] // BAR
        mean = np.bincount(group, loud) / np.maximum(np.bincount(group), 1)
        np.add.at(sums, (part, notes[:, 0] % BAR), np.column_stack([loud - mean[group], np.ones(len(loud))]))
    return sums


def learn_feel(
    timed: dict[str, GenrePieces], played: dict[str, list[GenrePieces]], stressed: dict[str, list[GenrePieces]]
) -> FeelStatistics:
    """Statistics of pieces of every genre: of sure beats, of real rhythms, of real velocities."""
    late = np.stack([_late_by_tempo(timed[g]) for g in GENRES])
    late[[GENRES.index(g) for g in GENRES if g != "jazz"]] = HALF  # their late notes are dotted, not swung
    pushes = np.stack([sum(_pushes(p) for p in played[g]) for g in GENRES])
    accents = np.stack([sum(_accents(p) for p in stressed[g]) for g in GENRES])
    heard = pushes.sum(axis=(2, 3)) > 0  # a part that no player of a genre has goes with the tune
    pushes = np.where(heard[..., None, None], pushes, pushes[:, :1])
    return FeelStatistics(
        late, pushes[..., 1] / np.maximum(pushes.sum(axis=3), 1), accents[..., 0] / (accents[..., 1] + BAR)
    )


def feel_statistics(store: Path, *, report: Report = print) -> FeelStatistics:
    """Statistics of the train split of a store, of the sets that are there."""

    def opened(genre, names):
        there = [name for name in names if Path(store, genre, "train", f"{name}.npz").exists()]
        return [open_store(store, genre, "train", sets=[name]) for name in there]

    timed = {g: open_store(store, g, "train", sets=TIMED[g]) for g in GENRES}
    played = {g: opened(g, PLAYED[g]) for g in GENRES}
    statistics = learn_feel(timed, played, {g: opened(g, STRESSED[g]) for g in GENRES})
    report(
        "late eighths of jazz: "
        + ", ".join(f"{x:.2f} at {t:.0f}" for x, t in zip(statistics.late[1], TEMPI, strict=True))
    )
    for g, genre in enumerate(GENRES):
        rows = (f"{name} {100 * share.mean():.0f} %" for name, share in zip(PARTS, statistics.push[g], strict=True))
        report(f"arrivals half a beat early in {genre}: {', '.join(rows)}")
    return statistics
