"""Who sings, who carries, who fills: the role and the weight of each note of a piano arrangement.

Job
    For `notes.simplify` and `render.perform`: which notes are melody, bass and inner voice, where each lies in its
    bar, and how much would be lost without it.

Method
    *Melody* is what sounds on top of the right hand (no higher note is struck with it or held over it), without
    single notes that dip far below both neighbours; or, when at least half of it can be found among the notes, the
    melody that the analysis heard. *Bass* is the lowest note of the left hand in each half bar, of its first
    half if there is any. The rest is *inner*.
    Weight: role first, then place in the bar, then length; octave doublings lose most, fifths over the bass a little.

Source
    The top line as melody ('skyline') is A. L. Uitdenbogerd and J. Zobel, 'Manipulation of music for melody matching'
    (ACM Multimedia 1998). On 20 songs of POP909 (test split, voice and piano on one track) the top line finds 88 % of
    the vocal line, and 79 % of it is the vocal line (benchmarks/playability.py); it fails where the piano lies higher.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.analysis.beats import Beats
from spartito.notes.hands import LEFT, RIGHT
from spartito.notes.notes import Notes

__all__ = ["BASS", "INNER", "MELODY", "SLOTS", "Grid", "Table", "make_table"]

SLOTS = 12  # positions per beat that are told apart: sixteenths and triplets
MELODY, BASS, INNER = 2, 1, 0  # roles
MELODY_NEAR = 0.12  # seconds between a note of the heard melody and the note that plays it
MELODY_SHARE = 0.5  # share of the heard melody that must be found before it is believed
SILENT = 2.0  # seconds from the heard melody beyond which the top line sings
LOOK = 16  # notes before or after that one note is compared with; hands hold fewer
HOLD = 0.25  # beats that a higher note must still sound to lie over a lower one
DIP = 9  # semitones below both neighbours: no tune jumps down there for one note and back


@dataclass
class Table:
    """Columns of all notes, sorted by onset, then pitch; each (n,)."""

    array: np.ndarray  # NOTE_DTYPE, track 0 right, 1 left
    start: np.ndarray  # beats, place of the onset
    stop: np.ndarray  # beats, place of the release
    pitch: np.ndarray  # int64
    hand: np.ndarray  # RIGHT or LEFT
    role: np.ndarray  # MELODY, BASS or INNER
    weight: np.ndarray  # importance, higher stays longer

    def pick(self, chosen: np.ndarray) -> Table:
        return Table(**{name: column[chosen] for name, column in vars(self).items()})

    def __len__(self) -> int:
        return len(self.array)

    def each_key_once(self) -> Table:
        """In the order of `Notes`, each key once at a time: the weightier note, as long as the longest."""
        table = self.pick(np.lexsort((-self.weight, self.pitch, np.round(self.start * SLOTS))))
        if len(table) == 0:
            return table
        other = (np.diff(table.pitch) != 0) | (np.abs(np.diff(table.start)) > 0.5 / SLOTS)
        starts = np.flatnonzero(np.concatenate([[True], other]))
        stop = np.maximum.reduceat(table.stop, starts)
        offset = np.maximum.reduceat(table.array["offset"], starts)
        table = table.pick(starts)
        table.stop, table.array["offset"] = stop, offset
        return table


@dataclass(frozen=True)
class Grid:
    """Beats by number: 0 is the first one of the piece."""

    beats: Beats
    bar_start: np.ndarray  # (n,) number of the beat that opens the bar of each beat
    bar_length: np.ndarray  # (n,) beats in that bar
    three: bool  # a beat is divided in three

    @classmethod
    def of(cls, beats: Beats) -> Grid:
        down = np.flatnonzero(beats.positions == 0)
        n = len(beats.times)
        length = np.diff(np.append(down, n))
        if len(down) > 1:
            length[-1] = max(length[-1], length[-2])  # the last bar may be cut short
        bar = np.maximum(np.searchsorted(down, np.arange(n), side="right") - 1, 0)
        three = float(np.median(np.diff(beats.quarters))) > 1.25 or beats.signatures[0][2] == 8
        return cls(beats, down[bar], length[bar], three)

    def place(self, seconds: np.ndarray) -> np.ndarray:
        """Beats (float) of each time."""
        steps = np.arange(len(self.beats.times), dtype=np.float64)
        quarters = self.beats.to_quarters(seconds)
        first, last = self.beats.quarters[[0, -1]]
        per_beat = float(np.median(np.diff(self.beats.quarters)))
        place = np.interp(quarters, self.beats.quarters, steps)
        place = np.where(quarters < first, (quarters - first) / per_beat, place)
        return np.where(quarters > last, steps[-1] + (quarters - last) / per_beat, place)

    def seconds(self, place: np.ndarray) -> np.ndarray:
        """Time of each place in beats."""
        steps = np.arange(len(self.beats.times), dtype=np.float64)
        per_beat = float(np.median(np.diff(self.beats.quarters)))
        quarters = np.interp(place, steps, self.beats.quarters)
        quarters = np.where(place < 0, self.beats.quarters[0] + place * per_beat, quarters)
        beyond = place - steps[-1]
        return self.beats.to_seconds(np.where(beyond > 0, self.beats.quarters[-1] + beyond * per_beat, quarters))

    def in_bar(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Beats since the bar line, and beats of the bar, for each place."""
        beat = np.clip(np.floor(place + 1e-6).astype(np.int64), 0, len(self.bar_start) - 1)
        length = self.bar_length[beat]
        return np.mod(place - self.bar_start[beat] + 1e-6, length) - 1e-6, length

    def strength(self, place: np.ndarray) -> np.ndarray:
        """(n,) 4 on a downbeat, 3 on the half bar, 2 on another beat, 1 on half a beat, 0 elsewhere."""
        part, length = self.in_bar(place)
        part = np.round(part * SLOTS) / SLOTS
        half = (length % 2 == 0) & (part == length / 2) & (length > 2)
        out = np.where(part * 2 % 1 == 0, 1.0, 0.0)
        out = np.where(part % 1 == 0, 2.0, out)
        out = np.where(half, 3.0, out)
        return np.where((part == 0) | (part == length), 4.0, out)


