"""Do the codes of two genres lie apart? Pictures of both in two dimensions, and how well a straight line parts them.

`recognised` asks the same of what is decoded: does a listener who knows real windows take it for its genre?

Method
    For every pair of genres, 128 windows of songs that have the one tag and not the other, and 128 the other way round,
    spread evenly over songs (`choose`). Their codes are drawn by their two principal components (`principal`) and by
    t-SNE (`neighbour_map`); `separability` is the accuracy of a logistic regression on songs it has not seen.

Figures of a pair
    code        accuracy, mean of the two genres' (chance is 0.5), on the whole code
    first_two   on the two dimensions in which the petals lie, alone
    features    on low-level measures of the windows (`latent.heat_rows`): what is heard without any network; a latent
                space that knows no more than that has learnt no genre

Source
    A. Valenti, A. Carta, D. Bacciu (ECAI 2020), figure 5: pictures of windows of the training set. L. van der Maaten,
    G. Hinton, 'Visualizing data using t-SNE' (JMLR 2008), exact, with their momentum, gains and early exaggeration (12,
    as became usual) and the principal components to start from. Ours: songs that were never learnt from, and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spartito.errors import ParameterError

__all__ = [
    "Pair",
    "choose",
    "folds",
    "genre_pairs",
    "logistic",
    "neighbour_map",
    "principal",
    "recognised",
    "separability",
]

WINDOWS = 128  # of each genre of a pair, published
FOLDS = 5
RIDGE = 1.0  # half the squared length of the weights, on features of deviation 1
FARTHEST = 10.0  # deviations: a feature that hardly varies in real music must not decide alone
PERPLEXITY = 30.0  # effective neighbours
STEPS, EARLY = 750, 250  # of t-SNE, and those with exaggeration
EXAGGERATION = 12.0
START = 1e-4  # deviation of the first positions


@dataclass(frozen=True, eq=False)
class Pair:
    """Two genres: `second` (n,) bool says which windows `rows` (n,) are of the second; `plane` and `map` (n, 2) are
    their places by principal components and t-SNE; `figures` as above, with counts of windows and songs."""

    names: tuple[str, str]
    rows: np.ndarray
    second: np.ndarray
    plane: np.ndarray
    map: np.ndarray
    figures: dict[str, float | int]


def genre_pairs(
    codes: np.ndarray,
    features: np.ndarray,
    tags: np.ndarray,
    songs: np.ndarray,
    names: Sequence[str],
    *,
    windows: int = WINDOWS,
    seed: int = 0,
) -> list[Pair]:
    """All pairs of genres that two songs each have, from codes (w, N_z), features (w, k; nan where there is none), tags
    (w, genres) bool and songs (w,) of windows."""
    random = np.random.default_rng(seed)
    found = []
    for a, b in combinations(range(len(names)), 2):
        rows = [choose(tags[:, i] & ~tags[:, j], songs, windows, random) for i, j in ((a, b), (b, a))]
        counts = [len(np.unique(songs[r])) for r in rows]
        if min(counts) < 2:
            continue
        chosen = np.concatenate(rows)
        second = np.repeat([False, True], [len(r) for r in rows])
        parts = {"code": codes[chosen], "first_two": codes[chosen, :2], "features": _filled(features[chosen])}
        figures = {name: separability(x, second, songs[chosen]) for name, x in parts.items()}
        figures |= {"windows_first": len(rows[0]), "windows_second": len(rows[1])}
        figures |= {"songs_first": counts[0], "songs_second": counts[1]}
        plane = principal(codes[chosen])
        made = Pair((names[a], names[b]), chosen, second, plane, neighbour_map(codes[chosen]), figures)
        found.append(made)
    return found


def choose(among: np.ndarray, songs: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Rows of `among` (w,) bool, at most `count`: of every song one, then of every song a second, and so on."""
    rows = random.permutation(np.flatnonzero(among))
    if not len(rows):
        return rows
    _, song = np.unique(songs[rows], return_inverse=True)
    order = np.argsort(song, kind="stable")
    first = np.flatnonzero(np.diff(song[order], prepend=-1))
    turn = np.empty(len(rows), dtype=np.int64)
    turn[order] = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
    return np.sort(rows[np.argsort(turn, kind="stable")[:count]])


