"""Does an arrangement do what was asked of it?

Job
    `measured_controls` gives the figures of one cover; `control_scores` compares many covers with what was asked.

Method
    A cover is measured in two-bar windows (`notes.attributes`): means of density, register, polyphony and difficulty
    over the windows that have notes, and the share of them that has each pattern of the left hand. For each control:

    correlation  Spearman's rank correlation of level asked and value measured, over all covers
    within       the same inside each song, mean over the songs: other songs are denser or lie higher by themselves
    means        of the measured values at each level asked (0: nothing asked)

    A pattern has no order. Its score is the mean share of the windows that have the pattern asked (`share`), beside the
    share that has it in covers of the same song of which nothing was asked (`free`). The same holds for styles: the
    share of covers whose nearest style is the one asked. As a song may be far from a style, `nearer` is the share of
    covers that lie nearer to the style asked than the cover of that song of which nothing was asked.

Source
    C. Spearman, 'The proof and measurement of association between two things' (American Journal of Psychology 15(1),
    1904). Controls are judged by correlation of what is asked and measured in S.-L. Wu, Y.-H. Yang, 'MuseMorphose'
    (IEEE/ACM TASLP 31, 2023), too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spartito.analysis.beats import Beats
from spartito.notes.attributes import EDGES, PATTERNS, measures_of_windows, vector_of
from spartito.notes.notes import Notes
from spartito.notes.styles import Styles, piece_windows

__all__ = ["ORDERED", "Trial", "control_scores", "measured_controls", "rank_correlation"]

ORDERED = (*EDGES, "difficulty")  # controls whose levels go from little to much


@dataclass(frozen=True)
class Trial:
    """One cover: which control was asked to have which level (0: nothing was asked), and what came of it."""

    song: str
    control: str
    level: int
    measured: dict[str, float]


def measured_controls(notes: Notes, beats: Beats | None = None, *, styles: Styles | None = None) -> dict[str, float]:
    """What a cover has of each control: means of `ORDERED`, the share of each pattern, with `styles` the nearest
    one and the distance to each ("to style 1" ...)."""
    cut = piece_windows(notes, beats)
    measures = measures_of_windows(*cut)
    there = ~np.isnan(measures["density"])
    figures = {name: float(measures[name][there].mean()) if there.any() else np.nan for name in ORDERED}
    for i, name in enumerate(PATTERNS, start=1):
        figures[name] = float((measures["pattern"][there] == i).mean()) if there.any() else 0.0
    if styles is not None:
        vector = vector_of(measures)
        figures["style"] = styles.nearest(vector)
        figures |= {f"to style {i}": float(away) for i, away in enumerate(styles.distances(vector), start=1)}
    return figures


def rank_correlation(a, b) -> float:
    """Spearman's correlation of two columns (n,), equals sharing their rank; nan where one of them does not vary."""
    a, b = _ranks(np.asarray(a, dtype=np.float64)), _ranks(np.asarray(b, dtype=np.float64))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / size) if size > 0 else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) ranks from 0 on; equals get the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count + 1) / 2)[place]


def control_scores(trials: Sequence[Trial]) -> dict[str, dict]:
    """The scores of every control that was tried, as listed at the top of this file."""
    scores: dict[str, dict] = {}
    for control in dict.fromkeys(trial.control for trial in trials):
        rows = [trial for trial in trials if trial.control == control]
        if control in ORDERED:
            scores[control] = _ordered(control, rows)
        elif control in ("pattern", "style"):
            scores[control] = {f"{i}": _named(control, i, rows) for i in sorted({t.level for t in rows} - {0})}
    return scores


def _ordered(control: str, rows: Sequence[Trial]) -> dict:
    asked = [trial for trial in rows if trial.level > 0 and np.isfinite(trial.measured[control])]
    songs = [[trial for trial in asked if trial.song == song] for song in dict.fromkeys(t.song for t in asked)]
    within = [_correlation(control, song) for song in songs]
    means = {
        level: float(np.nanmean([trial.measured[control] for trial in rows if trial.level == level]))
        for level in sorted({trial.level for trial in rows})
    }
    known = [value for value in within if np.isfinite(value)]
    return {
        "correlation": _correlation(control, asked),
        "within": float(np.mean(known)) if known else np.nan,
        "means": means,
    }


def _correlation(control: str, rows: Sequence[Trial]) -> float:
    if len(rows) < 2:
        return np.nan
    return rank_correlation([trial.level for trial in rows], [trial.measured[control] for trial in rows])


def _named(control: str, level: int, rows: Sequence[Trial]) -> dict:
    def has(trial: Trial) -> float:
        return trial.measured[PATTERNS[level - 1]] if control == "pattern" else float(trial.measured[control] == level)

    asked = [trial for trial in rows if trial.level == level]
    songs = {trial.song for trial in asked}
    free = [has(trial) for trial in rows if trial.level == 0 and trial.song in songs]
    scores = {"share": float(np.mean([has(t) for t in asked])), "free": float(np.mean(free)) if free else np.nan}
    if control == "style":
        name = f"to style {level}"
        unasked = {trial.song: trial.measured[name] for trial in rows if trial.level == 0}
        nearer = [trial.measured[name] < unasked[trial.song] for trial in asked if trial.song in unasked]
        scores["nearer"] = float(np.mean(nearer)) if nearer else np.nan
    return scores
