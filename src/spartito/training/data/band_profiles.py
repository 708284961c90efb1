"""How fast and how loud bands of each tag play: what a model of states, which know neither, is given beside them.

`tempo` is the median of the songs. `velocity` is the mean of the notes that begin at each step of the bar, of each
track: accents of the metre and the balance of the players.
"""

from __future__ import annotations

import numpy as np

from spartito.notes.four_tracks import BAR
from spartito.training.data.band_store import Bands

__all__ = ["ALL", "tempo_of_tags", "velocity_of_tags"]

ALL = ""  # the key of all songs together
PLAIN = 80.0  # velocity of a track that never plays


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


def _means(velocity: np.ndarray, step: np.ndarray) -> list[list[float]]:
    """(tracks, 16) of `velocity` (cells, tracks) and their steps of the bar."""
    rows = []
    for one in velocity.T:
        total = np.bincount(step, weights=one, minlength=BAR)
        count = np.bincount(step, weights=one > 0, minlength=BAR)
        plain = total.sum() / count.sum() if count.sum() else PLAIN
        rows.append(np.where(count > 0, total / np.maximum(count, 1), plain).round(1).tolist())
    return rows
