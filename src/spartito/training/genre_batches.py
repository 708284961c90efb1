"""Phrases of two genres as a classifier sees them: drawn evenly, matched in notes, and spoiled on purpose.

Job
    `Phrases` draws from a store so that neither how many works a genre has nor how long they are tells genres apart
    and, if asked for, nor does the number of notes in a phrase. `spoiled` moves, thins, flips and blurs what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spartito.errors import ParameterError
from spartito.training.data.genre_store import GenrePieces

__all__ = ["Phrases", "Spoiling", "matched_chances", "onsets_in", "spoiled", "transposed", "without"]

DENSITIES = np.array([0, 8, 16, 24, 32, 40, 48, 56, 64, 76, 88, 104, 128, 160, 10_000])  # onsets in a phrase, edges


@dataclass(frozen=True)
class Spoiling:
    """What is done to phrases; each gets its own amount, from nothing to what is said here."""

    transpose: int = 0
    """Semitones either way."""
    flips: float = 0.0
    """Share of all cells that are turned over."""
    noise: float = 0.0
    """Deviation of normal noise on inputs of -1 and 1."""
    soft: float = 0.0
    """How far a sounding cell may fall below 1 and a silent one rise above 0."""
    thinned: float = 0.0
    """Share of the notes that are taken away."""
    merged: float = 0.0
    """Share of phrases of which only what sounds is shown, so that repeated notes are one."""


# -- phrases -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Phrases:
    """The phrases of the two genres of a pair, with the chance of each to be drawn.

    Attributes
    ----------
    pieces : the two GenrePieces, A first
    windows : two (w, 2) int arrays, piece and first step
    chances : two (w,) float arrays, each of sum 1
    """

    pieces: tuple[GenrePieces, GenrePieces]
    windows: tuple[np.ndarray, np.ndarray]
    chances: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, pieces: Sequence[GenrePieces], *, hop: int, even: bool = True, matched: bool = False) -> Phrases:
        """All phrases of two genres. Raises ParameterError when a genre has none."""
        windows = [p.windows(hop=hop) for p in pieces]
        for p, w in zip(pieces, windows):
            if len(w) == 0:
                raise ParameterError(f"the store holds no phrase of four bars of {p.genre}")
        chances = [_per_work(p, w) if even else np.full(len(w), 1 / len(w)) for p, w in zip(pieces, windows)]
        if matched:
            chances = matched_chances([onsets_in(p, w) for p, w in zip(pieces, windows)], chances)
        return cls(tuple(pieces), tuple(windows), tuple(chances))

    def draw(self, count: int, rng: np.random.Generator, *, again: bool = True) -> tuple[Tensor, Tensor]:
        """(2 count, 2, 64, 84) rolls in 0..1 and (2 count,) labels, `count` phrases of genre 0 and then of genre 1.

        Without `again` no phrase comes twice, and there are no more of one genre than of the other.
        """
        if not again:
            count = min(count, *(int((chance > 0).sum()) for chance in self.chances))
        rows = [rng.choice(len(w), count, replace=again, p=p) for w, p in zip(self.windows, self.chances)]
        rolls = np.concatenate([p.rolls(w[r]) for p, w, r in zip(self.pieces, self.windows, rows)])
        return torch.from_numpy(rolls).float(), torch.arange(2).repeat_interleave(count)


def _per_work(pieces: GenrePieces, windows: np.ndarray) -> np.ndarray:
    """(w,) chances, sum 1, that draw every work equally often, however long it is, and every phrase of a work.

    `GenrePieces.weights` in contrast counts a work once and by its length, however many versions there are.
    """
    work = np.unique(pieces.works, return_inverse=True)[1][windows[:, 0]]
    chance = 1.0 / np.bincount(work)[work]
    return chance / chance.sum()


def onsets_in(pieces: GenrePieces, windows: np.ndarray, *, chunk: int = 1024) -> np.ndarray:
    """(w,) int: notes that begin in each phrase."""
    parts = [
        pieces.rolls(windows[first : first + chunk])[:, 0].sum(axis=(1, 2), dtype=np.int64)
        for first in range(0, len(windows), chunk)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def matched_chances(counts: Sequence[np.ndarray], chances: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Chances with which both genres have the same distribution over numbers of notes (`DENSITIES`).

    `counts`, `chances` : for each genre (w,). Each class of numbers gets the smaller of the two shares; what only one
    genre has is never drawn. Raises ParameterError when there is no class that both have.
    """
    place = [np.digitize(count, DENSITIES) for count in counts]
    shares = [np.bincount(at, weights=p, minlength=len(DENSITIES) + 1) for at, p in zip(place, chances)]
    common = np.minimum(*shares)
    if common.sum() <= 0:
        raise ParameterError("no phrase of one genre has as many notes as one of the other: they cannot be matched")
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = [np.where(share > 0, common / share, 0.0) for share in shares]
    matched = [p * f[at] for p, f, at in zip(chances, factor, place)]
    return [p / p.sum() for p in matched]