def make_table(notes: Notes, grid: Grid, melody: np.ndarray) -> Table:
    """The notes (in two hands) with roles and importance; `melody` (m, 3): onset s, offset s, MIDI pitch."""
    array = notes.array
    start, stop = grid.place(array["onset"]), grid.place(array["offset"])
    start = _snapped(start)
    hand = np.where(array["track"] == 0, RIGHT, LEFT)
    pitch = array["pitch"].astype(np.int64)
    zeros = np.zeros(len(array))
    table = Table(array, start, np.maximum(stop, start + 1 / SLOTS), pitch, hand, zeros.astype(int), zeros)
    _give_roles(table, grid, melody)
    _weigh(table, grid)
    return table


def _snapped(place: np.ndarray) -> np.ndarray:
    """Beats on the nearest sixteenth or triplet."""
    fine = np.round(place * 4) / 4
    triplet = np.round(place * 3) / 3
    return np.where(np.abs(triplet - place) + 0.03 < np.abs(fine - place), triplet, fine)


def _give_roles(table: Table, grid: Grid, melody: np.ndarray) -> None:
    right = np.flatnonzero(table.hand == RIGHT)
    heard = _heard(table, melody)
    if len(heard):
        table.role[heard] = MELODY
        right = right[_distance(table.array["onset"][right], table.array["onset"][heard]) > SILENT]
    table.role[_top_line(table, right)] = MELODY
    left = np.flatnonzero(table.hand == LEFT)
    part, length = grid.in_bar(table.start[left])
    half = np.where((length % 2 == 0) & (length > 2), length / 2, length)  # beats; a bar of three has no half
    window = np.round((table.start[left] - part) * SLOTS) + np.floor(part / half + 1e-6)  # one number per half bar
    late = np.mod(part + 1e-6, half) > half / 2  # a low note there is on its way to the next bass
    order = np.lexsort((table.start[left], table.pitch[left], late, window))
    first = np.diff(window[order], prepend=-np.inf) != 0
    table.role[left[order[first]]] = BASS


