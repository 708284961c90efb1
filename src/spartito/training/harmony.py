"""Statistics of harmony from the store of genres: what `style.harmony` goes by.

    spartito train harmony STORE -o harmony.safetensors

Data: the stretches in 4/4 of the train split. Annotated chords teach which chords follow which, when they change and
what a tune does over them (POP909; the Weimar Jazz Database); where a genre has none (ASAP), chords are found in the
notes. What a player adds to a chord, and puts in the bass, is counted in real accompaniments only: in POP909, ASAP and
PiJAMA, never where chords were voiced by a program (WJazzD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from spartito.analysis.note_chords import (
    DEFAULT_NOTE_CHORDS,
    QUALITIES,
    TONES,
    ChordTrack,
    beat_chroma,
    chords_of,
    local_keys,
)
from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.notes.skyline import skyline
from spartito.style.engines import GENRES
from spartito.style.harmony import KINDS, MODES, PLACES, SCALES, STATES, HarmonyStatistics, tune_chroma
from spartito.training.data.genre_store import TUNE, UNKNOWN, GenrePieces, open_store

__all__ = ["Lesson", "all_lessons", "learn_harmony", "lessons", "train_harmony"]

STEPS = 4  # of a beat
SETS = {"classic": ("asap-scores",), "jazz": ("wjazzd", "pijama"), "pop": ("pop909",)}
VOICED = ("wjazzd",)  # their accompaniments were made by a program
KNOWN = 64  # chords per genre and mode whose successors are learned one by one
DOUBT = 8.0  # chords that must be seen once for half of the trust in what follows them
SOUNDS = 0.07  # share of the accompaniment of a chord from which a tone is part of it
LEAST = 2  # beats: shorter chords say nothing of what is added to them
STRAY = 40.0  # notes that a quality is taken to have had in the tune, spread as over all qualities

CLEAR = replace(  # only what is clear is learned from: passing notes and suspensions make no sevenths
    DEFAULT_NOTE_CHORDS,
    rare=tuple(r + (0.5 if i > 2 and QUALITIES[i] != "7" else 0.0) for i, r in enumerate(DEFAULT_NOTE_CHORDS.rare)),
)

Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Lesson:
    """A stretch in 4/4 of one piece, from a downbeat on: its chords, tune and accompaniment on the grid."""

    name: str
    track: ChordTrack
    tune: np.ndarray  # (k, 5)
    rest: np.ndarray  # (m, 5)
    told: bool  # the chords were annotated
    played: bool  # the accompaniment is a player's


def lessons(pieces: GenrePieces, *, limit: int | None = None) -> Iterator[Lesson]:
    """Stretches of all pieces of one genre and split, or of the first `limit` of them."""
    for piece, first, last in pieces.regions[:limit]:
        notes = pieces.notes_of(piece).copy()
        part = pieces.part[pieces.piece[piece] : pieces.piece[piece + 1]]
        inside = (notes[:, 0] >= first) & (notes[:, 0] < last)
        notes, part = notes[inside] - [first, 0, 0, 0, 0], part[inside]
        beats = int(last - first) // STEPS
        tune = part == TUNE
        if (part == UNKNOWN).all():
            tune[skyline(notes)] = True
        mine = np.flatnonzero(pieces.chords[:, 0] == piece)
        told = len(mine) > 0
        if told:
            at = np.searchsorted(pieces.chords[mine, 1], first + STEPS * np.arange(beats) + 1, side="right") - 1
            names = pieces.labels[mine]
            track = ChordTrack.of_labels([names[i] if i >= 0 else "N" for i in at])
            track = replace(track, keys=local_keys(track.tones(added=False).astype(float)))
        else:
            track = chords_of(notes, beats, config=CLEAR)
        played = str(pieces.sets[piece]) not in VOICED
        yield Lesson(str(pieces.names[piece]), track, notes[tune], notes[~tune], told, played)


@dataclass(eq=False)
class Counts:
    """What was seen of one genre."""

    often: np.ndarray = field(default_factory=lambda: np.zeros((MODES, STATES)))
    follows: np.ndarray = field(default_factory=lambda: np.zeros((MODES, STATES, STATES)))
    changes: np.ndarray = field(default_factory=lambda: np.zeros((PLACES, 2)))
    tune: np.ndarray = field(default_factory=lambda: np.zeros((KINDS, 12)))
    added: np.ndarray = field(default_factory=lambda: np.zeros((KINDS, 2, 12, 2)))
    weight: np.ndarray = field(default_factory=lambda: np.zeros((KINDS, 12)))
    bass: np.ndarray = field(default_factory=lambda: np.zeros((KINDS, 12)))

    def chains(self, lesson: Lesson) -> None:
        """Chords, what follows them, when they change, and the tune over them."""
        track = lesson.track
        state = np.where(track.root >= 0, 12 * track.quality + track.root, -1)
        sounding = state >= 0
        both = sounding[1:] & sounding[:-1]
        turn = state[1:] != state[:-1]
        place = np.array([0, 2, 1, 2])[np.arange(1, len(state)) % 4]
        np.add.at(self.changes, (place[both], turn[both].astype(int)), 1)
        starts = np.flatnonzero(np.concatenate([sounding[:1], sounding[1:] & (turn | ~sounding[:-1])]))
        mode, tonic = track.keys // 12, track.keys % 12

        def degree(of, key_at):
            return 12 * track.quality[of] + (track.root[of] - tonic[key_at]) % 12

        np.add.at(self.often, (mode[starts], degree(starts, starts)), 1)
        now = np.flatnonzero(both & turn) + 1
        np.add.at(self.follows, (mode[now], degree(now - 1, now), degree(now, now)), 1)
        sung = tune_chroma(lesson.tune, len(track))
        above = np.take_along_axis(sung, (track.root[:, None] + np.arange(12)) % 12, axis=1)
        np.add.at(self.tune, track.quality[sounding], above[sounding])

    def touches(self, lesson: Lesson) -> None:
        """What a player adds to the chords, and puts under them."""
        track = lesson.track
        spans = track.segments
        long = (spans[:, 1] - spans[:, 0] >= LEAST) & (spans[:, 2] >= 0)
        chroma, _ = beat_chroma(lesson.rest, len(track))
        sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
        mean = (sums[spans[:, 1]] - sums[spans[:, 0]])[long]
        first, _, root, quality, bass = spans[long].T
        mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1e-9)
        above = np.take_along_axis(mean, (root[:, None] + np.arange(12)) % 12, axis=1)
        np.add.at(self.weight, quality, above)
        np.add.at(self.bass, (quality, (bass - root) % 12), 1)
        key = track.keys[first]
        classes = (root[:, None] + np.arange(12) - (key % 12)[:, None]) % 12
        inside = np.take_along_axis(SCALES[key // 12], classes, axis=1).astype(int)
        index = (quality[:, None], inside, np.arange(12))
        np.add.at(self.added, (*index, np.zeros_like(inside)), 1)
        np.add.at(self.added, (*index, np.ones_like(inside)), above >= SOUNDS)


def learn_harmony(given: dict[str, list[Lesson]]) -> HarmonyStatistics:
    """Statistics of the lessons of every genre."""
    missing = [genre for genre in GENRES if not given.get(genre)]
    if missing:
        raise ParameterError(f"there is nothing to learn the harmony of {', '.join(missing)} from")
    out = {name: [] for name in ("often", "known", "follows", "trusted", "changes", "tune", "added", "weight", "bass")}
    for genre in GENRES:
        counts = Counts()
        told = any(lesson.told for lesson in given[genre])
        for lesson in given[genre]:
            if len(lesson.track) == 0 or (lesson.track.keys < 0).any():
                continue
            if lesson.told or not told:
                counts.chains(lesson)
            if lesson.played:
                counts.touches(lesson)
        for name, value in _shares(counts).items():
            out[name].append(value)
    return HarmonyStatistics(**{name: np.stack(values) for name, values in out.items()})


def _shares(counts: Counts) -> dict[str, np.ndarray]:
    """The fields of `HarmonyStatistics` of one genre."""
    known = np.argsort(-counts.often, axis=1, kind="stable")[:, :KNOWN]
    follows = np.stack([counts.follows[m][np.ix_(known[m], known[m])] for m in range(MODES)])
    total = follows.sum(axis=2)
    tune = counts.tune + STRAY * counts.tune.sum(axis=0) / max(counts.tune.sum(), 1e-9)
    tones = TONES / TONES.sum(axis=1, keepdims=True)
    weight, bass = counts.weight + tones, counts.bass + np.eye(12)[0]
    return {
        "often": counts.often / np.maximum(counts.often.sum(axis=1, keepdims=True), 1),
        "known": known,
        "follows": follows / np.maximum(total[..., None], 1),
        "trusted": total / (total + DOUBT),
        "changes": counts.changes[:, 1] / np.maximum(counts.changes.sum(axis=1), 1),
        "tune": tune / tune.sum(axis=1, keepdims=True),
        "added": counts.added[..., 1] / (counts.added[..., 0] + 4),  # a tone seldom seen is seldom added
        "weight": weight / weight.sum(axis=1, keepdims=True),
        "bass": bass / bass.sum(axis=1, keepdims=True),
    }


def all_lessons(store: Path, *, limit: int | None = None, report: Report = print) -> dict[str, list[Lesson]]:
    """Lessons of every genre in the train split of a store; `limit` stretches of each set, all if not given."""
    given: dict[str, list[Lesson]] = {}
    for genre, names in SETS.items():
        there = [name for name in names if Path(store, genre, "train", f"{name}.npz").exists()]
        found = [
            lesson for name in there for lesson in lessons(open_store(store, genre, "train", sets=[name]), limit=limit)
        ]
        report(
            f"{genre}: {len(found)} stretches in 4/4 of {', '.join(there)}, {sum(len(x.track) for x in found)} beats"
        )
        given[genre] = found
    return given


def train_harmony(store: Path, output: Path, *, limit: int | None = None, report: Report = print) -> Path:
    """Learn harmony, feel and accompaniments from a store; write them as arrays to one file of safetensors."""
    from safetensors.numpy import save

    from spartito.training.accompany import learn_comping
    from spartito.training.feel import feel_statistics

    given = all_lessons(store, limit=limit, report=report)
    arrays = learn_harmony(given).to_arrays() | learn_comping(given).to_arrays()
    arrays |= feel_statistics(store, report=report).to_arrays()
    with atomic_path(Path(output)) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
    report(f"{output}: {sum(a.nbytes for a in arrays.values()) / 1000:.0f} kB")
    return Path(output)
