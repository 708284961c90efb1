"""Bars of real accompaniments for the engine `comping`, chosen from the store of genres.

    spartito train harmony STORE -o statistics.safetensors

Each bar of an accompaniment in the train split is described by how many notes begin on each of its 16 steps, low, in
the middle and high, and by how long they are; k-means finds clusters; of each the bar nearest to its centre whose notes
are best explained by its chords stands for it. Bars of accompaniments that a program made (WJazzD) are taken only where
a genre has no others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError
from spartito.style.accompany import BAR, OTHER, CompingStatistics, chord_beats, roles_of
from spartito.style.engines import GENRES
from spartito.training.harmony import Lesson

__all__ = ["learn_comping"]

CLUSTERS = 96  # bars for each genre
BARS = 8000  # bars that clusters are found from
ROUNDS = 12
LEAST, MOST = 2, 40  # notes of a bar
ZONES = (50, 65)  # MIDI numbers between low, middle and high
EXPLAINED = 0.75  # share of notes that are tones of their chords, of a bar that may stand for others
LONGEST = 24  # steps
SHRINK = 0.02  # added to the variances of the description, so that steps where nothing happens say nothing
WIDTH = 1.5  # steps: weight of the mean length in the description


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of all lessons of a genre, in order."""

    notes: np.ndarray  # (n, 6) as in CompingStatistics
    first: np.ndarray  # (bars + 1,)
    piece: np.ndarray  # (bars,)
    sung: np.ndarray  # (bars, 16) bool
    high: np.ndarray  # (bars,) MIDI number, mean of the tune; nan without
    turns: np.ndarray  # (bars,) bool
    clear: np.ndarray  # (bars,) share of tones of the chords; 0 where a chord is missing