def _heard(table: Table, melody: np.ndarray) -> np.ndarray:
    """Rows that play the melody the analysis heard; none when they are too few to be it."""
    if len(melody) == 0 or len(table) == 0:
        return np.zeros(0, dtype=np.int64)
    onset = table.array["onset"]
    after = np.minimum(np.searchsorted(melody[:, 0], onset), len(melody) - 1)
    back = np.maximum(after - 1, 0)
    near = np.where(np.abs(melody[back, 0] - onset) < np.abs(melody[after, 0] - onset), back, after)
    same = (np.abs(melody[near, 0] - onset) <= MELODY_NEAR) & ((np.round(melody[near, 2]) - table.pitch) % 12 == 0)
    found = np.flatnonzero(same & (table.hand == RIGHT))
    order = found[np.lexsort((-table.pitch[found], near[found]))]
    order = order[np.diff(near[order], prepend=-1) != 0]  # of several octaves the highest
    return np.sort(order) if len(order) >= MELODY_SHARE * len(melody) else order[:0]


def _top_line(table: Table, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that lie on top, without single notes that dip far below both neighbours."""
    top = rows[_on_top(table, rows)]
    if len(top) < 3:
        return top
    pitch, start = table.pitch[top], table.start[top]
    dips = np.zeros(len(top), dtype=bool)
    dips[1:-1] = (np.minimum(pitch[:-2], pitch[2:]) - pitch[1:-1] >= DIP) & (start[2:] - start[:-2] <= 4)
    return top[~dips]


def _distance(time: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Seconds from each time to the nearest of `others` (sorted, not empty)."""
    place = np.searchsorted(others, time)
    after = np.abs(others[np.minimum(place, len(others) - 1)] - time)
    return np.minimum(after, np.abs(others[np.maximum(place - 1, 0)] - time))


def _on_top(table: Table, rows: np.ndarray) -> np.ndarray:
    """(len(rows),) bool: no higher note of `rows` is struck with it or still held."""
    top = np.ones(len(rows), dtype=bool)
    start, stop, pitch = table.start[rows], table.stop[rows], table.pitch[rows]
    for k in range(1, min(LOOK, len(rows))):
        higher = pitch[:-k] > pitch[k:]
        top[k:] &= ~(higher & (stop[:-k] > start[k:] + HOLD))
        top[k:] &= ~(higher & (start[:-k] == start[k:]))
        top[:-k] &= ~((pitch[k:] > pitch[:-k]) & (start[:-k] == start[k:]))
    return top


def _weigh(table: Table, grid: Grid) -> None:
    """Importance: role, then place in the bar, then length; doublings and fifths lose."""
    strength = grid.strength(table.start)
    length = np.minimum(table.stop - table.start, 4.0)
    weight = 0.15 * strength + 0.1 * length
    doubled = np.zeros(len(table), dtype=bool)
    fifth = np.zeros(len(table), dtype=bool)
    for k in range(1, min(LOOK, len(table))):
        same = table.start[:-k] == table.start[k:]
        octave = same & ((table.pitch[:-k] - table.pitch[k:]) % 12 == 0)
        # the lower of the two is the doubling when the upper is melody, else the upper is
        low_goes = octave & (table.role[k:] == MELODY)
        doubled[:-k] |= low_goes & (table.role[:-k] == INNER)
        doubled[k:] |= octave & ~low_goes & (table.role[k:] == INNER)
        above = (table.pitch[k:] - table.pitch[:-k]) % 12
        fifth[k:] |= same & (above == 7) & (table.role[:-k] == BASS)
    weight -= np.where(table.role == INNER, 0.5 * doubled + 0.1 * fifth, 0.0)
    lowest_first = np.where(table.hand == LEFT, 0.002 * (96 - table.pitch), 0.002 * (table.pitch - 24))
    table.weight = weight + lowest_first + np.choose(table.role, [0.0, 4.0, 8.0])
