"""Pictures of genre transfer: versions of a piece side by side, and what a stronger transfer costs.

`plot_versions` draws origin, transfer and cycle, or source and result, as piano rolls with bar lines. Orange is the
tune of the first version and what is left of it in the others (same step, same pitch class); grey is what the first
version has, too (same step and pitch); blue is new. Above each stands the probability of the target genre.
`plot_strength` draws how much changes, how likely the target genre is and how much harmony is kept over the strength.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.skyline import skyline
from spartito.render.plots import BAR_LINE, CS, GRID, INK, PLOT_SUFFIXES

__all__ = ["plot_strength", "plot_versions"]

BAR = 16  # steps
ROW_BARS = 8  # bars in a row of panels
MAX_ROWS = 8  # what is longer is cut, and the title says so
PANEL, ROW_HEIGHT, HEAD = 4.6, 2.6, 0.9  # inches
DPI = 100
PITCHES = 128  # MIDI numbers
MARGIN = 2  # semitones around the lowest and highest note
TUNE, KEPT, NEW = "#D55E00", "#8A939B", "#1F77B4"
CURVES = {  # column: label, colour, marker
    "target": ("probability of the target", TUNE, "o"),
    "chroma_sim": ("harmony kept (chroma_sim)", BAR_LINE, "s"),
    "content_diff": ("cells changed (content_diff), right", NEW, "^"),
}


def plot_versions(
    versions: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    *,
    first: int = 0,
    steps: int | None = None,
    target: str = "",
    probability: Mapping[str, float] | None = None,
    title: str = "",
) -> None:
    """Draw versions of a piece side by side into a .png, .svg or .pdf file, eight bars in a row.

    Parameters
    ----------
    versions : name -> np.ndarray, shape=(k, 5), int
        Notes on the grid: step, duration in steps, MIDI pitch, velocity, hand. The first is what the others were made
        from.
    first : int
        Step of a downbeat; bar lines are drawn every 16 steps from there, both ways.
    steps : int, optional
        Length drawn, up to 64 bars; default: to the last release.
    target : str
        Genre that `probability` (name of a version -> 0..1) is of.

    Raises
    ------
    NotesError
        There are no notes.
    ParameterError
        Another suffix.
    MissingExtraError
        matplotlib is not installed (extra `plot`).
    """
    path = _checked(path)
    versions = {name: np.asarray(notes, dtype=np.int64).reshape(-1, 5) for name, notes in versions.items()}
    every = np.concatenate(list(versions.values())) if versions else np.zeros((0, 5), dtype=np.int64)
    if len(every) == 0:
        raise NotesError("there are no notes to draw")
    steps = int((every[:, 0] + every[:, 1]).max()) if steps is None else steps
    shown = min(steps, MAX_ROWS * ROW_BARS * BAR)
    length = min(ROW_BARS * BAR, max(BAR, -(-shown // BAR) * BAR))  # of a row
    rows = math.ceil(shown / length)
    low, high = int(every[:, 2].min()) - MARGIN, int(every[:, 2].max()) + MARGIN
    source = next(iter(versions.values()))
    tune = source[skyline(source)]

    size = (PANEL * len(versions), ROW_HEIGHT * rows + HEAD)
    figure = _figure(size)
    axes = figure.subplots(rows, len(versions), squeeze=False, sharey=True)
    for column, (name, notes) in enumerate(versions.items()):
        colours = _colours(notes, source, tune)
        for row in range(rows):
            start = row * length
            _draw(axes[row, column], notes, colours, start, start + length, low, high, first)
        heading = name
        if probability is not None and name in probability:
            heading += f" – {target} {probability[name]:.2f}" if target else f" – {probability[name]:.2f}"
        axes[0, column].set_title(heading, fontsize=11, color=INK)
    for axis in axes[-1]:
        axis.set_xlabel("bar", color=INK, fontsize=9)
    from matplotlib.patches import Patch

    meaning = ((TUNE, "tune"), (KEPT, "as in the source"), (NEW, "new"))
    figure.legend(
        handles=[Patch(color=colour, label=label) for colour, label in meaning],
        loc="outside lower center", ncols=3, frameon=False, fontsize=9,
    )  # fmt: skip
    cut = f" (first {shown // BAR} bars)" if shown < steps else ""
    if title or cut:
        figure.suptitle(f"{title}{cut}".strip(), fontsize=12, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def plot_strength(curve: Sequence[Mapping[str, float]], path: str | os.PathLike, *, title: str = "") -> None:
    """Draw what changes with the strength of a transfer.

    `curve` has a row for each strength with `strength` (0..1) and any of `target` (probability of the target genre),
    `chroma_sim` and `content_diff` (`evaluation.style`).

    Raises ParameterError for fewer than two rows or another suffix, MissingExtraError without matplotlib.
    """
    path = _checked(path)
    if len(curve) < 2:
        raise ParameterError(f"a curve needs two strengths at least, not {len(curve)}")
    figure = _figure((6.4, 3.8))
    axis = figure.subplots()
    right = axis.twinx()
    lines = []
    strength = [row["strength"] for row in curve]
    for key, (label, colour, marker) in CURVES.items():
        if all(key in row for row in curve):
            side = right if key == "content_diff" else axis
            lines += side.plot(strength, [row[key] for row in curve], color=colour, marker=marker, label=label)
    axis.set_ylim(0, 1.02)
    right.set_ylim(bottom=0)
    axis.set_xlabel("strength", color=INK)
    right.set_ylabel("share of cells", color=NEW)
    axis.grid(color=GRID, linewidth=0.4, alpha=0.5)
    for side in (axis, right):
        side.spines["top"].set_visible(False)
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def _checked(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise ParameterError(f"cannot draw {path.name}: pictures are {', '.join(PLOT_SUFFIXES)}")
    return path


def _figure(size: tuple[float, float]):
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="plot", purpose="drawing a transfer") from error
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colours(notes: np.ndarray, source: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """(k,) colour of each note of a version."""
    kept = np.isin(notes[:, 0] * PITCHES + notes[:, 2], source[:, 0] * PITCHES + source[:, 2])
    colours = np.where(kept, KEPT, NEW)
    colours[_of_tune(notes, tune)] = TUNE
    return colours


def _of_tune(notes: np.ndarray, tune: np.ndarray) -> np.ndarray:
    """(m,) rows that play notes of the tune (one at a step): same step, same pitch class, of several the nearest."""
    order = np.argsort(tune[:, 0], kind="stable")
    tune = tune[order]
    if len(tune) == 0:
        return np.zeros(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(tune[:, 0], notes[:, 0]), len(tune) - 1)
    apart = notes[:, 2] - tune[place, 2]
    rows = np.flatnonzero((tune[place, 0] == notes[:, 0]) & (apart % 12 == 0))
    rows = rows[np.lexsort((np.abs(apart[rows]), place[rows]))]
    return rows[np.diff(place[rows], prepend=-1) != 0]


def _draw(axis, notes: np.ndarray, colours: np.ndarray, start: int, end: int, low: int, high: int, first: int) -> None:
    """One panel: the notes that sound between two steps."""
    from matplotlib.collections import PolyCollection

    here = (notes[:, 0] < end) & (notes[:, 0] + notes[:, 1] > start)
    left, right = notes[here, 0], notes[here, 0] + notes[here, 1] - 0.15  # a gap, so that repeated notes come apart
    bottom, top = notes[here, 2] - 0.45, notes[here, 2] + 0.45
    corners = np.stack(
        [np.column_stack(c) for c in ((left, bottom), (left, top), (right, top), (right, bottom))], axis=1
    )  # (n, 4 corners, 2 coordinates)
    axis.add_collection(PolyCollection(corners, facecolors=list(colours[here]), linewidths=0, zorder=3), autolim=False)
    for key in range(12 * (low // 12), high + 1, 12):
        axis.axhline(key - 0.5, color=GRID, linewidth=0.6, zorder=1)
    bars = np.arange(start + (first - start) % BAR, end + 1, BAR)
    for step in bars:
        axis.axvline(step, color=BAR_LINE, linewidth=0.8, alpha=0.7, zorder=1.5)
    for beat in np.arange(start + (first - start) % 4, end, 4):
        axis.axvline(beat, color=GRID, linewidth=0.3, alpha=0.6, zorder=1)
    axis.set_xlim(start, end)
    axis.set_ylim(low - 0.5, high + 0.5)
    inside = bars[bars < end]
    axis.set_xticks(inside, [str(int(number)) for number in (inside - first % BAR) // BAR + 1])
    cs = [key for key in CS if low <= key <= high]
    axis.set_yticks(cs, [CS[key] for key in cs])
    axis.tick_params(colors=INK, labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
