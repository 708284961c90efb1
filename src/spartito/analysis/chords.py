"""Chords and key of a song from what the song analyzer says.

Job
    One chord name for every stretch of the song, changes on beats, and the key of the whole.

Method
    The network's opinions are averaged between beats. Chords with a seventh count with their triad, so that doubt about
    the seventh never costs the chord. The best path over beats (Viterbi) pays for every change, less on downbeats.
    Then, chord by chord, the seventh is written where it is likely enough, and an inversion where the bass is clear.
    The key is that of the network's opinion over the whole song and of the chords' durations on the degrees of each
    scale.

Sources
    Beat-synchronous chords by Viterbi: J. P. Bello, J. Pickens, 'A robust mid-level representation for harmonic content
    in music signals' (ISMIR 2005). Triads first, extensions afterwards: after B. McFee, J. P. Bello, 'Structured
    training for large-vocabulary chord recognition' (ISMIR 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spartito.analysis.harte import absolute, label_of
from spartito.analysis.song import Chord
from spartito.models.song_outputs import FPS, QUALITIES, STRIDE

__all__ = ["DEFAULT_CHORDS", "ChordConfig", "cells", "find_chords", "find_key", "key_name", "steadiest"]

FAMILIES = ("maj", "min", "dim", "aug", "sus2", "sus4")
FAMILY_OF = np.array([0, 1, 0, 0, 1, 2, 2, 3, 4, 5])  # of each of `QUALITIES`
MAJOR = np.isin(np.arange(12), (0, 2, 4, 5, 7, 9, 11))
MINOR = np.isin(np.arange(12), (0, 2, 3, 5, 7, 8, 10))


@dataclass(frozen=True)
class ChordConfig:
    """Costs in nats, shares as probabilities. Found by search on validation bands."""

    weight: float = 2.0  # of the evidence of a beat
    change: float = 1.5  # for a change of chord on a downbeat
    off_bar: float = 0.5  # more, on another beat
    rare: tuple[float, ...] = (0.0, 0.0, 0.3, 0.7, 0.3, 0.3)  # against each of `FAMILIES`, a beat
    seventh: float = 0.55  # least share of a chord with seventh among those of its triad
    inversion: float = 0.6  # least probability of a bass that is not the root
    longest: float = 1.2  # s: longer beats are halved for changes of chord
    chords_in_key: float = 4.0  # weight of the chords beside the network's opinion on the key


DEFAULT_CHORDS = ChordConfig()


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.max(axis=0)
    return logits - np.log(np.exp(logits).sum(axis=0))


def cells(beats, duration: float, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges (n + 1,) in seconds of the stretches a chord may last, and which of the n begin with a downbeat."""
    times, down = beats.times, beats.positions == 0
    inside = (times > 0.05) & (times < duration - 0.05)
    edges = np.concatenate([[0.0], times[inside], [duration]])
    first = np.concatenate([[True], down[inside]])
    long = np.diff(edges) > longest
    parts = np.where(long, np.minimum(np.ceil(np.diff(edges) / longest), 4096), 1).astype(int)
    starts = np.repeat(edges[:-1], parts)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = starts + number * np.repeat(np.diff(edges) / parts, parts)
    return np.append(starts, duration), np.where(number == 0, np.repeat(first, parts), False)


