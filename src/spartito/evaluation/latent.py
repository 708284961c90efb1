"""How good a latent space is: reconstruction beside what holding alone would score, and interpolation.

Job
    `reconstruction` compares states that came back with the true ones; `interpolation` says how evenly a path leads
    from one window to another; `heat_rows`, `relative_change` and `smoothness` measure components of a prior.

Figures
    accuracy          share of cells (window, step) whose state is right, per track; what is published
    hold_baseline     accuracy of "hold" everywhere; it is 0.4 to 0.7, so accuracy says little without it
    onset_accuracy    of the cells whose truth is a pitch
    pitch_f1          cells that are pitches in both and the same pitch, against all that are pitches
    sounding          accuracy of what sounds (hold expanded): a single wrong onset spoils a whole note
    note_precision, note_recall, note_f1    notes with the same step, pitch and track, and a length that is right to
                      a step or a fifth of it

Source
    A. Valenti, A. Carta, D. Bacciu (ECAI 2020): accuracy, interpolation of 256 pairs by normalised Hamming distance to
    the *true* states of the first window, with the weight of the first falling (their equation 19 has it rise, their
    figure falls), and the heat map over components. The other figures, and smoothness, are ours.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError
from spartito.notes.band_attributes import note_lengths, syncopated
from spartito.notes.four_tracks import BAR, BASS, DRUMS, HOLD, SILENT, expanded
from spartito.notes.layouts import BAND, Layout
from spartito.notes.phrases import STEPS_PER_BEAT

__all__ = [
    "data_path",
    "hamming",
    "heat_rows",
    "interpolation",
    "mean_of_tracks",
    "reconstruction",
    "relative_change",
    "smoothness",
    "smoothness_of_all",
]

SHARES = np.linspace(0.0, 1.0, 11)  # alpha of a path, published
LENGTH_STEPS, LENGTH_SHARE = 1, 0.2  # by how much a note's length may differ
KICKS, SNARES, HATS = (35, 36), (37, 38, 39, 40), (42, 44, 46)  # General MIDI drums
SHUFFLES = 1000


# -- reconstruction -------------------------------------------------------------------------------------------------


def reconstruction(
    reference: np.ndarray, estimate: np.ndarray, *, layout: Layout = BAND
) -> dict[str, dict[str, float]]:
    """Figures of each track, and of `all`; states (w, T, tracks). See above. A share of nothing is nan."""
    reference, estimate = np.asarray(reference), np.asarray(estimate)
    if reference.shape != estimate.shape or reference.ndim != 3 or reference.shape[2] != len(layout):
        shapes = f"{reference.shape} and {estimate.shape}"
        raise ParameterError(f"states are (windows, steps, {len(layout)}), both alike, not {shapes}")
    right = reference == estimate
    onset, made = reference < SILENT, estimate < SILENT
    hit = right & onset
    sounds = expanded(reference) == expanded(estimate)
    want, got = note_lengths(reference), note_lengths(estimate)
    same = hit & (np.abs(want - got) <= np.maximum(LENGTH_STEPS, LENGTH_SHARE * want))

    def figures(part) -> dict[str, float]:
        precision = _share(same[..., part].sum(), made[..., part].sum())
        recall = _share(same[..., part].sum(), onset[..., part].sum())
        return {
            "accuracy": float(right[..., part].mean()),
            "hold_baseline": float((reference[..., part] == HOLD).mean()),
            "onset_accuracy": _share(hit[..., part].sum(), onset[..., part].sum()),
            "pitch_f1": _share(2 * hit[..., part].sum(), onset[..., part].sum() + made[..., part].sum()),
            "sounding": float(sounds[..., part].mean()),
            "note_precision": precision,
            "note_recall": recall,
            "note_f1": _share(2 * same[..., part].sum(), onset[..., part].sum() + made[..., part].sum()),
        }

    found = {name: figures([i]) for i, name in enumerate(layout.tracks)}
    return found | {"all": figures(slice(None))}


def mean_of_tracks(figures: dict[str, dict[str, float]], name: str = "accuracy") -> float:
    """Mean of a figure over the tracks, as published tables have it."""
    return float(np.mean([values[name] for track, values in figures.items() if track != "all"]))


def _share(part, whole) -> float:
    return float(part / whole) if whole else float("nan")


# -- interpolation --------------------------------------------------------------------------------------------------


def hamming(reference: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(..., w): share of cells in which states (..., w, T, 4) differ from `reference` (w, T, 4)."""
    return (np.asarray(states) != np.asarray(reference)).mean(axis=(-2, -1))


