"""The engine `cyclegan`: a network that knows four bars, on pieces of any length.

Method
    Windows of 64 steps begin a bar apart (at the bar lines of the piece; in metres other than 4/4 simply every 16
    steps), the last one ends with the piece. The network turns them all, a batch at a time; the probabilities of each
    step are blended with weights that rise and fall over the window (Hann), so that no border is heard. The strength
    moves every cell on the way from the source to the network's answer, and there is one threshold for the whole piece:

        p_s = sigmoid((1 - s) logit(clamp(x, 0.02, 0.98)) + s logit(p))

    so a cell changes once, at some strength, and never back. Notes are formed on the whole piece, across the borders;
    bars in which the source is silent stay so.
    Further candidates come from the same network, with one note in fifty hidden from it.

Source
    The specification of the genre transfer, 9.3, 9.4 and 9.7, on the network of G. Brunner, Y. Wang, R. Wattenhofer and
    S. Zhao, 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018), who turn each four bars by themselves. Seams
    are measured by `evaluation.style.seams`. Notes beyond the 84 keys of the network stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from spartito.errors import ModelError, ParameterError
from spartito.models.hub import find_model
from spartito.notes.phrases import HIGHEST, KEYS, LOWEST, PHRASE, STEPS_PER_BEAT, from_rolls, rolls
from spartito.style.engines import CYCLEGAN, PAIRS, Progress, StylePiece, StyleWish, Written, pair_of

__all__ = ["CycleEngine", "at_strength", "blend", "density_threshold", "tidied", "window_starts"]

HOP = 16  # steps between windows: a bar
BATCH = 64  # windows turned at once: 3 MB in, some 100 MB inside a network of 32 channels
CERTAIN = 0.98  # what a cell of the source counts as, on the way to the network's answer (the specification, 9.4)
SURE = 1e-6  # a network's probabilities keep this far from 0 and 1
DROPOUT = 0.02  # share of the notes that are hidden from the network, for another candidate
NINTH = 13  # semitones
CLASHES = (-NINTH, -1, 1, NINTH)  # semitones between notes that hurt
THRESHOLDS = ("half", "density")

Turn = Callable[[np.ndarray], np.ndarray]
"""Windows (n, 2, 64, 84) float32 0 or 1 -> probabilities of the same shape."""


# -- windows ------------------------------------------------------------------------------------------------


def window_starts(steps: int, *, hop: int = HOP, downbeats=None) -> np.ndarray:
    """(n,) first step of each window of a piece of `steps` steps.

    Parameters
    ----------
    hop : int
        Steps between windows.
    downbeats : np.ndarray, shape=(bars,), steps, optional
        Windows begin on these, where they are a bar (16 steps) or more apart, and every `hop` steps where there are
        none; a pick-up belongs to a window that begins before the piece. Without them the first begins with the piece.

    The last window ends with the piece (or with its last bar), unless the piece is shorter than a window.
    """
    if downbeats is None or len(downbeats) == 0:
        first, last = 0, max(steps - PHRASE, 0)
        starts = np.append(np.arange(first, last, hop), last)
    else:
        lines = np.asarray(downbeats, dtype=np.int64)
        head = np.arange(lines[0] - hop * -(-lines[0] // hop), lines[0], hop)  # from just before the piece on
        tail = np.arange(lines[-1], max(steps, lines[-1] + 1), hop)
        inside = [np.arange(a, b, hop) for a, b in pairwise(lines)]
        starts = np.concatenate([head, *inside, tail])
        end = starts[-1] + hop  # of the last bar
        last = max(end - PHRASE, starts[0])
        starts = np.append(starts[starts < last], last)
    return np.unique(starts)


def blend(turn: Turn, notes: np.ndarray, starts: np.ndarray, steps: int, *, progress: Progress | None = None):
    """(2, steps, 84) float32: the probabilities of all windows of a piece, blended over time.

    Parameters
    ----------
    turn : callable
        The network, see `Turn`.
    notes : np.ndarray, shape=(k, 5)
    starts : np.ndarray, shape=(n,), steps
        Of the windows; every step of the piece lies in one.
    steps : int
        Length of the piece.
    """
    weight = np.sin(np.pi * (np.arange(PHRASE) + 0.5) / PHRASE) ** 2  # Hann, nowhere zero
    before = max(0, -int(starts.min()))
    length = before + max(steps, int(starts.max()) + PHRASE)
    total, share = np.zeros((2, length, KEYS), dtype=np.float32), np.zeros(length, dtype=np.float32)
    for done in range(0, len(starts), BATCH):
        batch = starts[done : done + BATCH]
        answer = np.asarray(turn(rolls(notes, batch).astype(np.float32)))
        for start, window in zip(batch + before, answer, strict=True):
            total[:, start : start + PHRASE] += window * weight[None, :, None]
            share[start : start + PHRASE] += weight
        if progress is not None:
            progress(min(1.0, (done + BATCH) / len(starts)))
    part = slice(before, before + steps)
    return total[:, part] / np.maximum(share[part], SURE)[None, :, None]


def at_strength(source: np.ndarray, probability: np.ndarray, strength: float) -> np.ndarray:
    """Probabilities on the way from a source (0 or 1) to a network's answer, of the same shape."""
    x = np.clip(source.astype(np.float32), 1 - CERTAIN, CERTAIN)
    p = np.clip(probability, SURE, 1 - SURE)
    z = (1 - strength) * np.log(x / (1 - x)) + strength * np.log(p / (1 - p))
    return 1 / (1 + np.exp(-z))


