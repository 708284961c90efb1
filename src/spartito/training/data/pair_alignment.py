"""Which moment of a song each moment of its cover plays, and in which key.

Job
    Find the transposition and the warping path between two `Features`.

Method
    1. *Key*: the cover in each of the twelve keys is aligned with the song by four-second statistics (CENS), two
       frames a second; the cheapest key is the right one.
    2. *Path*: dynamic time warping with steps (1, 0), (0, 1), (1, 1) of weights 1.5, 1.5, 2, first over means of
       sixteen frames (more for long recordings, so that memory stays bounded), then of four, then frame by frame, each
       time within a corridor around the path before. At the edges of the matrix a frame can be skipped for a fixed
       price, so that an introduction that only one side has need not be matched.
    3. *Clock*: along the path the difference of the two times is smoothed, skipped ends are cut off, and the
       result rises strictly on both sides.

    A row of the matrix is computed at once: with the horizontal steps summed up to R, the best way that ends in column
    j is R[j] plus the least of what came from above minus R so far.

Sources
    J. Choi, K. Lee, 'Pop2Piano' (ICASSP 2023) for the procedure, which there is that of M. Müller et al., 'Sync
    Toolbox: a Python package for efficient, robust, and accurate music synchronization' (JOSS 6(64), 2021); T.
    Prätzlich, J. Driedger, M. Müller, 'Memory-restricted multiscale dynamic time warping' (ICASSP 2016); S. Salvador,
    P. Chan, 'Toward accurate dynamic time warping in linear time and space' (Intelligent Data Analysis 11(5), 2007).

Differences
    Skipped ends and smoothing are ours. There the song is transposed, by a phase vocoder; here the cover's notes are
    (`data/pairs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.training.data.pair_features import Features

__all__ = ["Alignment", "align", "find_transposition", "warping_path"]

SIDEWAYS, DIAGONAL = 1.5, 2.0  # weights of steps, as published
INERTIA = 1.0  # added to the price of a step that is not diagonal: nobody changes tempo all the time
SKIP = 0.7  # for a frame at the edge that is matched with nothing; frames that fit cost 0.3, others 1
ONSET_WEIGHT = 2.0  # of half the squared distance of onsets, beside the distance of chroma
FACTOR, FINER = 16, 4  # frames in one of the coarsest level; how much finer the next is
CELLS = 8_000_000  # of the coarsest matrix at most; each is a byte
RADIUS = 24  # frames of a level to either side of the path before
SPAN, KEY_FACTOR = 4.0, 32  # s of a statistic; frames between two of them
SMOOTH = 0.3  # s over which the difference of the two times is averaged


@dataclass(frozen=True, eq=False)
class Alignment:
    """A clock for both sides.

    Attributes
    ----------
    transposition : int
        Semitones (-5..6) by which the cover must be raised to be in the song's key.
    clarity : float
        By how much, relatively, the next best key is more expensive.
    cover, song : np.ndarray, shape=(k,), seconds, both rising
        The same moments.
    likeness : np.ndarray, shape=(k,), -1..1
        Of the two chromas there.
    """

    transposition: int
    clarity: float
    cover: np.ndarray
    song: np.ndarray
    likeness: np.ndarray

    def to_song(self, seconds: np.ndarray) -> np.ndarray:
        """Time in the song of times in the cover; before the first and after the last moment those."""
        return np.interp(seconds, self.cover, self.song)

    def inside(self, seconds: np.ndarray) -> np.ndarray:
        """Whether each time of the cover is matched."""
        return (seconds >= self.cover[0]) & (seconds <= self.cover[-1])

    def pace(self, seconds: np.ndarray, *, span: float) -> np.ndarray:
        """Seconds of the cover per second of the song around each time of the song, measured over `span` seconds."""
        return self._mean_rise(self.cover, seconds, span)

    def likeness_around(self, seconds: np.ndarray, *, span: float) -> np.ndarray:
        """Mean likeness within `span` seconds around each time of the song."""
        areas = 0.5 * (self.likeness[1:] + self.likeness[:-1]) * np.diff(self.song)
        return self._mean_rise(np.concatenate([[0.0], np.cumsum(areas)]), seconds, span)

    def _mean_rise(self, curve: np.ndarray, seconds: np.ndarray, span: float) -> np.ndarray:
        """By how much `curve` ((k,), at the times `song`) rises per second around each time."""
        ends = np.clip(np.stack([seconds - span / 2, seconds + span / 2]), self.song[0], self.song[-1])
        there = np.interp(ends, self.song, curve)
        return (there[1] - there[0]) / np.maximum(ends[1] - ends[0], 1e-9)


def align(song: Features, cover: Features) -> Alignment:
    """Put `cover` on the clock of `song`."""
    transposition, clarity = find_transposition(song, cover)
    cover = cover.transposed(transposition)
    factor = FACTOR
    while (len(song) // factor) * (len(cover) // factor) > CELLS:
        factor *= FINER
    low = np.zeros(-(-len(song) // factor), dtype=np.int64)
    high = np.full_like(low, -(-len(cover) // factor))
    while True:
        level = (song, cover) if factor == 1 else (song.coarse(factor), cover.coarse(factor))
        path, _ = warping_path(*level, low, high)
        if factor == 1:
            break
        finer = max(1, factor // FINER)
        low, high = _corridor(path, factor // finer, rows=-(-len(song) // finer), columns=-(-len(cover) // finer))
        factor = finer
    return _clock(path, song, cover, transposition, clarity)


def find_transposition(song: Features, cover: Features) -> tuple[int, float]:
    """Semitones (-5..6) to raise the cover by, and by how much, relatively, the next best key is more expensive."""
    ours, theirs = (side.statistics(span=SPAN, factor=KEY_FACTOR) for side in (song, cover))
    low = np.zeros(len(ours), dtype=np.int64)
    high = np.full(len(ours), len(theirs))
    costs = np.array([warping_path(ours, theirs.transposed(shift), low, high)[1] for shift in range(12)])
    best, second = np.argsort(costs)[:2]
    return (int(best) + 5) % 12 - 5, float((costs[second] - costs[best]) / max(costs[best], 1e-9))


def warping_path(song: Features, cover: Features, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, float]:
    """The cheapest path from the first frames to the last, and what it costs.

    Parameters
    ----------
    low, high : np.ndarray, shape=(frames of the song,), int
        Frames `low` up to, not including, `high` of the cover are looked at for each frame of the song. Both never
        fall, the first row holds column 0, the last row the last column, neighbouring rows share a column.

    Returns
    -------
    path : np.ndarray, shape=(k, 2), int
        Frames of song and cover.
    cost : float
    """
    ours, our_length = _vectors(song)
    theirs, their_length = _vectors(cover)
    rows, columns = len(ours), len(theirs)
    starts = np.concatenate([[0], np.cumsum(high - low)])
    steps = np.zeros(starts[-1], dtype=np.uint8)  # 0 from above, 1 aslant, 2 from the left
    best = np.full(columns + 1, np.inf)  # of the row before; entry j + 1 is column j
    for i in range(rows):
        first, last = low[i], high[i]
        cost = our_length[i] + their_length[first:last] - theirs[first:last] @ ours[i]
        if i == 0:
            came, aslant = np.full(last - first, np.inf), False
            came[0] = DIAGONAL * cost[0]
        else:
            above = best[first + 1 : last + 1] + SIDEWAYS * cost + INERTIA
            if first == 0:
                above[0] = best[1] + SKIP
            if last == columns:
                above[-1] = best[columns] + SKIP
            diagonal = best[first:last] + DIAGONAL * cost
            came, aslant = np.minimum(above, diagonal), diagonal <= above
        sideways = np.cumsum(np.full(last - first, SKIP) if i in (0, rows - 1) else SIDEWAYS * cost + INERTIA)
        total = sideways + np.minimum.accumulate(came - sideways)
        steps[starts[i] : starts[i + 1]] = np.where(total < came - 1e-9, 2, aslant)
        best[max(first - 1, 0) : first + 1] = np.inf
        if i:
            best[low[i - 1] + 1 : first + 1] = np.inf
        best[first + 1 : last + 1] = total
    return _walk(steps, starts, low, columns), float(best[columns])


def _vectors(side: Features) -> tuple[np.ndarray, np.ndarray]:
    """(n, 25) vectors, (n,) numbers: the cost of two frames is the sum of their numbers less the vectors' product."""
    weight = np.sqrt(ONSET_WEIGHT)
    length = 0.5 + 0.5 * ONSET_WEIGHT * np.einsum("ij,ij->i", side.onsets, side.onsets)
    return np.column_stack([side.chroma, weight * side.onsets]).astype(np.float64), length.astype(np.float64)


