"""From performed notes to a piano score.

Job
    `to_score`: notes as played (any MIDI file, or a transcription) become two staves a pianist can read: bars,
    key, names, hands, voices, note values, rests, pedal.

Method
    Beats come from the caller, from the file's own clock when its onsets agree with it, or from the notes
    (`analysis.beats`). Then, in this order: onsets to the grid (`notes.quantize`), hands (`notes.hands`), voices
    and written lengths (`score.voices`), key (`score.spelling`), everything that is printed (`score.assemble`), and
    chord symbols (`score.chord_symbols`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats, pitched
from spartito.errors import MissingExtraError, NotesError, ParameterError
from spartito.notes.hands import LEFT, RIGHT, named_hands, split_hands
from spartito.notes.notes import Notes
from spartito.notes.quantize import TICKS, chord_groups, quantize_onsets
from spartito.score.assemble import assemble
from spartito.score.chord_symbols import add_chord_symbols
from spartito.score.notation import Bar
from spartito.score.score import Score
from spartito.score.spelling import Key, estimate_keys
from spartito.score.swing import straightened
from spartito.score.voices import separate_voices, written_ends

__all__ = ["to_score"]

LOWEST, HIGHEST = 21, 108  # keys of a piano
GRACE = 0.085  # seconds; a lone note this shortly before another is an ornament of it
LONGEST = 64  # quarter notes; no piano string sounds longer, whatever a file says


def to_score(
    notes: Notes,
    analysis=None,
    *,
    title: str | None = None,
    composer: str | None = None,
    tempo_hint: float | None = None,
    time_signature: tuple[int, int] | None = None,
    key: int | None = None,
    chords=None,
    pedal: bool = True,
    swing: bool = False,
) -> Score:
    """A piano score of performed notes.

    Parameters
    ----------
    notes : Notes
        Drum tracks are left out; notes outside the keyboard move by octaves onto it.
    analysis : Beats, or an object with such an attribute `beats`, optional
        Where the beats and bar lines are. When missing: the clock of the file if the notes keep to it, else
        beats found in the notes.
    title, composer : str, optional
        Printed at the top; those of `notes` when not given.
    tempo_hint : float, optional
        Beats per minute, when beats must be found.
    time_signature : (int, int), optional
        Numerator and denominator, when beats must be found.
    key : int, optional
        Key signature in sharps (negative: flats); found in the notes when not given, and a second one where the
        piece goes on in a foreign key to its end.
    chords : sequence of objects with `start`, `end` (seconds) and `label` (Harte), optional
        Written over the staff; those of `analysis` when not given, none for an empty sequence.
    pedal : bool
        Write pedal marks.
    swing : bool
        Write swung eighths as straight ones under the word 'Swing', if there are any.

    Raises
    ------
    NotesError
        When there are no notes (or only drums).
    MissingExtraError
        When partitura is not installed.
    """
    try:
        import partitura.score
    except ImportError as error:
        raise MissingExtraError("partitura", extra="score", purpose="a score") from error
    if key is not None and not -7 <= key <= 7:
        raise ParameterError(f"a key signature has at most 7 sharps or 7 flats (-7), not {key}")
    played = pitched(notes)
    if len(played) == 0:
        raise NotesError("no notes: a score needs at least one pitched note")
    beats = _find_beats(notes, analysis, tempo_hint=tempo_hint, time_signature=time_signature)
    played, swung = straightened(played, beats) if swing else (played, False)
    table = _quantized(played, beats)
    bars, shift = _bars(table, beats)
    _voices(table, bars)
    if key is not None:
        keys = [Key(0, key)]
    else:
        starts = np.array([bar.start for bar in bars])
        keys = estimate_keys(table.pitch, (table.end - table.onset) / TICKS, table.onset, starts)
    score = assemble(
        table,
        bars,
        beats,
        shift=shift,
        keys=keys,
        pedal=notes.pedal if pedal else np.zeros((0, 2)),
        title=title if title is not None else notes.title,
        composer=composer if composer is not None else notes.composer,
    )
    if swung:
        score.part.add(partitura.score.ConstantTempoDirection("Swing", staff=1), 0)
    if chords is None:
        chords = getattr(analysis, "chords", ())
    add_chord_symbols(score.part, chords, beats, bars, shift=shift, keys=keys)
    return score


@dataclass
class _Table:
    """Columns of the notes to be written, sorted by onset, then pitch; all of shape (n,)."""

    index: np.ndarray  # place in the array of the notes given
    onset: np.ndarray  # ticks
    held: np.ndarray  # ticks, where the key is released, unrounded
    end: np.ndarray  # ticks, written
    pitch: np.ndarray
    seconds: np.ndarray
    velocity: np.ndarray
    hand: np.ndarray  # RIGHT or LEFT
    voice: np.ndarray  # 0 upper, 1 lower
    grace: np.ndarray  # bool

    def pick(self, chosen: np.ndarray) -> _Table:
        return _Table(**{name: column[chosen] for name, column in vars(self).items()})


def _find_beats(notes: Notes, analysis, *, tempo_hint, time_signature) -> Beats:
    if analysis is not None:
        beats = analysis if isinstance(analysis, Beats) else getattr(analysis, "beats", None)
        if not isinstance(beats, Beats):
            raise ParameterError("the analysis of a score must hold its beats (analysis.beats)")
        return beats
    if tempo_hint is None and time_signature is None:
        given = beats_from_tempo_map(notes)
        if given is not None:
            return given
    return estimate_beats(notes, tempo_hint=tempo_hint, time_signature=time_signature)


# -- onsets and hands ---------------------------------------------------------------------------------------


def _quantized(notes: Notes, beats: Beats) -> _Table:
    """Notes on the grid, doubled notes removed, hands assigned."""
    n = len(notes)
    seconds = notes.onset
    group = chord_groups(seconds)
    count = np.bincount(group)
    event_time = np.bincount(group, weights=seconds) / count
    grace = _grace_events(event_time, group, notes)
    main = np.flatnonzero(~grace)
    position = beats.to_quarters(event_time)
    lengths = np.diff(beats.quarters)
    beat = float(np.median(lengths))
    near = np.clip(np.searchsorted(beats.times, event_time, side="right") - 1, 0, len(lengths) - 1)
    pace = np.diff(beats.times)[near] / lengths[near] * beat
    slot = np.zeros(len(event_time), dtype=np.int64)
    slot[main] = quantize_onsets(event_time[main], position[main], beat=beat, pace=pace[main])
    following = np.minimum(np.searchsorted(main, np.flatnonzero(grace)), len(main) - 1)
    slot[grace] = slot[main[following]]
    onset = slot[group]
    held = np.maximum(beats.to_quarters(notes.offset) * TICKS, onset + 1.0)
    # a key struck again ends the note before; measured from its own performed length
    shift = onset - beats.to_quarters(seconds) * TICKS
    held = np.clip(held + 0.5 * shift, onset + 1.0, onset + LONGEST * TICKS)
    pitch = notes.pitch.astype(np.int64)
    pitch = np.where(pitch < LOWEST, pitch + 12 * -((pitch - LOWEST) // 12), pitch)
    pitch = np.where(pitch > HIGHEST, pitch - 12 * -((HIGHEST - pitch) // 12), pitch)
    zeros = np.zeros(n, dtype=np.int64)
    table = _Table(
        np.arange(n), onset, held, zeros, pitch, seconds, notes.velocity.astype(int), zeros, zeros, grace[group]
    )
    named = named_hands(notes)
    if named is not None:
        table.hand = named
    order = np.lexsort((-table.held, table.pitch, ~table.grace, table.onset))
    table = table.pick(order)
    same = (np.diff(table.onset) == 0) & (np.diff(table.pitch) == 0) & ~table.grace[1:] & ~table.grace[:-1]
    table = table.pick(np.concatenate([[True], ~same]))
    if named is None:
        table.hand = np.zeros(len(table.onset), dtype=np.int64)
        # ornaments go with the note they adorn: they are dealt with after the others
        whole = ~table.grace
        table.hand[whole] = split_hands(table.onset[whole], table.held[whole], table.pitch[whole], table.seconds[whole])
        for i in np.flatnonzero(table.grace):
            here = np.flatnonzero((table.onset == table.onset[i]) & whole)
            table.hand[i] = table.hand[here[np.abs(table.pitch[here] - table.pitch[i]).argmin()]]
    return table


def _grace_events(time: np.ndarray, group: np.ndarray, notes: Notes) -> np.ndarray:
    """(events,) bool: single short notes just before a neighbour, not part of a run."""
    m = len(time)
    grace = np.zeros(m, dtype=bool)
    if m < 3:
        return grace
    first = np.searchsorted(group, np.arange(m))
    count = np.bincount(group)
    gap = np.diff(time)
    single = (count[:-1] == 1) & (gap < GRACE)
    for i in np.flatnonzero(single):
        k = first[i]
        after = slice(first[i + 1], first[i + 1] + count[i + 1])
        near = np.abs(notes.pitch[after].astype(int) - int(notes.pitch[k])).min()
        run_before = i > 0 and gap[i - 1] < 1.6 * gap[i] and not grace[i - 1]
        run_after = i + 1 < len(gap) and gap[i + 1] < 1.6 * gap[i]
        short = notes.offset[k] < time[i + 1] + 0.12
        if 1 <= near <= 4 and short and not run_before and not run_after:
            grace[i] = True
    return grace


# -- bars ---------------------------------------------------------------------------------------------------


def _bars(table: _Table, beats: Beats) -> tuple[list[Bar], int]:
    """Measures from the first note to the last, by the downbeats; ticks of `table` are moved to begin at 0.

    The second value is how far they were moved.
    """
    down = np.flatnonzero(beats.positions == 0)
    places = np.round(beats.quarters[down] * TICKS).astype(np.int64)
    index = [mark[0] for mark in beats.signatures]

    def signature(beat_number: int) -> tuple[int, int]:
        return beats.signatures[max(0, int(np.searchsorted(index, beat_number, side="right")) - 1)][1:]

    first, last = int(table.onset.min()), int(table.onset.max())
    edges: list[tuple[int, int, int]] = []  # start, numerator, denominator
    numerator, denominator = signature(int(down[0]))
    length = 4 * TICKS * numerator // denominator
    beat = max(1, round(float(np.median(np.diff(beats.quarters))) * TICKS))
    before = int(np.ceil((places[0] - first) / length)) if first < places[0] else 0
    edges += [(int(places[0]) - k * length, numerator, denominator) for k in range(before, 0, -1)]
    edges += [(int(p), *signature(int(d))) for d, p in zip(down, places)]
    numerator, denominator = edges[-1][1:]
    length = 4 * TICKS * numerator // denominator
    while edges[-1][0] + length <= max(last, int(table.held.max()) - length // 2):
        edges.append((edges[-1][0] + length, numerator, denominator))
    bars = []
    for i, (start, numerator, denominator) in enumerate(edges):
        full = 4 * TICKS * numerator // denominator
        end = edges[i + 1][0] if i + 1 < len(edges) else start + full
        if end <= first or (start > last and start >= table.held.max() - full // 4):
            continue
        if end - start != full:  # a bar tracked shorter or longer gets the signature it needs
            unit = TICKS * 4 // denominator
            while (end - start) % unit and unit > TICKS // 4:
                unit, denominator = unit // 2, denominator * 2
            numerator = max(1, (end - start) // unit)
        bars.append(Bar(start, end, numerator, denominator))
    opening = bars[0]
    silent = (first - opening.start) // beat * beat
    if silent > 0 and len(bars) > 1 and 2 * silent >= opening.end - opening.start:  # a pick-up
        bars[0] = Bar(opening.start + silent, opening.end, opening.numerator, opening.denominator, int(silent))
    shift = bars[0].start
    table.onset -= shift
    table.held -= shift
    return [Bar(b.start - shift, b.end - shift, b.numerator, b.denominator, b.missing) for b in bars], int(shift)


# -- voices and lengths -------------------------------------------------------------------------------------


def _voices(table: _Table, bars: list[Bar]) -> None:
    """Voices and written ends of all notes, in place."""
    finish = bars[-1].end
    starts = np.array([b.start for b in bars])
    for hand in (RIGHT, LEFT):
        rows = np.flatnonzero((table.hand == hand) & ~table.grace)
        if len(rows) == 0:
            continue
        rough = np.minimum(table.held[rows], finish)
        voice = separate_voices(table.onset[rows], rough, table.pitch[rows])
        table.voice[rows] = voice
        _write_ends(table, rows, starts, bars, finish)
        _join_idle_voice(table, rows, starts)
        _write_ends(table, rows, starts, bars, finish)
        _let_go(table, rows)
    table.end[table.grace] = table.onset[table.grace]
    for i in np.flatnonzero(table.grace):
        here = np.flatnonzero((table.onset == table.onset[i]) & (table.hand == table.hand[i]) & ~table.grace)
        if len(here):
            table.voice[i] = table.voice[here[np.abs(table.pitch[here] - table.pitch[i]).argmin()]]


def _write_ends(table: _Table, rows: np.ndarray, starts: np.ndarray, bars: list[Bar], finish: int) -> None:
    for voice in (0, 1):
        mine = rows[table.voice[rows] == voice]
        if len(mine) == 0:
            continue
        onset, inverse = np.unique(table.onset[mine], return_inverse=True)
        held = np.zeros(len(onset))
        np.maximum.at(held, inverse, table.held[mine])
        following = np.append(onset[1:], finish)
        bar = np.searchsorted(starts, onset, side="right") - 1
        bar_end = np.append(starts[1:], finish)[bar]
        end = written_ends(onset, held, following, beat=bars[bar[0]].beat, bar_end=bar_end)
        table.end[mine] = np.clip(end, onset + 1, following)[inverse]


def _let_go(table: _Table, rows: np.ndarray) -> None:
    """End each chord where one of its keys is struck again, be it in the other voice."""
    order = rows[np.lexsort((table.onset[rows], table.pitch[rows]))]
    again = (np.diff(table.pitch[order]) == 0) & (np.diff(table.onset[order]) > 0)
    until = np.full(len(table.onset), np.iinfo(np.int64).max)
    until[order[:-1][again]] = table.onset[order[1:][again]]
    chord = np.unique(2 * table.onset[rows] + table.voice[rows], return_inverse=True)[1]
    limit = np.full(chord.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(limit, chord, until[rows])
    table.end[rows] = np.minimum(table.end[rows], limit[chord])


def _join_idle_voice(table: _Table, rows: np.ndarray, starts: np.ndarray) -> None:
    """Move the lower voice of a bar into the upper one where the two never sound against each other."""
    bar = np.searchsorted(starts, table.onset[rows], side="right") - 1
    lower = table.voice[rows] == 1
    for b in np.unique(bar[lower]):
        low, up = rows[lower & (bar == b)], rows[~lower & (bar == b)]
        clash = (table.onset[low][:, None] < table.end[up][None, :]) & (
            table.onset[up][None, :] < table.end[low][:, None]
        )
        alike = (table.onset[low][:, None] == table.onset[up][None, :]) & (
            table.end[low][:, None] == table.end[up][None, :]
        )
        carried = table.end[rows][(bar < b) & ~lower].max(initial=-1) > table.onset[low].min()
        if not (clash & ~alike).any() and not carried:
            table.voice[low] = 0
