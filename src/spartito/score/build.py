"""From performed notes to a piano score.

Job
    `to_score`: notes as played (any MIDI file, or a transcription) become two staves a pianist can read: bars,
    key, names, hands, voices, note values, rests, pedal.

Method
    Beats come from the caller, from the file's own clock when its onsets agree with it, or from the notes
    (`analysis.beats`). Then, in this order: onsets to the grid (`notes.quantize`), hands (`notes.hands`), voices
    and written lengths (`score.voices`), key and names (`score.spelling`), clefs (`score.layout`), note values
    with ties and rests (`score.notation`), and partitura's classes to hold it all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats, pitched
from spartito.errors import MissingExtraError, NotesError, ParameterError
from spartito.notes.hands import LEFT, RIGHT, named_hands, split_hands
from spartito.notes.notes import Notes
from spartito.notes.quantize import TICKS, chord_groups, quantize_onsets
from spartito.score.layout import BASS, TREBLE, choose_clefs, octave_runs
from spartito.score.notation import Bar, Piece, pieces, rest_pieces
from spartito.score.score import Score
from spartito.score.spelling import estimate_key, spell
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
    pedal: bool = True,
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
        Key signature in sharps (negative: flats); found in the notes when not given.
    pedal : bool
        Write pedal marks.

    Raises
    ------
    NotesError
        When there are no notes (or only drums).
    MissingExtraError
        When partitura is not installed.
    """
    try:
        import partitura.score  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("partitura", extra="score", purpose="a score") from error
    if key is not None and not -7 <= key <= 7:
        raise ParameterError(f"a key signature has at most 7 sharps or 7 flats (-7), not {key}")
    played = pitched(notes)
    if len(played) == 0:
        raise NotesError("no notes: a score needs at least one pitched note")
    beats = _find_beats(notes, analysis, tempo_hint=tempo_hint, time_signature=time_signature)
    table = _quantized(played, beats)
    bars = _bars(table, beats)
    _voices(table, bars)
    fifths, mode = (key, None) if key is not None else estimate_key(table.pitch, table.end - table.onset, table.onset)
    return _assemble(
        table,
        bars,
        beats,
        fifths=fifths,
        mode=mode,
        pedal=notes.pedal if pedal else np.zeros((0, 2)),
        title=title if title is not None else notes.title,
        composer=composer if composer is not None else notes.composer,
    )


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


def _bars(table: _Table, beats: Beats) -> list[Bar]:
    """Measures from the first note to the last, by the downbeats; ticks of `table` are moved to begin at 0."""
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
    return [Bar(b.start - shift, b.end - shift, b.numerator, b.denominator, b.missing) for b in bars]


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


# -- partitura ----------------------------------------------------------------------------------------------


def _assemble(table, bars, beats, *, fifths, mode, pedal, title, composer) -> Score:
    import partitura.score as ps

    part = ps.Part("P1", part_name="Piano", quarter_duration=TICKS)
    for number, bar in enumerate(bars, start=0 if bars[0].missing else 1):
        part.add(ps.Measure(number=number, name=str(number)), bar.start, bar.end)
    shown = None
    for bar in bars:
        if (bar.numerator, bar.denominator) != shown:
            shown = (bar.numerator, bar.denominator)
            part.add(ps.TimeSignature(*shown), bar.start)
    part.add(ps.KeySignature(fifths, mode), 0)
    part.add(_tempo(ps, beats, bars[0]), 0)
    starts = np.array([b.start for b in bars])
    spelled = spell(table.onset / TICKS, np.maximum(table.end - table.onset, 1) / TICKS, table.pitch, fifths=fifths)
    for hand, staff, default in ((RIGHT, 1, TREBLE), (LEFT, 2, BASS)):
        rows = np.flatnonzero(table.hand == hand)
        clefs = choose_clefs(
            np.searchsorted(starts, table.onset[rows], side="right") - 1,
            table.pitch[rows],
            bars=len(bars),
            default=default,
        )
        for b, clef in enumerate(clefs):
            if b == 0 or clef != clefs[b - 1]:
                part.add(ps.Clef(staff, clef, 2 if clef == TREBLE else 4, 0), bars[b].start)
        for high in (True, False):
            if rows.size:
                for start, stop in octave_runs(table.onset[rows], table.pitch[rows], high=high):
                    end = int(table.end[rows][table.onset[rows] == stop].max())
                    sign = ps.OctaveShiftDirection("down" if high else "up", staff=staff)
                    part.add(sign, start, max(end, start + 1))
        for voice in (0, 1):
            mine = rows[table.voice[rows] == voice]
            _write_voice(ps, part, table, spelled, mine, bars, staff=staff, voice=2 * (staff - 1) + voice + 1)
    _write_pedal(ps, part, pedal, beats, bars, table)
    piece = ps.Score(part, work_title=title or None, title=title or None, composer=composer or None)
    return Score(piece)


def _tempo(ps, beats: Beats, bar: Bar):
    bpm = beats.tempo
    if bar.compound:
        return ps.Tempo(max(1, round(bpm / (bar.beat / TICKS))), "q.")
    if bar.beat == 2 * TICKS:
        return ps.Tempo(max(1, round(bpm / 2)), "h")
    return ps.Tempo(max(1, round(bpm)), "q")