def _means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, classes) means of `values` (classes, steps) between edges (n + 1,) in seconds; the nearest step at least."""
    steps = values.shape[1]
    place = np.clip(np.rint(edges * FPS / STRIDE).astype(int), 0, steps)
    low = np.minimum(place[:-1], steps - 1)
    high = np.maximum(place[1:], low + 1)
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return ((sums[:, high] - sums[:, low]) / (high - low)).T


def find_chords(
    chord: np.ndarray,
    bass: np.ndarray,
    beats,
    duration: float,
    *,
    key: str = "",
    config: ChordConfig = DEFAULT_CHORDS,
) -> tuple[Chord, ...]:
    """Chords from 0 to `duration`.

    Parameters
    ----------
    chord : np.ndarray, shape=(1 + 12 · qualities, steps)
        Logits of the network: none, then quality by quality twelve roots; 7.8 steps a second.
    bass : np.ndarray, shape=(13, steps)
        Logits of no bass and of the twelve pitch classes.
    beats : Beats
    key : str
        Spells the names.
    """
    if chord.shape[1] == 0:
        return (Chord(0.0, duration, "N"),)
    logs = _log_softmax(chord)
    edges, first = cells(beats, duration, config.longest)
    shares = np.exp(logs[1:]).reshape(len(QUALITIES), 12, -1)
    families = np.stack([shares[FAMILY_OF == f].sum(axis=0) for f in range(len(FAMILIES))])  # (families, 12, steps)
    states = np.concatenate([np.exp(logs[:1]), families.reshape(-1, logs.shape[1])])
    heard = config.weight * _means(np.log(states + 1e-4), edges)  # (cells, states)
    heard[:, 1:] -= np.repeat(config.rare, 12)
    path = steadiest(heard, np.where(first, config.change, config.change + config.off_bar))
    turns = np.flatnonzero(np.diff(path, prepend=-1) != 0)
    spans = np.append(edges[turns], duration)
    kinds = _means(shares.reshape(-1, logs.shape[1]), spans).reshape(-1, len(QUALITIES), 12)
    low = _means(np.exp(_log_softmax(bass)), spans)
    return tuple(
        Chord(float(spans[i]), float(spans[i + 1]), _named(int(path[turn]), kinds[i], low[i], key, config))
        for i, turn in enumerate(turns)
    )


def steadiest(heard: np.ndarray, change: np.ndarray) -> np.ndarray:
    """(cells,) the path of most evidence (cells, states) that pays `change` (cells,) whenever the state changes."""
    score = heard[0].copy()
    back = np.zeros(heard.shape, dtype=np.int32)
    stay = np.arange(heard.shape[1])
    for i in range(1, len(heard)):
        best = int(score.argmax())
        move = score[best] - change[i]
        back[i] = np.where(score >= move, stay, best)
        score = np.maximum(score, move) + heard[i]
    path = np.zeros(len(heard), dtype=np.int64)
    path[-1] = score.argmax()
    for i in range(len(heard) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def _named(state: int, kinds: np.ndarray, low: np.ndarray, key: str, config: ChordConfig) -> str:
    """Name of a state (0 none, else 1 + 12 · family + root) given shares `kinds` (qualities, 12), bass `low` (13,)."""
    if state == 0:
        return "N"
    family, root = divmod(state - 1, 12)
    members = np.flatnonzero(FAMILY_OF == family)
    share = kinds[members, root] / max(kinds[members, root].sum(), 1e-9)
    best = int(members[share.argmax()])
    quality = QUALITIES[best] if share.max() >= config.seventh else FAMILIES[family]
    name = label_of(root, quality, key=key)
    lowest = int(low[1:].argmax())
    tones = absolute(name)[1]
    if lowest != root and tones[lowest] and low[1 + lowest] >= config.inversion:
        return label_of(root, quality, bass=lowest, key=key)
    return name


def key_name(number: int) -> str:
    """ "C:maj" for 0 ... "B:min" for 23, with the usual spelling of its tonic."""
    mode = "min" if number >= 12 else "maj"
    tonics = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
    if mode == "min":
        tonics = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
    return f"{tonics[number % 12]}:{mode}"


def find_key(key: np.ndarray, chords: tuple[Chord, ...], *, config: ChordConfig = DEFAULT_CHORDS) -> str:
    """The key of the whole song, "" when nothing speaks for any.

    Parameters
    ----------
    key : np.ndarray, shape=(24, steps)
        Logits of the network: twelve major, twelve minor keys.
    chords : tuple of Chord
    """
    lengths = np.array([c.end - c.start for c in chords])
    tones = np.array([absolute(c.label)[1] for c in chords]).reshape(-1, 12)
    roots = np.array([absolute(c.label)[0] for c in chords])
    total = lengths[roots >= 0].sum()
    if total == 0:
        return ""
    score = _log_softmax(key.mean(axis=1)) if key.shape[1] else np.zeros(24)
    for number in range(24):
        scale = np.roll(MINOR if number >= 12 else MAJOR, number % 12)
        outside = (tones * ~scale).sum(axis=1) > 0
        home = (roots == number % 12) & (tones[:, (number + (3 if number >= 12 else 4)) % 12] > 0)
        good = (lengths * (~outside & (roots >= 0))).sum() / total
        score[number] += config.chords_in_key * (good + 0.5 * (lengths * home).sum() / total)
    return key_name(int(score.argmax()))