def _walk(steps: np.ndarray, starts: np.ndarray, low: np.ndarray, columns: int) -> np.ndarray:
    """(k, 2) the path that the steps lead back along from the last cell."""
    table, starts, low = steps.tobytes(), starts.tolist(), low.tolist()
    i, j = len(low) - 1, columns - 1
    path = [(i, j)]
    while i or j:
        step = table[starts[i] + j - low[i]]
        i, j = i - (step != 2), j - (step != 0)
        path.append((i, j))
    return np.array(path[::-1], dtype=np.int64)


def _corridor(path: np.ndarray, finer: int, *, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """`low` and `high` of a level `finer` times as fine: `RADIUS` of its frames around `path` in all directions."""
    coarse = int(path[-1, 0]) + 1
    first, last = np.full(coarse, columns), np.zeros(coarse, dtype=np.int64)
    np.minimum.at(first, path[:, 0], path[:, 1])
    np.maximum.at(last, path[:, 0], path[:, 1])
    row = np.arange(rows)
    low = finer * first[np.maximum(row - RADIUS, 0) // finer] - RADIUS
    high = finer * (last[np.minimum((row + RADIUS) // finer, coarse - 1)] + 1) + RADIUS
    return np.clip(low, 0, columns - 1), np.clip(high, 1, columns)


def _clock(path: np.ndarray, song: Features, cover: Features, transposition: int, clarity: float) -> Alignment:
    """The path as two rising rows of seconds, smoothed, without the skipped ends."""
    last = path[-1]
    skipped = (path == 0).any(axis=1) | (path == last).any(axis=1)
    kept = np.flatnonzero(~skipped)
    if len(kept) == 0:
        kept = np.arange(len(path))
    path = path[kept[0] : kept[-1] + 1]
    likeness = np.einsum("ij,ij->i", song.chroma[path[:, 0]], cover.chroma[path[:, 1]])
    both, apart = path.sum(axis=1), path[:, 0] - path[:, 1]  # a step raises the first by 1 or 2, the other by -1 .. 1
    place = np.arange(both[0], both[-1] + 1)
    width = min(2 * round(SMOOTH * song.fps), (len(place) - 1) // 2)
    between = np.pad(np.interp(place, both, apart), width, mode="reflect", reflect_type="odd")
    apart = np.convolve(between, np.full(2 * width + 1, 1.0 / (2 * width + 1)), "valid")
    times = np.stack([place - apart, place + apart]) / (2 * song.fps)  # cover, song
    rising = np.concatenate([[True], (np.diff(times, axis=1) > 1e-6).all(axis=0)])
    times = times[:, rising]
    return Alignment(transposition, clarity, times[0], times[1], np.interp(place[rising], both, likeness))
