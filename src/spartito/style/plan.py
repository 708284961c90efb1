"""What is common to engines that keep a tune and write another accompaniment: which bars, and what can be played.

Job
    `planned` says which bars are written anew at a strength, `tidied` and `until_foreign` make what was written
    playable among the notes that stay.

Strength
    The piece is cut into answers of two bars (of one in short pieces). The strength is the share of them that is
    written anew: first every second one, so that the source and the target take turns, then the others. What is
    rewritten at some strength is rewritten at every greater one. Bars in which the source is silent stay silent.

Source: answers of two bars are what improvisers trade. The order in which they are taken is the sequence of J. van der
Corput (1935), in which neighbours lie far apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spartito.analysis.note_chords import ChordTrack
from spartito.notes.phrases import LEFT_HAND, RIGHT_HAND, STEPS_PER_BEAT
from spartito.style.engines import StylePiece

__all__ = [
    "Plan",
    "chords_changed",
    "chords_written",
    "planned",
    "rewritten_bars",
    "ringing",
    "tidied",
    "until_foreign",
]

LONG = 8  # bars from which an answer is two of them
LONGEST_SPAN = 32  # steps that the writer writes at once
SHORTEST_BAR = 4  # steps of a bar that is worth writing
REACH = 16  # semitones between the outer keys of one hand at one stroke: a tenth
FINGERS = 5
BASS, RING = 48, 4  # MIDI number below which a note is bass; steps it rings: a beat
QUICK, LEAP = 2, 19  # steps (an eighth) in which the left hand does not get over more semitones than that


@dataclass(frozen=True, eq=False)
class Plan:
    """A piece cut up for the writer.

    Attributes
    ----------
    bars : np.ndarray, shape=(steps,), int
        Number of the bar of each step; a pick-up is the first.
    anew : np.ndarray, shape=(bars,), bool
        Bars that are written.
    spans : np.ndarray, shape=(m, 2), int
        Stretches of such bars, first step and step behind the last.
    """

    bars: np.ndarray
    anew: np.ndarray
    spans: np.ndarray


# -- what is written anew -----------------------------------------------------------------------------------


def planned(piece: StylePiece, strength: float) -> Plan:
    """Which bars of a piece are written at a strength; those in which the source is silent never are."""
    opens = np.asarray(piece.positions) == 0
    opens[0] = True
    bars = np.repeat(np.cumsum(opens) - 1, STEPS_PER_BEAT)[: piece.steps]
    count = int(bars[-1]) + 1
    sounding = np.bincount(bars[np.minimum(piece.notes[:, 0], piece.steps - 1)], minlength=count) > 0
    length = np.bincount(bars, minlength=count)
    anew = rewritten_bars(count, strength, pick_up=bool(piece.positions[0] != 0)) & sounding & (length >= SHORTEST_BAR)
    edges = np.concatenate([[0], np.cumsum(length)])
    spans: list[tuple[int, int]] = []
    for bar in np.flatnonzero(anew).tolist():
        first, last = int(edges[bar]), int(edges[bar + 1])
        if spans and spans[-1][1] == first and last - spans[-1][0] <= LONGEST_SPAN:
            spans[-1] = (spans[-1][0], last)
            continue
        parts = np.array_split(np.arange(first, last), -(-(last - first) // LONGEST_SPAN))
        spans += [(int(part[0]), int(part[-1]) + 1) for part in parts]
    return Plan(bars, anew, np.array(spans, dtype=np.int64).reshape(-1, 2))


def rewritten_bars(count: int, strength: float, *, pick_up: bool = False) -> np.ndarray:
    """(count,) bool: the bars that are written anew at a strength, in answers of two bars; more as it grows.

    A pick-up belongs to the first answer. Answers with odd numbers go first, among those the ones far from each other.
    """
    bar = np.maximum(np.arange(count) - pick_up, 0)
    answer = bar // (2 if count >= LONG else 1)
    answers = int(answer[-1]) + 1
    turns = np.arange(answers)
    spread = np.array([_reversed_bits(i // 2) for i in turns])
    order = np.lexsort((spread, turns % 2 == 0))
    rank = np.empty(answers, dtype=np.int64)
    rank[order] = turns
    many = int(np.ceil(strength * answers - 1e-9))
    return rank[answer] < many


def _reversed_bits(number: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8 ...: the sequence of van der Corput, in which neighbours are far apart."""
    value, half = 0.0, 0.5
    while number:
        value += half * (number & 1)
        number, half = number >> 1, half / 2
    return value


def chords_changed(new: ChordTrack, old: ChordTrack) -> float:
    """Share of the beats whose chord is another one."""
    if len(old) == 0:
        return 0.0
    return float(((new.root != old.root) | (new.quality != old.quality)).mean())


def chords_written(plan: Plan, new: ChordTrack, old: ChordTrack) -> ChordTrack:
    """The chord of each beat of the result: a new one where its bar is written anew, else that of the source."""
    beat = np.minimum(STEPS_PER_BEAT * np.arange(len(new)), len(plan.bars) - 1)
    anew = plan.anew[plan.bars[beat]]
    columns = ("root", "quality", "bass", "keys", "again")
    mixed = {name: np.where(anew, getattr(new, name), getattr(old, name)) for name in columns}
    return replace(new, added=np.where(anew[:, None], new.added, old.added), **mixed)


# -- what was written ---------------------------------------------------------------------------------------


