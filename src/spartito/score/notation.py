"""Time in bars: note values, ties, rests and tuplets a reader takes in at a glance.

A span of time inside a bar is written as one note when a single note value covers it without hiding a stronger
beat; otherwise it is cut at the strongest beat inside and the parts are tied. Beats divided in three are marked
as triplets as a whole. The rules are those of engraving practice (E. Gould, 'Behind Bars', Faber 2011, chapters
on grouping of rhythms, rests and tuplets), in the simplified form sight-readers are used to.
"""

from __future__ import annotations

from dataclasses import dataclass

from spartito.notes.quantize import TICKS

__all__ = ["Bar", "Piece", "pieces", "rest_pieces", "symbol"]

_VALUES = {  # ticks: (type, dots)
    4 * TICKS: ("whole", 0),
    3 * TICKS: ("half", 1),
    2 * TICKS: ("half", 0),
    3 * TICKS // 2: ("quarter", 1),
    TICKS: ("quarter", 0),
    3 * TICKS // 4: ("eighth", 1),
    TICKS // 2: ("eighth", 0),
    3 * TICKS // 8: ("16th", 1),
    TICKS // 4: ("16th", 0),
    TICKS // 8: ("32nd", 0),
    6 * TICKS: ("whole", 1),
}
_TRIPLETS = {  # ticks inside a triplet beat: (type, dots)
    2 * TICKS // 3: ("quarter", 0),
    TICKS // 2: ("eighth", 1),
    TICKS // 3: ("eighth", 0),
    TICKS // 4: ("16th", 1),
    TICKS // 6: ("16th", 0),
    TICKS // 12: ("32nd", 0),
}