def _filled(features: np.ndarray) -> np.ndarray:
    """Means in place of nan; a column of nan alone becomes 0."""
    there = np.isfinite(features)
    mean = np.where(there, features, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, features, mean)


# -- a line between two genres --------------------------------------------------------------------------------------


def folds(songs: np.ndarray, genre: np.ndarray, *, count: int = FOLDS) -> np.ndarray:
    """(n,) int: a fold of each window; a song lies in one, and the windows of each `genre` (n,) are spread evenly."""
    fold = np.zeros(len(songs), dtype=np.int64)
    for kind in np.unique(genre):
        here = np.flatnonzero(genre == kind)
        names, song, many = np.unique(songs[here], return_inverse=True, return_counts=True)
        load, place = np.zeros(min(count, max(len(names), 1))), np.zeros(len(names), dtype=np.int64)
        for i in np.argsort(-many, kind="stable"):
            place[i] = load.argmin()
            load[place[i]] += many[i]
        fold[here] = place[song]
    return fold


def separability(x: np.ndarray, second: np.ndarray, songs: np.ndarray) -> float:
    """Accuracy, mean of both genres', of a logistic regression on features (n, d), every song foretold from others."""
    fold, guess = folds(songs, second), np.zeros(len(x), dtype=bool)
    for number in np.unique(fold):
        test = fold == number
        kinds = second[~test]
        if len(kinds) == 0 or kinds.all() or not kinds.any():
            raise ParameterError("a genre is known by one song alone: there is nothing to learn it from")
        mean, deviation = x[~test].mean(axis=0), x[~test].std(axis=0)
        scaled = (x - mean) / np.where(deviation > 1e-9, deviation, 1.0)
        weights = logistic(scaled[~test], kinds)
        guess[test] = scaled[test] @ weights[1:] + weights[0] > 0
    return float(np.mean([(guess[second == kind] == kind).mean() for kind in (False, True)]))


def recognised(
    features: np.ndarray, genre: np.ndarray, songs: np.ndarray, others: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """How often windows are taken for their genre (mean of the genres') by logistic regressions, one for each genre
    against all, on low-level features (w, k; nan where there is none).

    `real`: the windows themselves, of `genre` (w,) int, every song told from other songs. `others`: features and genre
    of windows of the same names, told from all real ones.
    """
    fold = folds(songs, genre)
    guess = np.full(len(genre), -1)
    for number in np.unique(fold):
        test = fold == number
        if test.all():
            raise ParameterError("genres are told apart by two songs of each at least")
        guess[test] = _listener(features[~test], genre[~test])(features[test])
    listener = _listener(features, genre)
    found = {"real": _recall(guess, genre)}
    return found | {name: _recall(listener(x), kind) for name, (x, kind) in others.items()}


def _listener(features: np.ndarray, genre: np.ndarray):
    """A function from features to the genre they are like, learnt from these."""
    x = _filled(features)
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    kinds = np.unique(genre)
    weights = np.stack([logistic((x - mean) / deviation, genre == kind) for kind in kinds])  # (kinds, 1 + k)

    def told(given: np.ndarray) -> np.ndarray:
        given = np.where(np.isfinite(given), given, mean)
        scaled = np.clip((given - mean) / deviation, -FARTHEST, FARTHEST)
        return kinds[(scaled @ weights[:, 1:].T + weights[:, 0]).argmax(axis=1)]

    return told


def _recall(guess: np.ndarray, genre: np.ndarray) -> float:
    return float(np.mean([(guess[genre == kind] == kind).mean() for kind in np.unique(genre)]))


def logistic(x: np.ndarray, second: np.ndarray, *, ridge: float = RIDGE, steps: int = 50) -> np.ndarray:
    """(1 + d,) bias and weights of a logistic regression with a ridge, by Newton's method; both genres weigh the same.

    Half the sum of squares of the weights, times `ridge`, is added to the loss; the bias is free.
    """
    x = np.column_stack([np.ones(len(x)), x])
    share = second.mean()
    weigh = np.where(second, 0.5 / share, 0.5 / (1 - share))
    pull = np.full(x.shape[1], float(ridge))
    pull[0] = 1e-9
    weights = np.zeros(x.shape[1])

    def loss(w):
        y = np.where(second, 1.0, -1.0) * (x @ w)
        return (weigh * np.logaddexp(0.0, -y)).sum() + 0.5 * (pull * w**2).sum()

    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -40, 40)))
        slope = x.T @ (weigh * (p - second)) + pull * weights
        if np.abs(slope).max() < 1e-8:
            break
        bend = (x * (weigh * p * (1 - p))[:, None]).T @ x + np.diag(pull)
        move, size, before = np.linalg.solve(bend, slope), 1.0, loss(weights)
        while size > 1e-6 and loss(weights - size * move) > before:
            size /= 2
        weights = weights - size * move
    return weights