def tidied(written: np.ndarray, tune: np.ndarray, kept: np.ndarray, steps: int) -> np.ndarray:
    """What can be played of notes (k, 5): no key struck while it is held, no hand too wide, nothing beyond `steps`.

    What lies too far below the tune for the hand that plays it goes to the left hand.
    """
    written = written[written[:, 0] < steps]
    written = _in_reach(_handed(written[np.lexsort((written[:, 2], written[:, 0]))], tune, steps))
    written = _without_leaps(written)
    written = written.copy()
    written[:, 1] = np.minimum(written[:, 1], steps - written[:, 0])
    others = np.concatenate([tune, kept])
    held = _held(others, written)
    written = written[~held]
    everything = np.concatenate([written, others])
    order = np.lexsort((everything[:, 0], everything[:, 2]))
    start, pitch = everything[order, 0], everything[order, 2]
    until = np.full(len(order), np.iinfo(np.int64).max)
    same = np.flatnonzero(np.diff(pitch) == 0)
    until[same] = start[same + 1]
    following = np.empty(len(order), dtype=np.int64)
    following[order] = until
    written[:, 1] = np.minimum(written[:, 1], np.maximum(following[: len(written)] - written[:, 0], 1))
    return written


def ringing(written: np.ndarray) -> np.ndarray:
    """Notes (k, 5) in which low ones of the left hand last until its next stroke, or `RING` steps.

    Players let them ring in the pedal, of which the notes that engines learn from tell nothing.
    """
    found = written.copy()
    rows = np.flatnonzero(written[:, 4] == LEFT_HAND)
    step = np.unique(written[rows, 0])
    following = np.append(step[1:], step[-1:] + RING)[np.searchsorted(step, written[rows, 0])]
    low = written[rows, 2] < BASS
    length = np.minimum(following - written[rows, 0], RING)
    found[rows[low], 1] = np.maximum(written[rows, 1], length)[low]
    return found


def until_foreign(written: np.ndarray, chords: ChordTrack) -> np.ndarray:
    """Notes (k, 5) that end, at the latest, where a chord begins to which they do not belong."""
    beats = len(chords)
    if beats == 0 or len(written) == 0:
        return written
    begins = np.zeros(beats, dtype=bool)
    begins[chords.starts] = True
    foreign = ~chords.tones() & (begins & (chords.root >= 0))[:, None]  # (beats, 12)
    beat = np.where(foreign, np.arange(beats)[:, None], beats)
    following = np.full((beats + 1, 12), beats)
    following[:-1] = np.minimum.accumulate(beat[::-1], axis=0)[::-1]  # the first such beat from each beat on
    at = np.minimum(written[:, 0] // STEPS_PER_BEAT + 1, beats)
    until = following[at, written[:, 2] % 12]
    found = written.copy()
    length = np.where(until < beats, STEPS_PER_BEAT * until - written[:, 0], written[:, 1])
    found[:, 1] = np.minimum(written[:, 1], length)
    return found


def _held(others: np.ndarray, written: np.ndarray) -> np.ndarray:
    """(k,) bool: the key of a written note is down already, in one of the `others`."""
    if len(others) == 0 or len(written) == 0:
        return np.zeros(len(written), dtype=bool)
    far = 1 << 32
    order = np.lexsort((others[:, 0], others[:, 2]))
    place = others[order, 2] * far + others[order, 0]
    end = np.maximum.accumulate(others[order, 2] * far + others[order, 0] + others[order, 1])
    at = written[:, 2] * far + written[:, 0]
    before = np.searchsorted(place, at, side="right") - 1
    return (before >= 0) & (end[np.maximum(before, 0)] > at)


def _handed(notes: np.ndarray, tune: np.ndarray, steps: int) -> np.ndarray:
    """The notes; those of the right hand that lie more than a tenth below the tune they sound with are the left's."""
    length = np.maximum(np.minimum(tune[:, 0] + tune[:, 1], steps) - tune[:, 0], 0)
    row = np.repeat(np.arange(len(tune)), length)
    line = np.full(steps, -1)
    np.maximum.at(
        line, tune[row, 0] + np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length), tune[row, 2]
    )
    found = notes.copy()
    found[line[notes[:, 0]] - notes[:, 2] > REACH, 4] = LEFT_HAND
    return found


def _without_leaps(notes: np.ndarray) -> np.ndarray:
    """The notes (sorted by step and pitch) without strokes of the left hand that are too far from the one just before.

    Of two strokes within `QUICK` steps whose lowest keys are more than `LEAP` apart, that on the weaker step goes.
    """
    rows = np.flatnonzero(notes[:, 4] == LEFT_HAND)
    step, first = np.unique(notes[rows, 0], return_index=True)
    low = notes[rows[first], 2]
    leaps = (np.diff(step) <= QUICK) & (np.abs(np.diff(low)) > LEAP)
    strong = step & -step | np.where(step == 0, 1 << 30, 0)  # the greatest power of two that divides the step
    weaker = np.where(strong[:-1] < strong[1:], np.arange(len(leaps)), np.arange(len(leaps)) + 1)[leaps]
    return notes[~((notes[:, 4] == LEFT_HAND) & np.isin(notes[:, 0], step[weaker]))]


def _in_reach(notes: np.ndarray) -> np.ndarray:
    """The notes (sorted by step and pitch) without those that no hand could reach with the others of its stroke.

    The left hand keeps its lowest, the right hand its highest keys, five at most.
    """
    keep = np.ones(len(notes), dtype=bool)
    for hand, sign in ((LEFT_HAND, 1), (RIGHT_HAND, -1)):
        rows = np.flatnonzero(notes[:, 4] == hand)
        if len(rows) == 0:
            continue
        order = rows[np.lexsort((sign * notes[rows, 2], notes[rows, 0]))]  # from the key that is kept outwards
        first = np.diff(notes[order, 0], prepend=-1) != 0
        at = np.flatnonzero(first)[np.cumsum(first) - 1]
        wide = np.abs(notes[order, 2] - notes[order[at], 2]) > REACH
        many = np.arange(len(order)) - at >= FINGERS
        keep[order[wide | many]] = False
    return notes[keep]
