"""An arrangement made easier: fewer notes, smaller hands, calmer rhythm, another key.

Job
    `simplify` brings a piano arrangement to one of five levels of difficulty, or to a share of its notes, and always
    within the reach of a hand. `easy_key` says how far a song is from the key with the fewest accidentals, and
    `transpose_notes` goes there.

Method
    1. Two hands. Every note gets a role: *melody* is what sounds on top of the right hand (or what the analysis heard
       as the melody), *bass* the lowest note of the left hand in each half bar, *inner* all others.
    2. Rhythm. Each hand has a shortest unit (`playability.LEVELS`). Notes between its multiples go to the one before,
       or, when they are tied over to the next, to that one. So a broken chord becomes a block, and an anticipated chord
       comes on the beat. Of several melody notes on one unit the weightiest stays.
    3. Chords. Notes that are too many go in order of importance: doublings first, then inner notes off the beat,
       fifths before thirds. Inner notes beyond the reach of the hand come nearer by octaves, or go.
    4. Holding. What was cut short by notes that went is held up to the next note of the same hand; a key is released
       when the hand must leave it (the pedal goes on sounding it).
    5. Density. A share of the notes is kept by the same importance, spread evenly over the piece: the bass on strong
       beats goes last, and the melody stays.

Source
    The order of reduction (melody and bass are kept, doublings and off-beat inner notes go first, what is out of reach
    moves by octaves) is the practice of piano reductions as E. Nakamura and K. Yoshii, 'Statistical piano reduction
    controlling performance difficulty' (APSIPA Transactions 7, 2018) and S.-C. Chiu, M.-K. Shan, J.-L. Huang,
    'Automatic system for the arrangement of piano reductions' (IEEE ISM 2009) describe it. The levels are ours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats
from spartito.errors import ParameterError
from spartito.notes.hands import LEFT, RIGHT
from spartito.notes.notes import Notes
from spartito.notes.playability import FINGERS, LEVELS, NINTH, Level
from spartito.notes.roles import MELODY, SLOTS, Grid, Table, make_table
from spartito.notes.tempo import KeySignature
from spartito.notes.two_hands import piano_in_two_hands

__all__ = ["easy_key", "simplify", "transpose_notes"]

LOWEST, HIGHEST = 21, 108  # keys of a piano
TOGETHER = 0.05  # seconds: notes this close are struck together
SHORTEST = 0.03  # seconds a key is held
EASY_LEVEL = 2  # up to this level each hand stays in its own region of the keyboard
LEFT_REGION = 41  # F2: the lowest key of the octave the easy left hand plays in
RIGHT_REGION = (60.0, 79.0)  # C4 to G5: where the middle of an easy melody lies
MUDDY, FIFTH = 52, 7  # MIDI number (E3) under which nothing is put closer to the bass than a fifth, semitones
FREEDOM = 1 / 16  # beats that a note may lie off its unit, as played
LONGEST = 4.0  # beats for which a note is held on for others that went
LEGATO = 1.0  # beats: a shorter hole between notes of one hand is closed
THIRDS = {0.5: 1 / 3, 0.25: 1 / 6}  # units of a beat divided in two, and what they are in one divided in three
KEY_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


# -- keys ---------------------------------------------------------------------------------------------------


def easy_key(key: str) -> int:
    """Semitones (-6..6) from `key` ("Db:maj", "F#:min", as in `Analysis.key`) to the one with the fewest accidentals.

    Of keys with equally few the nearer wins, then the lower. 0 when the key is unknown ("").
    """
    if not key:
        return 0
    root, _, mode = key.partition(":")
    mode = mode.split("(")[0]
    if root[:1] not in KEY_NAMES or root[1:].strip("#b") or mode not in ("", "maj", "min", "major", "minor"):
        raise ParameterError(f"a key is written like 'Db:maj' or 'F#:min', not {key!r}")
    tonic = KEY_NAMES[root[0]] + root.count("#") - root[1:].count("b") + (3 if mode.startswith("min") else 0)
    return min(range(-6, 7), key=lambda move: (abs(_fifths(tonic + move)), abs(move), move))


def _fifths(tonic: int) -> int:
    """Sharps (negative: flats), -5..6, of the major key on pitch class `tonic`."""
    return (7 * tonic + 5) % 12 - 5


def transpose_notes(notes: Notes, semitones: int) -> Notes:
    """All pitched notes and key signatures moved by `semitones`; what leaves the piano comes back by octaves."""
    if semitones == 0:
        return notes
    array = notes.array.copy()
    drums = [i for i, track in enumerate(notes.tracks) if track.is_drum]
    moves = ~np.isin(array["track"], drums)
    array["pitch"][moves] = _onto_keyboard(array["pitch"][moves].astype(np.int64) + int(semitones))
    signatures = tuple(
        KeySignature(s.tick, _fifths(7 * s.fifths + semitones), s.mode) for s in notes.tempo_map.key_signatures
    )
    return replace(notes, array=array, tempo_map=replace(notes.tempo_map, key_signatures=signatures))


def _onto_keyboard(pitch: np.ndarray) -> np.ndarray:
    """MIDI numbers moved by octaves into 21..108."""
    pitch = pitch + 12 * np.maximum(-((pitch - LOWEST) // 12), 0)
    return pitch - 12 * np.maximum(-((HIGHEST - pitch) // 12), 0)


# -- simplifying --------------------------------------------------------------------------------------------


def simplify(
    notes: Notes,
    analysis=None,
    *,
    difficulty: int | None = None,
    density: float | None = None,
    left_density: float | None = None,
    transpose: int = 0,
) -> Notes:
    """An easier arrangement, in two hands.

    Parameters
    ----------
    notes : Notes
        A piano arrangement; drums are left out.
    analysis : Analysis or Beats, optional
        Beats (and the melody that was heard). When missing: the clock of the file if the notes keep to it, else beats
        found in the notes.
    difficulty : int, optional
        1 (a tune over single bass notes) to 5 (all there is, within the reach of a hand).
    density, left_density : float, optional
        Share of all notes, and of those of the left hand, to keep (0..1, the melody at least).
    transpose : int
        Semitones, done first; see `easy_key`.

    Returns
    -------
    Notes
        Tracks "right hand" and "left hand". With nothing asked for, `notes` as given (transposed).
    """
    for name, value in (("density", density), ("left_density", left_density)):
        if value is not None and not 0.0 <= value <= 1.0:
            raise ParameterError(f"{name} is a share between 0 and 1, not {value}")
    if difficulty is not None and difficulty not in LEVELS:
        raise ParameterError(f"difficulty is 1 (easy) to 5 (as it is), not {difficulty}")
    notes = transpose_notes(notes, transpose)
    if (difficulty is None and density is None and left_density is None) or len(notes) == 0:
        return notes
    hands = piano_in_two_hands(notes)
    grid = Grid.of(_beats(notes, analysis))
    melody = getattr(analysis, "melody", None)
    melody = np.zeros((0, 3)) if melody is None else melody + np.array([0.0, 0.0, transpose])
    table = make_table(hands, grid, melody).each_key_once()
    if difficulty is not None:
        table = _at_level(table, grid, LEVELS[difficulty], easy=difficulty <= EASY_LEVEL)
    if left_density is not None:
        table = _thinned(table, left_density, among=table.hand == LEFT)
    if density is not None:
        table = _thinned(table, density, among=np.ones(len(table), dtype=bool))
    table = _released(_within_reach(table, NINTH, FINGERS, FINGERS))
    array = table.array.copy()
    array["pitch"], array["track"] = table.pitch, np.where(table.hand == RIGHT, 0, 1)
    return replace(hands, array=array)


def _beats(notes: Notes, analysis) -> Beats:
    beats = getattr(analysis, "beats", analysis)
    if beats is None:
        beats = beats_from_tempo_map(notes)
        return estimate_beats(notes) if beats is None else beats
    if not isinstance(beats, Beats):
        raise ParameterError("the analysis of an arrangement must hold its beats (analysis.beats)")
    return beats


def _at_level(table: Table, grid: Grid, level: Level, *, easy: bool) -> Table:
    before = table
    seconds = float(np.median(np.diff(grid.beats.times)))
    if level.left_unit > 0:
        table = _calmed(table, grid, level, seconds)
    if easy:
        table = _in_regions(table)
    table = _within_reach(table, level.span, level.right_notes, level.left_notes)
    return _held(table, before, grid) if level.left_unit > 0 else table


def _unit(unit: float, level: Level, seconds: float, three: bool) -> float:
    """The unit in beats, doubled while it passes faster than the pace of the level allows."""
    unit = THIRDS.get(unit, unit) if three else unit
    while unit * seconds < 1 / level.pace and unit < 4:
        unit = 1.0 if unit < 1 < 2 * unit else 2 * unit
    return unit


def _calmed(table: Table, grid: Grid, level: Level, seconds: float) -> Table:
    """Notes on multiples of the unit of their hand (step 2 of the method)."""
    right = _unit(level.right_unit, level, seconds, grid.three)
    left = _unit(level.left_unit, level, seconds, grid.three)
    part, length = grid.in_bar(table.start)
    bar = table.start - part
    own = np.where(table.hand == RIGHT, right, left)
    # units longer than a beat are half bars, or whole bars where a bar has no half
    own = np.where(own > 1.0, np.where((length % 2 == 0) & (length > 2) & (own <= 2.0), length / 2, length), own)
    triplet = np.abs(table.start * 4 - np.round(table.start * 4)) > 1e-6
    own = np.where(triplet & (own == 0.25), 1 / 3, own)
    slot = np.floor(part / own + 1e-6)
    late = part - slot * own > 0.5 * own - 1e-6
    tied = table.stop >= bar + (slot + 1) * own + 0.5 * np.minimum(own, 1.0)
    slot = slot + (late & tied)
    slot = np.where(slot * own >= length - 1e-6, length, slot * own) + bar  # beats
    slot = np.round(slot * SLOTS) / SLOTS
    moved = np.abs(slot - table.start) > 1e-6
    # the note that was there already is weightier than one that came
    weight = table.weight - 0.3 * moved
    keep = np.ones(len(table), dtype=bool)
    # one melody note per slot, and with it only what was struck with it
    order = np.lexsort((-weight, -table.role, slot, table.hand))
    key = np.stack([table.hand[order], np.round(slot[order] * SLOTS)])
    first = np.concatenate([[True], np.any(np.diff(key, axis=1) != 0, axis=0)])
    leader = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    lead = np.empty(len(table), dtype=np.int64)
    lead[order] = leader
    right_hand = table.hand == RIGHT
    keep &= ~right_hand | (table.start == table.start[lead])
    # a passing note that would become a second in a block
    apart = np.mod(table.pitch - table.pitch[lead], 12)
    keep &= right_hand | ~moved | ~np.isin(apart, (1, 2, 10, 11))
    # inner notes of the right hand on their own, coarser, unit only, and below a melody note
    inner = right_hand & (table.role != MELODY)
    since = grid.in_bar(slot)[0]
    unit = THIRDS.get(level.inner_unit, level.inner_unit) if grid.three else level.inner_unit
    fits = np.abs(since / unit - np.round(since / unit)) < 1e-3
    if level.right_notes == 1:
        fits &= table.role[lead] == MELODY
    keep &= ~inner | fits
    out = replace(table, start=slot, weight=weight, array=table.array.copy())
    away = np.abs(slot - grid.place(table.array["onset"])) > FREEDOM
    shifted = away & (slot >= grid.place(np.zeros(1))[0])
    out.array["onset"][shifted] = grid.seconds(slot[shifted])
    out.stop = np.maximum(out.stop, slot + 1 / SLOTS)
    out.array["offset"] = np.maximum(out.array["offset"], grid.seconds(slot + 1 / SLOTS))
    return out.pick(keep).each_key_once()


def _in_regions(table: Table) -> Table:
    """The bass within one octave with its chord over it, the melody around the middle of the treble staff."""
    pitch = table.pitch.copy()
    left = table.hand == LEFT
    bottom = _lowest(table)[left]
    pitch[left] = LEFT_REGION + (bottom - LEFT_REGION) % 12 + (pitch[left] - bottom) % 12
    if (~left).any():
        middle = float(np.median(pitch[~left]))
        low, high = RIGHT_REGION
        pitch[~left] += 12 * int(np.ceil(max(low - middle, 0) / 12)) - 12 * int(np.ceil(max(middle - high, 0) / 12))
        pitch[~left] = np.where(pitch[~left] < LEFT_REGION + 12, pitch[~left] + 12, pitch[~left])
    table = replace(table, pitch=_onto_keyboard(pitch)).each_key_once()
    # where the hands meet, what the left hand plays over its bass gives way
    right = table.hand == RIGHT
    above = table.start[right], table.pitch[right]
    place = np.searchsorted(above[0], table.start - 0.5 / SLOTS)  # the lowest of the right hand comes first
    here = np.minimum(place, max(len(above[0]) - 1, 0))
    meets = (place < len(above[0])) & (np.abs(np.append(above[0], np.inf)[here] - table.start) < 0.5 / SLOTS)
    crossed = meets & ~right & (table.pitch >= np.append(above[1], 999)[here]) & (table.pitch > _lowest(table))
    return table.pick(~crossed)


def _lowest(table: Table) -> np.ndarray:
    """(n,) MIDI number of the lowest note of the stroke each note belongs to."""
    stroke = _strokes(table)
    low = np.full(int(stroke.max(initial=0)) + 1, 999)
    np.minimum.at(low, stroke, table.pitch)
    return low[stroke]


def _strokes(table: Table) -> np.ndarray:
    """(n,) number of the stroke (hand and place) of each note."""
    key = np.round(table.start * SLOTS).astype(np.int64) * 2 + table.hand
    return np.unique(key, return_inverse=True)[1]


def _within_reach(table: Table, span: int, right_notes: int, left_notes: int) -> Table:
    """At most so many keys per hand, all within `span` of the top (right) or the bottom (left) of the hand."""
    if len(table) == 0:
        return table
    stroke = _strokes(table)
    count = int(stroke.max()) + 1
    right = table.hand == RIGHT
    # the note the hand hangs on: the melody, else the highest; the lowest in the left hand
    top = np.full(count, -1)
    sung = right & (table.role == MELODY)
    np.maximum.at(top, stroke[sung], table.pitch[sung])
    highest = np.full(count, -1)
    np.maximum.at(highest, stroke, table.pitch)
    top = np.where(top < 0, highest, top)[stroke]
    low = _lowest(table)
    pitch = table.pitch.copy()
    pitch = np.where(right & (pitch < top - span), pitch + 12 * -((pitch - top + span) // 12), pitch)
    pitch = np.where(right & (pitch > top), pitch - 12 * -((top - pitch) // 12), pitch)
    pitch = np.where(~right & (pitch > low + span), pitch - 12 * -((low + span - pitch) // 12), pitch)
    fits = np.where(right, (pitch >= top - span) & (pitch <= top), (pitch >= low) & (pitch <= low + span))
    moved = pitch != table.pitch
    table = replace(table, pitch=pitch, weight=table.weight - 0.2 * moved)
    anchor = np.where(right, table.pitch == top, table.pitch == low)
    fits &= ~moved | ~anchor  # an octave of the outer note that fell on it
    fits &= ~moved | right | (pitch >= MUDDY) | (pitch - low >= FIFTH)  # a third down there is mud
    table = table.pick(fits).each_key_once()
    # the weightiest of each stroke, the outer note always
    stroke = _strokes(table)
    order = np.lexsort((-table.weight, stroke))
    rank = np.empty(len(table), dtype=np.int64)
    first = np.flatnonzero(np.diff(stroke[order], prepend=-1))
    rank[order] = np.arange(len(table)) - np.repeat(first, np.diff(np.append(first, len(table))))
    return table.pick(rank < np.where(table.hand == RIGHT, right_notes, left_notes))


def _held(table: Table, before: Table, grid: Grid) -> Table:
    """Each note up to the next stroke of its hand, where the hand went on playing before (step 4 of the method)."""
    stop = table.stop.copy()
    for hand in (RIGHT, LEFT):
        own = table.hand == hand
        old = np.flatnonzero(before.hand == hand)
        if not own.any() or len(old) == 0:
            continue
        reach = np.maximum.accumulate(before.stop[old])  # beats up to which the hand has sounded so far
        sung = own & (table.role == MELODY)
        for rows, strokes in ((sung, table.start[sung]), (own & ~sung, table.start[own])):
            rows = np.flatnonzero(rows)
            # the melody lasts to its own next note, what accompanies it to the next stroke of the hand
            following = np.append(strokes, np.inf)[np.searchsorted(strokes, table.start[rows] + 0.5 / SLOTS)]
            last = np.searchsorted(before.start[old], following - 0.5 / SLOTS) - 1
            sounded = np.minimum(np.where(last >= 0, reach[np.maximum(last, 0)], 0.0), table.start[rows] + LONGEST)
            wanted = np.maximum(stop[rows], sounded)
            hole = following - wanted
            wanted = np.where((hole > 0) & (hole < LEGATO), following, wanted)
            stop[rows] = np.maximum(np.minimum(wanted, following), table.start[rows] + 1 / SLOTS)
    array = table.array.copy()
    changed = np.abs(stop - table.stop) > 1e-6
    array["offset"][changed] = grid.seconds(stop[changed])
    array["offset"] = np.maximum(array["offset"], array["onset"] + SHORTEST)
    return replace(table, stop=stop, array=array)


def _released(table: Table) -> Table:
    """Keys let go when the hand must be elsewhere: before a stroke of the same hand more than a ninth away."""
    offset = table.array["offset"].copy()
    for hand in (RIGHT, LEFT):
        rows = np.flatnonzero(table.hand == hand)
        onset, end, pitch = table.array["onset"][rows], offset[rows], table.pitch[rows]
        for k in range(1, len(rows)):
            running = end[:-k] > onset[k:]
            if not running.any():
                break
            later = onset[k:] > onset[:-k] + TOGETHER
            leaves = running & later & ((np.abs(pitch[k:] - pitch[:-k]) > NINTH) | (pitch[k:] == pitch[:-k]))
            end[:-k] = np.where(leaves, np.minimum(end[:-k], onset[k:]), end[:-k])
        offset[rows] = end
    array = table.array.copy()
    array["offset"] = offset
    return replace(table, array=array)


def _thinned(table: Table, share: float, *, among: np.ndarray) -> Table:
    """The weightiest `share` of the notes `among` ((n,) bool), the melody at least; all others stay."""
    rows = np.flatnonzero(among)
    n = len(rows)
    if n == 0 or share >= 1.0:
        return table
    # importance in steps of a quarter of a strength, so that equals go evenly all over the piece (golden ratio)
    step = np.round(table.weight[rows] * 4)
    turn = np.mod(np.arange(n) * 0.6180339887498949, 1.0)
    order = np.lexsort((turn, -step))
    keep = np.ones(len(table), dtype=bool)
    sung = int(np.sum(table.role[rows] == MELODY))
    keep[rows[order[max(round(share * n), sung) :]]] = False
    return table.pick(keep)
