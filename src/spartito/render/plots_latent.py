"""Pictures of a latent space: what it rebuilds, the ways through it, its genres.

    plot_reconstruction   bars of each track and model, with a dash where "hold" everywhere would be
    plot_interpolation    how far a path is from its two ends, beside cells exchanged one by one
    plot_path             the same path as music: piano rolls, with drums below
    plot_heat             what is high and low in each genre, decoded and in real music, genres around the circle
    plot_codes            where codes lie in the two dimensions of genre, and how wide they are in all
    plot_control          whether sliders do what they say, and what else they move
    plot_pairs            every genre beside every other: principal components below, t-SNE above the names

They take the figures of `evaluation/latent_report.py`, and draw nothing that is not in them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spartito.errors import ParameterError
from spartito.files import atomic_path
from spartito.notes.four_tracks import BAR, notes_of
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.render.plots import BAR_LINE, CS, GRID, INK
from spartito.render.plots_style import _checked, _figure

__all__ = [
    "plot_codes",
    "plot_control",
    "plot_heat",
    "plot_interpolation",
    "plot_pairs",
    "plot_path",
    "plot_reconstruction",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7B4FA3", "#6B6B6B")  # M. Okabe, K. Ito
TRACK_COLOURS = {"drums": INK, "bass": "#0072B2", "guitar": "#D55E00", "strings": "#009E73"}
HANDS = {"r": ("#D55E00", "#E69F00", "#CC79A7"), "l": ("#0072B2", "#56B4E9", "#009E73")}  # voices of a piano
SHOWN = {  # figure: heading of its panel
    "accuracy": "cells right (dash: hold everywhere)",
    "onset_accuracy": "cells with an onset right",
    "note_f1": "notes right (F1)",
}
CURVES = {"linear": "straight", "spherical": "along the sphere", "petals": "past the petals", "data": "cells exchanged"}
OBEYED = {  # figure of a slider: heading, and what is asked for ("" for sliders not named)
    "rho": ("asked and measured agree (rho)", {"density": 0.8, "duration": 0.8, "": 0.6}),
    "slope": ("what one step moves (steps)", {"": 1.0}),
    "off_target": ("what it moves besides (steps)", {"": 0.2}),
}
SURE = 0.05  # of a permutation test, below which a row is marked
SATURATED = 1.0  # relative change at which the colour of a heat map is full


def plot_reconstruction(models: Mapping[str, Mapping], path: str | os.PathLike, *, title: str = "") -> None:
    """Bars of the tracks; `models` name -> track -> figures (`evaluation.latent.reconstruction`, and `mean`)."""
    tracks = list(next(iter(models.values()))) if models else []
    if not tracks:
        raise ParameterError("there are no models to draw")
    path, width = _checked(path), 0.8 / len(models)
    figure = _figure((4.3 * len(SHOWN), 3.6))
    axes = figure.subplots(1, len(SHOWN), sharey=True)
    place = np.arange(len(tracks))
    for axis, (key, heading) in zip(axes, SHOWN.items()):
        for i, (name, figures) in enumerate(models.items()):
            left = place + (i - (len(models) - 1) / 2) * width
            height = np.array([figures[track].get(key, np.nan) for track in tracks], dtype=float)
            axis.bar(left, height, 0.92 * width, color=COLOURS[i % len(COLOURS)], label=name, zorder=2)
            for x, y in zip(left, height):
                if np.isfinite(y):
                    axis.text(x, y + 0.01, f"{y:.2f}".lstrip("0"), ha="center", fontsize=6, color=INK)
            if key == "accuracy":
                hold = [figures[track]["hold_baseline"] for track in tracks]
                axis.hlines(hold, left - width / 2, left + width / 2, color=INK, linewidth=1.2, zorder=3)
        axis.set_xticks(place, tracks)
        axis.set_title(heading, fontsize=10, color=INK)
        _plain(axis)
    axes[0].set_ylim(0, 1.05)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    _save(figure, path, title)


def plot_interpolation(found: Mapping[str, Mapping], path: str | os.PathLike, *, title: str = "") -> None:
    """Curves of each kind of path in `found` (`evaluation.latent.interpolation`), `data` among them: solid how far from
    the first window, dashed from the second. Bands are two standard errors wide on either side."""
    path = _checked(path)
    figure = _figure((12.0, 4.0))
    axes = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    kinds = [kind for kind in CURVES if kind in found]
    for axis, prefix, heading in zip(axes, ("", "sounding_"), ("states", "what sounds")):
        for i, kind in enumerate(kinds):
            colour = INK if kind == "data" else COLOURS[i]
            shares, width = np.asarray(found[kind]["shares"]), 2.2 if kind == "linear" else 1.2
            for end, line in (("from_first", "-"), ("to_second", "--")):
                curve = found[kind][prefix + end]
                mean, error = np.asarray(curve["mean"]), np.asarray(curve["error"] or 0.0)
                axis.plot(shares, mean, line, color=colour, linewidth=width)
                axis.fill_between(shares, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.15, linewidth=0)
        ends = "solid: from the first, dashed: from the second"
        axis.set_title(f"cells that differ, {heading}\n{ends}", fontsize=10, color=INK)
        axis.set_xlabel("share of the second window", color=INK)
        axis.set_ylim(bottom=0)
        _plain(axis)
    last = axes[2]
    names = [name for name in ("density", "pitch_range") if all(f"{name}_bend" in found[k] for k in kinds)]
    for i, kind in enumerate(kinds):
        colour = INK if kind == "data" else COLOURS[i]
        left = np.arange(len(names)) + (i - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
        back = f"never back {found[kind]['monotone']:.0%}, in what sounds {found[kind]['sounding_monotone']:.0%}"
        bends = [found[kind][f"{name}_bend"] for name in names]
        last.bar(left, bends, 0.7 / len(kinds), color=colour, label=f"{CURVES[kind]}: {back}")
    last.set_xticks(np.arange(len(names)), [name.replace("_", " ") for name in names])
    last.set_title("off the straight way\n(deviations)", fontsize=10, color=INK)
    _plain(last)
    figure.legend(*last.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    _save(figure, path, title)


def plot_path(
    windows: np.ndarray, names: Sequence[str], tracks: Sequence[str], path: str | os.PathLike, *, title: str = ""
) -> None:
    """Windows of states (n, T, V) as piano rolls side by side, drums in a lane of their own below."""
    windows, path = np.asarray(windows), _checked(path)
    if len(windows) == 0 or len(windows) != len(names):
        raise ParameterError(f"each window has one name: {len(windows)} and {len(names)}")
    drums = [i for i, track in enumerate(tracks) if track == "drums"]
    notes = [notes_of(window) for window in windows]
    every = np.concatenate(notes)
    pitched = every[~np.isin(every[:, 4], drums), 2]
    low, high = (int(pitched.min()) - 2, int(pitched.max()) + 2) if len(pitched) else (58, 62)
    hits = sorted(set(every[np.isin(every[:, 4], drums), 2].tolist()))
    lanes = bool(drums)
    figure = _figure((max(2.1 * len(windows), 6.0), 3.6))
    axes = figure.subplots(
        1 + lanes, len(windows), sharey="row", sharex=True, squeeze=False, height_ratios=(4, 1)[: 1 + lanes]
    )
    for column, (name, table) in enumerate(zip(names, notes)):
        roll, lane = axes[0, column], axes[-1, column]
        roll.set_title(name, fontsize=9, color=INK)
        for i, track in enumerate(tracks):
            mine = table[table[:, 4] == i]
            colour = _track_colour(track, tracks)
            if i in drums:
                lane.scatter(mine[:, 0] + 0.5, [hits.index(p) for p in mine[:, 2]], s=9, marker="x", color=colour)
            else:
                label = track if column == 0 else None
                roll.barh(mine[:, 2], mine[:, 1] - 0.2, 0.85, left=mine[:, 0], color=colour, zorder=3, label=label)
        for axis in axes[:, column]:
            for step in range(0, windows.shape[1] + 1, STEPS_PER_BEAT):
                bar = step % BAR == 0
                axis.axvline(step, color=BAR_LINE if bar else GRID, linewidth=0.8 if bar else 0.3, alpha=0.6, zorder=1)
            axis.set_xlim(0, windows.shape[1])
            axis.set_xticks([])
            _plain(axis)
        if lanes:
            lane.set_ylim(-0.7, max(len(hits), 1) - 0.3)
            lane.set_yticks([])
        roll.set_ylim(low, high)
    cs = [key for key in CS if low <= key <= high]
    axes[0, 0].set_yticks(cs, [CS[key] for key in cs])
    if lanes:
        axes[1, 0].set_ylabel("drums", fontsize=8, color=INK)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=9
    )
    _save(figure, path, title)


def plot_heat(
    rows: Sequence[str],
    genres: Sequence[str],
    change: np.ndarray,
    path: str | os.PathLike,
    *,
    real: np.ndarray | None = None,
    smooth: Sequence[tuple[float, float]] | None = None,
    title: str = "",
) -> None:
    """Relative change (rows, genres) of low-level measures against the mean of all genres, decoded from the components
    of a prior and, if given, in real music; genres in the order of the circle.

    `smooth` has of each row its circular autocorrelation and what chance says of it; a star marks those below 0.05.
    """
    change, path = np.asarray(change, dtype=float), _checked(path)
    if change.shape != (len(rows), len(genres)):
        raise ParameterError(f"a heat map of {len(rows)} rows and {len(genres)} genres is not {change.shape}")
    maps = {"decoded from each component": change} | ({} if real is None else {"real windows of each genre": real})
    figure = _figure((2.6 + 0.55 * len(genres) * len(maps) + 1.2, 1.6 + 0.19 * len(rows)))
    axes = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
    for axis, (name, values) in zip(axes, maps.items()):
        picture = axis.imshow(
            values, cmap="RdBu_r", vmin=-SATURATED, vmax=SATURATED, aspect="auto", interpolation="nearest"
        )
        axis.set_facecolor("#DDDDDD")  # where nothing can be said
        axis.set_xticks(range(len(genres)), genres, rotation=60, ha="right", fontsize=8)
        axis.set_title(name, fontsize=10, color=INK)
        for at in _borders(rows):
            axis.axhline(at - 0.5, color=INK, linewidth=0.8)
        axis.tick_params(length=0, colors=INK)
    axes[0].set_yticks(range(len(rows)), [row.replace(":", ": ").replace("_", " ") for row in rows], fontsize=7)
    if smooth is not None:
        for i, (found, chance) in enumerate(smooth):
            if np.isfinite(found):
                told = f"{found:+.2f}{'*' if chance < SURE else ''}"
                axes[0].annotate(
                    told, (1.02, i), xycoords=("axes fraction", "data"), fontsize=6, va="center", color=INK
                )  # autocorrelation around the circle
    colours = figure.colorbar(picture, ax=list(axes), fraction=0.04, pad=0.06 if real is None else 0.02)
    colours.set_label("relative change against the mean of all", color=INK, fontsize=8)
    _save(figure, path, title)


def plot_codes(
    codes: np.ndarray,
    genre: np.ndarray,
    genres: Sequence[str],
    prior,
    deviations: np.ndarray,
    path: str | os.PathLike,
    *,
    petals: Sequence[str] = (),
    title: str = "",
) -> None:
    """Codes (w, 2) in the dimensions of genre, coloured by genre (w,) int, over the contours of the prior at one and
    two deviations; beside them the deviation of every whitened dimension (N_z,), 1 where the prior is met. `petals`
    names the genres of the components of a flower."""
    path = _checked(path)
    figure = _figure((11.0, 4.8))
    flat, wide = figure.subplots(1, 2, width_ratios=(1, 1.1))
    turn = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    for i in range(max(getattr(prior, "count", 1), 1)):
        root = np.linalg.cholesky(prior.covariance(i)[:2, :2])
        known = i < len(petals) and petals[i] in genres
        for size in (1, 2):
            x, y = prior.mean(i)[:2, None] + size * root @ circle
            colour = COLOURS[list(genres).index(petals[i]) % len(COLOURS)] if known else INK
            flat.plot(x, y, color=colour, linewidth=0.8, alpha=0.7)
    for i, name in enumerate(genres):
        mine = codes[genre == i]
        flat.scatter(mine[:, 0], mine[:, 1], s=6, alpha=0.6, linewidths=0, color=COLOURS[i % len(COLOURS)], label=name)
    flat.set_aspect("equal", "datalim")
    flat.set_title("codes in the two dimensions of genre", fontsize=10, color=INK)
    if len(genres):
        flat.legend(frameon=False, fontsize=8, markerscale=2, loc="best")
    wide.bar(np.arange(len(deviations)), deviations, 1.0, color=COLOURS[0])
    wide.axhline(1.0, color=INK, linewidth=0.8)
    wide.set_title("deviation of each dimension (1: as the prior)", fontsize=10, color=INK)
    wide.set_xlabel("dimension", color=INK)
    for axis in (flat, wide):
        _plain(axis)
    _save(figure, path, title)


def plot_control(
    windows: Mapping[str, Mapping], songs: Mapping[str, Mapping], path: str | os.PathLike, *, title=""
) -> None:
    """Sliders of decoded windows and, if given, of edited songs: slider -> figures (`evaluation.control`), beside the
    figures that are asked for."""
    path, names = _checked(path), list(windows)
    if not names:
        raise ParameterError("there are no sliders to draw")
    places = {"windows, decoded": windows} | ({"songs, edited in the loop": songs} if songs else {})
    figure = _figure((12.0, 3.4))
    for axis, (key, (heading, asked)) in zip(figure.subplots(1, len(OBEYED)), OBEYED.items()):
        for i, (label, found) in enumerate(places.items()):
            left = np.arange(len(names)) + (i - (len(places) - 1) / 2) * 0.4
            height = [found.get(name, {}).get(key, np.nan) for name in names]
            axis.bar(left, height, 0.36, color=COLOURS[i], label=label, zorder=2)
        for i, name in enumerate(names):
            line = asked.get(name, asked[""])
            axis.hlines(line, i - 0.42, i + 0.42, color=INK, linewidth=1.2, zorder=3)
        axis.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
        axis.set_title(heading, fontsize=10, color=INK)
        axis.set_ylim(bottom=0)
        _plain(axis)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    _save(figure, path, title)


def plot_pairs(names: Sequence[str], pairs: Sequence, path: str | os.PathLike, *, title: str = "") -> None:
    """Every pair (`evaluation.latent_pairs.Pair`) of genres: principal components below the diagonal, t-SNE above.

    In the corner stands the accuracy of a logistic regression on songs it does not know; 0.5 is chance.
    """
    path, place = _checked(path), {name: i for i, name in enumerate(names)}
    if not pairs:
        raise ParameterError("there are no two genres with two songs each")
    size = len(names)
    figure = _figure((1.75 * size + 0.6, 1.75 * size + 0.8))
    axes = figure.subplots(size, size, squeeze=False)
    for i, row in enumerate(axes):
        for j, axis in enumerate(row):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if i == j:
                colour = COLOURS[i % len(COLOURS)]
                axis.text(0.5, 0.5, names[i].replace("_", "\n"), ha="center", va="center", color=colour, fontsize=11)
                axis.set_xlim(0, 1)
                axis.set_ylim(0, 1)
    for pair in pairs:
        i, j = sorted(place[name] for name in pair.names)
        for axis, points in ((axes[j, i], pair.plane), (axes[i, j], pair.map)):
            axis.set_frame_on(True)
            for spine in axis.spines.values():
                spine.set_color(GRID)
            for kind, marker in ((False, "o"), (True, "x")):
                mine = points[pair.second == kind]
                colour = COLOURS[place[pair.names[int(kind)]] % len(COLOURS)]
                edge = {"linewidths": 0.7} if kind else {"linewidths": 0}
                axis.scatter(mine[:, 0], mine[:, 1], s=7, marker=marker, color=colour, alpha=0.7, **edge)
        told = f"{pair.figures['code']:.2f}"
        axes[j, i].text(0.03, 0.97, told, transform=axes[j, i].transAxes, va="top", fontsize=9, color=INK)
    figure.supxlabel("below: principal components, with the accuracy on unknown songs; above: t-SNE", fontsize=9)
    _save(figure, path, title)


# -- common ---------------------------------------------------------------------------------------------------------


def _track_colour(track: str, tracks: Sequence[str]) -> str:
    if track in TRACK_COLOURS:
        return TRACK_COLOURS[track]
    hand = [name for name in tracks if name[0] == track[0]]
    colours = HANDS.get(track[0], COLOURS)
    return colours[hand.index(track) % len(colours)]


def _borders(rows: Sequence[str]) -> list[int]:
    """Rows at which another track begins."""
    owner = [row.split(":")[0] for row in rows]
    return [i for i in range(1, len(rows)) if owner[i] != owner[i - 1]]


def _plain(axis) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.tick_params(colors=INK, labelsize=8)


def _save(figure, path: Path, title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