def _write_voice(ps, part, table, spelled, rows, bars, *, staff: int, voice: int) -> None:
    """Notes, ties, rests and triplets of one voice."""
    by_bar: dict[int, list] = {}
    starts = np.array([b.start for b in bars])
    graces: dict[int, list[int]] = {}
    chords: dict[int, list[int]] = {}
    for i in rows:
        (graces if table.grace[i] else chords).setdefault(int(table.onset[i]), []).append(int(i))
    for onset in sorted(chords):
        end = int(min(table.end[chords[onset][0]], bars[-1].end))
        b = int(np.searchsorted(starts, onset, side="right")) - 1
        at = onset
        while at < end and b < len(bars):
            stop = min(end, bars[b].end)
            by_bar.setdefault(b, []).append((at, stop, onset))
            at, b = stop, b + 1
    last: dict[int, object] = {}  # row -> its last printed note, to tie the next part to
    for b, bar in enumerate(bars):
        spans = by_bar.get(b, [])
        if not spans and voice % 2 == 0:  # the second voice is silent: nothing is printed
            continue
        triplets = _triplet_beats(spans, bar)
        printed: list[tuple[Piece, list]] = []
        at = bar.start
        for start, stop, onset in spans:
            if start > at:
                _rests(ps, part, at, start, bar, triplets, staff, voice, printed)
            for piece in pieces(start, stop, bar, triplets):
                drawn = []
                for i in chords[onset]:
                    note = ps.Note(
                        step=str(spelled["step"][i]),
                        octave=int(spelled["octave"][i]),
                        alter=int(spelled["alter"][i]) or None,
                        id=f"n{table.index[i]}" if i not in last else f"n{table.index[i]}t{piece.start}",
                        voice=voice,
                        staff=staff,
                        symbolic_duration=_symbolic(piece),
                    )
                    part.add(note, piece.start, piece.end)
                    if i in last:
                        note.tie_prev, last[i].tie_next = last[i], note
                    last[i] = note
                    drawn.append(note)
                if piece.start == onset:
                    _graces(ps, part, table, spelled, graces.get(onset, []), drawn[-1], staff, voice)
                printed.append((piece, drawn))
            at = stop
        if at < bar.end:
            _rests(ps, part, at, bar.end, bar, triplets, staff, voice, printed)
        _tuplets(ps, part, printed, bar)


def _symbolic(piece: Piece) -> dict:
    value = {"type": piece.kind, "dots": piece.dots}
    if piece.triplet:
        value.update(actual_notes=3, normal_notes=2)
    return value


def _triplet_beats(spans, bar: Bar) -> set[int]:
    """First ticks of the beats of `bar` in which something lies on thirds or sixths and not on eighths."""
    if bar.compound:
        return set()
    origin, beat = bar.start - bar.missing, bar.beat
    found = set()
    for start, stop, _ in spans:
        for tick in (start, stop):
            if (tick - origin) % beat % (TICKS // 8):
                found.add(origin + (tick - origin) // beat * beat)
    return found


def _rests(ps, part, start, stop, bar, triplets, staff, voice, printed) -> None:
    for piece in rest_pieces(start, stop, bar, triplets):
        hidden = voice % 2 == 0  # gaps of a second voice stay empty
        if hidden and not piece.triplet:
            continue
        whole = piece.kind == "measure"
        rest = ps.Rest(
            id=None,
            voice=voice,
            staff=staff,
            symbolic_duration=None if whole else _symbolic(piece),
        )
        part.add(rest, piece.start, piece.end)
        printed.append((piece, [rest]))


def _graces(ps, part, table, spelled, rows, main, staff, voice) -> None:
    previous = None
    for i in sorted(rows, key=lambda i: table.seconds[i]):
        note = ps.GraceNote(
            "acciaccatura",
            step=str(spelled["step"][i]),
            octave=int(spelled["octave"][i]),
            alter=int(spelled["alter"][i]) or None,
            id=f"n{table.index[i]}",
            voice=voice,
            staff=staff,
            symbolic_duration={"type": "eighth", "dots": 0},
        )
        part.add(note, main.start.t, main.start.t)
        if previous is not None:
            note.grace_prev, previous.grace_next = previous, note
        previous = note
    if previous is not None:
        previous.grace_next = main


def _tuplets(ps, part, printed, bar: Bar) -> None:
    """One bracket per triplet beat."""
    origin, beat = bar.start - bar.missing, bar.beat
    groups: dict[int, list] = {}
    for piece, drawn in printed:
        if piece.triplet:
            groups.setdefault((piece.start - origin) // beat, []).append(drawn)
    for group in groups.values():
        tuplet = ps.Tuplet(group[0][0], group[-1][0], actual_notes=3, normal_notes=2)
        part.add(tuplet, group[0][0].start.t, group[-1][0].end.t)


def _write_pedal(ps, part, pedal, beats, bars, table) -> None:
    """Sustain pedal as brackets under the lower staff, on the half beats nearest to what was done.

    Pedals shorter than a beat are the player's own affair: a page that shows them all cannot be read.
    """
    if len(pedal) == 0:
        return
    shift = np.round(float(np.median(beats.to_quarters(table.seconds) * TICKS - table.onset)))
    ticks = beats.to_quarters(pedal) * TICKS - shift
    beat = bars[0].beat
    grid = max(1, beat // 3 if bars[0].compound else beat // 2)
    ticks = np.round(ticks / grid).astype(int) * grid
    finish = bars[-1].end
    reached = 0
    for start, stop in ticks:
        start, stop = max(int(start), reached), min(int(stop), finish)
        if stop - start < beat or start >= finish:
            continue
        part.add(ps.SustainPedalDirection(line=True, staff=2), start, stop)
        reached = stop