def bars_of(given: list[Lesson]) -> Bars:
    """The bars of lessons, cut up."""
    parts = []
    for number, lesson in enumerate(given):
        track, count = lesson.track, len(lesson.track) // 4
        rest = lesson.rest[lesson.rest[:, 0] < count * BAR]
        beat = chord_beats(rest, track)
        root, quality = track.root[beat], track.quality[beat]
        role = np.where(root >= 0, roles_of((rest[:, 2] - root) % 12, quality), OTHER)
        bar = rest[:, 0] // BAR
        size = np.bincount(bar, minlength=count)
        loud = rest[:, 3] - (np.bincount(bar, rest[:, 3], minlength=count) / np.maximum(size, 1))[bar]
        columns = (rest[:, 0] % BAR, np.minimum(rest[:, 1], LONGEST), rest[:, 2], rest[:, 4], role)
        table = np.column_stack([*columns, np.clip(np.rint(loud), -24, 24)]).astype(np.int64)
        order = np.argsort(bar, kind="stable")
        tune = lesson.tune[lesson.tune[:, 0] < count * BAR]
        sung = np.zeros((count, BAR), dtype=bool)
        sung[tune[:, 0] // BAR, tune[:, 0] % BAR] = True
        many = np.bincount(tune[:, 0] // BAR, minlength=count)
        high = np.bincount(tune[:, 0] // BAR, tune[:, 2], minlength=count) / np.where(many > 0, many, np.nan)
        turns = np.zeros(count, dtype=bool)
        at = track.starts[track.starts < 4 * count]
        turns[at[at % 4 > 0] // 4] = True
        missing = (track.root[: 4 * count].reshape(-1, 4) < 0).any(axis=1)
        clear = np.bincount(bar, role < 4, minlength=count) / np.maximum(size, 1)
        parts.append((table[order], size, np.full(count, number), sung, high, turns, np.where(missing, 0, clear)))
    notes, sizes, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Bars(notes, np.concatenate([[0], np.cumsum(sizes)]), *others)


def _described(bars: Bars) -> np.ndarray:
    """(bars, 51): notes on each step in three zones, their mean lengths."""
    count = len(bars.piece)
    bar = np.repeat(np.arange(count), np.diff(bars.first))
    step, length, pitch = bars.notes[:, 0], bars.notes[:, 1], bars.notes[:, 2]
    zone = np.searchsorted(ZONES, pitch, side="right")
    cell = (bar * 3 + zone) * BAR + step
    struck = np.bincount(cell, minlength=count * 3 * BAR).reshape(count, -1)
    group = bar * 3 + zone
    lengths = np.bincount(group, np.log2(1 + length), minlength=count * 3).reshape(count, 3)
    mean = lengths / np.maximum(np.bincount(group, minlength=count * 3).reshape(count, 3), 1)
    return np.column_stack([np.sqrt(np.minimum(struck, 4)), WIDTH * mean]).astype(np.float32)


def _means(points: np.ndarray, many: int, rng: np.random.Generator) -> np.ndarray:
    """(many, d) centres by k-means, begun from random points."""
    centres = points[rng.choice(len(points), many, replace=len(points) < many)]
    for _ in range(ROUNDS):
        near = _nearest(points, centres)
        size = np.bincount(near, minlength=many)
        sums = np.zeros_like(centres)
        np.add.at(sums, near, points)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres)
    return centres


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)


def learn_comping(given: dict[str, list[Lesson]], *, clusters: int = CLUSTERS, seed: int = 0) -> CompingStatistics:
    """Statistics of the lessons of every genre: of accompaniments that were played, where there are any."""
    out: dict[str, list] = {name: [] for name in ("often", "follows", "sung", "high", "turns", "dense")}
    notes, first, total = [], [], 0
    described, members = [], []
    for genre in GENRES:
        if not given.get(genre):
            raise ParameterError(f"there are no accompaniments of {genre} to learn from")
        played = [lesson for lesson in given[genre] if lesson.played]
        bars = bars_of(played or given[genre])
        size = np.diff(bars.first)
        use = (size >= LEAST) & (size <= MOST)
        if not (use & (bars.clear > 0)).any():
            raise ParameterError(f"no bar of {genre} has an accompaniment and chords")
        points = _described(bars)
        rng = np.random.default_rng(seed)
        pool = np.flatnonzero(use)
        centres = _means(points[rng.permutation(pool)[:BARS]], clusters, rng)
        cluster = np.where(use, _nearest(points, centres), -1)
        described.append(points[pool])
        members.append(cluster[pool])
        good = np.flatnonzero(use & (bars.clear >= min(EXPLAINED, np.quantile(bars.clear[use], 0.8))))
        far = (centres**2).sum(axis=1) - 2 * points[good] @ centres.T + (points[good] ** 2).sum(axis=1)[:, None]
        own = cluster[good][:, None] == np.arange(clusters)
        stands = good[np.where(own, far, far + 1e3).argmin(axis=0)]
        both = (cluster[1:] >= 0) & (cluster[:-1] >= 0) & (np.diff(bars.piece) == 0)
        follows = np.zeros((clusters, clusters))
        np.add.at(follows, (cluster[:-1][both], cluster[1:][both]), 1)
        member = np.zeros((clusters, BAR))
        np.add.at(member, cluster[use], bars.sung[use])
        count = np.bincount(cluster[use], minlength=clusters)
        density = np.log1p(size[use])
        out["often"].append(count / count.sum())
        out["follows"].append(follows / np.maximum(follows.sum(axis=1, keepdims=True), 1))
        out["sung"].append((member + bars.sung[use].mean(axis=0) * 8) / (count[:, None] + 8))
        known = use & ~np.isnan(bars.high)
        usual, told = bars.high[known].mean(), np.bincount(cluster[known], minlength=clusters)
        total_high = np.bincount(cluster[known], bars.high[known], minlength=clusters)
        out["high"].append((total_high + 4 * usual) / (told + 4))
        out["turns"].append(bars.turns[stands])
        out["dense"].append((density.mean(), density.std()))
        chosen = [bars.notes[bars.first[i] : bars.first[i + 1]] for i in stands]
        first.append(total + np.concatenate([[0], np.cumsum([len(rows) for rows in chosen])]))
        notes += chosen
        total = int(first[-1][-1])
    tables = {name: np.array(rows) for name, rows in out.items()}
    typical = _typical(described, members, clusters)
    return CompingStatistics(first=np.array(first), notes=np.concatenate(notes), typical=typical, **tables)


def _typical(described: list[np.ndarray], members: list[np.ndarray], clusters: int) -> np.ndarray:
    """(3 genres, 3 others, clusters) log odds of the bars of each cluster for their genre against another.

    By a linear discriminant with one covariance for both; 0 for a genre against itself.
    """
    out = np.zeros((len(described), len(described), clusters))
    for i, j in np.ndindex(out.shape[:2]):
        if i == j:
            continue
        mine, theirs = described[i], described[j]
        middle = mine.mean(axis=0), theirs.mean(axis=0)
        spread = (np.cov(mine.T) + np.cov(theirs.T)) / 2 + SHRINK * np.eye(mine.shape[1])
        weight = np.linalg.solve(spread, middle[0] - middle[1])
        odds = (mine - (middle[0] + middle[1]) / 2) @ weight
        count = np.bincount(members[i], minlength=clusters)
        out[i, j] = np.bincount(members[i], odds, minlength=clusters) / np.maximum(count, 1)
    return out