def density_threshold(source: np.ndarray, probability: np.ndarray) -> float:
    """The threshold over which as many cells lie as the source has."""
    count = int(np.count_nonzero(source))
    if count == 0 or count >= probability.size:
        return 0.5
    ordered = np.partition(probability.ravel(), probability.size - count - 1)
    return float(ordered[probability.size - count - 1])  # as many lie above it, ties aside


def tidied(notes: np.ndarray, onset: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The notes a network wrote without those that sound like mistakes.

    Left out are keys that sound though nothing strikes them, and of the notes that the source does not have: those of a
    single step with no other in it, on a pitch class that the source does not play in that beat, and those that begin a
    minor second or a minor ninth away from a note of the source that is still there. Short chords stay: without them
    pop made jazz was jazz in 46 % of the phrases for the independent classifier, with them in 85 % (48 of validation).

    Parameters
    ----------
    notes : np.ndarray, shape=(k, 5)
        As `from_rolls` gives them.
    onset : np.ndarray, shape=(steps, 84), bool
        Where the network strikes keys.
    source : np.ndarray, shape=(2, steps, 84)
        Rolls of the source.
    """
    notes = notes[onset[notes[:, 0], notes[:, 2] - LOWEST]]
    step, column = notes[:, 0], notes[:, 2] - LOWEST
    old = source[0, step, column] > 0
    beats = source[1].reshape(-1, STEPS_PER_BEAT, KEYS).any(axis=1)  # (beats, 84)
    classes = np.stack([beats[:, k::12].any(axis=1) for k in range(12)], axis=1)  # (beats, 12), C first: LOWEST is one
    alone = np.bincount(step, minlength=len(onset))[step] == 1
    crumb = (notes[:, 1] == 1) & alone & ~classes[step // STEPS_PER_BEAT, column % 12]
    stays = rolls(notes[old], [0], steps=len(onset))[0, 1]
    wide = np.pad(stays, ((0, 0), (NINTH, NINTH)))
    clash = np.any([wide[step, column + NINTH + away] > 0 for away in CLASHES], axis=0)
    return notes[old | ~(crumb | clash)]


# -- the engine ---------------------------------------------------------------------------------------------


class CycleEngine:
    """Generators of pairs of genres, opened when they are needed.

    Parameters
    ----------
    folder : path, optional
        The weights of one pair; then this engine serves no other. By default those that ship.
    generators : dict, optional
        (A, B) -> callable `g(windows, source, target)` in place of weights.
    threshold : "half" or "density", optional
        When a cell is a note: at a probability of one half, or so that as many cells sound and as many notes begin as
        in the source. Default: as the `config.json` of the weights says, else half.
    hop : int
        Steps between windows; 64 gives each four bars by themselves, as published.
    tidy : bool
        Leave out what nobody would miss, see `tidied`.
    """

    name, needs_source = CYCLEGAN, True

    def __init__(
        self,
        folder=None,
        *,
        generators: dict | None = None,
        threshold: str | None = None,
        hop: int = HOP,
        tidy: bool = True,
        device: str = "auto",
        threads: int = 0,
    ):
        if threshold is not None and threshold not in THRESHOLDS:
            raise ParameterError(f"the threshold is one of {', '.join(THRESHOLDS)}, not {threshold!r}")
        if not 1 <= hop <= PHRASE:
            raise ParameterError(f"windows begin 1 to {PHRASE} steps apart, not {hop}")
        self.threshold, self.hop, self.tidy = threshold, hop, tidy
        self._opened, self._device, self._threads = dict(generators or {}), device, threads
        self._closed = folder is not None or generators is not None
        if folder is not None:
            pair = tuple(find_model(folder).config.get("pair", ()))
            if pair not in PAIRS:
                raise ModelError(f"{folder} does not say between which genres it goes ({CYCLEGAN} needs its pair)")
            self._opened[pair] = _open(pair, folder, device, threads)

    def check(self, target: str, source: str | None = None) -> None:
        """Open what is needed. A source that is not known yet, or the target itself, needs nothing yet."""
        if source is not None and source != target:
            self.generator(pair_of(source, target))
        elif self._closed and not any(target in pair for pair in self._opened):
            raise ParameterError(self._refusal(f"to {target}"))

    def generator(self, pair: tuple[str, str]):
        """The network of a pair (A first). Raises ModelError when its weights are missing."""
        if pair not in self._opened:
            if self._closed:
                raise ParameterError(self._refusal(f"between {' and '.join(pair)}"))
            self._opened[pair] = _open(pair, None, self._device, self._threads)
        return self._opened[pair]

    def _refusal(self, what: str) -> str:
        known = ", ".join("-".join(pair) for pair in self._opened)
        return f"this model turns {known}, not {what}: leave --engine out, or name another model"

    def restyle(self, piece: StylePiece, wish: StyleWish, *, progress: Progress | None = None) -> list[Written]:
        generator = self.generator(wish.pair)
        downbeats = piece.grid.downbeats[piece.grid.downbeats < max(piece.steps, 1)] if piece.four else None
        starts = window_starts(piece.steps, hop=self.hop, downbeats=self._lines(downbeats))
        written = []
        for number in range(wish.candidates):
            told = None if progress is None else lambda part, n=number: progress((n + part) / wish.candidates)
            written.append(self._candidate(generator, piece, wish, starts, number, told))
        return written

    def _lines(self, downbeats):
        """Every bar line, or for a longer hop those that are at least that far apart."""
        if downbeats is None or self.hop <= HOP:
            return downbeats
        return downbeats[:: max(1, self.hop // HOP)]

    def _candidate(self, generator, piece, wish, starts, number: int, progress) -> Written:
        heard = piece.notes
        if number > 0:
            hidden = np.random.default_rng((wish.seed, number)).random(len(heard)) < DROPOUT
            heard = heard[~hidden]
        probability = blend(_turn_of(generator, wish), heard, starts, piece.steps, progress=progress)
        source = rolls(piece.notes, [0], steps=piece.steps)[0]
        moved = at_strength(source, probability, wish.strength) * _heard_bars(source[1], piece.positions)[:, None]
        limits = [0.5, 0.5]
        threshold = self.threshold or getattr(generator, "config", {}).get("threshold", THRESHOLDS[0])
        if threshold == "density":
            limits = [density_threshold(*channels) for channels in zip(source, moved, strict=True)]
        onset, act = (channel > limit for channel, limit in zip(moved, limits, strict=True))
        notes = from_rolls(onset, act)
        if self.tidy:
            notes = tidied(notes, onset, source)
        beyond = piece.notes[(piece.notes[:, 2] < LOWEST) | (piece.notes[:, 2] > HIGHEST)]
        return Written(np.concatenate([notes, beyond]))


def _heard_bars(act: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(steps,) bool: steps of bars in which the source sounds; in the others nobody asked for music.

    `act` (steps, 84) of the source, `positions` (beats,) in the bar.
    """
    bar = np.repeat(np.cumsum(np.append(False, positions[1:] == 0)), STEPS_PER_BEAT)
    return (np.bincount(bar, weights=act.any(axis=1)) > 0)[bar]


def _turn_of(generator, wish: StyleWish) -> Turn:
    """The network as `blend` wants it. One of a single channel, as published, leaves the onsets where they are."""
    channels = getattr(generator, "config", {}).get("generator", {}).get("channels", 2)

    def turn(windows: np.ndarray) -> np.ndarray:
        if channels == 2:
            return generator(windows, wish.source, wish.target)
        sounding = generator(windows[:, 1:], wish.source, wish.target)
        return np.concatenate([sounding * windows[:, :1], sounding], axis=1)

    return turn


def _open(pair, folder, device: str, threads: int):
    from spartito.models.cyclegan_runtime import open_generator

    return open_generator(pair, folder, device=device, threads=threads)
