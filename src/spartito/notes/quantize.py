"""Performed times to written times.

Job
    Given beats, put every onset on a simple subdivision of its beat, notes struck together on one slot, and give
    every note a written end.

Method
    Inside each beat the onsets are compared with a handful of grids (one, two, four or eight equal parts; three
    or six). A grid costs the squared distance of the onsets from its slots, plus a price for its fineness, plus
    a price for distinct events that fall on one slot. A Viterbi pass over the beats adds a price for changing
    between division in two and in three, so a triplet needs company or clear evidence. Notes that are much too
    short and close to the following event to have a slot of their own are marked as grace notes.

Source
    The choice of a grid per beat by fit plus complexity follows P. Desain and H. Honing's analysis of
    quantisation ('The quantization of musical time', Computer Music Journal 13(3), 1989) and A. T. Cemgil,
    P. Desain, B. Kappen, 'Rhythm quantization for transcription' (Computer Music Journal 24(2), 2000): a prior
    for simple divisions times a Gaussian for the timing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import NotesError, ParameterError

__all__ = ["TICKS", "QuantizeConfig", "chord_groups", "quantize_onsets"]

TICKS = 24  # score units per quarter note: holds 32nds, triplet sixteenths and everything coarser

CHORD_GAP = 0.035  # seconds between neighbouring onsets of one chord
CHORD_SPREAD = 0.080  # seconds from the first to the last onset of one chord


def chord_groups(onsets: np.ndarray, *, gap: float = CHORD_GAP, spread: float = CHORD_SPREAD) -> np.ndarray:
    """(n,) number of the chord that each of the sorted `onsets` ((n,) seconds) belongs to."""
    onsets = np.asarray(onsets, dtype=np.float64)
    group = np.zeros(len(onsets), dtype=np.int64)
    number, first = 0, onsets[0] if len(onsets) else 0.0
    for i in range(1, len(onsets)):
        if onsets[i] - onsets[i - 1] > gap or onsets[i] - first > spread:
            number, first = number + 1, onsets[i]
        group[i] = number
    return group


@dataclass(frozen=True)
class QuantizeConfig:
    """Prices in nats; set on performances outside the benchmark."""

    deviation: float = 0.030  # seconds, of an onset from its slot
    relative: float = 0.045  # of a beat, added to it
    collision: float = 2.0  # for each event that shares its slot with another
    # price of each division of a beat: plain beats are mostly 1, 2 and 4; compound (dotted) beats 1, 3 and 6
    simple: tuple[tuple[int, float], ...] = ((1, 0.0), (2, 0.3), (3, 2.5), (4, 1.0), (6, 4.5), (8, 4.5))
    compound: tuple[tuple[int, float], ...] = ((1, 0.0), (3, 0.3), (6, 1.2), (2, 3.0), (4, 4.0), (12, 5.5))
    syncopation: float = 2.0  # for quarters of a beat without its half: rarer than the triplet they resemble
    change: float = 0.6  # for a change between division in two and in three from one beat to the next


DEFAULT_QUANTIZER = QuantizeConfig()


def quantize_onsets(
    seconds: np.ndarray,
    position: np.ndarray,
    *,
    beat: float = 1.0,
    pace: np.ndarray | float = 0.5,
    config: QuantizeConfig = DEFAULT_QUANTIZER,
) -> np.ndarray:
    """Written onset of each event.

    Parameters
    ----------
    seconds : np.ndarray, shape=(n,), rising
        Performed times of the events (chords), used for nothing but their order.
    position : np.ndarray, shape=(n,), quarter notes
        The same times on the beat grid, unrounded.
    beat : float
        Quarter notes per beat (1.5 in 6/8).
    pace : float or np.ndarray, shape=(n,)
        Seconds per beat around each event.

    Returns
    -------
    np.ndarray, shape=(n,), int64
        In units of 1/`TICKS` quarter note.
    """
    position = np.asarray(position, dtype=np.float64)
    if len(position) != len(seconds):
        raise ParameterError("as many times as positions are needed")
    if not np.isfinite(position).all():
        raise NotesError("note positions must be finite numbers of quarter notes")
    if len(position) == 0:
        return np.zeros(0, dtype=np.int64)
    in_beats = position / beat
    pace = np.broadcast_to(np.asarray(pace, dtype=np.float64), position.shape)
    deviation = np.hypot(config.deviation / np.maximum(pace, 0.05), config.relative)  # (n,) beats
    # an onset a little before a beat belongs to it: the last half of the finest slot goes to the next beat
    number = np.floor(in_beats + 1e-9).astype(np.int64)
    part = in_beats - number
    early = part > 1 - 1 / 16
    number, part = number + early, part - early
    compound = beat > 1.25 or abs(beat - 0.75) < 0.01
    divisions = config.compound if compound else config.simple
    beats, _start, count = np.unique(number, return_index=True, return_counts=True)
    index = np.repeat(np.arange(len(beats)), count)  # (n,) row of each event
    slots, costs = [], []
    for division, price in divisions:
        slot = np.round(part * division)
        cost = np.bincount(index, weights=((part - slot / division) / deviation) ** 2 / 2, minlength=len(beats))
        together = np.zeros(len(part), dtype=bool)
        together[1:] = (index[1:] == index[:-1]) & (slot[1:] == slot[:-1])
        cost += config.collision * np.bincount(index, weights=together, minlength=len(beats)) + price
        if division == 4:
            used = np.zeros((len(beats), 5), dtype=bool)
            used[index, slot.astype(int)] = True
            cost += config.syncopation * (used[:, 1] & used[:, 3] & ~used[:, 2])
        slots.append(slot)
        costs.append(cost)
    costs = np.array(costs)  # (divisions, beats)
    chosen = _coherent(costs, np.array([d % 3 == 0 for d, _ in divisions]), config.change, beats)
    slot = np.array(slots)[chosen[index], np.arange(len(part))]
    division = np.array([d for d, _ in divisions])[chosen[index]]
    written = (number + slot / division) * beat
    return np.maximum.accumulate(np.round(written * TICKS).astype(np.int64))


def _coherent(costs: np.ndarray, ternary: np.ndarray, change: float, beats: np.ndarray) -> np.ndarray:
    """(beats,) row of `costs` (divisions, beats) on the cheapest path; undivided beats (row 0) are neutral."""
    n, m = costs.shape
    neutral = np.arange(n) == 0
    turn = np.where((ternary[:, None] != ternary[None, :]) & ~neutral[:, None] & ~neutral[None, :], change, 0.0)
    best = costs[:, 0]
    back = np.zeros((m, n), dtype=np.int8)
    for i in range(1, m):
        step = best[:, None] + (turn if beats[i] - beats[i - 1] == 1 else 0.0)
        back[i] = step.argmin(axis=0)
        best = step.min(axis=0) + costs[:, i]
    path = np.zeros(m, dtype=np.int64)
    path[-1] = best.argmin()
    for i in range(m - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path
