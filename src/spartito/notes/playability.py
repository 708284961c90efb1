"""Can a pianist play it, and how hard is it?

Job
    `playability(notes)`: what an arrangement asks of two hands, in figures a pianist knows, and the bars that ask
    too much.

Definitions
    A *stroke* is what one hand strikes together (onsets within a spread chord, `notes.quantize`). Of each stroke:

    - span: semitones from its lowest to its highest key; *wide* from more than an octave (12) on;
    - fingers: keys struck together;
    - leap: how far the hand must move from the stroke before: the span of both strokes together less the octave it
      covers without moving, per second from onset to onset;
    - repetition: strokes per second of one and the same key by one hand.

    A stroke is a *problem* when it spans more than a ninth (14), needs more than five fingers, leaps faster than
    `LEAP_LIMIT` or repeats a key faster than `REPEAT_LIMIT`. The *score* is the share of strokes that are none.
    The *difficulty* 1..5 is the easiest level of `notes.simplify` whose limits hold for 95 % of the strokes.

Source
    The features are the ones used to grade piano scores: playing speed, hand stretch, hand displacement, polyphony
    (V. Sébastien et al., 'Score Analyzer', ISMIR 2012; S.-C. Chiu, M.-S. Chen, 'A study on difficulty level
    recognition of piano sheet music', IEEE ISM 2012). That difficulty lies in what happens per second and per hand,
    and that the hard moments matter more than the mean, follows E. Nakamura, K. Yoshii, 'Statistical piano
    reduction controlling performance difficulty' (APSIPA Transactions 7, 2018). The limits are ours: see below.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from spartito.notes.hands import LEFT, RIGHT
from spartito.notes.notes import Notes
from spartito.notes.quantize import chord_groups
from spartito.notes.two_hands import piano_in_two_hands

__all__ = ["LEVELS", "Level", "Playability", "Problem", "Strokes", "hand_strokes", "playability"]

WIDE = 12  # semitones: an octave, which most adult hands reach
NINTH = 14  # semitones; a tenth (16) is for large hands
FINGERS = 5
LEAP_LIMIT = (
    58.0  # semitones per second: 99 % of the strokes of ASAP performances are slower (benchmarks/playability.py)
)
REPEAT_LIMIT = 10.0  # strokes of one key per second: the same
PEAK = 2.0  # seconds over which the notes per second are at their highest
HOLDS = 0.95  # share of strokes that must keep to the limits of a level
NAMES = {RIGHT: "right hand", LEFT: "left hand"}


@dataclass(frozen=True)
class Level:
    """What one level of difficulty allows each hand. Ours, after the grading of easy-piano editions."""

    right_notes: int  # keys struck together
    left_notes: int
    span: int  # semitones struck together by one hand
    right_unit: float  # beats from one stroke of the melody to the next at least
    inner_unit: float  # beats: notes below the melody only on multiples of it
    left_unit: float  # beats from one stroke of the left hand to the next; more than 1: on strong beats only
    pace: float  # strokes per second and hand; a unit that passes faster is doubled


LEVELS = {
    1: Level(1, 1, 7, 0.5, 4.0, 2.0, 4.5),  # a tune over one bass note per half bar
    2: Level(2, 2, 9, 0.5, 2.0, 1.0, 5.0),  # thirds and sixths now and then, fifths in the left hand
    3: Level(2, 2, 12, 0.25, 1.0, 0.5, 7.0),  # octaves, left hand in quavers
    4: Level(4, 3, 12, 0.25, 0.25, 0.25, 10.0),  # full chords
    5: Level(5, 5, NINTH, 0.0, 0.0, 0.0, 1e9),  # as it is, within the reach of a hand
}


@dataclass(frozen=True)
class Problem:
    """A bar (from 1; 0 is a pick-up) in which a hand is asked too much, at `time` seconds."""

    bar: int
    time: float
    hand: str
    what: str


@dataclass(frozen=True)
class Playability:
    """What an arrangement asks of its player; the definitions stand at the top of the file."""

    span: dict[str, int]  # largest, semitones, per hand
    fingers: dict[str, int]  # most keys struck together, per hand
    wide_chords: float  # share of chords (two keys or more by one hand) over an octave
    repeat_rate: float  # fastest repetition of one key, per second
    leap_rate: float  # fastest movement of a hand, semitones per second
    notes_per_second: float  # mean over the piece
    peak_notes_per_second: float  # over the busiest two seconds
    independence: float  # share of strokes of either hand at which the other hand does not strike
    score: float  # 0..1
    difficulty: int  # 1..5
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)

    def lines(self, *, most: int = 8) -> list[str]:
        """A report to read, with at most `most` bars."""
        span = " and ".join(f"{value} semitones ({hand})" for hand, value in self.span.items())
        lines = [
            f"playability {self.score:.2f}, difficulty {self.difficulty} of 5",
            f"widest chords {span or 'none'}; {self.wide_chords:.1%} of the chords are wider than an octave",
            f"{self.notes_per_second:.1f} notes a second (at most {self.peak_notes_per_second:.1f}), "
            f"a key up to {self.repeat_rate:.1f} times a second, leaps up to {self.leap_rate:.0f} semitones a second",
        ]
        lines += [f"bar {p.bar}: {p.hand}, {p.what}" for p in self.problems[:most]]
        if len(self.problems) > most:
            lines.append(f"and {len(self.problems) - most} more places")
        return lines


@dataclass(frozen=True, eq=False)
class Strokes:
    """What one hand strikes, stroke by stroke; all of shape (m,)."""

    time: np.ndarray  # seconds
    low: np.ndarray  # MIDI number
    high: np.ndarray
    count: np.ndarray  # keys
    leap: np.ndarray  # semitones per second beyond an octave; 0 for the first
    repeat: np.ndarray  # per second: the fastest repetition of one of its keys by the same hand; 0 for none

    @property
    def span(self) -> np.ndarray:
        return self.high - self.low


def hand_strokes(onset: np.ndarray, pitch: np.ndarray) -> Strokes:
    """The strokes of one hand from its `onset` ((n,) seconds, rising) and `pitch` ((n,) MIDI numbers)."""
    if len(onset) == 0:
        none = np.zeros(0)
        return Strokes(none, none.astype(int), none.astype(int), none.astype(int), none, none)
    pitch = pitch.astype(np.int64)
    group = chord_groups(onset)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    time = onset[first]
    low, high = np.minimum.reduceat(pitch, first), np.maximum.reduceat(pitch, first)
    leap = np.zeros(len(first))
    both = np.maximum(high[1:], high[:-1]) - np.minimum(low[1:], low[:-1])
    leap[1:] = np.maximum(both - WIDE, 0) / np.maximum(np.diff(time), 1e-3)
    order = np.lexsort((onset, pitch))
    again = np.flatnonzero((np.diff(pitch[order]) == 0) & (np.diff(group[order]) > 0))
    rate = 1.0 / np.maximum(onset[order[again + 1]] - onset[order[again]], 1e-3)
    repeat = np.zeros(len(first))
    np.maximum.at(repeat, group[order[again + 1]], rate)
    return Strokes(time, low, high, np.bincount(group), leap, repeat)


def playability(notes: Notes, beats=None) -> Playability:
    """Judge an arrangement.

    Parameters
    ----------
    notes : Notes
        Piano; hands are taken from tracks named "right hand" and "left hand", else they are found.
    beats : Beats, or an object with such an attribute `beats`, optional
        For the numbers of the bars. When missing, the tempo map of `notes` counts them.
    """
    notes = piano_in_two_hands(notes)
    hands = {hand: notes.array[notes.array["track"] == hand] for hand in (RIGHT, LEFT)}
    strokes = {hand: hand_strokes(rows["onset"], rows["pitch"]) for hand, rows in hands.items()}
    problems = []
    for hand, s in strokes.items():
        for i in np.flatnonzero(_too_much(s)):
            bar = _bar_of(float(s.time[i]), notes, beats)
            problems.append(Problem(bar, round(float(s.time[i]), 3), NAMES[hand], _words(s, i)))
    problems.sort(key=lambda p: (p.time, p.hand))
    total = sum(len(s.time) for s in strokes.values())
    chords = np.concatenate([s.span[s.count > 1] for s in strokes.values()])
    length = float(notes.onset.max() - notes.onset.min()) if len(notes) > 1 else 0.0
    return Playability(
        span={NAMES[hand]: int(s.span.max()) for hand, s in strokes.items() if len(s.time)},
        fingers={NAMES[hand]: int(s.count.max()) for hand, s in strokes.items() if len(s.time)},
        wide_chords=float(np.mean(chords > WIDE)) if len(chords) else 0.0,
        repeat_rate=max((float(s.repeat.max()) for s in strokes.values() if len(s.time)), default=0.0),
        leap_rate=max((float(s.leap.max()) for s in strokes.values() if len(s.time)), default=0.0),
        notes_per_second=len(notes) / max(length, 1.0),
        peak_notes_per_second=_peak(notes.onset),
        independence=_independence(strokes[RIGHT].time, strokes[LEFT].time),
        score=1.0 - len(problems) / total if total else 1.0,
        difficulty=_difficulty(strokes),
        problems=tuple(problems),
    )


def _too_much(s: Strokes) -> np.ndarray:
    """(m,) bool."""
    return (s.span > NINTH) | (s.count > FINGERS) | (s.leap > LEAP_LIMIT) | (s.repeat > REPEAT_LIMIT)


def _words(s: Strokes, i: int) -> str:
    """What is too much about stroke `i`."""
    said = []
    if s.span[i] > NINTH:
        said.append(f"a span of {s.span[i]} semitones")
    if s.count[i] > FINGERS:
        said.append(f"{s.count[i]} keys at once")
    if s.leap[i] > LEAP_LIMIT:
        across = max(s.high[i - 1 : i + 1]) - min(s.low[i - 1 : i + 1])
        said.append(f"a leap across {across} semitones in {s.time[i] - s.time[i - 1]:.2f} s")
    if s.repeat[i] > REPEAT_LIMIT:
        said.append(f"a key {s.repeat[i]:.1f} times a second")
    return ", ".join(said)


def _bar_of(time: float, notes: Notes, beats) -> int:
    """Number of the bar in which `time` (seconds) lies; the first downbeat opens bar 1."""
    beats = getattr(beats, "beats", beats)
    if beats is not None:
        return int(np.searchsorted(beats.downbeats, time + 1e-3, side="right"))
    clock = notes.tempo_map
    tick = float(clock.seconds_to_ticks(time)) + clock.ticks_per_quarter * 1e-3
    bar, start, length = 0, 0.0, 4.0 * clock.ticks_per_quarter
    for signature in clock.time_signatures:
        if signature.tick > tick:
            break
        bar += round((signature.tick - start) / length)
        start, length = signature.tick, signature.quarters * clock.ticks_per_quarter
    return bar + int((tick - start) // length) + 1


def _peak(onset: np.ndarray) -> float:
    """Notes per second in the busiest `PEAK` seconds, beginning at a note."""
    if len(onset) == 0:
        return 0.0
    return float(np.max(np.searchsorted(onset, onset + PEAK) - np.arange(len(onset)))) / PEAK


def _independence(right: np.ndarray, left: np.ndarray) -> float:
    """Share of strokes of one hand (seconds) that stand alone; 0 when a hand is silent."""
    if len(right) == 0 or len(left) == 0:
        return 0.0
    alone = 0
    for own, other in ((right, left), (left, right)):
        place = np.searchsorted(other, own)
        near = np.minimum(
            np.abs(own - other[np.minimum(place, len(other) - 1)]), np.abs(own - other[np.maximum(place - 1, 0)])
        )
        alone += int(np.sum(near > 0.05))
    return alone / (len(right) + len(left))


def _difficulty(strokes: dict[int, Strokes]) -> int:
    """The easiest level whose number of keys, span and pace hold for 95 % of the strokes."""
    for number, level in LEVELS.items():
        fits = []
        for hand, s in strokes.items():
            most = level.right_notes if hand == RIGHT else level.left_notes
            pace = np.zeros(len(s.time))
            pace[1:] = 1.0 / np.maximum(np.diff(s.time), 1e-3)
            fits.append((s.count <= most) & (s.span <= level.span) & (pace <= level.pace * 1.05))
        fits = np.concatenate(fits)
        if len(fits) == 0 or fits.mean() >= HOLDS:
            return number
    return max(LEVELS)
