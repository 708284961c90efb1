"""POP909: pop songs as piano arrangements, with beats, chords and keys.

Job
    Read a song (`read_song`), put it on the grid of quarter beats that the arranger learns (`quantise`), and write the
    table of fields its original data pipeline consumed (`save_quantised`).

The set
    `NNN/NNN.mid` holds the tracks MELODY (the vocal line), BRIDGE (second melody) and PIANO (accompaniment), played
    freely over a recording; `beat_midi.txt` one line per beat (seconds, flag of the small bar, flag of the large bar),
    `chord_midi.txt` the chords on the same clock, `key_audio.txt` the keys. There is no audio. Where the small bar has
    two beats the large bar is the bar (four beats, seldom 2, 3, 5 or 6 where the metre changes); where it has three,
    the small bar is the bar, and the large one two of them.

    The script behind the quantised files of the arranger's authors was never published; this is our definition of them:
    an onset goes to the nearest quarter of its beat (carried into the next beat), an offset likewise, a note lasts at
    least one step, and of two notes on one step and key the longer stays.

Source
    Z. Wang, K. Chen, J. Jiang, Y. Zhang, M. Xu, S. Dai, G. Bin, G. Xia, 'POP909: a pop-song dataset for music
    arrangement generation' (ISMIR 2020); MIT licence, arrangements of commercial songs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.beats import extrapolated
from spartito.analysis.harte import chord_table
from spartito.errors import NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.midi import read_midi
from spartito.training.data.splits import TEST, VALIDATION

__all__ = [
    "STEPS",
    "TRACKS",
    "PopSong",
    "QuantisedSong",
    "agreement",
    "agrees",
    "beat_places",
    "list_songs",
    "on_grid",
    "quantise",
    "read_song",
    "save_quantised",
    "seconds_of",
]

TRACKS = ("melody", "bridge", "piano")  # in the order of `start_table`
STEPS = 4  # of a beat
FAR = 0.03  # s: a note so far from the beat it is meant for is heard beside it
LATEST, MOST_FAR = 0.015, 0.25  # s, share: what `agrees` lets pass (868 of 889 songs)
SEGMENT = 8  # beats that the arranger sees at once
NO_CHORD_BASS = 10  # what the original conversion made of the bass of 'N' (-1 - 1 modulo 12)


@dataclass(frozen=True, eq=False)
class PopSong:
    """One song as it was annotated.

    Attributes
    ----------
    melody, bridge, piano : np.ndarray, shape=(n, 4), float64
        Onset and offset in seconds, MIDI pitch, velocity; sorted by onset, then pitch.
    beats : np.ndarray, shape=(b,), seconds, rising
    positions : np.ndarray, shape=(b,), int
        Place in the bar, 0 is a downbeat.
    bar_lengths : np.ndarray, shape=(b,), int
        Beats of the bar a beat lies in; of a pick-up and of a last bar that breaks off, those of the usual bar.
    chords : tuple of (seconds, seconds, label)
    keys : tuple of (seconds, seconds, label)
        From the recording: good to a few tenths of a second.
    """

    name: str
    melody: np.ndarray
    bridge: np.ndarray
    piano: np.ndarray
    beats: np.ndarray
    positions: np.ndarray
    bar_lengths: np.ndarray
    chords: tuple[tuple[float, float, str], ...]
    keys: tuple[tuple[float, float, str], ...]

    @property
    def downbeats(self) -> np.ndarray:
        """(d,) indices into `beats`."""
        return np.flatnonzero(self.positions == 0)


def list_songs(root: Path, *, split: str | None = None) -> list[Path]:
    """Folders of the songs below `root`, of one split or (None) all: number 7 of ten tests, 8 validates.

    Raises ParameterError when there are none.
    """
    if split not in (None, "train", "validation", "test"):
        raise ParameterError(f"the split is train, validation or test, not {split!r}")
    root = Path(root)
    root = root / "POP909" if (root / "POP909").is_dir() else root
    folders = sorted(p for p in root.iterdir() if p.name.isdigit() and (p / f"{p.name}.mid").is_file())
    if split is not None:
        names = {TEST: "test", VALIDATION: "validation"}
        folders = [p for p in folders if names.get(int(p.name) % 10, "train") == split]
    if not folders:
        raise ParameterError(f"{root} holds no songs of POP909 (folders 001, 002 ... with their MIDI files)")
    return folders


def read_song(folder: Path) -> PopSong:
    """One song from its folder. Raises NotesError when a file or a track is missing or says nothing useful."""
    folder = Path(folder)
    notes = read_midi(folder / f"{folder.name}.mid")
    named = {track.name.strip().lower(): i for i, track in enumerate(notes.tracks)}
    if "piano" not in named:
        raise NotesError(f"{folder.name}.mid has no track PIANO: is it a song of POP909?")
    tables = []
    for name in TRACKS:
        rows = notes.array[notes.array["track"] == named.get(name, -1)]
        tables.append(np.column_stack([rows[f].astype(np.float64) for f in ("onset", "offset", "pitch", "velocity")]))
    table = np.loadtxt(folder / "beat_midi.txt", ndmin=2)
    beats = table[:, 0]
    if len(beats) < 2 or not (np.diff(beats) > 0).all():
        raise NotesError(f"the beats of song {folder.name} do not rise")
    positions, lengths = _bars(table[:, 1] > 0, table[:, 2] > 0)
    return PopSong(
        folder.name,
        *tables,
        beats,
        positions,
        lengths,
        _spans(folder / "chord_midi.txt"),
        _spans(folder / "key_audio.txt"),
    )


def _spans(path: Path) -> tuple[tuple[float, float, str], ...]:
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return tuple((float(start), float(end), label) for start, end, label in rows)


def _bars(small: np.ndarray, large: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position in the bar and length of the bar of each beat, from the flags of the two bars."""
    gaps = np.diff(np.flatnonzero(small))
    triple = len(gaps) and np.bincount(gaps).argmax() == 3
    down = np.flatnonzero(small if triple else large)
    if len(down) == 0:
        raise NotesError("no downbeat is annotated")
    return bars_of(down, len(small))


