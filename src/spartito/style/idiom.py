"""The engine `idiom`: the tune of a piece stays, what accompanies it is written anew by a pianist of another genre.

    piece -> tune (kept), chords -> chords of the target genre (`style.harmony`) -> accompaniment by a sequence model
          (`models/idiom_runtime.py`), all candidates side by side -> feel of the target genre (`style.feel`)

The tune keeps its pitches and its rhythm; where it may, its eighths swing (or are straightened) before the model hears
it, so that the accompaniment goes along.

Strength
    The piece is cut into answers of two bars (of one in short pieces). The strength is the share of them that is
    written anew: first every second one, so that the source and the target take turns, then the others. What is
    rewritten at some strength is rewritten at every greater one; the model hears the kept bars before it goes on. The
    chords of the rewritten bars go the further from the source the greater the strength.

What holds whatever the model draws: the tune lies on top; no bar that had notes is empty; nothing sounds beyond the end
of the piece, or on into a chord that it does not belong to; a key is struck again only after it was released; a hand
does not stretch beyond a tenth at one stroke.

Source: see `models/idiom.py`. Answers of two bars are what improvisers trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spartito.analysis.note_chords import ChordTrack
from spartito.errors import ModelError
from spartito.models.hub import find_model
from spartito.models.idiom_runtime import STATISTICS, STRETCH, IdiomWriter, Sheet
from spartito.models.idiom_tokens import CONTROLS, DETAILS, STEPS, WINDOW, lines, simplified
from spartito.notes.attributes import CONTROLS as MEASURED
from spartito.notes.attributes import controls_of_windows
from spartito.notes.phrases import LEFT_HAND, RIGHT_HAND
from spartito.notes.skyline import skyline
from spartito.style.engines import GENRES, IDIOM, Progress, StylePiece, StyleWish, Written, check_genre
from spartito.style.feel import Feel, FeelStatistics, Felt
from spartito.style.harmony import HarmonyStatistics, reharmonise

__all__ = ["IdiomEngine", "Plan", "open_idiom", "rewritten_bars"]

LONG = 8  # bars from which an answer is two of them
LONGEST_SPAN = 32  # steps that the writer writes at once
REACH = 16  # semitones between the outer keys of one hand at one stroke: a tenth
FINGERS = 5
FOLLOWED = ("density",)
DRAWN = 0.7  # temperature of the chords of further candidates
SHORTEST_BAR = 4  # steps of a bar that is worth writing


def open_idiom(folder: str | Path | None = None, *, device: str = "auto", threads: int = 0) -> IdiomEngine:
    """The engine with the weights that ship, or those in `folder`. Raises ModelError when there are none."""
    info = find_model("idiom" if folder is None else folder)
    if info.config.get("architecture") != "idiom":
        raise ModelError(f"{info.folder} holds no idiom model")
    writer = IdiomWriter(info, device=device, threads=threads)
    path = info.folder / STATISTICS
    if not path.exists():
        return IdiomEngine(writer)
    from safetensors.numpy import load_file

    arrays = load_file(str(path))
    return IdiomEngine(writer, HarmonyStatistics.from_arrays(arrays), FeelStatistics.from_arrays(arrays))


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


class IdiomEngine:
    """See the module's text.

    Parameters
    ----------
    writer : IdiomWriter
    harmony : HarmonyStatistics, optional
        Of the chords of the genres. Without them the model is told the triads of the source and dresses them itself.
    feel : FeelStatistics, optional
        Without them nothing swings but what the model writes so.
    controls : dict
        Levels of `idiom_tokens.CONTROLS` to ask for.
    follow : tuple of str
        Controls whose levels are those of the source, window by window: a full chorus stays fuller than its verse.
        All others but the genre are free.
    """

    name, needs_source, keeps_melody = IDIOM, False, True

    def __init__(
        self,
        writer: IdiomWriter,
        harmony: HarmonyStatistics | None = None,
        feel: FeelStatistics | None = None,
        *,
        controls: dict[str, int] | None = None,
        follow: tuple[str, ...] = FOLLOWED,
    ):
        self.writer, self.harmony, self.feel = writer, harmony, feel
        self.controls, self.follow = dict(controls or {}), follow

    def check(self, target: str, source: str | None = None) -> None:
        """All genres are served, from any other."""
        check_genre(target)

    def restyle(self, piece: StylePiece, wish: StyleWish, *, progress: Progress | None = None) -> list[Written]:
        """See `style.engines.StyleEngine`."""
        plan = planned(piece, wish.strength)
        anew = plan.anew[plan.bars[np.minimum(piece.notes[:, 0], piece.steps - 1)]]  # of each note of the source
        stays = ~piece.melody & ~anew
        kept = piece.notes[stays]
        swings = piece.melody & anew if "melody" not in wish.keep else np.zeros(len(anew), dtype=bool)
        tune = self.felt(piece, wish, piece.notes, piece.melody, swings, piece.grid.place).notes[piece.melody]
        controls = self.asked(piece, wish, plan)
        harmonies = [self.chords(piece, tune, wish, number) for number in range(wish.candidates)]
        sheets = [
            Sheet(
                self.known(tune[skyline(tune)], harmony, piece),
                plan.spans,
                kept,
                plan.bars,
                controls,
                self.writer.temperature,
                self.writer.top_p,
                wish.seed + number,
            )
            for number, harmony in enumerate(harmonies)
        ]
        found = []
        for harmony, table in zip(harmonies, self.writer.write(sheets, progress=progress)):
            new = table[plan.anew[plan.bars[np.minimum(table[:, 0], piece.steps - 1)]]]
            new = tidied(until_foreign(new, harmony), tune, kept, piece.steps)
            notes = np.concatenate([new, kept, tune])
            is_tune = np.arange(len(notes)) >= len(new) + len(kept)
            may_move = np.concatenate(
                [np.ones(len(new), dtype=bool), np.zeros(len(kept), dtype=bool), swings[piece.melody]]
            )
            place = np.concatenate([np.full(len(new), np.nan), piece.grid.place[stays], piece.grid.place[piece.melody]])
            felt = self.felt(piece, wish, notes, is_tune, may_move, place)
            figures = {"chords_changed": round(_changed(harmony, piece.chords), 3)}
            order = np.lexsort((felt.notes[:, 2], felt.notes[:, 0]))
            accent = np.where(may_move, felt.accent, 0.0)
            found.append(Written(felt.notes[order], felt.place[order], accent[order], hands=True, figures=figures))
        return found

    def asked(self, piece: StylePiece, wish: StyleWish, plan: Plan) -> np.ndarray:
        """(spans, 5) levels of `idiom_tokens.CONTROLS` for each stretch."""
        levels = np.zeros((len(plan.spans), len(CONTROLS)), dtype=np.int64)
        levels[:, 0] = 1 + GENRES.index(wish.target)
        if self.follow:
            first = np.maximum(plan.spans[:, 0] - STRETCH, 0)
            low, high = np.searchsorted(piece.notes[:, 0], [first, first + WINDOW])
            window = np.repeat(np.arange(len(first)), high - low)
            row = np.arange(len(window)) - np.repeat(np.cumsum(high - low) - high, high - low)
            notes = piece.notes[row].copy()
            notes[:, 0] -= first[window]
            measured = controls_of_windows(notes, window, len(first), np.clip(piece.steps - first, 1, WINDOW))
            for name in self.follow:
                levels[:, CONTROLS.index(name)] = measured[:, list(MEASURED).index(name)]
        for name, level in self.controls.items():
            levels[:, CONTROLS.index(name)] = level
        return levels

    def chords(self, piece: StylePiece, tune: np.ndarray, wish: StyleWish, number: int) -> ChordTrack:
        """The chords of a candidate: the best ones for the first, draws for the others."""
        if self.harmony is None:
            return piece.chords
        return reharmonise(
            piece.chords,
            tune,
            self.harmony,
            target=wish.target,
            source=wish.source,
            strength=wish.strength,
            positions=piece.positions,
            seed=wish.seed + number,
            temperature=0.0 if number == 0 else DRAWN,
        )

    def known(self, line: np.ndarray, chords: ChordTrack, piece: StylePiece) -> np.ndarray:
        """(steps, 9): what the model is told."""
        rows = lines(line, chords, piece.positions, steps=piece.steps)
        detail = "triad" if self.harmony is None else "full"
        return simplified(rows[None], [DETAILS.index(detail)])[0]

    def felt(self, piece: StylePiece, wish: StyleWish, notes, tune, movable, place) -> Felt:
        """Notes (k, 5) as the target plays them; `tune` and `movable` (k,) bool, `place` (k,) steps.

        Nothing is pushed: the model writes its own syncopation, and the tune keeps its rhythm.
        """
        if self.feel is None:
            return Felt(notes, np.full(len(notes), np.nan), np.zeros(len(notes)))
        return Feel(self.feel, wish.source, wish.target, tempo=piece.tempo).apply(
            notes,
            tune=tune,
            movable=movable,
            pushable=np.zeros(len(notes), dtype=bool),
            place=place,
            positions=piece.positions,
            seed=wish.seed,
        )


# -- what is written anew -----------------------------------------------------------------------------------


def planned(piece: StylePiece, strength: float) -> Plan:
    """Which bars of a piece are written at a strength; those in which the source is silent never are."""
    opens = np.asarray(piece.positions) == 0
    opens[0] = True
    bars = np.repeat(np.cumsum(opens) - 1, STEPS)[: piece.steps]
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


def _changed(new: ChordTrack, old: ChordTrack) -> float:
    """Share of the beats whose chord is another one."""
    if len(old) == 0:
        return 0.0
    return float(((new.root != old.root) | (new.quality != old.quality)).mean())


# -- what was written ---------------------------------------------------------------------------------------


def tidied(written: np.ndarray, tune: np.ndarray, kept: np.ndarray, steps: int) -> np.ndarray:
    """What can be played of notes (k, 5): no key struck while it is held, no hand too wide, nothing beyond `steps`."""
    written = written[written[:, 0] < steps]
    written = _in_reach(written[np.lexsort((written[:, 2], written[:, 0]))])
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
    at = np.minimum(written[:, 0] // STEPS + 1, beats)
    until = following[at, written[:, 2] % 12]
    found = written.copy()
    length = np.where(until < beats, STEPS * until - written[:, 0], written[:, 1])
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
