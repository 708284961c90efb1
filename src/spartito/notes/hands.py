"""Which hand plays which note.

Job
    Give every note of a piano piece to the left or the right hand, so that each hand can reach its notes.

Method
    Notes struck together are divided by a point in their pitch order: what lies below goes to the left hand, the
    rest to the right. Dynamic programming over the chords of the piece chooses the points: a hand must not
    stretch beyond a tenth, must not jump far in a short time, holds at most five notes, must stay on its side of
    the other hand and near its half of the keyboard. Where the file names its hands (two tracks called right
    hand and left hand), they are kept.

Source
    The cost terms are those of piano fingering models (R. Parncutt et al., 'An ergonomic model of keyboard
    fingering for melodic fragments', Music Perception 14(4), 1997) reduced to whole hands; the optimal split by
    dynamic programming follows E. Nakamura, N. Ono, S. Sagayama, 'Merged-output HMM for piano fingering of both
    hands' (ISMIR 2014).
"""

from __future__ import annotations

import re

import numpy as np

from spartito.notes.notes import Notes

__all__ = ["LEFT", "RIGHT", "named_hands", "split_hands"]

RIGHT, LEFT = 0, 1

COMFORT = 10  # semitones a hand spans with ease: a seventh
REACH = 16  # semitones a hand spans at most: a tenth
CENTRE = (67.0, 51.0)  # MIDI numbers around which the right and the left hand play when nothing else is known
FINGERS = 5
# prices, found by search on the hands of ASAP scores (validation split)
STRAY = 0.0007  # per squared semitone a hand leaves its half of the keyboard
STRAY_FROM = 3.3  # semitones from its centre towards the other hand where that begins
STRETCH = 0.25  # per semitone beyond that in one chord
HELD_STRETCH = 0.19  # the same while notes are held
MOVE = 0.018  # per semitone between chords of one hand, less after a rest
JUMP = 0.0225  # per semitone beyond a fifth and per second it has
CROSS = 0.46  # per semitone across the other hand
RECENT = 1.5  # seconds for which a hand is thought to stay where it was
BLEND = 0.2  # share of the old place in the new place of a running hand
OPTIONS = 14  # split points tried per chord; a longer chord is no one's to play and is thinned around the middle

_NAMES = (
    (RIGHT, re.compile(r"\b(right( hand)?|rh|r\.h\.|piano right|upper|treble)\b", re.IGNORECASE)),
    (LEFT, re.compile(r"\b(left( hand)?|lh|l\.h\.|piano left|lower|bass clef)\b", re.IGNORECASE)),
)


def named_hands(notes: Notes) -> np.ndarray | None:
    """(n,) `RIGHT` or `LEFT` of each note when every track with notes carries the name of a hand, else None."""
    hand_of = np.full(len(notes.tracks), -1)
    for i, track in enumerate(notes.tracks):
        for hand, pattern in _NAMES:
            if pattern.search(track.name):
                hand_of[i] = hand
    hands = hand_of[notes.array["track"]]
    if len(hands) == 0 or (hands < 0).any():
        return None
    return hands


