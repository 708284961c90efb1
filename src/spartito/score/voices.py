"""Voices of one staff and the written lengths of their notes.

Job
    A hand plays chords and lines; a staff shows them as one voice, or as two where one line is held while the
    other moves. Each voice gets chords that follow one another without overlap, with lengths a reader expects.

Method
    Dynamic programming over the chords of a staff: the lower notes of each chord go to the lower voice, the rest
    to the upper. A second voice costs; so does cutting a long note short, joining notes of very different
    lengths in one chord, and leaps inside a voice. Written lengths come from the keys (never from the pedal):
    a note lasts to the next chord of its voice unless it is clearly shorter, and then takes a simple value.

Source
    Voice separation as a shortest path over chords with costs for leaps, rests and crossings: J. Kilian and
    H. Hoos, 'Voice separation: a local optimisation approach' (ISMIR 2002). The rule for lengths is our own,
    measured against written scores.
"""

from __future__ import annotations

import numpy as np

from spartito.notes.quantize import TICKS

__all__ = ["separate_voices", "written_ends"]

SECOND_VOICE = 0.96  # price of opening a second voice
SECOND_GOES_ON = 0.25  # price of each further chord in it
CUT = 3.5  # price of cutting a quarter note from a held note
CUT_FREE = 0.24  # share of a held note that may be cut freely: fingers overlap in legato
LEAP = 0.02  # price per semitone between chords of one voice
UNEQUAL = 0.7  # price per octave (factor two) between the lengths joined in one chord


def separate_voices(onset: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """(n,) 0 (upper) or 1 (lower) for the notes of one staff.

    `onset` and `end` are ticks (sorted by onset), `end` where the key is released; `pitch` MIDI numbers.
    """
    n = len(onset)
    voice = np.zeros(n, dtype=np.int64)
    if n == 0:
        return voice
    starts = np.flatnonzero(np.concatenate([[True], np.diff(onset) != 0]))
    stops = np.append(starts[1:], n)
    # state per voice: (onset of its last chord, its end, its pitch)
    idle = (-(10**6), -(10**6), None)
    paths = [(0.0, (idle, idle))]
    back, choices = [], []
    for start, stop in zip(starts, stops):
        order = start + np.argsort(pitch[start:stop], kind="stable")
        keys = [float(p) for p in pitch[order]]
        ends = [float(e) for e in end[order]]
        at = float(onset[start])
        cuts = range(len(keys) + 1) if len(keys) <= 8 else (0, len(keys))
        new_paths, new_back = [], []
        for cut in cuts:
            own = _unequal(ends[:cut], at) + _unequal(ends[cut:], at)
            best, best_from = np.inf, 0
            for i, (cost, (upper, lower)) in enumerate(paths):
                total = cost + own
                if cut < len(keys):
                    total += _step(upper, at, keys[-1])
                    if upper[2] is None or at - upper[1] > 4 * TICKS:
                        total += 0.1
                if cut:
                    total += _step(lower, at, keys[0])
                    total += SECOND_GOES_ON if at <= lower[1] + TICKS / 2 else SECOND_VOICE
                if cut == len(keys) and upper[1] <= at:  # nothing sounds above: the upper voice would rest
                    total += 0.5
                # a chord above the held lower voice, or below the held upper one, crosses it
                if cut < len(keys) and lower[1] > at and lower[2] is not None and keys[cut] < lower[2]:
                    total += 1.0
                if cut and upper[1] > at and upper[2] is not None and keys[cut - 1] > upper[2]:
                    total += 1.0
                if total < best:
                    best, best_from = total, i
            upper, lower = paths[best_from][1]
            if cut < len(keys):
                upper = (at, float(np.median(ends[cut:])), keys[-1])
            if cut:
                lower = (at, float(np.median(ends[:cut])), keys[0])
            new_paths.append((best, (upper, lower)))
            new_back.append(best_from)
        paths = new_paths
        back.append(new_back)
        choices.append((order, list(cuts)))
    k = int(np.argmin([cost for cost, _ in paths]))
    for (order, cuts), previous in zip(reversed(choices), reversed(back)):
        voice[order[: cuts[k]]] = 1
        k = previous[k]
    return voice


def _unequal(ends: list[float], at: float) -> float:
    if len(ends) < 2:
        return 0.0
    longest, shortest = max(ends) - at, min(ends) - at
    return UNEQUAL * max(0.0, np.log2(max(longest, 3.0) / max(shortest, 3.0)) - 0.6)


def _step(state, at: float, key: float) -> float:
    """Price of going on in a voice at tick `at`: what is cut from its last chord, and the leap."""
    began, until, last = state
    if last is None:
        return 0.0
    cost = LEAP * abs(key - last) if at - until < 2 * TICKS else 0.0
    held = until - began
    lost = until - at
    if lost > CUT_FREE * held:
        cost += CUT * min((lost - CUT_FREE * held) / TICKS, 3.0)
    return cost


FULL = 0.42  # share of the time to the next chord a key must be held for the note to be written that long
FULL_SHORT = 0.1  # the same when that time is one beat or less: a detached eighth stays an eighth


OVER_BAR = 0.3  # beats after a bar line until which a release still belongs to the bar


def written_ends(
    onset: np.ndarray, end: np.ndarray, voice_next: np.ndarray, *, beat: int, bar_end: np.ndarray
) -> np.ndarray:
    """Written end (ticks) of each chord of one voice.

    `onset`, `end` (chords,): ticks where struck and where the keys are released; `voice_next` (chords,) tick of
    the next chord of the voice; `beat` ticks per beat; `bar_end` (chords,) tick of the next bar line.
    """
    gap = voice_next - onset
    held = np.clip(end - onset, 1, None)
    share = held / np.maximum(gap, 1)
    full = (share >= FULL) | ((gap <= beat) & (share >= FULL_SHORT)) | (gap <= beat // 2)
    simple = _simple_end(onset, onset + held, beat=beat)
    left = voice_next - simple
    full |= left < beat // 2  # no crumbs of rest
    # what is let go by the bar line is not tied over it, if that leaves more than a crumb of rest
    within = (end <= bar_end + OVER_BAR * beat) & (voice_next - bar_end >= beat // 2)
    filled = np.where(within, np.minimum(bar_end, voice_next), voice_next)
    return np.where(full, filled, np.minimum(simple, voice_next))


def _simple_end(onset: np.ndarray, end: np.ndarray, *, beat: int) -> np.ndarray:
    """The release moved to the next half beat (short notes) or beat (long ones) after the onset."""
    half = beat // 2 if beat % 2 == 0 and beat != 36 else beat // 3
    next_half = np.ceil((end - 0.3 * half) / half) * half
    next_beat = np.ceil((end - 0.4 * beat) / beat) * beat
    chosen = np.where(end - onset > beat * 0.9, next_beat, next_half)
    chosen = np.maximum(chosen, (np.floor(onset / half) + 1) * half)
    return chosen.astype(np.int64)
