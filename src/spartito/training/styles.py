"""Limits of the controls and clusters of songs, from the training songs of POP909.

    spartito train styles POP909 -o styles.json

Job
    `song_notes` gives an arrangement of POP909 on the grid with hands. From the windows of all of them `limits` finds
    the quintiles that `notes.attributes` keeps as `EDGES`; from their song vectors `fit_styles` finds the styles.
    `reduced` gives an easier version of an arrangement: hardly a song of POP909 is easy, so the lower levels of
    difficulty can only be learnt from what `notes.simplify` makes of them.

Method
    Song vectors are standardised; k-means (S. P. Lloyd, 1982) from seeds that lie far apart (D. Arthur and
    S. Vassilvitskii, 'k-means++', SODA 2007), the best of several starts. Each centre gets the words of the measures
    that tell it most from the mean of all songs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError, SpartitoError
from spartito.files import atomic_path
from spartito.notes.attributes import EDGES, LEFT_HAND, RIGHT_HAND, measures_of_windows, vector_of, windows_of_piece
from spartito.notes.hands import LEFT, RIGHT, split_hands
from spartito.notes.notes import Notes
from spartito.notes.simplify import simplify
from spartito.notes.styles import Styles, grid_notes, named
from spartito.notes.two_hands import hand_tracks
from spartito.training.data.pop909 import (
    STEPS,
    TRACKS,
    QuantisedSong,
    agrees,
    list_songs,
    quantise,
    read_song,
    seconds_of,
)

__all__ = ["fit_styles", "k_means", "limits", "pop_songs", "reduced", "song_notes", "write_styles"]

STYLES = 7
STARTS, ROUNDS = 20, 100  # of k-means
SEED = 909
FARTHEST = 3.0  # standard deviations: what lies farther counts as that far
BEAT = 60 / 74  # seconds of a beat of POP909, median: how fast the notes of a reduced piece pass
NARROWEST = 0.05  # a measure that varies less over songs is not blown up

Report = Callable[[str], None]


def song_notes(song: QuantisedSong, *, tracks: tuple[str, ...] = TRACKS) -> np.ndarray:
    """(k, 5) int: step from the first downbeat (negative before it), duration, pitch, velocity, hand of the tracks.

    Of two notes on one key and step the longer stays; the melody is the right hand's.
    """
    parts = [getattr(song, name) for name in tracks]
    notes = np.concatenate(parts)
    lead = np.repeat([name == "melody" for name in tracks], [len(part) for part in parts])
    start = STEPS * notes[:, 0] + notes[:, 1]
    order = np.lexsort((-notes[:, 2], notes[:, 3], start))
    notes, start, lead = notes[order], start[order], lead[order]
    same = (np.diff(start) == 0) & (np.diff(notes[:, 3]) == 0)
    kept = np.concatenate([[True], ~same])[: len(start)]
    notes, start, lead = notes[kept], start[kept], lead[kept]
    seconds = seconds_of(start / STEPS, song.beat_positions)
    right = (split_hands(start, start + notes[:, 2], notes[:, 3], seconds) == RIGHT) | lead
    hand = np.where(right, RIGHT_HAND, LEFT_HAND)
    return np.column_stack([start - STEPS * song.db_pos[0], notes[:, 2:5], hand])


def pop_songs(root: Path, *, split: str = "train", report: Report = print) -> Iterator[tuple[str, np.ndarray]]:
    """Name and notes (`song_notes`, from the first downbeat on) of the songs whose notes lie on their beats."""
    for folder in list_songs(root, split=split):
        try:
            song = read_song(folder)
            if agrees(song):
                notes = song_notes(quantise(song))
                yield song.name, notes[notes[:, 0] >= 0]
        except SpartitoError as error:
            report(f"{folder.name}: {error}")


def reduced(notes: np.ndarray, positions: np.ndarray, level: int) -> np.ndarray:
    """(m, 5) int: a piece on the grid brought to a level of difficulty by `notes.simplify`.

    `notes` (k, 5) count their steps from the first of the beats whose places in the bar are `positions` ((beats,)).
    """
    if len(notes) == 0:
        return np.zeros((0, 5), dtype=np.int64)
    places = np.arange(len(positions) + 1)
    beats = Beats(BEAT * places, places, np.append(positions, 0), ((0, int(max(positions)) + 1, 4),))
    start, stop = (BEAT / STEPS * step for step in (notes[:, 0], notes[:, 0] + notes[:, 1]))
    track = np.where(notes[:, 4] == RIGHT_HAND, RIGHT, LEFT)
    piano = Notes.from_arrays(start, stop, notes[:, 2], notes[:, 3], track=track, tracks=hand_tracks())
    made = grid_notes(simplify(piano, beats, difficulty=level), beats)
    made[:, 0] += STEPS * int(np.argmax(beats.positions == 0))  # `grid_notes` counts from the first downbeat
    return made


def limits(measures: list[dict[str, np.ndarray]]) -> dict[str, tuple[float, ...]]:
    """Quintiles of each measure of `EDGES` over the windows of all songs that have notes."""
    edges = {}
    for name in EDGES:
        values = np.concatenate([song[name] for song in measures])
        edges[name] = tuple(np.quantile(values[~np.isnan(values)], (0.2, 0.4, 0.6, 0.8)).round(3).tolist())
    return edges


def k_means(points: np.ndarray, count: int, *, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """(count, d) centres of `points` (n, d), largest cluster first, and (n,) cluster of each; always the same."""
    if len(points) < count:
        raise ParameterError(f"{count} clusters need as many songs, not {len(points)}")
    rng, best = np.random.default_rng(seed), (np.inf, None)
    for _ in range(STARTS):
        centres = points[[rng.integers(len(points))]]
        while len(centres) < count:
            squares = _squares(points, centres).min(axis=1) + 1e-12
            centres = np.vstack([centres, points[rng.choice(len(points), p=squares / squares.sum())]])
        for _ in range(ROUNDS):
            member = _squares(points, centres).argmin(axis=1)
            size = np.bincount(member, minlength=count)
            moved = np.stack([np.bincount(member, weights=p, minlength=count) for p in points.T], axis=1)
            moved = np.where(size[:, None] > 0, moved / np.maximum(size, 1)[:, None], centres)
            if np.allclose(moved, centres):
                break
            centres = moved
        squares = _squares(points, centres)
        if squares.min(axis=1).sum() < best[0] - 1e-9:
            best = (squares.min(axis=1).sum(), centres)
    centres = best[1]
    size = np.bincount(_squares(points, centres).argmin(axis=1), minlength=count)
    centres = centres[np.argsort(-size, kind="stable")]
    return centres, _squares(points, centres).argmin(axis=1)


def _squares(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)


def fit_styles(vectors: np.ndarray, *, count: int = STYLES) -> Styles:
    """Styles of songs from their vectors ((n, len(VECTOR)), `notes.attributes.song_vector`)."""
    mean, spread = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), NARROWEST)
    centres, _ = k_means(np.clip((vectors - mean) / spread, -FARTHEST, FARTHEST), count)
    return named(Styles(tuple(str(i + 1) for i in range(count)), centres, mean, spread))


def write_styles(root: Path, output: Path, *, count: int = STYLES, report: Report = print) -> Styles:
    """Fit on the training songs of POP909 and write {"styles": ..., "songs": {name: style 1..count}} as JSON."""
    names, measures = [], []
    for name, notes in pop_songs(root, report=report):
        names.append(name)
        measures.append(measures_of_windows(*windows_of_piece(notes, int(notes[:, 0].max(initial=0)) + 1)))
    for name, edges in limits(measures).items():
        report(f"limits of {name}: {edges}")
    levels = {name: np.concatenate([song[name] for song in measures]) for name in ("pattern", "difficulty")}
    known = ~np.isnan(np.concatenate([song["density"] for song in measures]))
    for name, values in levels.items():
        shares = np.bincount(values[known].astype(int)) / known.sum()
        report(f"levels of {name} from 0 on: " + ", ".join(f"{share:.1%}" for share in shares))
    vectors = np.array([vector_of(song) for song in measures])
    styles = fit_styles(vectors, count=count)
    songs = {name: styles.nearest(vector) for name, vector in zip(names, vectors, strict=True)}
    for i, name in enumerate(styles.names):
        report(f"{sum(style == i + 1 for style in songs.values()):4d} songs: {name} ({styles.describe(i + 1)})")
    with atomic_path(Path(output)) as path:
        path.write_text(json.dumps({"styles": styles.to_dict(), "songs": songs}, indent=1), encoding="utf-8")
    return styles