def data_path(first: np.ndarray, second: np.ndarray, rng: np.random.Generator, *, shares=SHARES) -> np.ndarray:
    """(a, w, T, 4): the baseline without a latent space: each cell is that of the second window with probability alpha.

    The expected distance from the first is alpha times that of the second.
    """
    draw = rng.random((len(shares), *np.shape(first)))
    return np.where(draw < np.asarray(shares)[:, None, None, None], second, first)


def interpolation(path: np.ndarray, first: np.ndarray, second: np.ndarray, *, shares=SHARES) -> dict:
    """Curves of paths from windows `first` to `second` (w, T, 4); `path` (a, w, T, 4) holds the states at each alpha.

    `from_first`, `to_second`: mean and standard error of the distance at each alpha; `monotone`: share of pairs whose
    distance from the first never falls; `rising`: share of single steps on which it does not; and all of it in what
    sounds (`sounding_...`).
    """
    if len(path) != len(shares):
        raise ParameterError(f"a path has {len(shares)} points, not {len(path)}")
    found: dict = {"shares": [float(s) for s in shares]}
    for prefix, view in (("", np.asarray), ("sounding_", expanded)):
        from_first, to_second = hamming(view(first), view(path)), hamming(view(second), view(path))
        for name, curve in (("from_first", from_first), ("to_second", to_second)):
            found[prefix + name] = {
                "mean": curve.mean(axis=1).tolist(),
                "error": (curve.std(axis=1, ddof=1) / np.sqrt(curve.shape[1])).tolist() if curve.shape[1] > 1 else None,
            }
        rising = np.diff(from_first, axis=0) >= 0
        found[prefix + "monotone"], found[prefix + "rising"] = float(rising.all(axis=0).mean()), float(rising.mean())
    return found


# -- components -----------------------------------------------------------------------------------------------------


def heat_rows(states: np.ndarray, *, layout: Layout = BAND) -> dict[str, np.ndarray]:
    """(w,) of each low-level measure, named "track:measure", of windows of states (w, T, tracks); `all:` is over all.

    Means over notes that a window does not have are nan. The published list is lost; this one is ours.
    """
    states = np.asarray(states)
    begins, lengths, sounding = states < SILENT, note_lengths(states), expanded(states)
    beat = (np.arange(states.shape[1]) % STEPS_PER_BEAT == 0)[None, :, None]
    pushed = syncopated(begins, layout)
    rows: dict[str, np.ndarray] = {}
    for name, part in [*((track, [i]) for i, track in enumerate(layout.tracks)), ("all", list(range(len(layout))))]:
        begin, length = begins[:, :, part], lengths[:, :, part]
        notes = begin.sum(axis=(1, 2))
        found = {
            "note_count": notes.astype(float),
            "hold_share": (states[:, :, part] == HOLD).mean(axis=(1, 2)),
            "silent_share": (sounding[:, :, part] == SILENT).mean(axis=(1, 2)),
            "mean_duration": _over(length.sum(axis=(1, 2)), notes),
            "off_beat_share": _over((begin & ~beat).sum(axis=(1, 2)), notes),
            "syncopation": _over(pushed[:, :, part].sum(axis=(1, 2)), notes),
            "groove": _groove(begin),
        }
        if len(part) == 1 and layout.pitched[part[0]]:
            found |= _pitches(states[:, :, part[0]])
        if layout == BAND:
            found |= _of_band(states, part)
        rows |= {f"{name}:{measure}": values for measure, values in found.items()}
    return rows


def _of_band(states: np.ndarray, part: list[int]) -> dict[str, np.ndarray]:
    """Measures that only some tracks of a band have."""
    if part == [DRUMS]:
        hits = states[:, :, DRUMS]
        kinds = {"kick_count": KICKS, "snare_count": SNARES, "hat_count": HATS}
        found = {name: np.isin(hits, keys).sum(axis=1).astype(float) for name, keys in kinds.items()}
        return found | {"kinds": _kinds(hits, SILENT)}
    if len(part) == 1 and part[0] > BASS:
        both = (_chroma(states[:, :, i]) for i in (BASS, part[0]))
        return {"chroma_with_bass": np.minimum(*both).sum(axis=1)}
    return {}


