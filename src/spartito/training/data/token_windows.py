"""What the token model learns from: bands on the grid of their beats (`arrangements.py`) beside notes with hands.

The store of the arranger keeps what is heard, chords and notes without velocity or hand. `prepare_hands` adds, once,
`<store>/hands/<split>/<name>.npz` with every note of the arrangement and the metre, from the labels of the bands;
`open_songs` joins both into windows: one from every downbeat of a recording, and those that tile it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.models.arranger_input import bars_of
from spartito.models.cover_tokens import KEYS, LEFT, LOWEST_KEY, RIGHT, STEPS, tiles
from spartito.notes.hands import RIGHT as RIGHT_OF_HANDS
from spartito.notes.hands import split_hands
from spartito.training.data.arrangements import MELODY, PIANO, TRACKS, open_pieces
from spartito.training.styles import reduced

__all__ = ["TokenSong", "notes_between", "open_songs", "prepare_hands"]

FOLDER = "hands"
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TokenSong:
    """One recording.

    Attributes
    ----------
    cells : np.ndarray, shape=(4, 16 (beats + 9), 88), uint8, memory-mapped
    chords : np.ndarray, shape=(beats, 14), int
    positions : np.ndarray, shape=(beats,), int
        Place in the bar; 0 is a downbeat.
    rows, lengths : np.ndarray, shape=(n,), int
        First beat and beats of a window from every downbeat.
    tiling : np.ndarray, shape=(n,), bool
        Those of them that tile the recording.
    notes : np.ndarray, shape=(k, 6), int
        Step from the first beat, duration in steps, pitch, velocity, hand (0 left), track (0 melody, 1 bridge, 2
        piano); sorted by step and pitch.
    lead : bool
        Whether the melody can be heard; if not, it is never asked for.
    style : int
        Of `Styles`, 0 when not known.
    """

    name: str
    cells: np.ndarray
    chords: np.ndarray
    positions: np.ndarray
    rows: np.ndarray
    lengths: np.ndarray
    tiling: np.ndarray
    notes: np.ndarray
    lead: bool
    style: int = 0
    easier: Mapping[tuple[int, bool], np.ndarray] = field(default_factory=dict)

    @property
    def counts(self) -> np.ndarray:
        """(n,) notes of each window."""
        ends = STEPS * np.stack([self.rows, self.rows + self.lengths])
        return np.diff(np.searchsorted(self.notes[:, 0], ends), axis=0)[0]


def prepare_hands(bands: Path, store: Path, *, splits: Iterable[str], report: Report = print) -> int:
    """Give every note of the bands in `bands`/<split> to a hand, into `store`; those that are there are passed over."""
    added = 0
    for split in splits:
        folder = Path(store, FOLDER, split)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path(bands, split).glob("*.npz")):
            if (folder / path.name).exists():
                continue
            with np.load(path) as data:
                tables = [data[f"{track}_q"].astype(np.int64).reshape(-1, 5) for track in TRACKS]
                beats, positions = data["beats"], data["position"]
            notes = handed(tables, beats)
            with atomic_path(folder / path.name) as target, target.open("wb") as file:
                np.savez(file, notes=notes, positions=positions)
            added += 1
            if added % 100 == 0:
                report(f"{added} recordings, now {split}/{path.stem}")
    return added


def handed(tables: list[np.ndarray], beats: np.ndarray) -> np.ndarray:
    """(k, 6) as in `TokenSong.notes`, from a table per track (n, 5: beat, step, duration, pitch, velocity).

    `beats` (seconds). The hands are those of all tracks played together; the melody is the right hand's.
    """
    track = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    beat, step, duration, pitch, velocity = np.concatenate(tables).T
    onset = STEPS * beat + step
    order = np.lexsort((track, pitch, onset))
    onset, duration, pitch, velocity, track = (x[order] for x in (onset, duration, pitch, velocity, track))
    seconds = np.interp(onset / STEPS, np.arange(len(beats)), beats)
    right = split_hands(onset, onset + duration, pitch, seconds) == RIGHT_OF_HANDS
    hand = np.where(right | (track == MELODY), RIGHT, LEFT)
    return np.column_stack([onset, np.maximum(duration, 1), pitch, np.clip(velocity, 1, 127), hand, track])


def open_songs(
    store: Path, split: str, *, styles: Mapping[str, int] | None = None, levels: Sequence[int] = ()
) -> list[TokenSong]:
    """The recordings of a split that are prepared both ways, in the order of their names.

    Parameters
    ----------
    styles : number of the style of each song (the "songs" of `train styles`); recording NNN-v is of song NNN
    levels : levels of difficulty to which the notes are also reduced
    """
    songs = []
    for piece in open_pieces(Path(store, split)):
        path = Path(store, FOLDER, split, f"{piece.name}.npz")
        if not path.exists():
            continue
        with np.load(path) as data:
            notes, positions = data["notes"].astype(np.int64), data["positions"].astype(np.int64)
        starts = np.flatnonzero(positions == 0)
        if len(starts) == 0:
            continue
        bars = bars_of(starts, len(positions))
        lengths = np.array([tiles(starts[i : i + 2], bars[i : i + 2])[1][0] for i in range(len(starts))])
        easier = {}
        for melody in (True, False):
            once = struck_once(notes if melody else notes[notes[:, 5] != MELODY])[:, :5]
            for level in levels:
                part = reduced(once, positions, level)
                easier[level, melody] = np.column_stack([part, np.full(len(part), PIANO)])
        songs.append(
            TokenSong(
                piece.name,
                piece.cells,
                piece.chords,
                positions,
                starts,
                lengths,
                np.isin(starts, tiles(starts, bars)[0]),
                notes,
                piece.lead,
                (styles or {}).get(piece.name.partition("-")[0], 0),
                easier,
            )
        )
    if not songs:
        raise ParameterError(f"{store} holds no recordings of the split {split!r}: see `spartito train prepare-tokens`")
    return songs


def notes_between(
    song: TokenSong, first: int, last: int, *, shift: int = 0, melody: bool = True, level: int = 0
) -> np.ndarray:
    """(k, 5) notes that begin at steps `first` to `last` - 1 of a recording, steps counted from `first`.

    Step, duration, pitch (`shift` semitones up), velocity, hand; each key once at a step, the longest note of it. Notes
    beyond the keyboard are left out, and without `melody` its notes. `level`: those of `easier`; 0: as they are.
    """
    notes = song.easier[level, melody] if level else song.notes
    low, high = np.searchsorted(notes[:, 0], [first, last])
    notes = notes[low:high]
    if not melody:
        notes = notes[notes[:, 5] != MELODY]
    notes = struck_once(notes)[:, :5].copy()
    notes[:, 0] -= first
    notes[:, 2] += shift
    return notes[(notes[:, 2] >= LOWEST_KEY) & (notes[:, 2] < LOWEST_KEY + KEYS)]


def struck_once(notes: np.ndarray) -> np.ndarray:
    """The longest of notes (k, ...) that strike one key at one step; sorted by step and pitch."""
    notes = notes[np.lexsort((-notes[:, 1], notes[:, 2], notes[:, 0]))]
    other = np.any(np.diff(notes[:, [0, 2]], axis=0) != 0, axis=1)
    return notes[np.concatenate([[True], other])[: len(notes)]]
