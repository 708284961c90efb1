"""Which of several candidates is the best: the one most like the target among those that are still the piece.

Each candidate is weighed by what the two classifiers of the pair (`style.genres`) say of its four-bar phrases, mean of
both, and by how much of the harmony of the source is left: the chroma similarity of `evaluation.style`, which must
reach `FLOOR`. A transfer that classifiers like and nobody recognises as the piece is no transfer.

Source: rejection under a content floor is the specification's (9.7); the floor is its figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ModelError
from spartito.notes.phrases import PHRASE, rolls
from spartito.style.engines import StylePiece, StyleWish, Written

__all__ = ["FLOOR", "Candidate", "best_of", "weighed"]

FLOOR = 0.7  # chroma similarity that a candidate must keep
MOST = 64  # phrases of a piece that are judged, spread over all of it


@dataclass(frozen=True, eq=False)
class Candidate:
    """One answer of an engine, weighed.

    Attributes
    ----------
    written : Written
        With the kept notes in it.
    number : int
        In the order of the engine, from 0.
    chroma : float
        Similarity to the source, 0..1.
    published, independent : float
        Probability of the target genre by either classifier, mean over the phrases; nan when not asked.
    """

    written: Written
    number: int
    chroma: float
    published: float = float("nan")
    independent: float = float("nan")

    @property
    def holds(self) -> bool:
        """Whether enough of the source is left."""
        return self.chroma >= FLOOR

    @property
    def likeness(self) -> float:
        """Probability of the target, mean of both classifiers."""
        return (self.published + self.independent) / 2

    def report(self) -> dict:
        """For JSON."""
        told = {"number": self.number, "notes": len(self.written.notes), "chroma_sim": round(self.chroma, 3)}
        if not np.isnan(self.likeness):
            told |= {"published": round(self.published, 3), "independent": round(self.independent, 3)}
        return told | self.written.figures


def weighed(answers: list[Written], piece: StylePiece, wish: StyleWish, *, judge: bool) -> list[Candidate]:
    """The candidates in the order of the engine. With `judge` both classifiers are needed (else ModelError)."""
    from spartito.style.genres import phrase_starts

    steps = max(piece.steps, PHRASE)
    source = rolls(piece.notes, [0], steps=steps)
    judges = _judges(wish.pair, needed=judge)
    starts = phrase_starts(piece.notes, first=int(piece.grid.downbeats[:1].sum()) if piece.four else 0, most=MOST)
    candidates = []
    for number, written in enumerate(answers):
        chroma = _similarity(source, rolls(written.notes, [0], steps=steps))
        likeness = (float("nan"),) * 2
        if judges is not None:
            likeness = _likeness(judges, rolls(written.notes, starts), wish)
        candidates.append(Candidate(written, number, chroma, *likeness))
    return candidates


def best_of(candidates: list[Candidate]) -> Candidate:
    """The likest of those that hold; when none does, the nearest to the source. Of equals the first."""
    holding = [candidate for candidate in candidates if candidate.holds]
    if not holding:
        return max(candidates, key=lambda candidate: candidate.chroma)
    return max(holding, key=lambda candidate: np.nan_to_num(candidate.likeness))


def _similarity(source: np.ndarray, result: np.ndarray) -> float:
    from spartito.evaluation.style import chroma_similarity

    return float(np.nan_to_num(chroma_similarity(source, result)[0]))


def _judges(pair: tuple[str, str], *, needed: bool):
    """The classifiers of a pair; None when their weights are missing and nobody needs them."""
    from spartito.style.genres import open_judges

    try:
        return open_judges(pair)
    except ModelError:
        if needed:
            raise
        return None


def _likeness(judges, phrases: np.ndarray, wish: StyleWish) -> tuple[float, float]:
    """Probability of the target by either classifier, mean over the phrases ((n, 2, 64, 84)) that sound."""
    phrases = phrases[phrases[:, 1].any(axis=(1, 2))]
    if len(phrases) == 0:
        return 0.0, 0.0
    column = wish.pair.index(wish.target)
    return tuple(float(np.mean(hear(phrases)[:, column])) for hear in (judges.published, judges.independent))