# -- spoiling ------------------------------------------------------------------------------------------------------


def spoiled(rolls: Tensor, how: Spoiling, generator: torch.Generator) -> Tensor:
    """(n, 2, 64, 84) rolls changed, each phrase by its own amount."""

    def uniform(*shape) -> Tensor:
        return torch.rand(shape, generator=generator)

    n = len(rolls)
    if how.transpose:
        span = 2 * how.transpose + 1
        rolls = transposed(rolls, torch.randint(span, (n,), generator=generator) - how.transpose)
    onset, sounding = rolls[:, 0], rolls[:, 1]
    if how.thinned:  # a note whose onset goes is heard no more; what was held into the phrase stays
        gone = onset * (uniform(*onset.shape) < how.thinned * uniform(n, 1, 1))
        onset, sounding = onset - gone, without(sounding, onset, gone)
    if how.flips:
        share = how.flips * uniform(n, 1, 1)
        turned = (uniform(*onset.shape) < share).float()
        sounding = (sounding - turned).abs()
        begun = turned * (uniform(*onset.shape) < 0.5)  # half of the false cells claim to be onsets
        onset = torch.maximum(onset, begun) * sounding
    if how.merged:
        before = functional.pad(sounding, (0, 0, 1, 0))[:, :-1]
        edges = functional.relu(sounding - before)
        onset = torch.where(uniform(n, 1, 1) < how.merged, edges, onset)
    rolls = torch.stack([onset, sounding], dim=1)
    if how.soft:
        rolls = (rolls - how.soft * uniform(n, 1, 1, 1) * uniform(*rolls.shape) ** 4).abs()  # mostly near 0 and 1
    if how.noise:
        deviation = how.noise / 2 * uniform(n, 1, 1, 1)  # half, as cells are 0 and 1 here
        rolls = rolls + deviation * torch.randn(rolls.shape, generator=generator)
    return rolls


def transposed(rolls: Tensor, semitones: Tensor) -> Tensor:
    """(n, c, steps, 84) rolls, each moved up by its own number of `semitones` ((n,)); what leaves the range is lost."""
    most = int(semitones.abs().max()) if len(semitones) else 0
    wide = functional.pad(rolls, (most, most))
    columns = most + torch.arange(rolls.shape[-1])[None] - semitones[:, None]
    return wide.gather(3, columns[:, None, None].expand(-1, *rolls.shape[1:3], -1))


def without(sounding: Tensor, onset: Tensor, gone: Tensor) -> Tensor:
    """What sounds (n, steps, keys) when the notes that begin at the cells of `gone` are taken away.

    A cell belongs to the last onset on its key, if there is one.
    """
    step = torch.arange(1, onset.shape[1] + 1, dtype=onset.dtype)[:, None]
    last, lost = (onset * step).cummax(dim=1).values, (gone * step).cummax(dim=1).values
    return sounding * ~((lost == last) & (last > 0))
