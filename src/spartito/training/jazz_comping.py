"""What a jazz pianist plays under a solo whose chords are known: voicings, comping rhythms, bass lines.

Job
    `accompaniment` gives notes for the left hand (and thumb of the right) from one chord per beat, for solos that came
    down as a single line (`data.wjazzd`).

Method
    *Voicings* are rootless: third, fifth (or thirteenth), seventh and ninth in close position, in the order 3-5-7-9
    (position A) or 7-9-3-5 (position B), each also without its least needed voice, between D3 and A4; degrees that the
    name of a chord gives take the place of the plain ones, and a dominant that falls a fifth into a minor chord is
    altered. Of all voicings of all chords the sequence that moves least is taken (dynamic programming), with a pull
    towards middle C.
    *Rhythm* by bars from a small set of patterns in swung quavers: the Charleston, its reverse and shifted forms, two
    anticipations, long notes, fours; a bar often keeps the pattern of the bar before, slow pieces have more long
    notes, fast ones fewer strokes. A stroke on the last quaver before a beat takes the chord of that beat.
    *Textures* change every eight bars: comping alone, root with seventh or tenth, a walking bass with sparse
    guide tones, or two in a bar with chords on the weak beats.

Source
    Position A and B and the patterns are those of the textbooks: J. Mehegan, 'Jazz improvisation' 2-4 (1962-65);
    M. Levine, 'The jazz piano book' (1989). Weights of patterns and textures are ours, not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spartito.training.data.jazz_chords import JazzChord

__all__ = [
    "COMP_HIGH",
    "COMP_LOW",
    "Feel",
    "accompaniment",
    "comping",
    "led",
    "rhythm_section_offbeat",
    "voicings",
    "walking_bass",
]

COMP_LOW, COMP_HIGH = 50, 69  # MIDI numbers, D3 and A4: where a chord without its root sounds clear
BASS_LOW, BASS_HIGH = 31, 52  # G1 and E3
CENTRE = 60.0  # where the middle of a voicing wants to lie
PULL = 0.6  # semitones of movement that a semitone of distance from there is worth
FULL = 2.0  # semitones of movement that a voice more is worth
ALTERED = ((4, 8, 10, 13), (4, 8, 10, 15))  # dominant into minor: flat thirteen, flat or sharp nine
COLOURS: dict[str, tuple[tuple[int, int, int, int], ...]] = {  # third, fifth, seventh, ninth above the root
    "maj": ((4, 7, 9, 14),),
    "maj6": ((4, 7, 9, 14),),
    "maj7": ((4, 7, 11, 14), (4, 9, 11, 14)),
    "7": ((4, 9, 10, 14), (4, 7, 10, 14)),
    "min": ((3, 7, 9, 14), (3, 7, 10, 14)),
    "min6": ((3, 7, 9, 14),),
    "min7": ((3, 7, 10, 14),),
    "minmaj7": ((3, 7, 11, 14),),
    "hdim7": ((3, 6, 10, 12), (3, 6, 10, 17)),
    "dim": ((3, 6, 9, 12),),
    "dim7": ((3, 6, 9, 12),),
    "sus4": ((5, 9, 10, 14), (5, 7, 10, 14)),
    "aug": ((4, 8, 10, 14),),
}
SCALES = {  # semitones above the root that a bass may walk on
    "maj": (0, 2, 4, 5, 7, 9, 11),
    "7": (0, 2, 4, 5, 7, 9, 10),
    "min": (0, 2, 3, 5, 7, 9, 10),
    "dim": (0, 2, 3, 5, 6, 8, 10),
}
SCALE_OF = {"maj6": "maj", "maj7": "maj", "aug": "7", "sus4": "7", "hdim7": "dim", "dim7": "dim"}

# quavers of the bar that are struck; weight at slow (below 100), middle and fast (from 200 a minute) tempo
PATTERNS: tuple[tuple[tuple[int, ...], tuple[float, float, float]], ...] = (
    ((0, 3), (2.0, 3.0, 3.0)),  # Charleston
    ((1, 4), (1.0, 1.5, 1.5)),  # reverse Charleston
    ((2, 5), (1.0, 1.5, 1.0)),  # Charleston, a beat late
    ((4, 7), (0.7, 1.2, 1.2)),  # Charleston, two beats late
    ((3, 7), (1.0, 2.0, 2.0)),  # on 'two and', 'four and'
    ((7,), (0.3, 0.5, 1.0)),  # anticipation of the next bar alone
    ((3,), (0.3, 0.5, 1.0)),
    ((0, 4), (3.0, 1.5, 1.0)),  # minims
    ((0,), (1.5, 0.5, 0.7)),  # a semibreve
    ((0, 3, 6), (2.0, 2.0, 1.0)),
    ((1, 4, 7), (1.5, 2.0, 1.0)),
    ((0, 3, 5), (1.0, 2.0, 1.0)),
    ((2, 3, 6), (0.5, 1.0, 0.7)),
    ((2, 6), (0.7, 0.8, 0.7)),
    ((0, 3, 4, 7), (1.5, 1.5, 0.7)),  # the Charleston twice
    ((0, 2, 4, 6), (2.0, 1.0, 0.2)),  # fours
    ((0, 2, 3, 5, 7), (0.7, 0.7, 0.1)),
    ((), (0.1, 0.3, 0.7)),
)
KEEP = 0.45  # chance that a bar keeps the pattern of the bar before
SLOW, FAST = 100.0, 200.0  # beats per minute
SECTION = 8  # bars of one texture
TEXTURES = ("comp", "roots", "walk", "two")
CHANCES = {"slow": (0.45, 0.15, 0.05, 0.35), "middle": (0.4, 0.1, 0.25, 0.25), "fast": (0.55, 0.1, 0.35, 0.0)}
LOOSE = 0.012  # seconds, deviation of a stroke from its place
ROLL = 0.006  # seconds, deviation of a note from its stroke


STRAIGHT = 0.53  # beats
SWING = (100.0, 160.0, 220.0, 300.0), (0.68, 0.66, 0.61, 0.54)  # beats per minute; place of the second quaver, beats


@dataclass(frozen=True)
class Feel:
    """How a piece moves."""

    tempo: float  # beats per minute
    offbeat: float = 2 / 3  # place in its beat of the second quaver, beats

    @property
    def pace(self) -> str:
        return "slow" if self.tempo < SLOW else "fast" if self.tempo >= FAST else "middle"


def rhythm_section_offbeat(tempo: float, soloist: float) -> float:
    """Where the rhythm section plays the second quaver of a beat, in beats.

    Drummers swing in triplets at middle tempo and ever straighter the faster it goes, soloists less: A. Friberg,
    A. Sundström, 'Swing ratios and ensemble timing in jazz performance' (Music Perception 19(3), 2002). Where the
    soloist plays straight (before `STRAIGHT`), so does the rhythm section.
    """
    return 0.5 if soloist < STRAIGHT else float(np.interp(tempo, *SWING))


# -- voicings -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def voicings(chord: JazzChord, *, into_minor: bool = False) -> tuple[tuple[int, ...], ...]:
    """Ways to play a chord without its root: rising MIDI numbers, each with third and seventh (or sixth).

    `into_minor`: the chord falls a fifth into a minor chord, and is altered if it is a dominant.
    """
    stacks = set()
    for third, fifth, seventh, ninth in _colours(chord, into_minor):
        for order in (
            (third, fifth, seventh, ninth),
            (seventh, ninth, third, fifth),
            (third, seventh, ninth),
            (seventh, third, fifth),
            (third, seventh),
            (seventh, third),
        ):
            lowest = (chord.root + order[0]) % 12
            for bottom in range(lowest + 36, COMP_HIGH + 1, 12):
                above = np.mod(np.subtract(order, order[0]), 12)
                stack = bottom + above + 12 * np.cumsum(np.diff(above, prepend=0) < 0)
                if stack[0] >= COMP_LOW and stack[-1] <= COMP_HIGH:
                    stacks.add(tuple(stack.tolist()))
    return tuple(sorted(stacks))


def _colours(chord: JazzChord, into_minor: bool) -> list[tuple[int, int, int, int]]:
    """Third, fifth, seventh and ninth above the root, with the degrees that the name gives."""
    plain = not chord.tensions
    base = ALTERED if chord.quality == "7" and into_minor and plain else COLOURS[chord.quality]
    fifths = [t - 12 for t in chord.tensions if t in (18, 20, 21)]  # sharp eleven, flat thirteen, thirteen
    if not fifths and 13 in chord.tensions and into_minor:
        fifths = [8]
    if 17 in chord.tensions and chord.quality in ("min7", "min"):
        fifths.append(5)
    ninths = [t for t in chord.tensions if t in (13, 14, 15)]
    return [
        (third, fifth, seventh, ninth)
        for third, own_fifth, seventh, own_ninth in base
        for fifth in (fifths or [own_fifth])
        for ninth in (ninths or [own_ninth])
    ]


def led(chords: Sequence[JazzChord], rng: np.random.Generator, *, voices: int = 4) -> list[tuple[int, ...]]:
    """One voicing for each chord, at most `voices` notes, so that the voices move little."""
    if not chords:
        return []
    choices, costs = [], []
    for chord, following in zip(chords, [*chords[1:], None], strict=True):
        minor = following is not None and following.quality in ("min", "min6", "min7", "minmaj7")
        falls = following is not None and (chord.root - following.root) % 12 == 7
        options = [v for v in voicings(chord, into_minor=minor and falls) if len(v) <= voices]
        choices.append(options)
        middle = np.array([np.mean(v) for v in options])
        missing = np.array([voices - len(v) for v in options])
        costs.append(PULL * np.abs(middle - CENTRE) + FULL * missing + rng.gumbel(0.0, 0.7, len(options)))
    best, back = costs[0], []
    for before, after, cost in zip(choices, choices[1:], costs[1:], strict=False):
        step = best[:, None] + movement(tuple(before), tuple(after))
        back.append(step.argmin(axis=0))
        best = step.min(axis=0) + cost
    path = [int(best.argmin())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return [options[i] for options, i in zip(choices, reversed(path), strict=True)]


@lru_cache(maxsize=20000)
def movement(before: tuple[tuple[int, ...], ...], after: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """(before, after) semitones: mean way from each note to the nearest of the other voicing, both ways."""
    a, b = _padded(before), _padded(after)  # (., 4), nan where there is no voice
    away = np.abs(a[:, None, :, None] - b[None, :, None, :])
    with np.errstate(invalid="ignore"):
        there = np.nanmin(np.where(np.isnan(away), np.inf, away), axis=3)
        back = np.nanmin(np.where(np.isnan(away), np.inf, away), axis=2)
    there[np.isinf(there)] = np.nan
    back[np.isinf(back)] = np.nan
    return 2.0 * (np.nanmean(there, axis=2) + np.nanmean(back, axis=2))


def _padded(stacks: tuple[tuple[int, ...], ...]) -> np.ndarray:
    table = np.full((len(stacks), 4), np.nan)
    for row, stack in zip(table, stacks, strict=True):
        row[: len(stack)] = stack
    return table


# -- bass -----------------------------------------------------------------------------------------------------


def walking_bass(chords: Sequence[JazzChord | None], rng: np.random.Generator) -> np.ndarray:
    """(beats,) MIDI number of a bass in crotchets, -1 where there is no chord.

    The root (or bass) when a chord begins, the beat before it a semitone, a tone or a fifth away from it, between them
    steps of the scale in one direction as far as the range goes.
    """
    line = np.full(len(chords), -1, dtype=np.int64)
    last, way = 40, 1
    for i, chord in enumerate(chords):
        if chord is None:
            continue
        after = chords[i + 1] if i + 1 < len(chords) else None
        low = chord.root if chord.bass < 0 else chord.bass
        if i == 0 or chords[i - 1] != chord:
            here = _near(low, last)
        elif after is not None and after != chord:
            target = _near(after.root if after.bass < 0 else after.bass, last)
            ways = [target - 1, target + 1, target + 2, target - 2, target + 7, target - 5]
            chance = np.array([0.3, 0.25, 0.1, 0.1, 0.15, 0.1])
            chance[[w == last or not BASS_LOW <= w <= BASS_HIGH for w in ways]] = 0.0
            here = int(rng.choice(ways, p=chance / chance.sum()))
        else:
            quality = SCALE_OF.get(chord.quality, chord.quality)
            scale = SCALES.get(quality, SCALES["min"])
            tones = [p for p in range(BASS_LOW, BASS_HIGH + 1) if (p - chord.root) % 12 in scale and p != last]
            way = -way if rng.random() < 0.2 or not BASS_LOW + 4 < last + 4 * way < BASS_HIGH else way
            chance = np.array([np.exp(-abs(p - last - 2.5 * way) / 1.5) for p in tones])
            here = int(rng.choice(tones, p=chance / chance.sum()))
        line[i] = last = here
    return line


def _near(pitch_class: int, last: int) -> int:
    """The note of that class nearest to `last` in the range of the bass."""
    octaves = np.arange(BASS_LOW, BASS_HIGH + 1)
    octaves = octaves[octaves % 12 == pitch_class % 12]
    return int(octaves[np.argmin(np.abs(octaves - last) + 0.3 * np.abs(octaves - 41))])


# -- playing --------------------------------------------------------------------------------------------------


def accompaniment(
    chords: Sequence[JazzChord | None], *, feel: Feel, rng: np.random.Generator, beats_per_bar: int = 4
) -> np.ndarray:
    """(k, 4) float: place and length in beats, MIDI pitch, velocity, in the order of time.

    `chords` has one entry per beat, the first beat opens a bar, and all bars have `beats_per_bar` beats.
    """
    strokes = []
    voiced = {4: _held_voicings(chords, rng, 4), 2: _held_voicings(chords, rng, 2)}
    section, chances = SECTION * beats_per_bar, CHANCES[feel.pace]
    for first in range(0, len(chords), section):
        last = min(first + section, len(chords))
        texture = rng.choice(TEXTURES, p=chances)
        quavers = _rhythm(first, last, feel, rng, beats_per_bar, sparse=texture == "walk")
        if texture == "comp":
            strokes += _struck(quavers, voiced[4], feel, rng)
        elif texture == "walk":
            line = walking_bass(chords[first:last], rng)
            strokes += [(first + i, 0.95, int(p), 62) for i, p in enumerate(line) if p >= 0]
            strokes += _struck(quavers, voiced[2], feel, rng)
        elif texture == "roots":
            strokes += _roots(chords, voiced[2], first, last, beats_per_bar)
        else:
            strokes += _two(chords, voiced[4], first, last, beats_per_bar)
    notes = np.array(strokes, dtype=np.float64).reshape(-1, 4)
    notes[:, 3] += rng.normal(0.0, 4.0, len(notes))
    # notes of one stroke move together, and a little each
    _, stroke = np.unique(notes[:, 0], return_inverse=True)
    beat = 60.0 / feel.tempo
    loose = np.clip(rng.normal(0.0, LOOSE, stroke.max(initial=-1) + 1), -2 * LOOSE, 2 * LOOSE)[stroke]
    notes[:, 0] += (loose + np.clip(rng.normal(0.0, ROLL, len(notes)), -2 * ROLL, 2 * ROLL)) / beat
    return notes[np.lexsort((notes[:, 2], notes[:, 0]))]


def comping(
    chords: Sequence[JazzChord | None], *, feel: Feel, rng: np.random.Generator, beats_per_bar: int = 4
) -> np.ndarray:
    """(k, 4) float, as `accompaniment`: chords alone, as a guitar or piano plays them beside a bass; in strict time."""
    voiced = _held_voicings(chords, rng, 4)
    quavers = _rhythm(0, len(chords), feel, rng, beats_per_bar, sparse=False)
    return np.array(_struck(quavers, voiced, feel, rng), dtype=np.float64).reshape(-1, 4)


def _held_voicings(chords, rng, voices: int) -> list[tuple[int, ...]]:
    """The voicing on each beat, () where there is no chord; a chord keeps its voicing while it lasts."""
    starts = [i for i, c in enumerate(chords) if c is not None and (i == 0 or chords[i - 1] != c)]
    stacks = led([chords[i] for i in starts], rng, voices=voices)
    number = np.searchsorted(starts, np.arange(len(chords)), side="right") - 1
    return [() if chord is None else stacks[k] for chord, k in zip(chords, number, strict=True)]


def _rhythm(first: int, last: int, feel: Feel, rng, beats_per_bar: int, *, sparse: bool) -> np.ndarray:
    """(strokes,) quavers since the first beat of the piece that are struck between two beats."""
    column = ("slow", "middle", "fast").index(feel.pace)
    weights = np.array([w[column] for _, w in PATTERNS])
    if sparse:
        weights = weights * np.array([1.0 if len(p) < 2 else 0.5 if len(p) == 2 else 0.0 for p, _ in PATTERNS])
    weights /= weights.sum()
    struck, choice = [], 0
    for number, bar in enumerate(range(first, last, beats_per_bar)):
        if number == 0 or rng.random() > KEEP:
            choice = rng.choice(len(PATTERNS), p=weights)
        struck += [2 * bar + q for q in PATTERNS[choice][0] if q < 2 * beats_per_bar]
    return np.array(struck, dtype=int)


def _struck(quavers: np.ndarray, voiced: list, feel: Feel, rng) -> list[tuple[float, float, int, int]]:
    """Chords on the given quavers; each lasts half a beat, or until the next when that is near."""
    notes = []
    for quaver, following in zip(quavers, np.append(quavers, np.inf)[1:], strict=True):
        beat, off = divmod(int(quaver), 2)
        meant = min(beat + off, len(voiced) - 1)  # an off-beat takes the chord of the beat it leads to
        place = beat + off * feel.offbeat
        room = max(min((following - quaver) / 2, 4.0) - 0.1, 0.35)
        short = 0.4 if off else 0.6
        length = short if rng.random() < (0.35 if feel.pace == "slow" else 0.6) else room
        accent = 4 * off
        notes += [(place, length, pitch, 54 + accent) for pitch in voiced[meant]]
    return notes


def _roots(chords, voiced, first: int, last: int, beats_per_bar: int) -> list[tuple[float, float, int, int]]:
    """Root with guide tones at each change and bar, held."""
    notes = []
    starts = [
        i
        for i in range(first, last)
        if chords[i] is not None and (i % beats_per_bar == 0 or i == first or chords[i - 1] != chords[i])
    ]
    for i, following in zip(starts, [*starts, last][1:], strict=True):
        length = min(following - i, 4) - 0.15
        low = _near(chords[i].root if chords[i].bass < 0 else chords[i].bass, 42)
        notes += [(i, length, pitch, 54) for pitch in (low, *voiced[i])]
    return notes


def _two(chords, voiced, first: int, last: int, beats_per_bar: int) -> list[tuple[float, float, int, int]]:
    """Root and fifth in the bass on the strong beats, chords on the weak ones."""
    notes = []
    for i in range(first, last):
        chord = chords[i]
        if chord is None:
            continue
        if i % beats_per_bar % 2:
            notes += [(i, 0.5, pitch, 50) for pitch in voiced[i]]
            continue
        new = i == first or i % beats_per_bar == 0 or chords[i - 1] != chord
        low = _near(chord.root if chord.bass < 0 else chord.bass, 38)
        fifth = 6 if chord.quality in ("hdim7", "dim", "dim7") else 7
        notes.append((i, 0.9, low if new else _near(chord.root + fifth, low), 58))
    return notes
