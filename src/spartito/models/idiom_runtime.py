"""Running an idiom model: the tune and the chords of pieces in, their accompaniment out.

    lines and controls of windows -> model.onnx  -> a vector per step                once per window
    last notes                    -> step.onnx   -> where does the next note begin?  once per note
    its step                      -> keys.onnx   -> which key?
    its key                       -> detail.onnx -> hand, duration, velocity

A piece is written stretch by stretch, each after what stands in the two bars before it: notes that were kept of the
source, or written a moment ago. These are told to the decoder first, so that a walking bass walks on. All candidates of
a piece, and all pieces, are written side by side, a note each at a time.

What may be drawn is narrowed so that nothing can be malformed: steps never go back, keys rise within a step; and so
that the tune stays on top and no bar is empty: keys from the tune up are closed (`ceilings`), and the next note begins
at the latest in the bar behind that of the last one. Low notes are not struck with close neighbours. At temperature 0
the likeliest step and key are taken, with medians for the rest; above it they are drawn from those that make up `top_p`
of the probability (A. Holtzman et al., 'The curious case of neural text degeneration', ICLR 2020). Every stretch of
every candidate has its own dice.

With `guidance` above 1 each logit is moved from what it is with nothing asked, through what it is with genre and
controls, to so many times that distance (see `token_runtime.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spartito.models.cover_tokens import KEYS
from spartito.models.hub import ModelInfo
from spartito.models.idiom_tokens import (
    CONTROLS,
    END,
    MASK,
    NO_KEY,
    ROOT,
    SILENT,
    STATE,
    TUNE,
    WINDOW,
    notes_of,
    tokens_of,
    tone_bits,
    windows_of,
)
from spartito.models.runtime import open_graph
from spartito.models.token_runtime import thrown

__all__ = ["GRAPHS", "STATISTICS", "STRETCH", "IdiomWriter", "Sheet"]

STATISTICS = "statistics.safetensors"  # of the harmony and the feel of the genres, beside the weights
GRAPHS = ("model.onnx", "step.onnx", "keys.onnx", "detail.onnx")
STRETCH = WINDOW // 2  # steps written at once, and steps before them that are told
MOST_NOTES = 120  # of a stretch
DICE = 5  # throws per note: position, key, hand, duration, velocity
MIDDLE = 0.5  # the throw that gives a median
REST = 8  # steps, two beats: a tune that rests no longer is still the line on top
MUD, THICK = 24, 4  # key of A2: above a note below it the next key struck with it lies more semitones away
FIRST_KEY = 39  # see `models/idiom.py`
CLOSED = -1e9  # logit of what may not be drawn


@dataclass(frozen=True, eq=False)
class Sheet:
    """A piece, or one candidate of it, that is to be written.

    Attributes
    ----------
    rows : np.ndarray, shape=(steps, 9), int
        What is known of it, see `idiom_tokens.lines`.
    spans : np.ndarray, shape=(m, 2), int
        First step of each stretch that is to be written and the step behind its last, in order; at most 32 steps each.
    kept : np.ndarray, shape=(k, 5), int
        Grid notes of the accompaniment that stand outside of them.
    bars : np.ndarray, shape=(steps,), int
        Number of the bar of each step.
    controls : np.ndarray, shape=(m, 5) or (5,), int
        Levels in the order of `idiom_tokens.CONTROLS`, 0 free; of each stretch or of all.
    temperature, top_p : float
    seed : int
    """

    rows: np.ndarray
    spans: np.ndarray
    kept: np.ndarray
    bars: np.ndarray
    controls: np.ndarray
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


class IdiomWriter:
    """A loaded idiom model.

    Attributes
    ----------
    info : ModelInfo
    temperature, top_p : float
        That its card recommends.
    """

    def __init__(self, info: ModelInfo, *, device: str = "auto", threads: int = 0):
        self.info = info
        decoder = info.config.get("decoder", {})
        self.temperature, self.top_p = decoder.get("temperature", 0.9), decoder.get("top_p", 0.95)
        self.guidance = np.float32(decoder.get("guidance", 1.0))
        self.encode, self.step, self.keys, self.detail = (
            open_graph(info.folder / name, device=device, threads=threads) for name in GRAPHS
        )

    def write(self, sheets: Sequence[Sheet], *, progress=None) -> list[np.ndarray]:
        """The accompaniment of each sheet: (k, 5) grid notes, those kept and those written, by step and pitch.

        `progress`, if given, is called with the part done, 0..1.
        """
        notes = [np.asarray(sheet.kept, dtype=np.int64).reshape(-1, 5) for sheet in sheets]
        turns = max((len(sheet.spans) for sheet in sheets), default=0)
        for turn in range(turns):
            here = [i for i, sheet in enumerate(sheets) if turn < len(sheet.spans)]
            found = _Windows(self, [sheets[i] for i in here], [notes[i] for i in here], turn).written()
            for i, new in zip(here, found):
                notes[i] = np.concatenate([notes[i], new])
            if progress is not None:
                progress((turn + 1) / turns)
        return [table[np.lexsort((table[:, 2], table[:, 0]))] for table in notes]


def ceilings(rows: np.ndarray) -> np.ndarray:
    """(n, steps) the key from which on all are closed at each step of rows (n, steps, 9): that of the tune.

    Through a rest of the tune no longer than `REST` it is the higher one of the notes before and behind; else 88.
    """
    sounding = (rows[..., STATE] != SILENT) & (rows[..., TUNE] != NO_KEY)
    steps = np.arange(sounding.shape[1])
    before = np.maximum.accumulate(np.where(sounding, steps, -1), axis=1)
    behind = np.minimum.accumulate(np.where(sounding, steps, len(steps))[:, ::-1], axis=1)[:, ::-1]
    short = (before >= 0) & (behind < len(steps)) & (behind - before <= REST + 1)
    row = np.arange(len(rows))[:, None]
    last, following = rows[row, np.maximum(before, 0), TUNE], rows[row, np.minimum(behind, len(steps) - 1), TUNE]
    return np.where(short, np.maximum(last, following), KEYS)


class _Windows:
    """The window of each of some sheets that ends with one of their stretches.

    `b` sheets; `told` has a row for each and, where guided, behind those a row for each with nothing asked.
    """

    def __init__(self, model: IdiomWriter, sheets: Sequence[Sheet], notes: Sequence[np.ndarray], turn: int):
        self.model, self.count = model, len(sheets)
        spans = np.array([sheet.spans[turn] for sheet in sheets])
        self.base = np.maximum(spans[:, 0] - STRETCH, 0)  # first step of the window
        self.first, self.limit = spans[:, 0] - self.base, spans[:, 1] - self.base
        rows = np.concatenate([windows_of(sheet.rows, [base]) for sheet, base in zip(sheets, self.base)])
        controls = np.array(
            [np.broadcast_to(s.controls, (len(s.spans), len(CONTROLS)))[turn] for s in sheets], dtype=np.int64
        )
        self.guided = bool(model.guidance != 1.0 and controls.any())
        twice = 2 if self.guided else 1
        told = {
            "rows": np.concatenate([rows[..., :MASK]] * twice),
            "tones": np.concatenate([tone_bits(rows)] * twice),
            "controls": np.concatenate([controls, np.zeros_like(controls)][:twice]),
        }
        self.steps, self.pointers, self.cells = model.encode(told)
        self.seen = np.ascontiguousarray(told["rows"][:, :WINDOW, [TUNE, ROOT]])
        self.ceiling = ceilings(rows)[:, :WINDOW]
        steps = self.base[:, None] + np.arange(WINDOW)
        self.bars = np.array([s.bars[np.minimum(row, len(s.bars) - 1)] for s, row in zip(sheets, steps)])  # (b, 64)
        self.prompts = [
            tokens_of(table[(table[:, 0] >= base) & (table[:, 0] < base + first)] - [base, 0, 0, 0, 0])
            for table, base, first in zip(notes, self.base, self.first)
        ]
        self.temperature = np.array([sheet.temperature for sheet in sheets])
        self.top_p = np.array([sheet.top_p for sheet in sheets])
        self.dice = np.full((self.count, MOST_NOTES, DICE), MIDDLE)
        for i, sheet in enumerate(sheets):
            if sheet.temperature > 0:
                self.dice[i] = np.random.default_rng((sheet.seed, turn)).random((MOST_NOTES, DICE))

    def written(self) -> list[np.ndarray]:
        """The new notes (k, 5) of each sheet, on the steps of its piece."""
        b, every = self.count, len(self.steps)
        prompts = [part[np.lexsort((part[:, 2], part[:, 0]))] for part in self.prompts]
        told = np.array([len(part) for part in prompts])
        ready = int(told.min(initial=0))  # of every prompt, these are told at once
        tokens = np.zeros((b, 1 + ready, 5), dtype=np.int64)
        tokens[:, 0, 0] = END
        for row, part in zip(tokens, prompts):
            row[1:] = part[:ready]
        layers = self._past_shape()
        past = np.zeros((every, *layers[:3], 0, layers[3]), dtype=np.float32)
        last = tokens[:, -1].copy()
        number = np.full(b, ready)  # notes of each that have been told or written
        drawn = np.zeros(b, dtype=np.int64)
        writing = np.ones(b, dtype=bool)
        found: list[list[np.ndarray]] = [[] for _ in range(b)]
        while True:
            hidden, position, past = self.model.step(
                {
                    "tokens": self._both(tokens),
                    "past": past,
                    "steps": self.steps,
                    "pointers": self.pointers,
                    "seen": self.seen,
                }
            )
            forced = writing & (number < told)
            some = np.flatnonzero(writing & ~forced)
            if len(some):
                place, ends = self._place(position, some, last[some], drawn[some])
                ends |= drawn[some] >= MOST_NOTES - 1
                writing[some[ends]] = False
                some, place = some[~ends], place[~ends]
            if not writing.any():
                break
            if len(some):
                last[some] = self._note(hidden, some, place, last[some], drawn[some])
                for i in some.tolist():
                    found[i].append(last[i].copy())
                drawn[some] += 1
            for i in np.flatnonzero(forced).tolist():
                last[i] = prompts[i][number[i]]
            number += 1
            tokens = last[:, None]
        tables = [np.array(part, dtype=np.int64).reshape(-1, 5) for part in found]
        return [notes_of(table) + np.array([base, 0, 0, 0, 0]) for table, base in zip(tables, self.base)]

    def _past_shape(self) -> tuple[int, int, int, int]:
        """Layers, 2, heads, head width."""
        network = self.model.info.config["network"]
        return network["decoder_layers"], 2, network["heads"], network["width"] // network["heads"]

    def _both(self, values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values]) if self.guided else values

    def _moved(self, logits: np.ndarray, some: np.ndarray) -> np.ndarray:
        """(n, k) logits of the sheets `some`; `logits` are of them, and of what nothing is asked of behind."""
        if not self.guided:
            return logits[: len(some)]
        asked, free = logits[: len(some)], logits[len(some) :]
        return free + self.model.guidance * (asked - free)

    def _rows(self, some: np.ndarray) -> np.ndarray:
        return np.concatenate([some, self.count + some]) if self.guided else some

    def _place(self, position, some, last, drawn) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the step of the next note of each, and whether there is none."""
        logits = self._moved(position[self._rows(some)], some)
        step = np.arange(WINDOW + 1)
        first, limit = self.first[some, None], self.limit[some, None]
        mark = last[:, 0] == END
        at = np.where(mark, 0, last[:, 0])
        bars = self.bars[some]
        before = bars[np.arange(len(some)), np.maximum(self.first[some] - 1, 0)]
        bar = np.where(at >= self.first[some], bars[np.arange(len(some)), at], before)  # filled up to this one
        bar = np.where((self.first[some] == 0) & mark, bars[:, 0] - 1, bar)
        final = bars[np.arange(len(some)), self.limit[some] - 1]
        inside = np.concatenate([bars, np.full((len(some), 1), np.iinfo(np.int64).max)], axis=1) <= bar[:, None] + 1
        open_ = np.where(step < limit, inside, (bar >= final)[:, None]) & (step >= np.maximum(first, at[:, None]))
        full = (
            _above(last[:, 2]) >= np.minimum(self.ceiling[some, at], KEYS) - 1
        ) & ~mark  # no key is left at this step
        open_[np.arange(len(some)), at] &= ~full
        stuck = ~open_.any(axis=1)
        open_[stuck, END] = True
        chosen = self._drawn(np.where(open_, logits, CLOSED), some, self.dice[some, drawn, 0])
        return np.minimum(chosen, WINDOW - 1), chosen >= self.limit[some]

    def _note(self, hidden, some, place, last, drawn) -> np.ndarray:
        """(n, 5) tokens of notes at these steps."""
        every, n = self._rows(some), len(some)
        twice = len(every) // n
        mark = last[:, 0] == END
        seen = self.seen[every, np.tile(place, twice)]
        cell = self.cells[every, np.tile(place, twice)]
        at = np.where(mark, 0, last[:, 0])
        asked = {
            "hidden": hidden[every],
            "cell": cell,
            "wait": np.tile(place - at, twice),
            "last": np.tile(np.where(mark, FIRST_KEY, last[:, 2]), twice),
            "seen": seen,
        }
        logits = self._moved(self.model.keys(asked)[0], some)
        lowest = np.where((place == at) & ~mark, _above(last[:, 2]), -1)
        number = np.arange(KEYS)
        open_ = (number > lowest[:, None]) & (number < self.ceiling[some, place][:, None])
        open_[~open_.any(axis=1)] = True
        key = self._drawn(np.where(open_, logits, CLOSED), some, self.dice[some, drawn, 1])
        hands, durations, velocities = self.model.detail(
            {"hidden": hidden[some], "cell": cell[:n], "key": key, "seen": seen[:n]}
        )
        temperature = self.temperature[some]
        throws = MIDDLE + np.minimum(temperature, 1.0)[:, None] * (self.dice[some, drawn] - MIDDLE)
        sharp, row = np.maximum(temperature, 1.0), np.arange(n)
        hand = thrown(hands, sharp, throws[:, 2])
        duration = thrown(durations[row, hand], sharp, throws[:, 3])
        velocity = thrown(velocities[row, hand, duration], sharp, throws[:, 4])
        return np.column_stack([place, hand, key, duration, velocity])

    def _drawn(self, logits: np.ndarray, some: np.ndarray, throw: np.ndarray) -> np.ndarray:
        """(n,) the choice of each row of `logits` (n, k) by a throw in 0..1; the likeliest at temperature 0."""
        temperature = self.temperature[some]
        scaled = logits / np.maximum(temperature, 1e-3)[:, None]
        order = np.argsort(-scaled, axis=1, kind="stable")
        share = np.exp(np.take_along_axis(scaled - scaled.max(axis=1, keepdims=True), order, axis=1))
        share /= share.sum(axis=1, keepdims=True)
        before = np.cumsum(share, axis=1) - share
        share = np.where(before < self.top_p[some, None], share, 0.0)
        share = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
        rank = np.where(temperature > 0, (share <= throw[:, None]).sum(axis=1), 0)
        return order[np.arange(len(order)), np.minimum(rank, order.shape[1] - 1)]


def _above(key: np.ndarray) -> np.ndarray:
    """(n,) the key above which the next one struck with `key` may lie: itself, or higher where close notes are mud."""
    return key + np.where(key < MUD, THICK, 0)