def _over(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _groove(begins: np.ndarray) -> np.ndarray:
    """(w,) how alike the rhythms of neighbouring bars are: 1 less the share of steps that differ."""
    bars = begins.reshape(len(begins), -1, BAR, begins.shape[2])
    if bars.shape[1] < 2:
        return np.full(len(begins), np.nan)
    return 1 - (bars[:, 1:] != bars[:, :-1]).mean(axis=(1, 2, 3))


def _pitches(states: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of one pitched track (w, T)."""
    begins, pitch = states < SILENT, states.astype(np.int64)
    count = begins.sum(axis=1)
    none = np.where(count > 0, 0.0, np.nan)
    low, high = np.where(begins, pitch, 999).min(axis=1) + none, np.where(begins, pitch, -1).max(axis=1) + none
    window, step = np.nonzero(begins)
    found = pitch[window, step]
    same = window[1:] == window[:-1]
    leaps, where = np.abs(np.diff(found))[same], window[1:][same]
    pairs = np.bincount(where, minlength=len(states))
    return {
        "pitch_min": low,
        "pitch_max": high,
        "pitch_range": high - low,
        "pitch_mean": _over(np.where(begins, pitch, 0).sum(axis=1), count),
        "mean_abs_interval": _over(np.bincount(where, weights=leaps, minlength=len(states)), pairs),
        "pitch_classes": _kinds(np.where(begins, pitch % 12, SILENT), 12),
        "repeated_share": _over(np.bincount(where, weights=leaps == 0, minlength=len(states)), pairs),
    }


def _kinds(states: np.ndarray, count: int) -> np.ndarray:
    """(w,) how many of the numbers below `count` occur in each row."""
    seen = np.zeros((len(states), 256), dtype=bool)
    seen[np.arange(len(states))[:, None], states] = True
    return seen[:, :count].sum(axis=1).astype(float)


def _chroma(states: np.ndarray) -> np.ndarray:
    """(w, 12) shares of pitch classes among the notes of one track, zero where there is none."""
    begins = states < SILENT
    key = np.arange(len(states))[:, None] * 13 + np.where(begins, states % 12, 12)
    counts = np.bincount(key.ravel(), minlength=13 * len(states)).reshape(-1, 13)[:, :12]
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def relative_change(components: np.ndarray) -> np.ndarray:
    """(rows, n): (m_i - m) / |m| of the means (rows, n) of n components against the mean over all, published.

    A component without a mean (nan) has no change, and does not count.
    """
    there = np.isfinite(components)
    total = np.where(there, components, 0).sum(axis=1, keepdims=True)
    mean = total / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.divide(components - mean, np.abs(mean), out=np.where(there, 0.0, np.nan), where=mean != 0)


def smoothness(row: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Circular autocorrelation at lag 1 of a measure over components in circular order, and the share of 1,000 random
    orders that reach it (a permutation test)."""
    return smoothness_of_all(np.asarray(row)[None], seed=seed)


def smoothness_of_all(rows: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The same for several rows (rows, n) together: their mean autocorrelation, and that of random orders of the
    components, one for all rows; rows that are not known everywhere or do not vary are left out.

    There are (n - 1)! / 2 ways round a circle: 3 for four components, 12 for five, so chance cannot be below 1/3, 1/12;
    of three there is one alone, and nothing is said.
    """
    rows = np.asarray(rows, dtype=np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows - rows.mean(axis=1, keepdims=True)
    power = (rows**2).sum(axis=1, keepdims=True)
    rows = rows[power[:, 0] > 1e-12] / np.sqrt(power[power > 1e-12])[:, None]
    if rows.shape[1] < 4 or not len(rows):
        return float("nan"), float("nan")
    near = rows.T @ rows / len(rows)  # (n, n): what two components add when they are neighbours
    n = len(near)
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (SHUFFLES, 1)), axis=1)
    found = float(near[np.arange(n), np.roll(np.arange(n), 1)].sum())
    by_chance = near[orders, np.roll(orders, 1, axis=1)].sum(axis=1)
    return found, float((1 + (by_chance >= found - 1e-9).sum()) / (1 + SHUFFLES))
