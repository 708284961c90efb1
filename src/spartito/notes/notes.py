"""`Notes`: what was, or is to be, played. The common currency of all stages.

A note is an event on a key: pressed at `onset`, released at `offset` (seconds), at a MIDI `pitch`, with a
`velocity`. A held sustain pedal makes it sound on after its release, until the pedal rises or the key is struck
again; `Notes.sounding()` gives that second length. The pedal lives where MIDI keeps it, in the control changes
of a track (number 64), so that there is one truth; `Notes.pedal` shows it as intervals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from spartito.errors import NotesError
from spartito.notes.tempo import TempoMap

__all__ = [
    "BEND_DTYPE",
    "CONTROL_DTYPE",
    "NOTE_DTYPE",
    "SUSTAIN",
    "Notes",
    "Track",
    "extend_by_pedal",
    "merge",
    "pedal_intervals",
]

NOTE_DTYPE = np.dtype(
    [
        ("onset", np.float64),  # seconds
        ("offset", np.float64),  # seconds, when the key is released
        ("pitch", np.int16),  # MIDI number 0..127 (A0 = 21, C8 = 108)
        ("velocity", np.int16),  # 1..127
        ("track", np.int16),  # index into Notes.tracks
        ("confidence", np.float32),  # 0..1, how sure the transcriber is; 1 for notes that are given
    ]
)
CONTROL_DTYPE = np.dtype([("time", np.float64), ("number", np.int16), ("value", np.int16)])
BEND_DTYPE = np.dtype([("time", np.float64), ("value", np.int16)])  # value -8192..8191
SUSTAIN = 64  # control change number of the sustain pedal; down from value 64 on


def _empty(dtype):
    return field(default_factory=lambda: np.zeros(0, dtype=dtype))


@dataclass(frozen=True, eq=False)
class Track:
    """One instrument: its name, General MIDI program, and everything it says besides notes."""

    name: str = ""
    program: int = 0
    is_drum: bool = False
    controls: np.ndarray = _empty(CONTROL_DTYPE)  # (n,) sorted by time
    bends: np.ndarray = _empty(BEND_DTYPE)  # (n,) sorted by time
    lyrics: tuple[tuple[float, str], ...] = ()  # seconds, text
    channel: int = -1  # MIDI channel 0..15 a file gave it; -1: to be chosen when it is written


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes of one piece with their tracks and clock. Immutable: methods return new objects.

    Attributes
    ----------
    array : np.ndarray, shape=(n,), dtype=NOTE_DTYPE
        Sorted by onset, then pitch.
    tracks : tuple of Track
        `array["track"]` points into it. Two hands are two tracks named "right hand" and "left hand".
    tempo_map : TempoMap
        Relates seconds to ticks, metre and key. The default (120 per minute, no metre) says nothing.
    markers : tuple of (seconds, text)
    title, composer : str
        Empty when unknown.
    """

    array: np.ndarray = _empty(NOTE_DTYPE)
    tracks: tuple[Track, ...] = (Track(name="piano"),)
    tempo_map: TempoMap = field(default_factory=TempoMap)
    markers: tuple[tuple[float, str], ...] = ()
    title: str = ""
    composer: str = ""

    def __post_init__(self):
        array = np.asarray(self.array)
        if array.dtype != NOTE_DTYPE:
            raise NotesError(f"a note array of dtype NOTE_DTYPE is needed, not {array.dtype}")
        if len(array):
            if not (np.isfinite(array["onset"]).all() and np.isfinite(array["offset"]).all()):
                raise NotesError("note times must be finite numbers of seconds")
            if array["track"].min() < 0 or array["track"].max() >= len(self.tracks):
                raise NotesError(f"a note belongs to a track that is not among the {len(self.tracks)} given")
        order = np.lexsort((array["pitch"], array["onset"]))
        if np.any(np.diff(order) != 1):
            array = array[order]
        object.__setattr__(self, "array", array)

    # -- making -----------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(cls, onset, offset, pitch, velocity=64, *, track=0, confidence=1.0, **fields) -> Notes:
        """Notes from columns of equal length (or scalars): seconds, seconds, MIDI numbers, 1..127."""
        array = np.zeros(len(np.atleast_1d(np.asarray(onset, dtype=np.float64))), dtype=NOTE_DTYPE)
        for name, values in zip(NOTE_DTYPE.names, (onset, offset, pitch, velocity, track, confidence), strict=True):
            array[name] = values
        return cls(array, **fields)

    def with_array(self, array: np.ndarray) -> Notes:
        """The same piece with other notes."""
        return replace(self, array=array)

    def with_pedal(self, pedal: np.ndarray, *, track: int = 0) -> Notes:
        """The same piece with the sustain pedal down during `pedal` ((n, 2), seconds), and nowhere else."""
        pedal = np.asarray(pedal, dtype=np.float64).reshape(-1, 2)
        moves = np.zeros(2 * len(pedal), dtype=CONTROL_DTYPE)
        moves["time"], moves["number"] = pedal.ravel(), SUSTAIN
        moves["value"] = np.tile([127, 0], len(pedal))
        tracks = []
        for i, t in enumerate(self.tracks):
            controls = t.controls[t.controls["number"] != SUSTAIN]
            if i == track:
                controls = np.concatenate([controls, moves])
                controls = controls[np.argsort(controls["time"], kind="stable")]
            tracks.append(replace(t, controls=controls))
        return replace(self, tracks=tuple(tracks))

    # -- looking ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.array)

    @property
    def onset(self) -> np.ndarray:
        """(n,) seconds."""
        return self.array["onset"]

    @property
    def offset(self) -> np.ndarray:
        """(n,) seconds, key released."""
        return self.array["offset"]

    @property
    def pitch(self) -> np.ndarray:
        """(n,) MIDI numbers."""
        return self.array["pitch"]

    @property
    def velocity(self) -> np.ndarray:
        """(n,) 1..127."""
        return self.array["velocity"]

    @property
    def duration(self) -> float:
        """Seconds from 0 to the last release (0 when there are no notes)."""
        return float(self.offset.max()) if len(self) else 0.0

    @property
    def pedal(self) -> np.ndarray:
        """(n, 2) seconds, intervals during which the sustain pedal of any pitched track is down."""
        spans = [pedal_intervals(t.controls, end=self._end()) for t in self.tracks if not t.is_drum]
        return _union(np.vstack(spans)) if spans else np.zeros((0, 2))

    def _end(self) -> float:
        last = [c["time"][-1] for c in (t.controls for t in self.tracks) if len(c)]
        return max([self.duration, *last])

    # -- changing ---------------------------------------------------------------------------------------

    def sounding(self) -> Notes:
        """Notes as long as they sound: each release inside a pedal span is moved to the end of that span,
        or to the next onset of the same key and track, whichever comes first (specification, 3.1).

        Tracks with the same program share their pedal (two hands, one piano); others keep their own.
        """
        array = self.array.copy()
        for program in {t.program for t in self.tracks if not t.is_drum}:
            members = [i for i, t in enumerate(self.tracks) if t.program == program and not t.is_drum]
            spans = [pedal_intervals(self.tracks[i].controls, end=self._end()) for i in members]
            mask = np.isin(array["track"], members)
            if mask.any():
                array["offset"][mask] = extend_by_pedal(array[mask], _union(np.vstack(spans)))
        return self.with_array(array)

    def select(self, mask) -> Notes:
        """The notes that `mask` ((n,) bool or indices) picks; tracks, pedal and clock stay."""
        return self.with_array(self.array[mask])

    def between(self, start: float, end: float) -> Notes:
        """The notes whose onset lies in [start, end) seconds; times are unchanged."""
        return self.select((self.onset >= start) & (self.onset < end))

    def shifted(self, seconds: float) -> Notes:
        """All notes, controls and markers moved by `seconds`. The tempo map stays."""
        array = self.array.copy()
        array["onset"] += seconds
        array["offset"] += seconds

        def moved(events):
            events = events.copy()
            events["time"] += seconds
            return events

        tracks = tuple(
            replace(
                t,
                controls=moved(t.controls),
                bends=moved(t.bends),
                lyrics=tuple((time + seconds, text) for time, text in t.lyrics),
            )
            for t in self.tracks
        )
        markers = tuple((time + seconds, text) for time, text in self.markers)
        return replace(self, array=array, tracks=tracks, markers=markers)