def split_hands(onset: np.ndarray, offset: np.ndarray, pitch: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Hand of each note.

    Parameters
    ----------
    onset, offset : np.ndarray, shape=(n,)
        In any unit, sorted by onset; notes with equal onset are struck together.
    pitch : np.ndarray, shape=(n,), MIDI numbers
    time : np.ndarray, shape=(n,), seconds
        Performed onsets, to judge how fast a hand would have to move.

    Returns
    -------
    np.ndarray, shape=(n,), int
        `RIGHT` or `LEFT`.
    """
    n = len(onset)
    hands = np.zeros(n, dtype=np.int64)
    if n == 0:
        return hands
    starts = np.flatnonzero(np.concatenate([[True], np.diff(onset) != 0]))
    stops = np.append(starts[1:], n)
    # state of a path: for each hand (centre, time of the last note, lowest held, highest held, held until)
    fresh = ((CENTRE[RIGHT], -9.0, 0.0, 0.0, -1.0), (CENTRE[LEFT], -9.0, 0.0, 0.0, -1.0))
    paths = [(0.0, fresh)]
    back, choices = [], []
    for start, stop in zip(starts, stops):
        order = start + np.argsort(pitch[start:stop], kind="stable")
        keys = [float(p) for p in pitch[order]]
        now, at = float(time[start:stop].min()), float(onset[start])
        ends = [float(e) for e in offset[order]]
        cuts = _cuts(keys)
        new_paths, new_back = [], []
        for cut in cuts:
            lower, upper = keys[:cut], keys[cut:]
            own = _shape_cost(lower, LEFT) + _shape_cost(upper, RIGHT)
            best, best_from, best_state = np.inf, 0, None
            for i, (cost, (right, left)) in enumerate(paths):
                total = cost + own + _move_cost(upper, now, at, right) + _move_cost(lower, now, at, left)
                total += _crossing_cost(lower, upper, now, at, right, left)
                if total < best:
                    best, best_from, best_state = total, i, (right, left)
            right, left = best_state
            state = (_moved(upper, ends[cut:], now, at, right), _moved(lower, ends[:cut], now, at, left))
            new_paths.append((best, state))
            new_back.append(best_from)
        paths = new_paths
        back.append(new_back)
        choices.append((order, cuts))
    k = int(np.argmin([cost for cost, _ in paths]))
    for (order, cuts), previous in zip(reversed(choices), reversed(back)):
        hands[order[: cuts[k]]] = LEFT
        k = previous[k]
    return hands


def _cuts(keys: list[float]) -> list[int]:
    """Numbers of notes the left hand may take of a chord with these rising pitches."""
    if len(keys) < OPTIONS:
        return list(range(len(keys) + 1))
    middle = int(np.searchsorted(keys, 60.0))
    first = min(max(0, middle - OPTIONS // 2), len(keys) + 1 - OPTIONS)
    return list(range(first, first + OPTIONS))


def _shape_cost(keys: list[float], hand: int) -> float:
    """Price of one hand striking these pitches at once."""
    if not keys:
        return 0.0
    span = keys[-1] - keys[0]
    cost = 0.0
    if span > COMFORT:
        cost += STRETCH * (span - COMFORT)
    if span > REACH:
        cost += 4.0 + 1.5 * (span - REACH)
    if len(keys) > FINGERS:
        cost += 2.0 * (len(keys) - FINGERS)
    mean = (keys[0] + keys[-1]) / 2
    away = mean - CENTRE[hand]
    away = -away if hand == RIGHT else away  # positive when the hand strays towards the other
    return cost + STRAY * max(0.0, away + STRAY_FROM) ** 2


def _move_cost(keys: list[float], now: float, at: float, state) -> float:
    """Price of getting there from where the hand was, and of what it still holds."""
    if not keys:
        return 0.0
    centre, last, low, high, until = state
    if until > at:  # it still holds notes: all must fit under one hand
        span = max(high, keys[-1]) - min(low, keys[0])
        stretch = HELD_STRETCH * max(0.0, span - COMFORT) + 2.0 * max(0.0, span - REACH)
    else:
        stretch = 0.0
    distance = abs((keys[0] + keys[-1]) / 2 - centre)
    rest = max(now - last, 0.05)
    return min(stretch, 12.0) + MOVE * distance / (1.0 + rest) + JUMP * max(0.0, distance - 7) / (0.1 + rest)


def _crossing_cost(lower, upper, now: float, at: float, right, left) -> float:
    """Price of a hand reaching across what the other has just played or holds."""
    cost = 0.0
    if lower:
        if right[4] > at:  # the right hand still holds notes
            cost += CROSS * max(0.0, lower[-1] - right[2])
        elif not upper and now - right[1] < RECENT:
            cost += CROSS * max(0.0, lower[-1] - (right[0] - 4))
    if upper:
        if left[4] > at:
            cost += CROSS * max(0.0, left[3] - upper[0])
        elif not lower and now - left[1] < RECENT:
            cost += CROSS * max(0.0, (left[0] + 4) - upper[0])
    return min(cost, 12.0)


def _moved(keys: list[float], ends: list[float], now: float, at: float, state):
    """State of a hand after striking these keys."""
    if not keys:
        return state
    centre, last, low, high, until = state
    middle = (keys[0] + keys[-1]) / 2
    blend = BLEND if now - last < 1.0 else 0.0  # a running hand's place is that of its last few notes
    centre = blend * centre + (1 - blend) * middle
    if until > at:
        return (centre, now, min(low, keys[0]), max(high, keys[-1]), max(until, *ends))
    return (centre, now, keys[0], keys[-1], max(ends))