@dataclass(frozen=True)
class Bar:
    """One measure: first and last tick, its time signature and, for a pick-up, what is missing in front."""

    start: int
    end: int
    numerator: int
    denominator: int
    missing: int = 0  # ticks by which a pick-up is shorter than a full bar

    @property
    def beat(self) -> int:
        """Ticks per beat: a dotted value in compound metre."""
        unit = 4 * TICKS // self.denominator
        compound = self.numerator % 3 == 0 and self.numerator > 3 and self.denominator >= 8
        return 3 * unit if compound else unit

    @property
    def compound(self) -> bool:
        return self.beat % 36 == 0 and self.denominator >= 8 and self.numerator > 3

    def strength(self, tick: int) -> int:
        """Metrical weight of a tick: 4 bar line, 3 half of a bar of four, 2 beat, 1 half (third) beat, 0 finer."""
        place = tick - self.start + self.missing
        if place <= 0 or tick >= self.end:
            return 4
        beat = self.beat
        if place % beat == 0:
            beats = (self.end - self.start + self.missing) // beat
            return 3 if beats % 2 == 0 and beats >= 4 and place % (2 * beat) == 0 else 2
        part = beat // 3 if self.compound else beat // 2
        if place % part == 0:
            return 1
        return 0 if place % max(1, part // 2) == 0 else -1


@dataclass(frozen=True)
class Piece:
    """One printed note value: ticks, name, dots, and whether it belongs to a triplet."""

    start: int
    end: int
    kind: str
    dots: int
    triplet: bool = False


def symbol(ticks: int, *, triplet: bool = False) -> tuple[str, int] | None:
    """Note value and dots of a length, or None if no single note has it."""
    return (_TRIPLETS if triplet else _VALUES).get(ticks)


def pieces(start: int, end: int, bar: Bar, triplet_beats: set[int]) -> list[Piece]:
    """The tied values that write a note from `start` to `end` (ticks inside `bar`).

    `triplet_beats` holds the first ticks of the beats that this voice divides in three.
    """
    done: list[Piece] = []
    _cut(start, end, bar, triplet_beats, done, rest=False)
    return done


def rest_pieces(start: int, end: int, bar: Bar, triplet_beats: set[int]) -> list[Piece]:
    """The same for silence, which may not hide any beat it does not start on."""
    if start == bar.start and end == bar.end and not bar.missing:
        return [Piece(start, end, "measure", 0)]
    done: list[Piece] = []
    _cut(start, end, bar, triplet_beats, done, rest=True)
    return done


def _triplet_of(start: int, end: int, bar: Bar, triplet_beats: set[int]) -> bool | None:
    """True if the span lies within one triplet beat and does not fill it, None if it must be cut."""
    beat = bar.beat
    origin = bar.start - bar.missing
    first = origin + (start - origin) // beat * beat
    last = origin + (end - 1 - origin) // beat * beat
    if first == last:
        return first in triplet_beats and not (start == first and end == first + beat)
    touches = any(b in triplet_beats for b in (first, last))
    if not touches:
        return False
    # spans several beats: free only if it enters and leaves the triplet beats on their borders
    inner_start = first in triplet_beats and start != first
    inner_end = last in triplet_beats and end != last + beat
    return None if inner_start or inner_end else False


def _cut(start: int, end: int, bar: Bar, triplet_beats: set[int], done: list[Piece], *, rest: bool) -> None:
    if end <= start:
        return
    triplet = _triplet_of(start, end, bar, triplet_beats)
    if triplet is not None:
        value = symbol(end - start, triplet=triplet)
        if value is not None and (triplet or _readable(start, end, bar, dots=value[1], rest=rest)):
            done.append(Piece(start, end, *value, triplet))
            return
    middle = None if triplet or rest else _in_two(start, end, bar, triplet_beats)
    if middle is None:
        middle = _strongest(start, end, bar, triplet=bool(triplet))
    if middle is None:  # an odd crumb: the nearest shorter value, then the rest of it
        table = _TRIPLETS if triplet else _VALUES
        fits = [v for v in table if v < end - start]
        middle = start + max(fits) if fits else end
        if middle == end:
            done.append(Piece(start, end, "32nd", 0, bool(triplet)))
            return
    _cut(start, middle, bar, triplet_beats, done, rest=rest)
    _cut(middle, end, bar, triplet_beats, done, rest=rest)


def _in_two(start: int, end: int, bar: Bar, triplet_beats: set[int]) -> int | None:
    """The strongest beat at which the span falls into two readable notes, or None: dotted half and dotted eighth."""
    origin = bar.start - bar.missing
    beats = range(origin + ((start - origin) // bar.beat + 1) * bar.beat, end, bar.beat)
    for middle in sorted(beats, key=bar.strength, reverse=True):
        whole = True
        for a, b in ((start, middle), (middle, end)):
            value = symbol(b - a)
            plain = value is not None and _triplet_of(a, b, bar, triplet_beats) is False
            whole = whole and plain and _readable(a, b, bar, dots=value[1], rest=False)
        if whole and bar.strength(start) >= _inner(start, middle, bar)[0]:
            return middle
    return None


def _inner(start: int, end: int, bar: Bar) -> tuple[int, int]:
    """Greatest strength strictly inside the span, and the tick where it is."""
    step = TICKS // 8
    best, at = -2, -1
    origin = bar.start - bar.missing
    tick = origin + ((start - origin) // step + 1) * step
    while tick < end:
        strength = bar.strength(tick)
        if strength > best:
            best, at = strength, tick
        tick += step
    return best, at


def _strongest(start: int, end: int, bar: Bar, *, triplet: bool) -> int | None:
    if triplet:
        third = bar.beat // 3
        origin = bar.start - bar.missing
        tick = origin + ((start - origin) // third + 1) * third
        return tick if tick < end else None
    strength, at = _inner(start, end, bar)
    return at if strength >= -1 and start < at < end else None


def _readable(start: int, end: int, bar: Bar, *, dots: int, rest: bool) -> bool:
    inside, at = _inner(start, end, bar)
    if inside < 0:
        return True
    first, last = bar.strength(start), bar.strength(end)
    if rest:
        if bar.compound:
            return (first >= 2 and inside < 2) or (first >= inside and dots == 0 and inside < 2)
        if dots and inside >= 2:  # a dotted half rest in 4/4 would hide the middle of the bar
            return False
        return first > inside or (first >= inside and not dots and inside <= 1)
    if first >= inside:
        return not (dots and inside == 3 and first == 3)
    if last >= inside and inside <= 1:
        return True
    # after an eighth, a dotted quarter to the middle or the end of the bar
    if dots == 1 and first == 1 and inside == 2 and last >= 3 and not bar.compound and end - at == bar.beat:
        return True
    # a plain syncopation: an undotted note around the next stronger point, like eighth, quarter, eighth
    if bar.compound and inside >= 2:
        return False
    return dots == 0 and inside - first == 1 and at - start == end - at