def pedal_intervals(controls: np.ndarray, *, end: float) -> np.ndarray:
    """(n, 2) seconds during which CC64 is at 64 or more; a pedal still down at the last event lasts to `end`."""
    sustain = controls[controls["number"] == SUSTAIN]
    if len(sustain) == 0:
        return np.zeros((0, 2))
    down = np.concatenate([[False], sustain["value"] >= 64, [False]])
    times = np.append(sustain["time"], max(end, sustain["time"][-1]))
    change = np.flatnonzero(np.diff(down.astype(np.int8)))
    spans = times[change].reshape(-1, 2)
    return spans[spans[:, 1] > spans[:, 0]]


def _union(spans: np.ndarray) -> np.ndarray:
    """(m, 2) disjoint sorted intervals covering the same time as `spans` ((n, 2))."""
    if len(spans) == 0:
        return np.zeros((0, 2))
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.concatenate([[True], spans[1:, 0] > reach[:-1]])
    last = np.append(np.flatnonzero(first)[1:] - 1, len(spans) - 1)
    return np.column_stack([spans[first, 0], reach[last]])


def extend_by_pedal(array: np.ndarray, pedal: np.ndarray) -> np.ndarray:
    """(n,) seconds at which each note of `array` (NOTE_DTYPE) stops sounding under `pedal` ((m, 2), disjoint).

    A note that still sounds when its key is struck again ends there, pedal or not. Notes on one key at one and the
    same time do not cut each other, so no note is cut to nothing, and a note whose key is held for no time is kept:
    each note that was played still counts (the specification, 3.1, deletes such notes).
    """
    offset = array["offset"].copy()
    if len(pedal):
        span = np.searchsorted(pedal[:, 0], offset, side="right") - 1
        inside = (span >= 0) & (offset < pedal[np.maximum(span, 0), 1])
        offset[inside] = pedal[span[inside], 1]
    order = np.lexsort((array["onset"], array["pitch"]))
    here, following = order[:-1], order[1:]
    again = (array["pitch"][here] == array["pitch"][following]) & (array["onset"][following] > array["onset"][here])
    here, following = here[again], following[again]
    offset[here] = np.minimum(offset[here], array["onset"][following])
    return offset


def merge(pieces: Iterable[Notes]) -> Notes:
    """One `Notes` with the tracks of all `pieces` side by side, on the clock of the first."""
    pieces = list(pieces)
    if not pieces:
        raise NotesError("nothing to merge: at least one Notes is needed")
    arrays, tracks = [], []
    for piece in pieces:
        array = piece.array.copy()
        array["track"] += len(tracks)
        arrays.append(array)
        tracks.extend(piece.tracks)
    return replace(pieces[0], array=np.concatenate(arrays), tracks=tuple(tracks))
