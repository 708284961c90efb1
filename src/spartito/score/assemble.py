"""What is printed: notes with ties, rests, triplets, ornaments, clefs, signs and pedal, in partitura's classes.

Job
    `assemble` takes notes that already have their place on the grid, hand, voice and written length, and writes them
    down bar by bar.

Method
    Names come from `score.spelling`, note values and rests from `score.notation`, clefs and octave signs from
    `score.layout`. The upper voice of a staff fills every bar with rests; a lower one has none.
"""

from __future__ import annotations

import numpy as np

from spartito.analysis.beats import Beats
from spartito.notes.hands import LEFT, RIGHT
from spartito.notes.quantize import TICKS
from spartito.score.layout import BASS, TREBLE, choose_clefs, octave_runs
from spartito.score.notation import Bar, Piece, pieces, rest_pieces
from spartito.score.score import Score
from spartito.score.spelling import spell

__all__ = ["assemble"]


def assemble(table, bars: list[Bar], beats: Beats, *, shift, keys, pedal, title, composer) -> Score:
    """The score of the notes in `table` (see `score.build`; sorted by onset, ticks from the first bar on).

    Parameters
    ----------
    shift : int
        Tick of `beats` (quarter notes times TICKS) at which the first bar begins.
    keys : list of Key
        The first begins at tick 0.
    pedal : np.ndarray, shape=(n, 2), seconds
    title, composer : str
        Empty when unknown.
    """
    import partitura.score as ps

    part = ps.Part("P1", part_name="Piano", quarter_duration=TICKS)
    for number, bar in enumerate(bars, start=0 if bars[0].missing else 1):
        part.add(ps.Measure(number=number, name=str(number)), bar.start, bar.end)
    shown = None
    for bar in bars:
        if (bar.numerator, bar.denominator) != shown:
            shown = (bar.numerator, bar.denominator)
            part.add(ps.TimeSignature(*shown), bar.start)
    for key in keys:
        part.add(ps.KeySignature(key.fifths, key.mode), key.start)
    part.add(_tempo(ps, beats, bars[0]), 0)
    starts = np.array([b.start for b in bars])
    spelled = _spell(table, keys)
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
    _write_pedal(ps, part, pedal, beats, bars, shift)
    piece = ps.Score(part, work_title=title or None, title=title or None, composer=composer or None)
    return Score(piece)


def _spell(table, keys) -> np.ndarray:
    """Names of all notes, each in its key."""
    which = np.searchsorted([key.start for key in keys], table.onset, side="right") - 1
    length = np.maximum(table.end - table.onset, 1)
    parts = []
    for i, key in enumerate(keys):
        rows = which == i  # the table is sorted by onset: keys come one after the other
        parts.append(spell(table.onset[rows] / TICKS, length[rows] / TICKS, table.pitch[rows], fifths=key.fifths))
    return np.concatenate(parts)


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


def _write_pedal(ps, part, pedal, beats, bars, shift) -> None:
    """Sustain pedal as brackets under the lower staff, on the half beats nearest to what was done.

    Pedals shorter than a beat are the player's own affair: a page that shows them all cannot be read.
    """
    if len(pedal) == 0:
        return
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