def bars_of(down: np.ndarray, beats: int) -> tuple[np.ndarray, np.ndarray]:
    """(b,) position in the bar and (b,) length of the bar in beats, from the indices of the downbeats.

    Beats before the first downbeat, and a last bar that breaks off, belong to bars of the usual length.
    """
    lengths = np.diff(np.append(down, beats))
    usual = int(np.bincount(lengths[:-1]).argmax()) if len(down) > 1 else max(int(lengths[0]), int(down[0]))
    lengths[-1] = max(lengths[-1], usual)
    pickup = down[0]
    bar = np.maximum(np.searchsorted(down, np.arange(beats), side="right") - 1, 0)
    position, length = np.arange(beats) - down[bar], lengths[bar]
    position[:pickup] %= usual
    length[:pickup] = usual
    return position, length


# -- the grid -------------------------------------------------------------------------------------------------


def beat_places(seconds, beats: np.ndarray) -> np.ndarray:
    """Place of each time on the beats (0 is the first, 1.5 half-way to the third), the outer beats going on."""
    seconds = np.asarray(seconds, dtype=np.float64)
    place = np.interp(seconds, beats, np.arange(len(beats)))
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    place = np.where(seconds < beats[0], (seconds - beats[0]) / first, place)
    return np.where(seconds > beats[-1], len(beats) - 1 + (seconds - beats[-1]) / last, place)


def seconds_of(places, beats: np.ndarray) -> np.ndarray:
    """The time of each place on the beats: the inverse of `beat_places`."""
    return extrapolated(np.asarray(places, dtype=np.float64), np.arange(len(beats)), beats, around=1)