# -- two dimensions -------------------------------------------------------------------------------------------------


def principal(x: np.ndarray, count: int = 2) -> np.ndarray:
    """(n, count) places of points (n, d) on their first principal components; the largest part of each is positive."""
    centred = x - x.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:count]
    largest = np.abs(axes).argmax(axis=1)
    return centred @ (axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]).T


def neighbour_map(x: np.ndarray, *, perplexity: float = PERPLEXITY, steps: int = STEPS) -> np.ndarray:
    """(n, 2) places of points (n, d) by t-SNE: neighbours stay neighbours, distances say little. No chance in it."""
    x = np.asarray(x, dtype=np.float64)
    n = len(x)
    joint = affinities(x, perplexity=min(perplexity, (n - 1) / 3))
    places = principal(x)
    places = START * places / max(places[:, 0].std(), 1e-12)
    rate = max(n / EXAGGERATION / 4, 50.0)
    speed, gains = np.zeros_like(places), np.ones_like(places)
    for step in range(steps):
        early = step < EARLY
        slope = divergence_slope(EXAGGERATION * joint if early else joint, places)
        gains = np.where(np.sign(slope) != np.sign(speed), gains + 0.2, np.maximum(gains * 0.8, 0.01))
        speed = (0.5 if early else 0.8) * speed - rate * gains * slope
        places = places + speed
        places -= places.mean(axis=0)
    return places


def affinities(x: np.ndarray, *, perplexity: float) -> np.ndarray:
    """(n, n), sum 1, symmetric: how near points are, each with as wide a Gaussian as `perplexity` neighbours need."""
    apart = _squares(x)
    np.fill_diagonal(apart, np.inf)
    apart -= apart.min(axis=1, keepdims=True)  # the same shares, and no underflow
    np.fill_diagonal(apart, np.inf)
    scale = np.maximum(np.where(np.isfinite(apart), apart, 0).sum(axis=1) / (len(x) - 1), 1e-12)
    low, high = np.full(len(x), -25.0), np.full(len(x), 25.0)  # of the logarithm of the precision, in units of scale
    for _ in range(60):
        middle = (low + high) / 2
        shares = np.exp(-np.exp(middle)[:, None] * apart / scale[:, None])
        shares /= shares.sum(axis=1, keepdims=True)
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return (shares + shares.T) / (2 * len(x))


def divergence_slope(joint: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n, 2) gradient of the Kullback-Leibler divergence of `joint` (n, n) from the map's own affinities."""
    near = 1 / (1 + _squares(places))
    np.fill_diagonal(near, 0.0)
    pull = (joint - near / near.sum()) * near
    return 4 * (pull.sum(axis=1)[:, None] * places - pull @ places)


def _squares(x: np.ndarray) -> np.ndarray:
    """(n, n) squared distances."""
    length = (x**2).sum(axis=1)
    return np.maximum(length[:, None] + length[None] - 2 * x @ x.T, 0.0)
