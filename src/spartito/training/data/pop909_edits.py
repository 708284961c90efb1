"""Other versions of a song of POP909: in another tempo, key or metre, or a part of it.

Every edit moves the notes, beats, chords and keys alike, so what comes out is a `PopSong` as good as annotated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spartito.errors import ParameterError
from spartito.training.data.pop909 import TRACKS, PopSong, bars_of, beat_places, seconds_of

__all__ = ["as_waltz", "moved", "part", "retimed", "transposed", "without_beats"]

EARLY = 0.125  # beats: a note that comes so little before a beat belongs to that beat
KEYBOARD = (21, 108)  # MIDI pitches of a piano


def retimed(song: PopSong, beats: np.ndarray) -> PopSong:
    """`song` with its beats at other times ((b,), seconds, rising); all else goes with them."""
    if len(beats) != len(song.beats):
        raise ParameterError(f"{len(song.beats)} beats need as many new times, not {len(beats)}")
    return _mapped(song, lambda t: seconds_of(beat_places(t, song.beats), beats), beats)


def moved(song: PopSong, seconds: float) -> PopSong:
    """`song` later by `seconds`."""
    return _mapped(song, lambda t: t + seconds, song.beats + seconds)


def _mapped(song: PopSong, clock: Callable, beats: np.ndarray) -> PopSong:
    tables = {}
    for name in TRACKS:
        table = getattr(song, name).copy()
        table[:, :2] = clock(table[:, :2])
        tables[name] = table
    spans = {
        name: tuple((float(clock(start)), float(clock(end)), label) for start, end, label in getattr(song, name))
        for name in ("chords", "keys")
    }
    return replace(song, beats=beats, **tables, **spans)


def transposed(song: PopSong, semitones: int) -> PopSong:
    """`song` in another key. A note that would leave the keyboard goes an octave back."""
    from spartito.analysis.harte import transpose

    if semitones == 0:
        return song
    tables = {}
    for name in TRACKS:
        table = getattr(song, name).copy()
        table[:, 2] += semitones
        table[:, 2] += 12.0 * (table[:, 2] < KEYBOARD[0]) - 12.0 * (table[:, 2] > KEYBOARD[1])
        tables[name] = table
    spans = {
        name: tuple((start, end, transpose(label, semitones)) for start, end, label in getattr(song, name))
        for name in ("chords", "keys")
    }
    return replace(song, **tables, **spans)


def without_beats(song: PopSong, keep: np.ndarray) -> PopSong:
    """`song` with whole beats cut out ((b,) bool: those that stay), as an editor cuts tape.

    Notes that begin in a beat that goes are gone; those that ring into one end at the cut.
    """
    keep = np.asarray(keep, dtype=bool)
    if len(keep) != len(song.beats) or keep.sum() < 2 or not (keep & (song.positions == 0)).any():
        raise ParameterError("at least two beats must stay, one of them a downbeat")
    lengths = np.diff(song.beats, append=2 * song.beats[-1] - song.beats[-2])
    first = song.beats[np.argmax(keep)]
    beats = first + np.concatenate([[0.0], np.cumsum(lengths[keep])[:-1]])
    before = np.concatenate([[0], np.cumsum(keep)])  # beats that stay before each

    def place(seconds):
        """New place of each time, and whether its beat stays."""
        old = beat_places(seconds, song.beats)
        beat = np.clip(np.floor(old + EARLY).astype(np.int64), 0, len(keep) - 1)
        inside = np.where(keep[beat], old - beat, 0.0)
        return before[beat] + inside, keep[beat]

    tables = {}
    for name in TRACKS:
        table = getattr(song, name)
        (onset, stays), (offset, _) = place(table[:, 0]), place(table[:, 1])
        table = table.copy()
        table[:, 0], table[:, 1] = seconds_of(onset, beats), seconds_of(offset, beats)
        tables[name] = table[stays & (table[:, 1] > table[:, 0])]
    spans = {}
    for name in ("chords", "keys"):
        cut = []
        for start, end, label in getattr(song, name):
            (a, b), _ = place(np.array([start, end]))
            if b > a:
                cut.append((float(seconds_of(a, beats)), float(seconds_of(b, beats)), label))
        spans[name] = tuple(cut)
    position, length = bars_of(np.flatnonzero(song.positions[keep] == 0), len(beats))
    return replace(song, beats=beats, positions=position, bar_lengths=length, **tables, **spans)


def as_waltz(song: PopSong) -> PopSong:
    """`song` with the last beat cut out of every bar of four: a song in three, its labels cut alike."""
    return without_beats(song, ~((song.bar_lengths == 4) & (song.positions == 3)))


def part(song: PopSong, first: int, last: int) -> PopSong:
    """The beats `first` up to, not including, `last`, and the notes that begin in them; the times stay."""
    start, end = seconds_of(np.array([first - EARLY, last - EARLY]), song.beats)
    tables = {}
    for name in TRACKS:
        table = getattr(song, name)
        tables[name] = table[(table[:, 0] >= start) & (table[:, 0] < end)]
    at, to = seconds_of(np.array([first, last]), song.beats)
    spans = {
        name: tuple((max(a, at), min(b, to), label) for a, b, label in getattr(song, name) if b > at and a < to)
        for name in ("chords", "keys")
    }
    window = slice(first, last)
    return replace(
        song,
        beats=song.beats[window],
        positions=song.positions[window],
        bar_lengths=song.bar_lengths[window],
        **tables,
        **spans,
    )