def on_grid(notes: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """(n, 5) int of `notes` ((n, 4), seconds): beat, step 0-3, duration in steps, pitch, velocity.

    Halves go up. Beats before the first have negative numbers. Sorted by onset, then pitch.
    """
    if len(notes) == 0:
        return np.zeros((0, 5), dtype=np.int64)
    onset, offset = (np.floor(STEPS * beat_places(notes[:, i], beats) + 0.5).astype(np.int64) for i in (0, 1))
    length = np.maximum(offset - onset, 1)
    pitch, velocity = notes[:, 2].astype(np.int64), notes[:, 3].astype(np.int64)
    table = np.column_stack([onset // STEPS, onset % STEPS, length, pitch, velocity])
    table = table[np.lexsort((-length, pitch, onset))]
    same = (np.diff(table[:, 0]) == 0) & (np.diff(table[:, 1]) == 0) & (np.diff(table[:, 3]) == 0)
    return table[np.concatenate([[True], ~same])]


def agreement(song: PopSong) -> tuple[float, float]:
    """How well the notes lie on the annotated beats: their median distance in seconds, and the share that is far.

    Looked at are the notes of melody and piano that are nearer to a beat or half a beat than to its quarters and
    thirds. Of most songs the median is under a millisecond; of a few the annotation is of another version.
    """
    onsets = np.concatenate([song.piano[:, 0], song.melody[:, 0]])
    places = beat_places(onsets, song.beats)
    inside = places - np.floor(places)
    grid = np.array([0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1])
    nearest = np.argmin(np.abs(inside[:, None] - grid), axis=1)
    beat = np.clip(np.floor(places).astype(int), 0, len(song.beats) - 2)
    distance = ((inside - grid[nearest]) * np.diff(song.beats)[beat])[np.isin(nearest, (0, 3, 6))]
    return (float(np.median(distance)), float(np.mean(np.abs(distance) > FAR))) if len(distance) else (0.0, 0.0)


def agrees(song: PopSong) -> bool:
    """Whether the notes of `song` lie on its beats well enough to learn from."""
    late, share = agreement(song)
    return abs(late) <= LATEST and share <= MOST_FAR


@dataclass(frozen=True, eq=False)
class QuantisedSong:
    """A song on the grid, in the fields of the arranger's data.

    Attributes
    ----------
    melody, bridge, piano : np.ndarray, shape=(n, 5), int
        Beat, step 0-3, duration in steps, pitch, velocity.
    start_table : np.ndarray, shape=(beats + 9, 3), int
        Row b: index of the first note of each track at beat b or later.
    db_pos : np.ndarray, shape=(d,), int
        Beat of each downbeat.
    db_pos_filter : np.ndarray, shape=(d,), bool
        This bar and the next both have four beats.
    beat_positions : np.ndarray, shape=(beats,), seconds
    chord_lookup : np.ndarray, shape=(beats, 14), int
        Root (-1 none), twelve absolute chroma bits, absolute bass.
    """

    name: str
    melody: np.ndarray
    bridge: np.ndarray
    piano: np.ndarray
    start_table: np.ndarray
    db_pos: np.ndarray
    db_pos_filter: np.ndarray
    beat_positions: np.ndarray
    chord_lookup: np.ndarray


def quantise(song: PopSong, *, compat: bool = False) -> QuantisedSong:
    """`song` on the grid; beats are added at both ends, at the outer tempo, so that every note lies in one.

    `compat`: 'N' gets the bass 10 of the original conversion; otherwise -1.
    """
    grids = [on_grid(getattr(song, name), song.beats) for name in TRACKS]
    full = [grid for grid in grids if len(grid)]
    before = max([0, *(-int(grid[:, 0].min()) for grid in full)])
    after = max([0, *(int(grid[:, 0].max()) - len(song.beats) + 1 for grid in full)])
    places = np.arange(-before, len(song.beats) + after)
    beats = seconds_of(places, song.beats)
    for grid in grids:
        grid[:, 0] += before
    rows = np.arange(len(beats) + SEGMENT + 1)
    starts = np.column_stack([np.searchsorted(grid[:, 0], rows) for grid in grids])
    down = song.downbeats + before
    four = np.diff(np.append(down, len(song.beats) + before)) == 4  # a bar that breaks off is not complete
    complete = four & np.append(four[1:], False)
    return QuantisedSong(
        song.name, *grids, starts, down, complete, beats, chord_rows(song.chords, beats, compat=compat)
    )


def chord_rows(chords, beats: np.ndarray, *, compat: bool = False) -> np.ndarray:
    """(b, 14) int: root, twelve absolute chroma bits and absolute bass of the chord in the middle of each beat."""
    starts, ends, labels = zip(*chords, strict=True) if len(chords) else ((), (), ())
    return chord_table(beats, starts, ends, labels, no_bass=NO_CHORD_BASS if compat else -1)


def save_quantised(song: QuantisedSong, path: Path) -> None:
    """Write the fields as the `.npz` that the original's training reads."""
    fields = {name: value for name, value in vars(song).items() if name != "name"}
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **fields)
