"""How bands of each tag usually play: what a model of states is given beside them, to draw music with.

`tempo` is the median of the songs. `velocity` is the mean of the notes that begin at each step of the bar, of each
track: accents of the metre and the balance of the players. States know neither. `sliders` are mean and spread of the
attributes of windows: the dimensions of a code that tell them are the same for all genres, and a draw of a genre has to
have its own.
"""

from __future__ import annotations

import numpy as np

from spartito.notes.band_attributes import NormalScale, attributes
from spartito.notes.four_tracks import BAR
from spartito.training.data.band_store import Bands

__all__ = ["ALL", "sliders_of_tags", "tempo_of_tags", "velocity_of_tags"]

ALL = ""  # the key of all songs together
PLAIN = 80.0  # velocity of a track that never plays
SAMPLE = 6_000  # windows that sliders are measured on
LEAST = 1e-3  # variance that every slider keeps


def tempo_of_tags(bands: Bands) -> dict[str, float]:
    """Quarter notes per minute, the median of the songs of each tag, and of all under ""."""
    _, first = np.unique(bands.songs, return_index=True)
    known = first[bands.tempo[first] > 0]
    rows = {ALL: known} | {str(t): known[bands.tags[known, i]] for i, t in enumerate(bands.tag_names)}
    return {tag: round(float(np.median(bands.tempo[found])), 1) for tag, found in rows.items() if len(found)}


def velocity_of_tags(bands: Bands) -> dict[str, list[list[float]]]:
    """(tracks, 16) mean velocity, 1..127, of notes by the step of the bar they begin at; of all under "".

    Only stretches of 4/4 count. A step at which a track never begins has the mean of the track.
    """
    starts = bands.piece[bands.regions[:, 0]] + bands.regions[:, 1]
    many = bands.regions[:, 2] - bands.regions[:, 1]
    along = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    velocity = bands.velocity[np.repeat(starts, many) + along].astype(np.float64)  # 0 where no note begins
    step = along % BAR
    piece = np.repeat(bands.regions[:, 0], many)
    found = {ALL: _means(velocity, step)}
    for i, tag in enumerate(bands.tag_names):
        rows = bands.tags[piece, i]
        if rows.any():
            found[str(tag)] = _means(velocity[rows], step[rows])
    return found


def sliders_of_tags(
    bands: Bands, windows: np.ndarray, chances: np.ndarray, scale: NormalScale, *, bars: int = 2, count: int = 6
) -> dict[str, list[list[float]]]:
    """(k + 1, k) of each tag, and of all under "": mean of the first `count` attributes, as standard normal numbers,
    and below it the lower triangle L whose L L^T is their covariance.

    `windows` (w, 2) are drawn by their `chances` (w,), as in training.
    """
    random = np.random.default_rng(0)
    some = windows[random.choice(len(windows), SAMPLE, p=chances)]
    values = attributes(bands.states_of(some, bars=bars), layout=bands.layout)
    numbers = scale.to_normal(values)[:, :count]
    rows = {ALL: np.ones(len(some), dtype=bool)}
    rows |= {str(t): bands.tags[some[:, 0], i] for i, t in enumerate(bands.tag_names)}
    return {tag: _spread(numbers[chosen]).round(3).tolist() for tag, chosen in rows.items() if chosen.sum() > 1}


def _spread(numbers: np.ndarray) -> np.ndarray:
    """(k + 1, k): mean of numbers (n, k), and the factor of their covariance."""
    covariance = np.atleast_2d(np.cov(numbers.T)) + LEAST * np.eye(numbers.shape[1])
    return np.vstack([numbers.mean(axis=0), np.linalg.cholesky(covariance)])


def _means(velocity: np.ndarray, step: np.ndarray) -> list[list[float]]:
    """(tracks, 16) of `velocity` (cells, tracks) and their steps of the bar."""
    rows = []
    for one in velocity.T:
        total = np.bincount(step, weights=one, minlength=BAR)
        count = np.bincount(step, weights=one > 0, minlength=BAR)
        plain = total.sum() / count.sum() if count.sum() else PLAIN
        rows.append(np.where(count > 0, total / np.maximum(count, 1), plain).round(1).tolist())
    return rows
