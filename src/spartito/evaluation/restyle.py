"""A whole piece in another genre beside the piece it was made from: what `spartito evaluate restyle` prints.

Method
    Both are put on the sixteenths of the source's beats: those of its tempo map, or tracked ones where its notes do not
    follow it. What is kept is measured on the piece as one long phrase (`evaluation.style`); the tune is its top line
    without the accompaniment that shows in its rests (`notes.skyline`).

    Phrases of four bars, one after the other from the bar of the first note, go to the two shipped classifiers of the
    pair of genres (`style.genres`), if they are there. `published` and `independent` name them:

    target_*, source_target_*   mean probability of the target genre: of the result, and of the piece as it was
    success_*                   share of the phrases taken for the source genre before and for the target genre after
    strength_*, prob_*          fall of the share of phrases taken for the source genre, and of its mean probability
    empty_rate                  share of the phrases in which nothing is left
    seam_density, seam_chroma   see `evaluation.style.seams`: at the borders of those phrases

    The published classifier has seen what the generators learnt from, and the generators have seen it; the independent
    one has not. Believe the second, and neither alone: `docs/restyle.md`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats, beats_from_tempo_map, estimate_beats
from spartito.errors import ModelError, NotesError
from spartito.evaluation.strength import strength, success
from spartito.evaluation.style import compare, seams
from spartito.notes.notes import Notes, merge
from spartito.notes.phrases import HIGHEST, KEYS, LOWEST, PHRASE, by_quarters, gridded, rolls
from spartito.notes.skyline import skyline
from spartito.style.engines import GENRES, check_genre, pair_of

__all__ = ["CURVE", "evaluate_restyle", "genre_profiles", "strength_curve"]

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)  # strengths
PROFILES = Path(__file__).parent.parent / "weights" / "genre-profiles" / "profiles.npz"


def evaluate_restyle(
    reference: Notes,
    estimate: Notes,
    *,
    to: str,
    source: str | None = None,
    beats: Beats | None = None,
    plot: str | os.PathLike | None = None,
) -> dict[str, float]:
    """Scores of `estimate`, which is `reference` in the genre `to`, by the names above and those of `compare`.

    Parameters
    ----------
    reference, estimate : Notes
        On the same seconds. Drums are left out of account.
    to, source : {"classic", "jazz", "pop"}
        `source` is the genre of the reference; by default the one that the classifiers hear in it.
    beats : Beats, optional
        Of the reference.
    plot : path, optional
        A picture of both, .png, .svg or .pdf.

    Raises
    ------
    ParameterError
        Another genre, or twice the same.
    NotesError
        A source without notes.
    """
    check_genre(to)
    if source is not None:
        pair_of(source, to)  # two different ones
    before, after, first, steps = _on_one_grid(reference, estimate, beats)
    a, b = (rolls(notes, [0], steps=steps) for notes in (before, after))
    tune = np.zeros((1, steps, KEYS), dtype=bool)
    line = before[skyline(before)]
    line = line[(line[:, 2] >= LOWEST) & (line[:, 2] <= HIGHEST)]
    tune[0, line[:, 0], line[:, 2] - LOWEST] = True

    starts = _phrases(first, steps)
    ours, theirs = (rolls(notes, starts) for notes in (before, after))
    heard = (ours[:, 0] > 0).any(axis=(1, 2))
    starts, ours, theirs = starts[heard], ours[heard], theirs[heard]
    source = source or _recognised(before, starts, to)
    profiles = genre_profiles() if source else {}
    measures = compare(a, b, target=profiles.get(to), source=profiles.get(source), tune=tune)
    scores = {name: float(values[0]) for name, values in measures.items() if np.isfinite(values[0])}
    scores.pop("empty", None)
    if len(starts):
        scores["empty_rate"] = float(np.mean(~(theirs[:, 0] > 0).any(axis=(1, 2))))
    joined = seams(a[0], b[0], hop=PHRASE, first=first)
    scores |= {name: value for name, value in joined.items() if np.isfinite(value)}
    if source and len(starts):
        scores |= _judged(ours, theirs, source, to)
    if plot is not None:
        _draw(before, after, first, scores, to, plot, reference.title)
    return scores


def strength_curve(
    notes: Notes,
    *,
    to: str,
    source: str | None = None,
    engine=None,
    keep: Sequence[str] = (),
    beats: Beats | None = None,
    strengths: Sequence[float] = CURVE,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, float]]:
    """What `spartito.restyle` changes in a piece at each strength: scores of `evaluate_restyle` with `strength`.

    `target` is the probability of the target genre by the independent classifier, if there is one. Everything else as
    in `spartito.restyle`.
    """
    from spartito.style.transfer import restyled

    rows = []
    for done, value in enumerate(strengths, start=1):
        made = restyled(notes, to=to, genre=source, engine=engine, strength=value, keep=keep, analysis=beats)
        source, beats = made.source or source, made.beats
        scores = evaluate_restyle(notes, made.notes, to=to, source=source, beats=beats)
        rows.append({"strength": float(value), **scores})
        if "target_independent" in scores:
            rows[-1]["target"] = scores["target_independent"]
        if progress is not None:
            progress(done, len(strengths))
    return rows


@cache
def genre_profiles() -> dict[str, np.ndarray]:
    """Mean histogram of pairs of notes (8, 41) of each genre, for `style_fit`; empty when they are not installed."""
    if not PROFILES.exists():
        return {}
    with np.load(PROFILES) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


# -- parts ----------------------------------------------------------------------------------------------------


def _on_one_grid(reference: Notes, estimate: Notes, beats: Beats | None):
    """Notes (k, 5) of both on the same steps, the downbeat at which the source begins, and steps."""
    if len(reference) == 0:
        raise NotesError("the source has no notes: nothing can be measured by it")
    beats = by_quarters(beats or beats_from_tempo_map(reference) or estimate_beats(reference))
    both = gridded(merge([reference, estimate]), beats)  # adds beats in front where a note lies before the first
    before, after = (gridded(notes, both.grid.beats) for notes in (reference, estimate))
    downbeats, begin = both.downbeats, int(before.notes[0, 0])
    first = downbeats[max(np.searchsorted(downbeats, begin, side="right") - 1, 0)]
    return before.notes, after.notes, int(first), both.steps


def _phrases(first: int, steps: int) -> np.ndarray:
    """(n,) first steps of the phrases; a rest of two bars and more at the end is one, filled with silence."""
    return np.arange(first, max(steps - PHRASE // 2, first) + 1, PHRASE)


def _recognised(notes: np.ndarray, starts: np.ndarray, to: str) -> str | None:
    """The likeliest genre of the source but the target; None without classifiers."""
    from spartito.style.genres import recognise

    try:
        likely = recognise(notes, starts)
    except ModelError:
        return None
    return max((genre for genre in GENRES if genre != to), key=lambda genre: likely[genre])


def _judged(ours: np.ndarray, theirs: np.ndarray, source: str, to: str) -> dict[str, float]:
    """What the two classifiers of the pair say of the phrases (n, 2, 64, 84) before and after."""
    from spartito.style.genres import open_judges

    pair = pair_of(source, to)
    try:
        judges = open_judges(pair)
    except ModelError:
        return {}
    index, scores = pair.index(source), {}
    for name in ("published", "independent"):
        judge = getattr(judges, name)
        before, after = (judge(phrases)[:, index] for phrases in (ours, theirs))
        scores[f"target_{name}"] = float(np.mean(1 - after))
        scores[f"source_target_{name}"] = float(np.mean(1 - before))
        scores[f"success_{name}"] = float(np.mean(success(before, after)))
        scores[f"strength_{name}"] = strength(before, after)
        scores[f"prob_{name}"] = strength(before, after, count="probability")
    return scores


def _draw(before, after, first: int, scores: dict, to: str, path, title: str) -> None:
    from spartito.render.plots_style import plot_versions

    probability = {}
    if "target_independent" in scores:
        probability = {"source": scores["source_target_independent"], "result": scores["target_independent"]}
    versions = {"source": before, "result": after}
    plot_versions(versions, path, first=first, target=to, probability=probability, title=title)
